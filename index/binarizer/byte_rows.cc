#include "index/binarizer/byte_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace bebr {
namespace {

constexpr float kLargest = 127.5f;  // in units of the scale
constexpr float kNothing = 1e-30f;  // a row of smaller values is zero: its scale would lose bits

// Its first 16 significant bits. Times 127.5, which has 8, that is a float, and divided by it again the same scale.
float ShortScale(float scale) {
  constexpr uint32_t kDropped = 8;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scale) >> kDropped << kDropped);
}

}  // namespace

ByteRows ToByteRows(const std::vector<float>& values, size_t columns) {
  ByteRows rows;
  rows.bytes.reserve(values.size());
  for (size_t first = 0; first + columns <= values.size(); first += columns) {
    const float* row = values.data() + first;
    float largest = 0.0f;
    for (size_t i = 0; i < columns; ++i) largest = std::max(largest, std::fabs(row[i]));
    const float scale = largest > kNothing ? ShortScale(largest / kLargest) : 0.0f;
    rows.scales.push_back(scale);
    for (size_t i = 0; i < columns; ++i)
      rows.bytes.push_back(scale > 0.0f ? std::clamp(std::floor(row[i] / scale), -128.0f, 127.0f) : 0.0f);
  }
  return rows;
}

std::vector<float> FromByteRows(const ByteRows& rows, size_t columns) {
  std::vector<float> values;
  values.reserve(rows.bytes.size());
  for (size_t i = 0; i < rows.bytes.size(); ++i) values.push_back(rows.scales[i / columns] * (rows.bytes[i] + 0.5f));
  return values;
}

void RoundToByteRows(std::vector<float>& values, size_t columns) {
  values = FromByteRows(ToByteRows(values, columns), columns);
}

}  // namespace bebr
