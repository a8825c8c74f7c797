// TLS, client certificates and API keys, with rotation.
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "tests/integration/fixture.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What `sha256sum` prints for a key.
std::string Sha256Of(const std::string& key) {
  const std::string command = "printf %s '" + key + "' | sha256sum";
  FILE* pipe = popen(command.c_str(), "r");
  char digits[65] = {};
  const size_t got = fread(digits, 1, 64, pipe);
  pclose(pipe);
  return std::string(digits, got);
}

class TlsTest : public ServerTest {
 protected:
  void SetUp() override {
    if (std::system("command -v openssl >/dev/null") != 0) GTEST_SKIP() << "openssl is not installed";
    MakeAuthority("ca");
    MakeCertificate("server", "ca");
  }

  void Shell(const std::string& command) {
    ASSERT_EQ(std::system((command + " >/dev/null 2>&1").c_str()), 0) << command;
  }
  void MakeAuthority(const std::string& name) {
    Shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" + name +
          " -keyout " + Path(name + ".key") + " -out " + Path(name + ".pem"));
  }
  void MakeCertificate(const std::string& name, const std::string& authority) {
    WriteFile("extensions", "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    Shell("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + name + " -keyout " +
          Path(name + ".key") + " -out " + Path(name + ".csr"));
    Shell("openssl x509 -req -days 2 -in " + Path(name + ".csr") + " -CA " + Path(authority + ".pem") + " -CAkey " +
          Path(authority + ".key") + " -CAcreateserial -extfile " + Path("extensions") + " -out " +
          Path(name + ".pem"));
  }
  std::vector<std::string> TlsFlags() {
    return {"--tls_cert_file", Path("server.pem"), "--tls_key_file", Path("server.key")};
  }
  absl::Status Try(ClientOptions options) {
    options.server = server_->address();
    options.deadline = absl::Seconds(20);
    return Client(options).ListCollections().status();
  }
  void WriteKeys(const std::string& admin_key) {
    const auto key = [](const std::string& text, const std::string& role, const std::string& more) {
      return "{\"name\": \"" + role + "\", \"sha256\": \"" + Sha256Of(text) + "\", \"role\": \"" + role + "\"" + more +
             "}";
    };
    WriteFile("keys.json", "{\"keys\": [" + key("reader-key", "read", ", \"collections\": [\"c\"]") + "," +
                               key("writer-key", "write", "") + "," + key(admin_key, "admin", "") + "]}");
  }
};

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
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("is not the key of the certificate"));
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
  server_->Signal(SIGHUP);
  while (server_->Log().find("keys read again") == std::string::npos)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(with("admin-key").DeleteCollection("secret").code(), absl::StatusCode::kUnauthenticated);
  WriteFile("keys.json", "{");
  server_->Signal(SIGHUP);
  while (server_->Log().find("keys stay as they were") == std::string::npos)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(with("new-admin-key").DeleteCollection("secret").ok());
  EXPECT_THAT(server_->Log(), HasSubstr("audit method=DeleteCollection collection=\"secret\" key=admin"));
  EXPECT_THAT(server_->Log(), Not(HasSubstr("admin-key")));
}

}  // namespace
}  // namespace bebr::testing
