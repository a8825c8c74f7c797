// Nodes that hold replicas and follow a log, behind gateways, against one engine that gets the same calls: id for id,
// score for score, while nodes go and come back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <filesystem>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "index/base/checksum.h"
#include "index/cluster/log_layout.h"
#include "index/cluster/no_writes.h"
#include "index/follow/follower.h"
#include "index/replica/log_change.h"
#include "index/replica/log_record.h"
#include "tests/model/replicated_fixture.h"

namespace bebr::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class ReplicatedFaultsTest : public ReplicatedTest {};

TEST_P(ReplicatedTest, IsOneEngineWhileNodesComeAndGo) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 3};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  Barrier([&](Engine& e) { return e.SetAlias("alias", "c", ""); });
  for (int round = 0; round < 45; ++round) {
    for (int i = 0; i < 6; ++i) WriteSomething();
    if (HasFatalFailure()) return;
    Compare();
    if (HasFatalFailure()) return;
    Disturb();
    if (round == 15) {
      Barrier([&](Engine& e) { return e.AddVersion("c", {.name = "v2"}, Model(2)); });
      versions_.push_back("v2");
    }
    if (round == 25) Barrier([&](Engine& e) { return e.PromoteVersion("alias", "v2", "v1", true); });
    if (round == 26) Barrier([&](Engine& e) { return e.PromoteVersion("c", "v2", "v1", true); });
    if (round == 35) {
      Barrier([&](Engine& e) { return e.RetireVersion("c", "v2"); });
      Barrier([&](Engine& e) { return e.RetireVersion("c", "v1"); });
      // Some documents are of it alone.
      FilteredDeletion all{.collection = "c", .filter = "id >= \"\""};
      Both<ChangeResult>([&](Engine& e, auto done) { e.DeleteByFilter(all, std::move(done)); });
      Barrier([&](Engine& e) { return e.RetireVersion("c", "v1"); });
      versions_ = {"v2"};
    }
  }
  CompareReplicas();
  Barrier([&](Engine& e) { return e.DeleteCollection("c"); });
  Barrier([&](Engine& e) { return e.DeleteAlias("alias"); });
  Barrier([&](Engine& e) { return e.DeleteCollection("c"); });
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  versions_ = {"v1"};
  Barrier([&](Engine& e) { return e.SetAlias("alias", "c", std::nullopt); });
  for (int i = 0; i < 10; ++i) WriteSomething();
  Compare();
  CompareReplicas();
}

// Floats that replicas store are encoded for another version, by one of them for all, while documents are written.
TEST_P(ReplicatedTest, ABackfillIsThatOfOneEngine) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 3};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  Barrier([&](Engine& e) { return e.SetAlias("alias", "c", ""); });
  Barrier([&](Engine& e) { return e.StartBackfill("c", "v2", 0); });  // which there is not
  for (int i = 0; i < 30; ++i) WriteSomething();
  Barrier([&](Engine& e) { return e.AddVersion("c", {.name = "v2", .same_embeddings_as = "v1"}, Model(2)); });
  Barrier([&](Engine& e) { return e.AddVersion("c", {.name = "v3"}, Model(3)); });
  Barrier([&](Engine& e) { return e.StartBackfill("c", "v3", 0); });  // nothing has floats of it
  Barrier([&](Engine& e) { return e.PromoteVersion("c", "v2", "", /*force=*/false); });
  Barrier([&](Engine& e) { return e.StopBackfill("c", "v2"); });
  // Whoever searches by a version whose documents are not all coded is told, alike.
  for (const Fusion fusion : {Fusion::kNone, Fusion::kMax}) {
    SearchRequest search{.collection = "c", .version = "v2", .queries = {Row()}, .k = 5, .fusion = fusion};
    Both<SearchResult>([&](Engine& e, auto done) { e.Search(search, std::move(done)); });
    const auto found = SearchAndWait(*one_, search);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_THAT(found->warnings, ::testing::ElementsAre(HasSubstr("no code of version \"v2\"")));
  }
  for (Engine* engine : std::vector<Engine*>{gateways_[0].get(), one_.get()}) {
    ASSERT_TRUE(engine->StartBackfill("alias", "v2", 0).ok());
    Disturb();
    for (int i = 0; i < 3; ++i) WriteSomething();
    const auto running = [&] {
      const auto info = engine->GetCollection("c");
      return !info.ok() || (info->versions[1].backfill.has_value() && info->versions[1].backfill->running);
    };
    for (int i = 0; i < 2000 && running(); ++i) absl::SleepFor(absl::Milliseconds(10));
    EXPECT_EQ(engine->GetCollection("c")->versions[1].backfill->error, "");
    EXPECT_GT(engine->GetCollection("c")->versions[1].backfill->written, 0u);
    EXPECT_EQ(engine->GetCollection("c")->versions[1].backfill->documents_per_s, 0);
  }
  versions_ = {"v1", "v2"};
  if (HasFatalFailure()) return;
  Compare();
  Barrier([&](Engine& e) { return e.PromoteVersion("c", "v2", "", /*force=*/false); });
  Barrier([&](Engine& e) { return e.RetireVersion("c", "v1"); });
  versions_ = {"v2"};
  for (int i = 0; i < 5; ++i) Compare();
  CompareReplicas();
  // Another collection of that name has had none.
  ASSERT_TRUE(gateways_[0]->DeleteAlias("alias").ok());
  ASSERT_TRUE(gateways_[0]->DeleteCollection("c").ok());
  ASSERT_TRUE(gateways_[0]->CreateCollection(config, Model(1)).ok());
  ASSERT_TRUE(gateways_[0]->AddVersion("c", {.name = "v2", .same_embeddings_as = "v1"}, Model(2)).ok());
  EXPECT_FALSE(gateways_[0]->GetCollection("c")->versions[1].backfill.has_value());
  EXPECT_EQ(gateways_[0]->StopBackfill("c", "v2").code(), absl::StatusCode::kFailedPrecondition);
  const SearchRequest lost{.collection = "c", .queries = {Row()}, .k = 1, .view_token = "nobody/1"};
  EXPECT_EQ(SearchAndWait(*gateways_[0], lost).status().code(), absl::StatusCode::kFailedPrecondition);
}

// Changes of attributes for which there is no room are refused before the log has them.
TEST_P(ReplicatedFaultsTest, UpdatesWithoutRoomAreNotInTheLog) {
  const CollectionConfig config{.name = "c", .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  for (int block = 0; block < 20; ++block) {
    UpsertRequest request{.collection = "c"};
    for (int d = 0; d < 12; ++d) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat("d", block, "-", d);
      document.embeddings.push_back({"v1", Row()});
      for (int name = 0; name < 50; ++name) document.attributes[absl::StrCat("n", block, "-", name)] = int64_t{1};
    }
    Both<UpsertResult>([&](Engine& e, auto done) { e.Upsert(request, std::move(done)); });
  }
  const auto head = [&] { return (*logs_.Open("log"))->State()->head.position; };
  const uint64_t before = head();
  AttributeUpdate update{.collection = "c", .ids = {"d0-0", "d1-1"}};
  update.change.set["one more"] = true;
  Both<ChangeResult>([&](Engine& e, auto done) { e.UpdateAttributes(update, std::move(done)); });
  const auto refused = AwaitCall<ChangeResult>([&](auto done) { gateway().UpdateAttributes(update, std::move(done)); });
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  update.ids.clear();
  update.filter = "n0-0 = 1";
  Both<ChangeResult>([&](Engine& e, auto done) { e.UpdateAttributes(update, std::move(done)); });
  EXPECT_EQ(head(), before);
  update.change.set = {{"n1-1", int64_t{2}}};
  Both<ChangeResult>([&](Engine& e, auto done) { e.UpdateAttributes(update, std::move(done)); });
  EXPECT_GT(head(), before);
}

// What was encoded for versions that change before it is in the log is encoded again, by all replicas' leave.
TEST_P(ReplicatedFaultsTest, VersionsChangeWhileDocumentsAreWritten) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  ASSERT_TRUE(gateway().CreateCollection(config, Model(1)).ok());
  std::atomic<bool> ending{false};
  std::atomic<int> written{0};
  std::vector<std::thread> writers;
  for (size_t w = 0; w < 3; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; !ending; ++i) {
        UpsertRequest request{.collection = "c"};
        for (int d = 0; d < 5; ++d)
          request.documents.push_back(
              {.id = absl::StrCat("w", w, "-", (i + d) % 40), .embeddings = {{"", rows_[(i + d) % 12]}}});
        const auto result = UpsertAndWait(*gateways_[w % kGateways], request);
        EXPECT_TRUE(result.ok() || absl::IsUnavailable(result.status())) << result.status();
        EXPECT_TRUE(!result.ok() || result->documents == 5);
        ++written;
      }
    });
  }
  for (int v = 2; v < 8; ++v) {
    const std::string name = absl::StrCat("v", v), before = absl::StrCat("v", v - 1);
    const int so_far = written;
    while (written < so_far + 10) std::this_thread::yield();
    EXPECT_TRUE(gateway().AddVersion("c", {.name = name, .same_embeddings_as = before}, Model(v)).ok());
    EXPECT_TRUE(gateway().PromoteVersion("c", name, "", /*force=*/true).ok());
    // Documents that were not written since are in the way.
    const absl::Status retired = gateway().RetireVersion("c", before);
    EXPECT_TRUE(retired.ok() || absl::IsFailedPrecondition(retired)) << retired;
  }
  ending = true;
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(gateway().GetCollection("c")->problem, "");
  CompareReplicas();
}

TEST_P(ReplicatedFaultsTest, WithoutTheLogSearchesGoOnAndSayThatTheyMayBeStale) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  UpsertSomething("c");
  log_gone_ = true;
  const SearchRequest request{.collection = "c", .queries = {Row()}, .k = 10};
  const auto found = SearchAndWait(gateway(), request);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(found->warnings, Contains(HasSubstr("may_be_stale: ")));
  EXPECT_TRUE(found->may_be_stale);
  EXPECT_EQ(found->hits[0].size(), SearchAndWait(*one_, request)->hits[0].size());
  const auto counted = gateway().Count({.collection = "c"});
  ASSERT_TRUE(counted.ok()) << counted.status();
  EXPECT_THAT(counted->warnings, Contains(HasSubstr("may_be_stale: ")));
  EXPECT_TRUE(counted->may_be_stale);
  uint64_t stale_answers = 0;
  for (const auto& one : gateways_) {
    for (const ShareReport& share : one->Report().shares) stale_answers += share.stale_answers;
  }
  EXPECT_GE(stale_answers, 2u);
  Until([&] { return !gateways_[0]->Report().log->problem.empty(); });
  EXPECT_THAT(gateways_[0]->Report().log->problem, HasSubstr("the log is gone"));
  EXPECT_EQ(gateway().Get("c", std::vector<std::string>{"d1"}, false).status().code(), absl::StatusCode::kUnavailable);
  const auto written = DeleteAndWait(gateway(), "c", {"d1"});
  EXPECT_EQ(written.status().code(), absl::StatusCode::kUnavailable);
  log_gone_ = false;
  Until([&] { return gateway().Get("c", std::vector<std::string>{"d1"}, false).ok(); });
  for (int i = 0; i < 10; ++i) WriteSomethingTo("c");
  EXPECT_EQ(*gateway().Count("c", ""), *one_->Count("c", ""));
  EXPECT_FALSE(SearchAndWait(gateway(), request)->may_be_stale);
  EXPECT_FALSE(gateway().Count({.collection = "c"})->may_be_stale);
}

// Replicas are compared at one position while others write; one that holds something else is told, and nobody else.
TEST_P(ReplicatedFaultsTest, ReplicasAreComparedWhileTheyChange) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  Barrier([&](Engine& e) { return e.SetAlias("alias", "c", std::nullopt); });
  for (int i = 0; i < 10; ++i) UpsertSomething("c");
  // One that is being filled has nothing to compare.
  for (auto& node : nodes_) ASSERT_TRUE(Reached(*node, 1).ok());
  std::atomic<bool> ending{false};
  std::thread writer([&] {
    for (int i = 0; !ending; ++i) {
      UpsertRequest request{.collection = "c"};
      request.documents.push_back({.id = absl::StrCat("w", i % 50), .embeddings = {{"", rows_[i % 12]}}});
      EXPECT_TRUE(UpsertAndWait(*gateways_[1], request).ok());
    }
  });
  const auto [shares, replicas] = GetParam();
  for (int i = 0; i < 5; ++i) {
    const auto compared = gateways_[0]->Verify(i % 2 == 0 ? "alias" : "", nullptr);
    ASSERT_TRUE(compared.ok()) << compared.status();
    ASSERT_EQ(compared->size(), shares);
    for (const ShareComparison& one : *compared) {
      EXPECT_FALSE(one.differs);
      ASSERT_EQ(one.replicas.size(), replicas);
      for (const ReplicaDigest& replica : one.replicas) {
        EXPECT_TRUE(replica.status.ok()) << replica.status;
        EXPECT_GT(replica.documents, 0u);
      }
    }
  }
  ending = true;
  writer.join();
  EXPECT_EQ(gateway().Verify("nosuch", nullptr).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(gateways_[0]->Report().comparisons.equal, 5 * shares);
  // A document that no log has.
  const UpsertRequest stray{.collection = "c", .documents = {{.id = "stray", .embeddings = {{"", Row()}}}}};
  ASSERT_TRUE(UpsertAndWait(nodes_[0]->engine(), stray).ok());
  const auto compared = gateways_[0]->Verify("c", nullptr);
  ASSERT_TRUE(compared.ok()) << compared.status();
  EXPECT_TRUE((*compared)[0].differs);
  EXPECT_NE((*compared)[0].replicas[0].digest, (*compared)[0].replicas[1].digest);
  ASSERT_EQ(gateways_[0]->Report().differences.size(), 1u);
  const auto damaged = gateways_[0]->DamagedCollections();
  ASSERT_EQ(damaged.size(), 1u);
  EXPECT_THAT(damaged[0].reason, HasSubstr("differ, as they were after position"));
  EXPECT_TRUE(SearchAndWait(gateway(), {.collection = "c", .queries = {Row()}, .k = 3}).ok());
  // Who is not there is not compared, and says nothing of the difference.
  nodes_[1]->Stop();
  EXPECT_FALSE((*gateways_[0]->Verify("c", nullptr))[0].replicas[1].status.ok());
  EXPECT_EQ(gateways_[0]->Report().comparisons.failed, 1u);
  EXPECT_EQ(gateways_[0]->Report().differences.size(), 1u);
  Until([&] { return gateways_[0]->Report().shares[0].replicas[1].health == ReplicaHealth::kMissing; });
  EXPECT_EQ(gateways_[0]->Report().shares[0].replicas[1].health, ReplicaHealth::kMissing);
  EXPECT_EQ(gateways_[0]->Report().covered_slots(), kClusterSlots);
  nodes_[1]->Start();
  // The other one does the same.
  for (size_t r = 1; r < replicas; ++r) ASSERT_TRUE(UpsertAndWait(nodes_[r]->engine(), stray).ok());
  EXPECT_FALSE((*gateways_[0]->Verify("c", nullptr))[0].differs);
  EXPECT_TRUE(gateways_[0]->Report().differences.empty());
  // By itself, too.
  auto keeps_comparing = Gateway("g9", absl::Milliseconds(50));
  Until([&] { return keeps_comparing->Report().comparisons.equal >= 2 * shares; });
  EXPECT_GE(keeps_comparing->Report().comparisons.equal, 2 * shares);
  // Whoever compares when the collection goes ends.
  ASSERT_TRUE(gateway().DeleteAlias("alias").ok());
  ASSERT_TRUE(gateway().DeleteCollection("c").ok());
}

TEST_P(ReplicatedFaultsTest, ALogThatWentBackQuarantinesWhoIsBeyondIt) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  for (int i = 0; i < 5; ++i) UpsertSomething("c");
  CompareReplicas();
  nodes_[0]->Stop();
  logs_.LoseBeyond("log", 3);
  nodes_[0]->Start();
  for (auto& node : nodes_) {
    Until([&] { return node->follower().State().quarantined; });
    EXPECT_TRUE(node->follower().State().quarantined);
    EXPECT_THAT(std::string(node->follower().Check(0).message()), HasSubstr("quarantined"));
  }
  EXPECT_EQ(SearchAndWait(gateway(), {.collection = "c", .queries = {Row()}, .k = 1}).status().code(),
            absl::StatusCode::kUnavailable);
  // So it stays, whatever the log has later.
  nodes_[0]->Stop();
  nodes_[0]->Start();
  EXPECT_TRUE(nodes_[0]->follower().State().quarantined);
}

// Then positions say nothing: what is acknowledged by them would be nowhere.
TEST_P(ReplicatedFaultsTest, AGatewayOfAnotherLogDoesNothing) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  for (int i = 0; i < 20; ++i) UpsertSomething("c");
  ASSERT_TRUE(logs_.Create("other").ok());
  auto stray = Gateway("g0", absl::ZeroDuration(), "other");
  // Before it knows why, it says that it cannot yet.
  const auto refused = [](const auto& call) {
    absl::Status status;
    Until([&] {
      status = call();
      EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
      return status.code() != absl::StatusCode::kUnavailable ||
             absl::StrContains(status.message(), "is cluster_log the right database");
    });
    EXPECT_THAT(std::string(status.message()), HasSubstr("is cluster_log the right database"));
  };
  const UpsertRequest upsert{.collection = "c", .documents = {{.id = "lost", .embeddings = {{"v1", rows_[0]}}}}};
  refused([&] { return UpsertAndWait(*stray, upsert).status(); });
  refused([&] {
    return AwaitCall<ChangeResult>([&](auto done) { stray->Delete("c", {"d1"}, std::move(done)); }).status();
  });
  refused([&] {
    const FilteredDeletion by_filter{.collection = "c", .filter = "n > 0"};
    return AwaitCall<ChangeResult>([&](auto done) { stray->DeleteByFilter(by_filter, std::move(done)); }).status();
  });
  refused([&] { return stray->SetAlias("a", "c", std::nullopt); });
  refused([&] { return SearchAndWait(*stray, {.collection = "c", .queries = {Row()}, .k = 1}).status(); });
  refused([&] { return stray->Get("c", std::vector<std::string>{"d1"}, false).status(); });
  refused([&] { return stray->Count("c", "").status(); });
  Until([&] { return stray->Report().shares[1].replicas[1].problem.find("right database") != std::string::npos; });
  for (const ShareReport& share : stray->Report().shares) {
    for (const ReplicaReport& replica : share.replicas) EXPECT_EQ(replica.health, ReplicaHealth::kMissing);
  }
  Compare();
  CompareReplicas();
}

TEST_P(ReplicatedFaultsTest, ANodeOfAnotherLogIsAsOneThatIsNotThere) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  Barrier([&](Engine& e) { return e.SetAlias("alias", "c", ""); });
  for (int i = 0; i < 20; ++i) UpsertSomething("c");
  CompareReplicas();
  const auto restart = [&](const std::string& log, bool emptied) {
    nodes_[0]->Stop();
    if (emptied) nodes_[0]->Empty();
    nodes_[0]->log = log;
    nodes_[0]->Start();
  };
  const auto told = [&](ReplicaHealth health) {
    Until([&] {
      const ReplicaReport report = gateways_[0]->Report().shares[0].replicas[0];
      return report.health == health && report.problem.find("right database") != std::string::npos;
    });
    const ReplicaReport report = gateways_[0]->Report().shares[0].replicas[0];
    EXPECT_EQ(report.health, health);
    EXPECT_THAT(report.problem, HasSubstr("is cluster_log the right database"));
  };
  // One that has nothing yet takes the right one when it is told of it.
  ASSERT_TRUE(logs_.Create("other").ok());
  restart("other", /*emptied=*/true);
  Until([&] { return nodes_[0]->follower().State().log != 0; });
  Compare();
  told(ReplicaHealth::kMissing);
  Compare();
  restart("log", /*emptied=*/false);
  for (int i = 0; i < 5; ++i) UpsertSomething("c");
  CompareReplicas();
  // One that has something stands still, and what it has stays.
  restart("other", /*emptied=*/false);
  told(ReplicaHealth::kStalled);
  for (int i = 0; i < 5; ++i) UpsertSomething("c");
  Compare();
  restart("log", /*emptied=*/false);
  CompareReplicas();
  // Also where the other log has as much as this one.
  const auto other = *logs_.Open("other");
  LogWriter writer = *other->BeginWriter("w");
  const LogChange compare{.kind = LogChangeKind::kCompare, .name = "c"};
  const std::string bytes = JoinLogChanges(std::vector<std::string>{*EncodeLogChange(compare)});
  for (uint64_t number = 1; number <= 60; ++number)
    ASSERT_TRUE(other->Append(writer, number, std::vector<LogRecord>{{kBarrierShard, bytes}}).ok());
  restart("other", /*emptied=*/true);
  ASSERT_TRUE(Reached(*nodes_[0], 60).ok());
  Compare();
  told(ReplicaHealth::kMissing);
  for (int i = 0; i < 5; ++i) UpsertSomething("c");
  Compare();
  restart("log", /*emptied=*/false);
  Until([&] { return !nodes_[0]->follower().State().problem.empty(); });
  EXPECT_THAT(nodes_[0]->follower().State().problem, HasSubstr("is cluster_log the right database"));
  Compare();
  restart("log", /*emptied=*/true);
  CompareReplicas();
}

// Its new appends are at positions that nodes have applied: what came of those is not what came of these.
TEST_P(ReplicatedFaultsTest, NothingIsAcknowledgedByALogThatWentBack) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  for (auto& node : nodes_) {
    node->Stop();
    node->patience = absl::InfiniteDuration();
    node->Start();
  }
  for (int i = 0; i < 60; ++i) UpsertSomething("c");
  CompareReplicas();
  const uint64_t before = (*logs_.Open("log"))->State()->head.position;
  logs_.LoseBeyond("log", 3);
  const auto write = [&](GatewayEngine& gateway) {
    const UpsertRequest upsert{.collection = "c", .documents = {{.id = "new", .embeddings = {{"v1", rows_[0]}}}}};
    return UpsertAndWait(gateway, upsert).status();
  };
  // At once what came of them is not known; soon nothing is appended. Few writes: nodes must not meet others' where
  // they had applied their own, for which they quarantine themselves.
  for (auto& gateway : gateways_) {
    std::string told;
    for (int i = 0; i < 20 && told.find("before which the log ends") == told.npos; ++i) {
      const absl::Status status = write(*gateway);
      EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr("right database"));
      told = std::string(status.message());
      // Nodes tell gateways how far they are at intervals, and with their answers.
      for (int n = 0; n <= i; ++n) {
        SearchAndWait(*gateway, {.collection = "c", .queries = {Row()}, .k = 1}).IgnoreError();
        absl::SleepFor(absl::Milliseconds(10));
      }
    }
    EXPECT_THAT(told, HasSubstr("before which the log ends"));
  }
  EXPECT_LT((*logs_.Open("log"))->State()->head.position, before);
  // Nodes that begin anew have what the log has; gateways write on.
  for (auto& node : nodes_) {
    node->Stop();
    node->Empty();
  }
  for (auto& node : nodes_) node->Start();
  for (auto& gateway : gateways_) {
    Until([&] { return write(*gateway).ok(); });
    EXPECT_TRUE(write(*gateway).ok());
  }
  const uint64_t head = (*logs_.Open("log"))->State()->head.position;
  for (auto& node : nodes_) ASSERT_TRUE(Reached(*node, head).ok());
  EXPECT_EQ(gateways_[0]->Get("c", std::vector<std::string>{"new"}, false)->size(), 1u);
}

// What a record cannot say is refused before the log has it, so that nodes go on.
TEST_P(ReplicatedFaultsTest, WhatTheLogCannotSayIsRefused) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  const std::string longer(70000, 'x');
  Both<ChangeResult>([&](Engine& e, auto done) { e.Delete(longer, {"d1"}, std::move(done)); });
  for (const std::string& name : {longer, std::string(200, 'x')}) {
    AttributeUpdate update{.collection = "c", .ids = {"d1", "d2"}};
    update.change.set[name] = true;
    Both<ChangeResult>([&](Engine& e, auto done) { e.UpdateAttributes(update, std::move(done)); });
  }
  AttributeUpdate update{.collection = "c", .ids = {"d1"}};
  update.change.remove.assign(70000, "a");
  Both<ChangeResult>([&](Engine& e, auto done) { e.UpdateAttributes(update, std::move(done)); });
  update.change.remove = {longer};
  const auto updated = AwaitCall<ChangeResult>([&](auto done) { gateway().UpdateAttributes(update, std::move(done)); });
  EXPECT_EQ(updated.status().code(), absl::StatusCode::kInvalidArgument) << updated.status();
  EXPECT_TRUE(absl::IsInvalidArgument(gateway().DeleteCollection(longer)));
  EXPECT_TRUE(absl::IsInvalidArgument(gateway().SetAlias("alias", longer, "")));
  EXPECT_TRUE(absl::IsInvalidArgument(gateway().RetireVersion("c", longer)) ||
              absl::IsNotFound(gateway().RetireVersion("c", longer)));
  for (int i = 0; i < 10; ++i) WriteSomethingTo("c");
  CompareReplicas();
}

// A record that came through whole and says nothing: nobody can go on behind it, and so nobody serves as if it had.
TEST_P(ReplicatedFaultsTest, ARecordThatNobodyCanReadQuarantines) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  CompareReplicas();
  const LogChange damaged{.kind = LogChangeKind::kMutations, .name = "c", .record = "no record"};
  const std::string bytes = JoinLogChanges(std::vector<std::string>{*EncodeLogChange(damaged)});
  const auto log = *logs_.Open("log");
  ASSERT_TRUE(log->Append(*log->BeginWriter("other"), 1, std::vector<LogRecord>{{LogShardOf(0), bytes}}).ok());
  for (size_t n = 0; n < GetParam().second; ++n) {
    Follower& follower = nodes_[n]->follower();
    Until([&] { return follower.State().quarantined; });
    EXPECT_TRUE(follower.State().quarantined);
    EXPECT_THAT(follower.State().problem, HasSubstr("position 2 of the log: "));
  }
}

// What a later release wrote is no refusal: the node stops before it, and goes on when it was upgraded.
TEST_P(ReplicatedFaultsTest, ARecordOfALaterReleaseStopsANode) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  CompareReplicas();
  std::string record = *EncodeLogRecord(1, {});
  record.resize(record.size() - sizeof(uint32_t));
  record[0] = 9;
  const uint32_t crc = Crc32c(record);
  record.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
  const LogChange later{.kind = LogChangeKind::kMutations, .name = "c", .record = record};
  const std::string bytes = JoinLogChanges(std::vector<std::string>{*EncodeLogChange(later)});
  const auto log = *logs_.Open("log");
  ASSERT_TRUE(log->Append(*log->BeginWriter("other"), 1, std::vector<LogRecord>{{LogShardOf(0), bytes}}).ok());
  Follower& follower = nodes_[0]->follower();
  Until([&] { return !follower.State().problem.empty(); });
  EXPECT_THAT(follower.State().problem, HasSubstr("upgrade it"));
  EXPECT_FALSE(follower.State().quarantined);
  EXPECT_EQ(follower.State().applied, 1u);
}

// That it cannot be opened here is no reason for which all refuse a change.
TEST_P(ReplicatedFaultsTest, ANodeWithoutItsCollectionStopsBeforeChangesOfIt) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  CompareReplicas();
  nodes_[0]->Stop();
  size_t damaged = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(nodes_[0]->path())) {
    if (file.path().filename() != "manifest.json") continue;
    std::filesystem::resize_file(file.path(), 10);
    ++damaged;
  }
  ASSERT_EQ(damaged, 1u);
  Barrier([&](Engine& e) { return e.SetAlias("alias", "c", ""); });
  nodes_[0]->Start();
  Follower& follower = nodes_[0]->follower();
  Until([&] { return !follower.State().problem.empty(); });
  EXPECT_THAT(follower.State().problem, HasSubstr("cannot be opened"));
  EXPECT_EQ(follower.State().applied, 1u);
  for (int i = 0; i < 5; ++i) WriteSomethingTo("alias");
}

// Of a replica that is behind what was seen before nothing is taken back: an alias least of all.
TEST_P(ReplicatedFaultsTest, AnAliasDoesNotGoBack) {
  CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  config.name = "d";
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  Barrier([&](Engine& e) { return e.SetAlias("alias", "c", ""); });
  CompareReplicas();
  // One of each share lags; then the other one goes.
  nodes_[0]->cut_off = nodes_[2]->cut_off = true;
  ASSERT_TRUE(gateways_[0]->SetAlias("alias", "d", "c").ok());
  EXPECT_EQ(gateways_[0]->Resolve("alias"), "d");
  Until([&] { return gateways_[1]->Resolve("alias") == "d"; });
  nodes_[1]->Stop();
  nodes_[3]->Stop();
  const UpsertRequest request{.collection = "alias", .documents = {{.id = "x", .embeddings = {{"", Row()}}}}};
  for (auto& gateway : gateways_)
    EXPECT_EQ(UpsertAndWait(*gateway, request).status().code(), absl::StatusCode::kUnavailable);
  for (auto& gateway : gateways_) EXPECT_EQ(gateway->Resolve("alias"), "d");
  nodes_[0]->cut_off = nodes_[2]->cut_off = false;
  for (auto& gateway : gateways_) {
    const auto written = UpsertAndWait(*gateway, request);
    EXPECT_TRUE(written.ok()) << written.status();
    EXPECT_EQ(*gateway->Count("c", ""), 0u);
    EXPECT_EQ(*gateway->Count("d", ""), 1u);
  }
}

// A leader that was deposed and does not know it ends before what nodes have from the new one.
TEST_P(ReplicatedFaultsTest, ALogThatEndsEarlierForAMomentIsAskedAgain) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  for (int i = 0; i < 3; ++i) UpsertSomething("c");
  CompareReplicas();
  nodes_[0]->Stop();
  nodes_[0]->patience = absl::InfiniteDuration();
  nodes_[0]->Start();
  nodes_[0]->ends_at = 1;
  Follower& follower = nodes_[0]->follower();
  Until([&] { return !follower.State().problem.empty(); });
  EXPECT_THAT(follower.State().problem, HasSubstr("it ends at 1"));
  EXPECT_FALSE(follower.State().quarantined);
  nodes_[0]->ends_at = 0;
  for (int i = 0; i < 3; ++i) UpsertSomething("c");
  CompareReplicas();
  EXPECT_EQ(follower.State().problem, "");
}

TEST(LogLayoutTest, ALogIsForTheSharesThatItWasMadeFor) {
  MemoryLogs logs;
  ASSERT_TRUE(logs.Create("cluster").ok());
  const NodePlace low{.name = "a", .first_slot = 0, .last_slot = 511},
      high{.name = "b", .first_slot = 512, .last_slot = 1023};
  const NodePlace all{.name = "c", .first_slot = 0, .last_slot = 1023};
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(ClaimLayout(logs, {low, high}).ok());
  EXPECT_TRUE(ClaimLayout(logs, {high, low, low}).ok());  // more replicas
  const absl::Status other = ClaimLayout(logs, {all, all});
  EXPECT_EQ(other.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(other.message()), HasSubstr("begin at slots 0, 512, and in cluster_nodes they begin at 0: "));
  EXPECT_EQ(logs.Names()->size(), 2u);
}

INSTANTIATE_TEST_SUITE_P(Shapes, ReplicatedFaultsTest, ::testing::Values(std::pair<size_t, size_t>{2, 2}));
INSTANTIATE_TEST_SUITE_P(Shapes, ReplicatedTest,
                         ::testing::Values(std::pair<size_t, size_t>{1, 2}, std::pair<size_t, size_t>{2, 2},
                                           std::pair<size_t, size_t>{1, 3}, std::pair<size_t, size_t>{3, 1}));

}  // namespace
}  // namespace bebr::testing
