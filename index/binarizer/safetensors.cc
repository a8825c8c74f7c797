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
  bool half = false;
};

size_t ValueBytes(bool half) { return half ? sizeof(uint16_t) : sizeof(float); }

const char* TypeName(bool half) { return half ? "F16" : "F32"; }

// The bytes of a tensor in the file.
std::string BytesOf(const SafetensorsFile::Tensor& tensor) {
  std::string bytes(tensor.values.size() * ValueBytes(tensor.half), '\0');
  if (tensor.values.empty()) return bytes;
  if (!tensor.half) {
    std::memcpy(bytes.data(), tensor.values.data(), bytes.size());
    return bytes;
  }
  std::vector<uint16_t> halves(tensor.values.size());
  FloatToHalf(tensor.values.data(), halves.size(), halves.data());
  std::memcpy(bytes.data(), halves.data(), bytes.size());
  return bytes;
}

std::vector<float> ValuesOf(std::string_view bytes, bool half) {
  std::vector<float> values(bytes.size() / ValueBytes(half));
  if (values.empty()) return values;
  if (!half) {
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  std::vector<uint16_t> halves(values.size());
  std::memcpy(halves.data(), bytes.data(), bytes.size());
  HalfToFloat(halves.data(), halves.size(), values.data());
  return values;
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
  if (type != TypeName(false) && type != TypeName(true)) {
    return Invalid(absl::StrCat("tensor '", name, "' has dtype ", dtype.dump(), "; only F32 and F16 are read"));
  }
  const json& shape = entry["shape"];
  const json& offsets = entry["data_offsets"];
  if (!shape.is_array() || shape.size() > kMaxTensorDimensions || !offsets.is_array() || offsets.size() != 2) {
    return Invalid(absl::StrCat("tensor '", name, "' has a shape or data_offsets of the wrong form"));
  }
  Extent extent;
  extent.name = name;
  extent.half = type == TypeName(true);
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
      extent.end - extent.begin != count * ValueBytes(extent.half)) {
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

absl::StatusOr<SafetensorsFile::Tensor> ReadTensor(const Extent& extent, std::string_view data) {
  SafetensorsFile::Tensor tensor;
  tensor.shape = extent.shape;
  tensor.half = extent.half;
  tensor.values = ValuesOf(data.substr(extent.begin, extent.end - extent.begin), extent.half);
  for (size_t i = 0; i < tensor.values.size(); ++i) {
    if (!std::isfinite(tensor.values[i])) {
      return Invalid(absl::StrCat("tensor '", extent.name, "' holds ", tensor.values[i], " at position ", i));
    }
  }
  return tensor;
}

}  // namespace

absl::StatusOr<SafetensorsFile> SafetensorsFile::Parse(std::string_view file) {
  BEBR_ASSIGN_OR_RETURN(const Parts parts, Divide(file));
  const auto& [header, data] = parts;
  SafetensorsFile result;
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
  for (const Extent& extent : extents) {
    if (extent.begin != position) {
      return Invalid(absl::StrCat("tensor '", extent.name, "' begins at ", extent.begin, " where ", position,
                                  " was expected: tensors overlap or leave a hole"));
    }
    position = extent.end;
    BEBR_ASSIGN_OR_RETURN(Tensor tensor, ReadTensor(extent, data));
    result.tensors_.emplace(extent.name, std::move(tensor));
  }
  if (position != data.size()) {
    return Invalid(absl::StrCat("the tensors take ", position, " bytes, the file has ", data.size(), " bytes of data"));
  }
  return result;
}

std::string SafetensorsFile::Serialize() const {
  json header = json::object();
  header["__metadata__"] = metadata_;
  size_t position = 0;
  for (const auto& [name, tensor] : tensors_) {
    const size_t bytes = tensor.values.size() * ValueBytes(tensor.half);
    header[name] = {
        {"dtype", TypeName(tensor.half)}, {"shape", tensor.shape}, {"data_offsets", {position, position + bytes}}};
    position += bytes;
  }
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the floats lie on 8-byte boundaries of the file
  const uint64_t header_bytes = text.size();
  std::string file(reinterpret_cast<const char*>(&header_bytes), sizeof(header_bytes));
  file.reserve(8 + text.size() + position);
  file += text;
  for (const auto& [name, tensor] : tensors_) file += BytesOf(tensor);
  return file;
}

uint32_t SafetensorsFile::Checksum(std::string_view excluded_key) const {
  uint32_t crc = 0;
  for (const auto& [key, value] : metadata_) {
    if (key != excluded_key) crc = Crc32(absl::StrCat(key, "=", value, "\n"), crc);
  }
  for (const auto& [name, tensor] : tensors_) {
    crc = Crc32(absl::StrCat(name, ":", TypeName(tensor.half), ":[", absl::StrJoin(tensor.shape, ","), "]\n"), crc);
    crc = Crc32(BytesOf(tensor), crc);
  }
  return crc;
}

}  // namespace bebr
