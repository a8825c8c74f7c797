#include "index/replica/log_record.h"

#include <limits>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/replica/log_bytes.h"
#include "index/storage/format.h"

namespace bebr {
namespace {

using log_bytes::BodyOf;
using log_bytes::Damaged;
using log_bytes::kMutationsRecord;
using log_bytes::ReadChange;
using log_bytes::Reader;
using log_bytes::WithChecksum;
using log_bytes::WriteChange;
using log_bytes::Writer;

// Kinds of mutations and what goes with them, as FORMAT.md numbers them.
constexpr uint8_t kLastKind = static_cast<uint8_t>(MutationKind::kDelete);
static_assert(static_cast<int>(MutationKind::kReplaceAll) == 0 && static_cast<int>(MutationKind::kReplace) == 1 &&
                  static_cast<int>(MutationKind::kMerge) == 2 && static_cast<int>(MutationKind::kUpdate) == 3 &&
                  static_cast<int>(MutationKind::kDelete) == 4,
              "the format's numbers");
constexpr uint8_t kOnlyIfAbsent = 1;
constexpr uint8_t kNewerBy = 2;
constexpr uint8_t kExpectsFloats = 4;
constexpr uint8_t kAllFlags = kOnlyIfAbsent | kNewerBy | kExpectsFloats;

bool HasAttributes(MutationKind kind) { return kind == MutationKind::kReplaceAll || kind == MutationKind::kReplace; }

void WriteCodes(const Mutation& mutation, Writer& writer) {
  std::string code_bytes;
  writer.Count<uint16_t>(mutation.codes.size());
  for (const RowCode& code : mutation.codes) {
    writer.Number(code.space);
    EncodeCode({code.version, code.factors.scale, code.factors.offset, code.words, code.factors.group}, &code_bytes);
    writer.Text<uint32_t>(code_bytes);
  }
  writer.Count<uint16_t>(mutation.floats.size());
  for (const Mutation::Floats& floats : mutation.floats) {
    writer.Number(floats.embedding);
    writer.Text<uint32_t>(floats.bytes);
  }
}

absl::Status ReadCodes(Reader& reader, LogRecordContents& record, Mutation& mutation) {
  const auto codes = reader.Number<uint16_t>();
  for (uint16_t i = 0; i < codes && reader.ok(); ++i) {
    const auto space = reader.Number<uint32_t>();
    const std::string_view bytes = reader.Text<uint32_t>();
    if (!reader.ok()) break;
    std::string buffer;
    BEBR_ASSIGN_OR_RETURN(const StoredCode code, DecodeCode(bytes, &buffer));
    if (code.version > std::numeric_limits<uint8_t>::max()) return Damaged("a code is of no version that there can be");
    const std::vector<uint32_t>& words = record.words.emplace_back(code.words.begin(), code.words.end());
    mutation.codes.push_back({space, static_cast<uint8_t>(code.version), {code.scale, code.offset, code.group}, words});
  }
  const auto floats = reader.Number<uint16_t>();
  for (uint16_t i = 0; i < floats && reader.ok(); ++i) {
    const auto embedding = reader.Number<uint32_t>();
    mutation.floats.push_back({embedding, reader.Text<uint32_t>()});
  }
  return reader.ok() ? absl::OkStatus() : Damaged("it ends early");
}

void WriteMutation(const Mutation& mutation, Writer& writer) {
  writer.Number(static_cast<uint8_t>(mutation.kind));
  writer.Number(static_cast<uint8_t>((mutation.only_if_absent ? kOnlyIfAbsent : 0) |
                                     (mutation.newer_by != nullptr ? kNewerBy : 0) |
                                     (mutation.expected_floats.has_value() ? kExpectsFloats : 0)));
  writer.Text<uint16_t>(mutation.id);
  if (mutation.newer_by != nullptr) writer.Text<uint16_t>(*mutation.newer_by);
  if (mutation.expected_floats.has_value()) {
    writer.Number(mutation.expected_floats->embedding);
    writer.Number(mutation.expected_floats->crc32c);
  }
  if (HasAttributes(mutation.kind)) writer.AttributesOf(*mutation.attributes);
  if (mutation.kind == MutationKind::kUpdate) WriteChange(*mutation.change, writer);
  WriteCodes(mutation, writer);
}

absl::Status ReadMutation(Reader& reader, LogRecordContents& record) {
  Mutation& mutation = record.mutations.emplace_back();
  const auto kind = reader.Number<uint8_t>();
  const auto flags = reader.Number<uint8_t>();
  if (kind > kLastKind || (flags & ~kAllFlags) != 0) return Damaged("a mutation is of no kind that there is");
  mutation.kind = static_cast<MutationKind>(kind);
  mutation.id = reader.Text<uint16_t>();
  if (!reader.ok() || mutation.id.empty() || mutation.id.size() > kMaxIdBytes) return Damaged("an id is none");
  mutation.only_if_absent = (flags & kOnlyIfAbsent) != 0;
  if ((flags & kNewerBy) != 0) mutation.newer_by = &record.names.emplace_back(reader.Text<uint16_t>());
  if ((flags & kExpectsFloats) != 0) {
    Mutation::FloatsCheck expected;
    expected.embedding = reader.Number<uint32_t>();
    expected.crc32c = reader.Number<uint32_t>();
    mutation.expected_floats = expected;
  }
  // What the conditions are of.
  if (!HasAttributes(mutation.kind) && (flags & (kOnlyIfAbsent | kNewerBy)) != 0)
    return Damaged("a condition of no replace");
  if (mutation.kind != MutationKind::kMerge && (flags & kExpectsFloats) != 0) return Damaged("floats of no merge");
  if (HasAttributes(mutation.kind)) {
    const std::string_view bytes = reader.Text<uint32_t>();
    if (!reader.ok()) return Damaged("it ends early");
    BEBR_ASSIGN_OR_RETURN(Attributes attributes, DecodeAttributes(bytes));
    mutation.attributes = &record.attributes.emplace_back(std::move(attributes));
  }
  if (mutation.kind == MutationKind::kUpdate) {
    BEBR_ASSIGN_OR_RETURN(AttributeChange change, ReadChange(reader));
    mutation.change = &record.changes.emplace_back(std::move(change));
  }
  return ReadCodes(reader, record, mutation);
}

}  // namespace

absl::StatusOr<std::string> EncodeLogRecord(uint64_t revision, absl::Span<const Mutation> mutations) {
  Writer writer;
  writer.Number(kLogRecordFormat);
  writer.Number(kMutationsRecord);
  writer.Number(revision);
  writer.Count<uint32_t>(mutations.size());
  for (const Mutation& mutation : mutations) {
    if (mutation.expected_segment != nullptr) {
      return absl::InvalidArgumentError(
          absl::StrFormat("a mutation of document \"%s\" expects a row, which a log cannot say", mutation.id));
    }
    WriteMutation(mutation, writer);
  }
  BEBR_RETURN_IF_ERROR(writer.status());
  return WithChecksum(std::move(writer.out()));
}

absl::StatusOr<std::shared_ptr<LogRecordContents>> DecodeLogRecord(std::string bytes) {
  auto contents = std::make_shared<LogRecordContents>();
  LogRecordContents& record = *contents;
  record.bytes = std::move(bytes);
  BEBR_ASSIGN_OR_RETURN(Reader reader, BodyOf(record.bytes, kLogRecordFormat, kMutationsRecord));
  record.revision = reader.Number<uint64_t>();
  const auto count = reader.Number<uint32_t>();
  for (uint32_t i = 0; i < count && reader.ok(); ++i) BEBR_RETURN_IF_ERROR(ReadMutation(reader, record));
  if (!reader.AtEnd()) return Damaged(reader.ok() ? "it goes on too long" : "it ends early");
  return contents;
}

std::string EncodePlace(const LogPlace& place) {
  Writer writer;
  writer.Number(place.position);
  writer.Number(place.append.high);
  writer.Number(place.append.low);
  return std::move(writer.out());
}

absl::StatusOr<LogPlace> DecodePlace(std::string_view bytes) {
  if (bytes.empty()) return LogPlace();
  Reader reader(bytes);
  LogPlace place;
  place.position = reader.Number<uint64_t>();
  place.append.high = reader.Number<uint64_t>();
  place.append.low = reader.Number<uint64_t>();
  if (reader.AtEnd()) return place;
  return absl::DataLossError(
      absl::StrFormat("a store's place in the log has %d bytes, which is no place's length", bytes.size()));
}

}  // namespace bebr
