// AVX-512 F and BW alone (Skylake-X and its kin): look-up sums, 4 blocks side by side, and sums of pairs.
#include "index/simd/avx512_vec.h"
#include "index/simd/pair_sums.h"
#include "index/simd/tables.h"

namespace bebr::simd {
namespace {

struct Bytes {
  using B = __m512i;
  typedef uint32_t Words __attribute__((vector_size(sizeof(B)), may_alias));
  static constexpr size_t kBlocks = 4;
  static constexpr int kSteps = 2;
  static constexpr uint32_t kNibbleOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};

  static B Zero() { return _mm512_setzero_si512(); }
  static B Table(const uint8_t* p) {
    return _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static B LoadIndex(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static B Lookup(B table, B index) { return _mm512_shuffle_epi8(table, index); }
  static B Add8(B a, B b) { return _mm512_add_epi8(a, b); }
  static B Add16(B a, B b) { return _mm512_add_epi16(a, b); }
  static B ShiftRight8(B a) { return _mm512_srli_epi16(a, 8); }

  // Word `offset` of 16 documents of four blocks, transposed as in avx2.cc.
  static void UnpackWord(const uint32_t* const* rows, size_t offset, uint8_t* out) {
    const B gather = Gather();
    B quarter[4];
    for (int i = 0; i < 4; ++i) {
      B all = _mm512_castsi128_si512(LoadQuarter(rows[0] + offset + 4 * i));
      all = _mm512_inserti32x4(all, LoadQuarter(rows[1] + offset + 4 * i), 1);
      all = _mm512_inserti32x4(all, LoadQuarter(rows[2] + offset + 4 * i), 2);
      all = _mm512_inserti32x4(all, LoadQuarter(rows[3] + offset + 4 * i), 3);
      quarter[i] = _mm512_shuffle_epi8(all, gather);
    }
    const B low01 = _mm512_unpacklo_epi32(quarter[0], quarter[1]);
    const B high01 = _mm512_unpackhi_epi32(quarter[0], quarter[1]);
    const B low23 = _mm512_unpacklo_epi32(quarter[2], quarter[3]);
    const B high23 = _mm512_unpackhi_epi32(quarter[2], quarter[3]);
    StoreNibbles(_mm512_unpacklo_epi64(low01, low23), out);
    StoreNibbles(_mm512_unpackhi_epi64(low01, low23), out + 64);
    StoreNibbles(_mm512_unpacklo_epi64(high01, high23), out + 128);
    StoreNibbles(_mm512_unpackhi_epi64(high01, high23), out + 192);
  }

  // A word of one block: bytes 0..3 of its documents in the quarters of a vector.
  template <typename Derive>
  static void LoadWord(const uint32_t* row, Derive derive, B (&index)[kSteps]) {
    const B transpose = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    Words words = *reinterpret_cast<const Words*>(row);
    derive(words);
    const B bytes = _mm512_permutexvar_epi32(transpose, _mm512_shuffle_epi8(reinterpret_cast<B>(words), Gather()));
    const B mask = _mm512_set1_epi8(15);
    index[0] = _mm512_and_si512(bytes, mask);
    index[1] = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), mask);
  }

  static void StoreBlockSums(B even, B odd, int32_t* sums, bool add) {
    even = _mm512_sub_epi16(even, _mm512_slli_epi16(odd, 8));
    const __m128i evens = SumQuarters(even);
    const __m128i odds = SumQuarters(odd);
    StoreSixteen(_mm_unpacklo_epi16(evens, odds), _mm_unpackhi_epi16(evens, odds), sums, add);
  }

  static void StoreSums(B even, B odd, int32_t* sums, bool add) {
    even = _mm512_sub_epi16(even, _mm512_slli_epi16(odd, 8));
    alignas(64) B first = _mm512_unpacklo_epi16(even, odd);  // documents 0..7 of all blocks
    alignas(64) B second = _mm512_unpackhi_epi16(even, odd);
    alignas(64) uint16_t halves[2][32];
    _mm512_store_si512(halves[0], first);
    _mm512_store_si512(halves[1], second);
    for (int block = 0; block < 4; ++block) {
      const __m128i low = _mm_load_si128(reinterpret_cast<const __m128i*>(halves[0] + 8 * block));
      const __m128i high = _mm_load_si128(reinterpret_cast<const __m128i*>(halves[1] + 8 * block));
      StoreSixteen(low, high, sums + 16 * block, add);
    }
  }

 private:
  static B Gather() {
    return _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  }

  static __m128i SumQuarters(B v) {
    const __m256i half = _mm256_add_epi16(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    return _mm_add_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  }

  static void StoreSixteen(__m128i first, __m128i second, int32_t* sums, bool add) {
    B wide = _mm512_cvtepu16_epi32(_mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1));
    if (add) wide = _mm512_add_epi32(wide, _mm512_load_si512(sums));
    _mm512_store_si512(sums, wide);
  }

  static __m128i LoadQuarter(const uint32_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

  static void StoreNibbles(B bytes, uint8_t* out) {
    const B mask = _mm512_set1_epi8(15);
    _mm512_store_si512(out, _mm512_and_si512(bytes, mask));
    _mm512_store_si512(out + 256, _mm512_and_si512(_mm512_srli_epi16(bytes, 4), mask));
  }
};

struct Pairs {
  using V = __m512i;
  static constexpr int kVectors = 1;
  static constexpr size_t kBlocks = 4;
  static constexpr size_t kQueries = 4;

  static V Load(const uint32_t* p) { return _mm512_load_si512(p); }
  static V LoadSums(const int32_t* p) { return _mm512_load_si512(p); }
  static V Broadcast(const uint8_t* p) {
    int32_t four;
    std::memcpy(&four, p, sizeof(four));
    return _mm512_set1_epi32(four);
  }
  static V Set(int32_t v) { return _mm512_set1_epi32(v); }
  static V Multiply(V documents, V query) { return _mm512_maddubs_epi16(documents, query); }
  static V Add16(V a, V b) { return _mm512_add_epi16(a, b); }
  static void Settle([[maybe_unused]] V& v) {
#ifndef BEBR_SIMD_EMULATED
    asm("" : "+v"(v));
#endif
  }
  static V Widen(V sums, V sixteen) { return _mm512_add_epi32(sums, _mm512_madd_epi16(sixteen, _mm512_set1_epi16(1))); }
  static void Store(int32_t* p, V v) { _mm512_store_si512(p, v); }
};

using Sums = PairSums<Bytes, Pairs>;

}  // namespace

const KernelTable BEBR_SIMD_AVX512BW_TABLE = {
    "avx512bw",         Avx512BwSupported,    VecPreparedBytes<Sums>, VecPrepare<Sums>, VecScore<Vec, Sums>,
    VecScan<Vec, Sums>, VecPackedFloats<Vec>, VecPack<Vec>,           VecGemm<Vec>,     Match<Avx512Rows>};

}  // namespace bebr::simd
