// AVX-512 intrinsics through SIMDe, for the test-only copies of the AVX-512 tables: included before anything else by
// -include.
#ifndef BEBR_TESTS_UNIT_SIMD_EMULATED_AVX512_H_
#define BEBR_TESTS_UNIT_SIMD_EMULATED_AVX512_H_

#define BEBR_SIMD_EMULATED
#define BEBR_SIMD_AVX512_TABLE kEmulatedAvx512Table
#define BEBR_SIMD_AVX512BW_TABLE kEmulatedAvx512BwTable
#define SIMDE_ENABLE_NATIVE_ALIASES
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>
#pragma GCC diagnostic pop

#include <cstdint>
#include <cstring>

// What SIMDe 0.7.4 lacks.
static inline simde__m512 BebrCvtepi32Ps(simde__m512i a) {
  int32_t in[16];
  float out[16];
  std::memcpy(in, &a, sizeof(in));
  for (int i = 0; i < 16; ++i) out[i] = static_cast<float>(in[i]);
  return simde_mm512_loadu_ps(out);
}

static inline simde__m512i BebrCvtepu16Epi32(simde__m256i a) {
  uint16_t in[16];
  int32_t out[16];
  std::memcpy(in, &a, sizeof(in));
  for (int i = 0; i < 16; ++i) out[i] = in[i];
  return simde_mm512_loadu_si512(out);
}

static inline simde__m512i BebrCvttpsEpi32(simde__m512 a) {
  float in[16];
  int32_t out[16];
  std::memcpy(in, &a, sizeof(in));
  for (int i = 0; i < 16; ++i) out[i] = static_cast<int32_t>(in[i]);
  return simde_mm512_loadu_si512(out);
}

static inline simde__m512i BebrMaddEpi16(simde__m512i a, simde__m512i b) {
  int16_t left[32], right[32];
  int32_t out[16];
  std::memcpy(left, &a, sizeof(left));
  std::memcpy(right, &b, sizeof(right));
  for (int i = 0; i < 16; ++i) out[i] = left[2 * i] * right[2 * i] + left[2 * i + 1] * right[2 * i + 1];
  return simde_mm512_loadu_si512(out);
}

static inline float BebrReduceMaxPs(simde__m512 a) {
  float in[16];
  std::memcpy(in, &a, sizeof(in));
  float most = in[0];
  for (int i = 1; i < 16; ++i) most = in[i] > most ? in[i] : most;
  return most;
}

#undef _mm512_madd_epi16
#define _mm512_madd_epi16(a, b) BebrMaddEpi16(a, b)
#define _mm512_cvttps_epi32(a) BebrCvttpsEpi32(a)
#define _mm512_reduce_max_ps(a) BebrReduceMaxPs(a)
#define _mm512_cvtepi32_ps(a) BebrCvtepi32Ps(a)
#define _mm512_cvtepu16_epi32(a) BebrCvtepu16Epi32(a)

namespace bebr::simd {
struct KernelTable;
extern const KernelTable kEmulatedAvx512Table;
extern const KernelTable kEmulatedAvx512BwTable;
}  // namespace bebr::simd

#endif  // BEBR_TESTS_UNIT_SIMD_EMULATED_AVX512_H_
