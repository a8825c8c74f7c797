// A server with certificates and keys of its own making.
#ifndef BEBR_TESTS_INTEGRATION_TLS_FIXTURE_H_
#define BEBR_TESTS_INTEGRATION_TLS_FIXTURE_H_

#include <string>
#include <vector>

#include "tests/integration/fixture.h"

namespace bebr::testing {

// What `sha256sum` prints for a key.
std::string Sha256Of(const std::string& key);

// Makes authorities, certificates and keys in the test's directory with the command openssl; skipped where that is not
// installed.
class TlsTest : public ServerTest {
 protected:
  // Makes the authority "ca" and the server's certificate, "server".
  void SetUp() override;

  void Shell(const std::string& command);
  void MakeAuthority(const std::string& name);
  // NAME.pem and NAME.key, for localhost, signed by an authority. Valid now, or on the first day of `year`.
  void MakeCertificate(const std::string& name, const std::string& authority, const std::string& year = "");
  std::vector<std::string> TlsFlags() {
    return {"--tls_cert_file", Path("server.pem"), "--tls_key_file", Path("server.key")};
  }
  // Lists the collections.
  absl::Status Try(ClientOptions options);
  // keys.json: "reader-key" for collection c, "writer-key", and an admin key. `more` are further entries, each with a
  // comma before it.
  void WriteKeys(const std::string& admin_key, const std::string& more = "");
  // SIGHUP, and until the log has `line` once more.
  void ReloadKeys(const std::string& line);
};

}  // namespace bebr::testing

#endif  // BEBR_TESTS_INTEGRATION_TLS_FIXTURE_H_
