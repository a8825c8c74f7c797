#include "index/base/utf8.h"

#include <cstddef>
#include <cstdint>

namespace bebr {
namespace {

// Bytes of the character that begins with `lead`, and the least code point that needs so many; 0 for no lead byte.
size_t CharacterBytes(uint8_t lead, uint32_t* least) {
  *least = lead < 0x80 ? 0 : lead < 0xE0 ? 0x80 : lead < 0xF0 ? 0x800 : 0x10000;
  return lead < 0x80 ? 1 : lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF8 ? 4 : 0;
}

}  // namespace

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    uint32_t least = 0;
    const size_t bytes = CharacterBytes(lead, &least);
    if (bytes == 0 || i + bytes > text.size()) return false;
    uint32_t point = bytes == 1 ? lead : lead & (0x7Fu >> bytes);
    for (size_t k = 1; k < bytes; ++k) {
      const auto next = static_cast<uint8_t>(text[i + k]);
      if ((next & 0xC0) != 0x80) return false;
      point = point << 6 | (next & 0x3Fu);
    }
    if (point < least || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return false;
    i += bytes;
  }
  return true;
}

}  // namespace bebr
