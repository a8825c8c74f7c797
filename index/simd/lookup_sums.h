// Exact sums by table look-up, for instruction sets that can look 16 bytes up at once (pshufb, tbl).
//
// Four bits of one level of a document stand for four dimensions. For each such nibble a query has a table of 16 bytes:
// the sum of its values at the set bits, less the smallest such sum, so that entries are 0..60. One look-up then
// handles a nibble of 16 documents, whatever the query's levels. With S_t the sum of the entries of level t,
//   D = 2 * sum over t of 2^(L-1-t) * S_t - (2^L - 1) * sum over dims of |v_q|.
// Documents are unpacked into nibbles once for all queries of a tile: byte j of 16 documents side by side, low and high
// nibble. Entries are added in bytes while they cannot overflow, then as 16-bit numbers of even and odd bytes, then as
// int32.
//
// A Bytes type offers: kBlocks, blocks side by side in a vector B; UnpackWord, Table, Lookup, LoadIndex, Zero, Add8,
// Add16, ShiftRight8 and StoreSums.
#ifndef BEBR_INDEX_SIMD_LOOKUP_SUMS_H_
#define BEBR_INDEX_SIMD_LOOKUP_SUMS_H_

#include <cstddef>
#include <cstdint>

#include "index/simd/query.h"
#include "index/simd/score_driver.h"

namespace bebr::simd {
namespace {

constexpr uint32_t kNibbles = 8;      // of a word
constexpr uint32_t kTableBytes = 16;  // of a nibble
constexpr uint32_t kWordTables = kNibbles * kTableBytes;
constexpr uint32_t kChunkWords = 32;                  // words of all levels that are unpacked at a time
constexpr uint32_t kUnpackedWords = 4 * kChunkWords;  // of all blocks of a tile: 16 KiB

// A run of a band's words, unpacked.
struct Chunk {
  uint32_t words;  // of one level
  uint32_t levels;
  const uint8_t* nibbles;
  size_t group_bytes;  // from one group of Bytes::kBlocks blocks to the next
  bool add;            // to the sums of the chunks before
};

// Entries up to 4 * (2^Q - 1) that a byte can sum: 60, 20, 8 or 4, so that the rest of a word is always whole.
constexpr uint32_t FlushNibbles(uint32_t query_levels) { return 255 / (4 * ((1u << query_levels) - 1)) / 4 * 4; }

template <typename Bytes>
struct LookupSums {
  using B = typename Bytes::B;
  static constexpr uint32_t kVector = 16 * Bytes::kBlocks;

  static size_t PayloadBytes(const BandView& band) { return size_t{band.words} * kWordTables; }

  static int32_t PreparePayload(const BandView& band, const uint32_t* planes, uint8_t* payload) {
    int32_t magnitude = 0;
    for (uint32_t i = 0; i < band.words * 32; i += 4, payload += kTableBytes) {
      int32_t smallest = 0;
      int32_t value[4];
      for (uint32_t j = 0; j < 4; ++j) {
        value[j] = QueryValue(band, planes, i + j);
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

  static void Run(const BandView& band, const Tile& tile, const uint8_t* const* payloads, int32_t* sums) {
    // 16-bit sums hold (2^L - 1) * (2^Q - 1) * 32 * words: at most 57,600 with kChunkWords / L words.
    const uint32_t most = kChunkWords / band.levels;
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
        Chunk chunk = {words, band.levels, nibbles, size_t{words} * band.levels * kNibbles * kVector, w > 0};
        Unpack(band, part, w, chunk, nibbles);
        const uint8_t* tables[kTileQueries];
        for (size_t q = 0; q < tile.query_count; ++q) tables[q] = payloads[q] + size_t{w} * kWordTables;
        RunChunk(band.query_levels, chunk, part, tables, sums + first * kBlockRows);
      }
    }
  }

 private:
  // The blocks that a last group lacks are read as its last one again; their sums are never used.
  static void Unpack(const BandView& band, const Tile& tile, uint32_t w0, const Chunk& chunk, uint8_t* out) {
    for (size_t first = 0; first < tile.block_count; first += Bytes::kBlocks) {
      const uint32_t* rows[Bytes::kBlocks];
      for (size_t i = 0; i < Bytes::kBlocks; ++i) {
        const size_t block = first + i < tile.block_count ? first + i : tile.block_count - 1;
        rows[i] = tile.blocks + block * tile.block_words + size_t{band.first_word} * kBlockRows;
      }
      for (uint32_t t = 0; t < chunk.levels; ++t) {
        for (uint32_t w = 0; w < chunk.words; ++w, out += kNibbles * kVector) {
          Bytes::UnpackWord(rows, (size_t{t} * band.words + w0 + w) * kBlockRows, out);
        }
      }
    }
  }

  static void RunChunk(uint32_t query_levels, const Chunk& chunk, const Tile& tile, const uint8_t* const* tables,
                       int32_t* sums) {
    switch (query_levels) {
      case 1:
        return RunQueries<FlushNibbles(1), 4>(chunk, tile, tables, sums);
      case 2:
        return RunQueries<FlushNibbles(2), 4>(chunk, tile, tables, sums);
      case 3:
        return RunQueries<FlushNibbles(3), 2>(chunk, tile, tables, sums);
      default:
        return RunQueries<FlushNibbles(4), 2>(chunk, tile, tables, sums);
    }
  }

  template <uint32_t kFlush, int kQueries>
  static void RunQueries(const Chunk& chunk, const Tile& tile, const uint8_t* const* tables, int32_t* sums) {
    size_t q = 0;
    for (; q + kQueries <= tile.query_count; q += kQueries) {
      RunGroups<kFlush, kQueries>(chunk, tile, tables + q, sums + q * kTileRows);
    }
    for (; q < tile.query_count; ++q) RunGroups<kFlush, 1>(chunk, tile, tables + q, sums + q * kTileRows);
  }

  template <uint32_t kFlush, int kQueries>
  static void RunGroups(const Chunk& chunk, const Tile& tile, const uint8_t* const* tables, int32_t* sums) {
    const size_t groups = (tile.block_count + Bytes::kBlocks - 1) / Bytes::kBlocks;
    size_t g = 0;
    for (; g + 2 <= groups; g += 2) {
      RunTile<kFlush, 2, kQueries>(chunk, chunk.nibbles + g * chunk.group_bytes, tables, sums + g * kVector);
    }
    if (g < groups)
      RunTile<kFlush, 1, kQueries>(chunk, chunk.nibbles + g * chunk.group_bytes, tables, sums + g * kVector);
  }

  // kGroups groups of blocks times kQueries queries, in registers. `even` holds the sums of the even bytes plus 256
  // times those of the odd bytes, modulo 2^16; StoreSums takes the latter off again.
  template <uint32_t kFlush, int kGroups, int kQueries>
  static void RunTile(const Chunk& chunk, const uint8_t* nibbles, const uint8_t* const* tables, int32_t* sums) {
    const uint32_t end = chunk.words * kNibbles;
    B even[kGroups][kQueries], odd[kGroups][kQueries];
    for (int g = 0; g < kGroups; ++g) {
      for (int q = 0; q < kQueries; ++q) even[g][q] = odd[g][q] = Bytes::Zero();
    }
    for (uint32_t t = 0; t < chunk.levels; ++t) {
      for (int g = 0; g < kGroups; ++g) {
        for (int q = 0; q < kQueries; ++q) {
          even[g][q] = Bytes::Add16(even[g][q], even[g][q]);
          odd[g][q] = Bytes::Add16(odd[g][q], odd[g][q]);
        }
      }
      const uint8_t* level = nibbles + size_t{t} * end * kVector;
      for (uint32_t from = 0; from < end; from += kFlush) {
        const uint32_t to = kFlush <= kNibbles || end - from >= kFlush ? from + kFlush : end;
        B bytes[kGroups][kQueries];
        for (int g = 0; g < kGroups; ++g) {
          for (int q = 0; q < kQueries; ++q) bytes[g][q] = Bytes::Zero();
        }
        for (uint32_t n = from; n < to; ++n) {
          B documents[kGroups];
          for (int g = 0; g < kGroups; ++g)
            documents[g] = Bytes::LoadIndex(level + g * chunk.group_bytes + n * kVector);
          for (int q = 0; q < kQueries; ++q) {
            const B table = Bytes::Table(tables[q] + n * kTableBytes);
            for (int g = 0; g < kGroups; ++g)
              bytes[g][q] = Bytes::Add8(bytes[g][q], Bytes::Lookup(table, documents[g]));
          }
        }
        for (int g = 0; g < kGroups; ++g) {
          for (int q = 0; q < kQueries; ++q) {
            even[g][q] = Bytes::Add16(even[g][q], bytes[g][q]);
            odd[g][q] = Bytes::Add16(odd[g][q], Bytes::ShiftRight8(bytes[g][q]));
          }
        }
      }
    }
    for (int g = 0; g < kGroups; ++g) {
      for (int q = 0; q < kQueries; ++q) {
        Bytes::StoreSums(even[g][q], odd[g][q], sums + q * kTileRows + g * kVector, chunk.add);
      }
    }
  }
};

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_LOOKUP_SUMS_H_
