// Reading back over the network: pages, counts, facets, many documents by id, and an export that an import reads.
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "nlohmann/json.hpp"
#include "tests/integration/fixture.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

class BrowseTest : public ServerTest {
 protected:
  void Fill(size_t documents) {
    for (size_t first = 0; first < documents; first += 1000) {
      ASSERT_TRUE(client_->Upsert(MakeUpsert("c", first, std::min<size_t>(1000, documents - first))).ok());
    }
  }
  static std::string Contents(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }
};

TEST_F(BrowseTest, PagesCountsAndFacets) {
  Start({"--max_message_bytes", "65536"});
  CreateCollection();
  ASSERT_NO_FATAL_FAILURE(Fill(0));
  for (size_t first = 0; first < 1200; first += 100) ASSERT_TRUE(client_->Upsert(MakeUpsert("c", first, 100)).ok());
  v1::ScrollRequest request;
  request.set_collection("c");
  request.set_with_embeddings(true);
  request.set_with_codes(true);
  std::set<std::string> seen;
  size_t pages = 0;
  do {
    const auto page = client_->Scroll(request);  // 1,000 documents would be larger than a message
    ASSERT_TRUE(page.ok()) << page.status();
    for (const v1::Document& document : page->documents()) {
      EXPECT_TRUE(seen.insert(document.id()).second) << document.id();
      EXPECT_EQ(document.embeddings(0).vector().values_size(), static_cast<int>(kDims));
      EXPECT_EQ(document.codes(0).words_size(), 3);
      EXPECT_TRUE(document.attributes().empty());
    }
    ++pages;
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(seen.size(), 1200u);
  EXPECT_GT(pages, 2u);

  v1::CountRequest count;
  count.set_collection("c");
  count.set_filter("n < 17");
  EXPECT_EQ(client_->Count(count)->documents(), 17u);
  EXPECT_EQ(Bebr({"count", "c", "--filter", "n >= 17"}).out, "1183\n");
  v1::FacetRequest facets;
  facets.set_collection("c");
  facets.set_attribute("n");
  facets.set_limit(2);
  const auto found = client_->Facets(facets);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->values(), 1200u);
  EXPECT_EQ(found->facets(1).value().int_value(), 1);
  EXPECT_THAT(Bebr({"facets", "c", "n", "--limit", "1"}).out, HasSubstr("1,200 values"));
  EXPECT_THAT(Bebr({"scroll", "c", "--filter", "n < 3", "--attributes"}).out, HasSubstr("1  {\"n\":1}\n2  {\"n\":2}"));
}

TEST_F(BrowseTest, ManyDocumentsByIdComeInPieces) {
  Start({"--max_message_bytes", "262144"});
  CreateCollection();
  ASSERT_NO_FATAL_FAILURE(Fill(3000));
  v1::StreamGetRequest request;
  request.set_collection("c");
  request.set_with_embeddings(true);
  for (size_t i = 0; i < 12000; ++i) request.add_ids(std::to_string(i));
  int next = 0, pieces = 0;
  const absl::Status status = client_->StreamGet(request, [&](const v1::GetResponse& piece) {
    for (const v1::Document& document : piece.documents()) EXPECT_EQ(document.id(), std::to_string(next++));
    ++pieces;
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(next, 3000);
  EXPECT_GT(pieces, 3);
  // The client may end it.
  const absl::Status ended =
      client_->StreamGet(request, [](const v1::GetResponse&) { return absl::AbortedError("enough"); });
  EXPECT_EQ(ended.message(), "enough");
  request.add_ids("");
  EXPECT_THAT(std::string(client_->StreamGet(request, {}).message()), HasSubstr("ids[12000]"));
  std::string ids;
  for (size_t i = 0; i < 3000; ++i) ids += std::to_string(i) + "\n";
  const Outcome got = Bebr({"get", "c", "--ids", WriteFile("ids.txt", ids), "--json"});
  EXPECT_EQ(got.exit_code, 0) << got.err;
  EXPECT_EQ(nlohmann::json::parse(got.out).size(), 3000u);
}

TEST_F(BrowseTest, AnImportReadsBackExactlyWhatAnExportWrote) {
  Start();
  CreateCollection(v1::FLOAT_STORAGE_F16);
  v1::UpsertRequest odd = MakeUpsert("c", 0, 6);
  odd.mutable_documents(0)->set_id("a\tb\nc \"é\"");
  auto& attributes = *odd.mutable_documents(1)->mutable_attributes();
  attributes["id"].set_string_value("another\n");
  attributes["embedding"].set_double_value(1.0);
  attributes["tiny"].set_double_value(5e-324);
  attributes["third"].set_double_value(1.0 / 3);
  attributes["large"].set_int_value(INT64_MIN);
  attributes["yes"].set_bool_value(true);
  attributes["at"].set_timestamp_value("2026-01-31T13:00:00.000001+01:00");
  attributes["none"].mutable_list_value();
  for (const char* tag : {"a", "b"}) attributes["tags"].mutable_list_value()->add_values()->set_string_value(tag);
  attributes["tags"].mutable_list_value()->add_values()->set_double_value(2.0);
  attributes["tags"].mutable_list_value()->add_values()->set_timestamp_value("1969-12-31T23:59:59.5Z");
  ASSERT_TRUE(client_->Upsert(odd).ok());
  ASSERT_NO_FATAL_FAILURE(Fill(0));
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 100, 700)).ok());
  const Outcome exported = Bebr({"export", "c", Path("first")});
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  v1::CollectionConfig config;
  config.set_name("d");
  config.set_store_floats(v1::FLOAT_STORAGE_F16);
  ASSERT_TRUE(client_->CreateCollection(config, ModelFile()).ok());
  const Outcome imported = Bebr({"import", "d", Path("first.npy"), "--documents", Path("first.jsonl")});
  ASSERT_EQ(imported.exit_code, 0) << imported.err;
  ASSERT_EQ(Bebr({"export", "d", Path("second")}).exit_code, 0);
  EXPECT_EQ(Contents(Path("first.npy")), Contents(Path("second.npy")));
  EXPECT_EQ(Contents(Path("first.jsonl")), Contents(Path("second.jsonl")));
  v1::GetRequest get;
  get.set_with_embeddings(true);
  for (const v1::Document& document : odd.documents()) get.add_ids(document.id());
  for (const char* name : {"c", "d"}) {
    get.set_collection(name);
    const auto got = client_->Get(get);
    ASSERT_TRUE(got.ok() && got->documents_size() == 6) << got.status();
    EXPECT_EQ(got->documents(1).attributes().at("large").int_value(), INT64_MIN);
    EXPECT_EQ(got->documents(1).attributes().at("embedding").double_value(), 1.0);
    EXPECT_EQ(got->documents(1).attributes().at("tiny").double_value(), 5e-324);
    EXPECT_EQ(got->documents(1).attributes().at("id").string_value(), "another\n");
    EXPECT_TRUE(got->documents(1).attributes().at("yes").bool_value());
    EXPECT_EQ(got->documents(1).attributes().at("at").timestamp_value(), "2026-01-31T12:00:00.000001Z");
    EXPECT_TRUE(got->documents(1).attributes().at("none").has_list_value());
    const auto& tags = got->documents(1).attributes().at("tags").list_value().values();
    ASSERT_EQ(tags.size(), 4);
    EXPECT_EQ(tags[0].string_value(), "a");
    EXPECT_EQ(tags[2].double_value(), 2.0);
    EXPECT_EQ(tags[3].timestamp_value(), "1969-12-31T23:59:59.5Z");
  }
}

TEST_F(BrowseTest, ASlipInAFilterIsToldAndReplacesNoExport) {
  Start();
  CreateCollection();
  ASSERT_NO_FATAL_FAILURE(Fill(10));
  ASSERT_EQ(Bebr({"export", "c", Path("keep")}).exit_code, 0);
  const std::string before = Contents(Path("keep.npy")) + Contents(Path("keep.jsonl"));
  const Outcome refused = Bebr({"export", "c", Path("keep"), "--filter", "m = 1"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("no document has an attribute \"m\""));
  EXPECT_THAT(refused.err, HasSubstr("--force exports all the same"));
  EXPECT_EQ(Contents(Path("keep.npy")) + Contents(Path("keep.jsonl")), before);
  EXPECT_FALSE(std::filesystem::exists(Path("keep.jsonl.part")));
  EXPECT_FALSE(std::filesystem::exists(Path("keep.npy.part")));
  const Outcome forced = Bebr({"export", "c", Path("other"), "--filter", "NOT m = 1", "--force"});
  EXPECT_EQ(forced.exit_code, 0) << forced.err;
  EXPECT_THAT(forced.err, HasSubstr("warning: no document has an attribute \"m\""));
  EXPECT_THAT(forced.out, HasSubstr("exported 10 documents"));
  for (const std::vector<std::string>& verb : {std::vector<std::string>{"count", "c", "--filter", "m = 1"},
                                               {"scroll", "c", "--filter", "m = 1"},
                                               {"facets", "c", "n", "--filter", "m = 1"},
                                               {"facets", "c", "m"}}) {
    const Outcome told = Bebr(verb);
    EXPECT_EQ(told.exit_code, 0) << verb[0] << told.err;
    EXPECT_EQ(told.err, "bebr: warning: no document has an attribute \"m\"\n") << verb[0];
    std::vector<std::string> strict = verb;
    strict.push_back("--strict");
    EXPECT_EQ(Bebr(strict).exit_code, 1) << verb[0];
  }
  EXPECT_EQ(Bebr({"count", "c", "--filter", "n = 1", "--strict"}).err, "");
}

// An id is one line, whatever is in it, and what scroll prints names the same documents to delete.
TEST_F(BrowseTest, IdsOfManyLinesAreOneLine) {
  Start();
  CreateCollection();
  v1::UpsertRequest request = MakeUpsert("c", 0, 4);
  request.mutable_documents(0)->set_id("1\n3");
  request.mutable_documents(2)->set_id("\x1b]0;x\x07");
  ASSERT_TRUE(client_->Upsert(request).ok());
  const Outcome ids = Bebr({"scroll", "c", "--filter", "n IN (0, 2)"});
  EXPECT_EQ(ids.out, "\"\\u001b]0;x\\u0007\"\n\"1\\n3\"\n");
  EXPECT_EQ(Bebr({"delete", "c", "--ids", WriteFile("ids", ids.out)}).out, "deleted 2 documents\n");
  EXPECT_EQ(Bebr({"scroll", "c"}).out, "1\n3\n");
}

TEST_F(BrowseTest, AnExportSaysWhatItCannotGive) {
  Start();
  CreateCollection(v1::FLOAT_STORAGE_NONE);
  ASSERT_NO_FATAL_FAILURE(Fill(10));
  EXPECT_THAT(Bebr({"export", "c", Path("x")}).err, HasSubstr("--no-embeddings"));
  EXPECT_EQ(Bebr({"export", "c", Path("x"), "--no-embeddings", "--filter", "n < 4"}).exit_code, 0);
  EXPECT_EQ(Contents(Path("x.jsonl")),
            "{\"id\":\"0\",\"attributes\":{\"n\":0}}\n{\"id\":\"1\",\"attributes\":{\"n\":1}}\n"
            "{\"id\":\"2\",\"attributes\":{\"n\":2}}\n{\"id\":\"3\",\"attributes\":{\"n\":3}}\n");
  EXPECT_EQ(Bebr({"export", "c", "/nowhere/x", "--no-embeddings"}).exit_code, 1);
  const std::string unknown = WriteFile("bad.jsonl", "{\"id\":\"a\",\"attributes\":{}}\n{\"id\":\"b\",\"n\":1}\n");
  const std::string vectors = WriteFile("v.jsonl", "[1,2]\n[3,4]\n");
  EXPECT_NE(Bebr({"import", "c", vectors, "--documents", unknown}).exit_code, 0);
}

}  // namespace
}  // namespace bebr::testing
