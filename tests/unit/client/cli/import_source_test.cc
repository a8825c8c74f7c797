#include "client/cli/import_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ImportSourceTest : public ::testing::Test {
 protected:
  ImportSourceTest() : directory_(::testing::TempDir() + "bebr_import_source") {
    std::filesystem::create_directories(directory_);
  }
  ~ImportSourceTest() override { std::filesystem::remove_all(directory_); }

  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  // `rows` rows of two values: row i is (i, 1).
  std::string WriteRows(size_t rows) {
    Matrix matrix{.rows = rows, .dims = 2, .values = {}};
    matrix.values.resize(2 * rows, 1.0f);
    for (size_t i = 0; i < rows; ++i) matrix.values[2 * i] = static_cast<float>(i);
    EXPECT_TRUE(WriteNpy(directory_ + "/rows.npy", matrix).ok());
    return directory_ + "/rows.npy";
  }
  static ImportSource::Rows ReadAll(const ImportFiles& files) {
    const auto source = ImportSource::Open(files);
    EXPECT_TRUE(source.ok()) << source.status();
    ImportSource::Rows rows;
    if (source.ok()) {
      const absl::Status status = (*source)->Read(1000, &rows);
      EXPECT_TRUE(status.ok()) << status;
    }
    return rows;
  }
  static std::string Refusal(const ImportFiles& files) {
    const absl::Status status = ImportSource::Check(files, [](size_t) {});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  }

  const std::string directory_;
};

TEST_F(ImportSourceTest, TakesIdAndAllOtherKeysOfJsonLines) {
  const ImportFiles files{
      .vectors =
          Write("a.jsonl",
                "\xEF\xBB\xBF{\"id\": \"x\", \"embedding\": [1, 2], \"title\": \"caf\xC3\xA9\", \"year\": 2024}\r\n"
                "{\"score\": 0.5, \"values\": [3, 4], \"id\": 77, \"open\": true, \"gone\": null}\n")};
  EXPECT_TRUE(ImportSource::Check(files, [](size_t) {}).ok());
  const ImportSource::Rows rows = ReadAll(files);
  EXPECT_THAT(rows.ids, ElementsAre("x", "77"));
  EXPECT_THAT(rows.values, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(rows.attributes[0], (Attributes{{"title", std::string("caf\xC3\xA9")}, {"year", int64_t{2024}}}));
  EXPECT_EQ(rows.attributes[1], (Attributes{{"open", true}, {"score", 0.5}}));

  ImportFiles bare = files;
  bare.no_attributes = true;
  EXPECT_THAT(ReadAll(bare).ids, ElementsAre("x", "77"));
  EXPECT_THAT(ReadAll(bare).attributes, ElementsAre(IsEmpty(), IsEmpty()));
}

TEST_F(ImportSourceTest, TakesTheCorpusOfABeirFolder) {
  std::filesystem::create_directories(directory_ + "/beir");
  Write(
      "beir/corpus.jsonl",
      "{\"_id\": \"MED-1\", \"title\": \"\", \"text\": \"Statins\", \"metadata\": {\"url\": \"u1\", \"year\": 2011}}\n"
      "{\"_id\": \"7\", \"title\": \"T\", \"text\": \"b\", \"metadata\": {}}\n");
  ImportFiles files{.vectors = WriteRows(2), .documents = directory_ + "/beir"};
  EXPECT_TRUE(ImportSource::Check(files, [](size_t) {}).ok());
  const ImportSource::Rows rows = ReadAll(files);
  EXPECT_THAT(rows.ids, ElementsAre("MED-1", "7"));
  EXPECT_EQ(rows.attributes[0],
            (Attributes{{"text", std::string("Statins")}, {"url", std::string("u1")}, {"year", int64_t{2011}}}));
  EXPECT_EQ(rows.attributes[1], (Attributes{{"title", std::string("T")}, {"text", std::string("b")}}));
  EXPECT_THAT(ReadAll({.vectors = WriteRows(2), .ids = directory_ + "/beir"}).ids, ElementsAre("MED-1", "7"));
  Write("beir/corpus.jsonl", "{\"_id\": \"a\", \"n\": 99999999999999999999}\n{\"_id\": \"b\"}\n");
  EXPECT_THAT(Refusal(files), HasSubstr("corpus.jsonl: line 1: it holds a whole number beyond 64 bits"));
  Write("beir/corpus.jsonl", "{\"_id\": \"a\", \"text\": \"b\"}\n{\"_id\": 7}\n");
  EXPECT_THAT(Refusal(files), HasSubstr("corpus.jsonl: line 2: there is no text \"_id\""));
}

TEST_F(ImportSourceTest, TakesTimestampsAndLists) {
  const std::string row =
      R"({"tags": ["a", 2, true, 0.5, {"timestamp": "1970-01-01T00:00:00.000001Z"}], "embedding": [1, 2], "none": [],)"
      R"( "at": {"timestamp": "2026-01-31T13:00:00+01:00"}, "id": "x", "embeddings": "text"})";
  const ImportFiles files{.vectors = Write("a.jsonl", row + "\n")};
  const absl::Status checked = ImportSource::Check(files, [](size_t) {});
  EXPECT_TRUE(checked.ok()) << checked;
  const ImportSource::Rows rows = ReadAll(files);
  const Attributes expected = {{"tags", AttributeList{"a", int64_t{2}, true, 0.5, Timestamp{1}}},
                               {"none", AttributeList{}},
                               {"at", *ParseTimestamp("2026-01-31T12:00:00Z")},
                               {"embeddings", std::string("text")}};
  EXPECT_EQ(rows.attributes[0], expected);
  EXPECT_THAT(rows.values, ElementsAre(1, 2));
  // What a schema may let in is for the server to refuse; a megabyte is the limit.
  const auto body = [&](size_t bytes) {
    return ImportFiles{.vectors = Write("b.jsonl", R"({"embedding": [1], "id": "x", "body": [")" +
                                                       std::string(bytes, 'x') + "\"]}\n")};
  };
  EXPECT_TRUE(ImportSource::Check(body(1'000'000), [](size_t) {}).ok());
  EXPECT_THAT(Refusal(body(1 << 20)), HasSubstr("line 1: it has 1048588 bytes in all; the limit is 1048576"));
}

TEST_F(ImportSourceTest, OffsetAndLimitKeepRowsLinesAndIdsTogether) {
  const std::string vectors = WriteRows(6);
  const std::string ids = Write("ids.txt", "a\nb\nc\nd\ne\nf\n");
  const std::string attributes =
      Write("attributes.jsonl", "{\"n\": 0}\n{\"n\": 1}\n{\"n\": 2}\n{\"n\": 3}\n{\"n\": 4}\n{\"n\": 5}\n");
  const ImportFiles files{.vectors = vectors, .ids = ids, .attributes = attributes, .offset = 2, .limit = 3};
  EXPECT_TRUE(ImportSource::Check(files, [](size_t) {}).ok());
  const ImportSource::Rows rows = ReadAll(files);
  EXPECT_EQ(rows.first, 2u);
  EXPECT_THAT(rows.ids, ElementsAre("c", "d", "e"));
  EXPECT_THAT(rows.values, ElementsAre(2, 1, 3, 1, 4, 1));
  EXPECT_EQ(rows.attributes[2], (Attributes{{"n", int64_t{4}}}));
  // Without ids a row keeps its number; files that end with the last row asked for will do.
  EXPECT_THAT(ReadAll({.vectors = vectors, .offset = 4}).ids, ElementsAre("4", "5"));
  EXPECT_THAT(ReadAll({.vectors = vectors, .ids = Write("two.txt", "a\nb\n"), .limit = 2}).ids, ElementsAre("a", "b"));
  EXPECT_EQ(ReadAll({.vectors = vectors, .offset = 6}).count, 0u);
  EXPECT_THAT(std::string(ImportSource::Open({.vectors = vectors, .offset = 7}).status().message()),
              HasSubstr("--offset 7"));
}

TEST_F(ImportSourceTest, NamesTheLineOfWhatIsWrong) {
  const std::string good = "{\"id\": \"a\", \"embedding\": [1, 2]}\n";
  const auto rows = [&](const std::string& second) {
    return ImportFiles{.vectors = Write("bad.jsonl", good + second)};
  };
  EXPECT_THAT(Refusal(rows("{\"id\": \"a\", \"embedding\": [1, 2]}\n")),
              HasSubstr("line 2 has the id \"a\" of line 1"));
  EXPECT_THAT(Refusal(rows("{\"embedding\": [1, 2]}\n")), HasSubstr("line 2 has no \"id\""));
  EXPECT_THAT(Refusal(rows("{\"id\": \"\", \"embedding\": [1, 2]}\n")), HasSubstr("line 2: \"id\" is empty"));
  EXPECT_THAT(Refusal(rows("{\"id\": 1.5, \"embedding\": [1, 2]}\n")), HasSubstr("line 2: \"id\" is a number"));
  EXPECT_THAT(Refusal(rows("{\"id\": \"b\", \"embedding\": [1, 2], \"n\": 9223372036854775808}\n")),
              HasSubstr("line 2: \"n\" is a whole number beyond 64 bits"));
  EXPECT_THAT(Refusal(rows("{\"id\": \"b\", \"embedding\": [1, 2], \"n\": -99999999999999999999999}\n")),
              HasSubstr("line 2: \"n\" is a whole number beyond 64 bits"));
  EXPECT_THAT(Refusal(rows("{\"id\": \"b\", \"embedding\": [1, 2], \"tags\": [[\"x\"]]}\n")),
              HasSubstr("line 2: \"tags\" is or holds a list in a list"));
  for (const char* wrong : {R"({"timestamp": "noon"})", R"({"timestamp": 5})", R"({"when": "2026-01-31T12:00:00Z"})",
                            R"({"timestamp": {"timestamp": "2026-01-31T12:00:00Z"}})", R"({})", R"([null])", R"([{}])",
                            R"({"timestamp": ["2026-01-31T12:00:00Z"]})", R"([9223372036854775808])"}) {
    EXPECT_THAT(Refusal(rows(std::string("{\"embedding\": [1, 2], \"id\": \"b\", \"at\": ") + wrong + "}\n")),
                HasSubstr("line 2: \"at\""))
        << wrong;
  }
  EXPECT_THAT(Refusal(rows("{\"id\": \"b\", \"embedding\": [1, 2], \"n\": 1, \"n\": 2}\n")), HasSubstr("twice"));
  EXPECT_THAT(Refusal(rows("{\"id\": \"\xFF\", \"embedding\": [1, 2]}\n")), HasSubstr("line 2: it is no JSON"));
  EXPECT_THAT(Refusal(rows("{\"id\": \"b\", \"embedding\": [1]}\n")), HasSubstr("line 2 has 1 values"));
}

TEST_F(ImportSourceTest, IdsAndAttributesMatchTheRows) {
  const std::string vectors = WriteRows(3);
  const auto ids = [&](const std::string& text) {
    return ImportFiles{.vectors = vectors, .ids = Write("i.txt", text)};
  };
  EXPECT_THAT(Refusal(ids("a\nb\n")), HasSubstr("2 ids for 3 vectors"));
  EXPECT_THAT(Refusal(ids("a\nb\nc\nd\n")), HasSubstr("4 ids for 3 vectors"));
  EXPECT_THAT(Refusal(ids("a\nb\na\n")), HasSubstr("line 3 has the id \"a\" of line 1"));
  EXPECT_THAT(Refusal(ids("a\nb\nc\td\n")), HasSubstr("line 3 has a tab"));
  EXPECT_THAT(Refusal(ids("a\nb\n\xC3\n")), HasSubstr("line 3 is not UTF-8"));
  EXPECT_THAT(ReadAll(ids("\xEF\xBB\xBF"
                          "a\r\nb\r\nc\r\n"))
                  .ids,
              ElementsAre("a", "b", "c"));
  const auto lines = [&](const std::string& text) {
    return ImportFiles{.vectors = vectors, .attributes = Write("t.jsonl", text)};
  };
  EXPECT_THAT(Refusal(lines("{}\n{}\n")), HasSubstr("2 lines of attributes for 3 vectors"));
  EXPECT_THAT(Refusal(lines("{}\n{}\n{}\n{}\n{}\n")), HasSubstr("5 lines of attributes for 3 vectors"));
  EXPECT_THAT(Refusal(lines("{}\n[1]\n{}\n")), HasSubstr("line 2: it is no JSON object"));
  EXPECT_THAT(Refusal(lines("{}\n{\"a\": {}}\n{}\n")), HasSubstr("line 2: \"a\" is or holds an object"));
  EXPECT_THAT(Refusal(lines("{}\n{}\n{\"n\": 18446744073709551616}\n")), HasSubstr("line 3: \"n\""));
  EXPECT_THAT(Refusal(lines("{}\n{}\n{\"" + std::string(200, 'x') + "\": 1}\n")), HasSubstr("line 3"));
  const std::string own = Write("own.jsonl", "{\"id\": \"a\", \"embedding\": [1, 2], \"n\": 1}\n");
  EXPECT_THAT(Refusal({.vectors = own, .ids = Write("i.txt", "a\n")}), HasSubstr("--ids"));
  EXPECT_THAT(Refusal({.vectors = own, .attributes = Write("t.jsonl", "{}\n")}), HasSubstr("--attributes"));
}

}  // namespace
}  // namespace bebr
