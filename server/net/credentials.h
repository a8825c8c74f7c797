// TLS, with certificates that change while the server runs.
#ifndef BEBR_SERVER_NET_CREDENTIALS_H_
#define BEBR_SERVER_NET_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config/config.h"
#include "server/metrics/metrics.h"

namespace bebr {

// The TLS files, as PEM text.
struct PemFiles {
  std::string cert;
  std::string key;
  std::string client_ca;  // empty: clients need no certificate
  absl::Time expiry;      // of the certificate
};
// Reads the files that the configuration names. INVALID_ARGUMENT names the file that is missing or not what it should
// be, a key that is not the certificate's, or the date of a certificate that has expired; FAILED_PRECONDITION that of
// one that is not valid yet.
absl::StatusOr<PemFiles> ReadPemFiles(const ServerConfig& config);
// Changes when one of the files is written again.
std::vector<std::filesystem::file_time_type> StampOf(const ServerConfig& config);

// What the gRPC listener uses: plaintext, TLS, or TLS that demands a client certificate. With TLS the files are read
// again when one of them changes; a certificate that does not belong to its key, or is outside its time, is not put to
// use, the log says so, and the last good pair goes on.
//
// Ownership: must live as long as the server that uses it. Errors: INVALID_ARGUMENT names the file that is missing or
// not what it should be, or the date of a certificate outside its time (FAILED_PRECONDITION: not yet). `metrics` is
// told of the certificate in use; it must outlive the credentials.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeCredentials(const ServerConfig& config, Metrics* metrics);

}  // namespace bebr

#endif  // BEBR_SERVER_NET_CREDENTIALS_H_
