// AVX-512 with the matrix unit AMX (Sapphire Rapids and later): up to 16 queries and 16 documents at a time. A tile
// instruction multiplies the values of 64 dimensions, of queries as signed and of documents as unsigned bytes, whatever
// their levels; documents are unpacked as the values of avx512_sums.h, which is just the layout that the unit wants of
// them. A single query, very few queries and very wide bands go the way of the avx512 table.
#include <sys/syscall.h>
#include <unistd.h>

#include "index/simd/avx512_sums.h"
#include "index/simd/tables.h"

namespace bebr::simd {
namespace {

constexpr size_t kTileSide = 16;     // documents of a tile, and the most queries
constexpr uint32_t kTileWords = 2;   // of a document's level: 64 dimensions
constexpr size_t kTileBytes = 1024;  // 16 rows of 64 bytes
constexpr uint32_t kMostWords = 64;  // of a band, so that its values of two blocks lie in the second-level cache

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

// Queries of a tile, of so many: as few as fill the same number of tiles, since a tile's time is that of its queries.
size_t SideOf(size_t query_count) {
  const size_t tiles = (query_count + kTileSide - 1) / kTileSide;
  return (query_count + tiles - 1) / tiles;
}

struct Sums : RowSums<true> {
  using Base = RowSums<true>;

  // The tile registers are part of a thread's state that the kernel saves only while they are in use.
  struct Session {
    explicit Session(size_t query_count) {
      TileConfig config;
      for (int tile = 0; tile < kFirstDocuments; ++tile) config.rows[tile] = static_cast<uint8_t>(SideOf(query_count));
      for (int tile = kFirstDocuments; tile < kTiles; ++tile) config.rows[tile] = kTileSide;
      asm volatile("" : : "r"(&config) : "memory");  // GCC takes the next line to read the first eight bytes only
      _tile_loadconfig(&config);
    }
    ~Session() { _tile_release(); }
  };

  // With a constant for sums that are not raised: tiles start from zero.
  static int32_t PreparePayload(const BandView& band, const uint32_t* planes, uint8_t* payload) {
    const int32_t constant = Base::PreparePayload(band, planes, payload);
    return HasValues(band) ? constant + 2 * RaisedBefore(ValuesOf(band, payload)) : constant;
  }

  static void RunBlock(const BandView& band, const uint32_t* rows, size_t ahead, const uint8_t* payload,
                       int32_t* sums) {
    Base::RunBlock(band, rows, ahead, payload, sums);
    if (HasValues(band)) Lower(RaisedBefore(ValuesOf(band, payload)), 1, sums);
  }

  static void Run(const BandView& band, const Tile& tile, const uint8_t* const* payloads, int32_t* sums) {
    if (!HasValues(band)) return Base::Run(band, tile, payloads, sums);
    if (tile.query_count < LeastQueries(band) || band.words > kMostWords || !EquallySpaced(tile, payloads)) {
      Base::Run(band, tile, payloads, sums);
      for (size_t q = 0; q < tile.query_count; ++q)
        Lower(RaisedBefore(ValuesOf(band, payloads[q])), tile.block_count, sums + q * kTileRows);
      return;
    }
    const uint32_t chunks = (band.words + kTileWords - 1) / kTileWords;
    alignas(64) UnpackedBlock values[2];
    for (size_t d = 0; d < tile.block_count; d += 2) {
      const size_t blocks = tile.block_count - d < 2 ? 1 : 2;
      for (size_t i = 0; i < blocks; ++i) Unpack(band, tile, d + i, values[i]);
      const auto run = blocks == 2 ? RunQueries<2> : RunQueries<1>;
      run(band, tile, payloads, chunks, values, sums + d * kBlockRows);
    }
  }

 private:
  using UnpackedBlock = uint32_t[(kMostWords + 1) * kUnpackedRows * kBlockRows];

  static void Lower(int32_t raised, size_t block_count, int32_t* sums) {
    for (size_t row = 0; row < block_count * kBlockRows; row += kBlockRows) {
      const I lowered = _mm512_sub_epi32(_mm512_load_si512(sums + row), _mm512_set1_epi32(raised));
      _mm512_store_si512(sums + row, lowered);
    }
  }

  // From how many queries on unpacking a document for the tiles is worth while.
  static size_t LeastQueries(const BandView& band) { return MethodOf(band) == Method::kValues ? 4 : 12; }

  static ptrdiff_t Distance(const uint8_t* const* payloads) { return payloads[1] - payloads[0]; }

  // A tile is read as rows at equal distances: the callers that care prepare their queries in one piece of memory.
  static bool EquallySpaced(const Tile& tile, const uint8_t* const* payloads) {
    for (size_t q = 2; q < tile.query_count; ++q) {
      if (payloads[q] - payloads[q - 1] != Distance(payloads)) return false;
    }
    return true;
  }

  static void Unpack(const BandView& band, const Tile& tile, size_t block, uint32_t* values) {
    const uint32_t* rows = tile.blocks + block * tile.block_words + size_t{band.first_word} * kBlockRows;
    UnpackBlock(band.levels, band.words, band.words, rows, values);
    if (band.words % kTileWords == 0) return;
    uint32_t* rest = values + size_t{band.words} * kUnpackedRows * kBlockRows;
    for (uint32_t i = 0; i < kUnpackedRows; ++i) _mm512_store_si512(rest + i * kBlockRows, _mm512_setzero_si512());
  }

  // All queries, two tiles and then one at a time; the last may overlap those before it.
  template <int kBlocks>
  static void RunQueries(const BandView& band, const Tile& tile, const uint8_t* const* payloads, uint32_t chunks,
                         const UnpackedBlock* values, int32_t* sums) {
    const ptrdiff_t distance = Distance(payloads);
    const size_t side = SideOf(tile.query_count);
    size_t q = 0;
    for (; q + 2 * side <= tile.query_count; q += 2 * side)
      RunTiles<2, kBlocks>(ValuesOf(band, payloads[q]), side, distance, chunks, values, sums + q * kTileRows);
    for (; q < tile.query_count; q += side) {
      if (q + side > tile.query_count) q = tile.query_count - side;
      RunTiles<1, kBlocks>(ValuesOf(band, payloads[q]), side, distance, chunks, values, sums + q * kTileRows);
    }
  }

  // kGroups x kBlocks sums.
  template <int kGroups, int kBlocks>
  static void RunTiles(const uint8_t* queries, size_t side, ptrdiff_t distance, uint32_t chunks,
                       const UnpackedBlock* values, int32_t* sums) {
    constexpr size_t kRowBytes = 64;
    const uint8_t* second = queries + static_cast<ptrdiff_t>(side) * distance;
    _tile_zero(0);
    if (kBlocks == 2) _tile_zero(1);
    if (kGroups == 2) _tile_zero(2);
    if (kGroups == 2 && kBlocks == 2) _tile_zero(3);
    for (uint32_t c = 0; c < chunks; ++c) {
      const size_t at = c * (kTileBytes / sizeof(uint32_t));
      _tile_loadd(4, queries + c * kRowBytes, distance);
      _tile_loadd(6, values[0] + at, kRowBytes);
      _tile_dpbsud(0, 4, 6);
      if (kBlocks == 2) {
        _tile_loadd(7, values[kBlocks - 1] + at, kRowBytes);
        _tile_dpbsud(1, 4, 7);
      }
      if (kGroups == 2) {
        _tile_loadd(5, second + c * kRowBytes, distance);
        _tile_dpbsud(2, 5, 6);
        if (kBlocks == 2) _tile_dpbsud(3, 5, 7);
      }
    }
    constexpr size_t kSumsBytes = kTileRows * sizeof(int32_t);
    int32_t* second_sums = sums + side * kTileRows;
    _tile_stored(0, sums, kSumsBytes);
    if (kBlocks == 2) _tile_stored(1, sums + kBlockRows, kSumsBytes);
    if (kGroups == 2) _tile_stored(2, second_sums, kSumsBytes);
    if (kGroups == 2 && kBlocks == 2) _tile_stored(3, second_sums + kBlockRows, kSumsBytes);
  }
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
                               VecGemm<Vec>};

}  // namespace bebr::simd
