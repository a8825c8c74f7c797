// A cluster of engines against one engine with the same documents: id for id, score for score.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <map>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "index/base/retry.h"
#include "index/cluster/cluster_engine.h"
#include "index/cluster/merged_groups.h"
#include "index/cluster/write_order.h"
#include "index/request/page.h"
#include "index/search/ranking.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint32_t kDims = 20;

// An engine of this process as a node; it answers or does not, as the test will.
class LocalNode final : public ClusterNode {
 public:
  explicit LocalNode(Engine* engine) : engine_(engine) {}
  Engine& engine() override {
    if (before_call) before_call();
    return *engine_;
  }
  absl::StatusOr<NodeState> State() override {
    if (down) return absl::UnavailableError("does not answer");
    if (hangs) return absl::DeadlineExceededError("did not answer before the deadline");
    NodeState state;
    state.collections = engine_->ListCollections();
    state.aliases = engine_->ListAliases();
    state.stats = engine_->Stats();
    return state;
  }
  std::atomic<bool> down{false}, hangs{false};
  std::function<void()> before_call;  // set while no call is under way

 private:
  Engine* const engine_;
};

// One engine, and a cluster that gets the same calls.
class Pair {
 public:
  explicit Pair(size_t nodes) : one_(Open()) {
    std::vector<ClusterMember> members;
    for (size_t n = 0; n < nodes; ++n) {
      engines_.push_back(Open());
      const auto first = static_cast<uint32_t>(kClusterSlots * n / nodes);
      const auto end = static_cast<uint32_t>(kClusterSlots * (n + 1) / nodes);
      auto node = std::make_unique<LocalNode>(engines_.back().get());
      nodes_.push_back(node.get());
      members.push_back({{absl::StrCat("n", n), "here", first, end - 1}, std::move(node)});
    }
    cluster_ = MakeClusterEngine(std::move(members));
  }
  Engine& one() { return *one_; }
  Engine& cluster() { return *cluster_; }
  Engine& node(size_t n) { return *engines_[n]; }
  LocalNode& node_of(size_t n) { return *nodes_[n]; }

  void Create(const CollectionConfig& config, const std::string& model) {
    for (Engine* engine : {one_.get(), cluster_.get()}) {
      const absl::Status created = engine->CreateCollection(config, model);
      ASSERT_TRUE(created.ok()) << created;
    }
  }

 private:
  std::unique_ptr<Engine> Open() {
    directories_.push_back(std::make_unique<TemporaryDirectory>());
    return *Engine::Open({.data_dir = directories_.back()->path(), .threads = 1});
  }

  std::vector<std::unique_ptr<TemporaryDirectory>> directories_;
  std::unique_ptr<Engine> one_;
  std::vector<std::unique_ptr<Engine>> engines_;
  std::vector<LocalNode*> nodes_;
  std::unique_ptr<Engine> cluster_;
};

std::string Text(const Attributes& attributes) {
  std::string text;
  for (const auto& [name, value] : attributes) absl::StrAppend(&text, name, "#", value.index(), " ");
  return text;
}

// Of attributes without lists, with what they are.
std::string Values(const Attributes& attributes) {
  std::string text;
  for (const auto& [name, value] : attributes) {
    absl::StrAppend(&text, name, "=", value.index(), " ");
    if (const auto* number = std::get_if<int64_t>(&value)) absl::StrAppend(&text, *number);
    if (const auto* number = std::get_if<double>(&value)) absl::StrAppend(&text, *number);
    if (const auto* of_text = std::get_if<std::string>(&value)) absl::StrAppend(&text, *of_text);
    if (const auto* time = std::get_if<Timestamp>(&value)) absl::StrAppend(&text, FormatTimestamp(*time));
  }
  return text;
}

// All that an answer says and that does not depend on where documents lie.
std::vector<std::string> Lines(const absl::StatusOr<SearchResult>& result) {
  if (!result.ok()) return {result.status().ToString()};
  std::vector<std::string> lines = result->warnings;
  for (const auto& list : result->hits) {
    lines.push_back("list");
    for (const SearchHit& hit : list) {
      Attributes group;
      if (hit.group.has_value()) group["group"] = *hit.group;
      lines.push_back(absl::StrCat(hit.id, " ", absl::Hex(std::bit_cast<uint32_t>(hit.score)), " ",
                                   static_cast<int>(hit.score_kind), " ",
                                   absl::Hex(std::bit_cast<uint32_t>(hit.its.value_or(-1))), " ", hit.version, " ",
                                   Text(hit.attributes), Values(group)));
      if (hit.explanation != nullptr)
        absl::StrAppend(&lines.back(), " ", hit.explanation->estimate, " ", hit.explanation->nearer_share);
    }
  }
  lines.push_back(absl::StrCat("scanned ", result->scanned_share));
  return lines;
}

std::vector<std::string> Lines(const absl::StatusOr<Page>& page) {
  if (!page.ok()) return {page.status().ToString()};
  std::vector<std::string> lines = page->warnings;
  for (const PageDocument& entry : page->documents)
    lines.push_back(absl::StrCat(entry.document.id, " ", Text(entry.document.attributes),
                                 entry.document.embeddings.size(), " ", entry.codes.size()));
  lines.push_back(absl::StrCat("next ", page->next));
  return lines;
}

std::vector<std::string> Lines(const absl::StatusOr<FacetResult>& result) {
  if (!result.ok()) return {result.status().ToString()};
  std::vector<std::string> lines = result->warnings;
  for (const Facet& facet : result->facets) {
    Attributes one;
    one["value"] = facet.value;
    lines.push_back(absl::StrCat(Text(one), facet.documents));
  }
  lines.push_back(absl::StrCat(result->values, " ", result->documents, " ", result->with_attribute));
  return lines;
}

std::vector<std::string> Lines(const absl::StatusOr<CountResult>& result) {
  if (!result.ok()) return {result.status().ToString()};
  std::vector<std::string> lines = result->warnings;
  lines.push_back(absl::StrCat(result->documents));
  return lines;
}

std::vector<std::string> Lines(absl::StatusOr<UpsertResult> result) {
  if (!result.ok()) return {result.status().ToString()};
  std::vector<std::string> lines = {absl::StrCat(result->documents, " ", result->created)};
  for (auto* ids : {&result->unknown_ids, &result->skipped_ids}) {
    std::sort(ids->begin(), ids->end());
    lines.insert(lines.end(), ids->begin(), ids->end());
    lines.push_back("-");
  }
  for (const DocumentProblem& problem : result->problems)
    lines.push_back(absl::StrCat(problem.index, " ", problem.id, " ", problem.status.ToString()));
  return lines;
}

std::vector<std::string> Lines(absl::StatusOr<ChangeResult> result) {
  if (!result.ok()) return {result.status().ToString()};
  std::vector<std::string> lines = result->warnings;
  std::sort(result->unknown_ids.begin(), result->unknown_ids.end());
  lines.insert(lines.end(), result->unknown_ids.begin(), result->unknown_ids.end());
  lines.push_back(absl::StrCat(result->documents));
  return lines;
}

// The outcome of an asynchronous call.
template <typename Result, typename Call>
absl::StatusOr<Result> Await(const Call& call) {
  auto outcome = std::make_shared<std::promise<absl::StatusOr<Result>>>();
  call([outcome](absl::StatusOr<Result> result) { outcome->set_value(std::move(result)); });
  return outcome->get_future().get();
}

struct Shape {
  size_t nodes;
  Metric metric;
  uint32_t groups = 1;  // of the space
};

class ClusterTest : public ::testing::TestWithParam<Shape> {
 protected:
  size_t Number(size_t most) { return std::uniform_int_distribution<size_t>(0, most)(random_); }
  bool Sometimes(size_t of = 2) { return Number(of - 1) == 0; }
  template <typename Value>
  const Value& Some(const std::vector<Value>& values) {
    return values[Number(values.size() - 1)];
  }

  void SetUp() override {
    pair_.Create({.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 3},
                 RandomModelFile(kDims, WithGroups(*ParseCodeSpec("40x3+24x1"), GetParam().groups),
                                 GetParam().groups > 1 ? 6 : 4, 1, GetParam().metric));
  }

  // Few different rows, so that scores are equal and ids decide.
  const std::vector<float>& Row() { return Some(rows_); }
  std::string Id() { return absl::StrCat("d", Number(400)); }
  Attributes SomeAttributes() {
    Attributes attributes;
    if (Sometimes()) attributes["n"] = static_cast<int64_t>(Number(20));
    if (Sometimes(3)) attributes["n"] = 0.5 * static_cast<double>(Number(20));
    if (Sometimes()) attributes["name"] = absl::StrCat("name ", Number(5));
    if (Sometimes(8)) attributes["name"] = std::string(300, 'x');  // stored only
    if (Sometimes(3)) attributes["tags"] = AttributeList{absl::StrCat("t", Number(4)), absl::StrCat("t", Number(4))};
    if (Sometimes(300)) attributes["rare"] = true;
    if (Sometimes(300)) attributes["rare_time"] = Timestamp{static_cast<int64_t>(Number(9))};
    return attributes;
  }

  void Upsert() {
    const size_t count = Sometimes() ? 1 : Number(60) + 1;
    UpsertRequest request{.collection = "c"};
    const UpsertMode modes[] = {UpsertMode::kReplace, UpsertMode::kMerge, UpsertMode::kReplaceAll};
    request.mode = modes[Sometimes(3) ? Number(2) : 0];
    request.only_if_absent = request.mode != UpsertMode::kMerge && Sometimes(5);
    request.partial = Sometimes(3);
    for (size_t i = 0; i < count; ++i) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = Sometimes(300) ? "" : Id();
      if (request.mode != UpsertMode::kMerge) document.attributes = SomeAttributes();
      document.embeddings.push_back({.values = Sometimes(300) ? wrong_ : Row()});
      if (request.partial && Sometimes(50))
        document.problem = absl::InvalidArgumentError("documents[0] cannot be read");
    }
    EXPECT_EQ(Lines(UpsertAndWait(pair_.cluster(), request)), Lines(UpsertAndWait(pair_.one(), request)));
  }

  template <typename Call>
  void Change(const Call& call) {
    const auto cluster = Lines(Await<ChangeResult>([&](auto done) { call(pair_.cluster(), std::move(done)); }));
    const auto one = Lines(Await<ChangeResult>([&](auto done) { call(pair_.one(), std::move(done)); }));
    EXPECT_EQ(cluster, one);
  }

  void Write() {
    std::vector<std::string> ids;
    for (size_t i = 0; i < Number(20); ++i) ids.push_back(Sometimes(100) ? "" : Id());
    if (Sometimes(6)) {
      Change([&](Engine& engine, auto done) { engine.Delete("c", ids, std::move(done)); });
    } else if (Sometimes(6)) {
      const FilteredDeletion deletion{.collection = "c", .filter = Some(filters_)};
      Change([&](Engine& engine, auto done) { engine.DeleteByFilter(deletion, std::move(done)); });
    } else if (Sometimes(4)) {
      AttributeUpdate update{.collection = "c", .change = {.clear = Sometimes(4), .set = SomeAttributes()}};
      if (Sometimes()) update.filter = Some(filters_);
      if (Sometimes()) update.ids = ids;
      Change([&](Engine& engine, auto done) { engine.UpdateAttributes(update, std::move(done)); });
    } else {
      Upsert();
    }
  }

  SearchRequest SomeSearch() {
    SearchRequest request{.collection = "c"};
    for (size_t q = 0; q <= Number(2); ++q) request.queries.push_back(Sometimes(100) ? wrong_ : Row());
    request.k = Sometimes() ? Number(20) : Number(500);
    if (Sometimes()) request.offset = Number(40);
    if (Sometimes()) request.rerank = Sometimes() ? Number(100) : request.offset + request.k + Number(20);
    if (Sometimes(3)) request.filter = Some(filters_);
    if (Sometimes(4)) request.min_score = GetParam().metric == Metric::kL2 ? -20.0f : 0.1f;
    for (size_t i = 0; i < (Sometimes(3) ? Number(30) : 0); ++i) request.exclude_ids.push_back(Id());
    if (Sometimes(3)) request.first_levels = static_cast<uint32_t>(Number(3));
    request.strict = Sometimes(4);
    request.with_attributes = Sometimes(3);
    request.explain = Sometimes(3);
    request.collection_rerank = Sometimes(4);
    request.allow_partial = Sometimes(4);
    if (Sometimes(3) && request.first_levels > 0) {
      const size_t least = std::max(request.offset + request.k, request.rerank) + request.exclude_ids.size();
      request.candidates = Sometimes(4) ? Number(100) + 1 : least + Number(30);
    }
    if (Sometimes(3)) request.probe = 0.1f * static_cast<float>(Number(11));
    if (Sometimes(20)) request.probe_recall = 0.9f;
    if (Sometimes(3)) Group(request);
    if (request.group_by.empty() && Sometimes(4)) Fuse(request);
    if (request.fusion == Fusion::kNone && Sometimes(4)) Resemble(request);
    return request;
  }

  void Group(SearchRequest& request) {
    request.group_by = Some<std::string>({"n", "n", "name", "tags", "tags", "none", "rare", "rare_time"});
    request.group_size = Sometimes() ? 1 : Sometimes(20) ? Number(101) : Number(6) + 1;
    if (!Sometimes(20)) request.offset = 0;
    if (Sometimes()) request.k = Number(30);
    if (request.rerank > 0 && !Sometimes(9)) request.rerank = request.k * request.group_size + Number(50);
    const size_t least = std::max(request.k * request.group_size, request.rerank) + request.exclude_ids.size();
    if (request.candidates > 0 && !Sometimes(9)) request.candidates = least + Number(200);
  }

  void Fuse(SearchRequest& request) {
    const Fusion fusions[] = {Fusion::kMax, Fusion::kMean, Fusion::kReciprocalRank};
    request.fusion = fusions[Number(2)];
    // Of two mistakes a gateway may name the other one.
    for (auto& query : request.queries) query = query.size() == kDims ? query : absl::MakeConstSpan(Row());
    if (Sometimes()) request.versions.assign(request.queries.size(), Sometimes() ? "v1" : "");
    const bool weights = Sometimes();
    for (size_t l = Sometimes() ? Number(3) : 0; l > 0; --l) {
      RankedList& list = request.lists.emplace_back();
      for (size_t i = 0; i < Number(80); ++i) {
        list.ids.push_back(Id());
        if (request.fusion != Fusion::kReciprocalRank) list.scores.push_back(static_cast<float>(Number(9)) / 8);
      }
    }
    for (size_t q = 0; weights && q < request.queries.size() + request.lists.size(); ++q)
      request.weights.push_back(static_cast<float>(Number(3)) + (Sometimes(9) ? 0.0f : 0.5f));
  }

  void Resemble(SearchRequest& request) {
    request.queries.clear();
    request.like.emplace();
    for (size_t i = 0; i <= Number(3); ++i) request.like->positive_ids.push_back(Id());
    if (Sometimes()) request.like->negative_ids.push_back(Id());
    if (Sometimes()) request.like->positives.push_back(Sometimes(9) ? wrong_ : Row());
    if (Sometimes(9)) request.like->version = "none";
    request.like->collection = "c";
  }

  void Compare() {
    const SearchRequest search = SomeSearch();
    const auto of_one = SearchAndWait(pair_.one(), search);
    if (of_one.ok() && of_one->scanned_share > 0 && of_one->scanned_share < 1) ++probes_;
    EXPECT_EQ(Lines(SearchAndWait(pair_.cluster(), search)), Lines(of_one))
        << "k " << search.k << " offset " << search.offset << " rerank " << search.rerank << " filter " << search.filter
        << " strict " << search.strict << " candidates " << search.candidates << " fusion "
        << static_cast<int>(search.fusion) << " group_by " << search.group_by << " group_size " << search.group_size
        << " probe " << search.probe << " explain " << search.explain << " like " << search.like.has_value()
        << " lists " << search.lists.size();
    CompareKept(search);
    const std::string filter = Sometimes() ? Some(filters_) : "";
    const CountRequest count{.collection = "c", .filter = filter, .strict = Sometimes(4)};
    EXPECT_EQ(Lines(pair_.cluster().Count(count)), Lines(pair_.one().Count(count))) << filter;
    const FacetRequest facets{.collection = "c",
                              .filter = filter,
                              .attribute = Some<std::string>({"n", "name", "tags", "none", "rare", ""}),
                              .limit = Number(30),
                              .strict = Sometimes(4)};
    EXPECT_EQ(Lines(pair_.cluster().Facets(facets)), Lines(pair_.one().Facets(facets))) << facets.attribute;
    PageRequest page{.collection = "c", .filter = filter, .after = Sometimes() ? "" : Id(), .limit = Number(60)};
    page.with_attributes = Sometimes();
    page.with_embeddings = Sometimes();
    page.with_codes = Sometimes();
    page.strict = Sometimes(4);
    EXPECT_EQ(Lines(pair_.cluster().Scroll(page)), Lines(pair_.one().Scroll(page))) << filter << " " << page.limit;
    std::vector<std::string> ids;
    for (size_t i = 0; i < Number(20); ++i) ids.push_back(Id());
    CompareGet(ids);
  }

  // A view that is kept by one search is seen by another one after writes.
  void CompareKept(SearchRequest search) {
    if (!kept_.empty()) {
      search.view_token = kept_[0];
      const auto of_one = Lines(SearchAndWait(pair_.one(), search));
      search.view_token = kept_[1];
      EXPECT_EQ(Lines(SearchAndWait(pair_.cluster(), search)), of_one);
      pair_.one().ReleaseView(kept_[0]);
      pair_.cluster().ReleaseView(kept_[1]);
      kept_.clear();
    }
    if (!Sometimes(3)) return;
    search.view_token.clear();
    search.keep_view = absl::Seconds(60);
    const auto of_one = SearchAndWait(pair_.one(), search), of_cluster = SearchAndWait(pair_.cluster(), search);
    EXPECT_EQ(Lines(of_cluster), Lines(of_one));
    if (of_one.ok() && of_cluster.ok()) kept_ = {of_one->view_token, of_cluster->view_token};
  }

  void CompareGet(const std::vector<std::string>& ids) {
    const auto cluster = pair_.cluster().Get("c", ids, true), one = pair_.one().Get("c", ids, true);
    ASSERT_EQ(cluster.status(), one.status());
    if (!one.ok()) return;
    ASSERT_EQ(cluster->size(), one->size());
    for (size_t i = 0; i < one->size(); ++i) {
      EXPECT_EQ((*cluster)[i].id, (*one)[i].id);
      EXPECT_EQ((*cluster)[i].attributes, (*one)[i].attributes);
      ASSERT_EQ((*cluster)[i].embeddings.size(), (*one)[i].embeddings.size());
      EXPECT_EQ((*cluster)[i].embeddings[0].values, (*one)[i].embeddings[0].values);
    }
  }

  Pair pair_{GetParam().nodes};
  size_t probes_ = 0;              // searches that scored some groups
  std::vector<std::string> kept_;  // views, of one engine and of the cluster
  std::mt19937_64 random_{GetParam().nodes * 10 + static_cast<size_t>(GetParam().metric)};
  const std::vector<std::vector<float>> rows_ = RandomVectors(120, kDims, 2);
  const std::vector<float> wrong_ = std::vector<float>(kDims + 1);
  const std::vector<std::string> filters_ = {"n < 7",
                                             "n >= 2.5 AND name = \"name 1\"",
                                             "tags CONTAINS \"t1\"",
                                             "tags CONTAINS ANY (\"t1\", \"t3\") OR NOT n EXISTS",
                                             "rare = true",
                                             "rare = 3 OR n = 1",
                                             "rare_time > 5 OR n = 1",
                                             "tags = \"t1\" OR n = 1",
                                             "NOT none = 1",
                                             "name STARTS WITH \"name\"",
                                             "id < \"d2\"",
                                             "n <",
                                             "name = 4"};
};

TEST_P(ClusterTest, IsOneEngine) {
  for (size_t round = 0; round < 100; ++round) {
    Write();
    for (size_t i = 0; i < 3; ++i) Compare();
    if (HasFailure()) return;
  }
  EXPECT_EQ(probes_ > 10, GetParam().groups > 1) << probes_;
  for (size_t i = 0; i < kept_.size(); ++i) (i == 0 ? pair_.one() : pair_.cluster()).ReleaseView(kept_[i]);
  EXPECT_EQ(pair_.one().Stats().kept_views, 0u);
  for (size_t n = 0; n < GetParam().nodes; ++n) EXPECT_EQ(pair_.node(n).Stats().kept_views, 0u);
}

INSTANTIATE_TEST_SUITE_P(Shapes, ClusterTest,
                         ::testing::Values(Shape{1, Metric::kCosine}, Shape{2, Metric::kInnerProduct, 6},
                                           Shape{3, Metric::kL2}, Shape{4, Metric::kCosine, 11}),
                         [](const auto& info) { return absl::StrCat(info.param.nodes, "Nodes"); });

class ClusterAdminTest : public ::testing::Test {
 protected:
  void SetUp() override { pair_.Create({.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 1}, model_); }

  Pair pair_{3};
  const std::string model_ = RandomModelFile(kDims, *ParseCodeSpec("32x2"), 4, 1);
  const std::string other_ = RandomModelFile(kDims, *ParseCodeSpec("32x2"), 4, 2);
};

TEST_F(ClusterAdminTest, VersionsAndAliasesAreOnEveryNode) {
  Engine& cluster = pair_.cluster();
  const auto rows = RandomVectors(90, kDims, 3);
  UpsertRequest request{.collection = "c"};
  for (size_t i = 0; i < rows.size(); ++i)
    request.documents.push_back({.id = absl::StrCat("d", i), .embeddings = {{.values = rows[i]}}});
  ASSERT_TRUE(UpsertAndWait(cluster, request).ok());
  ASSERT_TRUE(cluster.AddVersion("c", {.name = "v2", .same_embeddings_as = "v1"}, other_).ok());
  const absl::Status early = cluster.PromoteVersion("c", "v2", "", false);
  EXPECT_EQ(early.code(), absl::StatusCode::kFailedPrecondition);
  for (size_t n = 0; n < 3; ++n) EXPECT_EQ(pair_.node(n).GetCollection("c")->default_version, "v1");
  ASSERT_TRUE(cluster.StartBackfill("c", "v2", 0).ok());
  while (cluster.GetCollection("c")->versions[1].state != VersionState::kReady) absl::SleepFor(absl::Milliseconds(5));
  ASSERT_TRUE(cluster.PromoteVersion("c", "v2", "v1", false).ok());
  const auto info = cluster.GetCollection("c");
  EXPECT_EQ(info->documents, 90u);
  EXPECT_EQ(info->default_version, "v2");
  EXPECT_EQ(info->versions[1].documents, 90u);
  EXPECT_EQ(info->problem, "");
  ASSERT_TRUE(cluster.SetAlias("a", "c", "").ok());
  EXPECT_EQ(cluster.Resolve("a"), "c");
  EXPECT_EQ(*cluster.Count("a", ""), 90u);
  EXPECT_EQ(cluster.SetAlias("a", "c", "").code(), absl::StatusCode::kOk);  // as a call again after a failure
  ASSERT_TRUE(cluster.DeleteAlias("a").ok());
  EXPECT_EQ(cluster.DeleteAlias("a").code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(cluster.RetireVersion("c", "v1").ok());
  SearchRequest like{.collection = "c", .k = 5};
  like.like = ExampleRequest{.collection = "c", .positive_ids = {"d1"}};
  const auto alike = SearchAndWait(cluster, like);
  ASSERT_TRUE(alike.ok()) << alike.status();
  EXPECT_EQ(alike->hits[0].size(), 5u);
  ASSERT_TRUE(cluster.DeleteCollection("c").ok());
  EXPECT_THAT(cluster.ListCollections(), IsEmpty());
  EXPECT_EQ(cluster.DeleteCollection("c").code(), absl::StatusCode::kNotFound);
}

TEST_F(ClusterAdminTest, WithoutANodeNothingChanges) {
  pair_.node_of(1).down = true;
  const absl::Status created = pair_.cluster().CreateCollection({.name = "d"}, model_);
  EXPECT_EQ(created.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(created.message(), HasSubstr("node n1 (here): does not answer; collection \"d\" stays as it is"));
  EXPECT_THAT(pair_.node(0).ListCollections(), ElementsAre("c"));
  const auto unavailable = pair_.cluster().UnavailableCollections();
  ASSERT_EQ(unavailable.size(), 1u);
  EXPECT_EQ(unavailable[0].reason, "node n1: does not answer");
  pair_.node_of(1).down = false;
  // As a call that reached one node only has left it.
  ASSERT_TRUE(pair_.node(0).CreateCollection({.name = "d"}, model_).ok());
  EXPECT_THAT(pair_.cluster().GetCollection("d").status().message(), HasSubstr("node n1"));
  EXPECT_TRUE(pair_.cluster().CreateCollection({.name = "d"}, model_).ok());
  EXPECT_EQ(pair_.cluster().CreateCollection({.name = "d"}, model_).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(pair_.cluster().GetCollection("d")->problem, "");
}

TEST_F(ClusterAdminTest, ANodeThatHangsIsNotWaitedFor) {
  Engine& cluster = pair_.cluster();
  std::vector<std::string> ids;
  for (size_t i = 0; i < 90; ++i) ids.push_back(absl::StrCat("d", i));
  pair_.node_of(1).hangs = true;
  while (cluster.UnavailableCollections().empty()) absl::SleepFor(absl::Milliseconds(5));
  for (const absl::Status& status : {cluster.Get("c", ids, false).status(), cluster.GetCollection("c").status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(status.message(), HasSubstr("node n1 (here): it hung when it was last asked how it is"));
  }
  pair_.node_of(1).hangs = false;
  while (!cluster.UnavailableCollections().empty()) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_TRUE(cluster.Get("c", ids, false).ok());
}

TEST_F(ClusterAdminTest, WhatSomeNodesHadMustBeTheSame) {
  ASSERT_TRUE(pair_.node(1).CreateCollection({.name = "d"}, other_).ok());
  const absl::Status created = pair_.cluster().CreateCollection({.name = "d"}, model_);
  EXPECT_EQ(created.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(created.message(), HasSubstr("on node n0, n2 it is new: nodes have different models of version \"v1\""));
  ASSERT_TRUE(pair_.node(2).AddVersion("c", {.name = "v2"}, other_).ok());
  const absl::Status added = pair_.cluster().AddVersion("c", {.name = "v2"}, model_);
  EXPECT_EQ(added.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(added.message(), HasSubstr("nodes have different models of version \"v2\""));
}

TEST_F(ClusterAdminTest, PagesAreNoLargerThanOfOneEngine) {
  Engine& cluster = pair_.cluster();
  const auto rows = RandomVectors(90, kDims, 3);
  UpsertRequest request{.collection = "c"};
  for (size_t i = 0; i < rows.size(); ++i) {
    DocumentInput& document = request.documents.emplace_back();
    document.id = absl::StrCat("d", i);
    document.attributes["text"] = std::string(500 + 10 * i, 'x');
    document.embeddings = {{.values = rows[i]}};
  }
  ASSERT_TRUE(UpsertAndWait(cluster, request).ok());
  PageRequest page{.collection = "c", .limit = 1000, .with_attributes = true};
  page.max_bytes = 5000;
  std::set<std::string> seen;
  for (;;) {
    const auto found = cluster.Scroll(page);
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_FALSE(found->documents.empty());
    uint64_t bytes = 0;
    for (const PageDocument& entry : found->documents) {
      bytes += BytesOf(entry);
      EXPECT_TRUE(seen.insert(entry.document.id).second) << entry.document.id;
    }
    EXPECT_LE(bytes, page.max_bytes);
    if (found->next.empty()) break;
    page.after = found->next;
  }
  EXPECT_EQ(seen.size(), 90u);
}

// Candidates are chosen over all nodes before a score drops some of them.
TEST_P(ClusterTest, CandidatesAreChosenBeforeMinScore) {
  for (size_t round = 0; round < 20; ++round) Upsert();
  const auto queries = RandomVectors(1000, kDims, 9);
  for (size_t i = 0; i < 1000; ++i) {
    SearchRequest search{.collection = "c", .queries = {queries[i]}, .k = 5};
    search.first_levels = 1;
    search.candidates = 5 + Number(20);
    search.min_score = GetParam().metric == Metric::kL2 ? -0.3f * static_cast<float>(Number(100))
                                                        : 0.05f * static_cast<float>(Number(20));
    const auto lines = Lines(SearchAndWait(pair_.one(), search));
    EXPECT_EQ(Lines(SearchAndWait(pair_.cluster(), search)), lines);
  }
}

// Groups take several scans, as the best documents have few values, and each scan chooses candidates of all nodes.
TEST_P(ClusterTest, CandidatesOfGroupsAreThoseOfOneEngine) {
  const auto rows = RandomVectors(3000, kDims, 5), queries = RandomVectors(60, kDims, 6);
  UpsertRequest request{.collection = "c"};
  for (size_t i = 0; i < rows.size(); ++i) {
    // What is near to the first query has one value, mostly.
    float product = 0;
    for (size_t d = 0; d < kDims; ++d) product += rows[i][d] * queries[0][d];
    const auto value = static_cast<int64_t>(product > 0 && !Sometimes(50) ? 0 : Number(300));
    DocumentInput& document = request.documents.emplace_back();
    document.id = absl::StrCat("d", i);
    document.attributes["n"] = value;
    if (product <= 0 && Sometimes(3))
      document.attributes["n"] = AttributeList{value, static_cast<int64_t>(Number(300))};
    if (Sometimes(9)) document.attributes.clear();
    document.attributes["half"] = Sometimes();
    document.embeddings.push_back({.values = rows[i]});
  }
  EXPECT_EQ(Lines(UpsertAndWait(pair_.cluster(), request)), Lines(UpsertAndWait(pair_.one(), request)));
  size_t different = 0;
  for (size_t i = 0; i < 60; ++i) {
    SearchRequest search{.collection = "c", .k = 1 + Number(40)};
    for (size_t q = 0; q < (Sometimes(9) ? 20 : 1 + Number(2)); ++q)
      search.queries.push_back(queries[Sometimes() ? 0 : i]);
    search.group_by = "n";
    search.group_size = 1 + Number(5);
    if (Sometimes(3)) search.rerank = search.k * search.group_size + Number(100);
    for (size_t e = 0; e < (Sometimes(3) ? Number(100) : 0); ++e)
      search.exclude_ids.push_back(absl::StrCat("d", Number(2999)));
    search.first_levels = 1 + static_cast<uint32_t>(Number(1));
    search.candidates = std::max(search.k * search.group_size, search.rerank) + search.exclude_ids.size() + Number(300);
    if (Sometimes(3)) search.filter = "half = true";
    if (Sometimes(4)) search.min_score = GetParam().metric == Metric::kL2 ? -20.0f : 0.1f;
    if (Sometimes(3)) search.probe = 0.1f * static_cast<float>(1 + Number(9));
    search.explain = Sometimes(5);
    const auto lines = Lines(SearchAndWait(pair_.one(), search));
    EXPECT_EQ(Lines(SearchAndWait(pair_.cluster(), search)), lines)
        << "k " << search.k << " group_size " << search.group_size << " rerank " << search.rerank << " excluded "
        << search.exclude_ids.size() << " candidates " << search.candidates << " filter " << search.filter << " probe "
        << search.probe;
    if (HasFailure()) return;
    search.candidates = 0;
    different += Lines(SearchAndWait(pair_.one(), search)) != lines ? 1 : 0;
  }
  EXPECT_GT(different, 1u);
}

TEST_F(ClusterAdminTest, WrongIdsChangeNothing) {
  Engine& cluster = pair_.cluster();
  const auto rows = RandomVectors(90, kDims, 3);
  UpsertRequest request{.collection = "c"};
  std::vector<std::string> ids;
  for (size_t i = 0; i < rows.size(); ++i) {
    ids.push_back(absl::StrCat("d", i));
    request.documents.push_back({.id = ids.back(), .embeddings = {{.values = rows[i]}}});
  }
  ASSERT_TRUE(UpsertAndWait(cluster, request).ok());
  ids.push_back("");
  AttributeUpdate update{.collection = "c", .ids = ids};
  update.change.set["n"] = int64_t{1};
  const auto updated = Await<ChangeResult>([&](auto done) { cluster.UpdateAttributes(update, std::move(done)); });
  EXPECT_THAT(updated.status().ToString(), HasSubstr("INVALID_ARGUMENT: ids[90] is empty"));
  const auto deleted = Await<ChangeResult>([&](auto done) { cluster.Delete("c", ids, std::move(done)); });
  EXPECT_THAT(deleted.status().ToString(), HasSubstr("INVALID_ARGUMENT: ids[90] is empty"));
  EXPECT_EQ(*cluster.Count("c", "NOT n EXISTS"), 90u);
}

// Many at a time, of few threads: all are answered, if only by a refusal.
TEST_F(ClusterAdminTest, WritesByFilterWaitForThreads) {
  std::vector<std::future<absl::StatusOr<ChangeResult>>> writes;
  for (size_t i = 0; i < 600; ++i) {
    auto outcome = std::make_shared<std::promise<absl::StatusOr<ChangeResult>>>();
    writes.push_back(outcome->get_future());
    pair_.cluster().DeleteByFilter({.collection = "c", .filter = "id = \"none\""},
                                   [outcome](auto result) { outcome->set_value(std::move(result)); });
  }
  for (auto& write : writes) {
    const absl::Status status = write.get().status();
    EXPECT_TRUE(status.ok() || RetryDelayOf(status) > absl::ZeroDuration()) << status;
  }
}

// A write holds what it was to do until it has begun, and no longer.
TEST(WriteOrderTest, LetsGoOfWhatItHasRun) {
  WriteOrder order;
  auto first = std::make_shared<int>(), second = std::make_shared<int>();
  const std::weak_ptr<int> of_first = first, of_second = second;
  const auto one = order.Enter({1, 2}, [held = std::move(first)](WriteOrder::Ticket) {});
  const auto two = order.Enter({2, 3}, [held = std::move(second)](WriteOrder::Ticket) {});
  EXPECT_TRUE(of_first.expired());
  EXPECT_FALSE(of_second.expired());
  order.Leave(one);
  EXPECT_TRUE(of_second.expired());
  order.Leave(two);
}

TEST_F(ClusterAdminTest, ContradictionsAreTold) {
  ASSERT_TRUE(pair_.node(2).AddVersion("c", {.name = "v2"}, other_).ok());
  EXPECT_THAT(pair_.cluster().GetCollection("c")->problem, HasSubstr("different versions"));
}

TEST_F(ClusterAdminTest, WhatIsNotCarriedIsRefusedByName) {
  EXPECT_EQ(pair_.cluster().CreateSnapshot("c", "s").status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(pair_.cluster().CheckVersion("c", {}).status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(pair_.cluster().CreateCollection({.name = "e", .auto_binarizer = AutoBinarizerConfig()}, "").code(),
            absl::StatusCode::kUnimplemented);
}

TEST_F(ClusterAdminTest, AViewIsKeptOnAllNodes) {
  Engine& cluster = pair_.cluster();
  const auto rows = RandomVectors(90, kDims, 3);
  const auto write = [&](int64_t round) {
    UpsertRequest request{.collection = "c"};
    for (size_t i = 0; i < rows.size(); ++i) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat("d", i);
      document.attributes["round"] = round;
      document.embeddings = {{.values = rows[i]}};
    }
    ASSERT_TRUE(UpsertAndWait(cluster, std::move(request)).ok());
  };
  write(1);
  SearchRequest search{.collection = "c", .queries = {rows[0]}, .k = 90, .filter = "round = 1"};
  search.keep_view = absl::Seconds(60);
  const auto first = SearchAndWait(cluster, search);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->hits[0].size(), 90u);
  write(2);
  search.view_token = first->view_token;
  const auto again = SearchAndWait(cluster, search);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->view_token, first->view_token);
  EXPECT_EQ(again->hits[0].size(), 90u);
  PageRequest page{.collection = "c", .filter = "round = 1", .limit = 100, .view_token = first->view_token};
  EXPECT_EQ(cluster.Scroll(page)->documents.size(), 90u);
  cluster.ReleaseView(first->view_token);
  for (size_t n = 0; n < 3; ++n) EXPECT_EQ(pair_.node(n).Stats().kept_views, 0u);
  EXPECT_EQ(SearchAndWait(cluster, search).status().code(), absl::StatusCode::kFailedPrecondition);
  // What fails keeps nothing.
  search.view_token.clear();
  search.filter = "none = 1";
  search.strict = true;
  EXPECT_EQ(SearchAndWait(cluster, search).status().code(), absl::StatusCode::kInvalidArgument);
  for (size_t n = 0; n < 3; ++n) EXPECT_EQ(pair_.node(n).Stats().kept_views, 0u);
}

// All rounds of a search by groups, of all nodes, see what the first one saw.
TEST_F(ClusterAdminTest, GroupsOfAKeptViewStay) {
  const auto rows = RandomVectors(200, kDims, 3);
  const auto write = [&](size_t round) {
    UpsertRequest request{.collection = "c"};
    for (size_t i = 0; i < rows.size(); ++i) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat("d", i);
      document.attributes["n"] = static_cast<int64_t>((i * 7 + round * i) % 40);
      document.embeddings = {{.values = rows[(i + round) % rows.size()]}};
    }
    for (Engine* engine : {&pair_.one(), &pair_.cluster()}) ASSERT_TRUE(UpsertAndWait(*engine, request).ok());
  };
  write(0);
  SearchRequest search{.collection = "c", .queries = {rows[0], rows[1]}, .k = 12, .group_by = "n", .group_size = 4};
  search.rerank = 60;
  const auto before = Lines(SearchAndWait(pair_.one(), search));
  search.keep_view = absl::Seconds(60);
  const auto first = SearchAndWait(pair_.cluster(), search);
  EXPECT_EQ(Lines(first), before);
  write(1);
  search.keep_view = absl::ZeroDuration();
  EXPECT_NE(Lines(SearchAndWait(pair_.cluster(), search)), before);
  search.view_token = first->view_token;
  EXPECT_EQ(Lines(SearchAndWait(pair_.cluster(), search)), before);
  pair_.cluster().ReleaseView(first->view_token);
  for (size_t n = 0; n < 3; ++n) EXPECT_EQ(pair_.node(n).Stats().kept_views, 0u);
}

// Whatever call of a node a promotion comes before: the answer is that of one version, or none.
TEST(ClusterPromotionTest, AllRoundsAreOfOneVersion) {
  Pair pair(3);
  const auto model = [](uint32_t groups, uint64_t seed) {
    return RandomModelFile(kDims, WithGroups(*ParseCodeSpec("32x2"), groups), 4, seed);
  };
  pair.Create({.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 1}, model(6, 1));
  const auto rows = RandomVectors(300, kDims, 3);
  UpsertRequest request{.collection = "c"};
  for (size_t i = 0; i < rows.size(); ++i)
    request.documents.push_back({.id = absl::StrCat("d", i),
                                 .attributes = {{"n", static_cast<int64_t>(i % 90)}},
                                 .embeddings = {{.values = rows[i]}}});
  const std::vector<std::pair<std::string, std::string>> others = {{"v2", model(6, 2)}, {"v3", model(4, 3)}};
  std::vector<Engine*> engines = {&pair.one()};
  for (size_t n = 0; n < 3; ++n) engines.push_back(&pair.node(n));
  for (Engine* engine : {&pair.one(), &pair.cluster()}) {
    ASSERT_TRUE(UpsertAndWait(*engine, request).ok());
    for (const auto& [version, file] : others) {
      ASSERT_TRUE(engine->AddVersion("c", {.name = version, .same_embeddings_as = "v1"}, file).ok());
      ASSERT_TRUE(engine->StartBackfill("c", version, 0).ok());
      while (engine->GetCollection("c")->versions.back().state != VersionState::kReady)
        absl::SleepFor(absl::Milliseconds(5));
    }
  }
  std::vector<SearchRequest> searches(6, {.collection = "c", .queries = {rows[0], rows[1]}, .k = 20});
  for (size_t i : {1, 3, 5}) searches[i].probe = 0.4f;
  for (size_t i : {2, 3, 4, 5}) {
    searches[i].group_by = "n";
    searches[i].group_size = 3;
  }
  for (size_t i : {4, 5}) {
    searches[i].first_levels = 1;
    searches[i].candidates = 70;
  }
  size_t before = 0, after = 0, calls = 0;
  for (const SearchRequest& search : searches) {
    for (const auto& [version, file] : others) {
      for (bool partly : {false, true}) {
        for (int at = 0, call = 1; at < call; at += partly ? 3 : 1) {
          for (Engine* engine : engines) ASSERT_TRUE(engine->PromoteVersion("c", "v1", "", true).ok());
          call = 0;
          for (size_t n = 0; n < 3; ++n) {
            pair.node_of(n).before_call = [&] {
              if (call++ != at) return;
              for (size_t promoted = 0; promoted < (partly ? 1 : 3); ++promoted)
                EXPECT_TRUE(pair.node(promoted).PromoteVersion("c", version, "", true).ok());
            };
          }
          const auto found = SearchAndWait(pair.cluster(), search);
          for (size_t n = 0; n < 3; ++n) pair.node_of(n).before_call = nullptr;
          const auto old = Lines(SearchAndWait(pair.one(), search));
          ASSERT_TRUE(pair.one().PromoteVersion("c", version, "", true).ok());
          const auto lines = Lines(found);
          calls += call;
          if (lines == old) {
            ++before;
          } else if (partly) {
            EXPECT_EQ(found.status().code(), absl::StatusCode::kUnavailable) << found.status();
          } else {
            EXPECT_EQ(lines, Lines(SearchAndWait(pair.one(), search))) << found.status();
            ++after;
          }
        }
      }
    }
  }
  EXPECT_GT(before, 10u);
  EXPECT_GT(after, 10u);
  EXPECT_GT(calls, 300u);
}

// Documents of random keys, scores and values, on several engines.
class MergedGroupsTest : public ::testing::Test {
 protected:
  struct Known {
    SearchHit hit;
    std::vector<AttributeValue> values;
    size_t engine = 0;
  };
  size_t Number(size_t most) { return std::uniform_int_distribution<size_t>(0, most)(random_); }

  void Fill(size_t documents, size_t engines, size_t values) {
    known_.clear();
    for (size_t i = 0; i < documents; ++i) {
      Known& one = known_.emplace_back();
      one.hit.id = absl::StrCat("d", i);
      one.hit.key = static_cast<float>(Number(30));
      one.hit.score = request_.rerank > 0 ? static_cast<float>(Number(30)) : one.hit.key;
      one.engine = Number(engines - 1);
      std::set<int64_t> different;
      for (size_t v = Number(3); v > 0; --v) different.insert(static_cast<int64_t>(Number(values)));
      one.values.assign(different.begin(), different.end());
    }
    std::erase_if(known_, [](const Known& one) { return one.values.empty(); });
    std::sort(known_.begin(), known_.end(),
              [](const Known& a, const Known& b) { return SelectedBefore(a.hit, b.hit); });
  }
  // The part of an engine that has the documents of several: of these values, or of the best.
  std::pair<std::vector<SearchHit>, ValueGroups> PartOf(const std::set<size_t>& engines,
                                                        const std::vector<AttributeValue>* wanted = nullptr) {
    std::map<AttributeValue, size_t> members;
    if (wanted != nullptr) {
      for (const AttributeValue& value : *wanted) members[value];
    }
    std::pair<std::vector<SearchHit>, ValueGroups> part;
    size_t place = 0;
    bool all = true;
    for (const Known& one : known_) {
      if (!engines.contains(one.engine)) continue;
      bool taken = wanted == nullptr && place++ < request_.rerank;
      for (const AttributeValue& value : one.values) {
        const bool is_known = members.contains(value);
        if (!is_known && (wanted != nullptr || members.size() == request_.k)) {
          all = false;
          continue;
        }
        if (members[value]++ < request_.group_size) taken = true;
      }
      if (!taken) continue;
      part.first.push_back(one.hit);
      part.second.of_hit.push_back(one.values);
    }
    for (const auto& [value, count] : members) part.second.values.push_back(value);
    part.second.all = all && members.size() < request_.k;
    return part;
  }
  std::vector<std::string> Merged(const std::vector<std::set<size_t>>& engines, size_t removed, size_t* asked) {
    MergedGroups merged(request_, request_.rerank);
    for (size_t e = 0; e < engines.size(); ++e) {
      auto [hits, groups] = PartOf(engines[e]);
      merged.Add(e, std::move(hits), std::move(groups));
    }
    merged.Update();
    if (removed < engines.size()) {
      merged.Remove(removed);
      merged.Update();
    }
    for (size_t e = 0; e < engines.size(); ++e) {
      if (e == removed) continue;
      const auto missing = merged.Missing(e);
      if (missing.empty()) continue;
      *asked += missing.size();
      auto [hits, groups] = PartOf(engines[e], &missing);
      merged.Add(e, std::move(hits), std::move(groups));
    }
    merged.Update();
    for (size_t e = 0; e < engines.size(); ++e) EXPECT_TRUE(e == removed || merged.Missing(e).empty());
    std::vector<std::string> lines;
    for (const SearchHit& hit : merged.Ranked())
      lines.push_back(absl::StrCat(std::get<int64_t>(*hit.group), " ", hit.id, " ", hit.score));
    return lines;
  }

  std::mt19937_64 random_{7};
  SearchRequest request_;
  std::vector<Known> known_;  // in the order of selection
};

TEST_F(MergedGroupsTest, AreThoseOfOneEngineWithAllDocuments) {
  size_t asked = 0, hits = 0;
  for (size_t round = 0; round < 2000; ++round) {
    request_.k = 1 + Number(8);
    request_.group_size = 1 + Number(4);
    request_.rerank = Number(1) == 0 ? 0 : request_.k * request_.group_size + Number(20);
    const size_t engines = 2 + Number(3);
    Fill(Number(150), engines, 3 + Number(40));
    std::vector<std::set<size_t>> apart;
    std::set<size_t> together;
    const size_t removed = Number(1) == 0 ? engines : Number(engines - 1);
    for (size_t e = 0; e < engines; ++e) {
      apart.push_back({e});
      if (e != removed) together.insert(e);
    }
    size_t of_one = 0;
    const auto expected = Merged({together}, 1, &of_one);
    EXPECT_EQ(Merged(apart, removed, &asked), expected);
    EXPECT_EQ(of_one == 0 || request_.rerank > 0, true);
    hits += expected.size();
    if (HasFailure()) return;
  }
  EXPECT_GT(asked, 1000u);
  EXPECT_GT(hits, 1000u);
}

TEST_F(ClusterAdminTest, PartialAnswersAreOfTheNodesThatAnswer) {
  Engine& cluster = pair_.cluster();
  const auto rows = RandomVectors(90, kDims, 3);
  UpsertRequest request{.collection = "c"};
  for (size_t i = 0; i < rows.size(); ++i)
    request.documents.push_back({.id = absl::StrCat("d", i),
                                 .attributes = {{"n", static_cast<int64_t>(i % 7)}},
                                 .embeddings = {{.values = rows[i]}}});
  ASSERT_TRUE(UpsertAndWait(cluster, request).ok());
  pair_.node_of(1).down = true;
  while (cluster.UnavailableCollections().empty()) absl::SleepFor(absl::Milliseconds(5));
  SearchRequest search{.collection = "c", .queries = {rows[0]}, .k = 90};
  search.allow_partial = true;
  const auto found = SearchAndWait(cluster, search);
  ASSERT_TRUE(found.ok()) << found.status();
  const uint64_t there = *pair_.node(0).Count("c", "") + *pair_.node(2).Count("c", "");
  EXPECT_EQ(found->hits[0].size(), there);
  ASSERT_TRUE(found->coverage.has_value());
  EXPECT_EQ(found->coverage->nodes, 3u);
  EXPECT_EQ(found->coverage->answered, 2u);
  EXPECT_EQ(found->coverage->documents, there);
  search.k = 30;
  search.group_by = "n";
  search.group_size = 3;
  const auto grouped = SearchAndWait(cluster, search);
  ASSERT_TRUE(grouped.ok()) << grouped.status();
  EXPECT_EQ(grouped->hits[0].size(), std::min<uint64_t>(there, 3 * 7));
  EXPECT_EQ(grouped->coverage->answered, 2u);
  EXPECT_EQ(grouped->coverage->documents, there);
  // Groups of candidates, fusions, and examples that others have.
  search.first_levels = 1;
  search.candidates = 100;
  EXPECT_EQ(SearchAndWait(cluster, search)->hits[0].size(), std::min<uint64_t>(there, 3 * 7));
  search.group_by.clear();
  search.group_size = 1;
  search.first_levels = 0;
  search.candidates = 0;
  SearchRequest fused = search;
  fused.k = 90;
  fused.queries.push_back(rows[1]);
  fused.fusion = Fusion::kReciprocalRank;
  std::string missing, known;
  fused.lists.emplace_back();
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string id = absl::StrCat("d", i);
    (pair_.node(1).Get("c", std::vector<std::string>{id}, false)->empty() ? known : missing) = id;
    fused.lists[0].ids.push_back(id);
  }
  const auto found_fused = SearchAndWait(cluster, fused);
  ASSERT_TRUE(found_fused.ok()) << found_fused.status();
  EXPECT_EQ(found_fused->hits[0].size(), there);
  EXPECT_EQ(found_fused->coverage->answered, 2u);
  SearchRequest alike = search;
  alike.queries.clear();
  alike.k = 90;
  alike.like = ExampleRequest{.positive_ids = {known}};
  EXPECT_EQ(SearchAndWait(cluster, alike)->coverage->answered, 2u);
  // A view that is kept without a node is without it when that is back.
  search.k = 90;
  search.keep_view = absl::Seconds(60);
  const auto kept = SearchAndWait(cluster, search);
  ASSERT_TRUE(kept.ok()) << kept.status();
  pair_.node_of(1).down = false;
  while (!cluster.UnavailableCollections().empty()) absl::SleepFor(absl::Milliseconds(5));
  search.view_token = kept->view_token;
  const auto again = SearchAndWait(cluster, search);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(Lines(again), Lines(kept));
  EXPECT_EQ(again->coverage->answered, 2u);
  SearchRequest whole = search;
  whole.allow_partial = false;
  EXPECT_EQ(SearchAndWait(cluster, whole).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(cluster.Scroll({.collection = "c", .view_token = kept->view_token}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(SearchAndWait(cluster, search)->hits[0].size(), there);
  cluster.ReleaseView(kept->view_token);
  search.view_token.clear();
  search.keep_view = absl::ZeroDuration();
  // What is wrong with a request is no matter of coverage.
  search.k = 0;
  EXPECT_EQ(SearchAndWait(cluster, search).status().code(), absl::StatusCode::kInvalidArgument);
  search.k = 90;
  for (size_t n = 0; n < 3; ++n) pair_.node_of(n).down = true;
  while (SearchAndWait(cluster, search).ok()) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_EQ(SearchAndWait(cluster, search).status().code(), absl::StatusCode::kUnavailable);
}

// Of many writes of one document that are on their way at the same time the last one stays.
TEST_F(ClusterAdminTest, WritesOfADocumentKeepTheirOrder) {
  const auto row = RandomVectors(1, kDims, 3)[0];
  std::vector<std::future<absl::StatusOr<UpsertResult>>> writes;
  for (int64_t round = 0; round < 200; ++round) {
    UpsertRequest request{.collection = "c"};
    for (int d = 0; d < 8; ++d) {
      Attributes attributes;
      attributes["round"] = round;
      request.documents.push_back(
          {.id = absl::StrCat("d", d), .attributes = attributes, .embeddings = {{.values = row}}});
    }
    auto outcome = std::make_shared<std::promise<absl::StatusOr<UpsertResult>>>();
    writes.push_back(outcome->get_future());
    pair_.cluster().Upsert(std::move(request), [outcome](auto result) { outcome->set_value(std::move(result)); });
  }
  for (auto& write : writes) EXPECT_TRUE(write.get().ok());
  EXPECT_EQ(*pair_.cluster().Count("c", "round = 199"), 8u);
}

}  // namespace
}  // namespace bebr::testing
