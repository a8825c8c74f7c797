// Text as Protocol Buffers and JSON take it.
#ifndef BEBR_INDEX_BASE_UTF8_H_
#define BEBR_INDEX_BASE_UTF8_H_

#include <string_view>

namespace bebr {

// Whether `text` is UTF-8 of whole characters, the only text that ids, attributes and options may be.
bool IsUtf8(std::string_view text);

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_UTF8_H_
