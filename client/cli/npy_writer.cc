#include "client/cli/npy_writer.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/float16.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

constexpr size_t kHeaderBytes = 128;  // has room for any number of rows

}  // namespace

absl::StatusOr<std::unique_ptr<NpyWriter>> NpyWriter::Create(const std::string& path, size_t dims, bool half) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  std::unique_ptr<NpyWriter> writer(new NpyWriter(path, file, dims, half));
  if (file == nullptr) return writer->Error();
  BEBR_RETURN_IF_ERROR(writer->WriteHeader());
  return writer;
}

NpyWriter::~NpyWriter() {
  if (file_ != nullptr) std::fclose(file_);
}

absl::Status NpyWriter::Error() const {
  return absl::FailedPreconditionError(absl::StrFormat("cannot write \"%s\": %s", path_, std::strerror(errno)));
}

absl::Status NpyWriter::WriteHeader() {
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(kHeaderBytes - 10);
  header += '\0';
  header += absl::StrFormat("{'descr': '%s', 'fortran_order': False, 'shape': (%d, %d), }", half_ ? "<f2" : "<f4",
                            rows_, dims_);
  header.resize(kHeaderBytes - 1, ' ');
  header += '\n';
  if (std::fwrite(header.data(), 1, header.size(), file_) != header.size()) return Error();
  return absl::OkStatus();
}

absl::Status NpyWriter::Add(const float* values) {
  ++rows_;
  if (!half_) return std::fwrite(values, sizeof(float), dims_, file_) == dims_ ? absl::OkStatus() : Error();
  std::vector<uint16_t> halves(dims_);
  FloatToHalf(values, dims_, halves.data());
  return std::fwrite(halves.data(), sizeof(uint16_t), dims_, file_) == dims_ ? absl::OkStatus() : Error();
}

absl::Status NpyWriter::Finish() {
  if (std::fseek(file_, 0, SEEK_SET) != 0) return Error();
  BEBR_RETURN_IF_ERROR(WriteHeader());
  std::FILE* file = file_;
  file_ = nullptr;
  return std::fclose(file) == 0 ? absl::OkStatus() : Error();
}

}  // namespace bebr
