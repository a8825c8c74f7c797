// The rules of a collection's own binarizers, without a collection.
#include "index/learn/steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "index/learn/first_model.h"
#include "tests/support/test_models.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

AutoRecord Fitted(uint64_t documents) {
  AutoRecord record;
  record.config.dims = 64;
  record.version = "auto-1";
  record.fitted_documents = record.measured_documents = documents;
  record.fitted_rows = 1600;
  record.recall = 0.8;
  record.recall_goal = 0.77;
  record.fits = record.promotions = 1;
  return record;
}

TEST(ReasonToFitTest, TheFirstFitWaitsForEnoughDocuments) {
  AutoRecord record;
  record.config.dims = 64;
  EXPECT_THAT(ReasonToFit(record, {.documents = 1999, .quiet = true}, 2000), IsEmpty());
  EXPECT_THAT(ReasonToFit(record, {.documents = 2000}, 2000), HasSubstr("2000 documents"));
  EXPECT_EQ(NextFitDocuments(record, 2000), 2000u);
}

TEST(ReasonToFitTest, TenTimesTheDocumentsOrLessRecallBringTheNext) {
  AutoRecord record = Fitted(2000);
  EXPECT_THAT(ReasonToFit(record, {.documents = 19999}, 2000), IsEmpty());
  EXPECT_THAT(ReasonToFit(record, {.documents = 20000}, 2000), HasSubstr("10 times"));
  EXPECT_THAT(ReasonToFit(record, {.documents = 3000, .monitored = 0.76}, 2000), HasSubstr("by the monitor"));
  EXPECT_THAT(ReasonToFit(record, {.documents = 3000, .monitored = 0.78}, 2000), IsEmpty());
  EXPECT_THAT(ReasonToFit(record, {.documents = 2500, .quiet = true}, 2000), HasSubstr("no more come"));
  record.fitted_rows = kMaxLessonRows;
  EXPECT_THAT(ReasonToFit(record, {.documents = 2500, .quiet = true}, 2000), IsEmpty());
  record.recall = 0.7;
  EXPECT_THAT(ReasonToFit(record, {.documents = 4000}, 2000), IsEmpty()) << "measured on what it was fitted to";
  record.measured_documents = 4000;
  EXPECT_THAT(ReasonToFit(record, {.documents = 4000}, 2000), HasSubstr("fallen to 0.700"));
  record.final = true;
  EXPECT_THAT(ReasonToFit(record, {.documents = 400000}, 2000), IsEmpty());
  EXPECT_EQ(NextFitDocuments(record, 2000), 0u);
}

TEST(MeasureIsDueTest, AtTwiceTheDocumentsOrWhenNoMoreCome) {
  const AutoRecord record = Fitted(2000);
  EXPECT_FALSE(MeasureIsDue(record, {.documents = 3999}));
  EXPECT_TRUE(MeasureIsDue(record, {.documents = 4000}));
  EXPECT_TRUE(MeasureIsDue(record, {.documents = 2500, .quiet = true}));
  EXPECT_FALSE(MeasureIsDue(record, {.documents = 2100, .quiet = true}));
}

// A collection with its first version and one that was fitted.
CollectionManifest WithCandidate(double recall_wanted) {
  const auto model = [](uint64_t seed) {
    return std::shared_ptr<const Binarizer>(
        *Binarizer::Parse(testing::RandomModelFile(8, *ParseCodeSpec("32x1"), 4, seed)));
  };
  CollectionManifest manifest;
  manifest.name = "c";
  manifest.store_floats = FloatStorage::kFloat16;
  manifest.default_version = kFirstVersion;
  manifest.next_space = 1;
  const auto first = model(1);
  manifest.spaces.push_back({0, first->spec()});
  manifest.versions.push_back({.name = kFirstVersion, .binarizer = first});
  BeginLearning({.store_floats = FloatStorage::kFloat16,
                 .auto_binarizer = AutoBinarizerConfig{.dims = 8, .recall = recall_wanted}},
                manifest);
  EXPECT_GT(manifest.default_rerank, 0u);
  EXPECT_TRUE(AddCandidate(manifest, {.reason = "a test", .documents = 2000}, {.rows = 1600}, model(2)).ok());
  return manifest;
}

Comparison Compared(double recall, double against) {
  Comparison comparison;
  comparison.check = {
      .against = kFirstVersion, .queries = 400, .recall = recall, .against_recall = against, .documents = 2100};
  comparison.rerank = 75;
  return comparison;
}

TEST(DecideTest, TheBetterOneBecomesTheDefault) {
  CollectionManifest manifest = WithCandidate(0);
  EXPECT_EQ(manifest.auto_record->candidate, "auto-1");
  EXPECT_EQ(manifest.versions[1].embedding, 0u);
  ASSERT_TRUE(Decide(manifest, Compared(0.8, 0.6)).ok());
  EXPECT_EQ(manifest.default_version, "auto-1");
  EXPECT_EQ(manifest.previous_default, kFirstVersion);
  EXPECT_EQ(manifest.auto_record->outgoing, kFirstVersion);
  EXPECT_EQ(manifest.auto_record->candidate, "");
  EXPECT_EQ(manifest.auto_record->promotions, 1u);
  EXPECT_EQ(manifest.default_rerank, 75u);
  EXPECT_NEAR(manifest.auto_record->recall_goal, 0.77, 1e-9);
}

TEST(DecideTest, TheWorseOneIsRetiredAndTheGoalIsWhatThereIs) {
  CollectionManifest manifest = WithCandidate(0);
  const uint32_t rerank = manifest.default_rerank;
  ASSERT_TRUE(Decide(manifest, Compared(0.59, 0.6)).ok());
  EXPECT_EQ(manifest.default_version, kFirstVersion);
  EXPECT_EQ(manifest.auto_record->outgoing, "auto-1");
  EXPECT_EQ(manifest.auto_record->promotions, 0u);
  EXPECT_EQ(manifest.default_rerank, rerank);
  EXPECT_NEAR(manifest.auto_record->recall, 0.6, 1e-9);
  EXPECT_THAT(manifest.auto_record->events.back().text, HasSubstr("stays the default"));
}

TEST(DecideTest, ShorterCodesThatReachTheRecallAskedForWillDo) {
  CollectionManifest manifest = WithCandidate(0.5);
  ASSERT_TRUE(Decide(manifest, Compared(0.52, 0.6)).ok());
  EXPECT_EQ(manifest.default_version, "auto-1");
  EXPECT_NEAR(manifest.auto_record->recall_goal, 0.5, 1e-9);
}

TEST(DecideTest, NothingIsDecidedOverSomebodysHead) {
  CollectionManifest manifest = WithCandidate(0);
  manifest.default_version = "auto-1";
  EXPECT_TRUE(absl::IsFailedPrecondition(Decide(manifest, Compared(0.8, 0.6))));
}

TEST(AddEventTest, TheLastOnesAreKept) {
  CollectionManifest manifest = WithCandidate(0);
  for (size_t i = 0; i < kMaxAutoEvents + 3; ++i) AddEvent(manifest, std::to_string(i));
  ASSERT_EQ(manifest.auto_record->events.size(), kMaxAutoEvents);
  EXPECT_EQ(manifest.auto_record->events.front().text, "3");
}

TEST(AutoBinarizerTest, LimitsAreNamed) {
  const auto error = [](AutoBinarizerConfig config) { return std::string(CheckAutoBinarizer(config).message()); };
  EXPECT_THAT(error({.dims = 1}), HasSubstr("dims is 1; it is 2 to 4096"));
  EXPECT_THAT(error({.dims = 4097}), HasSubstr("dims is 4097"));
  EXPECT_THAT(error({.dims = 64, .bits = 100}), HasSubstr("multiple of 32 from 32 to 256"));
  EXPECT_THAT(error({.dims = 64, .bits = 288}), HasSubstr("bits is 288"));
  EXPECT_THAT(error({.dims = 64, .recall = 1.0}), HasSubstr("recall is 1"));
  EXPECT_THAT(error({.dims = 64, .bits = 64, .recall = 0.5}), HasSubstr("set one"));
  EXPECT_EQ(error({.dims = 4096, .bits = 8192}), "");
  EXPECT_EQ(UsualBits(2), 256u);
  EXPECT_EQ(UsualBits(200), 416u);
  EXPECT_EQ(UsualBits(1536), 1024u);
}

}  // namespace
}  // namespace bebr
