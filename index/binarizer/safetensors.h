// The safetensors format: what model files are written in.
#ifndef BEBR_INDEX_BINARIZER_SAFETENSORS_H_
#define BEBR_INDEX_BINARIZER_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace bebr {

// How the values of a tensor are stored.
enum class TensorType { kF32, kF16, kI8 };
const char* NameOf(TensorType type);  // "F32", ...

// A SafetensorsView is the contents of a safetensors file that is kept elsewhere, which outlives it: a large tensor is
// not copied before somebody wants its values. What a file must satisfy, and errors: as SafetensorsFile, but values
// that are not finite are told by Values().
class SafetensorsView {
 public:
  struct Tensor {
    std::vector<size_t> shape;
    TensorType type = TensorType::kF32;
    std::string_view bytes;
    size_t size() const;  // the product of `shape`
  };

  static absl::StatusOr<SafetensorsView> Parse(std::string_view file);
  // As SafetensorsFile's.
  uint32_t Checksum(std::string_view excluded_key) const;
  // `count` values of a tensor, from `first` on. INVALID_ARGUMENT, naming the tensor, unless they are finite.
  static absl::StatusOr<std::vector<float>> Values(const std::string& name, const Tensor& tensor, size_t first,
                                                   size_t count);

  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  std::map<std::string, Tensor>& tensors() { return tensors_; }
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }

 private:
  std::map<std::string, std::string> metadata_;
  std::map<std::string, Tensor> tensors_;
};

// A SafetensorsFile is named tensors of float32, float16 or int8 and string metadata, as the safetensors format writes
// them: an 8-byte little-endian header length, a JSON header, then the tensors' bytes without holes.
//
// Limits. Only F32, F16 and I8 tensors with finite values; a header of at most kMaxHeaderBytes; at most 4 dimensions a
// tensor.
//
// Errors. Parse() returns INVALID_ARGUMENT that names the tensor or the field and what is wrong with it. Everything is
// checked: a file that parses holds exactly the tensors that its header promises.
//
// Thread safety: a plain value.
class SafetensorsFile {
 public:
  static constexpr size_t kMaxHeaderBytes = size_t{4} << 20;

  struct Tensor {
    std::vector<size_t> shape;
    std::vector<float> values;           // row-major, the product of `shape`
    TensorType type = TensorType::kF32;  // values are rounded to it when they are written
  };

  static absl::StatusOr<SafetensorsFile> Parse(std::string_view file);
  std::string Serialize() const;

  // CRC-32 of the contents, independent of how the header is spelled: for every metadata entry but `excluded_key`, by
  // key, "key=value\n"; then for every tensor, by name, "name:F32:[d0,d1]\n" (or F16, I8) followed by its bytes.
  uint32_t Checksum(std::string_view excluded_key) const;

  std::map<std::string, std::string>& metadata() { return metadata_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  std::map<std::string, Tensor>& tensors() { return tensors_; }
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }

 private:
  std::map<std::string, std::string> metadata_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_SAFETENSORS_H_
