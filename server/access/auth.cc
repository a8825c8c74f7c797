#include "server/access/auth.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/clock.h"
#include "index/base/file.h"
#include "index/base/retry.h"
#include "index/base/status_macros.h"
#include "index/engine.h"

namespace bebr {

std::string_view Identity::name() const { return key_ == nullptr ? std::string_view("none") : key_->name; }

std::string Identity::Holder(std::string_view peer) const {
  if (key_ != nullptr) return absl::StrFormat("key \"%s\"", key_->name);
  const std::string net = NetOfPeer(peer);
  return "host " + net.substr(net.find(':') + 1);
}

absl::Status Identity::MayDo(Role role) const {
  if (key_ == nullptr || key_->role >= role) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrFormat("key \"%s\" has the role %s; this call needs %s", key_->name,
                                                     RoleName(key_->role), RoleName(role)));
}

bool Identity::Sees(std::string_view collection) const {
  if (key_ == nullptr || collection.empty() || key_->collections.empty()) return true;
  return std::find(key_->collections.begin(), key_->collections.end(), collection) != key_->collections.end();
}

absl::Status Identity::MayUse(std::string_view collection, std::string_view named) const {
  if (Sees(collection)) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrFormat("key \"%s\" is not for collection \"%s\"", key_->name, named.substr(0, kMaxCollectionNameBytes)));
}

absl::Status Identity::Charge(uint64_t bytes) const {
  if (key_ == nullptr) return absl::OkStatus();
  const Key& key = *key_;
  const SteadyTime now = SteadyNow();
  const auto take = [&](TokenBucket* bucket, double amount, double rate, const char* unit,
                        prometheus::Counter* refused) -> absl::Status {
    const absl::Duration wait = bucket == nullptr ? absl::ZeroDuration() : bucket->Take(amount, now);
    if (wait == absl::ZeroDuration()) return absl::OkStatus();
    if (refused != nullptr) refused->Increment();
    return TryAgainLater(
        absl::StrFormat("key \"%s\" may send %g %s a second and has done so; try again in %s", key.name, rate, unit,
                        absl::FormatDuration(absl::Ceil(wait, absl::Milliseconds(1)))),
        wait);
  };
  BEBR_RETURN_IF_ERROR(take(key.requests.get(), 1, key.requests_per_s, "requests", key.refused_requests));
  return take(key.bytes.get(), static_cast<double>(bytes), key.bytes_per_s, "bytes", key.refused_bytes);
}

absl::StatusOr<std::unique_ptr<Authenticator>> Authenticator::Create(std::string keys_file, Metrics* metrics) {
  auto authenticator = std::unique_ptr<Authenticator>(new Authenticator(std::move(keys_file), metrics));
  if (!authenticator->keys_file_.empty()) BEBR_RETURN_IF_ERROR(authenticator->Reload());
  return authenticator;
}

// The key with buckets of its own, or those that it had before if its rates are the same: reading the file again is no
// way to more calls.
std::shared_ptr<const Identity::Key> Authenticator::WithLimits(const ApiKey& key, const Keys* before) const {
  auto limited = std::make_shared<Identity::Key>();
  static_cast<ApiKey&>(*limited) = key;
  if (key.requests_per_s > 0) limited->requests = std::make_shared<TokenBucket>(key.requests_per_s);
  if (key.bytes_per_s > 0) limited->bytes = std::make_shared<TokenBucket>(key.bytes_per_s);
  if (metrics_ != nullptr && key.requests_per_s > 0)
    limited->refused_requests = &metrics_->RateLimited(key.name, "requests_per_s");
  if (metrics_ != nullptr && key.bytes_per_s > 0)
    limited->refused_bytes = &metrics_->RateLimited(key.name, "bytes_per_s");
  if (before == nullptr) return limited;
  for (const auto& old : *before) {
    if (!SameHash(old->hash, key.hash)) continue;
    if (old->requests_per_s == key.requests_per_s) limited->requests = old->requests;
    if (old->bytes_per_s == key.bytes_per_s) limited->bytes = old->bytes;
  }
  return limited;
}

absl::Status Authenticator::Reload() {
  const absl::StatusOr<std::string> text = ReadFile(keys_file_);
  if (!text.ok()) return absl::InvalidArgumentError(absl::StrCat("keys_file ", text.status().message()));
  auto keys = ParseKeys(*text);
  if (!keys.ok())
    return absl::InvalidArgumentError(absl::StrFormat("keys_file \"%s\": %s", keys_file_, keys.status().message()));
  MutexLock lock(&mutex_);
  auto shared = std::make_shared<Keys>();
  for (const ApiKey& key : *keys) shared->push_back(WithLimits(key, keys_.get()));
  keys_ = std::move(shared);
  return absl::OkStatus();
}

absl::StatusOr<Identity> Authenticator::Identify(std::string_view shown_key) const {
  std::shared_ptr<const Keys> keys;
  {
    MutexLock lock(&mutex_);
    keys = keys_;
  }
  if (keys == nullptr) return Identity();
  if (shown_key.empty())
    return absl::UnauthenticatedError("this server wants an API key in the metadata \"authorization: Bearer KEY\"");
  // Compares with all keys, each in constant time, so that the time tells nothing about them.
  const Sha256 hash = HashKey(shown_key);
  std::shared_ptr<const Identity::Key> key;
  for (const auto& known : *keys) {
    if (SameHash(known->hash, hash)) key = known;
  }
  if (key == nullptr) return absl::UnauthenticatedError("the API key is not known to this server");
  return Identity(std::move(key));
}

}  // namespace bebr
