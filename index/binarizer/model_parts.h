// What a model file is made of: fields, tensors, blocks of layers.
#ifndef BEBR_INDEX_BINARIZER_MODEL_PARTS_H_
#define BEBR_INDEX_BINARIZER_MODEL_PARTS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/binarizer/model.h"
#include "index/binarizer/safetensors.h"

namespace bebr {

absl::Status InvalidModel(const std::string& what);

// Part of ValidateModel, of a model with a rotation: what FromSpans relies on, and what sizes of tensors do.
absl::Status CheckSpanSizes(const Model& model);
absl::Status CheckSpans(const Model& model);

// Takes tensors and metadata out of a file one by one, so that what is left over at the end is known to be foreign.
// INVALID_ARGUMENT names the field or tensor that is missing or wrong. The file's bytes outlive it; what was taken is
// of no value any more where it `frees` them.
class ModelReader {
 public:
  explicit ModelReader(SafetensorsView file, bool frees) : file_(std::move(file)), frees_(frees) {}

  absl::StatusOr<std::string> Text(const std::string& key) const;
  absl::StatusOr<uint32_t> Number(const std::string& key, uint32_t low, uint32_t high) const;
  // Sizes of hidden layers.
  absl::StatusOr<std::vector<uint32_t>> Sizes(const std::string& key) const;
  absl::StatusOr<float> Length(const std::string& key) const;  // 0 where there is none
  bool IsVersion(std::string_view version) const;
  bool HasText(const std::string& key) const { return file_.metadata().count(key) != 0; }
  bool Has(const std::string& name) const { return file_.tensors().count(name) != 0; }
  // Of this type, or F32 in F16's place.
  absl::StatusOr<std::vector<float>> Take(const std::string& name, const std::vector<size_t>& shape,
                                          TensorType type = TensorType::kF32);
  // The same, cut into parts along the first dimension, which are never there as a whole.
  absl::StatusOr<std::vector<std::vector<float>>> TakeParts(const std::string& name, const std::vector<size_t>& shape,
                                                            TensorType type = TensorType::kF32);
  // The values of ByteRows, cut likewise: of `name`, and of `name`.scale, which has one dimension less.
  absl::StatusOr<std::vector<std::vector<float>>> TakeByteRows(const std::string& name, std::vector<size_t> shape);
  absl::StatusOr<BlockParameters> TakeBlock(const std::string& name, size_t inputs, size_t outputs,
                                            const std::vector<uint32_t>& hidden, bool weight_optional);
  absl::Status CheckNothingLeft() const;

 private:
  absl::StatusOr<SafetensorsView::Tensor> TakeTensor(const std::string& name, const std::vector<size_t>& shape,
                                                     TensorType type);
  // Some values of a tensor, once.
  absl::StatusOr<std::vector<float>> TakeValues(const std::string& name, const SafetensorsView::Tensor& tensor,
                                                size_t first, size_t count) const;

  SafetensorsView file_;
  const bool frees_;
};

// As ParseModel, but that the file's memory is given back while it is read.
absl::StatusOr<Model> TakeModel(std::string file, uint32_t* checksum);

// `values` as ByteRows, the last dimension a row.
void WriteByteRows(SafetensorsFile& file, const std::string& name, std::vector<size_t> shape,
                   const std::vector<float>& values);
void WriteBlock(SafetensorsFile& file, const std::string& name, size_t inputs, size_t outputs,
                const std::vector<uint32_t>& hidden, const BlockParameters& block);

// The tensors of a model with groups: bases told by `spans`, or not; perhaps a spread.
absl::Status ReadGroups(ModelReader& reader, bool spans, bool may_spread, Model& model);
void WriteGroups(const Model& model, SafetensorsFile& file);

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_MODEL_PARTS_H_
