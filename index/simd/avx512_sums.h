// The sums of the AVX-512 tables with VPOPCNTDQ, VNNI and VBMI (Ice Lake, Zen 4 and later). A vector is a row of a
// block: lane = document. Three ways to the sums of a band, by the levels of document (L) and query (Q):
//   popcount   L = Q = 1: the bits in which document and query agree
//   look-up    the others, if there is one query or L <= 2. A nibble of a document's level stands for four dimensions,
//              and the query has a table of their 16 sums, raised to be positive; vpermb looks up the nibbles of all
//              four bytes of a lane in four such tables at once
//   values     the rest, for several queries: documents are unpacked, once for all queries of a tile, so that the bytes
//              of a lane hold the values c_d of four dimensions, and vpdpbusd multiplies them with the query's values
//              v_q
// What trellis codes derive goes the same ways: for one query row by row, for several it is written to a buffer first,
// once for all queries of a tile.
// The constant is one for all three: with S = sum c_d v_q, plus what the look-up's tables are raised by,
//   D = 2 * S - (2^L - 1) * sum |v_q|
#ifndef BEBR_INDEX_SIMD_AVX512_SUMS_H_
#define BEBR_INDEX_SIMD_AVX512_SUMS_H_

#include <cstring>

#include "index/simd/avx512_tiles.h"
#include "index/simd/query.h"

namespace bebr::simd {
namespace {

// How the dot products of a band are computed: bits counted, nibbles looked up, or values multiplied.
enum class Method { kPopcount, kLookup, kValues };

// Whether two entries of a query's tables may sum to more than a byte holds.
inline bool HasWideEntries(const BandView& band) { return band.query_levels > 5; }

// Of several queries; one query takes look-ups where several take values.
inline Method MethodOf(const BandView& band) {
  if (band.levels * band.query_levels == 1 && !band.has_branches()) return Method::kPopcount;
  return band.levels >= 3 ? Method::kValues : Method::kLookup;
}

template <typename Derive>
inline I Derived(I row, Derive derive) {
  typedef uint32_t Words __attribute__((vector_size(64)));
  auto words = reinterpret_cast<Words>(row);
  derive(words);
  return reinterpret_cast<I>(words);
}

// Scored level t of a word whose level 0 is at `row`.
inline I LoadLevel(const BandView& band, uint32_t t, const uint32_t* row) {
  const I stored = LoadRow(row + size_t{t < band.plain ? t : band.plain} * band.words * kBlockRows);
  return t < band.plain ? stored : t == band.plain ? Derived(stored, HighDerived()) : Derived(stored, LowDerived());
}

inline size_t TableBytes(const BandView& band) { return size_t{band.words} * kWordTables; }

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
      const auto look_up = band.has_branches()
                               ? HasWideEntries(band) ? LookUpBlock<true, true> : LookUpBlock<false, true>
                           : HasWideEntries(band) ? LookUpBlock<true, false>
                                                  : LookUpBlock<false, false>;
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
        return HasWideEntries(band) ? RunLookups<Lookup<true>>(band, part, rows, payloads, sums)
                                    : RunLookups<Lookup<false>>(band, part, rows, payloads, sums);
      case Method::kValues:
        return RunValues(band, part, rows, payloads, sums);
    }
  }

  static const uint8_t* ValuesOf(const BandView& band, const uint8_t* payload) {
    return payload + ValuesAt(band) + kRaisedBytes;
  }

  // The values of one block: eight rows a word.
  static void UnpackBlock(const BandView& band, uint32_t words, const uint32_t* rows, uint32_t* out) {
    for (uint32_t w = 0; w < words; ++w, rows += kBlockRows, out += kUnpackedRows * kBlockRows) {
      I plane[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
      for (uint32_t t = 0; t < band.levels; ++t) plane[band.levels - 1 - t] = LoadLevel(band, t, rows);
      UnpackValues(plane, out);
    }
  }

 private:
  // The look-ups of one level of a block. Low and high nibbles have sums of their own, which wait less for each other.
  template <bool kWideEntries, typename Derive>
  [[gnu::always_inline]] static inline void LookUpLevel(const BandView& band, const uint32_t* rows, size_t ahead,
                                                        Derive derive, const uint8_t* tables, I weight, I (&acc)[2]) {
    for (uint32_t w = 0; w < band.words; ++w, rows += kBlockRows, tables += kWordTables) {
      __builtin_prefetch(rows + ahead);
      const I row = Derived(LoadRow(rows), derive);
      const I of_low = _mm512_permutexvar_epi8(TableIndex(row), LoadRow(tables));
      const I of_high =
          _mm512_permutexvar_epi8(TableIndex(_mm512_srli_epi32(row, 4)), LoadRow(tables + kWordTables / 2));
      if (kWideEntries) {
        acc[0] = _mm512_dpbusd_epi32(acc[0], of_low, weight);
        acc[1] = _mm512_dpbusd_epi32(acc[1], of_high, weight);
      } else {
        acc[0] = _mm512_dpbusd_epi32(acc[0], _mm512_add_epi8(of_low, of_high), weight);
      }
    }
  }

  template <bool kWideEntries, bool kBranches>
  static void LookUpBlock(const BandView& band, const uint32_t* rows, size_t ahead, const uint8_t* tables,
                          int32_t* sums) {
    I acc[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for (uint32_t t = 0; t < band.plain; ++t, rows += size_t{band.words} * kBlockRows) {
      LookUpLevel<kWideEntries>(band, rows, ahead, AsStored(), tables, LevelWeight(band.levels, t), acc);
    }
    if constexpr (kBranches) {
      LookUpLevel<kWideEntries>(band, rows, ahead, HighDerived(), tables, LevelWeight(band.levels, band.plain), acc);
      if (band.plain + 1 < band.levels)
        LookUpLevel<kWideEntries>(band, rows, ahead, LowDerived(), tables, LevelWeight(1, 0), acc);
    }
    _mm512_store_si512(sums, _mm512_add_epi32(acc[0], acc[1]));
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

  template <typename How>
  static void RunLookups(const BandView& band, const Part& part, const uint32_t* rows, const uint8_t* const* payloads,
                         int32_t* sums) {
    if (!band.has_branches()) return RunPart<How>(part, rows, payloads, sums);
    const uint8_t* tables[kTileQueries];
    for (size_t q = 0; q < part.query_count; ++q) tables[q] = payloads[q];
    RunUnpacked<How>(part, band.levels, kWordTables, rows, tables, sums,
                     [&band](uint32_t words, const uint32_t* from, uint32_t* out) {
                       for (uint32_t t = 0; t < band.levels; ++t) {
                         for (uint32_t w = 0; w < words; ++w, out += kBlockRows)
                           _mm512_store_si512(out, LoadLevel(band, t, from + size_t{w} * kBlockRows));
                       }
                     });
  }

  static void RunValues(const BandView& band, const Part& part, const uint32_t* rows, const uint8_t* const* payloads,
                        int32_t* sums) {
    const uint8_t* values[kTileQueries];
    for (size_t q = 0; q < part.query_count; ++q) values[q] = ValuesOf(band, payloads[q]);
    RunUnpacked<Values>(
        part, kUnpackedRows, kWordValues, rows, values, sums,
        [&band](uint32_t words, const uint32_t* from, uint32_t* out) { UnpackBlock(band, words, from, out); });
  }

  // unpack(words, rows, out) makes some rows of each of so many words of a block, 16 KiB of all blocks at a time: what
  // the first-level cache holds beside the queries, which have `query_bytes` a word.
  template <typename How, typename Unpack>
  static void RunUnpacked(const Part& whole, uint32_t word_rows, size_t query_bytes, const uint32_t* rows,
                          const uint8_t** queries, int32_t* sums, const Unpack& unpack) {
    constexpr uint32_t kMostRows = 64;
    alignas(64) uint32_t unpacked[kTileBlocks * kMostRows * kBlockRows];
    const uint32_t most_words = kMostRows / word_rows;
    for (uint32_t w0 = 0; w0 < whole.words; w0 += most_words) {
      Part part = whole;
      part.words = whole.words - w0 < most_words ? whole.words - w0 : most_words;
      part.block_words = size_t{part.words} * word_rows * kBlockRows;
      part.add = w0 > 0;
      for (size_t d = 0; d < part.block_count; ++d)
        unpack(part.words, rows + d * whole.block_words + size_t{w0} * kBlockRows, unpacked + d * part.block_words);
      RunPart<How>(part, unpacked, queries, sums);
      for (size_t q = 0; q < whole.query_count; ++q) queries[q] += most_words * query_bytes;
    }
  }
};

using Avx512Sums = RowSums<false>;

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_AVX512_SUMS_H_
