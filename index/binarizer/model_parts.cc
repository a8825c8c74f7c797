#include "index/binarizer/model_parts.h"

#include <sys/mman.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "index/base/status_macros.h"
#include "index/binarizer/byte_rows.h"

namespace bebr {

absl::Status InvalidModel(const std::string& what) { return absl::InvalidArgumentError("model file: " + what); }

absl::StatusOr<std::string> ModelReader::Text(const std::string& key) const {
  const auto entry = file_.metadata().find(key);
  if (entry == file_.metadata().end()) return InvalidModel(absl::StrCat("metadata '", key, "' is missing"));
  return entry->second;
}

absl::StatusOr<uint32_t> ModelReader::Number(const std::string& key, uint32_t low, uint32_t high) const {
  BEBR_ASSIGN_OR_RETURN(const std::string text, Text(key));
  uint32_t value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < low || value > high) {
    return InvalidModel(absl::StrCat("metadata '", key, "' is '", text, "'; it must be a number in ", low, "..", high));
  }
  return value;
}

absl::StatusOr<std::vector<uint32_t>> ModelReader::Sizes(const std::string& key) const {
  BEBR_ASSIGN_OR_RETURN(const std::string text, Text(key));
  std::vector<uint32_t> sizes;
  for (const std::string& size : std::vector<std::string>(absl::StrSplit(text, ',', absl::SkipEmpty()))) {
    uint32_t value = 0;
    if (!absl::SimpleAtoi(size, &value) || value == 0 || value > kMaxHiddenDims || sizes.size() == kMaxHiddenLayers) {
      return InvalidModel(absl::StrCat("metadata '", key, "' is '", text, "'; it must hold at most ", kMaxHiddenLayers,
                                       " sizes in 1..", kMaxHiddenDims));
    }
    sizes.push_back(value);
  }
  return sizes;
}

absl::StatusOr<float> ModelReader::Length(const std::string& key) const {
  float length = 0.0f;
  if (!HasText(key)) return length;
  BEBR_ASSIGN_OR_RETURN(const std::string text, Text(key));
  if (absl::SimpleAtof(text, &length)) return length;
  return InvalidModel(absl::StrCat("metadata '", key, "' is '", text, "'; it must be a number"));
}

bool ModelReader::IsVersion(std::string_view version) const {
  const auto entry = file_.metadata().find("format_version");
  return entry != file_.metadata().end() && entry->second == version;
}

absl::StatusOr<SafetensorsView::Tensor> ModelReader::TakeTensor(const std::string& name,
                                                                const std::vector<size_t>& shape, TensorType type) {
  const auto entry = file_.tensors().find(name);
  if (entry == file_.tensors().end()) return InvalidModel(absl::StrCat("tensor '", name, "' is missing"));
  SafetensorsView::Tensor tensor = std::move(entry->second);
  file_.tensors().erase(entry);
  if (tensor.shape != shape) {
    return InvalidModel(absl::StrCat("tensor '", name, "' has shape [", absl::StrJoin(tensor.shape, ","),
                                     "]; expected [", absl::StrJoin(shape, ","), "]"));
  }
  if (tensor.type != type && !(tensor.type == TensorType::kF32 && type == TensorType::kF16)) {
    return InvalidModel(absl::StrCat("tensor '", name, "' is ", NameOf(tensor.type), "; it must be ", NameOf(type)));
  }
  return tensor;
}

absl::StatusOr<std::vector<float>> ModelReader::TakeValues(const std::string& name,
                                                           const SafetensorsView::Tensor& tensor, size_t first,
                                                           size_t count) const {
  absl::StatusOr<std::vector<float>> values = SafetensorsView::Values(name, tensor, first, count);
  if (!frees_ || count == 0) return values;
  // Whole pages of these bytes alone.
  const size_t value_bytes = tensor.bytes.size() / tensor.size(), page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(tensor.bytes.data() + first * value_bytes);
  const uintptr_t from = (begin + page - 1) / page * page, to = (begin + count * value_bytes) / page * page;
  if (from < to) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
  return values;
}

absl::StatusOr<std::vector<float>> ModelReader::Take(const std::string& name, const std::vector<size_t>& shape,
                                                     TensorType type) {
  BEBR_ASSIGN_OR_RETURN(const SafetensorsView::Tensor tensor, TakeTensor(name, shape, type));
  return TakeValues(name, tensor, 0, tensor.size());
}

absl::StatusOr<std::vector<std::vector<float>>> ModelReader::TakeParts(const std::string& name,
                                                                       const std::vector<size_t>& shape,
                                                                       TensorType type) {
  BEBR_ASSIGN_OR_RETURN(const SafetensorsView::Tensor tensor, TakeTensor(name, shape, type));
  const size_t part_size = tensor.size() / shape.front();
  std::vector<std::vector<float>> parts(shape.front());
  for (size_t i = 0; i < parts.size(); ++i) {
    BEBR_ASSIGN_OR_RETURN(parts[i], TakeValues(name, tensor, i * part_size, part_size));
  }
  return parts;
}

absl::StatusOr<std::vector<std::vector<float>>> ModelReader::TakeByteRows(const std::string& name,
                                                                          std::vector<size_t> shape) {
  BEBR_ASSIGN_OR_RETURN(std::vector<std::vector<float>> parts, TakeParts(name, shape, TensorType::kI8));
  const size_t columns = shape.back();
  shape.pop_back();
  BEBR_ASSIGN_OR_RETURN(std::vector<std::vector<float>> scales, TakeParts(name + ".scale", shape));
  for (size_t i = 0; i < parts.size(); ++i)
    parts[i] = FromByteRows({std::move(parts[i]), std::move(scales[i])}, columns);
  return parts;
}

absl::StatusOr<BlockParameters> ModelReader::TakeBlock(const std::string& name, size_t inputs, size_t outputs,
                                                       const std::vector<uint32_t>& hidden, bool weight_optional) {
  BlockParameters block;
  if (!weight_optional || Has(name + ".weight")) {
    BEBR_ASSIGN_OR_RETURN(block.linear.weight, Take(name + ".weight", {outputs, inputs}));
  }
  BEBR_ASSIGN_OR_RETURN(block.linear.bias, Take(name + ".bias", {outputs}));
  size_t width = inputs;
  for (size_t i = 0; !hidden.empty() && i <= hidden.size(); ++i) {
    const std::string layer_name = i < hidden.size() ? absl::StrCat(name, ".hidden", i) : name + ".output";
    const size_t layer_outputs = i < hidden.size() ? hidden[i] : outputs;
    LayerParameters layer;
    BEBR_ASSIGN_OR_RETURN(layer.weight, Take(layer_name + ".weight", {layer_outputs, width}));
    BEBR_ASSIGN_OR_RETURN(layer.bias, Take(layer_name + ".bias", {layer_outputs}));
    width = layer_outputs;
    block.mlp.push_back(std::move(layer));
  }
  return block;
}

absl::Status ModelReader::CheckNothingLeft() const {
  if (file_.tensors().empty()) return absl::OkStatus();
  return InvalidModel(
      absl::StrCat("tensor '", file_.tensors().begin()->first, "' does not belong to this architecture"));
}

void WriteByteRows(SafetensorsFile& file, const std::string& name, std::vector<size_t> shape,
                   const std::vector<float>& values) {
  ByteRows rows = ToByteRows(values, shape.back());
  file.tensors()[name] = {shape, std::move(rows.bytes), TensorType::kI8};
  shape.pop_back();
  file.tensors()[name + ".scale"] = {std::move(shape), std::move(rows.scales)};
}

void WriteBlock(SafetensorsFile& file, const std::string& name, size_t inputs, size_t outputs,
                const std::vector<uint32_t>& hidden, const BlockParameters& block) {
  if (!block.linear.weight.empty()) file.tensors()[name + ".weight"] = {{outputs, inputs}, block.linear.weight};
  file.tensors()[name + ".bias"] = {{outputs}, block.linear.bias};
  size_t width = inputs;
  for (size_t i = 0; i < block.mlp.size(); ++i) {
    const std::string layer_name = i < hidden.size() ? absl::StrCat(name, ".hidden", i) : name + ".output";
    const size_t layer_outputs = i < hidden.size() ? hidden[i] : outputs;
    file.tensors()[layer_name + ".weight"] = {{layer_outputs, width}, block.mlp[i].weight};
    file.tensors()[layer_name + ".bias"] = {{layer_outputs}, block.mlp[i].bias};
    width = layer_outputs;
  }
}

}  // namespace bebr
