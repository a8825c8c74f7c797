#include "index/dataset/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Matrix RandomMatrix(size_t rows, size_t dims, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Matrix matrix{rows, dims, std::vector<float>(rows * dims)};
  for (float& value : matrix.values) value = normal(random);
  return matrix;
}

// The definition, one query at a time, in double.
std::vector<uint32_t> Reference(const Matrix& docs, const Matrix& queries, size_t k, Metric metric) {
  std::vector<uint32_t> all;
  for (size_t q = 0; q < queries.rows; ++q) {
    std::vector<double> scores(docs.rows);
    for (size_t i = 0; i < docs.rows; ++i) {
      double dot = 0;
      double square = 0;
      for (size_t d = 0; d < docs.dims; ++d) {
        dot += static_cast<double>(docs.row(i)[d]) * queries.row(q)[d];
        square += static_cast<double>(docs.row(i)[d]) * docs.row(i)[d];
      }
      scores[i] = metric == Metric::kInnerProduct ? dot : square > 0 ? dot / std::sqrt(square) : 0;
    }
    std::vector<uint32_t> order(docs.rows);
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
    all.insert(all.end(), order.begin(), order.begin() + static_cast<ptrdiff_t>(std::min(k, docs.rows)));
  }
  return all;
}

TEST(ExactNeighborsTest, EqualsTheDefinitionForAnyNumberOfThreads) {
  // More documents and queries than a block, and sizes that fill none.
  const Matrix docs = RandomMatrix(9001, 19, 1);
  const Matrix queries = RandomMatrix(150, 19, 2);
  for (const Metric metric : {Metric::kInnerProduct, Metric::kCosine}) {
    const std::vector<uint32_t> expected = Reference(docs, queries, 10, metric);
    for (const size_t threads : {1, 2, 5}) EXPECT_EQ(ExactNeighbors(docs, queries, 10, metric, threads), expected);
  }
}

TEST(ExactNeighborsTest, TiesGoByRowNumber) {
  // Every row stands in the matrix several times, far enough apart to fall into different blocks and corners of blocks.
  const Matrix some = RandomMatrix(3001, 33, 3);
  Matrix docs{some.rows * 3, some.dims, {}};
  for (int copy = 0; copy < 3; ++copy) docs.values.insert(docs.values.end(), some.values.begin(), some.values.end());
  const Matrix queries = RandomMatrix(7, 33, 4);
  const std::vector<uint32_t> found = ExactNeighbors(docs, queries, 9, Metric::kInnerProduct, 2);
  EXPECT_EQ(found, Reference(docs, queries, 9, Metric::kInnerProduct));
  for (size_t i = 0; i < found.size(); i += 3) {
    EXPECT_EQ(found[i + 1], found[i] + 3001);
    EXPECT_EQ(found[i + 2], found[i] + 6002);
  }
}

TEST(ExactNeighborsTest, ZeroDocumentsScoreZeroAndKIsCut) {
  const Matrix docs{3, 2, {0, 0, -1, 0, 1, 0}};
  const Matrix query{1, 2, {2, 0}};
  EXPECT_THAT(ExactNeighbors(docs, query, 10, Metric::kCosine, 1), ElementsAre(2, 0, 1));
  EXPECT_THAT(ExactNeighbors(docs, query, 1, Metric::kInnerProduct, 1), ElementsAre(2));
  EXPECT_TRUE(ExactNeighbors(docs, query, 0, Metric::kCosine, 1).empty());
  EXPECT_TRUE(ExactNeighbors(docs, Matrix{0, 2, {}}, 1, Metric::kCosine, 1).empty());
}

TEST(RecallTest, CountsWhatIsAmongTheFirst) {
  const std::vector<uint32_t> exact = {1, 2, 3, 4};
  const std::vector<uint32_t> found = {4, 9, 1, 8, 2};
  EXPECT_EQ(Recall(exact.data(), 4, found.data(), found.size(), 1), 0.25);
  EXPECT_EQ(Recall(exact.data(), 4, found.data(), found.size(), 4), 0.5);
  EXPECT_EQ(Recall(exact.data(), 4, found.data(), found.size(), 100), 0.75);
  EXPECT_EQ(Recall(exact.data(), 2, found.data(), found.size(), 5), 1.0);
  EXPECT_EQ(Recall(exact.data(), 4, found.data(), 0, 10), 0.0);
}

TEST(NdcgTest, IsTheTextbookFormula) {
  const absl::flat_hash_map<std::string, double> gains = {{"a", 3}, {"b", 1}, {"c", 0}};
  EXPECT_DOUBLE_EQ(Ndcg(gains, {"a", "b"}, 10), 1.0);
  const double ideal = 3 + 1 / std::log2(3);
  EXPECT_DOUBLE_EQ(Ndcg(gains, {"x", "b", "c", "a"}, 10), (1 / std::log2(3) + 3 / std::log2(5)) / ideal);
  EXPECT_DOUBLE_EQ(Ndcg(gains, {"x", "b", "c", "a"}, 3), (1 / std::log2(3)) / ideal);
  EXPECT_DOUBLE_EQ(Ndcg(gains, {"x", "a"}, 1), 0.0);
  EXPECT_DOUBLE_EQ(Ndcg(gains, {}, 10), 0.0);
  EXPECT_DOUBLE_EQ(Ndcg({}, {"a"}, 10), 0.0);
}

class TextFileTest : public ::testing::Test {
 protected:
  TextFileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "bebr_text_file_XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~TextFileTest() override { std::filesystem::remove_all(folder_); }
  std::string Write(const std::string& text) const {
    std::ofstream(folder_ / "file", std::ios::binary) << text;
    return (folder_ / "file").string();
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(TextFileTest, QrelsWithAndWithoutHeader) {
  for (const char* header : {"", "query-id\tcorpus-id\tscore\n"}) {
    const absl::StatusOr<Qrels> qrels = ReadQrels(Write(std::string(header) + "q1\td1\t1\nq1\td2\t2.5\r\nq2\td1\t0"));
    ASSERT_TRUE(qrels.ok()) << qrels.status();
    EXPECT_EQ(qrels->size(), 2u);
    EXPECT_EQ(qrels->at("q1").at("d2"), 2.5);
    EXPECT_EQ(qrels->at("q2").at("d1"), 0.0);
  }
}

TEST_F(TextFileTest, BadQrelsNameTheLine) {
  for (const char* line : {"q1\td1", "q1\td1\tx", "q1\td1\tnan", "\td1\t1", "q1\t\t1", "q1 d1 1", "", "q1\td1\t1\t1"}) {
    const absl::StatusOr<Qrels> qrels = ReadQrels(Write(std::string("q1\td1\t1\n") + line + "\nq2\td1\t1\n"));
    EXPECT_EQ(qrels.status().code(), absl::StatusCode::kInvalidArgument) << line;
    EXPECT_THAT(std::string(qrels.status().message()), HasSubstr("line 2"));
  }
  EXPECT_FALSE(ReadQrels(Write("query-id\tcorpus-id\tscore\n")).ok());
  EXPECT_EQ(ReadQrels("/nowhere/qrels.tsv").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(TextFileTest, IdsAreLinesOrFirstColumns) {
  EXPECT_THAT(*ReadIds(Write("a\nb c\r\nd")), ElementsAre("a", "b c", "d"));
  EXPECT_THAT(*ReadIds(Write("q:1\tsome text\nq:2\tmore\tcolumns\n")), ElementsAre("q:1", "q:2"));
}

TEST_F(TextFileTest, BadIdsNameTheLine) {
  for (const std::string& line : {std::string(), std::string("\ttext"), std::string(513, 'x')}) {
    const absl::StatusOr<std::vector<std::string>> ids = ReadIds(Write("a\nb\n" + line + "\nc\n"));
    EXPECT_EQ(ids.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(ids.status().message()), HasSubstr("line 3"));
  }
  EXPECT_FALSE(ReadIds(Write("")).ok());
  EXPECT_EQ(ReadIds("/nowhere/ids.txt").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace bebr
