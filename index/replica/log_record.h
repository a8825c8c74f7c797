// What a log's record says to a shard, byte by byte as FORMAT.md has it.
#ifndef BEBR_INDEX_REPLICA_LOG_RECORD_H_
#define BEBR_INDEX_REPLICA_LOG_RECORD_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/log/log.h"
#include "index/shard/mutation.h"

namespace bebr {

// Raised when a record holds what programs of today cannot apply.
inline constexpr uint8_t kLogRecordFormat = 1;

// A record as it was read, with what its mutations borrow.
struct LogRecordContents {
  uint64_t revision = 0;  // of the manifest by which its writer encoded
  std::vector<Mutation> mutations;

  std::string bytes;                        // the record's own
  std::deque<std::vector<uint32_t>> words;  // of codes, aligned
  std::deque<Attributes> attributes;
  std::deque<AttributeChange> changes;
  std::deque<std::string> names;
};

// The record of these mutations of one shard, in their order. INVALID_ARGUMENT if one of them expects a row: rows are a
// replica's own (Mutation::expected_floats says the same to all); or if something is longer than the format can say.
absl::StatusOr<std::string> EncodeLogRecord(uint64_t revision, absl::Span<const Mutation> mutations);
// DATA_LOSS if it is damaged, FAILED_PRECONDITION if it is of a later release: of another format or kind.
absl::StatusOr<std::shared_ptr<LogRecordContents>> DecodeLogRecord(std::string bytes);

// A place in the log as a store keeps it (index/storage/FORMAT.md), and back; none, which is empty, is the beginning.
std::string EncodePlace(const LogPlace& place);
absl::StatusOr<LogPlace> DecodePlace(std::string_view bytes);

}  // namespace bebr

#endif  // BEBR_INDEX_REPLICA_LOG_RECORD_H_
