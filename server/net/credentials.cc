#include "server/net/credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/clock.h"
#include "index/base/file.h"
#include "index/base/logging.h"
#include "index/base/mutex.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

absl::StatusOr<std::string> ReadPem(const char* option, const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return absl::InvalidArgumentError(absl::StrFormat("%s %s", option, text.status().message()));
  if (text->find("-----BEGIN ") == std::string::npos)
    return absl::InvalidArgumentError(absl::StrFormat("%s \"%s\" is not a PEM file", option, path));
  return text;
}

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using PrivateKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Certificate ParseCertificate(const std::string& pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  return {PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free};
}

// Where the date makes no sense, `otherwise`.
absl::Time TimeOf(const ASN1_TIME* time, absl::Time otherwise) {
  std::tm broken_down{};
  return ASN1_TIME_to_tm(time, &broken_down) == 1 ? absl::FromTM(broken_down, absl::UTCTimeZone()) : otherwise;
}

// Clients refuse a certificate outside its time, so the server does.
absl::Status CheckDates(const ServerConfig& config, const X509& certificate, absl::Time* expiry) {
  *expiry = TimeOf(X509_get0_notAfter(&certificate), absl::InfiniteFuture());
  const absl::Time begin = TimeOf(X509_get0_notBefore(&certificate), absl::InfinitePast());
  const absl::Time now = absl::Now();
  if (*expiry <= now) {
    return absl::InvalidArgumentError(absl::StrFormat("the certificate in tls_cert_file \"%s\" has expired: %s",
                                                      config.tls_cert_file,
                                                      absl::FormatTime(*expiry, absl::UTCTimeZone())));
  }
  if (begin <= now) return absl::OkStatus();
  // Which may pass, as where a machine's clock is not set yet: no wrong configuration.
  return absl::FailedPreconditionError(absl::StrFormat(
      "the certificate in tls_cert_file \"%s\" is not valid before %s; is this machine's clock right (%s)?",
      config.tls_cert_file, absl::FormatTime(begin, absl::UTCTimeZone()), absl::FormatTime(now, absl::UTCTimeZone())));
}

// A certificate of one key with another key breaks every handshake, so a half-finished rotation must not be put to use.
absl::Status CheckPair(const ServerConfig& config, PemFiles& files) {
  const Certificate certificate = ParseCertificate(files.cert);
  if (certificate == nullptr)
    return absl::InvalidArgumentError(
        absl::StrFormat("tls_cert_file \"%s\" holds no certificate", config.tls_cert_file));
  const Bio bio(BIO_new_mem_buf(files.key.data(), static_cast<int>(files.key.size())), BIO_free);
  const PrivateKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  if (key == nullptr)
    return absl::InvalidArgumentError(absl::StrFormat("tls_key_file \"%s\" holds no private key", config.tls_key_file));
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrFormat("tls_key_file \"%s\" is not the key of the certificate in tls_cert_file \"%s\"",
                        config.tls_key_file, config.tls_cert_file));
  }
  BEBR_RETURN_IF_ERROR(CheckDates(config, *certificate, &files.expiry));
  if (!files.client_ca.empty() && ParseCertificate(files.client_ca) == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrFormat("tls_client_ca_file \"%s\" holds no certificate", config.tls_client_ca_file));
  }
  return absl::OkStatus();
}

// Credentials that look at their files before a handshake, once a second at most.
class ReloadingCredentials final : public grpc::ServerCredentials {
 public:
  ReloadingCredentials(const ServerConfig& config, PemFiles files, Metrics* metrics)
      : config_(config), metrics_(metrics), files_(std::move(files)) {
    metrics_->SetCertificateExpiry(files_.expiry);
    stamp_ = StampOf(config);
    const auto demand = config.tls_client_ca_file.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                                          : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
    credentials_ = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(demand, &ReloadingCredentials::Fetch, this));
  }
  ~ReloadingCredentials() override { grpc_server_credentials_release(credentials_); }

 private:
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {
  }  // keys are checked by the handlers
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  static grpc_ssl_certificate_config_reload_status Fetch(void* self, grpc_ssl_server_certificate_config** config) {
    return static_cast<ReloadingCredentials*>(self)->Refresh(config);
  }

  grpc_ssl_certificate_config_reload_status Refresh(grpc_ssl_server_certificate_config** config) {
    MutexLock lock(&mutex_);
    if (!first_ && !Changed()) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    first_ = false;
    grpc_ssl_pem_key_cert_pair pair = {files_.key.c_str(), files_.cert.c_str()};
    // gRPC insists on authorities even where it asks clients for no certificate and so never uses them.
    const std::string& authorities = files_.client_ca.empty() ? files_.cert : files_.client_ca;
    *config = grpc_ssl_server_certificate_config_create(authorities.c_str(), &pair, 1);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  // Whether there are new valid files, which are then in files_.
  bool Changed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (SteadyNow() < next_look_) return false;
    next_look_ = SteadyNow() + absl::Seconds(1);
    const auto stamp = StampOf(config_);
    if (stamp == stamp_) return false;
    auto files = ReadPemFiles(config_);
    if (!files.ok()) {
      // Looked at again a second later: the other file of the pair may follow, or the certificate's time may come.
      if (std::exchange(failed_stamp_, stamp) == stamp) return false;
      metrics_->Reloaded(Reloadable::kCertificate, false);
      LogError("new TLS files are not used, the old ones stay in use: {}", std::string(files.status().message()));
      return false;
    }
    metrics_->Reloaded(Reloadable::kCertificate, true);
    stamp_ = stamp;
    files_ = *std::move(files);
    metrics_->SetCertificateExpiry(files_.expiry);
    LogInfo("new TLS certificate in use: {}", config_.tls_cert_file);
    return true;
  }

  const ServerConfig config_;
  Metrics* const metrics_;
  grpc_server_credentials* credentials_ = nullptr;
  Mutex mutex_;
  PemFiles files_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::filesystem::file_time_type> stamp_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::filesystem::file_time_type> failed_stamp_ ABSL_GUARDED_BY(mutex_);  // of files found not valid
  SteadyTime next_look_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  bool first_ ABSL_GUARDED_BY(mutex_) = true;
};

}  // namespace

absl::StatusOr<PemFiles> ReadPemFiles(const ServerConfig& config) {
  PemFiles files;
  BEBR_ASSIGN_OR_RETURN(files.cert, ReadPem("tls_cert_file", config.tls_cert_file));
  BEBR_ASSIGN_OR_RETURN(files.key, ReadPem("tls_key_file", config.tls_key_file));
  if (!config.tls_client_ca_file.empty()) {
    BEBR_ASSIGN_OR_RETURN(files.client_ca, ReadPem("tls_client_ca_file", config.tls_client_ca_file));
  }
  BEBR_RETURN_IF_ERROR(CheckPair(config, files));
  return files;
}

std::vector<std::filesystem::file_time_type> StampOf(const ServerConfig& config) {
  std::vector<std::filesystem::file_time_type> times;
  for (const std::string* path : {&config.tls_cert_file, &config.tls_key_file, &config.tls_client_ca_file}) {
    std::error_code error;
    times.push_back(path->empty() ? std::filesystem::file_time_type() : std::filesystem::last_write_time(*path, error));
  }
  return times;
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeCredentials(const ServerConfig& config, Metrics* metrics) {
  if (config.tls_cert_file.empty()) return grpc::InsecureServerCredentials();
  BEBR_ASSIGN_OR_RETURN(PemFiles files, ReadPemFiles(config));
  return std::shared_ptr<grpc::ServerCredentials>(
      std::make_shared<ReloadingCredentials>(config, std::move(files), metrics));
}

}  // namespace bebr
