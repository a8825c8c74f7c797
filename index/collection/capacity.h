// What fits: the memory formula, and the checks of memory and disk that writes and new collections must pass.
#ifndef BEBR_INDEX_COLLECTION_CAPACITY_H_
#define BEBR_INDEX_COLLECTION_CAPACITY_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/catalog/manifest.h"
#include "index/collection/collection.h"
#include "index/types/collection.h"

namespace bebr {

// Of memory, that a document's attributes take in the mean, now: columns, texts, posting lists.
double AttributeBytesNow(const Collection& collection);

// Mean length of an id where nobody says another one.
inline constexpr double kUsualIdBytes = 16;

// The memory formula of index/README.md: bytes that a collection of this manifest takes for `documents` documents with
// ids of `id_bytes` bytes on average and attributes as told.
MemoryUse EstimateMemory(const CollectionManifest& manifest, uint64_t documents, double id_bytes,
                         const AttributeLoad& attributes = {});

// INVALID_ARGUMENT if no documents have such attributes.
absl::Status CheckLoad(const AttributeLoad& load);

// A Capacity refuses what would not fit, and counts what it refuses. All errors are RESOURCE_EXHAUSTED and say which
// limit it is and what to do; waiting does not help.
//
// Thread safety: all methods may be called from any thread.
class Capacity {
 public:
  // The free space that counts is that of data_dir's file system.
  // An `unlimited` one refuses nothing.
  explicit Capacity(std::string data_dir, bool unlimited = false)
      : data_dir_(std::move(data_dir)), unlimited_(unlimited) {}

  // The memory of all collections, and what the disk must have left; 0: no limit, as at first. May come at any time.
  void SetLimits(uint64_t memory_limit_bytes, uint64_t min_free_disk_bytes) {
    memory_limit_bytes_ = memory_limit_bytes;
    min_free_disk_bytes_ = min_free_disk_bytes;
  }

  // An error once the collections hold memory_limit_bytes; `used_bytes` is what they hold, beside what only kept views
  // still see of them.
  absl::Status CheckMemory(uint64_t used_bytes, uint64_t kept_bytes = 0);
  // An error while the disk has less than min_free_disk_bytes: a full disk would stop deletes and compactions too, and
  // those are what makes room.
  absl::Status CheckDisk();
  // An error if `documents` documents of such a collection would not fit, by the memory formula, beside what the other
  // `collections` hold or expect. Attributes count as the documents that are there have them in the mean; of a
  // collection that is none of `collections` they are not known.
  absl::Status CheckFits(const CollectionManifest& manifest, uint64_t documents,
                         absl::Span<const std::shared_ptr<Collection>> collections) const;

  // How often CheckMemory and CheckDisk refused.
  uint64_t refused_memory() const { return refused_memory_.load(std::memory_order_relaxed); }
  uint64_t refused_disk() const { return refused_disk_.load(std::memory_order_relaxed); }

 private:
  const std::string data_dir_;
  const bool unlimited_;
  std::atomic<uint64_t> memory_limit_bytes_{0};
  std::atomic<uint64_t> min_free_disk_bytes_{0};
  std::atomic<uint64_t> refused_memory_{0};
  std::atomic<uint64_t> refused_disk_{0};
};

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_CAPACITY_H_
