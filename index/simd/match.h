// Which rows of a column hold a value of a range, 64 rows at a time. Every file has its own copy (hence the unnamed
// namespace): each is compiled for another instruction set.
#ifndef BEBR_INDEX_SIMD_MATCH_H_
#define BEBR_INDEX_SIMD_MATCH_H_

#include <cstddef>
#include <cstdint>

#include "index/simd/kernels.h"

namespace bebr::simd {
namespace {

inline constexpr uint64_t kSignBit = uint64_t{1} << 63;

// A row's key lies in the range if key - least, as an unsigned number, is at most the range's width.
struct PortableRows {
  // The rows of this type, as bits.
  static uint64_t OfType(const uint8_t* types, uint8_t type) {
    uint64_t rows = 0;
    for (unsigned i = 0; i < 64; ++i) rows |= uint64_t{types[i] == type} << i;
    return rows;
  }

  template <KeyForm kForm>
  static uint64_t Within(const uint64_t* values, uint64_t least, uint64_t width) {
    uint64_t rows = 0;
    for (unsigned i = 0; i < 64; ++i) rows |= uint64_t{Key<kForm>(values[i]) - least <= width} << i;
    return rows;
  }

 private:
  template <KeyForm kForm>
  static uint64_t Key(uint64_t value) {
    if (kForm == KeyForm::kPlain) return value;
    if (kForm == KeyForm::kSigned) return value ^ kSignBit;
    return (value & kSignBit) != 0 ? ~value : value | kSignBit;
  }
};

template <typename Rows, KeyForm kForm>
void MatchWords(const RangeTest& test, const uint8_t* types, const uint64_t* values, size_t words, uint64_t* bits) {
  for (size_t word = 0; word < words; ++word) {
    const uint64_t rows = Rows::OfType(types + 64 * word, test.type);
    // Most columns hold one type: of the others the types alone are read.
    bits[word] =
        rows == 0 ? 0 : rows & Rows::template Within<kForm>(values + 64 * word, test.least, test.most - test.least);
  }
}

// The `match` of a table.
template <typename Rows>
void Match(const RangeTest& test, const uint8_t* types, const uint64_t* values, size_t words, uint64_t* bits) {
  switch (test.form) {
    case KeyForm::kPlain:
      return MatchWords<Rows, KeyForm::kPlain>(test, types, values, words, bits);
    case KeyForm::kSigned:
      return MatchWords<Rows, KeyForm::kSigned>(test, types, values, words, bits);
    case KeyForm::kDouble:
      return MatchWords<Rows, KeyForm::kDouble>(test, types, values, words, bits);
  }
}

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_MATCH_H_
