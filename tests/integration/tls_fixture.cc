#include "tests/integration/tls_fixture.h"

#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <thread>

namespace bebr::testing {
namespace {

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

std::string Sha256Of(const std::string& key) {
  const std::string command = "printf %s '" + key + "' | sha256sum";
  FILE* pipe = popen(command.c_str(), "r");
  char digits[65] = {};
  const size_t got = fread(digits, 1, 64, pipe);
  pclose(pipe);
  return std::string(digits, got);
}

void TlsTest::SetUp() {
  ASSERT_EQ(std::system("command -v openssl >/dev/null"), 0) << "openssl is not installed";
  MakeAuthority("ca");
  MakeCertificate("server", "ca");
}

void TlsTest::Shell(const std::string& command) {
  ASSERT_EQ(std::system((command + " >/dev/null 2>&1").c_str()), 0) << command;
}

void TlsTest::MakeAuthority(const std::string& name) {
  Shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" + name + " -keyout " +
        Path(name + ".key") + " -out " + Path(name + ".pem"));
}

void TlsTest::MakeCertificate(const std::string& name, const std::string& authority, const std::string& year) {
  WriteFile("extensions", "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  Shell("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + name + " -keyout " +
        Path(name + ".key") + " -out " + Path(name + ".csr"));
  const std::string signer =
      " -in " + Path(name + ".csr") + " -extfile " + Path("extensions") + " -out " + Path(name + ".pem");
  if (year.empty()) {
    Shell("openssl x509 -req -days 2" + signer + " -CA " + Path(authority + ".pem") + " -CAkey " +
          Path(authority + ".key") + " -CAcreateserial");
    return;
  }
  // Only `openssl ca` takes any dates.
  WriteFile("issued", "");
  WriteFile("ca.cnf", "[ca]\ndefault_ca = d\n[d]\ndatabase = " + Path("issued") +
                          "\nnew_certs_dir = " + directory_.path() +
                          "\nrand_serial = yes\ndefault_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n");
  Shell("openssl ca -batch -notext -config " + Path("ca.cnf") + signer + " -cert " + Path(authority + ".pem") +
        " -keyfile " + Path(authority + ".key") + " -startdate " + year + "0101000000Z -enddate " + year +
        "0102000000Z");
}

absl::Status TlsTest::Try(ClientOptions options) {
  options.server = server_->address();
  options.deadline = absl::Seconds(20);
  return Client(options).ListCollections().status();
}

void TlsTest::WriteKeys(const std::string& admin_key, const std::string& more) {
  const auto key = [](const std::string& text, const std::string& role, const std::string& limits) {
    return "{\"name\": \"" + role + "\", \"sha256\": \"" + Sha256Of(text) + "\", \"role\": \"" + role + "\"" + limits +
           "}";
  };
  WriteFile("keys.json", "{\"keys\": [" + key("reader-key", "read", ", \"collections\": [\"c\"]") + "," +
                             key("writer-key", "write", "") + "," + key(admin_key, "admin", "") + more + "]}");
}

void TlsTest::ReloadKeys(const std::string& line) {
  const size_t before = Count(server_->Log(), line);
  server_->Signal(SIGHUP);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (Count(server_->Log(), line) == before && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_GT(Count(server_->Log(), line), before) << server_->Log();
}

}  // namespace bebr::testing
