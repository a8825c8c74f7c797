// The vectors of 16 floats that both AVX-512 tables use. The tests compile the tables once more with emulated
// intrinsics and other names (BEBR_SIMD_EMULATED), so that their logic runs on every processor.
#ifndef BEBR_INDEX_SIMD_AVX512_VEC_H_
#define BEBR_INDEX_SIMD_AVX512_VEC_H_

#ifndef BEBR_SIMD_EMULATED
#include <immintrin.h>
#define BEBR_SIMD_AVX512_TABLE kAvx512Table
#define BEBR_SIMD_AVX512BW_TABLE kAvx512BwTable
#endif

#include "index/simd/gemm.h"
#include "index/simd/match_avx512.h"
#include "index/simd/score_driver.h"

namespace bebr::simd {
namespace {

// Sixteen floats, and what score_driver.h and gemm.h ask of a vector.
struct Vec {
  using F = __m512;
  using I = __m512i;
  static constexpr int kFloats = 16;
  static constexpr int kPanel = 2;
  static constexpr int kGemmRows = 12;

  static F LoadF(const float* p) { return _mm512_loadu_ps(p); }
  static void StoreF(float* p, F v) { _mm512_storeu_ps(p, v); }
  static F SetF(float v) { return _mm512_set1_ps(v); }
  static F Add(F a, F b) { return _mm512_add_ps(a, b); }
  static F Mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F Fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static I LoadI(const int32_t* p) { return _mm512_loadu_si512(p); }
  static F ToFloat(I v) { return _mm512_cvtepi32_ps(v); }
  static void StoreI(int32_t* p, I v) { _mm512_storeu_si512(p, v); }
  static I SetI(int32_t v) { return _mm512_set1_epi32(v); }
  static I MaxI(I a, I b) { return _mm512_max_epi32(a, b); }
  static I ToInt(F v) { return _mm512_cvttps_epi32(v); }
  static F Max(F a, F b) { return _mm512_max_ps(a, b); }
  static F Min(F a, F b) { return _mm512_min_ps(a, b); }
  static float Highest(F v) { return _mm512_reduce_max_ps(v); }
  static bool AnyAbove(I a, I b) { return _mm512_cmpgt_epi32_mask(a, b) != 0; }
  static bool AnyNotLess(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ) != 0; }
  static uint32_t AtLeast(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
};

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_AVX512_VEC_H_
