#include "index/train/compatible.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>

#include "index/binarizer/encoder.h"
#include "index/fit/code_search.h"
#include "index/fit/groups.h"
#include "index/train/neighborhoods.h"
#include "index/train/torch_model.h"
#include "index/train/trainable.h"
#include "index/train/training_run.h"
#include "tests/unit/fit/clusters.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

TrainOptions Quiet(int64_t steps) {
  TrainOptions options;
  options.steps = steps;
  options.hidden = {16};
  options.threads = 1;
  options.progress = false;
  return options;
}

// What another, smaller encoder makes of the same items: a random linear map, the same for every call.
Matrix Older(const Matrix& rows, size_t dims) {
  std::mt19937_64 random(17);
  std::normal_distribution<float> normal;
  std::vector<float> map(dims * rows.dims);
  for (float& value : map) value = normal(random);
  Matrix out{rows.rows, dims, std::vector<float>(rows.rows * dims, 0.0f)};
  for (size_t r = 0; r < rows.rows; ++r) {
    for (size_t j = 0; j < dims; ++j) {
      for (size_t i = 0; i < rows.dims; ++i) out.row(r)[j] += map[j * rows.dims + i] * rows.row(r)[i];
    }
  }
  return out;
}

OlderVersion MakeOlder(const Matrix& documents, size_t dims, int64_t steps, Metric metric = Metric::kCosine) {
  OlderVersion older;
  older.documents = Older(documents, dims);
  TrainOptions options = Quiet(steps);
  options.shape = *ParseCodeSpec("12x3+12x2");
  options.metric = metric;
  older.model = Train(options, older.documents, {})->model;
  return older;
}

TEST(CompatibleTest, NewQueriesFindOldDocuments) {
  const Matrix documents = Clusters(3000, 40, 1);
  for (const int64_t older_steps : {0, 6}) {  // an older version with and without a projection for queries
    const OlderVersion older = MakeOlder(documents, 28, older_steps);
    const auto result = TrainCompatible(Quiet(12), older, documents, {});
    ASSERT_TRUE(result.ok()) << result.status();
    const CompatibilityReport& report = *result->compatibility;
    ASSERT_TRUE(report.old_on_old.has_value());
    EXPECT_GT(report.new_on_old, 0.8 * *report.old_on_old);
    EXPECT_GT(report.new_on_mixed, 0.8 * *report.old_on_old);
    EXPECT_GT(report.new_on_new, 0.7 * *report.old_on_old);
    EXPECT_GE(result->kept.at_10, result->start.at_10);
    EXPECT_LT(result->bits_that_differ, 1e-4);
    EXPECT_EQ(result->model.spec, older.model.spec);  // the same space, weights included
    const auto parsed = ParseModel(*SerializeModel(result->model));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->factors->offset, result->model.factors->offset);
    // Without compatibility the codes say nothing to each other.
    TrainOptions options = Quiet(0);
    options.shape = older.model.spec;
    const auto unrelated = *Encoder::Create(Train(options, documents, {})->model, 0);
    const auto old_encoder = *Encoder::Create(older.model, 0);
    const auto new_encoder = *Encoder::Create(result->model, 0);
    ThreadPool pool(1);
    const Matrix queries = Clusters(200, 40, 8);
    const Validator validator(documents, queries, Metric::kCosine, pool);
    const CodeSearch search(*old_encoder, older.documents, pool);
    EXPECT_LT(validator.Measure(search, *unrelated, queries).at_10,
              0.5 * validator.Measure(search, *new_encoder, queries).at_10);
  }
}

TEST(CompatibleTest, AThirdVersionWritesIntoTheSameSpace) {
  const Matrix documents = Clusters(2000, 40, 1);
  OlderVersion first = MakeOlder(documents, 28, 0);
  const auto second = TrainCompatible(Quiet(0), first, documents, {});
  ASSERT_TRUE(second.ok()) << second.status();
  const auto third = TrainCompatible(Quiet(0), {second->model, documents}, Older(documents, 36), {});
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_EQ(third->model.spec, first.model.spec);
  EXPECT_EQ(third->model.factors->query_scale, 1.0f / 28.0f);
  EXPECT_GT(third->compatibility->new_on_old, 0.7 * *third->compatibility->old_on_old);
}

// Where lengths count, a version is the older model with a translation before it, also one that is translated itself.
TEST(CompatibleTest, LengthsOfTwoVersionsCompare) {
  const Matrix documents = Clusters(3000, 40, 1);
  for (const Metric metric : {Metric::kInnerProduct, Metric::kL2}) {
    TrainOptions options = Quiet(0);
    options.metric = metric;
    const auto second = TrainCompatible(options, MakeOlder(documents, 28, 0, metric), documents, {});
    ASSERT_TRUE(second.ok()) << second.status();
    ASSERT_TRUE(second->model.translation.has_value());
    EXPECT_GT(second->compatibility->new_on_old, 0.95 * *second->compatibility->old_on_old);
    EXPECT_GT(second->compatibility->new_on_mixed, 0.95 * *second->compatibility->old_on_old);
    const auto third = TrainCompatible(options, {second->model, documents}, Older(documents, 36), {});
    ASSERT_TRUE(third.ok()) << third.status();
    EXPECT_GT(third->compatibility->new_on_old, 0.8 * *third->compatibility->old_on_old);
    EXPECT_TRUE(ParseModel(*SerializeModel(third->model)).ok());
  }
}

// An older version whose codes lie in groups.
OlderVersion MakeGroupedOlder(const Matrix& documents, size_t dims, Metric metric,
                              const char* levels = "4x6+12x3+8x1") {
  OlderVersion older;
  older.documents = Older(documents, dims);
  const CorpusStatistics statistics = *MeasureCorpus(older.documents, metric, dims, 1);
  const GroupStatistics groups = *MeasureGroups(older.documents, statistics, {6, 6}, dims, dims, 1);
  older.model = *GroupedStartModel(statistics, groups, *LevelPlan::Parse(levels), 6, 1);
  return older;
}

TEST(CompatibleTest, NewQueriesFindOldDocumentsInGroups) {
  const Matrix documents = Clusters(3000, 40, 1);
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    const OlderVersion older = MakeGroupedOlder(documents, 28, metric);
    for (const int64_t steps : {0, 12}) {
      TrainOptions options = Quiet(steps);
      options.query_hidden = {16};
      options.metric = metric;
      const auto result = TrainCompatible(options, older, documents, {});
      ASSERT_TRUE(result.ok()) << result.status();
      const CompatibilityReport& report = *result->compatibility;
      EXPECT_GT(report.new_on_old, 0.8 * *report.old_on_old);
      EXPECT_GT(report.new_on_mixed, 0.7 * *report.old_on_old);
      EXPECT_GT(report.new_on_new, 0.7 * *report.old_on_old);
      EXPECT_GE(result->kept.at_10, result->start.at_10);
      // The same space, to the last bit, in a file of its own format.
      const std::string file = *SerializeModel(result->model);
      EXPECT_THAT(file, HasSubstr("\"format_version\":\"7\""));
      EXPECT_EQ((*Binarizer::Parse(file))->groups_checksum(), (*MakeBinarizer(older.model, 0))->groups_checksum());
      EXPECT_EQ(result->model.spec, older.model.spec);
      if (metric != Metric::kCosine || steps != 0) continue;
      // A third version joins by the second.
      const auto third = TrainCompatible(options, {result->model, documents}, Older(documents, 36), {});
      ASSERT_TRUE(third.ok()) << third.status();
      EXPECT_EQ((*MakeBinarizer(third->model, 0))->groups_checksum(),
                (*MakeBinarizer(older.model, 0))->groups_checksum());
      EXPECT_GT(third->compatibility->new_on_old, 0.7 * *third->compatibility->old_on_old);
    }
  }
}

// Codes of a trellis are trained for as if they were levels, and measured as they are.
TEST(CompatibleTest, NewQueriesFindOldDocumentsOfTrellisCodes) {
  const Matrix documents = Clusters(3000, 40, 1);
  OlderVersion older{{}, Older(documents, 28)};
  TrainOptions of_older = Quiet(0);
  of_older.shape = *LevelPlan::Parse("12x4t+12x2t");
  older.model = Train(of_older, older.documents, {})->model;
  const OlderVersion in_groups = MakeGroupedOlder(documents, 28, Metric::kCosine, "4x4t+12x3t+8x1");
  for (const OlderVersion& version : {older, in_groups}) {
    for (const int64_t steps : {0, 12}) {
      TrainOptions options = Quiet(steps);
      options.query_hidden = {16};
      const auto result = TrainCompatible(options, version, documents, {});
      ASSERT_TRUE(result.ok()) << result.status();
      const CompatibilityReport& report = *result->compatibility;
      EXPECT_GT(report.new_on_old, 0.8 * *report.old_on_old);
      EXPECT_GT(report.new_on_mixed, 0.7 * *report.old_on_old);
      EXPECT_GT(report.new_on_new, 0.7 * *report.old_on_old);
      EXPECT_GE(result->kept.at_10, result->start.at_10);
      EXPECT_EQ(result->model.spec, version.model.spec);
      ASSERT_TRUE(result->model.translation.has_value());
      EXPECT_TRUE(Binarizer::Parse(*SerializeModel(result->model)).ok());
    }
  }
}

// What training takes a code to say is what the encoder's codes say, but for the rounding of queries: of every other
// document the older version's code, to which those of the new one compare by their scale and offset.
TEST(CompatibleTest, TrainingSeesTheCodesOfGroups) {
  const Matrix documents = Clusters(600, 40, 1);
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    const OlderVersion older = MakeGroupedOlder(documents, 28, metric);
    Model model = *CompatibleStart(older, documents);
    model.translation->document_scale = 1.1f;
    model.translation->document_offset -= 0.3f;
    const auto binarizer = *MakeBinarizer(model, 0), old_binarizer = *MakeBinarizer(older.model, 0);
    torch::NoGradGuard no_grad;
    const auto trainable = MakeTrainable(model);
    const torch::Tensor rows = torch::arange(600), is_old = rows % 2 == 0, x = Rows(documents, rows, metric);
    TorchCodes codes = trainable->EncodeDocuments(x, kMaxPlanLevels, Estimator::kStraightThrough, 1.0);
    const TorchCodes old_codes =
        MakeTrainable(older.model)
            ->EncodeDocuments(Rows(older.documents, rows, metric), kMaxPlanLevels, Estimator::kStraightThrough, 1.0);
    codes.code = torch::where(is_old.unsqueeze(1), old_codes.code, codes.code);
    codes.offset = torch::where(is_old, old_codes.offset, codes.offset);
    const torch::Tensor estimated =
        trainable->Scores(trainable->EncodeQueries(x, Estimator::kStraightThrough, 1.0), codes);
    // The ten best by both.
    ThreadPool pool(1);
    CodeSearch search(*binarizer, documents, pool);
    search.Recode(*old_binarizer, older.documents, 2);
    const std::vector<uint32_t> found = search.Search(documents, 10);
    const torch::Tensor best = std::get<1>(estimated.topk(10, 1)).contiguous();
    size_t same = 0;
    for (int64_t q = 0; q < 600; ++q) {
      for (int64_t i = 0; i < 10; ++i) {
        same += static_cast<size_t>(std::count(found.begin() + q * 10, found.begin() + q * 10 + 10,
                                               static_cast<uint32_t>(best[q][i].item<int64_t>())));
      }
    }
    EXPECT_GT(same, 5100u) << ToString(metric);
    // And no training is no change.
    const Model again = trainable->ToModel(trainable->parameters());
    for (size_t i = 0; i < model.translation->document.linear.weight.size(); ++i) {
      ASSERT_NEAR(again.translation->document.linear.weight[i], model.translation->document.linear.weight[i],
                  1e-4 * (1.0 + std::abs(model.translation->document.linear.weight[i])));
    }
  }
}

// The codes of a third version score as those of the second do, which have a scale and an offset of their own.
TEST(CompatibleTest, AThirdVersionKeepsTheConstantsOfTheSecond) {
  const Matrix documents = Clusters(600, 40, 1), others = Older(documents, 36);
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    Model second = *CompatibleStart(MakeGroupedOlder(documents, 28, metric), documents);
    const Translation plain = *CompatibleStart({second, documents}, others)->translation;
    second.translation->document_scale *= 1.1f;
    second.translation->document_offset -= 3.0f;
    const Translation third = *CompatibleStart({second, documents}, others)->translation;
    EXPECT_NEAR(third.document_scale, 1.1f * plain.document_scale, 1e-6);
    EXPECT_NEAR(third.document_offset, plain.document_offset - 3.0f, 1e-4) << ToString(metric);
    EXPECT_LE(third.document_offset, second.translation->document_offset);
  }
}

TEST(CompatibleTest, BadInputIsNamed) {
  const Matrix documents = Clusters(600, 40, 1);
  const OlderVersion older = MakeOlder(documents, 28, 0);
  const auto error = [&](const OlderVersion& version, const Matrix& rows, TrainOptions options = Quiet(0)) {
    const auto result = TrainCompatible(options, version, rows, {});
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument) << result.status();
    return std::string(result.status().message());
  };
  EXPECT_THAT(error(older, Clusters(599, 40, 1)), HasSubstr("--paired has 600 rows, --input has 599"));
  EXPECT_THAT(error({older.model, Older(documents, 27)}, documents), HasSubstr("27 dims; the model"));
  TrainOptions inner_product = Quiet(0);
  inner_product.metric = Metric::kInnerProduct;
  EXPECT_THAT(error(older, documents, inner_product), HasSubstr("inner_product"));
  const Model input_form = ToTrainable(older.model, ResidualForm::kInput, {}, 1);
  EXPECT_THAT(error({input_form, older.documents}, documents), HasSubstr("residual form 'input'"));
}

}  // namespace
}  // namespace bebr
