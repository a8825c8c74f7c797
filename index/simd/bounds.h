// Which documents of a tile a scan need not score: upper bounds of their scores, in fewer operations than the scores
// themselves take. Everything has internal linkage, see query.h; a Vec type is score_driver.h's.
#ifndef BEBR_INDEX_SIMD_BOUNDS_H_
#define BEBR_INDEX_SIMD_BOUNDS_H_

#include <cstddef>
#include <cstdint>

#include "index/simd/tile.h"

namespace bebr::simd {
namespace {

// The ends of the factors of a tile.
struct FactorRange {
  float most_scale;
  float least_scale;
  float most_offset;
  float least_offset;
};

template <typename Vec>
FactorRange RangeOfTile(const Tile& tile) {
  const float* factors = FactorsOf(tile.blocks, tile.block_words);
  auto most_scale = Vec::SetF(-__builtin_inff()), least_scale = Vec::SetF(__builtin_inff());
  auto most_offset = most_scale, least_offset = least_scale;
  for (size_t block = 0; block < tile.block_count; ++block, factors += tile.block_words) {
    for (size_t lane = 0; lane < kBlockRows; lane += Vec::kFloats) {
      const auto scale = Vec::LoadF(factors + lane), offset = Vec::LoadF(factors + kBlockRows + lane);
      most_scale = Vec::Max(scale, most_scale);
      least_scale = Vec::Min(scale, least_scale);
      most_offset = Vec::Max(offset, most_offset);
      least_offset = Vec::Min(offset, least_offset);
    }
  }
  const auto minus = Vec::SetF(-1.0f);
  return {Vec::Highest(most_scale), -Vec::Highest(Vec::Mul(least_scale, minus)), Vec::Highest(most_offset),
          -Vec::Highest(Vec::Mul(least_offset, minus))};
}

// The queries of a tile, for the question whether any document of it may reach their thresholds. That takes two upper
// bounds of the score, less the query's offset. Both sum the bands with fused operations; the first, which rules out
// most tiles, then takes the tile's largest factors for every document (with one band, it compares integers), the
// second each document's own. They differ from the score itself by a few roundings of numbers that are no larger than
// the terms of the slack.
struct Bounds {
  static constexpr float kSumLimit = 1 << 30;  // more than any sum

  alignas(64) float double_weight[kMaxBands][kTileQueries];
  alignas(64) float constant[kTileQueries];   // of all bands, weighted
  alignas(64) float threshold[kTileQueries];  // less the query's offset and the query's own part of the slack
  alignas(64) float magnitude[kTileQueries];  // of the sum over the bands, times kRoundings
  // With one band: its sum that gives the weighted sum v is more than v * per_weight - below, by the slack.
  alignas(64) float per_weight[kTileQueries];
  alignas(64) float below[kTileQueries];
};

// What the documents of a tile must reach.
struct Cuts {
  alignas(64) float cut[kTileQueries];          // the threshold less the rest of the slack
  alignas(64) float least[kTileQueries];        // of the sum over the bands, with the tile's factors
  alignas(64) int32_t too_small[kTileQueries];  // with one band: a sum that does not
};

constexpr float kRoundings = 32.0f / (1 << 24);

inline void SetBounds(const Bands& bands, const Batch& batch, const QueryHits* hits, Bounds& bounds) {
  for (size_t q = 0; q < batch.count; ++q) {
    const QueryHead& head = batch.head(q);
    const float threshold = hits[q].threshold;
    bounds.constant[q] = 0.0f;
    for (uint32_t b = 0; b < bands.count; ++b) {
      bounds.double_weight[b][q] = 2.0f * head.weight[b];
      bounds.constant[q] += head.weight[b] * static_cast<float>(head.constant[b]);
    }
    bounds.threshold[q] =
        threshold - head.offset - kRoundings * (__builtin_fabsf(head.offset) + __builtin_fabsf(threshold));
    bounds.magnitude[q] = kRoundings * head.magnitude;
    const bool increases = head.weight[0] > 0;
    bounds.per_weight[q] = increases ? 1.0f / bounds.double_weight[0][q] : 0.0f;
    bounds.below[q] =
        increases ? (bounds.constant[q] + bounds.magnitude[q]) * bounds.per_weight[q] + 2.0f : Bounds::kSumLimit;
  }
}

template <typename Vec>
void SetCuts(const Tile& tile, const Bounds& bounds, size_t query_count, Cuts& cuts) {
  const FactorRange range = RangeOfTile<Vec>(tile);
  const float most_offset = range.most_offset > -range.least_offset ? range.most_offset : -range.least_offset;
  const float most_scale = range.most_scale > -range.least_scale ? range.most_scale : -range.least_scale;
  const auto scale = Vec::SetF(-most_scale), slack = Vec::SetF(-kRoundings * most_offset);
  const auto offset = Vec::SetF(-range.most_offset);
  // Of documents with scales of either sign, or none, the tile's factors say nothing.
  constexpr float kLeastScale = 1e-30f;
  const bool positive = range.least_scale >= kLeastScale;
  const auto per_most = Vec::SetF(1.0f / range.most_scale), per_least = Vec::SetF(1.0f / range.least_scale);
  for (size_t q = 0; q < query_count; q += Vec::kFloats) {
    const auto cut =
        Vec::Add(Vec::Fma(Vec::LoadF(bounds.magnitude + q), scale, Vec::LoadF(bounds.threshold + q)), slack);
    Vec::StoreF(cuts.cut + q, cut);
    // What scale * sum must reach, which is more likely with the largest scale if positive, else with the least.
    const auto rest = Vec::Add(cut, offset);
    const auto least =
        positive ? Vec::Min(Vec::Mul(rest, per_most), Vec::Mul(rest, per_least)) : Vec::SetF(-__builtin_inff());
    Vec::StoreF(cuts.least + q, least);
    const auto sum =
        Vec::Fma(least, Vec::LoadF(bounds.per_weight + q), Vec::Mul(Vec::LoadF(bounds.below + q), Vec::SetF(-1.0f)));
    const auto at_least = Vec::Max(sum, Vec::SetF(-Bounds::kSumLimit));  // also if it is no number
    Vec::StoreI(cuts.too_small + q, Vec::ToInt(Vec::Min(at_least, Vec::SetF(Bounds::kSumLimit))));
  }
}

// Whether a sum of any document of so many blocks may be enough for a query, if there is one band.
template <typename Vec>
inline bool AnySumEnough(const int32_t* of_query, size_t block_count, int32_t too_small) {
  auto most = Vec::LoadI(of_query);
  for (size_t row = Vec::kFloats; row < block_count * kBlockRows; row += Vec::kFloats)
    most = Vec::MaxI(most, Vec::LoadI(of_query + row));
  return Vec::AnyAbove(most, Vec::SetI(too_small));
}

// The weighted sums of kBlocks blocks from `block` on, for the batch's query q, which is query i of the sums.
template <typename Vec, int kBlocks, typename Sums>
struct Weighted {
  static constexpr int kParts = kBlockRows / Vec::kFloats;
  static constexpr int kVectors = kBlocks * kParts;
  typename Vec::F acc[kVectors];

  Weighted(uint32_t band_count, const Bounds& bounds, size_t q, const Sums& sums, size_t i, size_t block) {
    for (int v = 0; v < kVectors; ++v) acc[v] = Vec::SetF(bounds.constant[q]);
    for (uint32_t b = 0; b < band_count; ++b) {
      const auto double_weight = Vec::SetF(bounds.double_weight[b][q]);
      const int32_t* of_band = sums.at(b, i) + block * kBlockRows;
      for (int v = 0; v < kVectors; ++v)
        acc[v] = Vec::Fma(Vec::ToFloat(Vec::LoadI(of_band + v * Vec::kFloats)), double_weight, acc[v]);
    }
  }

  // Whether one is at least `least`.
  bool AnyEnough(float least) const {
    auto most = acc[0];
    for (int v = 1; v < kVectors; ++v) most = Vec::Max(acc[v], most);
    return Vec::AnyNotLess(most, Vec::SetF(least));
  }

  // Whether one, with its document's factors, is at least `cut`.
  bool AnyMayHit(const Tile& tile, size_t block, float cut) const {
    auto best = Vec::SetF(-__builtin_inff());
    for (int v = 0; v < kVectors; ++v) {
      const float* scales = FactorsOf(tile.blocks + (block + v / kParts) * tile.block_words, tile.block_words) +
                            v % kParts * Vec::kFloats;
      best = Vec::Max(Vec::Fma(acc[v], Vec::LoadF(scales), Vec::LoadF(scales + kBlockRows)), best);
    }
    return Vec::AnyNotLess(best, Vec::SetF(cut));
  }
};

// visit.operator()<kBlocks>(block), two blocks at a time, until it says true; whether it did.
template <typename Visit>
[[gnu::always_inline]] inline bool AnyOfBlocks(size_t block_count, const Visit& visit) {
  size_t block = 0;
  for (; block + 2 <= block_count; block += 2) {
    if (visit.template operator()<2>(block)) [[unlikely]]
      return true;
  }
  return block < block_count && visit.template operator()<1>(block);
}

// Whether any document of the tile may reach the threshold of the batch's query q, query i of the sums: by the first
// bound, and by the second.
template <typename Vec, typename Sums>
[[gnu::always_inline]] inline bool AnyWeightedEnough(const Tile& tile, uint32_t band_count, const Bounds& bounds,
                                                     const Cuts& cuts, size_t q, const Sums& sums, size_t i) {
  return AnyOfBlocks(tile.block_count, [&]<int kBlocks>(size_t block) {
    return Weighted<Vec, kBlocks, Sums>(band_count, bounds, q, sums, i, block).AnyEnough(cuts.least[q]);
  });
}

template <typename Vec, typename Sums>
bool AnyMayHit(const Tile& tile, uint32_t band_count, const Bounds& bounds, const Cuts& cuts, size_t q,
               const Sums& sums, size_t i) {
  return AnyOfBlocks(tile.block_count, [&]<int kBlocks>(size_t block) {
    return Weighted<Vec, kBlocks, Sums>(band_count, bounds, q, sums, i, block).AnyMayHit(tile, block, cuts.cut[q]);
  });
}

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_BOUNDS_H_
