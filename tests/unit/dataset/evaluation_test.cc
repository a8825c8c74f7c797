#include "index/dataset/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

TEST_F(TextFileTest, IdsOfJsonLinesAndOfABeirFolder) {
  const std::filesystem::path folder = std::filesystem::path(Write("")).parent_path() / "beir";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / kBeirQueries) << "{\"_id\": \"q\\t1\", \"text\": \"a\"}\n{\"id\": \"q2\"}\n";
  EXPECT_THAT(*ReadIds(InBeirFolder(folder.string(), kBeirQueries)), ElementsAre("q\t1", "q2"));
  EXPECT_EQ(InBeirFolder("/nowhere/ids.txt", kBeirQueries), "/nowhere/ids.txt");
  std::ofstream(folder / kBeirQueries) << "{\"_id\": \"q1\"}\n{\"text\": \"a\"}\n";
  EXPECT_THAT(std::string(ReadIds((folder / kBeirQueries).string()).status().message()), HasSubstr("line 2"));
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
