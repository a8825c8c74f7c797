#include "index/dataset/line_reader.h"

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

constexpr char kByteOrderMark[] = "\xEF\xBB\xBF";

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

}  // namespace bebr
