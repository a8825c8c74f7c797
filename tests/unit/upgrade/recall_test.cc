#include "index/upgrade/recall.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/base/stable_hash.h"
#include "index/base/status_macros.h"
#include "index/search/scheduler.h"
#include "index/search/search_job.h"
#include "tests/support/reference_search.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_models.h"

namespace bebr {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using testing::RandomModelFile;
using testing::RandomVectors;
using testing::ReferenceCollection;

TEST(MeanShareTest, IsTheMeanOverQueriesThatWantSomething) {
  EXPECT_EQ(MeanShare({}, {}), 0.0);
  EXPECT_EQ(MeanShare({{"a", "b"}}, {{"b", "c", "a"}}), 1.0);
  EXPECT_EQ(MeanShare({{"a", "b"}, {"c", "d"}}, {{"a"}, {}}), 0.25);
  EXPECT_EQ(MeanShare({{"a"}, {}}, {{"a"}, {"b"}}), 1.0);  // the second wants nothing
}

constexpr uint32_t kDims = 8, kOtherDims = 6;
constexpr size_t kDocuments = 120;

// Documents with floats of v1, every third one with floats of v2 too.
class RecallTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(FloatStorage::kFloat32); }

  void Open(FloatStorage storage) {
    collection_.reset();
    shared_.cache = MakeStoreCache(1 << 20, 1 << 20);
    CollectionManifest manifest;
    manifest.name = "c";
    manifest.store_floats = storage;
    manifest.shards = 3;
    manifest.default_version = "v1";
    for (uint32_t v = 0; v < 2; ++v) {
      auto binarizer = *Binarizer::Parse(models_[v]);
      manifest.spaces.push_back({v, binarizer->spec()});
      manifest.versions.push_back({.number = v,
                                   .name = absl::StrCat("v", v + 1),
                                   .space = v,
                                   .embedding = v,
                                   .binarizer = std::move(binarizer)});
    }
    manifest.next_space = 2;
    const std::string path = directory_.path() + "/" + std::string(ToString(storage));
    ASSERT_TRUE(CollectionStore::Create(StorePath(path), manifest.shards, shared_.cache).ok());
    auto collection = Collection::Open(std::move(manifest), path, &shared_);
    ASSERT_TRUE(collection.ok()) << collection.status();
    collection_ = *std::move(collection);
    ASSERT_NO_FATAL_FAILURE(Fill());
  }
  void Fill() {
    UpsertRequest request{.collection = "c"};
    for (size_t i = 0; i < kDocuments; ++i) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat("d", i);
      document.embeddings.push_back({.version = "v1", .values = vectors_[i]});
      if (i % 3 == 0) document.embeddings.push_back({.version = "v2", .values = other_vectors_[i]});
      reference_.Upsert(document.id, vectors_[i], {});
    }
    auto outcome = std::make_shared<std::promise<absl::Status>>();  // shared: set_value may outlast get
    collection_->Upsert(std::move(request),
                        [outcome](absl::StatusOr<UpsertResult> result) { outcome->set_value(result.status()); });
    const absl::Status status = outcome->get_future().get();
    ASSERT_TRUE(status.ok()) << status;
  }
  const Version& version(size_t i) const { return collection_->manifest()->versions[i]; }
  absl::StatusOr<SearchResult> Search(SearchRequest request) {
    BEBR_ASSIGN_OR_RETURN(auto job, PrepareSearch(std::move(request), collection_->manifest(), collection_->shards()));
    auto outcome = std::make_shared<std::promise<absl::StatusOr<SearchResult>>>();
    job->done = [outcome](absl::StatusOr<SearchResult> result) { outcome->set_value(std::move(result)); };
    scheduler_.Submit(std::move(job));
    return outcome->get_future().get();
  }
  SearchNow search() {
    return [this](SearchRequest request) { return Search(std::move(request)); };
  }
  static std::vector<std::string> Ids(std::vector<ReferenceCollection::Hit> hits, const std::string& without,
                                      size_t k) {
    std::vector<std::string> ids;
    for (const auto& hit : hits) {
      if (hit.id != without && ids.size() < k) ids.push_back(hit.id);
    }
    return ids;
  }

  testing::TemporaryDirectory directory_;
  const std::vector<std::string> models_ = {RandomModelFile(kDims, *ParseCodeSpec("24x1"), 2, 1),
                                            RandomModelFile(kOtherDims, *ParseCodeSpec("32x1"), 1, 2)};
  const std::vector<std::vector<float>> vectors_ = RandomVectors(kDocuments, kDims, 3);
  const std::vector<std::vector<float>> other_vectors_ = RandomVectors(kDocuments, kOtherDims, 4);
  ReferenceCollection reference_{models_[0]};
  EngineShared shared_{1, uint64_t{1} << 30, /*from_log=*/false};
  Scheduler scheduler_{2, 10000};
  std::shared_ptr<Collection> collection_;
};

TEST_F(RecallTest, SamplesTheDocumentsOfTheSmallestHashes) {
  const Version* const both[] = {&version(0), &version(1)};
  std::vector<std::string> ids;
  for (size_t i = 0; i < kDocuments; i += 3) ids.push_back(absl::StrCat("d", i));
  std::sort(ids.begin(), ids.end(),
            [](const std::string& a, const std::string& b) { return StableHash(a) < StableHash(b); });
  for (const size_t count : {size_t{1}, size_t{7}, ids.size(), size_t{1000}}) {
    const auto sampled = SampleQueries(*collection_, both, count);
    ASSERT_TRUE(sampled.ok()) << sampled.status();
    ASSERT_EQ(sampled->size(), 2u);
    const std::vector<std::string> expected(ids.begin(), ids.begin() + std::min(count, ids.size()));
    EXPECT_THAT((*sampled)[0].ids, ElementsAreArray(expected));
    EXPECT_THAT((*sampled)[1].ids, ElementsAreArray(expected));
    for (size_t q = 0; q < expected.size(); ++q) {
      const size_t i = std::stoul(expected[q].substr(1));
      EXPECT_EQ((*sampled)[0].rows[q], vectors_[i]);
      EXPECT_EQ((*sampled)[1].rows[q], other_vectors_[i]);
    }
  }
}

TEST_F(RecallTest, ComparesCodesWithTheStoredFloats) {
  const Version* const first[] = {&version(0)};
  const Queries queries = (*SampleQueries(*collection_, first, 20))[0];
  std::atomic<size_t> read{0};
  const ReadingPace pace{.threads = 2, .spend = [&read](size_t documents) {
                           read.fetch_add(documents);
                           return absl::OkStatus();
                         }};
  const auto answers = CompareWithExact(*collection_, version(0), queries, 5, search(), pace);
  ASSERT_TRUE(answers.ok()) << answers.status();
  EXPECT_EQ(read, kDocuments);
  ASSERT_EQ(answers->exact.size(), 20u);
  double sum = 0;
  for (size_t q = 0; q < 20; ++q) {
    const auto exact = Ids(reference_.SearchExact(queries.rows[q], 6), queries.ids[q], 5);
    const auto found = Ids(reference_.Search(queries.rows[q], 6), queries.ids[q], 5);
    EXPECT_THAT(answers->exact[q], ElementsAreArray(exact));
    EXPECT_THAT(answers->found[q], ElementsAreArray(found));
    sum += MeanShare({exact}, {found});
  }
  EXPECT_THAT(answers->recall(), DoubleNear(sum / 20, 1e-12));
  const auto sample = MeasureRecall(*collection_, version(0), 20, 5, search(), {});
  ASSERT_TRUE(sample.ok()) << sample.status();
  EXPECT_EQ(sample->recall, answers->recall());
  EXPECT_EQ(sample->queries, 20u);
  EXPECT_EQ(sample->k, 5u);
}

TEST_F(RecallTest, ScoreErrorsAreThoseOfTheExactNeighbours) {
  const Version* const first[] = {&version(0)};
  const Queries queries = (*SampleQueries(*collection_, first, 37))[0];
  std::vector<double> errors;
  for (size_t q = 0; q < queries.rows.size(); ++q) {
    std::map<std::string, double> estimates;
    for (const auto& hit : reference_.Search(queries.rows[q], kDocuments)) estimates[hit.id] = hit.score;
    size_t neighbours = 0;
    for (const auto& hit : reference_.SearchExact(queries.rows[q], 6)) {
      if (hit.id == queries.ids[q] || ++neighbours > 5) continue;
      errors.push_back(std::fabs(estimates.at(hit.id) - double{hit.score}));
    }
  }
  std::sort(errors.begin(), errors.end());
  double sum = 0;
  for (const double error : errors) sum += error;
  const auto sample = MeasureRecall(*collection_, version(0), 37, 5, search(), {});
  ASSERT_TRUE(sample.ok()) << sample.status();
  ASSERT_EQ(errors.size(), 37u * 5);
  EXPECT_THAT(sample->score_error, DoubleNear(sum / static_cast<double>(errors.size()), 1e-6));
  // Of 185 the 184th smallest: at least 99 of 100 are no larger.
  EXPECT_THAT(sample->score_error_p99, DoubleNear(errors[183], 1e-6));
  EXPECT_GT(sample->score_error, 0.01);  // codes of 24 bits
}

TEST_F(RecallTest, QueriesThatAreNoDocumentsKeepTheirNeighbours) {
  const Queries queries{.rows = {vectors_[9]}};
  const auto answers = CompareWithExact(*collection_, version(0), queries, 3, search(), {});
  ASSERT_TRUE(answers.ok()) << answers.status();
  EXPECT_THAT(answers->exact, ElementsAre(ElementsAreArray(Ids(reference_.SearchExact(vectors_[9], 3), "", 3))));
  EXPECT_EQ(answers->exact[0][0], "d9");
}

TEST_F(RecallTest, LooksOnlyAtDocumentsWithTheFloats) {
  const auto answers = CompareWithExact(*collection_, version(1), {.rows = {other_vectors_[3]}}, 1000, search(), {});
  ASSERT_TRUE(answers.ok()) << answers.status();
  EXPECT_EQ(answers->exact[0].size(), kDocuments / 3);
  EXPECT_EQ(answers->exact[0][0], "d3");
}

TEST_F(RecallTest, AnErrorOfThePaceEndsIt) {
  const ReadingPace pace{.threads = 2, .spend = [](size_t) { return absl::CancelledError("stop"); }};
  EXPECT_EQ(MeasureRecall(*collection_, version(0), 5, 5, search(), pace).status().message(), "stop");
}

TEST_F(RecallTest, ItsCallerMayLoseInterestAtAnyTime) {
  ReadingPace late{.threads = 2, .deadline = SteadyNow()};
  const Version* const first[] = {&version(0)};
  EXPECT_EQ(SampleQueries(*collection_, first, 5, late).status().code(), absl::StatusCode::kDeadlineExceeded);
  const Queries queries = (*SampleQueries(*collection_, first, 5))[0];
  EXPECT_EQ(CompareWithExact(*collection_, version(0), queries, 5, search(), late).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  // While floats are read, and in the search at last.
  auto cancelled = std::make_shared<std::atomic<bool>>(false);
  const auto cancel = [cancelled](size_t) {
    *cancelled = true;
    return absl::OkStatus();
  };
  const ReadingPace reading{.threads = 2, .spend = cancel, .cancelled = cancelled};
  EXPECT_TRUE(absl::IsCancelled(CompareWithExact(*collection_, version(0), queries, 5, search(), reading).status()));
  *cancelled = false;
  const ReadingPace searching{.threads = 2, .cancelled = cancelled};
  const auto search_late = [&, now = search()](SearchRequest request) {
    *cancelled = true;
    return now(std::move(request));
  };
  EXPECT_TRUE(
      absl::IsCancelled(CompareWithExact(*collection_, version(0), queries, 5, search_late, searching).status()));
}

TEST_F(RecallTest, WithoutFloatsThereIsNothingToCompare) {
  Open(FloatStorage::kNone);
  EXPECT_EQ(MeasureRecall(*collection_, version(0), 5, 5, search(), {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace bebr
