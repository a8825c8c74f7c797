// Exact sums by table look-up, for instruction sets that can look 16 bytes up at once (pshufb, tbl).
//
// Four bits of one level of a document stand for four dimensions. For each such nibble a query has a table of 16 bytes:
// the sum of its values at the set bits, less the smallest such sum, so that entries are 0..255 (kMostOfFour). One
// look-up then handles a nibble of 16 documents, whatever the query's levels. With S_t the sum of the entries of level
// t,
//   D = 2 * sum over t of 2^(L-1-t) * S_t - (2^L - 1) * sum over dims of |v_q|.
// Documents are unpacked into nibbles once for all queries of a tile: byte j of 16 documents side by side, low and high
// nibble. Entries are added in bytes while they cannot overflow, then as 16-bit numbers of even and odd bytes, then as
// int32.
//
// A Bytes type offers: kBlocks, blocks side by side in a vector B; kNibbleOrder, the order of a word's nibbles in
// vectors and tables; UnpackWord, Table, Lookup, LoadIndex, Zero, Add8, Add16, ShiftRight8 and StoreSums; and for one
// query kSteps, the vectors of a word of one block, LoadWord and StoreBlockSums, or kSteps = 0.
#ifndef BEBR_INDEX_SIMD_LOOKUP_SUMS_H_
#define BEBR_INDEX_SIMD_LOOKUP_SUMS_H_

#include <cstddef>
#include <cstdint>

#include "index/simd/query.h"
#include "index/simd/tile.h"

namespace bebr::simd {
namespace {

constexpr uint32_t kNibbles = 8;      // of a word
constexpr uint32_t kTableBytes = 16;  // of a nibble
constexpr uint32_t kWordTables = kNibbles * kTableBytes;
constexpr uint32_t kChunkWords = 32;  // words of all levels that are unpacked at a time

// A word of all lanes of a block, in as many registers as it takes.
typedef uint32_t Row __attribute__((vector_size(4 * kBlockRows), may_alias));

// A run of a band's words, unpacked, and the queries for it.
struct Chunk {
  uint32_t words;   // of one level
  uint32_t levels;  // that are scored
  const uint8_t* nibbles;
  size_t group_bytes;  // from one group of Bytes::kBlocks blocks to the next
  bool add;            // to the sums of the chunks before
  size_t block_count;
  size_t query_count;
};

// The largest entry.
constexpr uint32_t MostEntry(uint32_t query_levels) {
  const uint32_t most = 4 * ((1u << query_levels) - 1);
  return most < kMostOfFour ? most : kMostOfFour;
}

// Entries that a byte can sum: 60, 20, 8, 4, 2 or 1, so that the rest of a word is always whole.
constexpr uint32_t FlushNibbles(uint32_t query_levels) {
  const uint32_t most = 255 / MostEntry(query_levels);
  return most >= 4 ? most / 4 * 4 : most;
}

// The dot products of a tile of documents with a tile of queries, by look-ups of nibbles.
template <typename Bytes>
struct LookupSums {
  using B = typename Bytes::B;
  static constexpr uint32_t kVector = 16 * Bytes::kBlocks;
  static constexpr size_t kTileBlocks = 8;
  using Runner = WholeBatch<LookupSums>;
  static constexpr size_t kTileRows = kTileBlocks * kBlockRows;
  static constexpr uint32_t kUnpackedWords = kTileBlocks / 2 * kChunkWords;  // of all blocks of a tile: 16 KiB

  static size_t PayloadBytes(const BandView& band) { return size_t{band.words} * kWordTables; }

  static int32_t PreparePayload(const BandView& band, const uint32_t* planes, uint8_t* payload) {
    int32_t magnitude = 0;
    for (uint32_t i = 0; i < band.words * kNibbles; ++i, payload += kTableBytes) {
      int32_t smallest = 0;
      int32_t value[4];
      for (uint32_t j = 0; j < 4; ++j) {
        value[j] = QueryValue(band, planes, i / kNibbles * 32 + Bytes::kNibbleOrder[i % kNibbles] * 4 + j);
        if (value[j] < 0) smallest += value[j];
        magnitude += value[j] < 0 ? -value[j] : value[j];
      }
      payload[0] = static_cast<uint8_t>(-smallest);
      for (uint32_t j = 0; j < 4; ++j) {
        for (uint32_t m = 0; m < (1u << j); ++m) payload[m + (1u << j)] = static_cast<uint8_t>(payload[m] + value[j]);
      }
    }
    return -FullValue(band) * magnitude;
  }

  // A vector holds several bytes of the block, so that the codes are read from end to end and used at once. `ahead`:
  // words from a row to the one that is asked for meanwhile.
  static void RunBlock(const BandView& band, const uint32_t* rows, size_t ahead, const uint8_t* tables, int32_t* sums) {
    if constexpr (Bytes::kSteps == 0) {
      BandView alone = band;
      alone.first_word = 0;
      int32_t tile_sums[kTileRows];
      Run(alone, {rows, 0, 1}, &tables, 1, tile_sums);
      for (uint32_t i = 0; i < kBlockRows; ++i) sums[i] = tile_sums[i];
    } else {
      const auto run = band.query_levels == 1   ? RunFlushing<FlushNibbles(1)>
                       : band.query_levels == 2 ? RunFlushing<FlushNibbles(2)>
                       : band.query_levels == 3 ? RunFlushing<FlushNibbles(3)>
                       : band.query_levels == 4 ? RunFlushing<FlushNibbles(4)>
                       : band.query_levels == 5 ? RunFlushing<FlushNibbles(5)>
                                                : RunFlushing<FlushNibbles(6)>;
      run(band, rows, ahead, tables, sums);
    }
  }

  static void Run(const BandView& band, const Tile& tile, const uint8_t* const* payloads, size_t query_count,
                  int32_t* sums) {
    // 16-bit sums hold (2^L - 1) * the largest entry * 8 * words.
    const uint32_t word_sum = static_cast<uint32_t>(FullValue(band)) * MostEntry(band.query_levels) * kNibbles;
    const uint32_t unpacked = kChunkWords / band.levels;
    const uint32_t most = unpacked * word_sum <= 65535 ? unpacked : 65535 / word_sum;
    const uint32_t chunks = (band.words + most - 1) / most;
    const uint32_t step = (band.words + chunks - 1) / chunks;
    const size_t blocks_at_once = kUnpackedWords / (step * band.levels) >= kTileBlocks ? kTileBlocks : kTileBlocks / 2;
    alignas(64) uint8_t nibbles[kUnpackedWords * 128];
    for (size_t first = 0; first < tile.block_count; first += blocks_at_once) {
      Tile part = tile;
      part.blocks += first * tile.block_words;
      part.block_count = tile.block_count - first < blocks_at_once ? tile.block_count - first : blocks_at_once;
      for (uint32_t w = 0; w < band.words; w += step) {
        const uint32_t words = band.words - w < step ? band.words - w : step;
        Chunk chunk = {words, band.levels,      nibbles,    size_t{words} * band.levels * kNibbles * kVector,
                       w > 0, part.block_count, query_count};
        Unpack(band, part, w, chunk, nibbles);
        const uint8_t* tables[kTileQueries];
        for (size_t q = 0; q < query_count; ++q) tables[q] = payloads[q] + size_t{w} * kWordTables;
        RunChunk(band.query_levels, chunk, tables, sums + first * kBlockRows);
      }
    }
  }

 private:
  // One block. All levels of a run of words share 16-bit sums where they fit; in wider bands level after level, so that
  // the words are read in ascending order there too.
  template <uint32_t kFlush>
  static void RunFlushing(const BandView& band, const uint32_t* rows, size_t ahead, const uint8_t* tables,
                          int32_t* sums) {
    const uint32_t one_level = 65535 / (kNibbles * MostEntry(band.query_levels));  // words
    if (band.words * static_cast<uint32_t>(FullValue(band)) <= one_level) {
      return RunRows<kFlush>(band, {rows, ahead, 0, band.levels, 0, band.words}, tables, sums, false);
    }
    for (uint32_t t = 0; t < band.levels; ++t) {
      for (uint32_t i = 0; t > 0 && i < kBlockRows; ++i) sums[i] *= 2;
      for (uint32_t from = 0; from < band.words; from += one_level) {
        const uint32_t to = band.words - from < one_level ? band.words : from + one_level;
        RunRows<kFlush>(band, {rows, ahead, t, t + 1, from, to}, tables, sums, t > 0 || from > 0);
      }
    }
  }

  // Words first..end - 1 of some scored levels of one block.
  struct Rows {
    const uint32_t* levels_begin;
    size_t ahead;
    uint32_t first_level, end_level;
    uint32_t first, end;

    const uint32_t* level(const BandView& band, uint32_t stored) const {
      return levels_begin + size_t{stored} * band.words * kBlockRows;
    }
  };

  template <uint32_t kFlush>
  static void RunRows(const BandView& band, const Rows& rows, const uint8_t* tables, int32_t* sums, bool add) {
    B even = Bytes::Zero(), odd = Bytes::Zero();
    for (uint32_t t = rows.first_level; t < rows.end_level; ++t) {
      even = Bytes::Add16(even, even);
      odd = Bytes::Add16(odd, odd);
      if (t < band.plain) {
        RunLevel<kFlush>(rows, rows.level(band, t), AsStored(), tables, even, odd);
      } else if (t == band.plain) {
        RunLevel<kFlush>(rows, rows.level(band, t), HighDerived(), tables, even, odd);
      } else {
        RunLevel<kFlush>(rows, rows.level(band, t - 1), LowDerived(), tables, even, odd);
      }
    }
    Bytes::StoreBlockSums(even, odd, sums, add);
  }

  // `derive`: from stored words to those that are scored.
  template <uint32_t kFlush, typename Derive>
  [[gnu::always_inline]] static inline void RunLevel(const Rows& rows, const uint32_t* level, Derive derive,
                                                     const uint8_t* tables, B& even, B& odd) {
    constexpr bool kFlushInWords = kFlush < static_cast<uint32_t>(Bytes::kSteps);
    constexpr uint32_t kFlushWords = kFlushInWords ? 1 : kFlush / Bytes::kSteps;
    for (uint32_t from = rows.first; from < rows.end; from += kFlushWords) {
      const uint32_t to = kFlushWords == 1 || rows.end - from >= kFlushWords ? from + kFlushWords : rows.end;
      B bytes = Bytes::Zero();
      for (uint32_t w = from; w < to; ++w) {
        __builtin_prefetch(level + size_t{w} * kBlockRows + rows.ahead);
        B index[Bytes::kSteps];
        Bytes::LoadWord(level + size_t{w} * kBlockRows, derive, index);
#pragma GCC unroll 4
        for (int i = 0; i < Bytes::kSteps; ++i) {
          const B table = Bytes::LoadIndex(tables + size_t{w} * kWordTables + i * kVector);
          bytes = Bytes::Add8(bytes, Bytes::Lookup(table, index[i]));
          if constexpr (kFlushInWords) {
            if ((i + 1) % kFlush == 0) Flush(bytes, even, odd);
          }
        }
      }
      if constexpr (!kFlushInWords) Flush(bytes, even, odd);
    }
  }

  // Adds bytes to the 16-bit sums, and begins them anew.
  [[gnu::always_inline]] static inline void Flush(B& bytes, B& even, B& odd) {
    even = Bytes::Add16(even, bytes);
    odd = Bytes::Add16(odd, Bytes::ShiftRight8(bytes));
    bytes = Bytes::Zero();
  }

  // The blocks that a last group lacks are read as its last one again; their sums are never used.
  static void Unpack(const BandView& band, const Tile& tile, uint32_t w0, const Chunk& chunk, uint8_t* out) {
    for (size_t first = 0; first < tile.block_count; first += Bytes::kBlocks) {
      const uint32_t *rows[Bytes::kBlocks], *derived_rows[Bytes::kBlocks];
      Row derived[Bytes::kBlocks];
      for (size_t i = 0; i < Bytes::kBlocks; ++i) {
        const size_t block = first + i < tile.block_count ? first + i : tile.block_count - 1;
        rows[i] = tile.blocks + block * tile.block_words + size_t{band.first_word} * kBlockRows;
        derived_rows[i] = reinterpret_cast<const uint32_t*>(&derived[i]);
      }
      for (uint32_t t = 0; t < chunk.levels; ++t) {
        for (uint32_t w = 0; w < chunk.words; ++w, out += kNibbles * kVector) {
          const size_t offset = (size_t{t < band.plain ? t : band.plain} * band.words + w0 + w) * kBlockRows;
          if (t < band.plain) {
            Bytes::UnpackWord(rows, offset, out);
            continue;
          }
          for (size_t i = 0; i < Bytes::kBlocks; ++i) {
            derived[i] = *reinterpret_cast<const Row*>(rows[i] + offset);
            t == band.plain ? HighDerived()(derived[i]) : LowDerived()(derived[i]);
          }
          Bytes::UnpackWord(derived_rows, 0, out);
        }
      }
    }
  }

  static void RunChunk(uint32_t query_levels, const Chunk& chunk, const uint8_t* const* tables, int32_t* sums) {
    switch (query_levels) {
      case 1:
        return RunQueries<FlushNibbles(1), 3>(chunk, tables, sums);
      case 2:
        return RunQueries<FlushNibbles(2), 3>(chunk, tables, sums);
      case 3:
        return RunQueries<FlushNibbles(3), 3>(chunk, tables, sums);
      case 4:
        return RunQueries<FlushNibbles(4), 3>(chunk, tables, sums);
      case 5:
        return RunQueries<FlushNibbles(5), 3>(chunk, tables, sums);
      default:
        return RunQueries<FlushNibbles(6), 3>(chunk, tables, sums);
    }
  }

  // Tiles of kQueries queries, and of two at the end rather than of one.
  template <uint32_t kFlush, int kQueries>
  static void RunQueries(const Chunk& chunk, const uint8_t* const* tables, int32_t* sums) {
    size_t q = 0;
    while (q < chunk.query_count) {
      const size_t left = chunk.query_count - q;
      if (left >= kQueries && left != kQueries + 1) {
        RunGroups<kFlush, kQueries>(chunk, tables + q, sums + q * kTileRows);
        q += kQueries;
      } else if (left >= 2) {
        RunGroups<kFlush, 2>(chunk, tables + q, sums + q * kTileRows);
        q += 2;
      } else {
        RunGroups<kFlush, 1>(chunk, tables + q, sums + q * kTileRows);
        q += 1;
      }
    }
  }

  template <uint32_t kFlush, int kQueries>
  static void RunGroups(const Chunk& chunk, const uint8_t* const* tables, int32_t* sums) {
    const size_t groups = (chunk.block_count + Bytes::kBlocks - 1) / Bytes::kBlocks;
    size_t g = 0;
    for (; g + 2 <= groups; g += 2) {
      RunTile<kFlush, 2, kQueries>(chunk, chunk.nibbles + g * chunk.group_bytes, tables, sums + g * kVector);
    }
    if (g < groups)
      RunTile<kFlush, 1, kQueries>(chunk, chunk.nibbles + g * chunk.group_bytes, tables, sums + g * kVector);
  }

  // kGroups groups of blocks times kQueries queries, in registers. `even` holds the sums of the even bytes plus 256
  // times those of the odd bytes, modulo 2^16; StoreSums takes the latter off again. Not inlined: the caller's
  // variables would take the registers away from the sums.
  template <uint32_t kFlush, int kGroups, int kQueries>
  [[gnu::noinline]] static void RunTile(const Chunk& chunk, const uint8_t* nibbles, const uint8_t* const* tables,
                                        int32_t* sums) {
    const uint32_t end = chunk.words * kNibbles;
    B even[kGroups][kQueries], odd[kGroups][kQueries];
#pragma GCC unroll 8
    for (int i = 0; i < kGroups * kQueries; ++i) {
      even[i / kQueries][i % kQueries] = odd[i / kQueries][i % kQueries] = Bytes::Zero();
    }
    for (uint32_t t = 0; t < chunk.levels; ++t, nibbles += size_t{end} * kVector) {
      if (t > 0) Double(even, odd);
      for (uint32_t from = 0; from < end; from += kFlush) {
        const uint32_t to = kFlush <= kNibbles || end - from >= kFlush ? from + kFlush : end;
        B bytes[kGroups][kQueries];
        SumBytes<kGroups, kQueries>(nibbles, chunk.group_bytes, tables, from, to, bytes);
#pragma GCC unroll 8
        for (int i = 0; i < kGroups * kQueries; ++i) {
          const B sum = bytes[i / kQueries][i % kQueries];
          even[i / kQueries][i % kQueries] = Bytes::Add16(even[i / kQueries][i % kQueries], sum);
          odd[i / kQueries][i % kQueries] = Bytes::Add16(odd[i / kQueries][i % kQueries], Bytes::ShiftRight8(sum));
        }
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kGroups * kQueries; ++i) {
      const int g = i / kQueries, q = i % kQueries;
      Bytes::StoreSums(even[g][q], odd[g][q], sums + q * kTileRows + g * kVector, chunk.add);
    }
  }

  template <int kGroups, int kQueries>
  [[gnu::always_inline]] static inline void Double(B (&even)[kGroups][kQueries], B (&odd)[kGroups][kQueries]) {
#pragma GCC unroll 8
    for (int i = 0; i < kGroups * kQueries; ++i) {
      B& even_sum = even[i / kQueries][i % kQueries];
      B& odd_sum = odd[i / kQueries][i % kQueries];
      even_sum = Bytes::Add16(even_sum, even_sum);
      odd_sum = Bytes::Add16(odd_sum, odd_sum);
    }
  }

  // The inner loop: nibbles from..to - 1.
  template <int kGroups, int kQueries>
  [[gnu::always_inline]] static inline void SumBytes(const uint8_t* nibbles, size_t group_bytes,
                                                     const uint8_t* const* tables, uint32_t from, uint32_t to,
                                                     B (&bytes)[kGroups][kQueries]) {
    const uint8_t* index[kGroups];
    const uint8_t* table[kQueries];
#pragma GCC unroll 8
    for (int g = 0; g < kGroups; ++g) index[g] = nibbles + g * group_bytes + size_t{from} * kVector;
#pragma GCC unroll 8
    for (int q = 0; q < kQueries; ++q) table[q] = tables[q] + size_t{from} * kTableBytes;
#pragma GCC unroll 8
    for (int i = 0; i < kGroups * kQueries; ++i) bytes[i / kQueries][i % kQueries] = Bytes::Zero();
    const size_t steps = to - from;
#pragma GCC unroll 2
    for (size_t n = 0; n < steps; ++n) {
      B documents[kGroups];
#pragma GCC unroll 8
      for (int g = 0; g < kGroups; ++g) documents[g] = Bytes::LoadIndex(index[g] + n * kVector);
#pragma GCC unroll 8
      for (int i = 0; i < kGroups * kQueries; ++i) {
        const int q = i / kGroups, g = i % kGroups;
        bytes[g][q] = Bytes::Add8(bytes[g][q], Bytes::Lookup(Bytes::Table(table[q] + n * kTableBytes), documents[g]));
      }
    }
  }
};

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_LOOKUP_SUMS_H_
