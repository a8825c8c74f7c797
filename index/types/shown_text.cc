#include "index/types/shown_text.h"

#include <cstddef>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace bebr {

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

std::string ShownInMessage(absl::string_view text) {
  constexpr size_t kShownBytes = 40;
  if (text.size() <= kShownBytes) return absl::Utf8SafeCHexEscape(text);
  size_t bytes = kShownBytes;
  while (bytes > 0 && IsContinuation(text[bytes])) --bytes;
  return absl::StrCat(absl::Utf8SafeCHexEscape(text.substr(0, bytes)), "...");
}

}  // namespace bebr
