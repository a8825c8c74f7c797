// AVX-512 with the matrix unit AMX (Sapphire Rapids and later): up to 16 queries and 16 documents at a time. A tile
// instruction multiplies the values of 64 dimensions, of queries as signed and of documents as unsigned bytes, whatever
// their levels; documents are unpacked as the values of avx512_sums.h, which is just the layout that the unit wants of
// them. A single query and very few queries go the way of the avx512 table.
//
// Measured: 0.2 ns a document and query for 512 dimensions on registers alone; twice that with unpacking, bounds and
// what does not fit the first-level cache. More of a pipeline (unpacking ahead, looking at sums one group later) was
// slower. Where a neighbour on the same core uses the unit too, it is half as fast.
#include <sys/syscall.h>
#include <unistd.h>

#include "index/simd/avx512_sums.h"
#include "index/simd/tables.h"

namespace bebr::simd {
namespace {

constexpr size_t kSide = 16;         // documents of a tile register, and the most queries
constexpr uint32_t kTileWords = 2;   // of a document's level: 64 dimensions
constexpr size_t kTileBytes = 1024;  // 16 rows of 64 bytes
constexpr size_t kTileValues = kTileBytes / sizeof(uint32_t);
// A band's values of a block are unpacked and multiplied at once if they fill few registers, else in parts that fill
// fewer, so that documents, queries and sums lie in the first-level cache, or nearly. And tiles are of four blocks if
// the values of a block fill very few in all, else of two.
constexpr size_t kWholeTiles = 8;
constexpr size_t kPartTiles = 4;
constexpr size_t kFewTiles = 2;

struct [[gnu::packed]] TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {};
};

// Of the registers: sums in 0..3, queries in 4 and 5, documents in 6 and 7.
constexpr int kFirstDocuments = 6;
constexpr int kTiles = 8;

// Queries of a register, of so many: as few as fill the same number of registers, since a multiplication's time is that
// of its queries.
size_t SideOf(size_t query_count) {
  const size_t tiles = (query_count + kSide - 1) / kSide;
  return (query_count + tiles - 1) / tiles;
}

struct Sums : RowSums<true> {
  using Base = RowSums<true>;
  class Runner;

  // With a constant for sums that are not raised: tiles start from zero.
  static int32_t PreparePayload(const BandView& band, const uint32_t* planes, uint8_t* payload) {
    return Base::PreparePayload(band, planes, payload) + 2 * RaisedBefore(ValuesOf(band, payload));
  }

  static void RunBlock(const BandView& band, const uint32_t* rows, size_t ahead, const uint8_t* payload,
                       int32_t* sums) {
    Base::RunBlock(band, rows, ahead, payload, sums);
    Lower(RaisedBefore(ValuesOf(band, payload)), 1, sums);
  }

  static void Run(const BandView& band, const Tile& tile, const uint8_t* const* payloads, size_t query_count,
                  int32_t* sums) {
    Base::Run(band, tile, payloads, query_count, sums);
    for (size_t q = 0; q < query_count; ++q)
      Lower(RaisedBefore(ValuesOf(band, payloads[q])), tile.block_count, sums + q * kTileRows);
  }

 private:
  static void Lower(int32_t raised, size_t block_count, int32_t* sums) {
    for (size_t row = 0; row < block_count * kBlockRows; row += kBlockRows) {
      const I lowered = _mm512_sub_epi32(_mm512_load_si512(sums + row), _mm512_set1_epi32(raised));
      _mm512_store_si512(sums + row, lowered);
    }
  }
};

// Groups are two registers of queries: their sums are used while the unit, which takes long, is at the next. Bands of
// several parts take all queries together, as their documents would be unpacked again for every group.
class Sums::Runner {
 public:
  // The tile registers are part of a thread's state that the kernel saves only while they are in use.
  Runner(const Bands& bands, const Batch& batch)
      : bands_(bands), batch_(batch), side_(SideOf(batch.count)), group_queries_(2 * side_) {
    size_t block_tiles = 0;
    for (uint32_t b = 0; b < bands.count; ++b) {
      if (batch.count < LeastQueries(bands.view[b]) || !EquallySpaced(batch, b)) continue;
      tiles_[b] = (bands.view[b].words + kTileWords - 1) / kTileWords;
      first_tile_[b] = block_tiles;
      part_tiles_[b] = tiles_[b] <= kWholeTiles ? tiles_[b] : kPartTiles;
      block_tiles += part_tiles_[b];
      if (tiles_[b] > kWholeTiles) group_queries_ = kTileQueries;
    }
    if (block_tiles == 0) return;
    if (block_tiles > kFewTiles) tile_blocks_ = 2;
    TileConfig config;
    for (int tile = 0; tile < kFirstDocuments; ++tile) config.rows[tile] = static_cast<uint8_t>(side_);
    for (int tile = kFirstDocuments; tile < kTiles; ++tile) config.rows[tile] = kSide;
    asm volatile("" : : "r"(&config) : "memory");  // GCC takes the next line to read the first eight bytes only
    _tile_loadconfig(&config);
    configured_ = true;
  }
  ~Runner() {
    if (configured_) _tile_release();
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  size_t tile_blocks() const { return tile_blocks_; }
  size_t group_queries() const { return group_queries_; }

  void Run(uint32_t b, const Tile& tile, size_t first, size_t count, int32_t* sums) {
    const BandView& band = bands_.view[b];
    if (tiles_[b] == 0) return Sums::Run(band, tile, batch_.payloads[b] + first, count, sums);
    for (size_t d = 0; d < tile.block_count; d += 2) {
      const size_t blocks = tile.block_count - d < 2 ? 1 : 2;
      const uint32_t* rows = tile.blocks + d * tile.block_words + size_t{band.first_word} * kBlockRows;
      for (size_t begin = 0; begin < tiles_[b]; begin += part_tiles_[b]) {
        const size_t left = tiles_[b] - begin;
        const size_t at = first_tile_[b] * tile_blocks_ + d * tiles_[b];  // d is 0 if there are several parts
        const Part part = {begin, left < part_tiles_[b] ? left : part_tiles_[b], values_ + at * kTileValues};
        if (first == 0) {
          for (size_t i = 0; i < blocks; ++i) Unpack(band, rows + i * tile.block_words, part, part.values_of(i));
        }
        (this->*(blocks == 2 ? &Runner::RunQueries<2> : &Runner::RunQueries<1>))(b, part, first, count,
                                                                                 sums + d * kBlockRows);
      }
    }
  }

 private:
  // Of a band's values of two blocks, what fills `tiles` registers from register `begin` on.
  struct Part {
    size_t begin;
    size_t tiles;
    uint32_t* values;

    uint32_t* values_of(size_t block) const { return values + block * tiles * kTileValues; }
  };

  // From how many queries on unpacking documents for the unit is worth while.
  static size_t LeastQueries(const BandView& band) {
    if (MethodOf(band) == Method::kPopcount) return 16;
    return band.levels == 1 ? 8 : 4;
  }

  // A register is loaded from rows at equal distances: the callers that care prepare their queries in one piece of
  // memory.
  static bool EquallySpaced(const Batch& batch, uint32_t b) {
    const auto& payloads = batch.payloads[b];
    for (size_t q = 2; q < batch.count; ++q) {
      if (payloads[q] - payloads[q - 1] != payloads[1] - payloads[0]) return false;
    }
    return true;
  }

  static void Unpack(const BandView& band, const uint32_t* rows, const Part& part, uint32_t* values) {
    const auto begin = static_cast<uint32_t>(part.begin) * kTileWords;
    const auto most = static_cast<uint32_t>(part.tiles) * kTileWords;
    const uint32_t words = band.words - begin < most ? band.words - begin : most;
    rows += size_t{begin} * kBlockRows;
    if (band.levels == 1) {
      UnpackBits(band, words, rows, values);
    } else if (band.levels == 2) {
      UnpackPairs(band, words, rows, values);
    } else {
      UnpackBlock(band, words, rows, values);
    }
    if (words % kTileWords == 0) return;
    uint32_t* rest = values + size_t{words} * kUnpackedRows * kBlockRows;
    for (uint32_t i = 0; i < kUnpackedRows; ++i) _mm512_store_si512(rest + i * kBlockRows, _mm512_setzero_si512());
  }

  // As UnpackBlock, of one level.
  static void UnpackBits(const BandView& band, uint32_t words, const uint32_t* rows, uint32_t* out) {
    const I mask = _mm512_set1_epi8(1);
    for (uint32_t w = 0; w < words; ++w, rows += kBlockRows, out += kUnpackedRows * kBlockRows) {
      const I row = LoadLevel(band, 0, rows);
      for (int i = 0; i < static_cast<int>(kUnpackedRows); ++i) {
        const int bit = i % 2 * 4 + i / 2;
        _mm512_store_si512(out + i * kBlockRows, _mm512_and_si512(_mm512_srli_epi32(row, bit), mask));
      }
    }
  }

  // Of two levels.
  static void UnpackPairs(const BandView& band, uint32_t words, const uint32_t* rows, uint32_t* out) {
    const int odd_bits = static_cast<int>(0xAAAAAAAA);
    const I mask = _mm512_set1_epi8(3);
    for (uint32_t w = 0; w < words; ++w, rows += kBlockRows, out += kUnpackedRows * kBlockRows) {
      const I high = LoadLevel(band, 0, rows), low = LoadLevel(band, 1, rows);
      // Fields of two bits: the values of the even dimensions, and those of the odd ones.
      const I even = Select(odd_bits, _mm512_slli_epi32(high, 1), low);
      const I odd = Select(odd_bits, high, _mm512_srli_epi32(low, 1));
      for (int i = 0; i < static_cast<int>(kUnpackedRows); ++i) {
        const int dim = i % 2 * 4 + i / 2;
        const I fields = dim % 2 == 0 ? even : odd;
        _mm512_store_si512(out + i * kBlockRows, _mm512_and_si512(_mm512_srli_epi32(fields, dim / 2 * 2), mask));
      }
    }
  }

  // Adds a part to the sums of queries first..first + count - 1 of the batch, of two registers at a time.
  template <int kBlocks>
  void RunQueries(uint32_t b, const Part& part, size_t first, size_t count, int32_t* sums) const {
    const bool add = part.begin > 0;
    const size_t end = first + count;
    size_t q = first;
    for (; q + 2 * side_ <= end; q += 2 * side_, sums += 2 * side_ * kTileRows)
      RunTiles<2, kBlocks>(b, part, q, add, sums);
    for (; q + side_ <= end; q += side_, sums += side_ * kTileRows) RunTiles<1, kBlocks>(b, part, q, add, sums);
    if (q == end) return;
    // The last register begins with queries before these, whose sums are complete.
    alignas(64) int32_t last_sums[kSide * kTileRows];
    RunTiles<1, kBlocks>(b, part, end - side_, false, last_sums);
    const int32_t* from = last_sums + (side_ - (end - q)) * kTileRows;
    for (; q < end; ++q, from += kTileRows, sums += kTileRows) {
      for (size_t row = 0; row < kBlocks * kBlockRows; row += kBlockRows) {
        const I sum = _mm512_load_si512(from + row);
        _mm512_store_si512(sums + row, add ? _mm512_add_epi32(sum, _mm512_load_si512(sums + row)) : sum);
      }
    }
  }

  // The sums of kGroups registers of queries, from q on, and kBlocks blocks, or what a part adds to them.
  template <int kGroups, int kBlocks>
  void RunTiles(uint32_t b, const Part& part, size_t q, bool add, int32_t* sums) const {
    constexpr size_t kRowBytes = 64;
    constexpr size_t kSumsBytes = kTileRows * sizeof(int32_t);
    const uint8_t* const* payloads = batch_.payloads[b];
    const ptrdiff_t distance = payloads[1] - payloads[0];
    const uint8_t* queries = ValuesOf(bands_.view[b], payloads[q]) + part.begin * kRowBytes;
    const uint8_t* second = queries + static_cast<ptrdiff_t>(side_) * distance;
    const uint32_t* values = part.values_of(0);
    const uint32_t* second_values = part.values_of(1);
    int32_t* second_sums = sums + side_ * kTileRows;
    if (add) {
      _tile_loadd(0, sums, kSumsBytes);
      if (kBlocks == 2) _tile_loadd(1, sums + kBlockRows, kSumsBytes);
      if (kGroups == 2) _tile_loadd(2, second_sums, kSumsBytes);
      if (kGroups == 2 && kBlocks == 2) _tile_loadd(3, second_sums + kBlockRows, kSumsBytes);
    } else {
      _tile_zero(0);
      if (kBlocks == 2) _tile_zero(1);
      if (kGroups == 2) _tile_zero(2);
      if (kGroups == 2 && kBlocks == 2) _tile_zero(3);
    }
    for (size_t t = 0; t < part.tiles; ++t) {
      _tile_loadd(4, queries + t * kRowBytes, distance);
      _tile_loadd(6, values + t * kTileValues, kRowBytes);
      _tile_dpbsud(0, 4, 6);
      if (kBlocks == 2) {
        _tile_loadd(7, second_values + t * kTileValues, kRowBytes);
        _tile_dpbsud(1, 4, 7);
      }
      if (kGroups == 2) {
        _tile_loadd(5, second + t * kRowBytes, distance);
        _tile_dpbsud(2, 5, 6);
        if (kBlocks == 2) _tile_dpbsud(3, 5, 7);
      }
    }
    _tile_stored(0, sums, kSumsBytes);
    if (kBlocks == 2) _tile_stored(1, sums + kBlockRows, kSumsBytes);
    if (kGroups == 2) _tile_stored(2, second_sums, kSumsBytes);
    if (kGroups == 2 && kBlocks == 2) _tile_stored(3, second_sums + kBlockRows, kSumsBytes);
  }

  const Bands& bands_;
  const Batch& batch_;
  const size_t side_;
  size_t group_queries_;
  size_t tile_blocks_ = kTileBlocks;
  size_t tiles_[kMaxBands] = {};       // that a block's values fill; 0: the band goes the way of the avx512 table
  size_t part_tiles_[kMaxBands] = {};  // of these at once
  size_t first_tile_[kMaxBands] = {};
  bool configured_ = false;
  alignas(64) uint32_t values_[kMaxBands * 2 * kWholeTiles * kTileValues];
};

}  // namespace

// The kernel lets a process use the tile registers if it asks, once, for all its threads.
bool RequestAmx() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

const KernelTable kAmxTable = {"amx",
                               AmxSupported,
                               VecPreparedBytes<Sums>,
                               VecPrepare<Sums>,
                               VecScore<Vec, Sums>,
                               VecScan<Vec, Sums>,
                               VecPackedFloats<Vec>,
                               VecPack<Vec>,
                               VecGemm<Vec>,
                               Match<Avx512Rows>};

}  // namespace bebr::simd
