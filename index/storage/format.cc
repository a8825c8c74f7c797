#include "index/storage/format.h"

#include <bit>
#include <cstring>
#include <vector>

#include "absl/strings/str_format.h"
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

bool TakeValue(std::string_view* in, AttributeValue* value) {
  uint8_t type;
  if (!Take(in, &type)) return false;
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
    default:
      return false;
  }
}

void AppendBigEndian(uint32_t number, size_t bytes, std::string& key) {
  for (size_t i = bytes; i-- > 0;) key.push_back(static_cast<char>(number >> (8 * i)));
}

uint32_t BigEndian(std::string_view bytes) {
  uint32_t number = 0;
  for (const char byte : bytes) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
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
  return DocumentKeyParts{BigEndian(key.substr(0, kShardBytes)), key.substr(kShardBytes)};
}

std::optional<NumberedKeyParts> SplitNumberedKey(std::string_view key) {
  if (key.size() < kNumberBytes) return std::nullopt;
  const auto document = SplitDocumentKey(key.substr(kNumberBytes));
  if (!document.has_value()) return std::nullopt;
  return NumberedKeyParts{BigEndian(key.substr(0, kNumberBytes)), *document};
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
    Append(&out, static_cast<uint8_t>(value.index()));
    if (const auto* text = std::get_if<std::string>(&value)) {
      Append(&out, static_cast<uint32_t>(text->size()));
      out.append(*text);
    } else if (const auto* integer = std::get_if<int64_t>(&value)) {
      Append(&out, *integer);
    } else if (const auto* number = std::get_if<double>(&value)) {
      Append(&out, *number);
    } else {
      Append(&out, static_cast<uint8_t>(std::get<bool>(value)));
    }
  }
  return out;
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
