// Whether a log is whole.
#ifndef BEBR_INDEX_STORAGE_LOG_SCAN_H_
#define BEBR_INDEX_STORAGE_LOG_SCAN_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace bebr {

// What a file in RocksDB's log format (a write-ahead log or a MANIFEST) holds: blocks of 32 KiB, and in them pieces of
// records, each with its CRC-32C, length and type.
struct LogScan {
  uint64_t size = 0;         // of the file
  uint64_t whole_bytes = 0;  // at its beginning that are whole records
  // Whether a record begins after the first byte that is in no whole record. Each record of a write-ahead log is synced
  // before the next one begins, so in a log that a crash or a power cut has ended nothing follows.
  bool record_follows = false;

  bool whole() const { return whole_bytes == size; }
};

// Reads the file once. An error only where it cannot be read. Costs a pass over the file; one over what follows damage
// may be slower, by some gigabytes checked for each.
absl::StatusOr<LogScan> ScanLog(const std::string& path);

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_LOG_SCAN_H_
