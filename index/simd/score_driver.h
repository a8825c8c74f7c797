// The frame of `score` and `scan` that the vector tables share: tiles of blocks and queries, and the float operations
// after the exact sums. Each including file gives it its own vector types, so everything has internal linkage.
//
// A Vec type offers: kFloats; F and I (vectors of kFloats floats and of as many int32); LoadF, StoreF, SetF, Add, Mul,
// Fma; LoadI, StoreI, SetI, MaxI, ToFloat, and ToInt, towards zero; Max(a, b) and Min(a, b), which are b where a is no
// number; Highest of all lanes; AtLeast(a, b), a bit for every lane that is >= (false for NaN);
// AnyNotLess(a, b), whether any lane is >= or not comparable; AnyAbove(a, b), whether any integer is greater.
//
// A Sums type offers: kTileBlocks, of a tile at most; PayloadBytes(band), a multiple of 64; PreparePayload(band,
// planes, payload), which returns the constant of QueryHead; and two ways to the sums of a band, which are such that D
// = constant + 2 * sum. RunBlock takes one block and one query and fills sums[lane]. A Runner(bands, batch) takes tiles
// of tile_blocks() and group_queries() of the batch at a time, whose sums are used before those of the next group:
//   Run(band, tile, first, count, sums)   fills sums[i * 16 * kTileBlocks + 16 * block + lane] of query first + i of
//                                         the batch. A tile's groups come in order.
#ifndef BEBR_INDEX_SIMD_SCORE_DRIVER_H_
#define BEBR_INDEX_SIMD_SCORE_DRIVER_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "index/simd/bounds.h"
#include "index/simd/query.h"
#include "index/simd/tile.h"

namespace bebr::simd {
namespace {

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

// Takes the scores of lanes `row`..row + kFloats - 1 for one query.
template <typename Vec>
struct KeepAll {
  float* scores;
  void operator()(size_t row, typename Vec::F score) { Vec::StoreF(scores + row, score); }
};

// Likewise, but keeps only those that reach the query's threshold.
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

template <typename Sums>
using SumsOf = GroupSums<Sums::kTileBlocks>;

// The scores of a tile for the query of `head`, which is query i of the sums.
template <typename Vec, typename Sums, typename Keep>
void FinishTile(const Tile& tile, const Bands& bands, const QueryHead& head, const SumsOf<Sums>& sums, size_t i,
                Keep keep) {
  for (size_t block = 0; block < tile.block_count; ++block) {
    const float* factors = FactorsOf(tile.blocks + block * tile.block_words, tile.block_words);
    for (size_t lane = 0; lane < kBlockRows; lane += Vec::kFloats) {
      const size_t row = block * kBlockRows + lane;
      auto acc = Vec::SetF(0.0f);
      for (uint32_t b = 0; b < bands.count; ++b) acc = Vec::Add(acc, Product<Vec>(head, b, sums.at(b, i) + row));
      keep(row, Finish<Vec>(head, acc, factors + lane));
    }
  }
}

// The tiles of a call.
class Tiles {
 public:
  Tiles(const void* blocks, size_t block_words, size_t block_count, size_t tile_blocks)
      : blocks_(static_cast<const uint32_t*>(blocks)),
        block_words_(block_words),
        block_count_(block_count),
        tile_blocks_(tile_blocks) {}
  // The tile that begins with a block; after the last an empty one.
  Tile At(size_t block) const {
    const size_t left = block < block_count_ ? block_count_ - block : 0;
    return {blocks_ + block * block_words_, block_words_, left < tile_blocks_ ? left : tile_blocks_};
  }

 private:
  const uint32_t* const blocks_;
  const size_t block_words_;
  const size_t block_count_;
  const size_t tile_blocks_;
};

// Asks for documents that will be needed, some lines for every query that is dealt with meanwhile: the processor stops
// where too many are on their way. They may lie after the last: it is no access. The first-level cache is left to
// queries and sums.
class Prefetch {
 public:
  Prefetch(const uint32_t* words, size_t word_count, size_t query_count)
      : next_(words), end_(words + word_count), lines_((word_count / kBlockRows + query_count - 1) / query_count) {}
  void Some() {
    constexpr int kSecondLevel = 2;
    for (size_t i = 0; i < lines_ && next_ != end_; ++i, next_ += kBlockRows)
      __builtin_prefetch(next_, 0, kSecondLevel);
  }

 private:
  const uint32_t* next_;
  const uint32_t* end_;
  size_t lines_;
};

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

// Keeps the hits of tiles, whose sums and cuts are given, for a group of queries at a time.
template <typename Vec, typename Sums>
class HitKeeper {
 public:
  HitKeeper(const Bands& bands, const Batch& batch, const Bounds& bounds, const Cuts& cuts, const SumsOf<Sums>& sums,
            QueryHits* hits)
      : bands_(bands), batch_(batch), bounds_(bounds), cuts_(cuts), sums_(sums), hits_(hits) {}

  // `row`: the tile's first; queries first..first + count - 1 of the batch.
  void Keep(const Tile& tile, size_t row, size_t first, size_t count, Prefetch& prefetch) {
    if (bands_.count > 1) {
      ForEach(count, prefetch, [&](size_t i) {
        if (AnyWeightedEnough<Vec>(tile, bands_.count, bounds_, cuts_, first + i, sums_, i)) [[unlikely]]
          KeepQuery(tile, row, first + i, i);
      });
    } else if (tile.block_count == Sums::kTileBlocks) {  // a constant, so that a loop is unrolled
      KeepOfOneBand(tile, Sums::kTileBlocks, row, first, count, prefetch);
    } else {
      KeepOfOneBand(tile, tile.block_count, row, first, count, prefetch);
    }
  }

 private:
  template <typename Visit>
  [[gnu::always_inline]] static void ForEach(size_t count, Prefetch& prefetch, const Visit& visit) {
    for (size_t i = 0; i < count; ++i) {
      prefetch.Some();
      visit(i);
    }
  }

  [[gnu::always_inline]] void KeepOfOneBand(const Tile& tile, size_t block_count, size_t row, size_t first,
                                            size_t count, Prefetch& prefetch) {
    ForEach(count, prefetch, [&](size_t i) {
      if (AnySumEnough<Vec>(sums_.at(0, i), block_count, cuts_.too_small[first + i])) [[unlikely]]
        KeepQuery(tile, row, first + i, i);
    });
  }

  [[gnu::noinline]] void KeepQuery(const Tile& tile, size_t row, size_t q, size_t i) {
    if (!AnyMayHit<Vec>(tile, bands_.count, bounds_, cuts_, q, sums_, i)) return;
    KeepHits<Vec> keep{hits_[q]};
    FinishTile<Vec, Sums>(tile, bands_, batch_.head(q), sums_, i,
                          [&](size_t lane, typename Vec::F score) { keep(row + lane, score); });
  }

  const Bands& bands_;
  const Batch& batch_;
  const Bounds& bounds_;
  const Cuts& cuts_;
  const SumsOf<Sums>& sums_;
  QueryHits* const hits_;
};

template <typename Vec, typename Sums>
void VecScore(const CodeShape& shape, const void* blocks, size_t block_count, const void* const* prepared,
              size_t query_count, float* scores, size_t stride) {
  const Bands bands = ViewBands<Sums>(shape);
  const size_t block_words = (size_t{shape.code_words} + 2) * kBlockRows;
  if (query_count == 1) {
    return OneQuery<Vec, Sums>(bands, static_cast<const uint32_t*>(blocks), block_words, block_count, prepared[0],
                               KeepAll<Vec>{scores});
  }
  SumsOf<Sums> sums;
  for (size_t begin = 0; begin < query_count; begin += QueriesAtOnce(query_count)) {
    const Batch batch(bands, prepared + begin, QueriesAt(begin, query_count));
    typename Sums::Runner runner(bands, batch);
    const Tiles tiles(blocks, block_words, block_count, runner.tile_blocks());
    for (size_t block = 0; block < block_count; block += runner.tile_blocks()) {
      const Tile tile = tiles.At(block);
      for (size_t first = 0; first < batch.count; first += runner.group_queries()) {
        const size_t left = batch.count - first;
        const size_t count = left < runner.group_queries() ? left : runner.group_queries();
        for (uint32_t b = 0; b < bands.count; ++b) runner.Run(b, tile, first, count, sums.of_band[b]);
        for (size_t i = 0; i < count; ++i) {
          float* out = scores + (begin + first + i) * stride + block * kBlockRows;
          FinishTile<Vec, Sums>(tile, bands, batch.head(first + i), sums, i, KeepAll<Vec>{out});
        }
      }
    }
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
  SumsOf<Sums> sums;
  Bounds bounds = {};
  Cuts cuts;
  for (size_t begin = 0; begin < query_count; begin += QueriesAtOnce(query_count)) {
    const Batch batch(bands, prepared + begin, QueriesAt(begin, query_count));
    typename Sums::Runner runner(bands, batch);
    SetBounds(bands, batch, hits + begin, bounds);
    HitKeeper<Vec, Sums> keeper(bands, batch, bounds, cuts, sums, hits + begin);
    const Tiles tiles(blocks, block_words, block_count, runner.tile_blocks());
    const size_t tile_words = runner.tile_blocks() * block_words;
    for (size_t block = 0; block < block_count; block += runner.tile_blocks()) {
      const Tile tile = tiles.At(block);
      SetCuts<Vec>(tile, bounds, batch.count, cuts);
      Prefetch prefetch(tile.blocks + 2 * tile_words, begin == 0 ? tile_words : 0, batch.count);
      for (size_t first = 0; first < batch.count; first += runner.group_queries()) {
        const size_t left = batch.count - first;
        const size_t count = left < runner.group_queries() ? left : runner.group_queries();
        for (uint32_t b = 0; b < bands.count; ++b) runner.Run(b, tile, first, count, sums.of_band[b]);
        keeper.Keep(tile, block * kBlockRows, first, count, prefetch);
      }
    }
  }
}

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_SCORE_DRIVER_H_
