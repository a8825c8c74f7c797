#include "index/collection/capacity.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "absl/strings/str_format.h"
#include "index/base/machine_memory.h"
#include "index/base/retry.h"
#include "index/segment/segment.h"
#include "index/simd/kernels.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

// Capacity of a flat hash set that grew to `count` entries: 2^m - 1 slots, of which 7/8 are used at most.
uint64_t HashSetCapacity(uint64_t count) {
  uint64_t capacity = 1;
  while (capacity - capacity / 8 < count) capacity = capacity * 2 + 1;
  return capacity;
}

// Whether documents may have floats that none of their codes tells of: one code stands in a space, but versions with
// embeddings of their own share it.
bool HasMarks(const CollectionManifest& manifest) {
  if (manifest.store_floats == FloatStorage::kNone) return false;
  return std::any_of(manifest.spaces.begin(), manifest.spaces.end(), [&](const Space& space) {
    std::set<uint32_t> embeddings;
    for (const Version& version : manifest.versions) {
      if (!version.retired && version.space == space.number) embeddings.insert(version.embedding);
    }
    return embeddings.size() > 1;
  });
}

// Columns, and the dictionaries of the shards: a text is in each of those in which some document has it, in a buffer of
// its own, with an entry of 16 bytes and a place of 5 in a hash table, both of which double as they grow.
uint64_t EstimateAttributes(uint64_t shards, uint64_t documents, const AttributeLoad& load) {
  const double columns = 9 * load.per_document * static_cast<double>(documents);
  if (load.distinct_texts == 0) return static_cast<uint64_t>(columns);
  const double texts = static_cast<double>(load.distinct_texts), parts = static_cast<double>(shards);
  const double with_each = std::max(1.0, static_cast<double>(documents) / texts);
  const auto per_shard = static_cast<uint64_t>(std::ceil(texts * (1 - std::pow(1 - 1 / parts, with_each))));
  const double text = std::max(32.0, load.text_bytes + 15.5);  // what the allocator adds, in the mean of all lengths
  const uint64_t entries = std::bit_ceil(per_shard) * 16 + HashSetCapacity(per_shard) * (sizeof(uint32_t) + 1);
  return static_cast<uint64_t>(columns) +
         shards * (static_cast<uint64_t>(static_cast<double>(per_shard) * text) + entries);
}

// With the attributes of so many documents.
MemoryUse WithAttributes(MemoryUse use, uint64_t documents, double bytes_each) {
  const auto bytes = static_cast<uint64_t>(static_cast<double>(documents) * bytes_each);
  use.attributes += bytes;
  use.total += bytes;
  return use;
}

}  // namespace

double AttributeBytesNow(const Collection& collection) {
  uint64_t documents = 0, bytes = 0;
  const auto view = collection.shards()->view();  // lives as long as the loop
  for (const auto& shard : view->shards) {
    documents += shard->documents;
    bytes += shard->memory().attributes;
  }
  return documents == 0 ? 0.0 : static_cast<double>(bytes) / static_cast<double>(documents);
}

MemoryUse EstimateMemory(const CollectionManifest& manifest, uint64_t documents, double id_bytes,
                         const AttributeLoad& attributes) {
  const uint64_t shards = manifest.shards;
  const uint64_t per_shard = (documents + shards - 1) / shards;
  MemoryUse use;
  for (const Space& space : manifest.spaces) {
    const uint64_t blocks = (per_shard + simd::kBlockRows - 1) / simd::kBlockRows;
    const uint64_t block_bytes = simd::BlockBytes(space.spec.code_words());
    use.codes += shards * (blocks * block_bytes + per_shard);
    if (space.spec.groups() == 1) continue;
    // Places; half a block a group, and again as what searches see of it.
    const uint64_t segments = shards * ((per_shard + kSegmentRows - 1) / kSegmentRows);
    use.codes += documents * CodeColumn::kPlaceBytes + segments * space.spec.groups() * block_bytes;
  }
  if (HasMarks(manifest)) use.codes += documents * sizeof(uint16_t);
  // Position and length of an id; the id; the table from ids to rows.
  use.ids = static_cast<uint64_t>(static_cast<double>(documents) * (sizeof(uint32_t) + sizeof(uint16_t) + id_bytes)) +
            shards * HashSetCapacity(per_shard) * (sizeof(uint32_t) + 1);
  for (const Version& version : manifest.versions) {
    if (version.binarizer != nullptr) use.models += version.binarizer->memory_bytes();
  }
  use.attributes = EstimateAttributes(shards, documents, attributes);
  use.total = use.codes + use.ids + use.attributes + use.models;
  return use;
}

absl::Status CheckLoad(const AttributeLoad& load) {
  if (!(load.per_document >= 0 && load.per_document <= kMaxAttributes)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("attributes is %g; a document has 0 to %d", load.per_document, kMaxAttributes));
  }
  if (load.distinct_texts > kMaxExpectedDocuments ||
      !(load.text_bytes >= 0 && load.text_bytes <= kMaxAttributesBytes)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("distinct_texts is %d of %g bytes; the limits are %d (2^40) of %d bytes", load.distinct_texts,
                        load.text_bytes, kMaxExpectedDocuments, kMaxAttributesBytes));
  }
  return absl::OkStatus();
}

absl::Status Capacity::CheckMemory(uint64_t used_bytes, uint64_t kept_bytes) {
  const uint64_t limit = memory_limit_bytes_.load(std::memory_order_relaxed);
  if (unlimited_ || limit == 0 || used_bytes + kept_bytes < limit) return absl::OkStatus();
  refused_memory_.fetch_add(1, std::memory_order_relaxed);
  if (used_bytes < limit) {
    return TryAgainLater(
        absl::StrFormat("the collections hold %d bytes of memory, kept views %d more of what was replaced or deleted, "
                        "and memory_limit_bytes is %d; try again later, when views have gone, or keep fewer",
                        used_bytes, kept_bytes, limit));
  }
  return absl::ResourceExhaustedError(absl::StrFormat(
      "the collections hold %d bytes of memory and memory_limit_bytes is %d; delete documents or raise the limit",
      used_bytes, limit));
}

absl::Status Capacity::CheckDisk() {
  const uint64_t least = min_free_disk_bytes_.load(std::memory_order_relaxed);
  if (unlimited_ || least == 0) return absl::OkStatus();
  const DiskSpace space = DiskSpaceOf(data_dir_);
  if (space.total_bytes == 0 || space.free_bytes >= least) return absl::OkStatus();
  refused_disk_.fetch_add(1, std::memory_order_relaxed);
  return absl::ResourceExhaustedError(
      absl::StrFormat("the disk of %s has %d bytes left and min_free_disk_bytes is %d: nothing is added until there is "
                      "more; delete documents or collections, or enlarge the disk",
                      data_dir_, space.free_bytes, least));
}

absl::Status Capacity::CheckFits(const CollectionManifest& manifest, uint64_t documents,
                                 absl::Span<const std::shared_ptr<Collection>> collections) const {
  if (unlimited_ || documents == 0) return absl::OkStatus();
  MemoryUse needed = EstimateMemory(manifest, documents, kUsualIdBytes);
  uint64_t others = 0;
  for (const auto& collection : collections) {
    const auto other = collection->manifest();
    const double attribute_bytes = AttributeBytesNow(*collection);
    if (other->name == manifest.name) {
      needed = WithAttributes(needed, documents, attribute_bytes);
      continue;
    }
    const uint64_t expected = other->expected_documents;
    const MemoryUse use = WithAttributes(EstimateMemory(*other, expected, kUsualIdBytes), expected, attribute_bytes);
    others += std::max(collection->memory_bytes(), use.total);
  }
  const uint64_t memory_limit = memory_limit_bytes_.load(std::memory_order_relaxed);
  const bool limited = memory_limit > 0;
  const uint64_t limit = limited ? memory_limit : MachineMemoryBytes();
  if (needed.total <= limit && others <= limit - needed.total) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrFormat(
      "collection \"%s\" would not fit: %d documents take %d bytes of memory by the formula (codes %d, ids %d, "
      "attributes %d, models %d), the other collections hold or expect %d, and %s is %d; expect fewer documents, use "
      "shorter codes, drop or "
      "retire what is not needed, or %s",
      manifest.name, documents, needed.total, needed.codes, needed.ids, needed.attributes, needed.models, others,
      limited ? "memory_limit_bytes" : "the memory of this machine", limit,
      limited ? "raise the limit" : "take a machine with more memory"));
}

}  // namespace bebr
