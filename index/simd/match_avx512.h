// Rows in a range with AVX-512: a comparison gives bits at once.
#ifndef BEBR_INDEX_SIMD_MATCH_AVX512_H_
#define BEBR_INDEX_SIMD_MATCH_AVX512_H_

#ifndef BEBR_SIMD_EMULATED
#include <immintrin.h>
#endif

#include <cstdint>

#include "index/simd/match.h"

namespace bebr::simd {
namespace {

// As PortableRows, with vectors of eight values.
struct Avx512Rows {
  static uint64_t OfType(const uint8_t* types, uint8_t type) {
    return _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(types), _mm512_set1_epi8(static_cast<char>(type)));
  }

  template <KeyForm kForm>
  static uint64_t Within(const uint64_t* values, uint64_t least, uint64_t width) {
    const __m512i sign = _mm512_set1_epi64(static_cast<int64_t>(kSignBit));
    const __m512i first = _mm512_set1_epi64(static_cast<int64_t>(least));
    const __m512i most = _mm512_set1_epi64(static_cast<int64_t>(width));
    uint64_t rows = 0;
    for (unsigned i = 0; i < 64; i += 8) {
      const __m512i distance = _mm512_sub_epi64(Key<kForm>(_mm512_loadu_si512(values + i), sign), first);
      rows |= uint64_t{_mm512_cmple_epu64_mask(distance, most)} << i;
    }
    return rows;
  }

 private:
  template <KeyForm kForm>
  static __m512i Key(__m512i value, __m512i sign) {
    if (kForm == KeyForm::kPlain) return value;
    if (kForm == KeyForm::kSigned) return _mm512_xor_si512(value, sign);
    const __m512i negative = _mm512_sub_epi64(_mm512_setzero_si512(), _mm512_srli_epi64(value, 63));
    return _mm512_xor_si512(value, _mm512_or_si512(negative, sign));
  }
};

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_MATCH_AVX512_H_
