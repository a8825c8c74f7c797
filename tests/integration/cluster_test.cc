// A gateway over nodes, all real processes: the answers of one server, and what is left when a node is not there.
#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <limits>
#include <thread>

#include "absl/strings/str_cat.h"
#include "bebr/node/v1/node.grpc.pb.h"
#include "tests/integration/tls_fixture.h"
#include "tests/support/test_models.h"
#include "tests/support/until.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

class ClusterTest : public TlsTest {
 protected:
  // Places `count` nodes, and starts them and a gateway.
  void StartCluster(size_t count, const std::vector<std::string>& node_flags = {},
                    const std::vector<std::string>& gateway_flags = {}) {
    for (size_t n = 0; n < count; ++n) {
      addresses_.push_back(absl::StrCat("127.0.0.1:", FreePort()));
      absl::StrAppend(&nodes_flag_, n == 0 ? "" : ",", NameOf(n), "=", addresses_[n]);
    }
    nodes_.resize(count);
    for (size_t n = 0; n < count; ++n) StartNode(n, node_flags);
    std::vector<std::string> flags = {"--cluster_nodes", nodes_flag_, "--cluster_timeout_s", "5"};
    flags.insert(flags.end(), gateway_flags.begin(), gateway_flags.end());
    Start(flags);
  }
  static std::string NameOf(size_t n) { return std::string(1, static_cast<char>('a' + n)); }
  void StartNode(size_t n, const std::vector<std::string>& more = {}) {
    nodes_[n].reset();
    std::vector<std::string> flags = {"--listen",       addresses_[n], "--cluster_nodes", nodes_flag_,
                                      "--cluster_self", NameOf(n),     "--threads",       "1"};
    flags.insert(flags.end(), more.begin(), more.end());
    nodes_[n] = std::make_unique<ServerProcess>(Path("data-" + NameOf(n)), flags);
    ASSERT_TRUE(nodes_[n]->valid());
  }
  // Waits until a call of the gateway succeeds.
  void AwaitCount(uint64_t documents) {
    v1::CountRequest request;
    request.set_collection("c");
    absl::StatusOr<v1::CountResponse> counted;
    for (int i = 0; i < 3000; ++i) {
      counted = client_->Count(request);
      if (counted.ok() && counted->documents() == documents) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << counted.status() << "\n" << server_->Log();
  }
  void AwaitReadyz(const std::string& part) {
    std::string answer;
    Until([&] { return (answer = server_->HttpGet("/readyz")).find(part) != std::string::npos; });
    EXPECT_THAT(answer, HasSubstr(part));
  }
  absl::StatusOr<v1::SearchResponse> Search(Client& client, size_t query, uint32_t rerank, const std::string& filter) {
    v1::SearchRequest request = MakeSearch("c", VectorOf(query), 20);
    request.mutable_options()->set_rerank(rerank);
    request.mutable_options()->set_filter(filter);
    request.mutable_options()->set_with_attributes(true);
    auto found = client.Search(request);
    if (found.ok()) found->clear_timings();
    if (found.ok()) found->clear_documents_scanned();  // of blocks, which are others on each node
    return found;
  }

  std::string nodes_flag_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<ServerProcess>> nodes_;
};

TEST_F(ClusterTest, AnswersAsOneServer) {
  StartCluster(3);
  CreateCollection();
  ServerProcess one(Path("one"));
  Client alone({.server = one.address(), .deadline = absl::Seconds(60)});
  v1::CollectionConfig config;
  config.set_name("c");
  config.set_store_floats(v1::FLOAT_STORAGE_F32);
  ASSERT_TRUE(alone.CreateCollection(config, ModelFile()).ok());
  for (Client* client : {client_.get(), &alone}) {
    const auto stream = client->StreamUpsert("c");
    for (size_t first = 0; first < 600; first += 50) ASSERT_TRUE(stream->Send(MakeDocuments(first, 50)).ok());
    ASSERT_TRUE(stream->Finish().ok());
    v1::DeleteRequest deletion;
    deletion.set_collection("c");
    deletion.set_filter("n BETWEEN 100 AND 150");
    const auto deleted = client->Delete(deletion);
    ASSERT_TRUE(deleted.ok()) << deleted.status();
    EXPECT_EQ(deleted->deleted(), 51u);
  }
  for (size_t query = 0; query < 30; ++query) {
    for (const uint32_t rerank : {0u, 40u}) {
      const std::string filter = query % 3 == 0 ? "" : query % 3 == 1 ? "n < 300" : "n > 3 AND none = 1";
      const auto cluster = Search(*client_, query, rerank, filter), single = Search(alone, query, rerank, filter);
      ASSERT_TRUE(cluster.ok() && single.ok()) << cluster.status() << single.status();
      EXPECT_EQ(cluster->DebugString(), single->DebugString());
    }
  }
  const auto info = client_->GetCollection("c");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->documents(), 549u);
  uint64_t on_nodes = 0;
  for (const auto& node : nodes_) {
    const auto part = Client({.server = node->address()}).GetCollection("c");
    ASSERT_TRUE(part.ok()) << part.status();
    EXPECT_GT(part->documents(), 100u);
    on_nodes += part->documents();
  }
  EXPECT_EQ(on_nodes, 549u);
  // All nodes see an error of the request.
  EXPECT_EQ(client_->Search(MakeSearch("c", VectorOf(1), 0)).status().message(), "k is 0; it is 1 to 10000");
  v1::SearchRequest grouped = MakeSearch("c", VectorOf(1), 3);
  grouped.mutable_options()->set_group_by("n");
  grouped.mutable_options()->set_first_levels(1);
  grouped.mutable_options()->set_candidates(20);
  const auto groups = client_->Search(grouped), groups_of_one = alone.Search(grouped);
  ASSERT_TRUE(groups.ok() && groups_of_one.ok()) << groups.status() << groups_of_one.status();
  EXPECT_EQ(groups->hits_size(), groups_of_one->hits_size());
  for (int i = 0; i < groups->hits_size(); ++i)
    EXPECT_EQ(groups->hits(i).DebugString(), groups_of_one->hits(i).DebugString());
}

// What takes more than one round of the nodes.
TEST_F(ClusterTest, GroupsProbesAndExplanationsAreThoseOfOneServer) {
  StartCluster(3);
  ServerProcess one(Path("one"));
  Client alone({.server = one.address(), .deadline = absl::Seconds(60)});
  v1::CollectionConfig config;
  config.set_name("c");
  config.set_store_floats(v1::FLOAT_STORAGE_F32);
  const std::string model = RandomModelFile(kDims, WithGroups(*ParseCodeSpec("24x2"), 9), 6, 3);
  v1::UpsertRequest upsert = MakeUpsert("c", 0, 600);
  for (v1::Document& document : *upsert.mutable_documents()) {
    const int64_t number = document.attributes().at("n").int_value();
    (*document.mutable_attributes())["shop"].set_int_value(number * number % 61);
    auto* tags = (*document.mutable_attributes())["tags"].mutable_list_value();
    for (const int64_t tag : {number % 5, number % 7})
      tags->add_values()->set_double_value(0.5 * static_cast<double>(tag));
  }
  for (Client* client : {client_.get(), &alone}) {
    ASSERT_TRUE(client->CreateCollection(config, model).ok());
    ASSERT_TRUE(client->Upsert(upsert).ok());
  }
  v1::BatchSearchRequest batch;
  batch.set_collection("c");
  for (size_t query = 0; query < 6; ++query) {
    const auto values = VectorOf(query);
    batch.add_queries()->mutable_values()->Add(values.begin(), values.end());
  }
  size_t shares = 0;
  for (const float probe : {0.0f, 0.3f, 1.0f}) {
    for (const std::string by : {"", "shop", "tags", "none"}) {
      for (const uint32_t rerank : {0u, 60u}) {
        v1::SearchOptions& options = *batch.mutable_options();
        options.set_probe(probe);
        options.set_group_by(by);
        options.set_group_size(by.empty() ? 0 : 4);
        options.set_k(12);
        options.set_rerank(rerank);
        options.set_with_attributes(rerank > 0);
        options.set_explain(by == "shop");
        auto cluster = client_->BatchSearch(batch), single = alone.BatchSearch(batch);
        ASSERT_TRUE(cluster.ok() && single.ok()) << cluster.status() << single.status();
        for (v1::BatchSearchResponse* found : {&*cluster, &*single}) {
          found->clear_timings();
          found->clear_documents_scanned();
          for (auto& result : *found->mutable_results()) {
            for (v1::SearchHit& hit : *result.mutable_hits()) {
              if (!hit.has_explanation()) continue;
              hit.mutable_explanation()->clear_shard();
              hit.mutable_explanation()->clear_segment();
              hit.mutable_explanation()->clear_row();
            }
          }
        }
        EXPECT_EQ(cluster->DebugString(), single->DebugString()) << probe << " " << by << " " << rerank;
        shares += cluster->scanned_share() > 0.3 && cluster->scanned_share() < 1 ? 1 : 0;
      }
    }
  }
  EXPECT_EQ(shares, 8u);
}

// Searches that share calls of nodes have the answers that they have alone, errors too.
TEST_F(ClusterTest, ManyClientsHaveTheAnswersOfOne) {
  StartCluster(2);
  CreateCollection();
  const auto stream = client_->StreamUpsert("c");
  for (size_t first = 0; first < 600; first += 50) ASSERT_TRUE(stream->Send(MakeDocuments(first, 50)).ok());
  ASSERT_TRUE(stream->Finish().ok());
  const auto ask = [this](Client& client, size_t query) -> std::string {
    const std::vector<std::string> filters = {"", "", "n < 300", "n ="};
    if (query % 16 == 7) {
      std::vector<float> wrong = VectorOf(query);
      if (query % 32 == 7) wrong.pop_back();
      wrong[0] = std::numeric_limits<float>::infinity();
      return client.Search(MakeSearch("c", wrong, 20)).status().ToString();
    }
    const auto found = Search(client, query, query % 5 == 0 ? 40 : 0, filters[query % filters.size()]);
    return found.ok() ? found->DebugString() : found.status().ToString();
  };
  constexpr size_t kQueries = 200, kClients = 24;
  std::vector<std::string> alone;
  for (size_t query = 0; query < kQueries; ++query) alone.push_back(ask(*client_, query));
  std::vector<std::thread> threads;
  for (size_t c = 0; c < kClients; ++c) {
    threads.emplace_back([&, c] {
      Client client({.server = server_->address(), .deadline = absl::Seconds(60)});
      for (size_t i = 0; i < kQueries; ++i) {
        const size_t query = (i + 8 * c) % kQueries;
        ASSERT_EQ(ask(client, query), alone[query]) << query;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ClusterTest, ANodeThatIsGoneIsNamedAndComesBack) {
  StartCluster(2);
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 200)).ok());
  nodes_[1]->Signal(SIGKILL);
  nodes_[1]->Wait();
  const auto found = Search(*client_, 1, 0, "");
  EXPECT_EQ(found.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(found.status().message(), HasSubstr("node b (" + addresses_[1] + ")"));
  const auto written = client_->Upsert(MakeUpsert("c", 200, 50));
  EXPECT_EQ(written.status().code(), absl::StatusCode::kUnavailable);
  const absl::Status dropped = client_->DeleteCollection("c");
  EXPECT_EQ(dropped.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(dropped.message(), HasSubstr("stays as it is"));
  // Documents of the other node are there: a Get asks their node alone.
  v1::GetRequest request;
  request.set_collection("c");
  size_t answered = 0;
  for (int id = 0; id < 40; ++id) {
    request.clear_ids();
    request.add_ids(std::to_string(id));
    const auto got = client_->Get(request);
    EXPECT_TRUE(!got.ok() || got->documents_size() == 1) << id;
    answered += got.ok() ? 1 : 0;
  }
  EXPECT_GT(answered, 0u);
  EXPECT_LT(answered, 40u);
  AwaitReadyz("collection c is unavailable: node b");
  EXPECT_THAT(server_->HttpGet("/metrics"), HasSubstr("bebr_node_answers{node=\"b\"} 0"));
  // Only on request an answer does without the node.
  v1::SearchRequest partial = MakeSearch("c", VectorOf(1), 200);
  partial.mutable_options()->set_allow_partial(true);
  const auto some = client_->Search(partial);
  ASSERT_TRUE(some.ok()) << some.status();
  EXPECT_EQ(some->coverage().nodes(), 2u);
  EXPECT_EQ(some->coverage().answered(), 1u);
  EXPECT_EQ(some->coverage().documents(), static_cast<uint64_t>(some->hits_size()));
  EXPECT_LT(some->hits_size(), 200);
  StartNode(1);
  AwaitCount(200);
  EXPECT_TRUE(client_->Upsert(MakeUpsert("c", 200, 50)).ok());
  AwaitCount(250);
}

TEST_F(ClusterTest, ANodeThatHangsCostsTheDeadline) {
  StartCluster(2);
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 200)).ok());
  nodes_[1]->Signal(SIGSTOP);
  Client hurried({.server = server_->address(), .deadline = absl::Milliseconds(300)});
  const auto found = Search(hurried, 1, 0, "");
  EXPECT_EQ(found.status().code(), absl::StatusCode::kDeadlineExceeded);
  // Without a deadline of the client it is the gateway's.
  Client patient({.server = server_->address()});
  const auto late = Search(patient, 1, 0, "");
  EXPECT_EQ(late.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(late.status().message(), HasSubstr("node b"));
  nodes_[1]->Signal(SIGCONT);
  AwaitCount(200);
  EXPECT_TRUE(Search(*client_, 1, 0, "").ok());
}

TEST_F(ClusterTest, NodesTakeTheirGatewaysKeyOnly) {
  WriteKeys("node-admin");
  WriteFile("key", "node-admin\n");
  StartCluster(2, {"--keys_file", Path("keys.json")}, {"--cluster_key_file", Path("key")});
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 20)).ok());
  for (const char* wrong : {"writer-key", "nobodys-key"}) {
    WriteFile("key", wrong);
    Start({"--cluster_nodes", nodes_flag_, "--cluster_key_file", Path("key")});
    const auto found = Search(*client_, 1, 0, "");
    EXPECT_EQ(found.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(found.status().message(), HasSubstr("does not take this gateway's key (cluster_key_file)"));
  }
}

// Where nodes ask for certificates, those whom their authority signed are let in, and gateways speak to no others.
TEST_F(ClusterTest, NodesAndGatewaysProveThemselvesToEachOther) {
  MakeCertificate("gateway", "ca");
  MakeAuthority("other");
  MakeCertificate("stranger", "other");
  auto node_flags = TlsFlags();
  node_flags.insert(node_flags.end(), {"--tls_client_ca_file", Path("ca.pem")});
  const auto gateway_flags = [&](const std::string& own, const std::string& trusted) -> std::vector<std::string> {
    return {"--cluster_ca_file", Path(trusted + ".pem"), "--tls_cert_file",
            Path(own + ".pem"),  "--tls_key_file",       Path(own + ".key")};
  };
  const auto connect = [&](const std::string& authority) {
    client_ = std::make_unique<Client>(ClientOptions{
        .server = server_->address(), .deadline = absl::Seconds(60), .tls_ca_file = Path(authority + ".pem")});
  };
  StartCluster(2, node_flags, gateway_flags("gateway", "ca"));
  connect("ca");
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 20)).ok());
  EXPECT_EQ(Search(*client_, 1, 0, "")->hits_size(), 20);
  const auto refused = [&](std::vector<std::string> flags, const std::string& authority) {
    flags.insert(flags.end(), {"--cluster_nodes", nodes_flag_, "--cluster_timeout_s", "2"});
    Start(flags);
    connect(authority);
    if (authority.empty()) client_ = std::make_unique<Client>(ClientOptions{.server = server_->address()});
    const auto found = Search(*client_, 1, 0, "");
    EXPECT_EQ(found.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(found.status().message(), HasSubstr("node a (" + addresses_[0] + ")"));
  };
  refused(gateway_flags("stranger", "ca"), "other");   // whom the nodes do not know
  refused(gateway_flags("gateway", "other"), "ca");    // who does not know the nodes
  refused({"--cluster_ca_file", Path("ca.pem")}, "");  // without a certificate
  refused({}, "");                                     // without TLS
}

// Nodes know a gateway's callers apart: of four views each may have half of what the other leaves.
TEST_F(ClusterTest, AKeptViewIsItsCallersOnTheNodesToo) {
  WriteKeys("admin-key");
  StartCluster(2, {"--max_kept_views", "4"}, {"--keys_file", Path("keys.json")});
  const auto client = [&](const std::string& key) {
    return std::make_unique<Client>(
        ClientOptions{.server = server_->address(), .deadline = absl::Seconds(60), .api_key = key});
  };
  client_ = client("admin-key");
  CreateCollection();
  const auto keep = [](Client& caller) {
    v1::SearchRequest request = MakeSearch("c", VectorOf(1), 1);
    request.mutable_options()->set_keep_view_s(600);
    return caller.Search(request);
  };
  v1::CollectionConfig other;
  other.set_name("other");
  ASSERT_TRUE(client_->CreateCollection(other, ModelFile()).ok());
  const auto reader = client("reader-key");
  const auto page = [](Client& caller, const std::string& collection) {
    v1::ScrollRequest request;
    request.set_collection(collection);
    request.set_keep_view_s(600);
    return caller.Scroll(request).status();
  };
  ASSERT_TRUE(keep(*client_).ok());
  ASSERT_TRUE(page(*client_, "other").ok());
  EXPECT_THAT(page(*client_, "other").message(), HasSubstr("2 views of key \"admin\" are kept"));
  EXPECT_TRUE(keep(*reader).ok());
  EXPECT_THAT(page(*reader, "c").message(), HasSubstr("2 views of the collection are kept"));
}

TEST_F(ClusterTest, NodesRefuseOtherProtocolsAndOtherPlacements) {
  StartCluster(2);
  const auto channel = grpc::CreateChannel(addresses_[0], grpc::InsecureChannelCredentials());
  const auto stub = node::v1::NodeService::NewStub(channel);
  const auto call = [&](const std::string& protocol) {
    grpc::ClientContext context;
    context.AddMetadata("bebr-node-protocol", protocol);
    context.AddMetadata("bebr-node", "a");
    context.AddMetadata("bebr-node-slots", "0-511");
    node::v1::GetStateResponse response;
    return stub->GetState(&context, {}, &response);
  };
  EXPECT_TRUE(call("4").ok());
  EXPECT_EQ(call("1").error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(call("1").error_message(), HasSubstr("speaks protocol 4 of nodes, and the caller 1"));
  // The nodes the other way round.
  Start({"--cluster_nodes", "b=" + addresses_[0] + ",a=" + addresses_[1]});
  const auto listed = client_->GetCollection("c");
  EXPECT_EQ(listed.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(listed.status().message(), HasSubstr("give all servers of the cluster the same cluster_nodes"));
  // A server that is no node.
  ServerProcess alone(Path("alone"));
  Start({"--cluster_nodes", "a=" + alone.address()});
  EXPECT_THAT(client_->GetCollection("c").status().message(), HasSubstr("is no node of a cluster"));
}

TEST_F(ClusterTest, ANodeTakesNoWritesByItselfAndKeepsItsSlots) {
  StartCluster(2);
  CreateCollection();
  Client node({.server = addresses_[0], .deadline = absl::Seconds(60)});
  const auto written = node.Upsert(MakeUpsert("c", 0, 1));
  EXPECT_EQ(written.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(written.status().message(), HasSubstr("node a of a cluster: Upsert goes through a gateway"));
  EXPECT_EQ(node.DeleteCollection("c").code(), absl::StatusCode::kFailedPrecondition);
  v1::CreateSnapshotRequest snapshot;
  snapshot.set_collection("c");
  EXPECT_TRUE(node.CreateSnapshot(snapshot).ok());
  EXPECT_TRUE(node.GetCollection("c").ok());
  nodes_[0].reset();
  const auto refused = [&](std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--data_dir", Path("data-a"), "--listen", "127.0.0.1:0", "--metrics_listen", ""});
    const Outcome outcome = RunProgram("bebr-server", flags);
    EXPECT_EQ(outcome.exit_code, 1);
    return outcome.err;
  };
  EXPECT_THAT(refused({"--cluster_nodes", "a=" + addresses_[0], "--cluster_self", "a"}),
              HasSubstr("slots \"0-511\"; by cluster_nodes this is node \"a\" with slots \"0-1023\""));
  EXPECT_THAT(refused({}), HasSubstr("is that of node \"a\" of a cluster"));
}

}  // namespace
}  // namespace bebr::testing
