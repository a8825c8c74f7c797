#include "index/log/postgres/values.h"

#include "index/base/big_endian.h"

namespace bebr::postgres {
namespace {

// PostgreSQL's numbers of these types, which never change (catalog/pg_type.dat).
constexpr uint32_t kByteaType = 17;
constexpr uint32_t kInt4Type = 23;

// An array of one dimension, without nulls, up to its elements.
std::string ArrayHeader(uint32_t type, size_t count) {
  std::string out;
  for (const uint64_t number : {uint64_t{1}, uint64_t{0}, uint64_t{type}, uint64_t{count}, uint64_t{1}}) {
    AppendBigEndian(number, 4, out);
  }
  return out;
}

}  // namespace

std::string BigInt(uint64_t value) {
  std::string out;
  AppendBigEndian(value, 8, out);
  return out;
}

std::string Boolean(bool value) { return std::string(1, value ? '\1' : '\0'); }

std::string Uuid(const AppendId& id) { return BigInt(id.high) + BigInt(id.low); }

std::string IntArray(absl::Span<const uint32_t> values) {
  std::string out = ArrayHeader(kInt4Type, values.size());
  for (const uint32_t value : values) {
    AppendBigEndian(sizeof(value), 4, out);
    AppendBigEndian(value, 4, out);
  }
  return out;
}

std::string ByteaArray(absl::Span<const LogRecord> records) {
  std::string out = ArrayHeader(kByteaType, records.size());
  size_t bytes = out.size();
  for (const LogRecord& record : records) bytes += 4 + record.bytes.size();
  out.reserve(bytes);
  for (const LogRecord& record : records) {
    AppendBigEndian(record.bytes.size(), 4, out);
    out.append(record.bytes);
  }
  return out;
}

int64_t ReadInt(std::string_view bytes) {
  uint64_t value = BigEndian(bytes);
  if (bytes.size() == 4) return static_cast<int32_t>(value);
  if (bytes.size() == 2) return static_cast<int16_t>(value);
  return static_cast<int64_t>(value);
}

AppendId ReadUuid(std::string_view bytes) { return {BigEndian(bytes.substr(0, 8)), BigEndian(bytes.substr(8))}; }

}  // namespace bebr::postgres
