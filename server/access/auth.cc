#include "server/access/auth.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/file.h"
#include "index/base/logging.h"
#include "index/base/retry.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "nlohmann/json.hpp"

namespace bebr {
namespace {

constexpr double kMaxRate = 1e12;
constexpr const char* kRoles[] = {"read", "write", "admin"};

const char* RoleName(Role role) { return kRoles[static_cast<size_t>(role)]; }

bool IsHexHash(std::string_view text) {
  return text.size() == 2 * sizeof(Sha256) &&
         text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

absl::StatusOr<ApiKey> ParseKey(size_t index, const nlohmann::json& entry) {
  const auto error = [&](std::string_view what) {
    return absl::InvalidArgumentError(absl::StrFormat("keys[%d] %s", index, what));
  };
  if (!entry.is_object()) return error("is not an object");
  ApiKey key;
  for (const auto& [name, value] : entry.items()) {
    if (name == "name" && value.is_string()) {
      key.name = value;
    } else if (name == "sha256" && value.is_string()) {
      if (!IsHexHash(value.get<std::string>())) return error("has a sha256 that is not 64 hexadecimal digits");
      const std::string bytes = absl::HexStringToBytes(value.get<std::string>());
      std::copy(bytes.begin(), bytes.end(), key.hash.begin());
    } else if (name == "role" && value.is_string()) {
      const auto* role = std::find(std::begin(kRoles), std::end(kRoles), value.get<std::string>());
      if (role == std::end(kRoles)) return error("has a role that is not read, write or admin");
      key.role = static_cast<Role>(role - std::begin(kRoles));
    } else if (name == "collections" && value.is_array() &&
               std::all_of(value.begin(), value.end(), [](const auto& item) { return item.is_string(); })) {
      key.collections = value.get<std::vector<std::string>>();
    } else if ((name == "requests_per_s" || name == "bytes_per_s") && value.is_number()) {
      const double rate = value;
      if (!(rate > 0 && rate <= kMaxRate)) {
        return error(absl::StrFormat("has a %s of %g; it is above 0 and at most %g", name, rate, kMaxRate));
      }
      (name == "requests_per_s" ? key.requests_per_s : key.bytes_per_s) = rate;
    } else {
      return error(absl::StrFormat(
          "has \"%s\", which is unknown or of the wrong type; a key has name, sha256, role, collections, "
          "requests_per_s, bytes_per_s",
          name));
    }
  }
  if (key.name.empty() || !entry.contains("sha256") || !entry.contains("role"))
    return error("lacks name, sha256 or role");
  return key;
}

bool SameHash(const Sha256& a, const Sha256& b) { return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

}  // namespace

Sha256 HashKey(std::string_view key) {
  Sha256 hash;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), hash.data());
  return hash;
}

absl::StatusOr<std::vector<ApiKey>> ParseKeys(std::string_view text) {
  const nlohmann::json json =
      nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false, /*ignore_comments=*/true);
  if (!json.is_object() || !json.contains("keys") || !json["keys"].is_array() || json["keys"].empty()) {
    return absl::InvalidArgumentError(
        "keys is missing or empty; the file is {\"keys\": [{\"name\", \"sha256\", \"role\"}, ...]}");
  }
  std::vector<ApiKey> keys;
  for (const auto& entry : json["keys"]) {
    BEBR_ASSIGN_OR_RETURN(ApiKey key, ParseKey(keys.size(), entry));
    keys.push_back(std::move(key));
  }
  return keys;
}

absl::StatusOr<std::unique_ptr<Authenticator>> Authenticator::Create(std::string keys_file, Metrics* metrics) {
  auto authenticator = std::unique_ptr<Authenticator>(new Authenticator(std::move(keys_file), metrics));
  if (!authenticator->keys_file_.empty()) BEBR_RETURN_IF_ERROR(authenticator->Reload());
  return authenticator;
}

// The key with buckets of its own, or those that it had before if its rates are the same: reading the file again is no
// way to more calls.
std::shared_ptr<const Authenticator::LimitedKey> Authenticator::WithLimits(const ApiKey& key,
                                                                           const Keys* before) const {
  auto limited = std::make_shared<LimitedKey>();
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
  if (!text.ok()) return absl::Status(text.status().code(), absl::StrCat("keys_file ", text.status().message()));
  auto keys = ParseKeys(*text);
  if (!keys.ok())
    return absl::InvalidArgumentError(absl::StrFormat("keys_file \"%s\": %s", keys_file_, keys.status().message()));
  MutexLock lock(&mutex_);
  auto shared = std::make_shared<Keys>();
  for (const ApiKey& key : *keys) shared->push_back(WithLimits(key, keys_.get()));
  keys_ = std::move(shared);
  return absl::OkStatus();
}

Authenticator::Decision Authenticator::Decide(std::string_view shown_key, Role role,
                                              std::string_view collection) const {
  std::shared_ptr<const Keys> keys;
  {
    MutexLock lock(&mutex_);
    keys = keys_;
  }
  if (keys == nullptr) return {};
  if (shown_key.empty())
    return {absl::UnauthenticatedError("this server wants an API key in the metadata \"authorization: Bearer KEY\"")};
  // Compares with all keys, each in constant time, so that the time tells nothing about them.
  const Sha256 hash = HashKey(shown_key);
  std::shared_ptr<const LimitedKey> key;
  for (const auto& known : *keys) {
    if (SameHash(known->hash, hash)) key = known;
  }
  if (key == nullptr) return {absl::UnauthenticatedError("the API key is not known to this server")};
  if (key->role < role) {
    return {absl::PermissionDeniedError(absl::StrFormat("key \"%s\" has the role %s; this call needs %s", key->name,
                                                        RoleName(key->role), RoleName(role))),
            key};
  }
  const auto& allowed = key->collections;
  if (!collection.empty() && !allowed.empty() &&
      std::find(allowed.begin(), allowed.end(), collection) == allowed.end()) {
    return {absl::PermissionDeniedError(absl::StrFormat("key \"%s\" is not for collection \"%s\"", key->name,
                                                        collection.substr(0, kMaxCollectionNameBytes))),
            key};
  }
  return {absl::OkStatus(), key};
}

absl::Status Authenticator::Charge(const LimitedKey& key, uint64_t bytes) const {
  const absl::Time now = absl::Now();
  const auto take = [&](TokenBucket* bucket, double amount, double rate, const char* unit,
                        prometheus::Counter* refused) -> absl::Status {
    const absl::Duration wait = bucket == nullptr ? absl::ZeroDuration() : bucket->Take(amount, now);
    if (wait == absl::ZeroDuration()) return absl::OkStatus();
    if (refused != nullptr) refused->Increment();
    return TryAgainLater(absl::StrFormat("key \"%s\" may send %g %s a second and has done so; try again in %s",
                                         key.name, rate, unit, absl::FormatDuration(wait)),
                         wait);
  };
  BEBR_RETURN_IF_ERROR(take(key.requests.get(), 1, key.requests_per_s, "requests", key.refused_requests));
  return take(key.bytes.get(), static_cast<double>(bytes), key.bytes_per_s, "bytes", key.refused_bytes);
}

absl::Status Authenticator::Check(const Caller& caller, std::string_view method, Role role, std::string_view collection,
                                  uint64_t bytes) const {
  const Decision decision = Decide(caller.shown_key, role, collection);
  const bool known = decision.key != nullptr;
  if (role == Role::kAdmin) {
    LogEvent(LogLevel::kInfo, "audit",
             {{"method", method},
              {"collection", collection.substr(0, kMaxCollectionNameBytes)},
              {"key", known                  ? std::string_view(decision.key->name)
                      : decision.status.ok() ? "none"
                                             : "unknown"},
              {"peer", caller.peer},
              {"request_id", caller.request_id},
              {"result", decision.status.ok() ? "allowed" : "denied"}});
  }
  if (!decision.status.ok() || !known) return decision.status;
  return Charge(*decision.key, bytes);
}

bool Authenticator::May(const Caller& caller, Role role, std::string_view collection) const {
  return Decide(caller.shown_key, role, collection).status.ok();
}

}  // namespace bebr
