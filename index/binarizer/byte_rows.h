// Rows of a matrix as bytes, with a scale each: how models hold the projections of their groups.
#ifndef BEBR_INDEX_BINARIZER_BYTE_ROWS_H_
#define BEBR_INDEX_BINARIZER_BYTE_ROWS_H_

#include <cstddef>
#include <vector>

namespace bebr {

// The value of a byte b of a row with the scale a is a (b + 1/2), so that a row's largest value is as exact as others.
struct ByteRows {
  std::vector<float> bytes;   // -128..127
  std::vector<float> scales;  // of 16 significant bits, so that every value is a float; 0 of a row of next to nothing
};

// The nearest such rows. Those of values that FromByteRows gave are the ones that it was given.
ByteRows ToByteRows(const std::vector<float>& values, size_t columns);
std::vector<float> FromByteRows(const ByteRows& rows, size_t columns);

// `values` as they are after that way and back.
void RoundToByteRows(std::vector<float>& values, size_t columns);

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_BYTE_ROWS_H_
