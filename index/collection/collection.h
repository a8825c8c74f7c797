// An open collection.
#ifndef BEBR_INDEX_COLLECTION_COLLECTION_H_
#define BEBR_INDEX_COLLECTION_COLLECTION_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "index/base/mutex.h"
#include "index/catalog/manifest.h"
#include "index/collection/attribute_names.h"
#include "index/collection/engine_shared.h"
#include "index/collection/write_queue.h"
#include "index/shard/logged_request.h"
#include "index/shard/shard_set.h"
#include "index/types/collection.h"
#include "index/types/write.h"

namespace bebr {

// A Collection is an open collection: its manifest, its shards, and the way of a write from floats to shards.
//
// Writes take effect in the order of the calls: embeddings are encoded in parallel, but what is encoded is handed to
// the shards in turn. Thread safety: all methods may be called from any thread. Lives until the last call and the last
// search that uses it have ended (shared_ptr).
class Collection : public std::enable_shared_from_this<Collection> {
 public:
  static absl::StatusOr<std::shared_ptr<Collection>> Open(CollectionManifest manifest, std::string path,
                                                          EngineShared* shared);

  std::shared_ptr<const CollectionManifest> manifest() const;
  // What searches hold.
  const std::shared_ptr<ShardSet>& shards() const { return shards_; }

  void Upsert(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done);
  void Delete(std::vector<std::string> ids, absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done);
  // Changes the attributes of documents; a change is checked before.
  void Update(std::vector<std::string> ids, AttributeChange change,
              absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done);
  // Documents that a write in its turn finds in the view.
  struct Selected {
    std::vector<std::string> ids;
    std::vector<std::string> warnings;
  };
  using Selector =
      absl::AnyInvocable<absl::StatusOr<Selected>(const ShardSet&, const std::shared_ptr<const CollectionView>&)>;
  // Changes the attributes of what `select` finds; without a change, deletes it.
  void ChangeSelected(Selector select, std::optional<AttributeChange> change,
                      absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done);
  // Lets go of the views that are kept of it: from now on none is found that was taken before. If the collection was
  // dropped, none is kept any more.
  void ForgetViews(bool dropped = false);
  bool dropped() const { return dropped_; }
  // Grows before views are forgotten.
  uint64_t forgotten() const { return forgotten_; }
  // The present, as what a call sees all the while.
  PinnedView Now() const { return {manifest(), shards_, shards_->view(), probes()}; }
  // What was measured of probes of a version, for searches that begin from now on.
  void SetProbeCurve(const Version& version, std::vector<ProbePoint> curve);
  // The documents that exist in a view of it, in the order of `ids`.
  absl::StatusOr<std::vector<Document>> Get(absl::Span<const std::string> ids, bool with_embeddings) const {
    return Get(Now(), ids, with_embeddings);
  }
  static absl::StatusOr<std::vector<Document>> Get(const PinnedView& seen, absl::Span<const std::string> ids,
                                                   bool with_embeddings);
  // Commits one write in its turn and waits for it.
  absl::StatusOr<MutationResult> WriteAndWait(std::vector<Mutation> mutations, std::shared_ptr<const void> owner);

  // log_writes.cc: of a collection that a log changes (EngineShared::from_log), which nothing else does.
  // The mutations that an upsert is; nothing is written. `done` may run on any thread.
  void Prepare(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<PreparedMutations>)> done);
  // RESOURCE_EXHAUSTED if there would be too many names of attributes now.
  absl::Status CheckNames(const AttributeChange& change);
  // What was committed last with an `applied`.
  absl::StatusOr<std::string> Applied() const;
  // Commits requests of the log, in their order and as one group, and waits for it. A result for each, or why the disk
  // took none of them.
  absl::StatusOr<std::vector<MutationResult>> Apply(std::vector<LoggedRequest> requests, std::string_view applied);
  // The same of a change of what `select` finds now; without a change, of its deletion. An error of `select` is the
  // result's `refused`.
  absl::StatusOr<MutationResult> ApplyToSelected(Selector select, std::optional<AttributeChange> change,
                                                 std::string_view applied);

  // What Engine::GetCollection says, but for the backfills.
  CollectionInfo Info() const;
  uint64_t documents() const;
  // Bytes of codes, ids and attributes in memory.
  uint64_t memory_bytes() const;
  // Documents with a code in `space`, and documents with floats of `embedding`.
  uint64_t DocumentsInSpace(uint32_t space) const;
  uint64_t DocumentsWithEmbedding(uint32_t embedding) const;

  // The next manifest; a version that it has and the one before has not is made known to the shards first. Called for
  // one manifest at a time.
  void ReplaceManifest(CollectionManifest manifest);
  // Tells the store which manifest is its own, if it does not know. As ReplaceManifest, by who changes the collection.
  absl::Status NoteGeneration();
  // What the last pass of the Scrubber found damaged of its files, or of its memory that a restart would mend.
  absl::Status damage() const;
  void SetDamage(absl::Status damage);
  // Drops what `version`, which the manifest calls retired, leaves behind: codes of a space without other versions, and
  // floats that no other version takes.
  absl::Status DropVersion(const Version& version);
  // Drops all floats of an embedding that versions still take, once the manifest says that none are stored. Both wait
  // for the disk space, until CollectionStore::EndCompactions.
  absl::Status DropFloats(uint32_t embedding);
  // Makes in `path` a copy of the store as it is at one moment, for which writes wait, and returns how many documents
  // it has. Every acknowledged write is in it, and of one that is under way all or nothing.
  absl::StatusOr<uint64_t> Checkpoint(const std::string& path) const;
  // Before the server ends: ShardSet::SaveLayout.
  void SaveLayout(LayoutLimits& limits) const;
  // Rows in memory were found to differ from what is stored, and put right: this memory is not to be trusted, so no
  // layout file is written of it.
  void DistrustMemory() { memory_distrusted_ = true; }
  EngineShared& shared() const { return *shared_; }
  // Held while the collection is changed as a whole, by the Registry and by snapshots: one change at a time.
  Mutex& change_mutex() const ABSL_LOCK_RETURNED(change_mutex_) { return change_mutex_; }

 private:
  // Frees the disk space of what was dropped.
  absl::Status GiveBack(std::optional<uint32_t> space, std::optional<uint32_t> embedding);
  std::shared_ptr<const ProbeCurves> probes() const;

  Collection(CollectionManifest manifest, std::string path, std::shared_ptr<ShardSet> shards, EngineShared* shared);

  const std::string path_;
  EngineShared* const shared_;
  const std::shared_ptr<ShardSet> shards_;
  AttributeNames names_;
  mutable WriteQueue writes_;
  std::atomic<bool> dropped_{false};
  std::atomic<bool> memory_distrusted_{false};
  std::atomic<uint64_t> forgotten_{0};

  mutable Mutex change_mutex_;
  mutable Mutex manifest_mutex_;
  std::shared_ptr<const CollectionManifest> manifest_ ABSL_GUARDED_BY(manifest_mutex_);

  mutable Mutex probes_mutex_;
  std::shared_ptr<const ProbeCurves> probes_ ABSL_GUARDED_BY(probes_mutex_);

  mutable Mutex damage_mutex_;
  absl::Status damage_ ABSL_GUARDED_BY(damage_mutex_);
};

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_COLLECTION_H_
