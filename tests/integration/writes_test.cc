// Writes over the network that are more than an upsert: changes of attributes, conditions, batches with wrong
// documents, deletions by filter, and what was made for another model.
#include "absl/strings/str_cat.h"
#include "client/upsert_stream.h"
#include "nlohmann/json.hpp"
#include "tests/integration/fixture.h"

namespace bebr::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class WritesTest : public ServerTest {
 protected:
  void SetUp() override {
    Start();
    CreateCollection();
    ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 100)).ok());
  }
  uint64_t Count(const std::string& filter) {
    v1::CountRequest request;
    request.set_collection("c");
    request.set_filter(filter);
    const auto count = client_->Count(request);
    EXPECT_TRUE(count.ok()) << count.status();
    return count.ok() ? count->documents() : 0;
  }
};

TEST_F(WritesTest, AttributesChangeByIdAndByFilter) {
  v1::UpdateAttributesRequest update;
  update.set_collection("c");
  update.add_ids("3");
  update.add_ids("nobody");
  (*update.mutable_set())["color"].set_string_value("red");
  const auto updated = client_->UpdateAttributes(update);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->documents(), 1u);
  EXPECT_THAT(updated->unknown_ids(), ElementsAre("nobody"));
  update.clear_ids();
  update.set_filter("n < 10 AND NOT color EXISTS");
  (*update.mutable_set())["color"].set_string_value("blue");
  EXPECT_EQ(client_->UpdateAttributes(update)->documents(), 9u);
  EXPECT_EQ(Count("color = \"blue\" AND n >= 0"), 9u);
  EXPECT_THAT(
      Bebr({"update", "c", "--filter", "color = 'red'", "--set", "n=200", "--set", "note=a b", "--remove", "color"})
          .out,
      HasSubstr("updated 1 documents"));
  EXPECT_EQ(Count("n = 200 AND note = 'a b' AND NOT color EXISTS"), 1u);
  EXPECT_THAT(Bebr({"update", "c", "5", "x", "--set", "year=2021", "--clear"}).err, HasSubstr("the first is x"));
  Start();
  EXPECT_EQ(Count("id = '5' AND year = 2021 AND NOT n EXISTS"), 1u);
  // Codes and floats are what they were.
  const auto found = client_->Search(MakeSearch("c", VectorOf(5), 1));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->hits(0).id(), "5");
  (*update.mutable_set())["bad"];
  EXPECT_THAT(std::string(client_->UpdateAttributes(update).status().message()),
              HasSubstr("set[\"bad\"] has no value"));
}

TEST_F(WritesTest, DeletionsByFilter) {
  EXPECT_THAT(Bebr({"delete", "c", "--filter", "n >= 90"}).out, HasSubstr("deleted 10 documents"));
  v1::DeleteRequest request;
  request.set_collection("c");
  request.set_filter("NOT m = 1");
  EXPECT_THAT(std::string(client_->Delete(request).status().message()), HasSubstr("matches 90 documents all the same"));
  request.set_filter("m = 1");
  const auto none = client_->Delete(request);
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->deleted(), 0u);
  EXPECT_EQ(none->warnings_size(), 1);
  request.add_ids("1");
  EXPECT_EQ(client_->Delete(request).status().code(), absl::StatusCode::kInvalidArgument);
  Start();
  EXPECT_EQ(client_->GetCollection("c")->documents(), 90u);
}

TEST_F(WritesTest, ATreeIsAFilterOfAllCalls) {
  v1::Filter tree;
  v1::FilterTest* in = tree.mutable_test();
  in->set_of_id(true);
  in->set_operator_(v1::FILTER_OPERATOR_IN);
  for (int i = 0; i < 9000; ++i) in->add_values()->set_string_value(absl::StrCat(90 + i));  // more than 64 KiB of text
  v1::CountRequest count;
  count.set_collection("c");
  *count.mutable_filter_tree() = tree;
  const auto counted = client_->Count(count);
  ASSERT_TRUE(counted.ok()) << counted.status();
  EXPECT_EQ(counted->documents(), 10u);
  v1::ScrollRequest scroll;
  scroll.set_collection("c");
  *scroll.mutable_filter_tree() = tree;
  const auto page = client_->Scroll(scroll);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->documents_size(), 10);
  v1::FacetRequest facets;
  facets.set_collection("c");
  facets.set_attribute("n");
  *facets.mutable_filter_tree() = tree;
  const auto values = client_->Facets(facets);
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ(values->documents(), 10u);
  v1::UpdateAttributesRequest update;
  update.set_collection("c");
  *update.mutable_filter_tree() = tree;
  (*update.mutable_set())["seen"].set_bool_value(true);
  const auto updated = client_->UpdateAttributes(update);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->documents(), 10u);
  v1::DeleteRequest deletion;
  deletion.set_collection("c");
  *deletion.mutable_filter_tree() = tree;
  deletion.set_filter("n = 1");
  EXPECT_THAT(std::string(client_->Delete(deletion).status().message()),
              HasSubstr("filter and filter_tree are both set"));
  deletion.clear_filter();
  const auto deleted = client_->Delete(deletion);
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(deleted->deleted(), 10u);
  // A tree of nothing is no filter that all satisfy.
  deletion.mutable_filter_tree()->Clear();
  EXPECT_EQ(client_->Delete(deletion).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client_->GetCollection("c")->documents(), 90u);
}

TEST_F(WritesTest, ConditionsAndWrongDocuments) {
  v1::UpsertRequest request = MakeUpsert("c", 98, 4);
  request.mutable_options()->set_only_if_absent(true);
  request.mutable_options()->set_partial(true);
  request.mutable_documents(3)->mutable_embeddings(0)->mutable_vector()->add_values(1);
  (*request.add_documents()->mutable_attributes())["a"];
  v1::Document* many = request.add_documents();
  many->set_id("many");
  for (int i = 0; i < 65; ++i) (*many->mutable_attributes())[absl::StrCat("a", i)].set_int_value(i);
  const auto written = client_->Upsert(request);
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->documents(), 1u);
  EXPECT_EQ(written->created(), 1u);
  EXPECT_THAT(written->skipped_ids(), ::testing::UnorderedElementsAre("98", "99"));
  ASSERT_EQ(written->errors_size(), 3);
  EXPECT_EQ(written->errors(0).index(), 3u);
  EXPECT_EQ(written->errors(0).id(), "101");
  EXPECT_THAT(written->errors(0).message(), HasSubstr("documents[3].embeddings[0] has 25 values"));
  EXPECT_THAT(written->errors(1).message(), HasSubstr("documents[4].attributes[\"a\"] has no value"));
  EXPECT_THAT(written->errors(2).message(), HasSubstr("documents[5]"));
  EXPECT_THAT(written->errors(2).message(), HasSubstr("65"));
  // Over a stream, and newer ones only.
  v1::UpsertOptions options;
  options.set_only_if_newer_by("n");
  const auto stream = client_->StreamUpsert("c", 4, v1::UPSERT_MODE_REPLACE, options);
  ASSERT_TRUE(stream->Send(MakeDocuments(95, 10)).ok());
  Documents newer = MakeDocuments(0, 1);
  (*newer.Mutable(0)->mutable_attributes())["n"].set_int_value(1);
  ASSERT_TRUE(stream->Send(newer).ok());
  ASSERT_TRUE(stream->Finish().ok());
  EXPECT_EQ(stream->skipped(), 6u);
  EXPECT_EQ(stream->acknowledged(), 5u);
  EXPECT_EQ(stream->created(), 4u);
  request.set_mode(v1::UPSERT_MODE_MERGE);
  EXPECT_THAT(std::string(client_->Upsert(request).status().message()), HasSubstr("only_if_absent is set"));
}

TEST_F(WritesTest, APromotionMeetsClientsThatNameNoVersion) {
  v1::VersionConfig config;
  config.set_collection("c");
  config.set_name("v2");
  ASSERT_TRUE(client_->AddVersion(config, ModelFile(2)).ok());
  const uint32_t old_model = client_->GetCollection("c")->versions(0).model_checksum();
  v1::UpsertRequest both = MakeUpsert("c", 0, 60);
  for (auto& document : *both.mutable_documents()) document.mutable_embeddings(0)->set_version("v2");
  ASSERT_TRUE(client_->Upsert(both).ok());
  v1::SearchRequest search = MakeSearch("c", VectorOf(7), 100);
  search.mutable_options()->set_model_checksum(old_model);
  ASSERT_TRUE(client_->Search(search).ok());
  // The writer of v2 has left v1's codes alone.
  EXPECT_EQ(client_->Search(search)->hits_size(), 100);
  EXPECT_THAT(
      Bebr({"version", "promote", "c", "v2", "--force"}).out,
      AllOf(HasSubstr("40 of 100 documents have no code in the space of v2"), HasSubstr("as long and find nonsense")));
  const auto refused = client_->Search(search);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << refused.status();
  v1::UpsertRequest write = MakeUpsert("c", 0, 1);
  write.mutable_options()->set_model_checksum(old_model);
  EXPECT_EQ(client_->Upsert(write).status().code(), absl::StatusCode::kFailedPrecondition);
  search.mutable_options()->set_version("v1");
  EXPECT_TRUE(client_->Search(search).ok());
}

}  // namespace
}  // namespace bebr::testing
