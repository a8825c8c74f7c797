// Rows in a range with AVX2.
#ifndef BEBR_INDEX_SIMD_MATCH_AVX2_H_
#define BEBR_INDEX_SIMD_MATCH_AVX2_H_

#ifndef BEBR_SIMD_EMULATED
#include <immintrin.h>
#endif

#include <cstdint>

#include "index/simd/match.h"

namespace bebr::simd {
namespace {

// As PortableRows, with vectors of four values.
struct Avx2Rows {
  static uint64_t OfType(const uint8_t* types, uint8_t type) {
    const __m256i wanted = _mm256_set1_epi8(static_cast<char>(type));
    const auto half = [&](const uint8_t* at) {
      const __m256i same = _mm256_cmpeq_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)), wanted);
      return static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(same)));
    };
    return half(types) | half(types + 32) << 32;
  }

  template <KeyForm kForm>
  static uint64_t Within(const uint64_t* values, uint64_t least, uint64_t width) {
    // The instruction compares signed numbers: both sides have their sign bits turned.
    const __m256i sign = _mm256_set1_epi64x(static_cast<int64_t>(kSignBit));
    const __m256i first = _mm256_set1_epi64x(static_cast<int64_t>(least));
    const __m256i most = _mm256_set1_epi64x(static_cast<int64_t>(width ^ kSignBit));
    uint64_t beyond = 0;
    for (unsigned i = 0; i < 64; i += 4) {
      const __m256i value = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values + i));
      const __m256i distance = _mm256_sub_epi64(Key<kForm>(value, sign), first);
      const __m256i greater = _mm256_cmpgt_epi64(_mm256_xor_si256(distance, sign), most);
      beyond |= static_cast<uint64_t>(_mm256_movemask_pd(_mm256_castsi256_pd(greater))) << i;
    }
    return ~beyond;
  }

 private:
  template <KeyForm kForm>
  static __m256i Key(__m256i value, __m256i sign) {
    if (kForm == KeyForm::kPlain) return value;
    if (kForm == KeyForm::kSigned) return _mm256_xor_si256(value, sign);
    const __m256i negative = _mm256_cmpgt_epi64(_mm256_setzero_si256(), value);
    return _mm256_xor_si256(value, _mm256_or_si256(negative, sign));
  }
};

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_MATCH_AVX2_H_
