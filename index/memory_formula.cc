#include "index/memory_formula.h"

#include <algorithm>
#include <set>

#include "index/simd/kernels.h"

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

}  // namespace

MemoryUse EstimateMemory(const CollectionManifest& manifest, uint64_t documents, double id_bytes) {
  const uint64_t shards = manifest.shards;
  const uint64_t per_shard = (documents + shards - 1) / shards;
  MemoryUse use;
  for (const Space& space : manifest.spaces) {
    const uint64_t blocks = (per_shard + simd::kBlockRows - 1) / simd::kBlockRows;
    use.codes += shards * (blocks * simd::BlockBytes(space.spec.code_words()) + per_shard);
  }
  if (HasMarks(manifest)) use.codes += documents * sizeof(uint16_t);
  // Position and length of an id; the id; the table from ids to rows.
  use.ids = static_cast<uint64_t>(static_cast<double>(documents) * (sizeof(uint32_t) + sizeof(uint16_t) + id_bytes)) +
            shards * HashSetCapacity(per_shard) * (sizeof(uint32_t) + 1);
  for (const Version& version : manifest.versions) {
    if (version.binarizer != nullptr) use.models += version.binarizer->memory_bytes();
  }
  use.total = use.codes + use.ids + use.models;
  return use;
}

}  // namespace bebr
