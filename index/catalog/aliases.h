// Other names of collections, as a data directory keeps them (FORMAT.md).
#ifndef BEBR_INDEX_CATALOG_ALIASES_H_
#define BEBR_INDEX_CATALOG_ALIASES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bebr {

// All of them are written at each change.
inline constexpr size_t kMaxAliases = 10000;

// Collections by alias.
using Aliases = std::map<std::string, std::string, std::less<>>;

// Those of a data directory.
struct AliasList {
  Aliases aliases;
  uint64_t generation = 0;  // how often they were changed
};

// None if none were ever written. DATA_LOSS, naming the file, if it is damaged, or missing or an older copy though the
// aliases were changed `generation` times (CatalogRecord).
absl::StatusOr<AliasList> ReadAliases(const std::string& data_dir, uint64_t generation);

// Replaces all at once. An error: they are as before.
absl::Status WriteAliases(const std::string& data_dir, const AliasList& list);

}  // namespace bebr

#endif  // BEBR_INDEX_CATALOG_ALIASES_H_
