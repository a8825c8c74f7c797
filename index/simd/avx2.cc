// AVX2 and FMA: look-up sums, 2 blocks side by side, and sums of pairs. Compiled for those instruction sets; nothing
// here may be called before Avx2Supported() has said yes.
#include <immintrin.h>

#include "index/simd/gemm.h"
#include "index/simd/match_avx2.h"
#include "index/simd/pair_sums.h"
#include "index/simd/score_driver.h"
#include "index/simd/tables.h"

namespace bebr::simd {
namespace {

struct Vec {
  using F = __m256;
  using I = __m256i;
  static constexpr int kFloats = 8;
  static constexpr int kPanel = 2;
  static constexpr int kGemmRows = 6;

  static F LoadF(const float* p) { return _mm256_loadu_ps(p); }
  static void StoreF(float* p, F v) { _mm256_storeu_ps(p, v); }
  static F SetF(float v) { return _mm256_set1_ps(v); }
  static F Add(F a, F b) { return _mm256_add_ps(a, b); }
  static F Mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F Fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static I LoadI(const int32_t* p) { return _mm256_load_si256(reinterpret_cast<const I*>(p)); }
  static F ToFloat(I v) { return _mm256_cvtepi32_ps(v); }
  static void StoreI(int32_t* p, I v) { _mm256_store_si256(reinterpret_cast<I*>(p), v); }
  static I SetI(int32_t v) { return _mm256_set1_epi32(v); }
  static I MaxI(I a, I b) { return _mm256_max_epi32(a, b); }
  static I ToInt(F v) { return _mm256_cvttps_epi32(v); }
  static F Max(F a, F b) { return _mm256_max_ps(a, b); }
  static F Min(F a, F b) { return _mm256_min_ps(a, b); }
  static float Highest(F v) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }
  static bool AnyAbove(I a, I b) { return _mm256_movemask_epi8(_mm256_cmpgt_epi32(a, b)) != 0; }
  static bool AnyNotLess(F a, F b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NLT_UQ)) != 0; }
  static uint32_t AtLeast(F a, F b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GE_OQ)); }
};

struct Bytes {
  using B = __m256i;
  typedef uint32_t Words __attribute__((vector_size(sizeof(B)), may_alias));
  static constexpr size_t kBlocks = 2;
  static constexpr int kSteps = 4;
  static constexpr uint32_t kNibbleOrder[8] = {0, 2, 1, 3, 4, 6, 5, 7};

  static B Zero() { return _mm256_setzero_si256(); }
  static B Table(const uint8_t* p) {
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static B LoadIndex(const uint8_t* p) { return _mm256_load_si256(reinterpret_cast<const B*>(p)); }
  static B Lookup(B table, B index) { return _mm256_shuffle_epi8(table, index); }
  static B Add8(B a, B b) { return _mm256_add_epi8(a, b); }
  static B Add16(B a, B b) { return _mm256_add_epi16(a, b); }
  static B ShiftRight8(B a) { return _mm256_srli_epi16(a, 8); }

  // Word `offset` of 16 documents of two blocks: bytes 0..3 of four documents each are gathered, and the dwords
  // transposed.
  static void UnpackWord(const uint32_t* const* rows, size_t offset, uint8_t* out) {
    const B gather = Gather();
    B quarter[4];
    for (int i = 0; i < 4; ++i) {
      const auto* low = reinterpret_cast<const __m128i*>(rows[0] + offset + 4 * i);
      const auto* high = reinterpret_cast<const __m128i*>(rows[1] + offset + 4 * i);
      const B both = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(low)), _mm_loadu_si128(high), 1);
      quarter[i] = _mm256_shuffle_epi8(both, gather);
    }
    const B low01 = _mm256_unpacklo_epi32(quarter[0], quarter[1]);
    const B high01 = _mm256_unpackhi_epi32(quarter[0], quarter[1]);
    const B low23 = _mm256_unpacklo_epi32(quarter[2], quarter[3]);
    const B high23 = _mm256_unpackhi_epi32(quarter[2], quarter[3]);
    StoreNibbles(_mm256_unpacklo_epi64(low01, low23), out);
    StoreNibbles(_mm256_unpackhi_epi64(low01, low23), out + 32);
    StoreNibbles(_mm256_unpacklo_epi64(high01, high23), out + 128);
    StoreNibbles(_mm256_unpackhi_epi64(high01, high23), out + 160);
  }

  // A word of one block: bytes 0 and 1 of 16 documents in the halves of a vector, then bytes 2 and 3. The documents
  // come out in the order 0-3, 8-11, 4-7, 12-15.
  template <typename Derive>
  static void LoadWord(const uint32_t* row, Derive derive, B (&index)[kSteps]) {
    const B gather = Gather();
    Words words[2] = {*reinterpret_cast<const Words*>(row), *reinterpret_cast<const Words*>(row + 8)};
    derive(words[0]);
    derive(words[1]);
    const B first = _mm256_shuffle_epi8(reinterpret_cast<B>(words[0]), gather);
    const B second = _mm256_shuffle_epi8(reinterpret_cast<B>(words[1]), gather);
    constexpr int kSwapMiddle = 0xD8;
    const B low = _mm256_permute4x64_epi64(_mm256_unpacklo_epi32(first, second), kSwapMiddle);
    const B high = _mm256_permute4x64_epi64(_mm256_unpackhi_epi32(first, second), kSwapMiddle);
    const B mask = _mm256_set1_epi8(15);
    index[0] = _mm256_and_si256(low, mask);
    index[1] = _mm256_and_si256(_mm256_srli_epi16(low, 4), mask);
    index[2] = _mm256_and_si256(high, mask);
    index[3] = _mm256_and_si256(_mm256_srli_epi16(high, 4), mask);
  }

  static void StoreBlockSums(B even, B odd, int32_t* sums, bool add) {
    even = _mm256_sub_epi16(even, _mm256_slli_epi16(odd, 8));
    const __m128i evens = _mm_add_epi16(_mm256_castsi256_si128(even), _mm256_extracti128_si256(even, 1));
    const __m128i odds = _mm_add_epi16(_mm256_castsi256_si128(odd), _mm256_extracti128_si256(odd, 1));
    const __m128i first = _mm_unpacklo_epi16(evens, odds);  // documents 0-3, 8-11
    const __m128i second = _mm_unpackhi_epi16(evens, odds);
    StoreEight(_mm_unpacklo_epi64(first, second), sums, add);
    StoreEight(_mm_unpackhi_epi64(first, second), sums + 8, add);
  }

  static void StoreSums(B even, B odd, int32_t* sums, bool add) {
    even = _mm256_sub_epi16(even, _mm256_slli_epi16(odd, 8));
    const B first = _mm256_unpacklo_epi16(even, odd);  // documents 0..7 of both blocks
    const B second = _mm256_unpackhi_epi16(even, odd);
    StoreEight(_mm256_castsi256_si128(first), sums, add);
    StoreEight(_mm256_castsi256_si128(second), sums + 8, add);
    StoreEight(_mm256_extracti128_si256(first, 1), sums + 16, add);
    StoreEight(_mm256_extracti128_si256(second, 1), sums + 24, add);
  }

 private:
  static B Gather() {
    return _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,  //
                            0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  }

  // Low nibbles, and two vectors on the high ones, as kNibbleOrder says.
  static void StoreNibbles(B bytes, uint8_t* out) {
    const B mask = _mm256_set1_epi8(15);
    _mm256_store_si256(reinterpret_cast<B*>(out), _mm256_and_si256(bytes, mask));
    _mm256_store_si256(reinterpret_cast<B*>(out + 64), _mm256_and_si256(_mm256_srli_epi16(bytes, 4), mask));
  }

  static void StoreEight(__m128i values, int32_t* sums, bool add) {
    B wide = _mm256_cvtepu16_epi32(values);
    if (add) wide = _mm256_add_epi32(wide, _mm256_load_si256(reinterpret_cast<const B*>(sums)));
    _mm256_store_si256(reinterpret_cast<B*>(sums), wide);
  }
};

struct Pairs {
  using V = __m256i;
  static constexpr int kVectors = 2;
  static constexpr size_t kBlocks = 1;
  static constexpr size_t kQueries = 4;

  static V Load(const uint32_t* p) { return _mm256_load_si256(reinterpret_cast<const V*>(p)); }
  static V LoadSums(const int32_t* p) { return _mm256_load_si256(reinterpret_cast<const V*>(p)); }
  static V Broadcast(const uint8_t* p) {
    int32_t four;
    std::memcpy(&four, p, sizeof(four));
    return _mm256_set1_epi32(four);
  }
  static V Set(int32_t v) { return _mm256_set1_epi32(v); }
  static V Multiply(V documents, V query) { return _mm256_maddubs_epi16(documents, query); }
  static V Add16(V a, V b) { return _mm256_add_epi16(a, b); }
  static void Settle(V& v) { asm("" : "+x"(v)); }
  static V Widen(V sums, V sixteen) { return _mm256_add_epi32(sums, _mm256_madd_epi16(sixteen, _mm256_set1_epi16(1))); }
  static void Store(int32_t* p, V v) { _mm256_store_si256(reinterpret_cast<V*>(p), v); }
};

using Sums = PairSums<Bytes, Pairs>;

}  // namespace

const KernelTable kAvx2Table = {"avx2",
                                Avx2Supported,
                                VecPreparedBytes<Sums>,
                                VecPrepare<Sums>,
                                VecScore<Vec, Sums>,
                                VecScan<Vec, Sums>,
                                VecPackedFloats<Vec>,
                                VecPack<Vec>,
                                VecGemm<Vec>,
                                Match<Avx2Rows>};

}  // namespace bebr::simd
