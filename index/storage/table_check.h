// Whether the files of a store are whole, without opening it for use.
#ifndef BEBR_INDEX_STORAGE_TABLE_CHECK_H_
#define BEBR_INDEX_STORAGE_TABLE_CHECK_H_

#include <rocksdb/status.h>

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace bebr {

// Reads every block of a table file in a store's directory, from the disk itself, and compares its checksum. DATA_LOSS,
// with its path, if it is damaged or missing; UNAVAILABLE if it cannot be read. What fails is read once more after a
// moment, and only what that finds is told: one error of the disk is no damage.
absl::Status CheckTable(const std::string& directory, const std::string& name);

// What that finds of all table files (*.sst) in the directory; needs neither the MANIFEST nor an open database.
std::vector<absl::Status> CheckTables(const std::string& directory);

// FromRocksDb of what opening the database in a directory returned. RocksDB blames the MANIFEST for every table file
// that it names and that is missing or damaged: here the file itself is named.
absl::Status WithDamagedFile(const rocksdb::Status& status, const std::string& path);

// DATA_LOSS for each damage of the store in a directory, which nobody may have open: logs, MANIFEST and tables, read
// whole. Writes nothing.
std::vector<absl::Status> VerifyStore(const std::string& directory);

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_TABLE_CHECK_H_
