#include "index/replica/log_change.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/replica/log_bytes.h"
#include "index/replica/log_record.h"

namespace bebr {
namespace {

using log_bytes::BodyOf;
using log_bytes::Damaged;
using log_bytes::kChangesRecord;
using log_bytes::ReadChange;
using log_bytes::Reader;
using log_bytes::WithChecksum;
using log_bytes::WriteChange;
using log_bytes::Writer;

constexpr uint8_t kLastKind = static_cast<uint8_t>(LogChangeKind::kDropSnapshot);

// A text that may be missing.
void WriteOptional(const std::optional<std::string>& text, Writer& writer) {
  writer.Number(static_cast<uint8_t>(text.has_value()));
  writer.Text<uint16_t>(text.value_or(""));
}

std::optional<std::string> ReadOptional(Reader& reader) {
  const bool has = reader.Number<uint8_t>() != 0;
  std::string text(reader.Text<uint16_t>());
  return has ? std::optional<std::string>(std::move(text)) : std::nullopt;
}

void WriteCollection(const CollectionConfig& config, Writer& writer) {
  writer.Text<uint16_t>(config.version);
  writer.Number(static_cast<uint8_t>(config.store_floats));
  writer.Number(config.shards);
  writer.Number(config.expected_documents);
  writer.Number(config.default_rerank);
  writer.Number(static_cast<uint32_t>(config.attributes.size()));
  for (const auto& [name, rule] : config.attributes) {
    writer.Text<uint16_t>(name);
    writer.Number(static_cast<uint8_t>(rule.kind));
    writer.Number(static_cast<uint8_t>(rule.storage));
  }
}

absl::Status ReadCollection(Reader& reader, CollectionConfig& config) {
  config.version = reader.Text<uint16_t>();
  const auto floats = reader.Number<uint8_t>();
  if (floats > static_cast<uint8_t>(FloatStorage::kFloat32)) return Damaged("floats are stored in no way there is");
  config.store_floats = static_cast<FloatStorage>(floats);
  config.shards = reader.Number<uint32_t>();
  config.expected_documents = reader.Number<uint64_t>();
  config.default_rerank = reader.Number<uint32_t>();
  const auto rules = reader.Number<uint32_t>();
  for (uint32_t i = 0; i < rules && reader.ok(); ++i) {
    AttributeRule& rule = config.attributes[std::string(reader.Text<uint16_t>())];
    const auto kind = reader.Number<uint8_t>(), storage = reader.Number<uint8_t>();
    if (kind > static_cast<uint8_t>(AttributeKind::kTimestamp) ||
        storage > static_cast<uint8_t>(AttributeStorage::kStored)) {
      return Damaged("an attribute is of no kind that there is");
    }
    rule = {static_cast<AttributeKind>(kind), static_cast<AttributeStorage>(storage)};
  }
  return absl::OkStatus();
}

void WriteDocuments(const LogChange& change, Writer& writer) {
  writer.Number(static_cast<uint32_t>(change.ids.size()));
  for (const std::string& id : change.ids) writer.Text<uint16_t>(id);
  writer.Text<uint32_t>(change.filter);
  writer.Number(static_cast<uint8_t>(change.attributes.has_value()));
  if (change.attributes.has_value()) WriteChange(*change.attributes, writer);
}

absl::Status ReadDocuments(Reader& reader, LogChange& change) {
  const auto ids = reader.Number<uint32_t>();
  for (uint32_t i = 0; i < ids && reader.ok(); ++i) change.ids.emplace_back(reader.Text<uint16_t>());
  change.filter = reader.Text<uint32_t>();
  if (reader.Number<uint8_t>() == 0) return absl::OkStatus();
  BEBR_ASSIGN_OR_RETURN(change.attributes, ReadChange(reader));
  return absl::OkStatus();
}

void WriteVersion(const LogChange& change, Writer& writer) {
  writer.Text<uint16_t>(change.version.name);
  writer.Text<uint16_t>(change.version.compatible_with);
  writer.Text<uint16_t>(change.version.same_embeddings_as);
  WriteOptional(change.expected, writer);
  writer.Number(static_cast<uint8_t>(change.force));
}

void ReadVersion(Reader& reader, LogChange& change) {
  change.version.name = reader.Text<uint16_t>();
  change.version.compatible_with = reader.Text<uint16_t>();
  change.version.same_embeddings_as = reader.Text<uint16_t>();
  change.expected = ReadOptional(reader);
  change.force = reader.Number<uint8_t>() != 0;
}

void WriteSnapshot(const LogChange& change, Writer& writer) {
  if (change.kind == LogChangeKind::kRestore) writer.Text<uint16_t>(change.target);
  writer.Text<uint16_t>(change.snapshot);
  if (change.kind == LogChangeKind::kSnapshot) return writer.Number(change.created_unix_us);
  writer.Number(change.snapshot_position);
}

void ReadSnapshot(Reader& reader, LogChange& change) {
  if (change.kind == LogChangeKind::kRestore) change.target = reader.Text<uint16_t>();
  change.snapshot = reader.Text<uint16_t>();
  if (change.kind == LogChangeKind::kSnapshot) {
    change.created_unix_us = reader.Number<int64_t>();
  } else {
    change.snapshot_position = reader.Number<uint64_t>();
  }
}

absl::Status ReadBody(Reader& reader, LogChange& change) {
  switch (change.kind) {
    case LogChangeKind::kMutations:
      change.record = reader.Text<uint32_t>();
      return absl::OkStatus();
    case LogChangeKind::kDocuments:
      return ReadDocuments(reader, change);
    case LogChangeKind::kCreateCollection:
      BEBR_RETURN_IF_ERROR(ReadCollection(reader, change.collection));
      change.collection.name = change.name;
      change.model = reader.Text<uint32_t>();
      return absl::OkStatus();
    case LogChangeKind::kAddVersion:
      ReadVersion(reader, change);
      change.model = reader.Text<uint32_t>();
      return absl::OkStatus();
    case LogChangeKind::kPromoteVersion:
    case LogChangeKind::kRetireVersion:
      ReadVersion(reader, change);
      return absl::OkStatus();
    case LogChangeKind::kSetAlias:
      change.target = reader.Text<uint16_t>();
      change.expected = ReadOptional(reader);
      return absl::OkStatus();
    case LogChangeKind::kSnapshot:
    case LogChangeKind::kRestore:
    case LogChangeKind::kDropSnapshot:
      ReadSnapshot(reader, change);
      return absl::OkStatus();
    case LogChangeKind::kDropCollection:
    case LogChangeKind::kDeleteAlias:
    case LogChangeKind::kCompare:
      return absl::OkStatus();
  }
  return Damaged("a change is of no kind that there is");
}

absl::Status ReadOne(Reader& reader, LogChange& change) {
  const auto kind = reader.Number<uint8_t>();
  if (kind > kLastKind) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "a change in the log is of kind %d; this server knows those up to %d: upgrade it", kind, kLastKind));
  }
  change.kind = static_cast<LogChangeKind>(kind);
  change.name = reader.Text<uint16_t>();
  return ReadBody(reader, change);
}

}  // namespace

absl::StatusOr<std::string> EncodeLogChange(const LogChange& change) {
  Writer writer;
  writer.Number(static_cast<uint8_t>(change.kind));
  writer.Text<uint16_t>(change.name);
  switch (change.kind) {
    case LogChangeKind::kMutations:
      writer.Text<uint32_t>(change.record);
      break;
    case LogChangeKind::kDocuments:
      WriteDocuments(change, writer);
      break;
    case LogChangeKind::kCreateCollection:
      WriteCollection(change.collection, writer);
      writer.Text<uint32_t>(change.model);
      break;
    case LogChangeKind::kAddVersion:
      WriteVersion(change, writer);
      writer.Text<uint32_t>(change.model);
      break;
    case LogChangeKind::kPromoteVersion:
    case LogChangeKind::kRetireVersion:
      WriteVersion(change, writer);
      break;
    case LogChangeKind::kSetAlias:
      writer.Text<uint16_t>(change.target);
      WriteOptional(change.expected, writer);
      break;
    case LogChangeKind::kSnapshot:
    case LogChangeKind::kRestore:
    case LogChangeKind::kDropSnapshot:
      WriteSnapshot(change, writer);
      break;
    case LogChangeKind::kDropCollection:
    case LogChangeKind::kDeleteAlias:
    case LogChangeKind::kCompare:
      break;
  }
  BEBR_RETURN_IF_ERROR(writer.status());
  return std::move(writer.out());
}

absl::Status CheckEncodedChange(std::string_view encoded_change) {
  Reader reader(encoded_change);
  LogChange change;
  BEBR_RETURN_IF_ERROR(ReadOne(reader, change));
  if (!reader.AtEnd()) return Damaged(reader.ok() ? "it goes on too long" : "it ends early");
  if (change.kind != LogChangeKind::kMutations) return absl::OkStatus();
  return DecodeLogRecord(std::move(change.record)).status();
}

bool HasItsChecksum(std::string_view record) { return BodyOf(record, kLogRecordFormat, kChangesRecord).ok(); }

absl::StatusOr<uint64_t> RevisionOf(std::string_view encoded_change) {
  Reader reader(encoded_change);
  const auto kind = static_cast<LogChangeKind>(reader.Number<uint8_t>());
  reader.Text<uint16_t>();
  Reader record(reader.Text<uint32_t>());
  record.Number<uint16_t>();  // format and kind
  const auto revision = record.Number<uint64_t>();
  if (kind != LogChangeKind::kMutations || !reader.AtEnd() || !record.ok()) return Damaged("a change is no mutations");
  return revision;
}

std::string JoinLogChanges(absl::Span<const std::string> changes) {
  Writer writer;
  writer.Number(kLogRecordFormat);
  writer.Number(kChangesRecord);
  writer.Number(static_cast<uint32_t>(changes.size()));
  for (const std::string& change : changes) writer.out().append(change);
  return WithChecksum(std::move(writer.out()));
}

absl::StatusOr<std::vector<LogChange>> DecodeLogChanges(std::string_view record) {
  BEBR_ASSIGN_OR_RETURN(Reader reader, BodyOf(record, kLogRecordFormat, kChangesRecord));
  std::vector<LogChange> changes;
  const auto count = reader.Number<uint32_t>();
  for (uint32_t i = 0; i < count && reader.ok(); ++i) BEBR_RETURN_IF_ERROR(ReadOne(reader, changes.emplace_back()));
  if (!reader.AtEnd()) return Damaged(reader.ok() ? "it goes on too long" : "it ends early");
  return changes;
}

}  // namespace bebr
