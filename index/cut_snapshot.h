// A share of a server's snapshot, for a cluster.
#ifndef BEBR_INDEX_CUT_SNAPSHOT_H_
#define BEBR_INDEX_CUT_SNAPSHOT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "index/types/collection.h"

namespace bebr {

// Which snapshot, of a server by itself, and what of it.
struct SnapshotCut {
  std::string data_dir, snapshot_dir;  // of the server; an empty snapshot_dir is data_dir/snapshots
  std::string collection, snapshot;
  uint32_t first_slot = 0, last_slot = 0;  // both included; the slots that a document is in: index/types/cluster.h
  std::string into;                        // directory of snapshots, which no server has
  uint64_t position = 0;                   // of the cluster's snapshot; 0: the time of the server's
};

// Makes INTO/COLLECTION/SNAPSHOT, a cluster's snapshot of these slots' documents: so that the cuts of all shares of a
// cluster are one snapshot, which it restores. Their position, which tells them from others of the name, is the time of
// the snapshot that they are cut from; where that is another server's for each share, which has the documents of these
// slots, it is said. The snapshot is compared with its checksums and stays as it is. Cost: large files are
// hard links where `into` is on the same file system; all codes are read into memory, and what is in other slots is
// deleted, whose room on disk comes back when RocksDB rewrites it, in the cluster.
//
// Errors: INVALID_ARGUMENT of slots; NOT_FOUND, DATA_LOSS as of a restore; ALREADY_EXISTS if it is there;
// FAILED_PRECONDITION if a server has data_dir open, if the snapshot is a cluster's, or the server makes binarizers of
// its own for the collection.
absl::StatusOr<SnapshotInfo> CutSnapshot(const SnapshotCut& cut);

}  // namespace bebr

#endif  // BEBR_INDEX_CUT_SNAPSHOT_H_
