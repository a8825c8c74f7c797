#ifndef BEBR_SERVER_ACCESS_AUTH_H_
#define BEBR_SERVER_ACCESS_AUTH_H_

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/mutex.h"
#include "server/access/limits.h"
#include "server/metrics/metrics.h"

namespace bebr {

// What a call needs; each role includes those before it.
enum class Role { kRead, kWrite, kAdmin };

using Sha256 = std::array<unsigned char, 32>;
Sha256 HashKey(std::string_view key);

// An API key as configured: never the key itself, only its SHA-256. Keys are long and random, so a fast hash is enough.
struct ApiKey {
  std::string name;  // for logs
  Sha256 hash;
  Role role = Role::kRead;
  std::vector<std::string> collections;  // empty: all
  double requests_per_s = 0;             // calls and messages of upsert streams; 0: no limit
  double bytes_per_s = 0;                // of requests; 0: no limit
};

// Parses a keys file: {"keys": [{"name": "app", "sha256": "<64 hex digits>", "role": "read", "collections": ["papers"],
// "requests_per_s": 100, "bytes_per_s": 1000000}]}. INVALID_ARGUMENT names the entry and what is wrong with it.
absl::StatusOr<std::vector<ApiKey>> ParseKeys(std::string_view text);

// Who calls, as far as access goes. The views are borrowed from the call.
struct Caller {
  std::string_view shown_key;   // of "authorization: Bearer KEY"; empty: none
  std::string peer;             // its address, for logs
  std::string_view request_id;  // for logs
};

// An Authenticator decides whether a caller may do something. The caller shows its key in the metadata "authorization:
// Bearer KEY". Without a keys file everything is allowed. What needs the role admin is written to the log, allowed or
// not. It also holds each key to its rates.
//
// Thread safety: all methods may be called from any thread.
class Authenticator {
 public:
  // `keys_file` may be empty. `metrics`, which may be null, counts what the rates refuse and must outlive it.
  static absl::StatusOr<std::unique_ptr<Authenticator>> Create(std::string keys_file, Metrics* metrics = nullptr);

  // UNAUTHENTICATED without a valid key, PERMISSION_DENIED for one that may not, RESOURCE_EXHAUSTED with the time to
  // wait (index/base/retry.h) for one whose rate is used up. An empty `collection` means none in particular; `bytes`
  // is the size of the request.
  absl::Status Check(const Caller& caller, std::string_view method, Role role, std::string_view collection,
                     uint64_t bytes = 0) const;
  // Whether Check would allow it but for the rates; counts and logs nothing.
  bool May(const Caller& caller, Role role, std::string_view collection) const;
  // Reads the keys file again. If it is not valid the old keys stay.
  absl::Status Reload();

 private:
  // A key in use, with what is left of its rates.
  struct LimitedKey : ApiKey {
    std::shared_ptr<TokenBucket> requests, bytes;                               // null: no limit
    prometheus::Counter *refused_requests = nullptr, *refused_bytes = nullptr;  // null: not counted
  };
  using Keys = std::vector<std::shared_ptr<const LimitedKey>>;
  struct Decision {
    absl::Status status;
    std::shared_ptr<const LimitedKey> key;  // null: no known key, or none is needed
  };

  Authenticator(std::string keys_file, Metrics* metrics) : keys_file_(std::move(keys_file)), metrics_(metrics) {}
  Decision Decide(std::string_view shown_key, Role role, std::string_view collection) const;
  absl::Status Charge(const LimitedKey& key, uint64_t bytes) const;
  std::shared_ptr<const LimitedKey> WithLimits(const ApiKey& key, const Keys* before) const;

  const std::string keys_file_;
  Metrics* const metrics_;
  mutable Mutex mutex_;
  std::shared_ptr<const Keys> keys_ ABSL_GUARDED_BY(mutex_);  // null: everything is allowed
};

}  // namespace bebr

#endif  // BEBR_SERVER_ACCESS_AUTH_H_
