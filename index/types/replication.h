// What gateways and nodes of a replicated cluster tell each other of its log.
#ifndef BEBR_INDEX_TYPES_REPLICATION_H_
#define BEBR_INDEX_TYPES_REPLICATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "index/types/collection.h"
#include "index/types/write.h"

namespace bebr {

// What came of a change that the log has, the same on every replica of a share that applied it.
struct ChangeOutcome {
  // Why it was refused, and then it had no effect on any of them. ABORTED: since it was encoded for versions that had
  // changed before it was in the log.
  absl::Status status;
  uint64_t documents = 0;                // upserted, updated or deleted
  uint64_t created = 0;                  // of the upserted
  std::vector<std::string> unknown_ids;  // as of UpsertResult and ChangeResult
  std::vector<std::string> skipped_ids;
};

// An upsert as the log is to say it, and the documents of a partial one that are left out.
struct PreparedChange {
  std::string change;  // index/replica/log_change.h
  std::vector<DocumentProblem> problems;
};

// A part of a backfill as the log is to say it.
struct PreparedBackfill {
  std::string change;      // empty if no document is encoded
  uint64_t documents = 0;  // that are
  std::string last_id;     // that was looked at; empty: there are no more
};

// What a replica holds of a collection, after its change at a position: replicas with the same position have the same.
struct CollectionDigest {
  uint64_t position = 0;
  uint64_t documents = 0;
  std::string digest;  // index/replica/digest.h, of all shards together
};

// A snapshot of the cluster as a replica has it, or has not.
struct ReplicaSnapshot {
  SnapshotInfo info;    // its problem: why it has not got it
  bool making = false;  // it is about to have it
};

// How far a replica is.
struct ReplicaState {
  uint64_t applied = 0;      // of the log's positions, up to which it has applied all
  uint64_t head = 0;         // where the log ended when it looked last
  std::string problem;       // why it does not follow the log now; empty: it does
  bool quarantined = false;  // it does not serve, and must be filled anew
  bool name_taken = false;   // another server has begun before as the same node: this one is none
  std::string warning;       // what is wrong though it follows the log: another server would be this node too
  absl::Duration lag;        // since it had applied all that the log has
  uint64_t kept = 0;         // up to here it needs the log no more, after a crash either
  uint64_t log = 0;          // which one it follows (LogState::identity); 0: none yet
  // While it is filled from another replica: of so many bytes so many have come.
  uint64_t seed_bytes = 0, seeded_bytes = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_REPLICATION_H_
