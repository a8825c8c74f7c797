// API keys and the file that lists them.
#ifndef BEBR_SERVER_ACCESS_KEYS_H_
#define BEBR_SERVER_ACCESS_KEYS_H_

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace bebr {

// What a call needs; each role includes those before it.
enum class Role { kRead, kWrite, kAdmin };
// "read", "write", "admin".
const char* RoleName(Role role);

using Sha256 = std::array<unsigned char, 32>;
Sha256 HashKey(std::string_view key);
// In a time that tells nothing of where they differ.
bool SameHash(const Sha256& a, const Sha256& b);

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
// "requests_per_s": 100, "bytes_per_s": 1000000}]}; without "collections" the key is for all, and an empty list is an
// error. INVALID_ARGUMENT names the entry and what is wrong with it.
absl::StatusOr<std::vector<ApiKey>> ParseKeys(std::string_view text);

}  // namespace bebr

#endif  // BEBR_SERVER_ACCESS_KEYS_H_
