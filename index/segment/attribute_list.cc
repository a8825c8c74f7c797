#include "index/segment/attribute_list.h"

#include <algorithm>
#include <vector>

namespace bebr {
namespace {

template <typename T>
std::string Bytes(char type, T value) {
  std::string packed(1 + sizeof(value), type);
  std::memcpy(packed.data() + 1, &value, sizeof(value));
  return packed;
}

template <typename T>
T ValueOf(std::string_view packed) {
  T value{};
  std::memcpy(&value, packed.data() + 1, std::min(sizeof(value), packed.size() - 1));
  return value;
}

}  // namespace

std::string PackScalar(const AttributeScalar& value) {
  const auto type = static_cast<char>(value.index());
  if (const auto* text = std::get_if<std::string>(&value)) return std::string(1, type) + *text;
  if (const auto* integer = std::get_if<int64_t>(&value)) return Bytes(type, *integer);
  if (const auto* number = std::get_if<double>(&value)) return Bytes(type, *number + 0.0);  // one zero
  if (const auto* time = std::get_if<Timestamp>(&value)) return Bytes(type, time->unix_us);
  return Bytes(type, static_cast<uint8_t>(std::get<bool>(value)));
}

AttributeScalar UnpackScalar(std::string_view packed) {
  switch (packed.front()) {
    case 1:
      return ValueOf<int64_t>(packed);
    case 2:
      return ValueOf<double>(packed);
    case 3:
      return ValueOf<uint8_t>(packed) != 0;
    case 4:
      return Timestamp{ValueOf<int64_t>(packed)};
    default:
      return std::string(packed.substr(1));
  }
}

std::string PackList(const AttributeList& list) {
  std::vector<std::string> values;
  values.reserve(list.size());
  for (const AttributeScalar& value : list) values.push_back(PackScalar(value));
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  std::string packed(1, '\xFF');
  for (const std::string& value : values) {
    const auto size = static_cast<uint16_t>(value.size());
    packed.append(reinterpret_cast<const char*>(&size), sizeof(size));
    packed += value;
  }
  return packed;
}

}  // namespace bebr
