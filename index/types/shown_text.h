// Text of a caller in a message.
#ifndef BEBR_INDEX_TYPES_SHOWN_TEXT_H_
#define BEBR_INDEX_TYPES_SHOWN_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace bebr {

// Whether `c` continues a UTF-8 character: messages are not cut there, as clients take none that is not UTF-8.
bool IsContinuation(char c);

// A piece of a text for a message: of at most 40 bytes, printable; of UTF-8 it is UTF-8.
std::string ShownInMessage(absl::string_view text);

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_SHOWN_TEXT_H_
