// Whether values are numbers, asked of many at once.
#ifndef BEBR_INDEX_BINARIZER_FINITE_H_
#define BEBR_INDEX_BINARIZER_FINITE_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace bebr {

// The place of the first value that is infinite or no number; `count` if there is none. Parts are looked at as a whole,
// which compilers make vector code of: models have gigabytes of values.
inline size_t FirstNotFinite(const float* values, size_t count) {
  constexpr size_t kAtOnce = 1024;
  constexpr uint32_t kExponent = 0x7F800000;
  const auto infinite = [&](size_t i) { return (std::bit_cast<uint32_t>(values[i]) & kExponent) == kExponent; };
  for (size_t begin = 0; begin < count; begin += kAtOnce) {
    const size_t end = std::min(begin + kAtOnce, count);
    uint32_t found = 0;
    for (size_t i = begin; i < end; ++i) found |= static_cast<uint32_t>(infinite(i));
    for (size_t i = begin; found != 0; ++i) {
      if (infinite(i)) return i;
    }
  }
  return count;
}

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_FINITE_H_
