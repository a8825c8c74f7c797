// Options of searches over the network and in the command.
#include "nlohmann/json.hpp"
#include "tests/integration/fixture.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

class SearchOptionsTest : public ServerTest {
 protected:
  void SetUp() override {
    Start();
    CreateCollection();
    ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 500)).ok());
  }
  static v1::FilterTest* TestOf(v1::Filter* filter, const std::string& attribute, v1::FilterOperator op) {
    v1::FilterTest* test = filter->mutable_test();
    test->set_attribute(attribute);
    test->set_operator_(op);
    return test;
  }
};

TEST_F(SearchOptionsTest, ATreeIsAFilter) {
  v1::SearchRequest request = MakeSearch("c", VectorOf(3), 500);
  v1::FilterList* all = request.mutable_options()->mutable_filter_tree()->mutable_all_of();
  v1::FilterTest* in = TestOf(all->add_filters(), "n", v1::FILTER_OPERATOR_IN);
  for (int i = 0; i < 10000; ++i) in->add_values()->set_int_value(3 * i);
  v1::FilterTest* between = TestOf(all->add_filters()->mutable_none_of(), "n", v1::FILTER_OPERATOR_BETWEEN);
  between->add_values()->set_double_value(29.5);
  between->add_values()->set_int_value(1000);
  v1::FilterTest* id = all->add_filters()->mutable_any_of()->add_filters()->mutable_test();
  id->set_of_id(true);
  id->set_operator_(v1::FILTER_OPERATOR_STARTS_WITH);
  id->add_values()->set_string_value("2");
  const auto found = client_->Search(request);
  ASSERT_TRUE(found.ok()) << found.status();
  std::set<std::string> ids;
  for (const v1::SearchHit& hit : found->hits()) ids.insert(hit.id());
  EXPECT_EQ(ids, (std::set<std::string>{"21", "24", "27"}));
  in->add_values()->set_int_value(1);
  EXPECT_THAT(std::string(client_->Search(request).status().message()), HasSubstr("more than 10000 entries"));
  in->clear_values();
  EXPECT_THAT(std::string(client_->Search(request).status().message()),
              HasSubstr("filter_tree.all_of.filters[0].test.values has 0 entries"));
  v1::Filter* deep = request.mutable_options()->mutable_filter_tree();
  for (int i = 0; i < 1000; ++i) deep = deep->mutable_none_of();
  EXPECT_EQ(client_->Search(request).status().code(), absl::StatusCode::kInvalidArgument);
  // The last node is the test.
  for (const bool lists : {false, true}) {
    for (const int depth : {32, 33, 42}) {
      request.mutable_options()->clear_filter_tree();
      deep = request.mutable_options()->mutable_filter_tree();
      for (int i = 1; i < depth; ++i) deep = lists ? deep->mutable_all_of()->add_filters() : deep->mutable_none_of();
      TestOf(deep, "n", v1::FILTER_OPERATOR_EXISTS);
      const auto found_deep = client_->Search(request);
      EXPECT_EQ(found_deep.ok(), depth == 32) << depth << found_deep.status();
      if (depth > 32) {
        EXPECT_THAT(std::string(found_deep.status().message()), HasSubstr("filter_tree is nested deeper than 32"));
      }
    }
  }
}

TEST_F(SearchOptionsTest, TreesAskForTimestampsAndLists) {
  v1::UpsertRequest write = MakeUpsert("c", 0, 3);
  for (int i = 0; i < 3; ++i) {
    auto& attributes = *write.mutable_documents(i)->mutable_attributes();
    attributes["at"].set_timestamp_value("2026-01-0" + std::to_string(i + 1) + "T00:00:00Z");
    attributes["tags"].mutable_list_value()->add_values()->set_int_value(i);
    attributes["tags"].mutable_list_value()->add_values()->set_string_value("all");
  }
  ASSERT_TRUE(client_->Upsert(write).ok());
  v1::SearchRequest request = MakeSearch("c", VectorOf(3), 500);
  request.mutable_options()->set_strict(true);
  const auto expect = [&](const std::set<std::string>& expected) {
    const auto found = client_->Search(request);
    ASSERT_TRUE(found.ok()) << found.status();
    std::set<std::string> ids;
    for (const v1::SearchHit& hit : found->hits()) ids.insert(hit.id());
    EXPECT_EQ(ids, expected);
  };
  v1::Filter* tree = request.mutable_options()->mutable_filter_tree();
  v1::FilterTest* test = TestOf(tree, "at", v1::FILTER_OPERATOR_GREATER_EQUAL);
  test->add_values()->set_timestamp_value("2026-01-02T01:00:00+01:00");
  expect({"1", "2"});
  test = TestOf(tree, "tags", v1::FILTER_OPERATOR_CONTAINS);
  test->mutable_values(0)->set_int_value(2);
  expect({"2"});
  test->set_operator_(v1::FILTER_OPERATOR_CONTAINS_ANY);
  test->add_values()->set_double_value(0.0);
  expect({"0", "2"});
  test->set_operator_(v1::FILTER_OPERATOR_CONTAINS_ALL);
  expect({});
  test->mutable_values(1)->set_string_value("all");
  expect({"2"});
  test->mutable_values(1)->mutable_list_value();
  EXPECT_THAT(std::string(client_->Search(request).status().message()),
              HasSubstr("filter_tree.test.values[1] is a list"));
  test->mutable_values(1)->set_timestamp_value("yesterday");
  EXPECT_THAT(std::string(client_->Search(request).status().message()), HasSubstr("is no timestamp: \"yesterday\""));
}

TEST_F(SearchOptionsTest, ProbesOfTheNearestGroups) {
  v1::CollectionConfig config;
  config.set_name("g");
  const std::string model = RandomModelFile(kDims, WithGroups(*ParseCodeSpec("32x2"), 8), 6, 3);
  ASSERT_TRUE(client_->CreateCollection(config, model).ok());
  ASSERT_TRUE(client_->Upsert(MakeUpsert("g", 0, 500)).ok());
  v1::SearchRequest request = MakeSearch("g", VectorOf(3), 500);
  request.mutable_options()->set_explain(true);
  const auto all = client_->Search(request);
  ASSERT_TRUE(all.ok() && all->hits_size() == 500) << all.status();
  EXPECT_EQ(all->scanned_share(), 0.0f);
  request.mutable_options()->set_probe(0.3f);
  const auto found = client_->Search(request);
  ASSERT_TRUE(found.ok()) << found.status();
  std::set<std::string> expected, ids;
  for (const v1::SearchHit& hit : all->hits()) {
    if (hit.explanation().nearer_share() < 0.3f) expected.insert(hit.id());
  }
  for (const v1::SearchHit& hit : found->hits()) ids.insert(hit.id());
  EXPECT_EQ(ids, expected);
  EXPECT_LT(ids.size(), 500u);
  EXPECT_FLOAT_EQ(found->scanned_share(), static_cast<float>(ids.size()) / 500.0f);
  EXPECT_EQ(found->documents_scanned(), ids.size());
  // The monitor is off, so nothing is known of recall; and "c" has no groups.
  request.mutable_options()->set_probe(0);
  request.mutable_options()->set_probe_recall(0.9f);
  EXPECT_EQ(client_->Search(request)->scanned_share(), 1.0f);
  request.set_collection("c");
  EXPECT_EQ(client_->Search(request)->scanned_share(), 1.0f);
  request.mutable_options()->set_probe(0.5f);
  const absl::Status both = client_->Search(request).status();
  EXPECT_EQ(both.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(both.message()), HasSubstr("set one of them"));
  for (const char* wrong : {"1.5", "-0.1", "some"})
    EXPECT_EQ(Bebr({"search", "c", "--like", "7", "--probe", wrong}).exit_code, 2) << wrong;
  EXPECT_EQ(Bebr({"search", "c", "--like", "7", "--probe", "0.5", "--probe-recall", "0.5"}).exit_code, 2);
  const Outcome told = Bebr({"search", "c", "--like", "7", "--probe", "0.5", "--json"});
  ASSERT_EQ(told.exit_code, 0) << told.err;
  EXPECT_EQ(nlohmann::json::parse(told.out)["scanned_share"], 1.0);
}

TEST_F(SearchOptionsTest, ByDocument) {
  v1::SearchRequest request = MakeSearch("c", {}, 3);
  request.clear_query();
  request.mutable_like()->add_positive_ids("7");
  const auto like = client_->Search(request);
  ASSERT_TRUE(like.ok()) << like.status();
  v1::SearchRequest by_vector = MakeSearch("c", VectorOf(7), 4);
  const auto plain = client_->Search(by_vector);
  ASSERT_TRUE(plain.ok());
  ASSERT_EQ(plain->hits(0).id(), "7");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(like->hits(i).id(), plain->hits(i + 1).id());
  *request.mutable_query() = by_vector.query();
  EXPECT_THAT(std::string(client_->Search(request).status().message()), HasSubstr("like is set, and query too"));
  request.clear_query();
  request.mutable_like()->add_negative_ids("none");
  EXPECT_EQ(client_->Search(request).status().code(), absl::StatusCode::kNotFound);
  const Outcome said = Bebr({"search", "c", "--like", "7", "-k", "2", "--explain", "--json"});
  ASSERT_EQ(said.exit_code, 0) << said.err;
  const auto json = nlohmann::json::parse(said.out);
  EXPECT_EQ(json["hits"].size(), 2u);
  EXPECT_EQ(json["hits"][0]["explanation"]["bands"].size(), 2u);
}

TEST_F(SearchOptionsTest, FusionPagesAndWarnings) {
  v1::BatchSearchRequest request;
  request.set_collection("c");
  for (const size_t number : {1, 2}) {
    const auto vector = VectorOf(number);
    request.add_queries()->mutable_values()->Add(vector.begin(), vector.end());
  }
  request.mutable_options()->set_k(5);
  request.mutable_options()->set_fusion(v1::FUSION_RECIPROCAL_RANK);
  request.mutable_options()->set_filter("n >= 0 OR m = 1");
  const auto fused = client_->BatchSearch(request);
  ASSERT_TRUE(fused.ok()) << fused.status();
  ASSERT_EQ(fused->results_size(), 1);
  EXPECT_EQ(fused->results(0).hits_size(), 5);
  ASSERT_EQ(fused->warnings_size(), 1);
  EXPECT_THAT(fused->warnings(0), HasSubstr("\"m\""));
  request.mutable_options()->set_offset(2);
  request.mutable_options()->set_k(3);
  const auto page = client_->BatchSearch(request);
  ASSERT_TRUE(page.ok()) << page.status();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(page->results(0).hits(i).id(), fused->results(0).hits(i + 2).id());
  request.mutable_options()->set_strict(true);
  EXPECT_EQ(client_->BatchSearch(request).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(SearchOptionsTest, Groups) {
  v1::UpsertRequest write = MakeUpsert("c", 0, 500);
  for (int i = 0; i < 500; ++i) {
    auto& attributes = *write.mutable_documents(i)->mutable_attributes();
    attributes["third"].set_string_value("of " + std::to_string(i % 3));
  }
  ASSERT_TRUE(client_->Upsert(write).ok());
  v1::SearchRequest request = MakeSearch("c", VectorOf(3), 2);
  request.mutable_options()->set_group_by("third");
  request.mutable_options()->set_group_size(4);
  const auto found = client_->Search(request);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->hits_size(), 8);
  EXPECT_EQ(found->hits(0).id(), "3");
  for (const v1::SearchHit& hit : found->hits())
    EXPECT_EQ(hit.group().string_value(), "of " + std::to_string(std::stoi(hit.id()) % 3));
  EXPECT_NE(found->hits(3).group().string_value(), found->hits(4).group().string_value());
  request.mutable_options()->clear_group_by();
  EXPECT_THAT(std::string(client_->Search(request).status().message()), HasSubstr("group_size is 4 without group_by"));
  const Outcome said = Bebr({"search", "c", "--like", "7", "-k", "2", "--group-by", "third", "--group-size", "2"});
  ASSERT_EQ(said.exit_code, 0) << said.err;
  EXPECT_THAT(said.out, ::testing::ContainsRegex("group \"of [012]\"\n +1 .*\n +2 .*\n  group \"of [012]\"\n +3 "));
}

TEST_F(SearchOptionsTest, AViewIsKeptForPages) {
  v1::SearchRequest request = MakeSearch("c", VectorOf(3), 100);
  const auto before = client_->Search(request);
  request.mutable_options()->set_k(50);
  request.mutable_options()->set_keep_view_s(300);
  const auto first = client_->Search(request);
  ASSERT_TRUE(before.ok() && first.ok()) << first.status();
  ASSERT_FALSE(first->view_token().empty());
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 500, 500)).ok());
  v1::DeleteRequest gone;
  gone.set_collection("c");
  for (int i = 0; i < 100; ++i) gone.add_ids(before->hits(i).id());
  ASSERT_TRUE(client_->Delete(gone).ok());
  request.mutable_options()->set_offset(50);
  request.mutable_options()->set_view_token(first->view_token());
  const auto second = client_->Search(request);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->view_token(), first->view_token());
  for (int i = 0; i < 50; ++i) EXPECT_EQ(second->hits(i).id(), before->hits(50 + i).id());
  v1::ScrollRequest scroll;
  scroll.set_collection("c");
  scroll.set_limit(10000);
  scroll.set_view_token(first->view_token());
  EXPECT_EQ(client_->Scroll(scroll)->documents_size(), 500);
  const Outcome said = Bebr({"search", "c", "--like", before->hits(0).id(), "--view", first->view_token(), "--json"});
  EXPECT_EQ(said.exit_code, 0) << said.err;  // a document that is gone by now
  Start({"--max_kept_views", "0"});
  EXPECT_EQ(client_->Search(request).status().code(), absl::StatusCode::kFailedPrecondition);
  request.mutable_options()->clear_view_token();
  EXPECT_EQ(client_->Search(request).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(SearchOptionsTest, ListsFromElsewhereAreFused) {
  v1::BatchSearchRequest request;
  request.set_collection("c");
  const auto vector = VectorOf(1);
  request.add_queries()->mutable_values()->Add(vector.begin(), vector.end());
  request.add_versions("v1");
  for (const char* id : {"nobody", "400", "401"}) request.add_lists()->add_ids(id);
  for (const float weight : {0.1f, 1.0f, 2.0f, 3.0f}) request.add_weights(weight);
  request.mutable_options()->set_k(2);
  request.mutable_options()->set_fusion(v1::FUSION_RECIPROCAL_RANK);
  const auto fused = client_->BatchSearch(request);
  ASSERT_TRUE(fused.ok()) << fused.status();
  ASSERT_EQ(fused->results(0).hits_size(), 2);
  EXPECT_EQ(fused->results(0).hits(0).id(), "401");
  EXPECT_EQ(fused->results(0).hits(1).id(), "400");
  EXPECT_FLOAT_EQ(fused->results(0).hits(0).score(), 3.0f / 61);
  request.mutable_options()->set_fusion(v1::FUSION_MEAN);
  EXPECT_THAT(std::string(client_->BatchSearch(request).status().message()), HasSubstr("lists[0] has no scores"));
}

}  // namespace
}  // namespace bebr::testing
