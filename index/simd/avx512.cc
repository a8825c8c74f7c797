// AVX-512 with VPOPCNTDQ and VNNI (Ice Lake, Zen 4 and later). A vector is a row of a block: lane = document. Three
// ways to the sums of a band, by the levels of document (L) and query (Q), whichever needs the fewest instructions:
//   plane pairs      a popcount for each pair of a document's and a query's plane, weighted by both levels
//   three popcounts  L = Q = 2; see ThreePopcounts
//   values           L >= 2 and L * Q >= 6: documents are unpacked, once for all queries of a tile, so that the bytes
//   of a lane hold
//                    the values c_d of four dimensions, and vpdpbusd multiplies them with the query's values v_q:
//                    D = 2 * sum c_d v_q - (2^L - 1) * sum v_q
#include <cstring>

#include "index/simd/avx512_vec.h"
#include "index/simd/query.h"
#include "index/simd/tables.h"

namespace bebr::simd {
namespace {

using I = __m512i;

enum class Method { kPlanePairs, kThreePopcounts, kValues };

inline Method MethodOf(const BandView& band) {
  if (band.levels == 2 && band.query_levels == 2) return Method::kThreePopcounts;
  return band.levels >= 2 && band.levels * band.query_levels >= 6 ? Method::kValues : Method::kPlanePairs;
}

inline I LoadRow(const uint32_t* row) { return _mm512_loadu_si512(row); }

// A part of a band in a tile: kBlocks blocks and kQueries queries at a time go through one of the functions below,
// which write their sums, or add them.
struct Part {
  uint32_t levels;
  uint32_t query_levels;
  uint32_t words;      // of one level
  size_t block_words;  // from one block to the next
  size_t block_count;
  size_t query_count;
  bool add;
};

template <int kBlocks, int kQueries>
void StoreSums(const Part& part, const I (&acc)[kBlocks][kQueries], int32_t* sums) {
  for (int q = 0; q < kQueries; ++q) {
    for (int d = 0; d < kBlocks; ++d) {
      int32_t* to = sums + q * kTileRows + d * kBlockRows;
      _mm512_storeu_si512(to, part.add ? _mm512_add_epi32(acc[d][q], _mm512_loadu_si512(to)) : acc[d][q]);
    }
  }
}

template <int kBlocks, int kQueries>
void Clear(I (&acc)[kBlocks][kQueries]) {
  for (int d = 0; d < kBlocks; ++d) {
    for (int q = 0; q < kQueries; ++q) acc[d][q] = _mm512_setzero_si512();
  }
}

template <int kBlocks, int kQueries>
void Double(I (&acc)[kBlocks][kQueries]) {
  for (int d = 0; d < kBlocks; ++d) {
    for (int q = 0; q < kQueries; ++q) acc[d][q] = _mm512_add_epi32(acc[d][q], acc[d][q]);
  }
}

// Subtracts the number of different bits of a document's plane and a query's plane.
template <int kBlocks, int kQueries>
void CountDifferent(const Part& part, const uint32_t* rows, const uint32_t* const* queries, uint32_t query_word,
                    I (&acc)[kBlocks][kQueries]) {
  for (uint32_t w = 0; w < part.words; ++w) {
    I row[kBlocks];
    for (int d = 0; d < kBlocks; ++d) row[d] = LoadRow(rows + d * part.block_words + size_t{w} * kBlockRows);
    for (int q = 0; q < kQueries; ++q) {
      const I query = _mm512_set1_epi32(static_cast<int>(queries[q][query_word + w]));
      for (int d = 0; d < kBlocks; ++d) {
        acc[d][q] = _mm512_sub_epi32(acc[d][q], _mm512_popcnt_epi32(_mm512_xor_si512(row[d], query)));
      }
    }
  }
}

struct OnePair {
  static constexpr int kQueries = 8;
  template <int kBlocks, int kQueries>
  static void Run(const Part& part, const uint32_t* rows, const uint32_t* const* queries, int32_t* sums) {
    I acc[kBlocks][kQueries];
    Clear(acc);
    CountDifferent(part, rows, queries, 0, acc);
    StoreSums(part, acc, sums);
  }
};

struct PlanePairs {
  static constexpr int kQueries = 4;
  template <int kBlocks, int kQueries>
  static void Run(const Part& part, const uint32_t* rows, const uint32_t* const* queries, int32_t* sums) {
    I acc[kBlocks][kQueries], level[kBlocks][kQueries];
    Clear(acc);
    for (uint32_t t = 0; t < part.levels; ++t) {
      Clear(level);
      for (uint32_t s = 0; s < part.query_levels; ++s) {
        Double(level);
        CountDifferent(part, rows + size_t{t} * part.words * kBlockRows, queries, s * part.words, level);
      }
      Double(acc);
      for (int d = 0; d < kBlocks; ++d) {
        for (int q = 0; q < kQueries; ++q) acc[d][q] = _mm512_add_epi32(acc[d][q], level[d][q]);
      }
    }
    StoreSums(part, acc, sums);
  }
};

// With A = d0 ^ q0, E = d1 ^ q1, F = d0 ^ q1 and G = d1 ^ q0, four times the product of two values +-1 +-1/2 is
// 9 - 2 * (4A + E + 2F + 2G). Because F ^ G = A ^ E, 2F + 2G = 2(A ^ E) + 4FG, and with M = majority(A, F, G), which is
// G where A = E and A elsewhere, the bracket is 2A + 3E + 4M: three popcounts instead of four.
struct ThreePopcounts {
  static constexpr int kQueries = 2;
  template <int kBlocks, int kQueries>
  static void Run(const Part& part, const uint32_t* rows, const uint32_t* const* queries, int32_t* sums) {
    constexpr int kMajority = 0xB2;
    I a[kBlocks][kQueries], e[kBlocks][kQueries], m[kBlocks][kQueries];
    Clear(a);
    Clear(e);
    Clear(m);
    const size_t second = size_t{part.words} * kBlockRows;
    for (uint32_t w = 0; w < part.words; ++w) {
      for (int q = 0; q < kQueries; ++q) {
        const I q0 = _mm512_set1_epi32(static_cast<int>(queries[q][w]));
        const I q1 = _mm512_set1_epi32(static_cast<int>(queries[q][part.words + w]));
        for (int d = 0; d < kBlocks; ++d) {
          const uint32_t* row = rows + d * part.block_words + size_t{w} * kBlockRows;
          const I d1 = LoadRow(row + second);
          const I bits_a = _mm512_xor_si512(LoadRow(row), q0);
          const I bits_e = _mm512_xor_si512(d1, q1);
          const I bits_m = _mm512_ternarylogic_epi32(bits_a, bits_e, _mm512_xor_si512(d1, q0), kMajority);
          a[d][q] = _mm512_sub_epi32(a[d][q], _mm512_popcnt_epi32(bits_a));
          e[d][q] = _mm512_sub_epi32(e[d][q], _mm512_popcnt_epi32(bits_e));
          m[d][q] = _mm512_sub_epi32(m[d][q], _mm512_popcnt_epi32(bits_m));
        }
      }
    }
    for (int d = 0; d < kBlocks; ++d) {
      for (int q = 0; q < kQueries; ++q) {
        const I half = _mm512_add_epi32(_mm512_add_epi32(a[d][q], e[d][q]), _mm512_add_epi32(m[d][q], m[d][q]));
        a[d][q] = _mm512_add_epi32(_mm512_add_epi32(half, half), e[d][q]);
      }
    }
    StoreSums(part, a, sums);
  }
};

// Rows are unpacked ones: eight for a word of 32 dimensions.
constexpr uint32_t kUnpackedRows = 8;

struct Values {
  static constexpr int kQueries = 4;
  template <int kBlocks, int kQueries>
  static void Run(const Part& part, const uint32_t* rows, const uint32_t* const* queries, int32_t* sums) {
    I acc[kBlocks][kQueries];
    Clear(acc);
    for (uint32_t i = 0; i < part.words * kUnpackedRows; ++i) {
      I row[kBlocks];
      for (int d = 0; d < kBlocks; ++d) row[d] = LoadRow(rows + d * part.block_words + size_t{i} * kBlockRows);
      for (int q = 0; q < kQueries; ++q) {
        const I query = _mm512_set1_epi32(static_cast<int>(queries[q][i]));
        for (int d = 0; d < kBlocks; ++d) acc[d][q] = _mm512_dpbusd_epi32(acc[d][q], row[d], query);
      }
    }
    StoreSums(part, acc, sums);
  }
};

// All blocks and queries of a part, in register tiles.
template <typename How, int kQueries>
void RunBlocks(const Part& part, const uint32_t* rows, const uint32_t* const* queries, int32_t* sums) {
  size_t d = 0;
  for (; d + 2 <= part.block_count; d += 2) {
    How::template Run<2, kQueries>(part, rows + d * part.block_words, queries, sums + d * kBlockRows);
  }
  if (d < part.block_count)
    How::template Run<1, kQueries>(part, rows + d * part.block_words, queries, sums + d * kBlockRows);
}

template <typename How>
void RunPart(const Part& part, const uint32_t* rows, const uint32_t* const* queries, int32_t* sums) {
  size_t q = 0;
  for (; q + How::kQueries <= part.query_count; q += How::kQueries) {
    RunBlocks<How, How::kQueries>(part, rows, queries + q, sums + q * kTileRows);
  }
  for (; q < part.query_count; ++q) RunBlocks<How, 1>(part, rows, queries + q, sums + q * kTileRows);
}

inline I Select(int mask, I where_set, I elsewhere) {
  constexpr int kChoose = 0xCA;
  return _mm512_ternarylogic_epi32(_mm512_set1_epi32(mask), where_set, elsewhere, kChoose);
}

// Transposes the bits of up to four planes (plane[k] holds bit k of every value): out[2 * j + h] has in byte b of a
// lane the value of dimension 8 * b + 4 * h + j.
inline void UnpackValues(const I (&plane)[4], uint32_t* out) {
  const int pairs = 0x55555555, quads = 0x33333333;
  const I even_low = Select(pairs, plane[0], _mm512_slli_epi32(plane[1], 1));
  const I odd_low = Select(pairs, _mm512_srli_epi32(plane[0], 1), plane[1]);
  const I even_high = Select(pairs, plane[2], _mm512_slli_epi32(plane[3], 1));
  const I odd_high = Select(pairs, _mm512_srli_epi32(plane[2], 1), plane[3]);
  const I nibbles[4] = {
      Select(quads, even_low, _mm512_slli_epi32(even_high, 2)), Select(quads, odd_low, _mm512_slli_epi32(odd_high, 2)),
      Select(quads, _mm512_srli_epi32(even_low, 2), even_high), Select(quads, _mm512_srli_epi32(odd_low, 2), odd_high)};
  const I mask = _mm512_set1_epi8(15);
  for (int j = 0; j < 4; ++j) {
    _mm512_store_si512(out + (2 * j) * kBlockRows, _mm512_and_si512(nibbles[j], mask));
    _mm512_store_si512(out + (2 * j + 1) * kBlockRows, _mm512_and_si512(_mm512_srli_epi32(nibbles[j], 4), mask));
  }
}

struct Sums {
  static size_t PayloadBytes(const BandView& band) {
    const size_t bytes = size_t{band.words} * (MethodOf(band) == Method::kValues ? 32 : 4 * band.query_levels);
    return (bytes + 63) / 64 * 64;
  }

  static int32_t PreparePayload(const BandView& band, const uint32_t* planes, uint8_t* payload) {
    if (MethodOf(band) != Method::kValues) {
      std::memcpy(payload, planes, size_t{band.words} * band.query_levels * 4);
      return FullValue(band) * ((1 << band.query_levels) - 1) * static_cast<int32_t>(band.dims);
    }
    int32_t sum = 0;
    for (uint32_t i = 0; i < band.words * 32; ++i) {
      const int32_t value = QueryValue(band, planes, i);
      const uint32_t row = i / 32 * kUnpackedRows + i % 4 * 2 + i % 8 / 4;
      payload[row * 4 + i % 32 / 8] = static_cast<uint8_t>(value);
      sum += value;
    }
    return -FullValue(band) * sum;
  }

  static void Run(const BandView& band, const Tile& tile, const uint8_t* const* payloads, int32_t* sums) {
    const uint32_t* queries[kTileQueries];
    for (size_t q = 0; q < tile.query_count; ++q) queries[q] = reinterpret_cast<const uint32_t*>(payloads[q]);
    const uint32_t* rows = tile.blocks + size_t{band.first_word} * kBlockRows;
    const Part part = {band.levels,      band.query_levels, band.words, tile.block_words,
                       tile.block_count, tile.query_count,  false};
    switch (MethodOf(band)) {
      case Method::kPlanePairs:
        return band.levels * band.query_levels == 1 ? RunPart<OnePair>(part, rows, queries, sums)
                                                    : RunPart<PlanePairs>(part, rows, queries, sums);
      case Method::kThreePopcounts:
        return RunPart<ThreePopcounts>(part, rows, queries, sums);
      case Method::kValues:
        return RunValues(part, rows, queries, sums);
    }
  }

 private:
  // Unpacks 16 KiB at a time: what the first-level cache holds beside the queries.
  static void RunValues(const Part& whole, const uint32_t* rows, const uint32_t** queries, int32_t* sums) {
    constexpr uint32_t kRoom = 32;  // words
    constexpr uint32_t kMostWords = 8;
    const uint32_t step = whole.words < kMostWords ? whole.words : kMostWords;
    const size_t blocks_at_once = kRoom / step < kTileBlocks ? kRoom / step : kTileBlocks;
    alignas(64) uint32_t values[kRoom * kUnpackedRows * kBlockRows];
    for (uint32_t w0 = 0; w0 < whole.words; w0 += step) {
      Part part = whole;
      part.words = whole.words - w0 < step ? whole.words - w0 : step;
      part.block_words = size_t{part.words} * kUnpackedRows * kBlockRows;
      part.add = w0 > 0;
      for (size_t first = 0; first < whole.block_count; first += blocks_at_once) {
        part.block_count = whole.block_count - first < blocks_at_once ? whole.block_count - first : blocks_at_once;
        for (size_t d = 0; d < part.block_count; ++d) {
          UnpackBlock(whole, part.words, rows + (first + d) * whole.block_words + size_t{w0} * kBlockRows,
                      values + d * part.block_words);
        }
        RunPart<Values>(part, values, queries, sums + first * kBlockRows);
      }
      for (size_t q = 0; q < whole.query_count; ++q) queries[q] += size_t{step} * kUnpackedRows;
    }
  }

  static void UnpackBlock(const Part& whole, uint32_t words, const uint32_t* rows, uint32_t* out) {
    for (uint32_t w = 0; w < words; ++w, out += kUnpackedRows * kBlockRows) {
      I plane[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
      for (uint32_t t = 0; t < whole.levels; ++t) {
        plane[whole.levels - 1 - t] = LoadRow(rows + (size_t{t} * whole.words + w) * kBlockRows);
      }
      UnpackValues(plane, out);
    }
  }
};

}  // namespace

const KernelTable BEBR_SIMD_AVX512_TABLE = {
    "avx512",        Avx512Supported,      VecPreparedBytes<Sums>, VecPrepare<Sums>, VecScore<Vec, Sums>,
    VecCollect<Vec>, VecPackedFloats<Vec>, VecPack<Vec>,           VecGemm<Vec>};

}  // namespace bebr::simd
