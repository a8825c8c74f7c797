// What an operator sees of a cluster whose nodes follow a log in a real PostgreSQL: the command's verbs, metrics, and
// what the log carries beside documents. All real processes.
#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/integration/fixture.h"
#include "tests/support/test_models.h"
#include "tests/unit/log/postgres_server.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class OperateTest : public ::testing::Test {
 protected:
  // Two replicas of all slots, and a gateway that compares them every second.
  void SetUp() override {
    if (!PostgresIsInstalled()) GTEST_SKIP() << "install Debian's package postgresql";
    postgres_ = std::make_unique<PostgresServer>();
    postgres_->Start();
    for (size_t n = 0; n < 2; ++n) {
      addresses_.push_back(absl::StrCat("127.0.0.1:", FreePort()));
      absl::StrAppend(&names_, n == 0 ? "" : ",", "n", n, "=", addresses_[n], "/0-1023");
    }
    nodes_.resize(2);
    for (size_t n = 0; n < 2; ++n) StartNode(n);
    std::vector<std::string> flags = Log();
    flags.insert(flags.end(),
                 {"--cluster_timeout_s", "10", "--cluster_compare_interval_s", "1", "--scrub_bytes_per_s", "0"});
    gateway_ = std::make_unique<ServerProcess>(directory_.path() + "/gateway", flags);
    ASSERT_TRUE(gateway_->valid());
    client_ = std::make_unique<Client>(ClientOptions{.server = gateway_->address(), .deadline = absl::Seconds(60)});
    v1::CollectionConfig config;
    config.set_name("c");
    config.set_store_floats(v1::FLOAT_STORAGE_F32);
    ASSERT_TRUE(client_->CreateCollection(config, ModelFile()).ok());
    ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 200)).ok());
    // New nodes may be filled from each other first.
    for (size_t n = 0; n < 2; ++n) {
      const std::string of = absl::StrCat("{node=\"n", n, "\"}");
      Await("nodes have applied it", [&] {
        return Metric(*nodes_[n], "bebr_replica_state" + of) == 1 &&
               Metric(*nodes_[n], "bebr_replica_position" + of) >= 2;
      });
    }
  }
  std::vector<std::string> Log(const std::string& database = "postgres") const {
    return {"--cluster_nodes",
            names_,
            "--cluster_log",
            absl::StrCat("host=", postgres_->socket_directory(), " user=bebr dbname=", database),
            "--cluster_log_single",
            "true",
            "--threads",
            "1"};
  }
  void StartNode(size_t n, const std::string& database = "postgres") {
    std::vector<std::string> flags = Log(database);
    flags.insert(flags.end(), {"--listen", addresses_[n], "--cluster_self", absl::StrCat("n", n)});
    nodes_[n] = std::make_unique<ServerProcess>(absl::StrCat(directory_.path(), "/node-", n), flags);
    ASSERT_TRUE(nodes_[n]->valid());
  }
  Outcome Cluster(std::vector<std::string> arguments, const std::string& server = "") {
    arguments.insert(arguments.begin(), "cluster");
    arguments.insert(arguments.end(), {"--server", server.empty() ? gateway_->address() : server});
    return RunProgram("bebr", arguments);
  }
  // What `bebr cluster status` says once it ends so.
  Outcome AwaitStatus(int exit_code) {
    Outcome status;
    for (int i = 0; i < 600; ++i) {
      status = Cluster({"status"});
      if (status.exit_code == exit_code) return status;
      absl::SleepFor(absl::Milliseconds(50));
    }
    ADD_FAILURE() << "it ended with " << status.exit_code << ": " << status.out << status.err;
    return status;
  }
  // The value of a metric of a server, or -1.
  static double Metric(const ServerProcess& server, const std::string& series) {
    for (const absl::string_view line : absl::StrSplit(server.HttpGet("/metrics"), '\n')) {
      double value = 0;
      if (line.substr(0, series.size() + 1) == series + " " && absl::SimpleAtod(line.substr(series.size() + 1), &value))
        return value;
    }
    return -1;
  }
  template <typename Holds>
  static void Await(const std::string& what, const Holds& holds) {
    for (int i = 0; i < 1200; ++i) {
      if (holds()) return;
      absl::SleepFor(absl::Milliseconds(50));
    }
    ADD_FAILURE() << "not so after a minute: " << what;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<PostgresServer> postgres_;
  std::string names_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<ServerProcess>> nodes_;
  std::unique_ptr<ServerProcess> gateway_;
  std::unique_ptr<Client> client_;
};

TEST_F(OperateTest, NobodyWorksWithWhoHasTheWrongDatabase) {
  AwaitStatus(0);
  postgres_->Sql("CREATE DATABASE other");
  const ServerProcess stray(directory_.path() + "/stray", Log("other"));
  ASSERT_TRUE(stray.valid());
  Client client({.server = stray.address(), .deadline = absl::Seconds(20)});
  const auto refused = [](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("is cluster_log the right database?"));
  };
  Await("the stray gateway is told",
        [&] { return stray.HttpGet("/readyz").find("is cluster_log the right database?") != std::string::npos; });
  refused(client.Upsert(MakeUpsert("c", 500, 1)).status());
  refused(client.Search(MakeSearch("c", VectorOf(1), 3)).status());
  v1::GetRequest get;
  get.set_collection("c");
  get.add_ids("1");
  refused(client.Get(get).status());
  // A node of it is as one that is not there.
  nodes_[1].reset();
  std::filesystem::remove_all(directory_.path() + "/node-1");
  StartNode(1, "other");
  Outcome status;
  Await("the node is told", [&] {
    status = Cluster({"status"});
    return (status.out + status.err).find("is cluster_log the right database?") != std::string::npos;
  });
  EXPECT_THAT(status.err, HasSubstr("not serving: n1 (missing)"));
  EXPECT_THAT(gateway_->HttpGet("/readyz"), HasSubstr("is cluster_log the right database?"));
  v1::CountRequest of_c;
  of_c.set_collection("c");
  for (int i = 0; i < 10; ++i) {
    const auto count = client_->Count(of_c);
    ASSERT_TRUE(count.ok()) << count.status();
    EXPECT_EQ(count->documents(), 200u);
  }
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 200, 1)).ok());
  // Given the right one it has nothing that stands in the way.
  nodes_[1].reset();
  StartNode(1);
  AwaitStatus(0);
}

TEST_F(OperateTest, WhoIsNotLetIntoPostgresSaysSo) {
  const auto ready = [](const ServerProcess& server, const std::string& text) {
    Await(text, [&] { return server.HttpGet("/readyz").find(text) != std::string::npos; });
    return server.HttpGet("/readyz");
  };
  // The nodes know the collections, and answer what is read.
  {
    const ServerProcess refused(directory_.path() + "/refused", Log("nowhere"));
    ASSERT_TRUE(refused.valid());
    EXPECT_THAT(ready(refused, "ready, degraded\nnothing can be written, since the log refuses this gateway: "),
                HasSubstr("200 OK"));
    EXPECT_THAT(refused.HttpGet("/readyz"), HasSubstr("database \"nowhere\" does not exist"));
    EXPECT_EQ(Metric(refused, "bebr_log_refused"), 1);
    EXPECT_EQ(Metric(refused, "bebr_ready"), 1);
    EXPECT_THAT(refused.Log(), HasSubstr("the log refuses this gateway, until somebody mends that"));
    const Outcome status = Cluster({"status"}, refused.address());
    EXPECT_EQ(status.exit_code, 3);
    EXPECT_THAT(status.out + status.err, HasSubstr("database \"nowhere\" does not exist"));
    Client client({.server = refused.address(), .deadline = absl::Seconds(60)});
    const auto found = client.Search(MakeSearch("c", VectorOf(1), 3));
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_TRUE(found->may_be_stale());
  }
  EXPECT_EQ(Metric(*gateway_, "bebr_log_refused"), 0);
  // Nobody knows anything: as when all of a new cluster have the wrong password.
  for (size_t n = 0; n < 2; ++n) {
    nodes_[n].reset();
    std::filesystem::remove_all(absl::StrCat(directory_.path(), "/node-", n));
    StartNode(n, "nowhere");
  }
  EXPECT_THAT(ready(*nodes_[0], "database \"nowhere\" does not exist"), HasSubstr("the node does not follow the log"));
  const ServerProcess blind(directory_.path() + "/blind", Log("nowhere"));
  ASSERT_TRUE(blind.valid());
  EXPECT_THAT(ready(blind, "the log: PostgreSQL, which is to have the log, refuses"),
              HasSubstr("not ready: this gateway does not know yet which collections there are: "));
  EXPECT_THAT(blind.HttpGet("/readyz"), HasSubstr(" 503 "));
  EXPECT_EQ(Metric(blind, "bebr_ready"), 0);
  Client client({.server = blind.address(), .deadline = absl::Seconds(60)});
  EXPECT_EQ(client.ListCollections().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(client.GetCollection("c").status().code(), absl::StatusCode::kUnavailable);
  // The one that has known them is ready, and says no less of what is there.
  EXPECT_THAT(gateway_->HttpGet("/readyz"), HasSubstr(" 200 "));
}

TEST_F(OperateTest, ASecondServerOfANameIsTold) {
  std::vector<std::string> flags = Log();
  flags.insert(flags.end(), {"--cluster_self", "n0"});
  auto second = std::make_unique<ServerProcess>(directory_.path() + "/second", flags);
  ASSERT_TRUE(second->valid());
  Await("it is told", [&] {
    return second->HttpGet("/readyz").find("another server, " + addresses_[0] + " on ") != std::string::npos;
  });
  EXPECT_THAT(second->HttpGet("/readyz"), HasSubstr(" 503 "));
  EXPECT_THAT(second->HttpGet("/readyz"), HasSubstr("not ready: another server, "));
  // The first one goes on, and says so too.
  EXPECT_THAT(nodes_[0]->Log(), HasSubstr("another server, "));
  const std::string other = "another server, 127.0.0.1:0 on ";  // by its configuration
  Await("the first one tells", [&] { return nodes_[0]->HttpGet("/readyz").find(other) != std::string::npos; });
  EXPECT_THAT(nodes_[0]->HttpGet("/readyz"), HasSubstr("ready, degraded\n"));
  Await("a gateway tells", [&] { return gateway_->HttpGet("/readyz").find("node n0: " + other) != std::string::npos; });
  const Outcome status = Cluster({"status"});
  EXPECT_EQ(status.exit_code, 0);
  EXPECT_THAT(status.out, HasSubstr(other));
  second.reset();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 300, 1)).ok());
}

TEST_F(OperateTest, StatusMetricsAndComparisonsTellHowReplicasAre) {
  const Outcome good = AwaitStatus(0);
  EXPECT_THAT(good.out, HasSubstr("0-1023     n0               " + addresses_[0]));
  EXPECT_THAT(good.out, HasSubstr("log: ends at position "));
  EXPECT_THAT(good.out, Not(HasSubstr("missing")));
  EXPECT_THAT(RunProgram("bebr", {"cluster", "status", "--json", "--server", gateway_->address()}).out,
              HasSubstr("\"state\": \"serving\""));
  const Outcome equal = Cluster({"verify", "c"});
  EXPECT_EQ(equal.exit_code, 0) << equal.err;
  EXPECT_THAT(equal.out, HasSubstr("equal       \"c\", slots 0-1023, position "));
  EXPECT_THAT(equal.out, HasSubstr("n0, n1: "));
  EXPECT_EQ(Cluster({"verify", "nosuch"}).exit_code, 1);
  // Nobody but a gateway knows.
  const Outcome node = Cluster({"status"}, addresses_[0]);
  EXPECT_EQ(node.exit_code, 1);
  EXPECT_THAT(node.err, HasSubstr("goes through a gateway"));
  // By themselves, too.
  Await("comparisons", [&] { return Metric(*gateway_, "bebr_replica_comparisons_total{result=\"equal\"}") >= 3; });
  EXPECT_EQ(Metric(*gateway_, "bebr_replica_differences"), 0);
  for (const char* name :
       {"bebr_log_position", "bebr_log_rows", "bebr_log_bytes", "bebr_log_answers",
        "bebr_log_appends_total{result=\"ok\"}", "bebr_log_append_seconds_count", "bebr_cluster_coverage_ratio"}) {
    Await(name, [&] { return Metric(*gateway_, name) >= 1; });
  }
  EXPECT_EQ(Metric(*gateway_, "bebr_log_trimmed_position"), 0);
  EXPECT_EQ(Metric(*gateway_, "bebr_share_replicas{slots=\"0-1023\"}"), 2);
  EXPECT_EQ(Metric(*gateway_, "bebr_share_replicas_serving{slots=\"0-1023\"}"), 2);
  EXPECT_EQ(Metric(*nodes_[0], "bebr_replica_state{node=\"n0\"}"), 1);
  EXPECT_GT(Metric(*nodes_[0], "bebr_replica_position{node=\"n0\"}"), 1);
  EXPECT_GE(Metric(*nodes_[0], "bebr_replica_lag_seconds{node=\"n0\"}"), 0);
  EXPECT_GE(Metric(*nodes_[0], "bebr_replica_lag_positions{node=\"n0\"}"), 0);

  nodes_[1]->Signal(SIGKILL);
  nodes_[1]->Wait();
  const Outcome missing = AwaitStatus(3);
  EXPECT_THAT(missing.out, HasSubstr("missing"));
  EXPECT_THAT(missing.err, HasSubstr("not serving: n1 (missing)"));
  EXPECT_EQ(Metric(*gateway_, "bebr_replica_state{node=\"n1\"}"), 4);
  EXPECT_EQ(Metric(*gateway_, "bebr_share_replicas_serving{slots=\"0-1023\"}"), 1);
  EXPECT_EQ(Metric(*gateway_, "bebr_cluster_coverage_ratio"), 1);
  const Outcome incomplete = Cluster({"verify"});
  EXPECT_EQ(incomplete.exit_code, 3);
  EXPECT_THAT(incomplete.out, HasSubstr("n1: not compared: "));
  StartNode(1);
  AwaitStatus(0);

  postgres_->Kill();
  AwaitStatus(3);
  Await("the log is gone", [&] { return Metric(*gateway_, "bebr_log_answers") == 0; });
  Await("nodes stalled", [&] { return Cluster({"status"}).out.find("stalled") != std::string::npos; });
  Await("stalled", [&] { return Metric(*nodes_[0], "bebr_replica_state{node=\"n0\"}") == 2; });
  const auto stale = client_->Search(MakeSearch("c", VectorOf(1), 3));
  ASSERT_TRUE(stale.ok()) << stale.status();
  EXPECT_TRUE(stale->may_be_stale());
  EXPECT_GE(Metric(*gateway_, "bebr_stale_answers_total{slots=\"0-1023\"}"), 1);
  EXPECT_FALSE(client_->Upsert(MakeUpsert("c", 0, 1)).ok());
  EXPECT_GE(Metric(*gateway_, "bebr_log_appends_total{result=\"failed\"}"), 1);
  postgres_->Start();
  AwaitStatus(0);
  Await("fresh answers", [&] {
    const auto fresh = client_->Search(MakeSearch("c", VectorOf(1), 3));
    return fresh.ok() && !fresh->may_be_stale();
  });
}

TEST_F(OperateTest, ANodeTakesOverFromAnother) {
  addresses_.push_back(absl::StrCat("127.0.0.1:", FreePort()));
  absl::StrAppend(&names_, ",n2=", addresses_[2], "/0-1023");  // as the new node has it
  nodes_.resize(3);
  StartNode(2);
  EXPECT_EQ(Cluster({"join", "n2", "--slots", "all"}).exit_code, 2);
  EXPECT_EQ(Cluster({"join", "n2", "--slots", "0-511"}).exit_code, 1);  // there is no such share
  EXPECT_EQ(Cluster({"move", "nosuch", "n2", "--address", addresses_[2]}).exit_code, 1);
  const Outcome moved = Cluster({"move", "n1", "n2", "--address", addresses_[2]});
  EXPECT_EQ(moved.exit_code, 0) << moved.err;
  EXPECT_THAT(moved.out, HasSubstr("node n2 serves slots 0-1023 in place of node n1"));
  Await("n1 is no member", [&] { return Cluster({"status"}).out.find("n1 ") == std::string::npos; });
  EXPECT_THAT(AwaitStatus(0).out, HasSubstr("n2 "));
  const Outcome equal = Cluster({"verify", "c"});
  EXPECT_EQ(equal.exit_code, 0) << equal.err;
  EXPECT_THAT(equal.out, HasSubstr("n0, n2: "));
  const auto join = [&](const std::string& address) {
    return Cluster({"join", "n1", "--address", address, "--slots", "0-1023", "--timeout", "5"}).exit_code;
  };
  EXPECT_EQ(join(addresses_[1]), 0);
  EXPECT_EQ(join(absl::StrCat("127.0.0.1:", FreePort())), 1);  // nobody is there, and so it stays where it is
  EXPECT_EQ(join(addresses_[2]), 1);                           // another one is
  EXPECT_EQ(join(addresses_[1]), 0);
  EXPECT_EQ(Cluster({"drain", "n1"}).exit_code, 0);
  Await("n1 is no member", [&] { return Cluster({"status"}).out.find("n1 ") == std::string::npos; });
  EXPECT_EQ(Cluster({"drain", "n2"}).exit_code, 0);
  Await("n2 is no member", [&] { return Cluster({"status"}).out.find("n2 ") == std::string::npos; });
  const Outcome last = Cluster({"drain", "n0"});
  EXPECT_EQ(last.exit_code, 1) << last.out;
}

TEST_F(OperateTest, WhatWasBuiltOfflineIsTakenOver) {
  const std::string offline = directory_.path() + "/offline", into = directory_.path() + "/cut";
  {
    ServerProcess server(offline);
    ASSERT_TRUE(server.valid());
    Client client({.server = server.address(), .deadline = absl::Seconds(60)});
    v1::CollectionConfig config;
    config.set_name("built");
    ASSERT_TRUE(client.CreateCollection(config, ModelFile()).ok());
    ASSERT_TRUE(client.Upsert(MakeUpsert("built", 0, 100)).ok());
    v1::CreateSnapshotRequest snapshot;
    snapshot.set_collection("built");
    snapshot.set_name("bulk");
    ASSERT_TRUE(client.CreateSnapshot(snapshot).ok());
  }
  const auto cut = [&](const std::string& slots) {
    return RunProgram("bebr-server",
                      {"--data_dir", offline, "--cut", "built/bulk", "--cut_slots", slots, "--cut_into", into});
  };
  EXPECT_EQ(cut("all").exit_code, 2);
  EXPECT_EQ(cut("0-1024").exit_code, 2);
  const Outcome made = cut("0-1023");
  EXPECT_EQ(made.exit_code, 0) << made.err;
  EXPECT_THAT(made.out, HasSubstr("/cut/built/bulk: 100 documents of slots 0-1023"));
  EXPECT_EQ(cut("0-1023").exit_code, 1);  // it is there
  const std::string snapshots = directory_.path() + "/node-1/snapshots/built";
  std::filesystem::create_directories(snapshots);
  std::filesystem::copy(into + "/built/bulk", snapshots + "/bulk", std::filesystem::copy_options::recursive);
  v1::RestoreSnapshotRequest restore;
  restore.set_collection("built");
  restore.set_name("bulk");
  restore.set_new_collection("built");
  const auto restored = client_->RestoreSnapshot(restore);
  ASSERT_TRUE(restored.ok()) << restored.status();
  v1::CountRequest count;
  count.set_collection("built");
  EXPECT_EQ(client_->Count(count)->documents(), 100u);
  ASSERT_TRUE(client_->Upsert(MakeUpsert("built", 100, 1)).ok());
  const Outcome equal = Cluster({"verify", "built"});
  EXPECT_EQ(equal.exit_code, 0) << equal.out << equal.err;
}

TEST_F(OperateTest, AVersionIsBackfilledThroughTheLog) {
  v1::VersionConfig version;
  version.set_collection("c");
  version.set_name("v2");
  version.set_same_embeddings_as("v1");
  ASSERT_TRUE(client_->AddVersion(version, ModelFile(2)).ok());
  v1::BackfillVersionRequest backfill;
  backfill.set_collection("c");
  backfill.set_version("v2");
  ASSERT_TRUE(client_->BackfillVersion(backfill).ok());
  const auto of_v2 = [&] {
    const auto collection = client_->GetCollection("c");
    return collection.ok() ? collection->versions(1) : v1::Version();
  };
  Await("backfilled", [&] { return of_v2().documents() == 200 && !of_v2().backfill().running(); });
  EXPECT_EQ(of_v2().backfill().written(), 200u);
  EXPECT_EQ(of_v2().state(), v1::VERSION_STATE_READY);
  v1::PromoteVersionRequest promotion;
  promotion.set_collection("c");
  promotion.set_version("v2");
  ASSERT_TRUE(client_->PromoteVersion(promotion).ok());
  const auto found = client_->Search(MakeSearch("c", VectorOf(7), 1));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->hits(0).id(), "7");
  EXPECT_EQ(found->hits(0).version(), "v2");
  EXPECT_EQ(Cluster({"verify", "c"}).exit_code, 0);
  v1::UpdateAttributesRequest update;
  update.set_collection("c");
  update.add_ids("7");
  (*update.mutable_set())["seen"].set_bool_value(true);
  const auto updated = client_->UpdateAttributes(update);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->documents(), 1u);
}

}  // namespace
}  // namespace bebr::testing
