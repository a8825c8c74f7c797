// What gateways say where they, or replicas, do not know enough to say anything else.
#include "tests/model/replicated_fixture.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AnswersTest : public ReplicatedTest {
 protected:
  void Fill() {
    const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
    Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
    for (int i = 0; i < 5; ++i) UpsertSomething("c");
  }
  // Stopped, emptied, and started again, while the log has let go of what would fill them.
  void Empty(size_t first, size_t end) {
    TrimAll();
    for (size_t n = first; n < end; ++n) nodes_[n]->Stop();
    for (size_t n = first; n < end; ++n) nodes_[n]->Empty();
    for (size_t n = first; n < end; ++n) nodes_[n]->Start();
  }
  absl::StatusOr<SearchResult> Search(GatewayEngine& gateway) {
    return SearchAndWait(gateway, {.collection = "c", .queries = {Row()}, .k = 1});
  }
};

TEST_P(AnswersTest, ReplicasThatHaveNothingDoNotSayThatThereIsNothing) {
  Fill();
  Empty(0, GetParam().second);
  const auto told = [](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("node n0"));
  };
  const auto late = Gateway("late");
  told(late->GetCollection("c").status());
  told(Search(*late).status());
  std::vector<std::string> ids;
  for (size_t i = 0; i <= 200; ++i) ids.push_back(absl::StrCat("d", i));
  told(late->Get("c", ids, false).status());
  UpsertRequest upsert{.collection = "c"};
  for (const std::string& id : ids) upsert.documents.push_back({.id = id, .embeddings = {{"v1", rows_[0]}}});
  told(UpsertAndWait(*late, upsert).status());
  EXPECT_TRUE(late->Ready().ok());  // the others know
}

TEST_P(AnswersTest, AGatewayIsReadyOnceItKnowsTheCollections) {
  log_gone_ = true;
  const auto late = Gateway("late");
  EXPECT_EQ(late->Ready().code(), absl::StatusCode::kUnavailable);
  Until([&] { return late->Ready().message().find("the log is gone") != std::string::npos; });
  EXPECT_THAT(std::string(late->Ready().message()), HasSubstr("does not know yet which collections there are"));
  log_gone_ = false;
  EXPECT_TRUE(Until([&] { return late->Ready().ok(); }));  // there are none
  Fill();
  EXPECT_TRUE(Until([&] { return !late->ListCollections().empty(); }));
  Empty(0, nodes_.size());
  const auto later = Gateway("later");
  EXPECT_EQ(later->Ready().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(late->Ready().ok());  // it has known them
  log_gone_ = true;
  EXPECT_EQ(Gateway("last")->Ready().code(), absl::StatusCode::kUnavailable);
  log_gone_ = false;
}

TEST_P(AnswersTest, WithoutTheLogNothingIsDamaged) {
  Fill();
  nodes_[0]->cut_off = true;
  Until([&] { return gateways_[0]->Report().shares[0].replicas[0].health == ReplicaHealth::kStalled; });
  const ReplicaReport stalled = gateways_[0]->Report().shares[0].replicas[0];
  EXPECT_EQ(stalled.health, ReplicaHealth::kStalled);
  EXPECT_THAT(stalled.problem, HasSubstr("the log is gone"));
  EXPECT_THAT(gateways_[0]->DamagedCollections(), IsEmpty());
  nodes_[0]->cut_off = false;
}

// One that cannot say whether there is such a collection is as far as it was: what else is asked, it answers.
TEST_P(AnswersTest, WhatNobodyKnowsTakesNoAnswerBack) {
  Fill();
  const CollectionConfig config{.name = "d", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(2)); });
  CompareReplicas();
  GatewayEngine& gateway = *gateways_[0];
  const size_t replicas = GetParam().second;
  // Of each share one replica has the newest writes, and no others have dropped the collection.
  for (size_t n = 0; n < nodes_.size(); ++n) nodes_[n]->cut_off = n % replicas != 0;
  const UpsertRequest upsert{.collection = "c", .documents = {{.id = "newest", .embeddings = {{"v1", rows_[0]}}}}};
  ASSERT_TRUE(UpsertAndWait(gateway, upsert).ok());
  ASSERT_TRUE(gateway.DeleteCollection("d").ok());
  for (size_t n = 0; n < nodes_.size(); n += replicas) nodes_[n]->cut_off = true;
  // The log goes on, and is gone once the gateway has seen that.
  const auto log = *logs_.Open("log");
  const std::string bytes =
      JoinLogChanges(std::vector<std::string>{*EncodeLogChange({.kind = LogChangeKind::kCompare, .name = "c"})});
  ASSERT_TRUE(log->Append(*log->BeginWriter("w"), 1, std::vector<LogRecord>{{kBarrierShard, bytes}}).ok());
  const uint64_t end = log->State()->head.position;
  Until([&] { return gateway.Report().log->head >= end; });
  log_gone_ = true;
  const SearchRequest dropped{.collection = "d", .queries = {Row()}, .k = 1};
  const auto old = SearchAndWait(gateway, dropped);
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_TRUE(old->may_be_stale);
  const auto newest =
      SearchAndWait(gateway, {.collection = "c", .queries = {Row()}, .k = 10, .filter = "id = \"newest\""});
  ASSERT_TRUE(newest.ok()) << newest.status();
  EXPECT_TRUE(newest->may_be_stale);
  EXPECT_EQ(newest->hits[0].size(), 1u);
  log_gone_ = false;
  for (auto& node : nodes_) node->cut_off = false;
}

// Until nodes are quarantined, they have what is in no log any more.
TEST_P(AnswersTest, WhatTheLogHasLostIsNotRead) {
  Fill();
  for (auto& node : nodes_) {
    node->Stop();
    node->patience = absl::InfiniteDuration();
    node->Start();
  }
  CompareReplicas();
  const std::vector<std::string> ids = {"lost"};
  const UpsertRequest upsert{.collection = "c", .documents = {{.id = "lost", .embeddings = {{"v1", rows_[0]}}}}};
  ASSERT_TRUE(UpsertAndWait(*gateways_[0], upsert).ok());
  const auto there = gateways_[0]->Get("c", ids, false);
  ASSERT_TRUE(there.ok()) << there.status();
  EXPECT_EQ(there->size(), 1u);
  const auto fresh = Search(*gateways_[0]);
  ASSERT_TRUE(fresh.ok()) << fresh.status();
  EXPECT_FALSE(fresh->may_be_stale);
  logs_.LoseBeyond("log", 3);
  const absl::Status lost = gateways_[0]->Get("c", ids, false).status();
  EXPECT_EQ(lost.code(), absl::StatusCode::kUnavailable) << lost;
  EXPECT_THAT(std::string(lost.message()), HasSubstr("it was brought back to an earlier state"));
  const auto stale = Search(*gateways_[0]);
  ASSERT_TRUE(stale.ok()) << stale.status();
  EXPECT_TRUE(stale->may_be_stale);
}

INSTANTIATE_TEST_SUITE_P(Shapes, AnswersTest, ::testing::Values(std::pair<size_t, size_t>{2, 2}));

}  // namespace
}  // namespace bebr::testing
