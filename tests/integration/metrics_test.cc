// Every metric of the table moves when the thing that it counts happens.

#include <arpa/inet.h>
#include <grpcpp/generic/generic_stub.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

#include "server/metrics/metric_table.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/tls_fixture.h"
#include "tests/support/until.h"
#include "tests/unit/fit/clusters.h"

namespace bebr::testing {
namespace {

using Samples = std::map<std::string, double>;  // "name{labels}" and value

Samples Scrape(const ServerProcess& server) {
  std::istringstream answer(server.HttpGet("/metrics"));
  Samples samples;
  for (std::string line; std::getline(answer, line);) {
    const size_t space = line.rfind(' ');
    if (space == std::string::npos ||
        (line.rfind("bebr_", 0) != 0 && line.rfind("grpc_", 0) != 0 && line.rfind("process_", 0) != 0)) {
      continue;
    }
    samples[line.substr(0, space)] = std::strtod(line.c_str() + space, nullptr);
  }
  return samples;
}

// Whether a sample whose name begins with `name` (a metric, or one with labels) has another value, or is new and not 0.
bool Moved(const std::string& name, const Samples& before, const Samples& after) {
  for (auto at = after.lower_bound(name); at != after.end() && at->first.rfind(name, 0) == 0; ++at) {
    const size_t length = name.size();
    constexpr std::string_view kEnds[] = {"_count", "_sum", "_bucket"};
    const std::string_view rest = std::string_view(at->first).substr(length);
    bool same = rest.empty() || rest[0] == '{' || name.find('{') != std::string::npos;
    for (const std::string_view end : kEnds) same |= rest.substr(0, end.size()) == end;
    if (!same) continue;  // another metric whose name is longer
    const auto old = before.find(at->first);
    if (at->second != (old == before.end() ? 0 : old->second)) return true;
  }
  return false;
}

std::string RandomText(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string text(count, '\0');
  for (char& c : text) c = static_cast<char>('!' + random() % 90);
  return text;
}

class MetricsTest : public TlsTest {
 protected:
  // Does `action` and waits, for as long as a slow machine may need, until each of `names` has moved.
  void Expect(const std::vector<std::string>& names, const std::function<void()>& action) {
    const Samples before = Scrape(*server_);
    action();
    ExpectSince(before, names);
  }
  void ExpectSince(const Samples& before, const std::vector<std::string>& names) {
    std::set<std::string> waiting(names.begin(), names.end());
    // Some move for a moment only; others once the server has done what yields to all else, scrapes too.
    int scrapes = 0;
    Until(
        [&] {
          if (++scrapes > 1000) std::this_thread::sleep_for(std::chrono::milliseconds(200));
          const Samples after = Scrape(*server_);
          std::erase_if(waiting, [&](const std::string& name) { return Moved(name, before, after); });
          return waiting.empty();
        },
        std::chrono::milliseconds(1));
    for (const std::string& name : waiting) ADD_FAILURE() << name << " did not move\n" << server_->Log();
    for (const std::string& name : names) moved_.insert(name.substr(0, name.find('{')));
  }

  void StartWith(const std::vector<std::string>& more, const Variables& variables = {{"BEBR_SIMD", "scalar"}}) {
    std::vector<std::string> flags = {"--threads",
                                      "1",
                                      "--max_queued_queries",
                                      "1024",
                                      "--slow_query_ms",
                                      "1",
                                      "--write_buffer_bytes",
                                      "458752",
                                      "--max_queued_upsert_bytes",
                                      "1048576"};
    flags.insert(flags.end(), more.begin(), more.end());
    Start(flags, variables);
  }
  v1::BatchSearchRequest LargeSearch(uint32_t k) {
    v1::BatchSearchRequest request;
    request.set_collection("c");
    request.mutable_options()->set_k(k);
    for (size_t i = 0; i < 1000; ++i) {
      const auto values = VectorOf(i);
      request.add_queries()->mutable_values()->Add(values.begin(), values.end());
    }
    return request;
  }
  void Fill() {
    for (size_t first = 0; first < 40000; first += 5000)
      ASSERT_TRUE(client_->Upsert(MakeUpsert("c", first, 5000)).ok());
  }

  void Documents();
  void Load();
  void KeptViews();
  void Versions();
  void Learning();
  void Storage();
  void Clients();
  void Refusals();
  void Restarts();
  void Certificates();
  void Cluster();

  std::set<std::string> moved_;
};

void MetricsTest::Documents() {
  Expect({"bebr_key_calls_total{key=\"none\",kind=\"other\",result=\"ok\"}", "grpc_server_started_total",
          "grpc_server_handled_total", "grpc_server_handling_seconds", "grpc_server_msg_received_total",
          "grpc_server_msg_sent_total", "bebr_collection_memory_bytes", "bebr_collection_memory_formula_bytes",
          "bebr_collection_disk_bytes", "process_open_fds", "process_resident_memory_bytes"},
         [&] { CreateCollection(); });
  Expect({"bebr_collection_calls_total{collection=\"c\",kind=\"write\",result=\"ok\"}",
          "bebr_collection_call_seconds_count{collection=\"c\",kind=\"write\"}",
          "bebr_key_call_seconds_count{key=\"none\",kind=\"write\"}",
          "bebr_collection_request_bytes_total{collection=\"c\"}", "bebr_key_request_bytes_total{key=\"none\"}",
          "bebr_write_queue_seconds", "bebr_commit_seconds", "bebr_sync_seconds", "bebr_documents_upserted_total",
          "bebr_collection_documents{collection=\"c\"}", "bebr_ingest_stage_seconds_total{stage=\"encode\"}",
          "bebr_ingest_stage_seconds_total{stage=\"commit\"}", "bebr_ingest_stage_seconds_total{stage=\"apply\"}",
          "bebr_storage_wal_bytes_total", "bebr_storage_wal_syncs_total", "bebr_storage_write_buffer_bytes"},
         [&] { ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 30)).ok()); });
  Expect({"bebr_collection_deleted_rows{collection=\"c\"}"},
         [&] { ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 5)).ok()); });
  Expect({"bebr_documents_deleted_total"}, [&] {
    v1::DeleteRequest remove;
    remove.set_collection("c");
    remove.add_ids("7");
    ASSERT_TRUE(client_->Delete(remove).ok());
  });
  Expect({"bebr_collection_documents_scanned_total{collection=\"c\"}", "bebr_key_documents_scanned_total{key=\"none\"}",
          "bebr_collection_queries_total{collection=\"c\"}", "bebr_key_queries_total{key=\"none\"}",
          "bebr_collection_answer_bytes_total{collection=\"c\"}", "bebr_key_answer_bytes_total{key=\"none\"}",
          "bebr_queries_total", "bebr_scans_total", "bebr_documents_scanned_total", "bebr_scanned_bytes_total",
          "bebr_search_stage_seconds_sum{stage=\"rerank\"}", "bebr_search_stage_seconds_count{stage=\"queue\"}",
          "bebr_search_stage_seconds_count{stage=\"encode\"}", "bebr_search_stage_seconds_count{stage=\"scan\"}",
          "bebr_search_queries_per_scan", "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Search\""},
         [&] {
           v1::SearchRequest request = MakeSearch("c", VectorOf(1), 3);
           request.mutable_options()->set_rerank(20);
           ASSERT_TRUE(client_->Search(request).ok());
         });
  for (const char* name : {"bebr_search_stage_seconds", "bebr_collection_call_seconds", "bebr_key_call_seconds"})
    moved_.insert(name);
  Expect({"bebr_refused_stream_messages_total{grpc_code=\"InvalidArgument\"}"}, [&] {
    auto stream = client_->StreamUpsert("c");
    auto documents = MakeDocuments(0, 1);
    documents[0].set_id("");
    (void)stream->Send(std::move(documents));
    EXPECT_EQ(stream->Finish().code(), absl::StatusCode::kInvalidArgument);
  });
}

void MetricsTest::Versions() {
  Expect({"bebr_snapshot_newest_timestamp_seconds{collection=\"c\"}"}, [&] {
    v1::CreateSnapshotRequest snapshot;
    snapshot.set_collection("c");
    ASSERT_TRUE(client_->CreateSnapshot(snapshot).ok());
  });
  Expect({"bebr_version_documents", "bebr_version_embeddings", "bebr_version_backfill_running",
          "bebr_documents_reencoded_total"},
         [&] {
           v1::VersionConfig config;
           config.set_collection("c");
           config.set_name("v2");
           config.set_same_embeddings_as("v1");
           const auto added = client_->AddVersion(config, ModelFile(2));
           ASSERT_TRUE(added.ok()) << added.status();
           v1::BackfillVersionRequest backfill;
           backfill.set_collection("c");
           backfill.set_version("v2");
           backfill.set_documents_per_s(20);  // slow enough to be seen running
           const auto started = client_->BackfillVersion(backfill);
           ASSERT_TRUE(started.ok()) << started.status();
         });
}

void MetricsTest::Storage() {
  Expect(
      {"bebr_storage_flushed_bytes_total", "bebr_storage_compaction_bytes_total{direction=\"read\"}",
       "bebr_storage_compaction_bytes_total{direction=\"written\"}", "bebr_storage_file_bytes", "bebr_disk_free_bytes"},
      [&] { Fill(); });
  // Large documents come to eight shards faster than one thread writes and merges their files, so in the end RocksDB
  // makes writers wait.
  v1::CollectionConfig config;
  config.set_name("wide");
  config.set_shards(8);
  ASSERT_TRUE(client_->CreateCollection(config, ModelFile()).ok());
  const Samples before = Scrape(*server_);
  std::atomic<bool> stalled{false};
  std::vector<std::thread> writers;
  for (size_t writer = 0; writer < 4; ++writer) {
    writers.emplace_back([&, writer] {
      for (size_t round = 0; round < 60 && !stalled; ++round) {
        v1::UpsertRequest request = MakeUpsert("wide", writer * 500, 500);
        for (auto& document : *request.mutable_documents())
          (*document.mutable_attributes())["text"].set_string_value(RandomText(15000, round * 500 + writer));
        (void)client_->Upsert(request);
      }
    });
  }
  ExpectSince(before, {"bebr_storage_stall_seconds_total", "bebr_storage_pending_compaction_bytes"});
  stalled = true;
  for (auto& thread : writers) thread.join();
  Expect({"bebr_storage_cache_requests_total{result=\"hit\"}", "bebr_storage_cache_requests_total{result=\"miss\"}",
          "bebr_storage_cache_bytes"},
         [&] {
           v1::GetRequest get;
           get.set_collection("c");
           get.set_with_embeddings(true);
           for (size_t i = 0; i < 2000; ++i) get.add_ids(std::to_string(i));
           ASSERT_EQ(client_->Get(get)->documents_size(), 2000);
         });
}

void MetricsTest::KeptViews() {
  Expect({"bebr_kept_views"}, [&] {
    v1::SearchRequest request = MakeSearch("c", VectorOf(1), 3);
    request.mutable_options()->set_keep_view_s(60);
    ASSERT_TRUE(client_->Search(request).ok());
  });
  v1::CollectionConfig config;
  config.set_name("seen");
  ASSERT_TRUE(client_->CreateCollection(config, ModelFile()).ok());
  ASSERT_TRUE(client_->Upsert(MakeUpsert("seen", 0, 100)).ok());
  v1::SearchRequest request = MakeSearch("seen", VectorOf(1), 3);
  request.mutable_options()->set_keep_view_s(600);
  ASSERT_TRUE(client_->Search(request).ok());
  Expect({"bebr_kept_views_bytes"}, [&] {
    v1::DeleteRequest all;
    all.set_collection("seen");
    for (int i = 0; i < 100; ++i) all.add_ids(std::to_string(i));
    ASSERT_TRUE(client_->Delete(all).ok());
  });
  ASSERT_TRUE(client_->DeleteCollection("seen").ok());
}

void MetricsTest::Load() {
  const Samples before = Scrape(*server_);
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] { (void)client_->BatchSearch(LargeSearch(10)); });
  }
  ExpectSince(before, {"bebr_queued_queries", "bebr_refused_queries_total"});
  for (auto& thread : clients) thread.join();
  ExpectSince(before, {"bebr_slow_queries_total", "bebr_scan_seconds_total", "process_cpu_seconds_total"});
  EXPECT_THAT(server_->Log(), ::testing::ContainsRegex(
                                  "slow_query method=BatchSearch collection=c key=none peer=[^ ]+ request_id=[0-9a-f]+ "
                                  "trace_id=[0-9a-f]+ queries=1000 k=10 .*scan_us=[1-9].* other_us=[0-9]"));

  const Samples idle = Scrape(*server_);
  std::vector<std::thread> writers;
  for (size_t i = 0; i < 8; ++i) {
    writers.emplace_back([&, i] {
      for (int round = 0; round < 4; ++round) (void)client_->Upsert(MakeUpsert("c", i * 5000, 5000));
    });
  }
  ExpectSince(idle, {"bebr_queued_upsert_bytes", "bebr_refused_upserts_total{reason=\"queue\"}"});
  for (auto& thread : writers) thread.join();
}

void MetricsTest::Clients() {
  std::vector<int> sockets;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port =
      htons(static_cast<uint16_t>(std::stoi(server_->address().substr(server_->address().rfind(':') + 1))));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  Expect({"bebr_connections", "bebr_closed_strangers_total{reason=\"room\"}"}, [&] {
    for (int i = 0; i < 60; ++i) {
      sockets.push_back(socket(AF_INET, SOCK_STREAM, 0));
      (void)connect(sockets.back(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    }
  });
  const Samples full = Scrape(*server_);
  for (const int fd : std::exchange(sockets, {})) close(fd);
  ExpectSince(full, {"bebr_connections"});
  Expect({"bebr_refused_connections_total"}, [&] {
    std::vector<std::shared_ptr<grpc::Channel>> known;
    for (int i = 0; i < 38; ++i) {
      known.push_back(OwnConnection(server_->address()));
      EXPECT_TRUE(CallRaw(known.back(), "/bebr.v1.AdminService/GetStats", {""}).status.ok());
    }
    for (int i = 0; i < 20; ++i) {
      sockets.push_back(socket(AF_INET, SOCK_STREAM, 0));
      (void)connect(sockets.back(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    }
    ExpectSince(full, {"bebr_refused_connections_total"});
    for (const int fd : sockets) close(fd);
  });
  // The next client finds room once the server has seen these go.
  Until([&] { return Scrape(*server_)["bebr_connections"] <= 5; }, std::chrono::milliseconds(100));

  // A client that asks for much and takes nothing: its window stays as small as HTTP/2 makes it.
  grpc::ChannelArguments small_window;
  small_window.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  grpc::GenericStub stub(
      grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(), small_window));
  grpc::ClientContext context;
  std::string bytes = LargeSearch(100).SerializeAsString();
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::CompletionQueue queue;
  Expect({"bebr_slow_readers_total"}, [&] {
    auto call = stub.PrepareUnaryCall(&context, "/bebr.v1.SearchService/BatchSearch", request, &queue);
    call->StartCall();
    call->ReadInitialMetadata(nullptr);  // and no more than that
    ExpectSince(Scrape(*server_), {"bebr_pending_response_bytes", "bebr_slow_readers_total"});
    grpc::ByteBuffer response;
    grpc::Status status;
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    for (int operation = 0; operation < 2; ++operation) queue.Next(&tag, &ok);
    EXPECT_FALSE(status.ok());
  });
}

// Each by a limit that is reached at once.
void MetricsTest::Refusals() {
  StartWith({"--min_free_disk_bytes", "1125899906842624"});
  Expect({"bebr_refused_upserts_total{reason=\"disk\"}"}, [&] {
    const absl::Status status = client_->Upsert(MakeUpsert("c", 0, 1)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("min_free_disk_bytes is 1125899906842624"));
  });
  // What does not add anything goes on.
  EXPECT_TRUE(client_->Search(MakeSearch("c", VectorOf(1), 3)).ok());
  v1::DeleteRequest remove;
  remove.set_collection("c");
  remove.add_ids("9");
  EXPECT_TRUE(client_->Delete(remove).ok());
  v1::CollectionConfig config;
  config.set_name("more");
  EXPECT_EQ(client_->CreateCollection(config, ModelFile()).status().code(), absl::StatusCode::kResourceExhausted);

  StartWith({"--memory_limit_bytes", "1"});
  Expect({"bebr_refused_upserts_total{reason=\"memory\"}"}, [&] {
    EXPECT_EQ(client_->Upsert(MakeUpsert("c", 0, 1)).status().code(), absl::StatusCode::kResourceExhausted);
  });

  WriteFile("keys.json",  // sha256 of "k"
            R"({"keys": [{"name": "app", "role": "write", "requests_per_s": 0.001, "sha256":
                "8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a"}]})");
  StartWith({"--keys_file", Path("keys.json")});
  const Client app({.server = server_->address(), .deadline = absl::Seconds(60), .api_key = "k"});
  Expect({"bebr_rate_limited_calls_total{key=\"app\",limit=\"requests_per_s\"}"}, [&] {
    Client caller(app.options());
    EXPECT_TRUE(caller.Search(MakeSearch("c", VectorOf(1), 3)).ok());
    EXPECT_EQ(caller.Search(MakeSearch("c", VectorOf(1), 3)).status().code(), absl::StatusCode::kResourceExhausted);
  });

  // A disk that takes no more: no file may grow beyond this size, which a write to the log does.
  StartWith({"--write_buffer_bytes", "117440512"});
  v1::VersionConfig version;
  version.set_collection("c");
  version.set_name("v3");
  version.set_same_embeddings_as("v1");
  ASSERT_TRUE(client_->AddVersion(version, ModelFile(3)).ok());
  Expect({"bebr_failed_commits_total", "bebr_collection_state{collection=\"c\"}",
          "bebr_version_backfill_failed{collection=\"c\",version=\"v3\"}"},
         [&] {
           const rlimit limit{.rlim_cur = 128 << 10, .rlim_max = RLIM_INFINITY};
           ASSERT_EQ(prlimit(server_->pid(), RLIMIT_FSIZE, &limit, nullptr), 0);
           EXPECT_EQ(client_->Upsert(MakeUpsert("c", 0, 10000)).status().code(), absl::StatusCode::kUnavailable);
           v1::BackfillVersionRequest backfill;
           backfill.set_collection("c");
           backfill.set_version("v3");
           EXPECT_TRUE(client_->BackfillVersion(backfill).ok());
         });
  EXPECT_TRUE(client_->Search(MakeSearch("c", VectorOf(1), 3)).ok());
  // Nor does the log, which holds up nobody.
  Expect({"bebr_log_dropped_total"}, [&] {
    const rlimit limit{.rlim_cur = 1, .rlim_max = RLIM_INFINITY};
    ASSERT_EQ(prlimit(server_->pid(), RLIMIT_FSIZE, &limit, nullptr), 0);
    EXPECT_EQ(client_->Upsert(MakeUpsert("c", 0, 10)).status().code(), absl::StatusCode::kUnavailable);
  });
}

// What is the same for as long as a server lives differs between two of them.
// Two collections without a model file: one whose documents a binarizer can be fitted to, one of equal documents.
void MetricsTest::Learning() {
  constexpr size_t kFloats = 8, kDocuments = 2100;
  const Matrix rows = Clusters(kDocuments, kFloats, 1);
  const std::vector<float> equal(kFloats, 1);
  const auto make = [&](const std::string& name, const std::function<const float*(size_t)>& row) {
    v1::CollectionConfig config;
    config.set_name(name);
    config.mutable_auto_binarizer()->set_dims(kFloats);
    ASSERT_TRUE(client_->CreateCollection(config, "").ok());
    v1::UpsertRequest request;
    request.set_collection(name);
    for (size_t i = 0; i < kDocuments; ++i) {
      v1::Document* document = request.add_documents();
      document->set_id(std::to_string(i));
      document->add_embeddings()->mutable_vector()->mutable_values()->Add(row(i), row(i) + kFloats);
    }
    ASSERT_TRUE(client_->Upsert(request).ok());
  };
  Expect({"bebr_auto_fits_total", "bebr_auto_promotions_total", "bebr_auto_recall_ratio", "bebr_auto_recall_goal_ratio",
          "bebr_auto_fitted_documents"},
         [&] { make("learns", [&](size_t i) { return rows.row(i); }); });
  Expect({"bebr_auto_failing"}, [&] { make("cannot", [&](size_t) { return equal.data(); }); });
  for (const char* name : {"learns", "cannot"}) ASSERT_TRUE(client_->DeleteCollection(name).ok());
}

void MetricsTest::Restarts() {
  StartWith({});
  Expect({"process_max_fds"}, [&] {
    rlimit limit{};
    ASSERT_EQ(prlimit(server_->pid(), RLIMIT_NOFILE, nullptr, &limit), 0);
    limit.rlim_cur -= 1;
    ASSERT_EQ(prlimit(server_->pid(), RLIMIT_NOFILE, &limit, nullptr), 0);
  });
  const Samples first = Scrape(*server_);
  StartWith({"--otlp_endpoint", "127.0.0.1:1", "--otlp_sample_percent", "100"});  // nobody is there
  Expect({"bebr_spans_total{result=\"dropped\"}"}, [&] { (void)client_->ListCollections(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  Start({"--threads", "2"});
  ExpectSince(first, {"process_start_time_seconds", "bebr_threads", "bebr_build_info",
                      "bebr_option{option=\"max_queued_queries\"}"});
  if (std::filesystem::space("/dev/shm").capacity != std::filesystem::space(Path("data")).capacity) {
    const std::string data = "/dev/shm/bebr-metrics-test-" + std::to_string(getpid());
    const Samples before = Scrape(*server_);
    server_ = std::make_unique<ServerProcess>(data, std::vector<std::string>{});
    ExpectSince(before, {"bebr_disk_size_bytes"});
    server_.reset();
    std::filesystem::remove_all(data);
  }
  // While it drains it is not ready, but the metrics are still there.
  StartWith({"--drain_timeout_s", "20"});
  const Samples ready = Scrape(*server_);
  std::thread searches([&] { (void)client_->BatchSearch(LargeSearch(400)); });
  while (!Moved("grpc_server_started_total", ready, Scrape(*server_)))
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  server_->Signal(SIGTERM);
  ExpectSince(ready, {"bebr_ready"});
  searches.join();
}

void MetricsTest::Certificates() {
  Start(TlsFlags());
  const auto handshake = [&] { (void)Try({.tls_ca_file = Path("ca.pem")}); };
  const auto replace = [&](const std::string& kind) {
    std::filesystem::copy_file(Path("next" + kind), Path("server" + kind),
                               std::filesystem::copy_options::overwrite_existing);
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));  // files are looked at once a second
  };
  MakeCertificate("next", "ca");
  Expect({"bebr_reloads_total{result=\"failed\",what=\"certificate\"}", "bebr_reload_failing{what=\"certificate\"}"},
         [&] {
           replace(".pem");  // without its key
           handshake();
         });
  Expect({"bebr_reloads_total{result=\"ok\",what=\"certificate\"}", "bebr_reload_failing{what=\"certificate\"}",
          "bebr_certificate_expiry_timestamp_seconds"},
         [&] {
           replace(".key");
           handshake();
         });
}

// Those of a gateway; its node need not be there.
void MetricsTest::Cluster() {
  const std::string address = server_->address();
  Start({"--cluster_nodes", "a=" + address});
  Expect({"bebr_node_calls_total{node=\"a\",result=\"failed\"}", "bebr_node_call_seconds_count{node=\"a\"}"},
         [&] { EXPECT_FALSE(client_->GetCollection("c").ok()); });
  moved_.insert("bebr_node_call_seconds");
  moved_.insert("bebr_node_answers");  // of a node that comes back: ClusterTest
  // Of a cluster with a log: OperateTest.
  for (const MetricInfo& info : AllMetrics()) {
    const std::string name = info.name;
    for (const char* begin :
         {"bebr_replica_", "bebr_share_", "bebr_cluster_", "bebr_log_", "bebr_stale_answers_total"}) {
      if (name.rfind(begin, 0) == 0 && name != "bebr_log_dropped_total") moved_.insert(name);
    }
  }
}

TEST_F(MetricsTest, EveryOneMoves) {
  StartWith({"--max_connections", "40", "--response_timeout_s", "1", "--recall_monitor_interval_s", "1",
             "--scrub_interval_s", "1"});
  const Samples at_start = Scrape(*server_);
  Documents();
  KeptViews();
  Versions();
  Learning();
  ExpectSince(at_start, {"bebr_version_recall_ratio", "bebr_version_score_error_p99", "bebr_version_probe_share",
                         "bebr_recall_measurements_total{result=\"ok\"}", "bebr_scrubbed_bytes_total"});
  moved_.insert("bebr_scrub_mended_documents_total");  // by memory that fails: ScrubberTest
  Storage();
  Load();
  Clients();
  Refusals();
  Restarts();
  Certificates();
  Cluster();
  for (const MetricInfo& info : AllMetrics()) {
    EXPECT_TRUE(moved_.count(info.name)) << info.name << ": no step of this test makes it move";
  }
}

}  // namespace
}  // namespace bebr::testing
