// Numbers as bytes, the highest first: so that bytes have the order of the numbers.
#ifndef BEBR_INDEX_BASE_BIG_ENDIAN_H_
#define BEBR_INDEX_BASE_BIG_ENDIAN_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bebr {

// The lowest `bytes` of a number, at most 8.
inline void AppendBigEndian(uint64_t number, size_t bytes, std::string& out) {
  for (size_t i = bytes; i-- > 0;) out.push_back(static_cast<char>(number >> (8 * i)));
}

// Of at most 8 bytes.
inline uint64_t BigEndian(std::string_view bytes) {
  uint64_t number = 0;
  for (const char byte : bytes) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_BIG_ENDIAN_H_
