#include "index/replica/log_bytes.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/checksum.h"
#include "index/base/status_macros.h"
#include "index/storage/format.h"

namespace bebr::log_bytes {

absl::Status Damaged(std::string_view what) {
  return absl::DataLossError(absl::StrFormat("a record of the log is damaged: %s", what));
}

void Writer::TooLong(size_t length, size_t limit) {
  status_.Update(absl::InvalidArgumentError(
      absl::StrFormat("a name, an id or a list of them has length %d; the log takes %d at most", length, limit)));
}

void Writer::AttributesOf(const Attributes& attributes) {
  constexpr size_t kLimit = std::numeric_limits<uint16_t>::max();  // index/storage/FORMAT.md
  for (const auto& [name, value] : attributes) {
    if (name.size() > kLimit) TooLong(name.size(), kLimit);
  }
  Text<uint32_t>(EncodeAttributes(attributes));
}

std::string WithChecksum(std::string body) {
  Writer checksum;
  checksum.Number(Crc32c(body));
  return std::move(body.append(checksum.out()));
}

absl::StatusOr<Reader> BodyOf(std::string_view record, uint8_t format, uint8_t kind) {
  if (record.size() < sizeof(uint32_t)) return Damaged("it ends early");
  const std::string_view body = record.substr(0, record.size() - sizeof(uint32_t));
  if (Reader(record.substr(body.size())).Number<uint32_t>() != Crc32c(body)) {
    return Damaged("its checksum is another one");
  }
  Reader reader(body);
  const auto its_format = reader.Number<uint8_t>();
  const auto its_kind = reader.Number<uint8_t>();
  if (reader.ok() && (its_format != format || its_kind != kind)) {
    return absl::FailedPreconditionError(
        absl::StrFormat("a record of the log has format %d and kind %d; this server applies format %d and kind %d "
                        "there: upgrade it",
                        its_format, its_kind, format, kind));
  }
  return reader;
}

void WriteChange(const AttributeChange& change, Writer& writer) {
  writer.Number(static_cast<uint8_t>(change.clear));
  writer.Count<uint16_t>(change.remove.size());
  for (const std::string& name : change.remove) writer.Text<uint16_t>(name);
  writer.AttributesOf(change.set);
}

absl::StatusOr<AttributeChange> ReadChange(Reader& reader) {
  AttributeChange change;
  const auto clear = reader.Number<uint8_t>();
  if (clear > 1) return Damaged("a flag is neither 0 nor 1");
  change.clear = clear == 1;
  const auto removed = reader.Number<uint16_t>();
  for (uint16_t i = 0; i < removed && reader.ok(); ++i) change.remove.emplace_back(reader.Text<uint16_t>());
  const std::string_view set = reader.Text<uint32_t>();
  if (!reader.ok()) return Damaged("it ends early");
  BEBR_ASSIGN_OR_RETURN(change.set, DecodeAttributes(set));
  return change;
}

}  // namespace bebr::log_bytes
