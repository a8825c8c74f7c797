// The frame of `score` that the vector tables share: tiles of blocks and queries, the float operations after the exact
// sums, and collect. Each including file gives it its own vector types, so everything has internal linkage.
//
// A Vec type offers: kFloats; F and I (vectors of kFloats floats and of as many int32); LoadF, StoreF, SetF, Add, Mul,
// Fma, LoadI, SetI, AddI, ToFloat; AtLeast(F, F), a bit for every lane that is >= (false for NaN). A Sums type offers:
// PayloadBytes(band), a multiple of 64; PreparePayload(band, planes, payload), which returns the constant of QueryHead;
// and Run, which fills sums[query][16 * block + lane] so that D = constant + 2 * sum.
#ifndef BEBR_INDEX_SIMD_SCORE_DRIVER_H_
#define BEBR_INDEX_SIMD_SCORE_DRIVER_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "index/simd/query.h"

namespace bebr::simd {
namespace {

// A tile's sums and floats stay in the second-level cache, its unpacked codes in the first.
constexpr size_t kTileBlocks = 8;
constexpr size_t kTileQueries = 64;
constexpr size_t kTileRows = kTileBlocks * kBlockRows;

struct Tile {
  const uint32_t* blocks;  // the first
  size_t block_words;      // from one block to the next
  size_t block_count;      // 1..kTileBlocks
  size_t query_count;      // 1..kTileQueries
};

// Words to what a single query asks the memory for while it works on a row: whole blocks, at least 4 KiB.
inline size_t WordsAhead(const Tile& tile) {
  constexpr size_t kLeast = 4096 / sizeof(uint32_t);
  return (kLeast + tile.block_words - 1) / tile.block_words * tile.block_words;
}

template <typename Sums>
size_t VecPreparedBytes(const CodeShape& shape) {
  size_t bytes = sizeof(QueryHead);
  BandView band = FirstBand(shape);
  for (uint32_t b = 0; b < shape.band_count; ++b) {
    if (b > 0) band = NextBand(shape, b, band);
    bytes += Sums::PayloadBytes(band);
  }
  return bytes;
}

template <typename Sums>
void VecPrepare(const CodeShape& shape, const uint32_t* planes, const float* weights, float query_offset,
                void* prepared) {
  auto* head = static_cast<QueryHead*>(prepared);
  auto* payload = reinterpret_cast<uint8_t*>(head + 1);
  std::memset(static_cast<void*>(head), 0, sizeof(*head));
  head->offset = query_offset;
  BandView band = FirstBand(shape);
  for (uint32_t b = 0; b < shape.band_count; ++b) {
    if (b > 0) band = NextBand(shape, b, band);
    head->weight[b] = BandWeight(band, weights[b]);
    head->constant[b] = Sums::PreparePayload(band, planes, payload) + BoundConstant(shape, band, planes, weights[b]);
    planes += size_t{band.words} * band.query_levels;
    payload += Sums::PayloadBytes(band);
  }
}

// Turns a band's sums into floats: `values` holds the sum over the bands so far. The last band's result is the score.
template <typename Vec, bool kFirst, bool kLast>
void FinishQuery(const Tile& tile, const QueryHead& head, uint32_t b, size_t code_words, const int32_t* sums,
                 float* values, float* scores) {
  using F = typename Vec::F;
  const F weight = Vec::SetF(head.weight[b]);
  const F query_offset = Vec::SetF(head.offset);
  const typename Vec::I constant = Vec::SetI(head.constant[b]);
  const size_t ahead = kLast && tile.query_count == 1 ? WordsAhead(tile) : 0;
  for (size_t block = 0; block < tile.block_count; ++block) {
    const auto* factors =
        reinterpret_cast<const float*>(tile.blocks + block * tile.block_words + code_words * kBlockRows);
    if (ahead > 0) {
      __builtin_prefetch(factors + ahead);
      __builtin_prefetch(factors + ahead + kBlockRows);
    }
    for (size_t i = 0; i < kBlockRows; i += Vec::kFloats) {
      const size_t row = block * kBlockRows + i;
      const typename Vec::I sum = Vec::LoadI(sums + row);
      const F product = Vec::Mul(weight, Vec::ToFloat(Vec::AddI(constant, Vec::AddI(sum, sum))));
      const F acc = Vec::Add(kFirst ? Vec::SetF(0.0f) : Vec::LoadF(values + row), product);
      if (!kLast) {
        Vec::StoreF(values + row, acc);
        continue;
      }
      const F scaled = Vec::Add(Vec::Mul(acc, Vec::LoadF(factors + i)), Vec::LoadF(factors + kBlockRows + i));
      Vec::StoreF(scores + row, Vec::Add(scaled, query_offset));
    }
  }
}

template <typename Vec, typename Sums>
void ScoreTile(const CodeShape& shape, const Tile& tile, const void* const* prepared, float* scores, size_t stride) {
  alignas(64) int32_t sums[kTileQueries * kTileRows];
  alignas(64) float values[kTileQueries * kTileRows];
  const uint8_t* payloads[kTileQueries];
  for (size_t q = 0; q < tile.query_count; ++q)
    payloads[q] = static_cast<const uint8_t*>(prepared[q]) + sizeof(QueryHead);
  BandView band = FirstBand(shape);
  for (uint32_t b = 0; b < shape.band_count; ++b) {
    if (b > 0) band = NextBand(shape, b, band);
    Sums::Run(band, tile, payloads, sums);
    const bool first = b == 0;
    const bool last = b + 1 == shape.band_count;
    const auto finish = last ? (first ? FinishQuery<Vec, true, true> : FinishQuery<Vec, false, true>)
                             : (first ? FinishQuery<Vec, true, false> : FinishQuery<Vec, false, false>);
    for (size_t q = 0; q < tile.query_count; ++q) {
      const auto& head = *static_cast<const QueryHead*>(prepared[q]);
      finish(tile, head, b, shape.code_words, sums + q * kTileRows, values + q * kTileRows, scores + q * stride);
      payloads[q] += Sums::PayloadBytes(band);
    }
  }
}

template <typename Vec, typename Sums>
void VecScore(const CodeShape& shape, const void* blocks, size_t block_count, const void* const* prepared,
              size_t query_count, float* scores, size_t stride) {
  const size_t block_words = (size_t{shape.code_words} + 2) * kBlockRows;
  // One query is bound by memory, which is fastest when read in ascending order: block after block, not band after
  // band.
  const size_t tile_blocks = query_count == 1 && shape.band_count > 1 ? 2 : kTileBlocks;
  for (size_t b = 0; b < block_count; b += tile_blocks) {
    Tile tile = {static_cast<const uint32_t*>(blocks) + b * block_words, block_words, block_count - b, 0};
    if (tile.block_count > tile_blocks) tile.block_count = tile_blocks;
    for (size_t q = 0; q < query_count; q += kTileQueries) {
      tile.query_count = query_count - q < kTileQueries ? query_count - q : kTileQueries;
      ScoreTile<Vec, Sums>(shape, tile, prepared + q, scores + q * stride + b * kBlockRows, stride);
    }
  }
}

// Hits are rare, so whole groups of vectors are passed over with one test.
template <typename Vec>
size_t VecCollect(const float* scores, size_t count, float threshold, uint32_t* positions) {
  constexpr size_t kGroup = 32;
  const typename Vec::F limit = Vec::SetF(threshold);
  size_t found = 0;
  size_t i = 0;
  for (; i + kGroup <= count; i += kGroup) {
    uint32_t hits = 0;
    for (size_t j = 0; j < kGroup; j += Vec::kFloats) {
      hits |= static_cast<uint32_t>(Vec::AtLeast(Vec::LoadF(scores + i + j), limit)) << j;
    }
    for (; hits != 0; hits &= hits - 1) positions[found++] = static_cast<uint32_t>(i) + __builtin_ctz(hits);
  }
  for (; i < count; ++i) {
    if (scores[i] >= threshold) positions[found++] = static_cast<uint32_t>(i);
  }
  return found;
}

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_SCORE_DRIVER_H_
