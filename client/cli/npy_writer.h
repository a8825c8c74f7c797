// Vectors to NumPy's .npy.
#ifndef BEBR_CLIENT_CLI_NPY_WRITER_H_
#define BEBR_CLIENT_CLI_NPY_WRITER_H_

#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bebr {

// An NpyWriter writes rows of float32, or of float16, to a file; how many there are is known at its end. Without Finish
// the file says that it has no rows. Thread safety: none. Errors: FAILED_PRECONDITION, naming the file and why.
class NpyWriter {
 public:
  // Replaces a file that is there.
  static absl::StatusOr<std::unique_ptr<NpyWriter>> Create(const std::string& path, size_t dims, bool half);
  ~NpyWriter();

  // `values` has dims floats; as float16, which they must fit in without rounding, where the file is such.
  absl::Status Add(const float* values);
  absl::Status Finish();

 private:
  NpyWriter(std::string path, std::FILE* file, size_t dims, bool half)
      : path_(std::move(path)), file_(file), dims_(dims), half_(half) {}
  absl::Status WriteHeader();
  absl::Status Error() const;

  const std::string path_;
  std::FILE* file_;
  const size_t dims_;
  const bool half_;
  size_t rows_ = 0;
};

}  // namespace bebr

#endif  // BEBR_CLIENT_CLI_NPY_WRITER_H_
