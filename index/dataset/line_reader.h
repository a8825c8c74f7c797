// Text files, line by line.
#ifndef BEBR_INDEX_DATASET_LINE_READER_H_
#define BEBR_INDEX_DATASET_LINE_READER_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/dataset/input_file.h"

namespace bebr {

inline constexpr size_t kMaxLineBytes = 4 << 20;

// A LineReader gives a text file's lines one after the other, without their ends (\n or \r\n) and without the byte
// order mark that some editors put first. Move-only; owns the file. Holds 1 MiB and a line. Thread safety: none.
//
// Errors: those of InputFile; INVALID_ARGUMENT for a line of more than kMaxLineBytes.
class LineReader {
 public:
  static absl::StatusOr<LineReader> Open(const std::string& path);

  // False at the end; what follows the last \n is a line if it is not empty.
  absl::StatusOr<bool> Next(std::string* line);

  size_t number() const { return number_; }  // of the line last given, from 1
  const std::string& path() const { return file_.path(); }
  // INVALID_ARGUMENT "<path>: line <number()>: <what>".
  absl::Status Error(std::string_view what) const;

 private:
  explicit LineReader(InputFile file) : file_(std::move(file)), buffer_(kReadBufferBytes) {}
  // Appends what lies before the next \n; true if there was one.
  bool TakeUpToFeed(std::string* line);

  InputFile file_;
  std::vector<char> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t number_ = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_DATASET_LINE_READER_H_
