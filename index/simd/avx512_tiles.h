// The inner loops of the AVX-512 tables (avx512_sums.h): some blocks and queries at a time in registers.
#ifndef BEBR_INDEX_SIMD_AVX512_TILES_H_
#define BEBR_INDEX_SIMD_AVX512_TILES_H_

#include <cstring>

#include "index/simd/avx512_vec.h"
#include "index/simd/query.h"

namespace bebr::simd {
namespace {

using I = __m512i;

constexpr size_t kTileBlocks = 4;
constexpr size_t kTileRows = kTileBlocks * kBlockRows;

inline I LoadRow(const void* row) { return _mm512_loadu_si512(row); }

// Of a word, for a query: four tables for the low nibbles of its bytes, four for the high ones.
constexpr size_t kWordTables = 128;
// Rows are unpacked ones: eight for a word of 32 dimensions.
constexpr uint32_t kUnpackedRows = 8;
constexpr size_t kWordValues = 4 * kUnpackedRows;

// What vpermb takes to look up the low (or, of a row shifted by four, the high) nibble of every byte: byte j of a lane
// has its table at 16 * j.
inline I TableIndex(I row) {
  constexpr int kAndOr = 0xEA;  // (a & b) | c
  return _mm512_ternarylogic_epi32(row, _mm512_set1_epi8(15), _mm512_set1_epi32(0x30201000), kAndOr);
}

// A part of a band in a tile: kBlocks blocks and kQueries queries at a time go through one of the functions below,
// which write their sums, or add them.
struct Part {
  uint32_t levels;
  uint32_t words;      // of one level
  size_t block_words;  // from one block to the next
  size_t block_count;
  size_t query_count;
  bool add;
};

template <int kBlocks, int kQueries>
void StoreSums(const Part& part, const I (&acc)[kBlocks][kQueries], int32_t* sums) {
#pragma GCC unroll 8
  for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 8
    for (int d = 0; d < kBlocks; ++d) {
      int32_t* to = sums + q * kTileRows + d * kBlockRows;
      _mm512_storeu_si512(to, part.add ? _mm512_add_epi32(acc[d][q], _mm512_loadu_si512(to)) : acc[d][q]);
    }
  }
}

// The bits in which documents and queries agree, of padding none: the query's payload is its complement.
struct Popcount {
  static constexpr int kQueries = 8;
  static constexpr int kBlocks = 2;

  static I Count(I row, const uint8_t* query, uint32_t w) {
    int32_t word;
    std::memcpy(&word, query + size_t{w} * 4, sizeof(word));
    return _mm512_popcnt_epi32(_mm512_xor_si512(row, _mm512_set1_epi32(word)));
  }

  template <int kBlocks, int kQueries>
  static void Run(const Part& part, const uint32_t* rows, const uint8_t* const* queries, int32_t* sums) {
    I acc[kBlocks][kQueries];
#pragma GCC unroll 8
    for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 8
      for (int d = 0; d < kBlocks; ++d) acc[d][q] = Count(LoadRow(rows + d * part.block_words), queries[q], 0);
    }
    for (uint32_t w = 1; w < part.words; ++w) {
      I row[kBlocks];
#pragma GCC unroll 8
      for (int d = 0; d < kBlocks; ++d) row[d] = LoadRow(rows + d * part.block_words + size_t{w} * kBlockRows);
#pragma GCC unroll 8
      for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 8
        for (int d = 0; d < kBlocks; ++d) acc[d][q] = _mm512_add_epi32(acc[d][q], Count(row[d], queries[q], w));
      }
    }
    StoreSums(part, acc, sums);
  }
};

// The weight of level t in every byte.
inline I LevelWeight(uint32_t levels, uint32_t t) { return _mm512_set1_epi8(static_cast<char>(1 << (levels - 1 - t))); }

// Dot products by looking up what each nibble of a document adds.
template <bool kWideEntries>
struct Lookup {
  static constexpr int kQueries = 3;
  static constexpr int kBlocks = 4;

  // Adds what the nibbles of a row stand for, times the weight of its level in every byte of `weight`.
  static I Add(I acc, I low, I high, const uint8_t* tables, I weight) {
    const I of_low = _mm512_permutexvar_epi8(low, LoadRow(tables));
    const I of_high = _mm512_permutexvar_epi8(high, LoadRow(tables + kWordTables / 2));
    if (kWideEntries) return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(acc, of_low, weight), of_high, weight);
    return _mm512_dpbusd_epi32(acc, _mm512_add_epi8(of_low, of_high), weight);
  }

  template <int kBlocks, int kQueries>
  static void Run(const Part& part, const uint32_t* rows, const uint8_t* const* queries, int32_t* sums) {
    I acc[kBlocks][kQueries];
#pragma GCC unroll 8
    for (int d = 0; d < kBlocks; ++d) {
#pragma GCC unroll 8
      for (int q = 0; q < kQueries; ++q) acc[d][q] = _mm512_setzero_si512();
    }
    for (uint32_t t = 0; t < part.levels; ++t, rows += size_t{part.words} * kBlockRows) {
      const I weight = LevelWeight(part.levels, t);
      for (uint32_t w = 0; w < part.words; ++w) {
        I low[kBlocks], high[kBlocks];
#pragma GCC unroll 8
        for (int d = 0; d < kBlocks; ++d) {
          const I row = LoadRow(rows + d * part.block_words + size_t{w} * kBlockRows);
          low[d] = TableIndex(row);
          high[d] = TableIndex(_mm512_srli_epi32(row, 4));
        }
#pragma GCC unroll 8
        for (int q = 0; q < kQueries; ++q) {
          const uint8_t* tables = queries[q] + size_t{w} * kWordTables;
#pragma GCC unroll 8
          for (int d = 0; d < kBlocks; ++d) acc[d][q] = Add(acc[d][q], low[d], high[d], tables, weight);
        }
      }
    }
    StoreSums(part, acc, sums);
  }
};

// A query's values are preceded by the number its tables are raised by in all, in a vector of its own.
constexpr size_t kRaisedBytes = 64;

inline int32_t RaisedBefore(const uint8_t* values) {
  int32_t raised;
  std::memcpy(&raised, values - kRaisedBytes, sizeof(raised));
  return raised;
}

// Dot products by multiplying unpacked values, four to a 32-bit sum.
struct Values {
  static constexpr int kQueries = 6;
  static constexpr int kBlocks = 4;
  template <int kBlocks, int kQueries>
  static void Run(const Part& part, const uint32_t* rows, const uint8_t* const* queries, int32_t* sums) {
    I acc[kBlocks][kQueries];
#pragma GCC unroll 8
    for (int q = 0; q < kQueries; ++q) {
      const I start = part.add ? _mm512_setzero_si512() : _mm512_set1_epi32(RaisedBefore(queries[q]));
#pragma GCC unroll 8
      for (int d = 0; d < kBlocks; ++d) acc[d][q] = start;
    }
    for (uint32_t i = 0; i < part.words * kUnpackedRows; ++i) {
      I row[kBlocks];
#pragma GCC unroll 8
      for (int d = 0; d < kBlocks; ++d) row[d] = LoadRow(rows + d * part.block_words + size_t{i} * kBlockRows);
#pragma GCC unroll 8
      for (int q = 0; q < kQueries; ++q) {
        int32_t four;
        std::memcpy(&four, queries[q] + size_t{i} * 4, sizeof(four));
        const I query = _mm512_set1_epi32(four);
#pragma GCC unroll 8
        for (int d = 0; d < kBlocks; ++d) acc[d][q] = _mm512_dpbusd_epi32(acc[d][q], row[d], query);
      }
    }
    StoreSums(part, acc, sums);
  }
};

// All blocks and queries of a part, in register tiles.
template <typename How, int kQueries>
void RunBlocks(const Part& part, const uint32_t* rows, const uint8_t* const* queries, int32_t* sums) {
  size_t d = 0;
  for (; d + How::kBlocks <= part.block_count; d += How::kBlocks) {
    How::template Run<How::kBlocks, kQueries>(part, rows + d * part.block_words, queries, sums + d * kBlockRows);
  }
  for (; d < part.block_count; ++d)
    How::template Run<1, kQueries>(part, rows + d * part.block_words, queries, sums + d * kBlockRows);
}

template <typename How>
void RunPart(const Part& part, const uint32_t* rows, const uint8_t* const* queries, int32_t* sums) {
  size_t q = 0;
  for (; q + How::kQueries <= part.query_count; q += How::kQueries)
    RunBlocks<How, How::kQueries>(part, rows, queries + q, sums + q * kTileRows);
  for (; q + 2 <= part.query_count; q += 2) RunBlocks<How, 2>(part, rows, queries + q, sums + q * kTileRows);
  if (q < part.query_count) RunBlocks<How, 1>(part, rows, queries + q, sums + q * kTileRows);
}

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_AVX512_TILES_H_
