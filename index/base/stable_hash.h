// The hash that decides which shard holds a document, for ever.
#ifndef BEBR_INDEX_BASE_STABLE_HASH_H_
#define BEBR_INDEX_BASE_STABLE_HASH_H_

#include <cstdint>
#include <string_view>

namespace bebr {

// A 64-bit hash that never changes between builds and machines, because it decides which shard holds a document: FNV-1a
// (Fowler, Noll, Vo) followed by the finaliser of MurmurHash3, which spreads the differences of similar ids over all
// bits.
constexpr uint64_t StableHash(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
  hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
  return hash ^ (hash >> 33);
}

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_STABLE_HASH_H_
