// Exact sums of several queries by products of bytes, for instruction sets that multiply these and add them in pairs
// (vpmaddubsw): a band of three or four levels takes fewer of these than look-ups, of which each is for one level.
//
// Documents are unpacked once for all queries of a tile, so that the bytes of a lane hold the values c_d of four
// dimensions, and multiplied with the query's values v_q. Sums of 16 bits hold what two words give. With S = sum c_d
// v_q, plus what the look-up's tables are raised by, the constant is that of look-ups:
//   D = 2 * S - (2^L - 1) * sum |v_q|
//
// A Pairs type offers: kVectors, in which the 16 lanes of a block lie, each a V; kBlocks and kQueries, which fill the
// registers; Load and Broadcast; Multiply, to 16-bit sums of two; Add16; Settle, which has the compiler compute a sum
// at once, as it would keep many products in memory instead; Widen(sums, sixteen), which adds both halves of each
// lane's; Set, LoadSums and Store, of 32-bit sums.
#ifndef BEBR_INDEX_SIMD_PAIR_SUMS_H_
#define BEBR_INDEX_SIMD_PAIR_SUMS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "index/simd/lookup_sums.h"

namespace bebr::simd {
namespace {

// The dot products of a tile of documents with a tile of queries: by products of pairs, or by look-ups of nibbles where
// a band has few levels or there is one query.
template <typename Bytes, typename Pairs>
struct PairSums : LookupSums<Bytes> {
  using Lookups = LookupSums<Bytes>;
  using V = typename Pairs::V;
  using Runner = WholeBatch<PairSums>;
  using Lookups::kTileBlocks;
  using Lookups::kTileRows;

  // Of queries of few levels several entries of a table sum to a byte, which is as quick.
  static bool HasValues(const BandView& band) { return band.levels >= 3 && band.query_levels > 4; }

  static size_t PayloadBytes(const BandView& band) {
    return Lookups::PayloadBytes(band) + (HasValues(band) ? ValueBytes(band) : 0);
  }

  static int32_t PreparePayload(const BandView& band, const uint32_t* planes, uint8_t* payload) {
    if (HasValues(band)) PrepareValues(band, planes, payload + Lookups::PayloadBytes(band));
    return Lookups::PreparePayload(band, planes, payload);
  }

  static void Run(const BandView& band, const Tile& tile, const uint8_t* const* payloads, size_t query_count,
                  int32_t* sums) {
    if (!HasValues(band)) return Lookups::Run(band, tile, payloads, query_count, sums);
    const uint8_t* queries[kTileQueries];
    for (size_t q = 0; q < query_count; ++q) queries[q] = payloads[q] + Lookups::PayloadBytes(band) + kRaisedBytes;
    alignas(64) uint32_t values[kTileBlocks * kBlockWords];
    for (uint32_t first = 0; first < band.words; first += kPartWords) {
      const uint32_t words = band.words - first < kPartWords ? band.words - first : kPartWords;
      for (size_t block = 0; block < tile.block_count; ++block)
        Unpack(band, tile.blocks + block * tile.block_words, first, words, values + block * kBlockWords);
      RunQueries({values, words, tile.block_count, first > 0, NarrowWords(band)}, queries, query_count, sums);
      for (size_t q = 0; q < query_count; ++q) queries[q] += size_t{words} * kWordBytes;
    }
  }

 private:
  static constexpr uint32_t kWordRows = 8;    // of a word's values of a block, four in each lane
  static constexpr uint32_t kWordBytes = 32;  // of a word's values of a query
  static constexpr uint32_t kPartWords = 4;   // that are unpacked at a time: 16 KiB
  static constexpr size_t kRaisedBytes = 64;  // a number before a query's values: what its tables are raised by

  // Some words of all blocks of a tile, unpacked.
  struct Part {
    const uint32_t* values;
    uint32_t words;
    size_t block_count;
    bool add;               // to the sums of the parts before
    uint32_t narrow_words;  // whose products are added in 16 bits
  };

  // Half of a lane sums 16 products of each word, of which four dimensions beside each other are two: those of two
  // words are eight times four.
  static uint32_t NarrowWords(const BandView& band) {
    static_assert(15 * 8 * kMostOfFour <= 32767);
    return 2 * (32767 / (static_cast<uint32_t>(FullValue(band)) * 8 * kMostOfFour));
  }
  // From one block's values to the next: a constant, so that rows of several blocks take one address.
  static constexpr size_t kBlockWords = size_t{kPartWords} * kWordRows * kBlockRows;
  static size_t ValueBytes(const BandView& band) {
    return kRaisedBytes + (size_t{band.words} + 1) / 2 * 2 * kWordBytes;
  }

  static void PrepareValues(const BandView& band, const uint32_t* planes, uint8_t* out) {
    int32_t raised = 0;
    std::memset(out, 0, ValueBytes(band));
    for (uint32_t w = 0; w < band.words; ++w) {
      int32_t values[32];
      QueryValues(band, planes, w, values);
      for (uint32_t i = 0; i < 32; ++i) {
        const uint32_t row = i % 4 * 2 + i % 8 / 4;
        out[kRaisedBytes + w * kWordBytes + row * 4 + i / 8] = static_cast<uint8_t>(values[i]);
        raised -= values[i] < 0 ? FullValue(band) * values[i] : 0;
      }
    }
    std::memcpy(out, &raised, sizeof(raised));
  }

  static void LoadLevel(const BandView& band, const uint32_t* rows, uint32_t t, uint32_t word, Row& row) {
    const size_t stored = size_t{t < band.plain ? t : band.plain} * band.words + word;
    row = *reinterpret_cast<const Row*>(rows + (band.first_word + stored) * kBlockRows);
    if (t == band.plain) HighDerived()(row);
    if (t > band.plain) LowDerived()(row);
  }

  // Of two rows the bits of `mask` from the first, the others from the second.
  static void Merge(uint32_t mask, const Row& first, const Row& second, Row& merged) {
    merged = (first & mask) | (second & ~mask);
  }

  // Transposes the bits of the levels: row 2 * j + h of a word has in byte b of a lane the value of dimension
  // 8 * b + 4 * h + j.
  static void Unpack(const BandView& band, const uint32_t* block, uint32_t first, uint32_t words, uint32_t* out) {
    constexpr uint32_t kPairsOfBits = 0x55555555, kQuads = 0x33333333, kNibble = 0x0F0F0F0F;
    for (uint32_t w = first; w < first + words; ++w) {
      Row plane[4] = {}, even[2], odd[2], both[4];
      for (uint32_t t = 0; t < band.levels; ++t) LoadLevel(band, block, t, w, plane[band.levels - 1 - t]);
      for (int half = 0; half < 2; ++half) {
        Merge(kPairsOfBits, plane[2 * half], plane[2 * half + 1] << 1, even[half]);
        Merge(kPairsOfBits, plane[2 * half] >> 1, plane[2 * half + 1], odd[half]);
      }
      Merge(kQuads, even[0], even[1] << 2, both[0]);
      Merge(kQuads, odd[0], odd[1] << 2, both[1]);
      Merge(kQuads, even[0] >> 2, even[1], both[2]);
      Merge(kQuads, odd[0] >> 2, odd[1], both[3]);
      for (const Row& nibbles : both) {
        *reinterpret_cast<Row*>(out) = nibbles & kNibble;
        *reinterpret_cast<Row*>(out + kBlockRows) = nibbles >> 4 & kNibble;
        out += 2 * kBlockRows;
      }
    }
  }

  static void RunQueries(const Part& part, const uint8_t* const* queries, size_t query_count, int32_t* sums) {
    size_t q = 0;
    for (; q + Pairs::kQueries <= query_count; q += Pairs::kQueries)
      RunBlocks<Pairs::kQueries>(part, queries + q, sums + q * kTileRows);
    for (; q < query_count; ++q) RunBlocks<1>(part, queries + q, sums + q * kTileRows);
  }

  template <int kQueries>
  static void RunBlocks(const Part& part, const uint8_t* const* queries, int32_t* sums) {
    size_t block = 0;
    for (; block + Pairs::kBlocks <= part.block_count; block += Pairs::kBlocks)
      RunTile<Pairs::kBlocks, kQueries>(part, block, queries, sums + block * kBlockRows);
    for (; block < part.block_count; ++block) RunTile<1, kQueries>(part, block, queries, sums + block * kBlockRows);
  }

  // The 32-bit sums lie in memory, so that all registers hold sums of 16 bits.
  template <int kBlocks, int kQueries>
  [[gnu::noinline]] static void RunTile(const Part& part, size_t block, const uint8_t* const* queries, int32_t* sums) {
    constexpr int kVectors = kBlocks * Pairs::kVectors;
    constexpr size_t kLanes = kBlockRows / Pairs::kVectors;
    const uint32_t* values = part.values + block * kBlockWords;
    for (uint32_t first = 0; first < part.words; first += part.narrow_words) {
      const uint32_t end = part.words - first < part.narrow_words ? part.words : first + part.narrow_words;
      V sixteen[kVectors][kQueries];
      AddWord<true>(values, first, queries, sixteen);
      for (uint32_t w = first + 1; w < end; ++w) AddWord<false>(values, w, queries, sixteen);
      const bool add = part.add || first > 0;
#pragma GCC unroll 16
      for (int i = 0; i < kVectors * kQueries; ++i) {
        const int v = i / kQueries, q = i % kQueries;
        int32_t* const to = sums + q * kTileRows + v * kLanes;
        Pairs::Store(to, Pairs::Widen(add ? Pairs::LoadSums(to) : Pairs::Set(RaisedBefore(queries[q])), sixteen[v][q]));
      }
    }
  }

  // Adds the products of a word, or begins with them.
  template <bool kFirst, int kVectors, int kQueries>
  [[gnu::always_inline]] static inline void AddWord(const uint32_t* values, uint32_t word,
                                                    const uint8_t* const* queries, V (&sixteen)[kVectors][kQueries]) {
    constexpr size_t kLanes = kBlockRows / Pairs::kVectors;
    values += size_t{word} * kWordRows * kBlockRows;
#pragma GCC unroll 8
    for (uint32_t r = 0; r < kWordRows; ++r) {
      V row[kVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        row[v] =
            Pairs::Load(values + v / Pairs::kVectors * kBlockWords + r * kBlockRows + v % Pairs::kVectors * kLanes);
      }
#pragma GCC unroll 8
      for (int q = 0; q < kQueries; ++q) {
        const V query = Pairs::Broadcast(queries[q] + size_t{word} * kWordBytes + r * 4);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) {
          const V products = Pairs::Multiply(row[v], query);
          sixteen[v][q] = kFirst && r == 0 ? products : Pairs::Add16(sixteen[v][q], products);
          Pairs::Settle(sixteen[v][q]);
        }
      }
    }
  }

  static int32_t RaisedBefore(const uint8_t* values) {
    int32_t raised;
    std::memcpy(&raised, values - kRaisedBytes, sizeof(raised));
    return raised;
  }
};

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_PAIR_SUMS_H_
