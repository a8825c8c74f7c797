// The engine of a node whose collections a log changes: what applies the log (index/follow) uses it.
#ifndef BEBR_INDEX_LOG_ENGINE_H_
#define BEBR_INDEX_LOG_ENGINE_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "index/engine.h"
#include "index/shard/logged_request.h"
#include "index/types/replication.h"
#include "index/types/write.h"
#include "index/upgrade/log_backfill.h"

namespace bebr {

// A collection as it was when it was seen. It keeps what is replaced since on disk, and the collection itself open.
class SeenCollection {
 public:
  virtual ~SeenCollection() = default;
  // Reads all of it. `go_on` is told of bytes that were read; an error of it ends it.
  virtual absl::StatusOr<CollectionDigest> Digest(absl::FunctionRef<absl::Status(uint64_t bytes)> go_on) const = 0;
};

// A LogEngine is an Engine whose shards are changed by a log alone, deterministically: what a change does depends on
// the changes before it and on nothing else (ShardContents::from_log). So of what changes it nothing is refused for
// want of memory or disk: that is asked before the log has it (Prepare, PrepareBackfill, CheckRoomFor). Thread safety:
// as of Engine; of what changes it one call at a time.
class LogEngine {
 public:
  // An engine, and the same as what a log changes.
  struct Opened {
    std::unique_ptr<Engine> engine;
    LogEngine* log = nullptr;
  };
  static absl::StatusOr<Opened> Open(EngineOptions options);
  virtual ~LogEngine() = default;

  // For reads; and for changes of collections, versions and aliases that the log has.
  virtual Engine& engine() = 0;

  // The mutations that an upsert is, checked and encoded as the collection is now. Writes nothing. Errors: those of
  // Engine::Upsert. `done` may run on any thread.
  virtual void Prepare(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<PreparedMutations>)> done) = 0;

  // The part of a backfill (index/upgrade/log_backfill.h) that comes after an id. Writes nothing.
  virtual absl::StatusOr<CodesOfStored> PrepareBackfill(std::string_view collection, std::string_view version,
                                                        std::string_view after, size_t most_documents) = 0;
  // RESOURCE_EXHAUSTED if such a change would be refused now for want of room: of memory, of disk, of names of
  // attributes.
  virtual absl::Status CheckRoomFor(std::string_view collection, const AttributeChange& change) = 0;

  // INVALID_ARGUMENT unless the change is one that documents of the collection may get; makes its values those of the
  // schema's kinds.
  virtual absl::Status CheckUpdate(std::string_view collection, AttributeChange& change) = 0;

  // How far a collection was brought: `applied` of its last change, empty before the first.
  virtual absl::StatusOr<std::string> Applied(std::string_view collection) = 0;
  // Makes requests of the log, as one group, and notes `applied`, in one batch. A result for each, or an error of the
  // disk, and then none has an effect.
  virtual absl::StatusOr<std::vector<MutationResult>> Apply(std::string_view collection,
                                                            std::vector<LoggedRequest> requests,
                                                            std::string_view applied) = 0;
  // The same of a change of all documents that satisfy the filter now; without a change, of their deletion.
  virtual absl::StatusOr<MutationResult> ApplyToSelected(std::string_view collection, const std::string& filter,
                                                         std::optional<AttributeChange> change,
                                                         std::string_view applied) = 0;

  // Copies all of a collection, as it is now, into a new directory while it serves; what changes it waits. How many
  // documents it has.
  virtual absl::StatusOr<uint64_t> CopyTo(std::string_view collection, const std::string& directory) = 0;
  // Reads all of such a directory. DATA_LOSS says what is damaged.
  virtual absl::Status CheckCopy(const std::string& directory) = 0;
  // Makes a collection of such a directory, which stays.
  virtual absl::Status RestoreCopy(std::string_view collection, const std::string& directory) = 0;

  // Snapshots of a cluster: those with a position. As Backups::Keep, PathOf and CheckFits.
  virtual absl::Status KeepSnapshot(const SnapshotInfo& info, const std::string& directory) = 0;
  virtual absl::StatusOr<std::string> PathOfSnapshot(const SnapshotInfo& which) = 0;
  virtual absl::Status CheckSnapshotFits(const SnapshotInfo& which) = 0;

  // A collection as it is now, to be read while it serves and changes.
  virtual absl::StatusOr<std::unique_ptr<SeenCollection>> See(std::string_view collection) = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_LOG_ENGINE_H_
