#include "index/binarizer/safetensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "index/base/checksum.h"
#include "index/base/float16.h"
#include "index/base/status_macros.h"
#include "index/binarizer/finite.h"

namespace bebr {
namespace {

static_assert(std::endian::native == std::endian::little,
              "tensors are read as the little-endian floats they are stored as");

using nlohmann::json;

constexpr size_t kMaxTensorDimensions = 4;
constexpr int kMaxHeaderDepth = 4;  // the header, an entry, its shape; one more

// The header, or null if it is no JSON or nested deeper than any header is: what handles JSON recurses as deep as that
// goes, and a header of nothing but brackets would take a hundred times its size.
json ParseHeader(std::string_view text) {
  bool too_deep = false;
  const auto keep = [&](int depth, json::parse_event_t, json&) {
    too_deep |= depth > kMaxHeaderDepth;
    return !too_deep;
  };
  json header = json::parse(text, keep, /*allow_exceptions=*/false);
  return too_deep ? json() : header;
}

struct Extent {
  size_t begin = 0;
  size_t end = 0;
  std::string name;
  std::vector<size_t> shape;
  TensorType type = TensorType::kF32;
};

size_t ValueBytes(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      break;
    case TensorType::kF16:
      return sizeof(uint16_t);
    case TensorType::kI8:
      return sizeof(int8_t);
  }
  return sizeof(float);
}

bool ReadType(std::string_view name, TensorType& type) {
  for (const TensorType known : {TensorType::kF32, TensorType::kF16, TensorType::kI8}) {
    if (name != NameOf(known)) continue;
    type = known;
    return true;
  }
  return false;
}

int8_t ToByte(float value) { return static_cast<int8_t>(std::clamp(std::round(value), -128.0f, 127.0f)); }

// Values are converted so many at a time: a tensor may have gigabytes.
constexpr size_t kValuesAtOnce = 4096;

// Calls `take` with the bytes of a tensor, a part after the other.
template <typename Take>
void ForBytes(const SafetensorsFile::Tensor& tensor, const Take& take) {
  const std::vector<float>& values = tensor.values;
  if (tensor.type == TensorType::kF32)
    return take(std::string_view(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)));
  uint16_t halves[kValuesAtOnce];
  int8_t bytes[kValuesAtOnce];
  const bool is_half = tensor.type == TensorType::kF16;
  for (size_t begin = 0; begin < values.size(); begin += kValuesAtOnce) {
    const size_t count = std::min(kValuesAtOnce, values.size() - begin);
    if (is_half) {
      FloatToHalf(values.data() + begin, count, halves);
    } else {
      std::transform(values.data() + begin, values.data() + begin + count, bytes, ToByte);
    }
    const void* const converted = is_half ? static_cast<const void*>(halves) : bytes;
    take(std::string_view(static_cast<const char*>(converted), count * ValueBytes(tensor.type)));
  }
}

template <typename Take>
void ForBytes(const SafetensorsView::Tensor& tensor, const Take& take) {
  take(tensor.bytes);
}

// As SafetensorsFile::Checksum says.
template <typename Contents>
uint32_t ChecksumOf(const Contents& contents, std::string_view excluded_key) {
  uint32_t crc = 0;
  for (const auto& [key, value] : contents.metadata()) {
    if (key != excluded_key) crc = Crc32(absl::StrCat(key, "=", value, "\n"), crc);
  }
  for (const auto& [name, tensor] : contents.tensors()) {
    crc = Crc32(absl::StrCat(name, ":", NameOf(tensor.type), ":[", absl::StrJoin(tensor.shape, ","), "]\n"), crc);
    ForBytes(tensor, [&](std::string_view bytes) { crc = Crc32(bytes, crc); });
  }
  return crc;
}

void Convert(std::string_view bytes, TensorType type, float* out) {
  if (bytes.empty()) return;
  switch (type) {
    case TensorType::kF32:
      std::memcpy(out, bytes.data(), bytes.size());
      return;
    case TensorType::kI8:
      for (const char byte : bytes) *out++ = static_cast<float>(static_cast<int8_t>(byte));
      return;
    case TensorType::kF16:
      break;
  }
  uint16_t halves[kValuesAtOnce];  // those of the file may lie at an odd address
  while (!bytes.empty()) {
    const size_t count = std::min(kValuesAtOnce, bytes.size() / sizeof(uint16_t));
    std::memcpy(halves, bytes.data(), count * sizeof(uint16_t));
    HalfToFloat(halves, count, out);
    out += count;
    bytes.remove_prefix(count * sizeof(uint16_t));
  }
}

absl::Status Invalid(const std::string& what) { return absl::InvalidArgumentError("not a model file: " + what); }

absl::StatusOr<size_t> Unsigned(const json& value, const std::string& what) {
  if (!value.is_number_unsigned()) return Invalid(absl::StrCat(what, " is not a whole number >= 0"));
  return value.get<size_t>();
}

absl::StatusOr<Extent> ParseExtent(const std::string& name, const json& entry, size_t data_bytes) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets")) {
    return Invalid(absl::StrCat("tensor '", name, "' has no dtype, shape or data_offsets"));
  }
  const json& dtype = entry["dtype"];
  const std::string type = dtype.is_string() ? dtype.get<std::string>() : "";
  Extent extent;
  if (!ReadType(type, extent.type)) {
    return Invalid(absl::StrCat("tensor '", name, "' has dtype ", dtype.dump(), "; only F32, F16 and I8 are read"));
  }
  const json& shape = entry["shape"];
  const json& offsets = entry["data_offsets"];
  if (!shape.is_array() || shape.size() > kMaxTensorDimensions || !offsets.is_array() || offsets.size() != 2) {
    return Invalid(absl::StrCat("tensor '", name, "' has a shape or data_offsets of the wrong form"));
  }
  extent.name = name;
  size_t count = 1;
  for (const json& dimension : shape) {
    BEBR_ASSIGN_OR_RETURN(const size_t size, Unsigned(dimension, absl::StrCat("a dimension of tensor '", name, "'")));
    if (size != 0 && count > data_bytes / size) {
      return Invalid(absl::StrCat("tensor '", name, "' is larger than the file"));
    }
    count *= size;
    extent.shape.push_back(size);
  }
  BEBR_ASSIGN_OR_RETURN(extent.begin, Unsigned(offsets[0], absl::StrCat("the offset of tensor '", name, "'")));
  BEBR_ASSIGN_OR_RETURN(extent.end, Unsigned(offsets[1], absl::StrCat("the end of tensor '", name, "'")));
  if (extent.begin > extent.end || extent.end > data_bytes ||
      extent.end - extent.begin != count * ValueBytes(extent.type)) {
    return Invalid(absl::StrCat("tensor '", name, "' of shape [", absl::StrJoin(extent.shape, ","),
                                "] has data_offsets [", extent.begin, ",", extent.end, "] in ", data_bytes,
                                " bytes of data"));
  }
  return extent;
}

// The file's header and data.
struct Parts {
  json header;
  std::string_view data;
};

absl::StatusOr<Parts> Divide(std::string_view file) {
  if (file.size() < 8) return Invalid(absl::StrCat("it has ", file.size(), " bytes"));
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), 8);
  if (header_bytes > SafetensorsFile::kMaxHeaderBytes) {
    return Invalid(absl::StrCat("its header would have ", header_bytes, " bytes; the limit is ",
                                SafetensorsFile::kMaxHeaderBytes));
  }
  if (header_bytes > file.size() - 8) {
    return Invalid(
        absl::StrCat("truncated: a header of ", header_bytes, " bytes in a file of ", file.size(), " bytes"));
  }
  Parts parts{ParseHeader(file.substr(8, header_bytes)), file.substr(8 + header_bytes)};
  if (!parts.header.is_object()) return Invalid("its header is not a JSON object of a header's form");
  return parts;
}

}  // namespace

const char* NameOf(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      break;
    case TensorType::kF16:
      return "F16";
    case TensorType::kI8:
      return "I8";
  }
  return "F32";
}

size_t SafetensorsView::Tensor::size() const { return bytes.size() / ValueBytes(type); }

absl::StatusOr<SafetensorsView> SafetensorsView::Parse(std::string_view file) {
  BEBR_ASSIGN_OR_RETURN(const Parts parts, Divide(file));
  const auto& [header, data] = parts;
  SafetensorsView result;
  std::vector<Extent> extents;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) return Invalid("__metadata__ is not an object");
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) return Invalid(absl::StrCat("metadata '", key, "' is not a string"));
        result.metadata_[key] = value.get<std::string>();
      }
      continue;
    }
    BEBR_ASSIGN_OR_RETURN(Extent extent, ParseExtent(name, entry, data.size()));
    extents.push_back(std::move(extent));
  }
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
  size_t position = 0;
  for (Extent& extent : extents) {
    if (extent.begin != position) {
      return Invalid(absl::StrCat("tensor '", extent.name, "' begins at ", extent.begin, " where ", position,
                                  " was expected: tensors overlap or leave a hole"));
    }
    position = extent.end;
    result.tensors_.emplace(std::move(extent.name), Tensor{std::move(extent.shape), extent.type,
                                                           data.substr(extent.begin, extent.end - extent.begin)});
  }
  if (position != data.size()) {
    return Invalid(absl::StrCat("the tensors take ", position, " bytes, the file has ", data.size(), " bytes of data"));
  }
  return result;
}

absl::StatusOr<std::vector<float>> SafetensorsView::Values(const std::string& name, const Tensor& tensor, size_t first,
                                                           size_t count) {
  std::vector<float> values(count);
  Convert(tensor.bytes.substr(first * ValueBytes(tensor.type), count * ValueBytes(tensor.type)), tensor.type,
          values.data());
  if (const size_t at = FirstNotFinite(values.data(), count); at != count)
    return Invalid(absl::StrCat("tensor '", name, "' holds ", values[at], " at position ", first + at));
  return values;
}

uint32_t SafetensorsView::Checksum(std::string_view excluded_key) const { return ChecksumOf(*this, excluded_key); }

absl::StatusOr<SafetensorsFile> SafetensorsFile::Parse(std::string_view file) {
  BEBR_ASSIGN_OR_RETURN(const SafetensorsView view, SafetensorsView::Parse(file));
  SafetensorsFile result;
  result.metadata_ = view.metadata();
  for (const auto& [name, tensor] : view.tensors()) {
    BEBR_ASSIGN_OR_RETURN(std::vector<float> values, SafetensorsView::Values(name, tensor, 0, tensor.size()));
    result.tensors_.emplace(name, Tensor{tensor.shape, std::move(values), tensor.type});
  }
  return result;
}

std::string SafetensorsFile::Serialize() const {
  json header = json::object();
  header["__metadata__"] = metadata_;
  size_t position = 0;
  for (const auto& [name, tensor] : tensors_) {
    const size_t bytes = tensor.values.size() * ValueBytes(tensor.type);
    header[name] = {
        {"dtype", NameOf(tensor.type)}, {"shape", tensor.shape}, {"data_offsets", {position, position + bytes}}};
    position += bytes;
  }
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the floats lie on 8-byte boundaries of the file
  const uint64_t header_bytes = text.size();
  std::string file(reinterpret_cast<const char*>(&header_bytes), sizeof(header_bytes));
  file.reserve(8 + text.size() + position);
  file += text;
  for (const auto& [name, tensor] : tensors_) ForBytes(tensor, [&](std::string_view bytes) { file += bytes; });
  return file;
}

uint32_t SafetensorsFile::Checksum(std::string_view excluded_key) const { return ChecksumOf(*this, excluded_key); }

}  // namespace bebr
