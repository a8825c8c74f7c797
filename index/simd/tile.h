// What the vector tables' driver (score_driver.h) and their ways to a tile's sums share. A tile is some blocks of
// documents, for which a batch of queries is scored at a time; everything has internal linkage, see query.h.
#ifndef BEBR_INDEX_SIMD_TILE_H_
#define BEBR_INDEX_SIMD_TILE_H_

#include <cstddef>
#include <cstdint>

#include "index/simd/query.h"

namespace bebr::simd {
namespace {

constexpr size_t kTileQueries = 64;

// Blocks whose sums with some queries lie in the first-level cache, or nearly.
struct Tile {
  const uint32_t* blocks;  // the first
  size_t block_words;      // from one block to the next
  size_t block_count;
};

inline const float* FactorsOf(const uint32_t* block, size_t block_words) {
  return reinterpret_cast<const float*>(block + block_words - 2 * kBlockRows);
}

// The bands of a shape as one call needs them.
struct Bands {
  BandView view[kMaxBands];
  size_t payload[kMaxBands];  // bytes from a prepared query's begin
  uint32_t count;
};

// The prepared queries of a batch, up to kTileQueries, and of each band where their payloads are.
struct Batch {
  Batch(const Bands& bands, const void* const* prepared, size_t query_count) : prepared(prepared), count(query_count) {
    for (uint32_t b = 0; b < bands.count; ++b) {
      for (size_t q = 0; q < query_count; ++q)
        payloads[b][q] = static_cast<const uint8_t*>(prepared[q]) + bands.payload[b];
    }
  }
  const QueryHead& head(size_t q) const { return *static_cast<const QueryHead*>(prepared[q]); }

  const void* const* const prepared;
  const size_t count;
  const uint8_t* payloads[kMaxBands][kTileQueries];
};

// The sums of a tile with a group of a batch's queries, by band and query of the group.
template <size_t kBlocks>
struct GroupSums {
  static constexpr size_t kRows = kBlocks * kBlockRows;
  alignas(64) int32_t of_band[kMaxBands][kTileQueries * kRows];

  const int32_t* at(uint32_t band, size_t query) const { return of_band[band] + query * kRows; }
};

// How most tables sum: a batch's queries in one group, and nothing to set up.
template <typename Sums>
class WholeBatch {
 public:
  WholeBatch(const Bands& bands, const Batch& batch) : bands_(bands), batch_(batch) {}
  size_t tile_blocks() const { return Sums::kTileBlocks; }
  size_t group_queries() const { return kTileQueries; }
  void Run(uint32_t band, const Tile& tile, size_t first, size_t count, int32_t* sums) {
    Sums::Run(bands_.view[band], tile, batch_.payloads[band] + first, count, sums);
  }

 private:
  const Bands& bands_;
  const Batch& batch_;
};

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_TILE_H_
