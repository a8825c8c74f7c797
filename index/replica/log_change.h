// What the log of a cluster says: changes of documents, collections, versions and aliases, byte by byte as FORMAT.md
// has it.
#ifndef BEBR_INDEX_REPLICA_LOG_CHANGE_H_
#define BEBR_INDEX_REPLICA_LOG_CHANGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/types/collection.h"
#include "index/types/write.h"

namespace bebr {

// What a change does. The numbers are part of the format.
enum class LogChangeKind : uint8_t {
  kMutations = 0,  // `record`
  kDocuments = 1,  // `attributes`, or a deletion, of `ids` or of what satisfies `filter`
  kCreateCollection = 2,
  kDropCollection = 3,
  kAddVersion = 4,
  kPromoteVersion = 5,
  kRetireVersion = 6,
  kSetAlias = 7,
  kDeleteAlias = 8,
  kCompare = 9,    // nothing; replicas keep how the collection is there, to be compared
  kSnapshot = 10,  // nothing; replicas make a snapshot of the collection as it is there
  kRestore = 11,   // makes the collection, of `snapshot` of `target`
  kDropSnapshot = 12,
};

// One change. What a kind does not name is empty.
struct LogChange {
  LogChangeKind kind = LogChangeKind::kMutations;
  std::string name;    // of the collection, or the alias
  std::string record;  // of mutations: log_record.h

  std::vector<std::string> ids;
  std::string filter;
  std::optional<AttributeChange> attributes;

  CollectionConfig collection;  // its name is the change's
  VersionConfig version;        // of versions; its name alone where it exists
  std::string model;            // the file
  bool force = false;
  std::string target;                   // the collection of an alias, or that a snapshot is of
  std::optional<std::string> expected;  // collection of an alias, default version
  std::string snapshot;                 // its name
  int64_t created_unix_us = 0;          // of one that is to be made
  uint64_t snapshot_position = 0;       // after which it was made, of one that there is
};

// INVALID_ARGUMENT if a name, an id or a list of them is longer than the format can say.
absl::StatusOr<std::string> EncodeLogChange(const LogChange& change);
// Whether every replica of this release can read it again, the record of mutations too: asked before the log has it,
// since what nobody can read would stop them all.
absl::Status CheckEncodedChange(std::string_view encoded_change);
// The revision by which mutations were encoded, of an encoded change of that kind. DATA_LOSS if it is none.
absl::StatusOr<uint64_t> RevisionOf(std::string_view encoded_change);
// The record that some changes, which were encoded, are together.
std::string JoinLogChanges(absl::Span<const std::string> changes);
// Whether a record is as it was written, whatever it says.
bool HasItsChecksum(std::string_view record);
// DATA_LOSS if it is damaged, FAILED_PRECONDITION if it is of a later release.
absl::StatusOr<std::vector<LogChange>> DecodeLogChanges(std::string_view record);

}  // namespace bebr

#endif  // BEBR_INDEX_REPLICA_LOG_CHANGE_H_
