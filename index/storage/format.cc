#include "index/storage/format.h"

#include <bit>
#include <cstring>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/big_endian.h"
#include "index/base/float16.h"

static_assert(std::endian::native == std::endian::little, "values are copied as they lie in memory");

namespace bebr {
namespace {

constexpr size_t kNumberBytes = 4;
constexpr size_t kShardBytes = 2;
constexpr size_t kCodeHeaderBytes = 12;

template <typename T>
void Append(std::string* out, T value) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

template <typename T>
bool Take(std::string_view* in, T* value) {
  if (in->size() < sizeof(T)) return false;
  std::memcpy(value, in->data(), sizeof(T));
  in->remove_prefix(sizeof(T));
  return true;
}

bool TakeBytes(std::string_view* in, size_t count, std::string_view* bytes) {
  if (in->size() < count) return false;
  *bytes = in->substr(0, count);
  in->remove_prefix(count);
  return true;
}

constexpr uint8_t kListType = 5;

bool TakeScalar(std::string_view* in, uint8_t type, AttributeScalar* value) {
  switch (type) {
    case 0: {
      uint32_t length;
      std::string_view text;
      if (!Take(in, &length) || !TakeBytes(in, length, &text)) return false;
      *value = std::string(text);
      return true;
    }
    case 1:
      return Take(in, &value->emplace<int64_t>());
    case 2:
      return Take(in, &value->emplace<double>());
    case 3: {
      uint8_t flag;
      if (!Take(in, &flag)) return false;
      *value = flag != 0;
      return true;
    }
    case 4:
      return Take(in, &value->emplace<Timestamp>().unix_us);
    default:
      return false;
  }
}

bool TakeValue(std::string_view* in, AttributeValue* value) {
  uint8_t type;
  if (!Take(in, &type)) return false;
  if (type != kListType) {
    AttributeScalar scalar;
    if (!TakeScalar(in, type, &scalar)) return false;
    *value = ToValue(std::move(scalar));
    return true;
  }
  uint32_t count;
  if (!Take(in, &count) || count > in->size()) return false;  // a value takes two bytes at least
  AttributeList list(count);
  for (AttributeScalar& scalar : list) {
    if (!Take(in, &type) || !TakeScalar(in, type, &scalar)) return false;
  }
  *value = std::move(list);
  return true;
}

void AppendScalar(const AttributeScalar& value, std::string* out) {
  Append(out, static_cast<uint8_t>(value.index()));
  if (const auto* text = std::get_if<std::string>(&value)) {
    Append(out, static_cast<uint32_t>(text->size()));
    out->append(*text);
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    Append(out, *integer);
  } else if (const auto* number = std::get_if<double>(&value)) {
    Append(out, *number);
  } else if (const auto* time = std::get_if<Timestamp>(&value)) {
    Append(out, time->unix_us);
  } else {
    Append(out, static_cast<uint8_t>(std::get<bool>(value)));
  }
}

}  // namespace

std::string DocumentKey(uint32_t shard, std::string_view id) {
  std::string key;
  key.reserve(kShardBytes + id.size());
  AppendBigEndian(shard, kShardBytes, key);
  key.append(id);
  return key;
}

std::string NumberedKey(uint32_t number, uint32_t shard, std::string_view id) {
  std::string key;
  key.reserve(kNumberBytes + kShardBytes + id.size());
  AppendBigEndian(number, kNumberBytes, key);
  AppendBigEndian(shard, kShardBytes, key);
  key.append(id);
  return key;
}

std::string NumberPrefix(uint32_t number) {
  std::string key;
  AppendBigEndian(number, kNumberBytes, key);
  return key;
}

std::optional<DocumentKeyParts> SplitDocumentKey(std::string_view key) {
  if (key.size() < kShardBytes) return std::nullopt;
  return DocumentKeyParts{static_cast<uint32_t>(BigEndian(key.substr(0, kShardBytes))), key.substr(kShardBytes)};
}

std::optional<NumberedKeyParts> SplitNumberedKey(std::string_view key) {
  if (key.size() < kNumberBytes) return std::nullopt;
  const auto document = SplitDocumentKey(key.substr(kNumberBytes));
  if (!document.has_value()) return std::nullopt;
  return NumberedKeyParts{static_cast<uint32_t>(BigEndian(key.substr(0, kNumberBytes))), *document};
}

void EncodeCode(const StoredCode& code, std::string* out) {
  out->clear();
  Append(out, static_cast<uint16_t>(code.version));
  Append(out, static_cast<uint16_t>(code.group));
  Append(out, code.scale);
  Append(out, code.offset);
  out->append(reinterpret_cast<const char*>(code.words.data()), code.words.size() * sizeof(uint32_t));
}

absl::StatusOr<StoredCode> DecodeCode(std::string_view bytes, std::string* buffer) {
  if (bytes.size() < kCodeHeaderBytes || bytes.size() % sizeof(uint32_t) != 0) {
    return absl::DataLossError(absl::StrFormat("a stored code has %d bytes, which is no code's length", bytes.size()));
  }
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(uint32_t) != 0) {
    buffer->assign(bytes);
    bytes = *buffer;
  }
  StoredCode code;
  std::string_view rest = bytes;
  uint16_t version = 0, group = 0;
  Take(&rest, &version);
  Take(&rest, &group);
  code.version = version;
  code.group = group;
  Take(&rest, &code.scale);
  Take(&rest, &code.offset);
  code.words = absl::MakeConstSpan(reinterpret_cast<const uint32_t*>(rest.data()), rest.size() / sizeof(uint32_t));
  return code;
}

absl::Status ReadStoredFloats(FloatStorage storage, std::string_view bytes, absl::Span<float> values) {
  const size_t expected = values.size() * (storage == FloatStorage::kFloat16 ? sizeof(uint16_t) : sizeof(float));
  if (bytes.size() != expected) {
    return absl::DataLossError(
        absl::StrFormat("a stored embedding has %d bytes; %d were expected", bytes.size(), expected));
  }
  if (values.empty()) return absl::OkStatus();  // memcpy takes no null pointers
  if (storage == FloatStorage::kFloat16) {
    std::vector<uint16_t> halves(values.size());
    std::memcpy(halves.data(), bytes.data(), bytes.size());
    HalfToFloat(halves.data(), halves.size(), values.data());
  } else {
    std::memcpy(values.data(), bytes.data(), bytes.size());
  }
  return absl::OkStatus();
}

std::string EncodeAttributes(const Attributes& attributes) {
  std::string out;
  Append(&out, static_cast<uint32_t>(attributes.size()));
  for (const auto& [name, value] : attributes) {
    Append(&out, static_cast<uint16_t>(name.size()));
    out.append(name);
    const auto* list = std::get_if<AttributeList>(&value);
    if (list == nullptr) {
      AppendScalar(ToScalar(value), &out);
      continue;
    }
    Append(&out, kListType);
    Append(&out, static_cast<uint32_t>(list->size()));
    for (const AttributeScalar& scalar : *list) AppendScalar(scalar, &out);
  }
  return out;
}

uint32_t FormatOf(const Attributes& attributes) {
  for (const auto& [name, value] : attributes) {
    if (std::holds_alternative<Timestamp>(value) || std::holds_alternative<AttributeList>(value)) {
      return kNewestStoreFormat;
    }
  }
  return kStoreFormatVersion;
}

absl::StatusOr<Attributes> DecodeAttributes(std::string_view bytes) {
  const auto corrupt = [] {
    return absl::DataLossError("stored attributes end early, go on too long or hold an unknown type");
  };
  Attributes attributes;
  uint32_t count;
  if (!Take(&bytes, &count)) return corrupt();
  for (uint32_t i = 0; i < count; ++i) {
    uint16_t length;
    std::string_view name;
    AttributeValue value;
    if (!Take(&bytes, &length) || !TakeBytes(&bytes, length, &name) || !TakeValue(&bytes, &value)) return corrupt();
    attributes.emplace(name, std::move(value));
  }
  if (!bytes.empty()) return corrupt();
  return attributes;
}

}  // namespace bebr
