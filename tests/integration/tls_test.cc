// TLS, client certificates and API keys, with rotation.
#include <signal.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <sstream>
#include <thread>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "nlohmann/json.hpp"
#include "tests/integration/raw_connection.h"
#include "tests/integration/tls_fixture.h"
#include "tests/support/until.h"

namespace bebr::testing {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(TlsTest, ServesOverTlsAndDemandsClientCertificates) {
  auto flags = TlsFlags();
  Start(flags);
  EXPECT_TRUE(Try({.tls_ca_file = Path("ca.pem")}).ok());
  EXPECT_FALSE(Try({}).ok());  // plaintext
  MakeAuthority("foreign");
  EXPECT_FALSE(Try({.tls_ca_file = Path("foreign.pem")}).ok());

  flags.insert(flags.end(), {"--tls_client_ca_file", Path("ca.pem")});
  Start(flags);
  MakeCertificate("client", "ca");
  MakeCertificate("stranger", "foreign");
  EXPECT_TRUE(
      Try({.tls_ca_file = Path("ca.pem"), .tls_cert_file = Path("client.pem"), .tls_key_file = Path("client.key")})
          .ok());
  EXPECT_FALSE(Try({.tls_ca_file = Path("ca.pem")}).ok());
  EXPECT_FALSE(
      Try({.tls_ca_file = Path("ca.pem"), .tls_cert_file = Path("stranger.pem"), .tls_key_file = Path("stranger.key")})
          .ok());
  MakeCertificate("expired", "ca", "2020");
  EXPECT_FALSE(
      Try({.tls_ca_file = Path("ca.pem"), .tls_cert_file = Path("expired.pem"), .tls_key_file = Path("expired.key")})
          .ok());
}

TEST_F(TlsTest, RotatesCertificatesWhileItServes) {
  Start(TlsFlags());
  MakeAuthority("ca2");
  MakeCertificate("next", "ca2");
  // The certificate without its key: not put to use.
  std::filesystem::copy_file(Path("next.pem"), Path("server.pem"), std::filesystem::copy_options::overwrite_existing);
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  EXPECT_TRUE(Try({.tls_ca_file = Path("ca.pem")}).ok());
  EXPECT_THAT(server_->Log(), HasSubstr("is not the key of the certificate"));
  std::filesystem::copy_file(Path("next.key"), Path("server.key"), std::filesystem::copy_options::overwrite_existing);
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  (void)Try({.tls_ca_file =
                 Path("ca2.pem")});  // the handshake that finds the new files may still be served with the old ones
  EXPECT_TRUE(Try({.tls_ca_file = Path("ca2.pem")}).ok()) << server_->Log();
  EXPECT_FALSE(Try({.tls_ca_file = Path("ca.pem")}).ok());
}

TEST_F(TlsTest, WrongFilesStartNothing) {
  MakeAuthority("other");
  const Outcome outcome =
      RunProgram("bebr-server", {"--data_dir", Path("data"), "--listen", "127.0.0.1:0", "--metrics_listen", "",
                                 "--tls_cert_file", Path("server.pem"), "--tls_key_file", Path("other.key")});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("is not the key of the certificate"));
  MakeCertificate("expired", "other", "2020");
  const Outcome expired =
      RunProgram("bebr-server", {"--data_dir", Path("data"), "--listen", "127.0.0.1:0", "--metrics_listen", "",
                                 "--tls_cert_file", Path("expired.pem"), "--tls_key_file", Path("expired.key")});
  EXPECT_EQ(expired.exit_code, 2);
  EXPECT_THAT(expired.err, HasSubstr("expired.pem\" has expired: 2020-01-02"));
  // Its time comes, or this machine's clock is wrong: worth another try, which exit status 2 is not.
  MakeCertificate("early", "other", "2199");
  const Outcome early =
      RunProgram("bebr-server", {"--data_dir", Path("data"), "--listen", "127.0.0.1:0", "--metrics_listen", "",
                                 "--tls_cert_file", Path("early.pem"), "--tls_key_file", Path("early.key")});
  EXPECT_EQ(early.exit_code, 1);
  EXPECT_THAT(early.err, HasSubstr("is not valid before 2199-01-01"));
}

TEST_F(TlsTest, ConfigurationIsReadAgainWhileItServes) {
  WriteKeys("admin-key");
  const std::string config = "{\"keys_file\": \"" + Path("keys.json") + "\", \"max_results_per_call\": ";
  WriteFile("config.json", config + "1000}");
  Start({"--config", Path("config.json")});
  Client admin({.server = server_->address(), .deadline = absl::Seconds(60), .api_key = "admin-key"});
  v1::CollectionConfig collection;
  collection.set_name("c");
  ASSERT_TRUE(admin.CreateCollection(collection, ModelFile()).ok());
  const auto search = [&] { return admin.Search(MakeSearch("c", VectorOf(1), 20)).status(); };
  EXPECT_TRUE(search().ok());
  v1::BatchSearchRequest two;
  two.set_collection("c");
  two.mutable_options()->set_k(3);
  for (int i = 0; i < 2; ++i) *two.add_queries() = MakeSearch("c", VectorOf(1), 3).query();
  EXPECT_TRUE(admin.Upsert(MakeUpsert("c", 0, 100)).ok());
  EXPECT_TRUE(admin.BatchSearch(two).ok());
  const auto option = [&](const std::string& name) {
    const std::string metrics = server_->HttpGet("/metrics");
    const std::string sample = "bebr_option{option=\"" + name + "\"} ";
    const size_t at = metrics.find(sample);
    return at == std::string::npos ? "none"
                                   : metrics.substr(at + sample.size(), metrics.find('\n', at) - at - sample.size());
  };
  const std::string threads = option("threads");
  WriteFile("config.json", config +
                               "10, \"log_level\": \"warning\", \"threads\": 7, \"max_queued_queries\": 1, "
                               "\"memory_limit_bytes\": 1}");
  ReloadKeys("threads has changed, which takes a restart");
  EXPECT_TRUE(Until([&] { return option("max_results_per_call") == "10"; }));
  EXPECT_THAT(std::string(search().message()), HasSubstr("max_results_per_call"));
  EXPECT_THAT(std::string(admin.BatchSearch(two).status().message()), HasSubstr("max_queued_queries"));
  EXPECT_THAT(std::string(admin.Upsert(MakeUpsert("c", 0, 1)).status().message()),
              HasSubstr("memory_limit_bytes is 1"));
  EXPECT_EQ(option("threads"), threads);  // what is in use
  // What cannot be read changes nothing, and is counted; the keys are another file.
  WriteFile("config.json", config + "\"many\"}");
  WriteKeys("new-key");
  ReloadKeys("the configuration stays as it was: max_results_per_call in");
  EXPECT_TRUE(Until([&] { return search().code() == absl::StatusCode::kUnauthenticated; }));
  EXPECT_EQ(option("max_results_per_call"), "10");
  // The keys are counted a moment after they are in use.
  for (const char* sample :
       {"bebr_reloads_total{result=\"failed\",what=\"configuration\"} 1\n",
        "bebr_reload_failing{what=\"configuration\"} 1\n", "bebr_reloads_total{result=\"ok\",what=\"keys\"} 2\n",
        "bebr_reload_failing{what=\"keys\"} 0\n"}) {
    EXPECT_TRUE(Until([&] { return server_->HttpGet("/metrics").find(sample) != std::string::npos; })) << sample;
  }
  // The audit is there whatever the level is.
  Client renewed({.server = server_->address(), .deadline = absl::Seconds(60), .api_key = "new-key"});
  EXPECT_TRUE(renewed.DeleteCollection("c").ok());
  EXPECT_THAT(server_->AwaitLog("audit method=DeleteCollection"), HasSubstr("audit method=DeleteCollection"));
}

TEST_F(TlsTest, DirectoriesAreClosedToOthers) {
  using std::filesystem::perms;
  const auto others_enter = [&] {
    return server_->Log().find("data_dir \"" + Path("data") + "\" is open to all users") != std::string::npos;
  };
  Start({"--snapshot_dir", Path("made/snapshots") + "/"});
  for (const char* made : {"data", "made/snapshots"})
    EXPECT_EQ(std::filesystem::status(Path(made)).permissions(), perms::owner_all) << made;
  EXPECT_FALSE(others_enter()) << server_->Log();
  // A volume's group may be what gives the server its rights.
  std::filesystem::permissions(Path("data"), perms::owner_all | perms::group_all | perms::set_gid);
  Start({});
  EXPECT_FALSE(others_enter()) << server_->Log();
  std::filesystem::permissions(Path("data"), perms::owner_all | perms::others_read | perms::others_exec);
  Start({});
  EXPECT_TRUE(others_enter()) << server_->Log();
}

TEST_F(TlsTest, KeysHaveRolesAndCollections) {
  WriteKeys("admin-key");
  auto flags = TlsFlags();
  flags.insert(flags.end(), {"--keys_file", Path("keys.json")});
  Start(flags);
  const auto with = [&](const std::string& key) {
    return Client(
        {.server = server_->address(), .deadline = absl::Seconds(20), .api_key = key, .tls_ca_file = Path("ca.pem")});
  };
  v1::CollectionConfig config;
  config.set_name("c");
  const auto denied = absl::StatusCode::kPermissionDenied;
  EXPECT_EQ(with("").CreateCollection(config, ModelFile()).status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(with("wrong").CreateCollection(config, ModelFile()).status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(with("writer-key").CreateCollection(config, ModelFile()).status().code(), denied);
  ASSERT_TRUE(with("admin-key").CreateCollection(config, ModelFile()).ok());
  config.set_name("secret");
  ASSERT_TRUE(with("admin-key").CreateCollection(config, ModelFile()).ok());

  EXPECT_EQ(with("reader-key").Upsert(MakeUpsert("c", 0, 5)).status().code(), denied);
  EXPECT_TRUE(with("writer-key").Upsert(MakeUpsert("c", 0, 5)).ok());
  Client reader = with("reader-key");
  auto stream = reader.StreamUpsert("c");
  (void)stream->Send(MakeDocuments(0, 1));
  EXPECT_EQ(stream->Finish().code(), denied);
  EXPECT_TRUE(reader.Search(MakeSearch("c", VectorOf(1), 3)).ok());
  EXPECT_EQ(reader.Search(MakeSearch("secret", VectorOf(1), 3)).status().code(), denied);
  EXPECT_EQ(reader.ListCollections()->collections_size(), 1);
  EXPECT_EQ(reader.DeleteCollection("c").code(), denied);

  // An alias opens nothing that its collection keeps closed.
  v1::SetAliasRequest alias;
  alias.mutable_alias()->set_name("door");
  alias.mutable_alias()->set_collection("secret");
  EXPECT_EQ(with("writer-key").SetAlias(alias).code(), denied);
  ASSERT_TRUE(with("admin-key").SetAlias(alias).ok());
  EXPECT_EQ(with("reader-key").Search(MakeSearch("door", VectorOf(1), 3)).status().code(), denied);
  EXPECT_EQ(with("reader-key").GetCollection("door").status().code(), denied);
  EXPECT_EQ(with("reader-key").ListAliases()->aliases_size(), 0);
  alias.mutable_alias()->set_collection("c");
  ASSERT_TRUE(with("admin-key").SetAlias(alias).ok());
  EXPECT_TRUE(with("reader-key").Search(MakeSearch("door", VectorOf(1), 3)).ok());
  EXPECT_EQ(with("reader-key").ListAliases()->aliases_size(), 1);
  ASSERT_TRUE(with("admin-key").DeleteAlias("door").ok());

  // Rotation: the old key ends, the new one begins, a broken file changes nothing.
  WriteKeys("new-admin-key");
  ReloadKeys("keys read again");
  EXPECT_EQ(with("admin-key").DeleteCollection("secret").code(), absl::StatusCode::kUnauthenticated);
  WriteFile("keys.json", "{");
  ReloadKeys("keys stay as they were");
  EXPECT_TRUE(with("new-admin-key").DeleteCollection("secret").ok());
  const std::string log = server_->AwaitLog("audit method=DeleteCollection collection=secret key=admin peer=");
  EXPECT_THAT(log, ContainsRegex("audit method=DeleteCollection collection=secret key=admin .*result=done"));
  EXPECT_THAT(log, ContainsRegex("audit method=SetAlias collection=secret key=admin .*result=done code=0 object=door"));
  // A denied call names the key that was shown; of what it asked for nothing was read.
  EXPECT_THAT(log, ContainsRegex("audit method=CreateCollection collection=\"\" key=write .*result=denied"));
  EXPECT_THAT(log, ContainsRegex("audit method=CreateCollection collection=\"\" key=unknown .*result=denied"));
  EXPECT_THAT(log, ContainsRegex("audit method=Search collection=door key=read .*result=denied"));
  EXPECT_THAT(log, Not(HasSubstr("admin-key")));
}

TEST_F(TlsTest, RotationFailsNoCall) {
  WriteKeys("old-key");
  auto flags = TlsFlags();
  flags.insert(flags.end(), {"--keys_file", Path("keys.json")});
  Start(flags);
  const auto options = [&](const std::string& key) {
    return ClientOptions{
        .server = server_->address(), .deadline = absl::Seconds(30), .api_key = key, .tls_ca_file = Path("ca.pem")};
  };
  v1::CollectionConfig config;
  config.set_name("c");
  ASSERT_TRUE(Client(options("old-key")).CreateCollection(config, ModelFile()).ok());

  std::atomic<bool> new_key{false}, stop{false};
  std::atomic<int> calls{0}, old_calls{0};
  const auto work = [&](bool new_connections) {
    auto before = std::make_unique<Client>(options("old-key"));
    auto after = std::make_unique<Client>(options("new-key"));
    for (size_t number = 0; !stop; ++number) {
      const bool use_new = new_key;
      if (new_connections)
        (use_new ? after : before) = std::make_unique<Client>(options(use_new ? "new-key" : "old-key"));
      Client& client = use_new ? *after : *before;
      if (!use_new) ++old_calls;
      const absl::Status status = number % 2 == 0 ? client.Upsert(MakeUpsert("c", number % 50, 1)).status()
                                                  : client.Search(MakeSearch("c", VectorOf(number), 3)).status();
      if (!use_new) --old_calls;
      EXPECT_TRUE(status.ok()) << status;
      ++calls;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(work, i % 2 == 0);
  const auto some_calls = [&] {
    for (const int before = calls; calls < before + 40;) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  some_calls();
  // As deploy/README.md says: the new key beside the old one, then the clients, then without the old one.
  WriteKeys("old-key", ",{\"name\": \"next\", \"role\": \"admin\", \"sha256\": \"" + Sha256Of("new-key") + "\"}");
  ReloadKeys("keys read again");
  some_calls();
  new_key = true;
  some_calls();
  while (old_calls > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  WriteKeys("new-key");
  ReloadKeys("keys read again");
  some_calls();
  EXPECT_EQ(Client(options("old-key")).ListCollections().status().code(), absl::StatusCode::kUnauthenticated);
  // Certificates, three times, the certificate a moment before its key as a careless script does it.
  for (const char* name : {"second", "third", "fourth"}) {
    MakeCertificate(name, "ca");
    for (const char* kind : {".pem", ".key"}) {
      std::filesystem::copy_file(Path(name + std::string(kind)), Path(std::string("server") + kind),
                                 std::filesystem::copy_options::overwrite_existing);
      std::this_thread::sleep_for(std::chrono::milliseconds(1200));
    }
    some_calls();
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(server_->Log(), HasSubstr("new TLS certificate in use"));
}

TEST_F(TlsTest, RatesHoldAKeyBack) {
  const std::string limited = ",{\"name\": \"limited\", \"role\": \"write\", \"requests_per_s\": 2, \"sha256\": \"" +
                              Sha256Of("limited-key") + "\"},{\"name\": \"narrow\", \"role\": \"write\", " +
                              "\"bytes_per_s\": 4000, \"sha256\": \"" + Sha256Of("narrow-key") + "\"}";
  WriteKeys("admin-key", limited);
  auto flags = TlsFlags();
  flags.insert(flags.end(), {"--keys_file", Path("keys.json")});
  Start(flags);
  const auto with = [&](const std::string& key) {
    return Client(
        {.server = server_->address(), .deadline = absl::Seconds(60), .api_key = key, .tls_ca_file = Path("ca.pem")});
  };
  v1::CollectionConfig config;
  config.set_name("c");
  ASSERT_TRUE(with("admin-key").CreateCollection(config, ModelFile()).ok());

  Client client = with("limited-key");
  int refused = 0;
  absl::Status refusal;
  for (int i = 0; i < 20; ++i) {
    const absl::Status status = client.Search(MakeSearch("c", VectorOf(1), 3)).status();
    if (!status.ok()) refusal = status;
    refused += status.ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(refusal.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refusal.message()), HasSubstr("key \"limited\" may send 2 requests a second"));
  // Others are not concerned.
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(with("reader-key").Search(MakeSearch("c", VectorOf(1), 3)).ok());
  // A client that waits as it is told is served; reading the keys again gives it nothing.
  ReloadKeys("keys read again");
  const auto started = std::chrono::steady_clock::now();
  for (int served = 0; served < 4;) {
    const absl::Status status = client.Search(MakeSearch("c", VectorOf(1), 3)).status();
    served += status.ok() ? 1 : 0;
    if (!status.ok()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_GT(std::chrono::steady_clock::now() - started, std::chrono::milliseconds(1000));

  // A stream is slowed down and loses nothing: 10 messages of some 1,400 bytes at 4,000 bytes a second.
  Client narrow = with("narrow-key");
  const auto begun = std::chrono::steady_clock::now();
  auto stream = narrow.StreamUpsert("c");
  for (size_t i = 0; i < 10; ++i) ASSERT_TRUE(stream->Send(MakeDocuments(i * 10, 10)).ok());
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_GT(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(1500));
  EXPECT_EQ(with("admin-key").GetCollection("c")->documents(), 100u);
}

TEST_F(TlsTest, ARefusalSaysWhenToTryAgain) {
  WriteKeys("admin-key", ",{\"name\": \"slow\", \"role\": \"read\", \"requests_per_s\": 0.1, \"sha256\": \"" +
                             Sha256Of("slow-key") + "\"}");
  Start({"--keys_file", Path("keys.json"), "--log_format", "json"});
  auto stub = v1::AdminService::NewStub(grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  grpc::Status status;
  for (int i = 0; i < 2; ++i) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer slow-key");
    v1::GetStatsResponse response;
    status = stub->GetStats(&context, v1::GetStatsRequest(), &response);
  }
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::Status details;
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  ASSERT_EQ(details.details_size(), 1);
  ASSERT_TRUE(details.details(0).UnpackTo(&retry));
  EXPECT_GE(retry.retry_delay().seconds(), 5);
  EXPECT_LE(retry.retry_delay().seconds(), 10);
}

TEST_F(TlsTest, CallsAreToldApartInTheLog) {
  WriteKeys("admin-key", ",{\"name\": \"limited\", \"role\": \"admin\", \"collections\": [\"d\"], \"sha256\": \"" +
                             Sha256Of("limited-key") + "\"}");
  Start({"--keys_file", Path("keys.json"), "--log_format", "json"});
  auto stub =
      v1::CollectionService::NewStub(grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  std::string made_up;
  for (const std::string& request_id : {std::string("order-7"), std::string()}) {
    grpc::ClientContext context;
    if (!request_id.empty()) {
      context.AddMetadata("x-request-id", request_id);
      context.AddMetadata("traceparent", trace);
    }
    context.AddMetadata("authorization", "Bearer limited-key");
    v1::DeleteCollectionRequest request;
    request.set_name("c\n\"x\"");
    v1::DeleteCollectionResponse response;
    EXPECT_EQ(stub->DeleteCollection(&context, request, &response).error_code(), grpc::StatusCode::PERMISSION_DENIED);
    const auto& metadata = context.GetServerInitialMetadata();
    ASSERT_EQ(metadata.count("x-request-id"), 1u);
    ASSERT_EQ(metadata.count("traceparent"), 1u);
    made_up = std::string(metadata.find("x-request-id")->second.data(), metadata.find("x-request-id")->second.size());
    if (!request_id.empty()) {
      EXPECT_EQ(made_up, request_id);
      EXPECT_EQ(metadata.find("traceparent")->second, trace);
    }
  }
  std::vector<std::string> logged;
  std::istringstream log(server_->AwaitLog(made_up));
  for (std::string line; std::getline(log, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    ASSERT_TRUE(json.is_object()) << line;
    EXPECT_TRUE(json.contains("time") && json.contains("level")) << line;
    if (json.value("event", "") != "audit") continue;
    EXPECT_EQ(json.value("collection", ""), "c\n\"x\"");
    EXPECT_EQ(json.value("key", ""), "limited");
    EXPECT_EQ(json.value("result", ""), "denied");
    logged.push_back(json.value("request_id", ""));
  }
  EXPECT_THAT(logged, ::testing::ElementsAre("order-7", made_up));
}

TEST_F(TlsTest, GrpcsOwnLinesAreLinesOfTheLog) {
  std::vector<std::string> flags = TlsFlags();
  flags.insert(flags.end(), {"--log_format", "json"});
  Start(flags);
  const RawConnection no_tls(server_->address());
  ASSERT_TRUE(no_tls.Send("this is no handshake\r\n\r\n"));
  std::istringstream log(server_->AwaitLog("gRPC: "));
  bool told = false;
  for (std::string line; std::getline(log, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    ASSERT_TRUE(json.is_object()) << line;
    told = told || line.find("gRPC: ") != std::string::npos;
  }
  EXPECT_TRUE(told);
}

}  // namespace
}  // namespace bebr::testing
