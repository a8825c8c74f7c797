#include "server/access/keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace bebr {
namespace {

constexpr double kMaxRate = 1e12;
constexpr const char* kRoles[] = {"read", "write", "admin"};

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
      // It may have been meant for none, or for all.
      if (value.empty())
        return error("has an empty list of collections; name some, or leave \"collections\" out for all of them");
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

}  // namespace

const char* RoleName(Role role) { return kRoles[static_cast<size_t>(role)]; }

bool SameHash(const Sha256& a, const Sha256& b) { return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

Sha256 HashKey(std::string_view key) {
  Sha256 hash;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), hash.data());
  return hash;
}

absl::StatusOr<std::vector<ApiKey>> ParseKeys(std::string_view text) {
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/true, /*ignore_comments=*/true);
  } catch (const nlohmann::json::exception& error) {
    // "[json.exception...] parse error at line 3, column 7: <what>"; of a number beyond a double without the place.
    const std::string_view what = error.what();
    const size_t where = what.find("at line");
    return absl::InvalidArgumentError(
        absl::StrFormat("is no JSON: %s", where == std::string_view::npos ? what : what.substr(where)));
  }
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

}  // namespace bebr
