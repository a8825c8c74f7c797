// Reading what is left of a store.
#ifndef BEBR_INDEX_STORAGE_DAMAGED_STORE_H_
#define BEBR_INDEX_STORAGE_DAMAGED_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/storage/collection_store.h"

namespace bebr {

// A DamagedStore reads a store of which table files are damaged or missing, and writes nothing. What it gives is what
// was written last, or an error: a value in a damaged file hides older ones, it does not bring them back.
//
// Errors. DATA_LOSS, naming the file, for what is in a damaged one. Thread safety: all methods are const and may run at
// the same time. Nobody may have the store open.
class DamagedStore {
 public:
  // DATA_LOSS if more than table files is damaged: a log, the MANIFEST, or what says how the store is laid out.
  static absl::StatusOr<std::unique_ptr<DamagedStore>> Open(const std::string& path);
  virtual ~DamagedStore() = default;

  virtual StoreMark mark() const = 0;
  virtual uint32_t format() const = 0;

  // Calls visit(id, attributes bytes) for every document of a shard in the order of the ids.
  using Visitor = std::function<absl::Status(std::string_view id, std::string_view attributes)>;
  virtual absl::Status VisitDocuments(uint32_t shard, const Visitor& visit) const = 0;
  // As stored; nullopt if there is none.
  virtual absl::StatusOr<std::optional<std::string>> GetCode(uint32_t space, uint32_t shard,
                                                             std::string_view id) const = 0;
  virtual absl::StatusOr<std::optional<std::string>> GetFloats(uint32_t embedding, uint32_t shard,
                                                               std::string_view id) const = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_DAMAGED_STORE_H_
