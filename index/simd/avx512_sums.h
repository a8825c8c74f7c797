// The sums of the AVX-512 tables with VPOPCNTDQ, VNNI and VBMI (Ice Lake, Zen 4 and later). A vector is a row of a
// block: lane = document. Three ways to the sums of a band, by the levels of document (L) and query (Q):
//   popcount   L = Q = 1: the bits in which document and query agree
//   look-up    the others, if there is one query or L <= 2. A nibble of a document's level stands for four dimensions,
//              and the query has a table of their 16 sums, raised to be positive; vpermb looks up the nibbles of all
//              four bytes of a lane in four such tables at once
//   values     the rest, for several queries: documents are unpacked, once for all queries of a tile, so that the bytes
//              of a lane hold the values c_d of four dimensions, and vpdpbusd multiplies them with the query's values
//              v_q
// The constant is one for all three: with S = sum c_d v_q, plus what the look-up's tables are raised by,
//   D = 2 * S - (2^L - 1) * sum |v_q|
#ifndef BEBR_INDEX_SIMD_AVX512_SUMS_H_
#define BEBR_INDEX_SIMD_AVX512_SUMS_H_

#include <cstring>

#include "index/simd/avx512_vec.h"
#include "index/simd/query.h"

namespace bebr::simd {
namespace {

using I = __m512i;

constexpr size_t kTileBlocks = 4;
constexpr size_t kTileRows = kTileBlocks * kBlockRows;

// How the dot products of a band are computed: bits counted, nibbles looked up, or values multiplied.
enum class Method { kPopcount, kLookup, kValues };

// Whether two entries of a query's tables may sum to more than a byte holds.
inline bool HasWideEntries(const BandView& band) { return band.query_levels > 5; }

// Of several queries; one query takes look-ups where several take values.
inline Method MethodOf(const BandView& band) {
  if (band.levels * band.query_levels == 1) return Method::kPopcount;
  return band.levels >= 3 ? Method::kValues : Method::kLookup;
}

inline I LoadRow(const void* row) { return _mm512_loadu_si512(row); }

// Of a word, for a query: four tables for the low nibbles of its bytes, four for the high ones.
constexpr size_t kWordTables = 128;
// Rows are unpacked ones: eight for a word of 32 dimensions.
constexpr uint32_t kUnpackedRows = 8;
constexpr size_t kWordValues = 4 * kUnpackedRows;

inline size_t TableBytes(const BandView& band) { return size_t{band.words} * kWordTables; }

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
  for (int q = 0; q < kQueries; ++q) {
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
    for (int q = 0; q < kQueries; ++q) {
      for (int d = 0; d < kBlocks; ++d) acc[d][q] = Count(LoadRow(rows + d * part.block_words), queries[q], 0);
    }
    for (uint32_t w = 1; w < part.words; ++w) {
      I row[kBlocks];
      for (int d = 0; d < kBlocks; ++d) row[d] = LoadRow(rows + d * part.block_words + size_t{w} * kBlockRows);
      for (int q = 0; q < kQueries; ++q) {
        for (int d = 0; d < kBlocks; ++d) acc[d][q] = _mm512_add_epi32(acc[d][q], Count(row[d], queries[q], w));
      }
    }
    StoreSums(part, acc, sums);
  }
};

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

  static I LevelWeight(uint32_t levels, uint32_t t) {
    return _mm512_set1_epi8(static_cast<char>(1 << (levels - 1 - t)));
  }

  template <int kBlocks, int kQueries>
  static void Run(const Part& part, const uint32_t* rows, const uint8_t* const* queries, int32_t* sums) {
    I acc[kBlocks][kQueries];
    for (int d = 0; d < kBlocks; ++d) {
      for (int q = 0; q < kQueries; ++q) acc[d][q] = _mm512_setzero_si512();
    }
    for (uint32_t t = 0; t < part.levels; ++t, rows += size_t{part.words} * kBlockRows) {
      const I weight = LevelWeight(part.levels, t);
      for (uint32_t w = 0; w < part.words; ++w) {
        I low[kBlocks], high[kBlocks];
        for (int d = 0; d < kBlocks; ++d) {
          const I row = LoadRow(rows + d * part.block_words + size_t{w} * kBlockRows);
          low[d] = TableIndex(row);
          high[d] = TableIndex(_mm512_srli_epi32(row, 4));
        }
        for (int q = 0; q < kQueries; ++q) {
          const uint8_t* tables = queries[q] + size_t{w} * kWordTables;
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
    for (int q = 0; q < kQueries; ++q) {
      const I start = part.add ? _mm512_setzero_si512() : _mm512_set1_epi32(RaisedBefore(queries[q]));
      for (int d = 0; d < kBlocks; ++d) acc[d][q] = start;
    }
    for (uint32_t i = 0; i < part.words * kUnpackedRows; ++i) {
      I row[kBlocks];
      for (int d = 0; d < kBlocks; ++d) row[d] = LoadRow(rows + d * part.block_words + size_t{i} * kBlockRows);
      for (int q = 0; q < kQueries; ++q) {
        int32_t four;
        std::memcpy(&four, queries[q] + size_t{i} * 4, sizeof(four));
        const I query = _mm512_set1_epi32(four);
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

// kAllValues: queries have values for all bands, for a table that has its own way with several queries.
template <bool kAllValues>
struct RowSums {
  static constexpr size_t kTileBlocks = simd::kTileBlocks;
  using Runner = WholeBatch<RowSums>;

  static bool HasValues(const BandView& band) { return kAllValues || MethodOf(band) == Method::kValues; }

  // The complemented planes, or the tables, which one query takes, and then the values, if several queries take them.
  static size_t PayloadBytes(const BandView& band) { return ValuesAt(band) + (HasValues(band) ? ValueBytes(band) : 0); }

  static int32_t PreparePayload(const BandView& band, const uint32_t* planes, uint8_t* payload) {
    const bool counts = MethodOf(band) == Method::kPopcount;
    if (counts) PrepareComplement(band, planes, payload);
    uint8_t* const of_values = payload + ValuesAt(band);
    if (HasValues(band)) std::memset(of_values, 0, ValueBytes(band));
    int32_t magnitude = 0, raised = 0;
    for (uint32_t w = 0; w < band.words; ++w) {
      int32_t values[32];
      QueryValues(band, planes, w, values);
      if (!counts) PrepareTables(values, payload + size_t{w} * kWordTables);
      if (HasValues(band)) PrepareValues(values, of_values + kRaisedBytes + size_t{w} * kWordValues);
      for (const int32_t value : values) {
        magnitude += value < 0 ? -value : value;
        raised -= value < 0 ? FullValue(band) * value : 0;
      }
    }
    if (HasValues(band)) std::memcpy(of_values, &raised, sizeof(raised));
    return -FullValue(band) * magnitude;
  }

  static void RunBlock(const BandView& band, const uint32_t* rows, size_t ahead, const uint8_t* payload,
                       int32_t* sums) {
    if (MethodOf(band) != Method::kPopcount) {
      const auto look_up = HasWideEntries(band) ? LookUpBlock<true> : LookUpBlock<false>;
      return look_up(band, rows, ahead, payload, sums);
    }
    I acc = _mm512_setzero_si512();
    for (uint32_t w = 0; w < band.words; ++w, rows += kBlockRows) {
      __builtin_prefetch(rows + ahead);
      acc = _mm512_add_epi32(acc, Popcount::Count(LoadRow(rows), payload, w));
    }
    _mm512_store_si512(sums, acc);
  }

  static void Run(const BandView& band, const Tile& tile, const uint8_t* const* payloads, size_t query_count,
                  int32_t* sums) {
    const uint32_t* rows = tile.blocks + size_t{band.first_word} * kBlockRows;
    const Part part = {band.levels, band.words, tile.block_words, tile.block_count, query_count, false};
    switch (MethodOf(band)) {
      case Method::kPopcount:
        return RunPart<Popcount>(part, rows, payloads, sums);
      case Method::kLookup:
        return HasWideEntries(band) ? RunPart<Lookup<true>>(part, rows, payloads, sums)
                                    : RunPart<Lookup<false>>(part, rows, payloads, sums);
      case Method::kValues:
        const uint8_t* values[kTileQueries];
        for (size_t q = 0; q < query_count; ++q) values[q] = ValuesOf(band, payloads[q]);
        return RunValues(part, rows, values, sums);
    }
  }

  static const uint8_t* ValuesOf(const BandView& band, const uint8_t* payload) {
    return payload + ValuesAt(band) + kRaisedBytes;
  }

  // The values of one block: eight rows a word.
  static void UnpackBlock(uint32_t levels, size_t level_words, uint32_t words, const uint32_t* rows, uint32_t* out) {
    for (uint32_t w = 0; w < words; ++w, out += kUnpackedRows * kBlockRows) {
      I plane[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
      for (uint32_t t = 0; t < levels; ++t) plane[levels - 1 - t] = LoadRow(rows + (t * level_words + w) * kBlockRows);
      UnpackValues(plane, out);
    }
  }

 private:
  template <bool kWideEntries>
  static void LookUpBlock(const BandView& band, const uint32_t* rows, size_t ahead, const uint8_t* payload,
                          int32_t* sums) {
    using How = Lookup<kWideEntries>;
    I acc = _mm512_setzero_si512();
    for (uint32_t t = 0; t < band.levels; ++t) {
      const I weight = How::LevelWeight(band.levels, t);
      const uint8_t* tables = payload;
      for (uint32_t w = 0; w < band.words; ++w, rows += kBlockRows, tables += kWordTables) {
        __builtin_prefetch(rows + ahead);
        const I row = LoadRow(rows);
        acc = How::Add(acc, TableIndex(row), TableIndex(_mm512_srli_epi32(row, 4)), tables, weight);
      }
    }
    _mm512_store_si512(sums, acc);
  }

  static size_t ValuesAt(const BandView& band) {
    const size_t bytes = MethodOf(band) == Method::kPopcount ? size_t{band.words} * 4 : TableBytes(band);
    return (bytes + 63) / 64 * 64;
  }
  // An even number of words: whole vectors.
  static size_t ValueBytes(const BandView& band) {
    return kRaisedBytes + (size_t{band.words} + 1) / 2 * 2 * kWordValues;
  }

  static void PrepareComplement(const BandView& band, const uint32_t* planes, uint8_t* payload) {
    for (uint32_t w = 0; w < band.words; ++w) {
      const uint32_t padding = w + 1 == band.words && band.dims % 32 != 0 ? ~0u << (band.dims % 32) : 0;
      const uint32_t word = ~(planes[w] | padding);
      std::memcpy(payload + size_t{w} * 4, &word, sizeof(word));
    }
  }

  // The tables of a word.
  static void PrepareTables(const int32_t (&values)[32], uint8_t* tables) {
    constexpr uint32_t kEntries = 16;
    for (uint32_t first = 0; first < 32; first += 4) {
      const uint32_t byte = first / 8, high = first % 8 / 4;
      uint8_t* table = tables + (4 * high + byte) * kEntries;
      int32_t raised = 0;
      for (uint32_t j = 0; j < 4; ++j) raised -= values[first + j] < 0 ? values[first + j] : 0;
      table[0] = static_cast<uint8_t>(raised);
      for (uint32_t j = 0; j < 4; ++j) {
        for (uint32_t m = 0; m < (1u << j); ++m)
          table[m + (1u << j)] = static_cast<uint8_t>(table[m] + values[first + j]);
      }
    }
  }

  // The values of a word.
  static void PrepareValues(const int32_t (&values)[32], uint8_t* payload) {
    for (uint32_t i = 0; i < 32; ++i) {
      const uint32_t row = i % 4 * 2 + i % 8 / 4;
      payload[row * 4 + i / 8] = static_cast<uint8_t>(values[i]);
    }
  }

  // Unpacks 16 KiB at a time: what the first-level cache holds beside the queries.
  static void RunValues(const Part& whole, const uint32_t* rows, const uint8_t** queries, int32_t* sums) {
    constexpr uint32_t kMostWords = 8;
    alignas(64) uint32_t values[kTileBlocks * kMostWords * kUnpackedRows * kBlockRows];
    for (uint32_t w0 = 0; w0 < whole.words; w0 += kMostWords) {
      Part part = whole;
      part.words = whole.words - w0 < kMostWords ? whole.words - w0 : kMostWords;
      part.block_words = size_t{part.words} * kUnpackedRows * kBlockRows;
      part.add = w0 > 0;
      for (size_t d = 0; d < part.block_count; ++d) {
        UnpackBlock(whole.levels, whole.words, part.words, rows + d * whole.block_words + size_t{w0} * kBlockRows,
                    values + d * part.block_words);
      }
      RunPart<Values>(part, values, queries, sums);
      for (size_t q = 0; q < whole.query_count; ++q) queries[q] += kMostWords * kWordValues;
    }
  }
};

using Avx512Sums = RowSums<false>;

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_AVX512_SUMS_H_
