// A replica: shards that are changed by a log alone.
#ifndef BEBR_INDEX_REPLICA_REPLICA_H_
#define BEBR_INDEX_REPLICA_REPLICA_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/log/log.h"
#include "index/shard/shard_set.h"

namespace bebr {

// A Replica applies a log's records to the shards of a ShardSet that it holds. What these hold at a position depends on
// the records up to there and on nothing else: not on how many were applied at a time, on restarts, or on which other
// shards it holds. So replicas at one position are equal, and DigestShard says so.
//
//   BEBR_ASSIGN_OR_RETURN(Replica replica, Replica::Open(log, shards, {0, 1, 2}));
//   while (...) BEBR_ASSIGN_OR_RETURN(bool more, replica.ApplyNext(4 << 20));
//
// The effect and the place that it brings the shards to are one batch: so after a crash a record was applied wholly or
// not at all, and none is applied twice. A record is a request of its own: one whose update would leave a document with
// too many attributes has no effect, in any replica of its shard, and others of the same append have theirs.
//
// Errors. Those of the log: DATA_LOSS and OUT_OF_RANGE say that the shards must be copied anew. DATA_LOSS too: a record
// holds a document of another shard, or a code that is none of its space; nothing of it is stored. FAILED_PRECONDITION:
// a record is of a later release, or encoded by a manifest that is not here yet. Those of the store. Ownership: log and
// shards are borrowed. Thread safety: one thread at a time, and none other commits to the shards.
class Replica {
 public:
  // `held`: of the ShardSet's shards those whose records it applies.
  static absl::StatusOr<std::unique_ptr<Replica>> Open(Log* log, ShardSet* shards, std::vector<uint32_t> held);

  // All up to here was applied, and is in the ShardSet's view.
  const LogPlace& place() const { return place_; }
  // The newest revision of the manifest by which records may be encoded.
  void SetRevision(uint64_t revision) { revision_ = revision; }

  // Applies what follows, `max_bytes` of records or one append; false if nothing does.
  absl::StatusOr<bool> ApplyNext(size_t max_bytes);

 private:
  Replica(Log* log, ShardSet* shards, std::vector<uint32_t> held, LogPlace place)
      : log_(log), shards_(shards), held_(std::move(held)), place_(place) {}
  // Requests that are committed together, and where they bring the shards to.
  struct Group {
    std::vector<std::unique_ptr<Mutations>> requests;
    LogPlace place;
  };
  absl::Status Commit(Group& group);
  // The request that an entry of the log is.
  absl::StatusOr<std::unique_ptr<Mutations>> RequestOf(LogEntry entry) const;

  Log* const log_;
  ShardSet* const shards_;
  const std::vector<uint32_t> held_;
  LogPlace place_;
  uint64_t revision_ = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_REPLICA_REPLICA_H_
