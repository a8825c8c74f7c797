#include "server/auth.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace bebr {
namespace {

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
    } else {
      return error(absl::StrFormat(
          "has \"%s\", which is unknown or of the wrong type; a key has name, sha256, role, collections", name));
    }
  }
  if (key.name.empty() || !entry.contains("sha256") || !entry.contains("role"))
    return error("lacks name, sha256 or role");
  return key;
}

// Compares with all keys, each in constant time, so that the time tells nothing about them.
const ApiKey* FindKey(const std::vector<ApiKey>& keys, std::string_view shown) {
  const Sha256 hash = HashKey(shown);
  const ApiKey* found = nullptr;
  for (const ApiKey& key : keys) {
    if (CRYPTO_memcmp(key.hash.data(), hash.data(), hash.size()) == 0) found = &key;
  }
  return found;
}

std::string_view BearerKey(const grpc::ServerContextBase& context) {
  constexpr std::string_view kPrefix = "Bearer ";
  const auto found = context.client_metadata().find("authorization");
  if (found == context.client_metadata().end()) return {};
  const std::string_view value(found->second.data(), found->second.size());
  return value.substr(0, kPrefix.size()) == kPrefix ? value.substr(kPrefix.size()) : std::string_view();
}

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

absl::StatusOr<std::unique_ptr<Authenticator>> Authenticator::Create(std::string keys_file) {
  auto authenticator = std::unique_ptr<Authenticator>(new Authenticator(std::move(keys_file)));
  if (!authenticator->keys_file_.empty()) BEBR_RETURN_IF_ERROR(authenticator->Reload());
  return authenticator;
}

absl::Status Authenticator::Reload() {
  std::ifstream file(keys_file_);
  if (!file) return absl::NotFoundError(absl::StrFormat("keys_file \"%s\" cannot be read", keys_file_));
  std::stringstream text;
  text << file.rdbuf();
  auto keys = ParseKeys(text.str());
  if (!keys.ok())
    return absl::InvalidArgumentError(absl::StrFormat("keys_file \"%s\": %s", keys_file_, keys.status().message()));
  auto shared = std::make_shared<const std::vector<ApiKey>>(*std::move(keys));
  absl::MutexLock lock(&mutex_);
  keys_ = std::move(shared);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Authenticator::Decide(const grpc::ServerContextBase& context, Role role,
                                                  std::string_view collection) const {
  std::shared_ptr<const std::vector<ApiKey>> keys;
  {
    absl::MutexLock lock(&mutex_);
    keys = keys_;
  }
  if (keys == nullptr) return std::string("-");
  const std::string_view shown = BearerKey(context);
  if (shown.empty())
    return absl::UnauthenticatedError("this server wants an API key in the metadata \"authorization: Bearer KEY\"");
  const ApiKey* key = FindKey(*keys, shown);
  if (key == nullptr) return absl::UnauthenticatedError("the API key is not known to this server");
  if (key->role < role) {
    return absl::PermissionDeniedError(absl::StrFormat("key \"%s\" has the role %s; this call needs %s", key->name,
                                                       RoleName(key->role), RoleName(role)));
  }
  const auto& allowed = key->collections;
  if (!collection.empty() && !allowed.empty() &&
      std::find(allowed.begin(), allowed.end(), collection) == allowed.end()) {
    return absl::PermissionDeniedError(
        absl::StrFormat("key \"%s\" is not for collection \"%s\"", key->name, collection));
  }
  return key->name;
}

absl::Status Authenticator::Check(const grpc::ServerContextBase& context, std::string_view method, Role role,
                                  std::string_view collection) const {
  const auto caller = Decide(context, role, collection);
  if (role == Role::kAdmin) {
    LogInfo("audit method={} collection=\"{}\" key={} peer={} {}", method,
            absl::CEscape(std::string(collection.substr(0, 128))), caller.ok() ? *caller : "?", context.peer(),
            caller.ok() ? "allowed" : "denied");
  }
  return caller.status();
}

}  // namespace bebr
