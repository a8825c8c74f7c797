#ifndef BEBR_SERVER_AUTH_H_
#define BEBR_SERVER_AUTH_H_

#include <grpcpp/server_context.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

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
};

// Parses a keys file: {"keys": [{"name": "app", "sha256": "<64 hex digits>", "role": "read", "collections":
// ["papers"]}]}. INVALID_ARGUMENT names the entry and what is wrong with it.
absl::StatusOr<std::vector<ApiKey>> ParseKeys(std::string_view text);

// An Authenticator decides whether a caller may do something. The caller shows its key in the metadata "authorization:
// Bearer KEY". Without a keys file everything is allowed. What needs the role admin is written to the log, allowed or
// not.
//
// Thread safety: all methods may be called from any thread.
class Authenticator {
 public:
  // `keys_file` may be empty.
  static absl::StatusOr<std::unique_ptr<Authenticator>> Create(std::string keys_file);

  // UNAUTHENTICATED without a valid key, PERMISSION_DENIED for one that may not. An empty `collection` means none in
  // particular.
  absl::Status Check(const grpc::ServerContextBase& context, std::string_view method, Role role,
                     std::string_view collection) const;
  // Reads the keys file again. If it is not valid the old keys stay.
  absl::Status Reload();

 private:
  explicit Authenticator(std::string keys_file) : keys_file_(std::move(keys_file)) {}
  absl::StatusOr<std::string> Decide(const grpc::ServerContextBase& context, Role role,
                                     std::string_view collection) const;

  const std::string keys_file_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const std::vector<ApiKey>> keys_ ABSL_GUARDED_BY(mutex_);  // null: everything is allowed
};

}  // namespace bebr

#endif  // BEBR_SERVER_AUTH_H_
