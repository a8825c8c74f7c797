// Answers do not depend on how long a query, or for cosine a document, is, and distances not on where the origin is.
#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "index/binarizer/model.h"
#include "index/fit/fit.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

constexpr uint32_t kDims = 24;

std::vector<float> Times(std::vector<float> values, float factor) {
  for (float& value : values) value *= factor;
  return values;
}

class EngineScaleTest : public ::testing::Test {
 protected:
  void Create(const std::string& name, Metric metric, FloatStorage floats, float factor) {
    const std::string model = RandomModelFile(kDims, *ParseCodeSpec("96x3"), 4, 1, metric);
    ASSERT_TRUE(engine_->CreateCollection({.name = name, .store_floats = floats, .shards = 2}, model).ok());
    std::vector<std::vector<float>> rows;
    for (const auto& row : rows_) rows.push_back(Times(row, factor));
    UpsertRequest request{.collection = name};
    for (size_t i = 0; i < rows.size(); ++i) {
      request.documents.push_back({.id = absl::StrCat("d", i), .attributes = {}, .embeddings = {{.values = rows[i]}}});
    }
    ASSERT_TRUE(UpsertAndWait(*engine_, std::move(request)).ok());
  }
  std::vector<SearchHit> Search(const std::string& name, const std::vector<float>& query, size_t rerank = 0,
                                std::optional<float> min_score = {}) {
    auto result = SearchAndWait(
        *engine_, {.collection = name, .queries = {query}, .k = 40, .rerank = rerank, .min_score = min_score});
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? result->hits[0] : std::vector<SearchHit>();
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_ = *Engine::Open({.data_dir = directory_.path(), .threads = 2});
  const std::vector<std::vector<float>> rows_ = RandomVectors(300, kDims, 2);
  const std::vector<std::vector<float>> queries_ = RandomVectors(5, kDims, 3);
};

TEST_F(EngineScaleTest, InnerProductsGrowWithTheQueryAndKeepTheirOrder) {
  ASSERT_NO_FATAL_FAILURE(Create("c", Metric::kInnerProduct, FloatStorage::kFloat32, 1));
  for (const auto& query : queries_) {
    for (const size_t rerank : {0, 60}) {
      const auto expected = Search("c", query, rerank);
      ASSERT_EQ(expected.size(), 40u);
      // Powers of two, so that nothing is rounded.
      for (const float factor : {0x1p-60f, 0x1p-7f, 2.0f, 0x1p20f}) {
        const auto hits = Search("c", Times(query, factor), rerank);
        ASSERT_EQ(hits.size(), expected.size());
        for (size_t i = 0; i < hits.size(); ++i) {
          EXPECT_EQ(hits[i].id, expected[i].id) << "rank " << i << ", factor " << factor;
          EXPECT_EQ(hits[i].score, expected[i].score * factor) << "rank " << i << ", factor " << factor;
        }
        const float least = expected[17].score * factor;
        const auto cut = Search("c", Times(query, factor), rerank, least);
        ASSERT_GE(cut.size(), 18u);
        EXPECT_EQ(cut.back().score, least);
      }
    }
  }
}

TEST_F(EngineScaleTest, CosineOfTheSmallestRowsIsThatOfTheirDirection) {
  ASSERT_NO_FATAL_FAILURE(Create("whole", Metric::kCosine, FloatStorage::kFloat32, 1));
  ASSERT_NO_FATAL_FAILURE(Create("f16", Metric::kCosine, FloatStorage::kFloat16, 1e-9f));
  ASSERT_NO_FATAL_FAILURE(Create("f32", Metric::kCosine, FloatStorage::kFloat32, 1e-40f));
  for (const auto& query : queries_) {
    for (const size_t rerank : {0, 60}) {
      const auto expected = Search("whole", query, rerank);
      for (const char* name : {"f16", "f32"}) {
        for (const float factor : {1.0f, 1e-40f}) {
          const auto hits = Search(name, Times(query, factor), rerank);
          ASSERT_EQ(hits.size(), expected.size());
          // Values of 1e-40 have few bits.
          for (size_t i = 0; i < 10; ++i) EXPECT_NEAR(hits[i].score, expected[i].score, 0.02) << name << " rank " << i;
        }
      }
    }
  }
}

// Of a collection whose rows are multiplied and moved, and of queries that are too, scores are those of the rows as
// they were, multiplied twice.
TEST_F(EngineScaleTest, DistancesGrowWithTheRowsAndDoNotDependOnTheOrigin) {
  Matrix rows{rows_.size(), kDims, {}};
  for (const auto& row : rows_) rows.values.insert(rows.values.end(), row.begin(), row.end());
  const auto create = [&](const std::string& name, float factor, float shift) {
    Matrix moved = rows;
    for (float& value : moved.values) value = value * factor + shift;
    const auto fitted = FitStart({.rows = moved, .metric = Metric::kL2, .bits = 192});
    ASSERT_TRUE(fitted.ok()) << fitted.status();
    ASSERT_TRUE(engine_
                    ->CreateCollection({.name = name, .store_floats = FloatStorage::kFloat32, .shards = 2},
                                       *SerializeModel(fitted->model))
                    .ok());
    UpsertRequest request{.collection = name};
    for (size_t i = 0; i < moved.rows; ++i) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat("d", i);
      document.embeddings.push_back({.values = absl::MakeConstSpan(moved.row(i), kDims)});
    }
    ASSERT_TRUE(UpsertAndWait(*engine_, std::move(request)).ok());
  };
  const auto distance = [&](const std::vector<float>& query, const std::string& id) {
    double sum = 0;
    const float* row = rows.row(std::stoul(id.substr(1)));
    for (size_t i = 0; i < kDims; ++i) sum += std::pow(double{query[i]} - row[i], 2);
    return sum;
  };
  int number = 0;
  for (const auto& [factor, shift] : std::vector<std::pair<float, float>>{{1, 0}, {1e-3f, 0}, {1e3f, 0}, {1, 100}}) {
    const std::string name = absl::StrCat("l2-", number++);
    ASSERT_NO_FATAL_FAILURE(create(name, factor, shift));
    const auto search = [&](std::vector<float> query, size_t rerank) {
      for (float& value : query) value = value * factor + shift;
      return Search(name, query, rerank);
    };
    for (const auto& query : queries_) {
      for (const auto& hit : search(query, 300)) {
        const double expected = distance(query, hit.id);
        EXPECT_NEAR(hit.score / factor / factor, -expected, 1e-3 * expected) << factor << " " << shift;
      }
      // Estimates: near the truth on average, and in its order.
      double error = 0, sum = 0;
      for (const auto& hit : search(query, 0)) {
        error += std::fabs(hit.score / factor / factor + distance(query, hit.id));
        sum += distance(query, hit.id);
      }
      EXPECT_LT(error, 0.1 * sum) << factor << " " << shift;
    }
    // A document's own row is the nearest, at a distance of about nothing.
    const auto self = search(rows_[17], 0);
    EXPECT_EQ(self[0].id, "d17");
    EXPECT_NEAR(self[0].score / factor / factor, 0, 0.1 * distance(rows_[17], self[1].id));
    EXPECT_EQ(search(rows_[17], 40)[0].score, 0);
  }
}

}  // namespace
}  // namespace bebr::testing
