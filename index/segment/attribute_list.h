// Lists of values as the dictionary of a shard holds them: as one string each.
#ifndef BEBR_INDEX_SEGMENT_ATTRIBUTE_LIST_H_
#define BEBR_INDEX_SEGMENT_ATTRIBUTE_LIST_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "index/types/attributes.h"

namespace bebr {

// A value of a list: its type, as its position in AttributeScalar, in one byte; then a text's bytes, or a number's.
std::string PackScalar(const AttributeScalar& value);
AttributeScalar UnpackScalar(std::string_view packed);

// A list: the byte 0xFF, which no text begins with, then its different values in the order of their bytes, each after
// its length in two bytes. So lists with the same values, in any order, are one string. Values have less than 64 KiB.
std::string PackList(const AttributeList& list);

// Calls visit(packed value) for each value of a packed list; of other strings for none.
template <typename Visit>
void ForEachInList(std::string_view packed, const Visit& visit) {
  if (packed.empty() || packed.front() != '\xFF') return;
  packed.remove_prefix(1);
  uint16_t size;
  while (packed.size() >= sizeof(size)) {
    std::memcpy(&size, packed.data(), sizeof(size));
    packed.remove_prefix(sizeof(size));
    if (size == 0 || size > packed.size()) return;
    visit(packed.substr(0, size));
    packed.remove_prefix(size);
  }
}

}  // namespace bebr

#endif  // BEBR_INDEX_SEGMENT_ATTRIBUTE_LIST_H_
