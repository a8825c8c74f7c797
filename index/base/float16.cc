#include "index/base/float16.h"

#include <bit>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace bebr {
namespace {

float HalfToFloatPortable(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1F;
  const uint32_t mantissa = half & 0x3FF;
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

uint16_t FloatToHalfPortable(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude >= 0x7F800000u) return static_cast<uint16_t>(sign | (magnitude > 0x7F800000u ? 0x7E00u : 0x7C00u));
  if (magnitude >= 0x477FF000u) return static_cast<uint16_t>(sign | 0x7C00u);  // rounds to infinity
  if (magnitude < 0x38800000u) {                                               // subnormal half: units of 2^-24
    // Adding 2^-1's unit in the last place (2^-24) makes the addition itself round to nearest even.
    const float rounded = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(rounded) - 0x3F000000u));
  }
  const uint32_t odd = (magnitude >> 13) & 1;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xFFFu + odd) >> 13));
}

#if defined(__x86_64__)
// Both converters exist in hardware since 2012; the results are the portable ones, 8 values at a time.
__attribute__((target("avx,f16c"))) size_t HalfToFloatF16c(const uint16_t* halves, size_t count, float* out) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves + i))));
  }
  return i;
}

__attribute__((target("avx,f16c"))) size_t FloatToHalfF16c(const float* values, size_t count, uint16_t* out) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(values + i), _MM_FROUND_TO_NEAREST_INT));
  }
  return i;
}

bool HasF16c() {
  // Asked of the processor itself: Clang 14 does not know the name "f16c".
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __builtin_cpu_supports("avx") && __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
  }();
  return has;
}
#endif

}  // namespace

float HalfToFloat(uint16_t half) { return HalfToFloatPortable(half); }
uint16_t FloatToHalf(float value) { return FloatToHalfPortable(value); }

void HalfToFloat(const uint16_t* halves, size_t count, float* out) {
  size_t i = 0;
#if defined(__x86_64__)
  if (HasF16c()) i = HalfToFloatF16c(halves, count, out);
#endif
  for (; i < count; ++i) out[i] = HalfToFloatPortable(halves[i]);
}

void FloatToHalf(const float* values, size_t count, uint16_t* out) {
  size_t i = 0;
#if defined(__x86_64__)
  if (HasF16c()) i = FloatToHalfF16c(values, count, out);
#endif
  for (; i < count; ++i) out[i] = FloatToHalfPortable(values[i]);
}

}  // namespace bebr
