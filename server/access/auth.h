// API keys: who may do what, and how much of it.
#ifndef BEBR_SERVER_ACCESS_AUTH_H_
#define BEBR_SERVER_ACCESS_AUTH_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/mutex.h"
#include "server/access/keys.h"
#include "server/access/limits.h"
#include "server/metrics/metrics.h"

namespace bebr {

// Who calls: the holder of a key, or, on a server without a keys file, anybody, who may do everything.
//
// A value, cheap to copy. It says what the key was good for when it was shown: when the file is read again, Identify
// must be asked again. Thread safety: all methods may be called from any thread.
class Identity {
 public:
  Identity() = default;  // anybody

  // The key's name; "none" for anybody.
  std::string_view name() const;
  // Whose share of what all callers share it takes: "key \"reader\"", or for anybody the peer's net, "host 10.0.0.1".
  std::string Holder(std::string_view peer) const;
  // PERMISSION_DENIED if the key's role is a lesser one.
  absl::Status MayDo(Role role) const;
  // PERMISSION_DENIED if the key is not for this collection. `named` is what the caller called it, an alias perhaps:
  // the error says no more than that, so that an alias tells nothing to a key that may not see what it stands for.
  absl::Status MayUse(std::string_view collection, std::string_view named) const;
  // Whether MayUse would allow it. A `collection` that is empty is none in particular, and allowed.
  bool Sees(std::string_view collection) const;
  // Takes a request of so many bytes off the key's rates. RESOURCE_EXHAUSTED with the time to wait
  // (index/base/retry.h) where one is used up; then nothing is to be done for it.
  absl::Status Charge(uint64_t bytes) const;

 private:
  friend class Authenticator;
  // A key in use, with what is left of its rates.
  struct Key : ApiKey {
    std::shared_ptr<TokenBucket> requests, bytes;                               // null: no limit
    prometheus::Counter *refused_requests = nullptr, *refused_bytes = nullptr;  // null: not counted
  };
  explicit Identity(std::shared_ptr<const Key> key) : key_(std::move(key)) {}

  std::shared_ptr<const Key> key_;  // null: anybody
};

// An Authenticator knows the keys: callers show one in the metadata "authorization: Bearer KEY". Without a keys file
// nobody needs one.
//
// Thread safety: all methods may be called from any thread.
class Authenticator {
 public:
  // `keys_file` may be empty. `metrics`, which may be null, counts what the rates refuse and must outlive it.
  static absl::StatusOr<std::unique_ptr<Authenticator>> Create(std::string keys_file, Metrics* metrics = nullptr);

  // Whose key this is. UNAUTHENTICATED if it is empty or not known.
  absl::StatusOr<Identity> Identify(std::string_view shown_key) const;
  // Reads the keys file again. If it is not valid the old keys stay.
  absl::Status Reload();

 private:
  using Keys = std::vector<std::shared_ptr<const Identity::Key>>;

  Authenticator(std::string keys_file, Metrics* metrics) : keys_file_(std::move(keys_file)), metrics_(metrics) {}
  std::shared_ptr<const Identity::Key> WithLimits(const ApiKey& key, const Keys* before) const;

  const std::string keys_file_;
  Metrics* const metrics_;
  mutable Mutex mutex_;
  std::shared_ptr<const Keys> keys_ ABSL_GUARDED_BY(mutex_);  // null: everything is allowed
};

}  // namespace bebr

#endif  // BEBR_SERVER_ACCESS_AUTH_H_
