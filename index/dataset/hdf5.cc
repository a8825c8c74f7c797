// HDF5 as ann-benchmarks publishes it: a dataset of rows x values, floating point of any width.
#include <H5public.h>  // first: the others need its macros
#include <hdf5.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/mutex.h"
#include "index/base/status_macros.h"
#include "index/dataset/input_file.h"

namespace bebr {
namespace {

// Debian's serial HDF5 library is not safe to enter from two threads, even for two files.
constinit Mutex hdf5_mutex;

// Owns an HDF5 handle and the function that closes it.
class Handle {
 public:
  Handle() = default;
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  hid_t get() const { return id_; }
  bool ok() const { return id_ >= 0; }

 private:
  hid_t id_ = -1;
  herr_t (*close_)(hid_t) = nullptr;
};

// The text of an attribute of the file itself; empty where it has none. Such texts are short.
std::string TextAttribute(hid_t file, const char* name) {
  if (H5Aexists(file, name) <= 0) return {};
  const Handle attribute(H5Aopen(file, name, H5P_DEFAULT), H5Aclose);
  const Handle type(attribute.ok() ? H5Aget_type(attribute.get()) : -1, H5Tclose);
  const Handle space(attribute.ok() ? H5Aget_space(attribute.get()) : -1, H5Sclose);
  if (!type.ok() || !space.ok() || H5Tget_class(type.get()) != H5T_STRING ||
      H5Sget_simple_extent_npoints(space.get()) != 1) {
    return {};
  }
  constexpr size_t kMostBytes = 64;
  if (H5Tis_variable_str(type.get()) > 0) {
    char* text = nullptr;
    const Handle memory(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(memory.get(), H5T_VARIABLE);
    H5Tset_cset(memory.get(), H5Tget_cset(type.get()));
    if (H5Aread(attribute.get(), memory.get(), static_cast<void*>(&text)) < 0 || text == nullptr) return {};
    std::string copy(text, strnlen(text, kMostBytes));
    H5free_memory(text);
    return copy;
  }
  char text[kMostBytes] = {};
  if (H5Tget_size(type.get()) > kMostBytes || H5Aread(attribute.get(), type.get(), text) < 0) return {};
  return std::string(text, strnlen(text, kMostBytes));
}

std::optional<Metric> MetricOf(std::string_view distance) {
  if (distance == "euclidean") return Metric::kL2;
  if (distance == "angular" || distance == "cosine") return Metric::kCosine;
  if (distance == "dot" || distance == "ip") return Metric::kInnerProduct;
  return std::nullopt;
}

class Hdf5File final : public VectorFile {
 public:
  Hdf5File(std::string path, std::string dataset) : path_(std::move(path)), name_(std::move(dataset)) {}
  ~Hdf5File() override {
    MutexLock lock(&hdf5_mutex);
    space_ = Handle();
    dataset_ = Handle();
    file_ = Handle();
  }

  absl::Status Open(uint64_t file_bytes) {
    MutexLock lock(&hdf5_mutex);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // errors are ours to report
    file_ = Handle(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    if (!file_.ok()) return InvalidFile(path_, "is no HDF5 file, or is damaged or truncated");
    if (H5Lexists(file_.get(), name_.c_str(), H5P_DEFAULT) <= 0) {
      return InvalidFile(path_, absl::StrFormat("has no dataset '%s'; name another with FILE.hdf5:NAME", name_));
    }
    metric_ = MetricOf(TextAttribute(file_.get(), "distance"));
    dataset_ = Handle(H5Dopen2(file_.get(), name_.c_str(), H5P_DEFAULT), H5Dclose);
    if (!dataset_.ok()) return InvalidFile(path_, absl::StrFormat("'%s' is no dataset", name_));
    const Handle type(H5Dget_type(dataset_.get()), H5Tclose);
    if (!type.ok() || H5Tget_class(type.get()) != H5T_FLOAT) {
      return InvalidFile(path_, absl::StrFormat("the values of '%s' are not floating point", name_));
    }
    space_ = Handle(H5Dget_space(dataset_.get()), H5Sclose);
    if (!space_.ok() || H5Sget_simple_extent_ndims(space_.get()) != 2) {
      return InvalidFile(path_, absl::StrFormat("'%s' does not have two dimensions, rows x values", name_));
    }
    H5Sget_simple_extent_dims(space_.get(), shape_, nullptr);
    BEBR_RETURN_IF_ERROR(CheckShape(path_, shape_[0], shape_[1]));
    // Chunks that were never written read as zeros and take no room: a small file could claim any size.
    const uint64_t need = shape_[0] * shape_[1] * H5Tget_size(type.get());
    const uint64_t stored = std::min<uint64_t>(H5Dget_storage_size(dataset_.get()), file_bytes);
    if (need / kMaxCompression > stored) {
      return InvalidFile(path_, absl::StrFormat("'%s' claims %d rows of %d values, but only %d bytes are stored", name_,
                                                shape_[0], shape_[1], stored));
    }
    return absl::OkStatus();
  }

  size_t rows() const override { return shape_[0]; }
  size_t dims() const override { return shape_[1]; }
  std::optional<Metric> metric() const override { return metric_; }
  absl::StatusOr<size_t> Read(size_t max_rows, float* out) override {
    const hsize_t count[2] = {std::min<hsize_t>(max_rows, shape_[0] - row_), shape_[1]};
    if (count[0] == 0) return 0;
    const hsize_t start[2] = {row_, 0};
    MutexLock lock(&hdf5_mutex);
    const Handle memory(H5Screate_simple(2, count, nullptr), H5Sclose);
    if (!memory.ok() || H5Sselect_hyperslab(space_.get(), H5S_SELECT_SET, start, nullptr, count, nullptr) < 0 ||
        H5Dread(dataset_.get(), H5T_NATIVE_FLOAT, memory.get(), space_.get(), H5P_DEFAULT, out) < 0) {
      return InvalidFile(path_,
                         absl::StrFormat("cannot read rows %d to %d of '%s': the file is damaged or uses a filter that "
                                         "is not installed",
                                         row_, row_ + count[0] - 1, name_));
    }
    row_ += count[0];
    return count[0];
  }

 private:
  std::string path_;
  std::string name_;
  Handle file_;
  Handle dataset_;
  Handle space_;
  std::optional<Metric> metric_;
  hsize_t shape_[2] = {0, 0};
  hsize_t row_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<VectorFile>> OpenHdf5(const std::string& path, const std::string& dataset) {
  uint64_t file_bytes = 0;
  {
    BEBR_ASSIGN_OR_RETURN(const InputFile probe, InputFile::Open(path));  // for its errors and the size
    file_bytes = probe.size();
  }
  auto file = std::make_unique<Hdf5File>(path, dataset);
  BEBR_RETURN_IF_ERROR(file->Open(file_bytes));
  return file;
}

}  // namespace bebr
