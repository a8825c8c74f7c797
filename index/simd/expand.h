// Blocks of trellis codes as the kernels take them. Every file has its own copy (hence the unnamed namespace): each is
// compiled for another instruction set.
#ifndef BEBR_INDEX_SIMD_EXPAND_H_
#define BEBR_INDEX_SIMD_EXPAND_H_

#include <cstddef>
#include <cstdint>

#include "index/simd/kernels.h"
#include "index/simd/query.h"

namespace bebr::simd {
namespace {

// A word of all lanes of a block, in as many registers as it takes.
typedef uint32_t Lanes __attribute__((vector_size(4 * kBlockRows), may_alias));

constexpr size_t kAskedAhead = 8192;  // bytes: blocks that are expanded next, after those before them are scored

// The `expand` of a table.
inline void Expand(const CodeShape& stored, const void* blocks, size_t block_count, void* derived) {
  const auto* from = static_cast<const Lanes*>(blocks);
  auto* to = static_cast<Lanes*>(derived);
  for (size_t block = 0; block < block_count; ++block) {
    for (uint32_t line = 0; line < stored.code_words + 2; ++line)
      __builtin_prefetch(reinterpret_cast<const std::byte*>(from + line) + kAskedAhead);
    for (uint32_t b = 0; b < stored.band_count; ++b) {
      const BandShape& band = stored.bands[b];
      const uint32_t words = PlaneWords(band.dims), plain = words * (band.trellis ? band.levels - 1 : band.levels);
      for (uint32_t w = 0; w < plain; ++w) *to++ = *from++;
      if (!band.trellis) continue;
      for (uint32_t w = 0; w < words; ++w) {
        const uint32_t rest = band.dims - w * 32, used = rest < 32 ? (1u << rest) - 1 : ~0u;
        const Lanes branches = *from++;
        to[w] = (branches ^ branches << 1 ^ branches << 3) & used;
        to[words + w] = branches << 2 & used;
      }
      to += 2 * words;
    }
    for (int factor = 0; factor < 2; ++factor) *to++ = *from++;
  }
}

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_EXPAND_H_
