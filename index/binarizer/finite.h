// Whether values are numbers, asked of many at once.
#ifndef BEBR_INDEX_BINARIZER_FINITE_H_
#define BEBR_INDEX_BINARIZER_FINITE_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace bebr {

// The place of the first value that is infinite, no number or further from 0 than `most`; `count` if there is none.
// Parts are looked at as a whole, which compilers make vector code of: models have gigabytes of values.
inline size_t FirstBeyond(const float* values, size_t count, float most) {
  constexpr size_t kAtOnce = 1024;
  constexpr uint32_t kWithoutSign = 0x7FFFFFFF;
  const auto most_bits = std::bit_cast<uint32_t>(most);
  const auto beyond = [&](size_t i) { return (std::bit_cast<uint32_t>(values[i]) & kWithoutSign) > most_bits; };
  for (size_t begin = 0; begin < count; begin += kAtOnce) {
    const size_t end = std::min(begin + kAtOnce, count);
    uint32_t found = 0;
    for (size_t i = begin; i < end; ++i) found |= static_cast<uint32_t>(beyond(i));
    for (size_t i = begin; found != 0; ++i) {
      if (beyond(i)) return i;
    }
  }
  return count;
}

inline size_t FirstNotFinite(const float* values, size_t count) {
  return FirstBeyond(values, count, std::numeric_limits<float>::max());
}

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_FINITE_H_
