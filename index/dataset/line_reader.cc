#include "index/dataset/line_reader.h"

#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

constexpr char kByteOrderMark[] = "\xEF\xBB\xBF";

// Bytes of the character that begins with `lead`, and the least code point that needs so many; 0 for no lead byte.
size_t CharacterBytes(uint8_t lead, uint32_t* least) {
  *least = lead < 0x80 ? 0 : lead < 0xE0 ? 0x80 : lead < 0xF0 ? 0x800 : 0x10000;
  return lead < 0x80 ? 1 : lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF8 ? 4 : 0;
}

}  // namespace

absl::StatusOr<LineReader> LineReader::Open(const std::string& path) {
  BEBR_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  return LineReader(std::move(file));
}

absl::StatusOr<bool> LineReader::Next(std::string* line) {
  line->clear();
  bool ended = false;
  while (!ended) {
    if (begin_ == end_) {
      BEBR_ASSIGN_OR_RETURN(end_, file_.Read(buffer_.size(), buffer_.data()));
      begin_ = 0;
      if (end_ == 0) break;
    }
    ended = TakeUpToFeed(line);
    if (line->size() > kMaxLineBytes) {
      return InvalidFile(path(), absl::StrFormat("line %d has more than %d bytes", number_ + 1, kMaxLineBytes));
    }
  }
  if (!ended && line->empty()) return false;
  if (++number_ == 1 && absl::StartsWith(*line, kByteOrderMark)) line->erase(0, std::strlen(kByteOrderMark));
  if (!line->empty() && line->back() == '\r') line->pop_back();
  return true;
}

bool LineReader::TakeUpToFeed(std::string* line) {
  const char* start = buffer_.data() + begin_;
  const auto* feed = static_cast<const char*>(std::memchr(start, '\n', end_ - begin_));
  const size_t length = feed != nullptr ? static_cast<size_t>(feed - start) : end_ - begin_;
  line->append(start, length);
  begin_ += length + (feed != nullptr ? 1 : 0);
  return feed != nullptr;
}

absl::Status LineReader::Error(std::string_view what) const {
  return InvalidFile(path(), absl::StrFormat("line %d: %s", number_, what));
}

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
