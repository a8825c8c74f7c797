// The frame of `score` and `scan` that the vector tables share: tiles of blocks and queries, and the float operations
// after the exact sums. Each including file gives it its own vector types, so everything has internal linkage.
//
// A Vec type offers: kFloats; F and I (vectors of kFloats floats and of as many int32); LoadF, StoreF, SetF, Add, Mul,
// Fma, LoadI, ToFloat; Max(a, b), which is b where a is no number; AtLeast(a, b), a bit for every lane that is >=
// (false for NaN), and AnyNotLess(a, b), whether any lane is >= or not comparable.
//
// A Sums type offers: kTileBlocks; PayloadBytes(band), a multiple of 64; PreparePayload(band, planes, payload), which
// returns the constant of QueryHead; Session(query_count), what the tiles of so many queries set up and take down; and
// two ways to the sums of a band, which are such that D = constant + 2 * sum:
//   RunBlock   one block and one query: fills sums[lane]
//   Run        a tile: fills sums[query * kTileRows + 16 * block + lane]
#ifndef BEBR_INDEX_SIMD_SCORE_DRIVER_H_
#define BEBR_INDEX_SIMD_SCORE_DRIVER_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "index/simd/query.h"

namespace bebr::simd {
namespace {

constexpr size_t kTileQueries = 64;

// Blocks and queries whose sums lie in the first-level cache, or nearly.
struct Tile {
  const uint32_t* blocks;  // the first
  size_t block_words;      // from one block to the next
  size_t block_count;      // 1..Sums::kTileBlocks
  size_t query_count;      // 1..kTileQueries
};

// The bands of a shape as one call needs them.
struct Bands {
  BandView view[kMaxBands];
  size_t payload[kMaxBands];  // bytes from a prepared query's begin
  uint32_t count;
};

template <typename Sums>
Bands ViewBands(const CodeShape& shape) {
  Bands bands;
  bands.count = shape.band_count;
  size_t at = sizeof(QueryHead);
  for (uint32_t b = 0; b < shape.band_count; ++b) {
    bands.view[b] = b == 0 ? FirstBand(shape) : NextBand(shape, b, bands.view[b - 1]);
    bands.payload[b] = at;
    at += Sums::PayloadBytes(bands.view[b]);
  }
  return bands;
}

template <typename Sums>
size_t VecPreparedBytes(const CodeShape& shape) {
  const Bands bands = ViewBands<Sums>(shape);
  return bands.payload[bands.count - 1] + Sums::PayloadBytes(bands.view[bands.count - 1]);
}

template <typename Sums>
void VecPrepare(const CodeShape& shape, const uint32_t* planes, const float* weights, float query_offset,
                void* prepared) {
  const Bands bands = ViewBands<Sums>(shape);
  auto* head = static_cast<QueryHead*>(prepared);
  std::memset(static_cast<void*>(head), 0, sizeof(*head));
  head->offset = query_offset;
  for (uint32_t b = 0; b < bands.count; ++b) {
    const BandView& band = bands.view[b];
    head->weight[b] = BandWeight(band, weights[b]);
    head->constant[b] = Sums::PreparePayload(band, planes, static_cast<uint8_t*>(prepared) + bands.payload[b]) +
                        BoundConstant(shape, band, planes, weights[b]);
    head->magnitude += MostOf(band, head->weight[b]);
    planes += size_t{band.words} * band.query_levels;
  }
}

// A band's part of the score of kFloats lanes. D is below 2^24 in magnitude, as is 2 * sum, so that float(D) and the
// fused operation that makes it are exact.
template <typename Vec>
inline typename Vec::F Product(const QueryHead& head, uint32_t b, const int32_t* sums) {
  const auto constant = Vec::SetF(static_cast<float>(head.constant[b]));
  return Vec::Mul(Vec::SetF(head.weight[b]), Vec::Fma(Vec::SetF(2.0f), Vec::ToFloat(Vec::LoadI(sums)), constant));
}

// The score of kFloats lanes from the sum over their bands; `factors` are their scales, the offsets follow.
template <typename Vec>
inline typename Vec::F Finish(const QueryHead& head, typename Vec::F acc, const float* factors) {
  const auto scaled = Vec::Add(Vec::Mul(acc, Vec::LoadF(factors)), Vec::LoadF(factors + kBlockRows));
  return Vec::Add(scaled, Vec::SetF(head.offset));
}

inline const float* FactorsOf(const uint32_t* block, size_t block_words) {
  return reinterpret_cast<const float*>(block + block_words - 2 * kBlockRows);
}

// Takes the scores of lanes `row`..row + kFloats - 1 for one query.
template <typename Vec>
struct KeepAll {
  float* scores;
  void operator()(size_t row, typename Vec::F score) { Vec::StoreF(scores + row, score); }
};

template <typename Vec>
struct KeepHits {
  QueryHits& hits;
  void operator()(size_t row, typename Vec::F score) {
    uint32_t mask = Vec::AtLeast(score, Vec::SetF(hits.threshold));
    if (mask == 0) [[likely]]
      return;
    alignas(64) float lanes[Vec::kFloats];
    Vec::StoreF(lanes, score);
    for (; mask != 0; mask &= mask - 1) {
      const int lane = __builtin_ctz(mask);
      hits.positions[hits.count] = static_cast<uint32_t>(row) + static_cast<uint32_t>(lane);
      hits.scores[hits.count++] = lanes[lane];
    }
  }
};

// One query is bound by memory, which is fastest when read in ascending order: block after block, not band after band.
// Without asking for the next codes ahead, reading stops at three quarters of the memory's bandwidth.
template <typename Vec, typename Sums, typename Keep>
void OneQuery(const Bands& bands, const uint32_t* blocks, size_t block_words, size_t block_count, const void* prepared,
              Keep keep) {
  constexpr size_t kParts = kBlockRows / Vec::kFloats;
  constexpr size_t kLeastAhead = 4096 / sizeof(uint32_t);
  const size_t ahead = (kLeastAhead + block_words - 1) / block_words * block_words;  // whole blocks
  const auto& head = *static_cast<const QueryHead*>(prepared);
  const auto* payloads = static_cast<const uint8_t*>(prepared);
  for (size_t block = 0; block < block_count; ++block, blocks += block_words) {
    const float* factors = FactorsOf(blocks, block_words);
    __builtin_prefetch(factors + ahead);
    __builtin_prefetch(factors + ahead + kBlockRows);
    typename Vec::F acc[kParts];
    for (size_t i = 0; i < kParts; ++i) acc[i] = Vec::SetF(0.0f);
    for (uint32_t b = 0; b < bands.count; ++b) {
      alignas(64) int32_t sums[kBlockRows];
      const BandView& band = bands.view[b];
      Sums::RunBlock(band, blocks + size_t{band.first_word} * kBlockRows, ahead, payloads + bands.payload[b], sums);
      for (size_t i = 0; i < kParts; ++i) acc[i] = Vec::Add(acc[i], Product<Vec>(head, b, sums + i * Vec::kFloats));
    }
    for (size_t i = 0; i < kParts; ++i) {
      const size_t lane = i * Vec::kFloats;
      keep(block * kBlockRows + lane, Finish<Vec>(head, acc[i], factors + lane));
    }
  }
}

// A tile's sums of one band, and the sum over the bands before it, by query.
template <typename Sums>
struct TileSums {
  static constexpr size_t kTileRows = Sums::kTileBlocks * kBlockRows;
  alignas(64) int32_t sums[kTileQueries * kTileRows];
  alignas(64) float values[kTileQueries * kTileRows];
};

template <typename Vec>
void AddBand(const Tile& tile, const QueryHead& head, uint32_t b, const int32_t* sums, float* values) {
  for (size_t row = 0; row < tile.block_count * kBlockRows; row += Vec::kFloats) {
    const auto before = b == 0 ? Vec::SetF(0.0f) : Vec::LoadF(values + row);
    Vec::StoreF(values + row, Vec::Add(before, Product<Vec>(head, b, sums + row)));
  }
}

template <typename Vec, typename Keep>
void FinishTile(const Tile& tile, const QueryHead& head, uint32_t last, const int32_t* sums, const float* values,
                Keep keep) {
  for (size_t block = 0; block < tile.block_count; ++block) {
    const float* factors = FactorsOf(tile.blocks + block * tile.block_words, tile.block_words);
    for (size_t lane = 0; lane < kBlockRows; lane += Vec::kFloats) {
      const size_t row = block * kBlockRows + lane;
      const auto before = last == 0 ? Vec::SetF(0.0f) : Vec::LoadF(values + row);
      keep(row, Finish<Vec>(head, Vec::Add(before, Product<Vec>(head, last, sums + row)), factors + lane));
    }
  }
}

// The largest magnitudes of a tile's factors.
struct MostFactors {
  float scale = 0;
  float offset = 0;
};

template <typename Vec>
MostFactors MostOfTile(const Tile& tile) {
  auto scale = Vec::SetF(0.0f), offset = Vec::SetF(0.0f);
  const auto minus = Vec::SetF(-1.0f);
  for (size_t block = 0; block < tile.block_count; ++block) {
    const float* factors = FactorsOf(tile.blocks + block * tile.block_words, tile.block_words);
    for (size_t lane = 0; lane < kBlockRows; lane += Vec::kFloats) {
      const auto s = Vec::LoadF(factors + lane), o = Vec::LoadF(factors + kBlockRows + lane);
      scale = Vec::Max(Vec::Max(s, Vec::Mul(s, minus)), scale);
      offset = Vec::Max(Vec::Max(o, Vec::Mul(o, minus)), offset);
    }
  }
  float scales[Vec::kFloats], offsets[Vec::kFloats];
  Vec::StoreF(scales, scale);
  Vec::StoreF(offsets, offset);
  MostFactors most;
  for (int i = 0; i < Vec::kFloats; ++i) {
    if (scales[i] > most.scale) most.scale = scales[i];
    if (offsets[i] > most.offset) most.offset = offsets[i];
  }
  return most;
}

// The queries of a tile, for the question whether any document of it may reach their thresholds. That takes an upper
// bound of the score, less the query's offset, which fused operations compute from the last band's sums; it differs
// from the score itself by a few roundings of numbers that are no larger than the terms of the slack.
struct Bounds {
  alignas(64) float double_weight[kTileQueries];  // of the last band
  alignas(64) float constant[kTileQueries];       // its constant, weighted
  alignas(64) float threshold[kTileQueries];      // less the query's offset and the query's own part of the slack
  alignas(64) float magnitude[kTileQueries];      // of the sum over the bands, times kRoundings
  alignas(64) float cut[kTileQueries];            // of the tile at hand: threshold less the rest of the slack
};

constexpr float kRoundings = 32.0f / (1 << 24);

inline void SetBounds(const void* const* prepared, const QueryHits* hits, size_t query_count, uint32_t last,
                      Bounds& bounds) {
  for (size_t q = 0; q < query_count; ++q) {
    const auto& head = *static_cast<const QueryHead*>(prepared[q]);
    const float threshold = hits[q].threshold;
    bounds.double_weight[q] = 2.0f * head.weight[last];
    bounds.constant[q] = head.weight[last] * static_cast<float>(head.constant[last]);
    bounds.threshold[q] =
        threshold - head.offset - kRoundings * (__builtin_fabsf(head.offset) + __builtin_fabsf(threshold));
    bounds.magnitude[q] = kRoundings * head.magnitude;
  }
}

template <typename Vec>
void SetCuts(const Tile& tile, Bounds& bounds) {
  const MostFactors most = MostOfTile<Vec>(tile);
  const auto scale = Vec::SetF(-most.scale), offset = Vec::SetF(-kRoundings * most.offset);
  for (size_t q = 0; q < kTileQueries; q += Vec::kFloats) {
    const auto cut = Vec::Fma(Vec::LoadF(bounds.magnitude + q), scale, Vec::LoadF(bounds.threshold + q));
    Vec::StoreF(bounds.cut + q, Vec::Add(cut, offset));
  }
}

// Whether any document of the tile may reach the threshold of query q, whose sums and values are given.
template <typename Vec, bool kOneBand>
inline bool MayHit(const Tile& tile, size_t block_count, const Bounds& bounds, size_t q, const int32_t* sums,
                   const float* values) {
  const auto double_weight = Vec::SetF(bounds.double_weight[q]);
  const auto constant = Vec::SetF(bounds.constant[q]);
  auto best = Vec::SetF(-__builtin_inff());
  const float* factors = FactorsOf(tile.blocks, tile.block_words);
  for (size_t block = 0; block < block_count; ++block, factors += tile.block_words) {
    for (size_t lane = 0; lane < kBlockRows; lane += Vec::kFloats) {
      const size_t row = block * kBlockRows + lane;
      const auto sum = Vec::ToFloat(Vec::LoadI(sums + row));
      const auto acc = Vec::Fma(sum, double_weight, kOneBand ? constant : Vec::Add(Vec::LoadF(values + row), constant));
      best = Vec::Max(Vec::Fma(acc, Vec::LoadF(factors + lane), Vec::LoadF(factors + kBlockRows + lane)), best);
    }
  }
  return Vec::AnyNotLess(best, Vec::SetF(bounds.cut[q]));
}

// Fills `out` with the last band's sums and, if there are several, with the values of those before.
template <typename Vec, typename Sums>
void SumTile(const Bands& bands, const Tile& tile, const void* const* prepared, TileSums<Sums>& out) {
  const uint8_t* payloads[kTileQueries];
  for (uint32_t b = 0; b < bands.count; ++b) {
    for (size_t q = 0; q < tile.query_count; ++q)
      payloads[q] = static_cast<const uint8_t*>(prepared[q]) + bands.payload[b];
    Sums::Run(bands.view[b], tile, payloads, out.sums);
    if (b + 1 == bands.count) return;
    for (size_t q = 0; q < tile.query_count; ++q) {
      const size_t at = q * TileSums<Sums>::kTileRows;
      AddBand<Vec>(tile, *static_cast<const QueryHead*>(prepared[q]), b, out.sums + at, out.values + at);
    }
  }
}

template <typename Sums>
Tile TileAt(const void* blocks, size_t block_words, size_t block, size_t block_count, size_t query_count) {
  const size_t left = block_count - block;
  return {static_cast<const uint32_t*>(blocks) + block * block_words, block_words,
          left < Sums::kTileBlocks ? left : Sums::kTileBlocks, query_count};
}

// Asks for the tile after this one, which is far enough away in time for the slowest memory.
inline void PrefetchNext(const Tile& tile) {
  const uint32_t* next = tile.blocks + tile.block_count * tile.block_words;
  for (size_t word = 0; word < tile.block_count * tile.block_words; word += kBlockRows) __builtin_prefetch(next + word);
}

// Up to kTileQueries queries see all blocks before the next do: so many of `query_count`, in parts of about the same
// size, as few queries cost more each.
inline size_t QueriesAtOnce(size_t query_count) {
  constexpr size_t kMultiple = 8;
  const size_t parts = (query_count + kTileQueries - 1) / kTileQueries;
  return parts == 0 ? 0 : ((query_count + parts - 1) / parts + kMultiple - 1) / kMultiple * kMultiple;
}

// Of the part that begins with query `first`.
inline size_t QueriesAt(size_t first, size_t query_count) {
  const size_t at_once = QueriesAtOnce(query_count);
  return query_count - first < at_once ? query_count - first : at_once;
}

template <typename Vec, typename Sums>
void VecScore(const CodeShape& shape, const void* blocks, size_t block_count, const void* const* prepared,
              size_t query_count, float* scores, size_t stride) {
  const Bands bands = ViewBands<Sums>(shape);
  const size_t block_words = (size_t{shape.code_words} + 2) * kBlockRows;
  if (query_count == 1) {
    return OneQuery<Vec, Sums>(bands, static_cast<const uint32_t*>(blocks), block_words, block_count, prepared[0],
                               KeepAll<Vec>{scores});
  }
  TileSums<Sums> tile_sums;
  for (size_t first = 0; first < query_count; first += QueriesAtOnce(query_count)) {
    [[maybe_unused]] const typename Sums::Session session(QueriesAt(first, query_count));
    for (size_t block = 0; block < block_count; block += Sums::kTileBlocks) {
      const Tile tile = TileAt<Sums>(blocks, block_words, block, block_count, QueriesAt(first, query_count));
      if (first == 0) PrefetchNext(tile);
      SumTile<Vec, Sums>(bands, tile, prepared + first, tile_sums);
      for (size_t q = 0; q < tile.query_count; ++q) {
        const size_t at = q * TileSums<Sums>::kTileRows;
        FinishTile<Vec>(tile, *static_cast<const QueryHead*>(prepared[first + q]), bands.count - 1, tile_sums.sums + at,
                        tile_sums.values + at, KeepAll<Vec>{scores + (first + q) * stride + block * kBlockRows});
      }
    }
  }
}

// Keeps the hits of a tile whose sums are given; its first row is `row`.
template <typename Vec, typename Sums, bool kOneBand>
void KeepTile(const Tile& tile, uint32_t last, const void* const* prepared, const Bounds& bounds,
              const TileSums<Sums>& tile_sums, size_t row, QueryHits* hits) {
  for (size_t q = 0; q < tile.query_count; ++q) {
    const int32_t* sums = tile_sums.sums + q * TileSums<Sums>::kTileRows;
    const float* values = tile_sums.values + q * TileSums<Sums>::kTileRows;
    const bool may_hit = tile.block_count == Sums::kTileBlocks  // so that its loop is unrolled
                             ? MayHit<Vec, kOneBand>(tile, Sums::kTileBlocks, bounds, q, sums, values)
                             : MayHit<Vec, kOneBand>(tile, tile.block_count, bounds, q, sums, values);
    if (!may_hit) [[likely]]
      continue;
    KeepHits<Vec> keep{hits[q]};
    FinishTile<Vec>(tile, *static_cast<const QueryHead*>(prepared[q]), last, sums, values,
                    [&keep, row](size_t lane, typename Vec::F score) { keep(row + lane, score); });
  }
}

template <typename Vec, typename Sums>
void VecScan(const CodeShape& shape, const void* blocks, size_t block_count, const void* const* prepared,
             size_t query_count, QueryHits* hits) {
  const Bands bands = ViewBands<Sums>(shape);
  const size_t block_words = (size_t{shape.code_words} + 2) * kBlockRows;
  for (size_t q = 0; q < query_count; ++q) hits[q].count = 0;
  if (query_count == 1) {
    return OneQuery<Vec, Sums>(bands, static_cast<const uint32_t*>(blocks), block_words, block_count, prepared[0],
                               KeepHits<Vec>{hits[0]});
  }
  TileSums<Sums> tile_sums;
  Bounds bounds = {};
  const uint32_t last = bands.count - 1;
  const auto keep = last == 0 ? KeepTile<Vec, Sums, true> : KeepTile<Vec, Sums, false>;
  for (size_t first = 0; first < query_count; first += QueriesAtOnce(query_count)) {
    [[maybe_unused]] const typename Sums::Session session(QueriesAt(first, query_count));
    SetBounds(prepared + first, hits + first, QueriesAt(first, query_count), last, bounds);
    for (size_t block = 0; block < block_count; block += Sums::kTileBlocks) {
      const Tile tile = TileAt<Sums>(blocks, block_words, block, block_count, QueriesAt(first, query_count));
      if (first == 0) PrefetchNext(tile);
      SumTile<Vec, Sums>(bands, tile, prepared + first, tile_sums);
      SetCuts<Vec>(tile, bounds);
      keep(tile, last, prepared + first, bounds, tile_sums, block * kBlockRows, hits + first);
    }
  }
}

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_SCORE_DRIVER_H_
