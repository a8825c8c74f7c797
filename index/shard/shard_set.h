// All shards of a collection: one store, one view, commits in their order.
#ifndef BEBR_INDEX_SHARD_SHARD_SET_H_
#define BEBR_INDEX_SHARD_SHARD_SET_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/base/thread_pool.h"
#include "index/shard/commit_counters.h"
#include "index/shard/commit_order.h"
#include "index/shard/mutation.h"
#include "index/shard/shard.h"
#include "index/storage/collection_store.h"

namespace bebr {

// What a search, a Get or statistics see of a collection: how it was after one of its commits, of all shards the same
// one. Consistent and unchanging.
struct CollectionView {
  std::vector<std::shared_ptr<const ShardView>> shards;
  std::shared_ptr<const CollectionStore::View> store;
  uint64_t sequence = 0;
};

// What the layout files that are written at a stop, those of all collections, may take.
struct LayoutLimits {
  SteadyTime deadline = absl::InfiniteDuration();
  std::atomic<int64_t> room_bytes{std::numeric_limits<int64_t>::max()};  // of the disk, that are left
};

// A ShardSet is what a collection's documents are kept in: its shards and, below them, its store.
//
// Writing. A commit takes the mutations of a group of requests, decides what they do, writes all of it as one batch,
// syncs the log once, and only then changes the segments of all shards and publishes one view of them. So a request is
// atomic over the shards: whoever reads sees all of it or nothing, and so does a checkpoint, and what is there after a
// crash. If the write to disk fails, nothing is applied. While the disk is waited for nothing is locked. Commits may
// overlap, each at another step (CommitOrder): then the batch of one is made while the one before it is written.
//
// Thread safety. view(), Locate(), store() and Compact() may be used from any thread at any time. Of the other methods
// one may run at a time, on any thread, but for commits that overlap: the WriteQueue sees to that.
class ShardSet {
 public:
  // Opens the store at `path`, which it makes if need be, and rebuilds the segments from it, on the threads of `pool`:
  // of shards whose layout files are of just this state of the store, from these. Drops what is on disk but no longer
  // in use. `pool` and `counters` are borrowed.
  static absl::StatusOr<std::shared_ptr<ShardSet>> Open(const std::string& path, uint32_t shards,
                                                        ShardContents contents, std::shared_ptr<StoreCache> cache,
                                                        ThreadPool* pool, CommitCounters* counters);
  ~ShardSet();

  size_t size() const { return shards_.size(); }
  // The shard of a document: shards hold equal ranges of the ids' hashes.
  uint32_t ShardOf(std::string_view id) const;
  CollectionStore& store() const { return *store_; }
  std::shared_ptr<const CollectionView> view() const;
  // DATA_LOSS unless the codes of a mutation that comes from elsewhere can be those of their spaces.
  absl::Status CheckCodes(const Mutation& mutation) const;
  // Where one of its views has these documents, all different: Shard::Locate.
  std::vector<RowInView> Locate(const CollectionView& view, absl::Span<const std::string_view> ids) const;
  // The view's memory in all.
  uint64_t memory_bytes() const { return memory_bytes_.load(std::memory_order_relaxed); }

  // Commits a group of requests; a result for each (MutationResult::refused), or why storage refused them all.
  // `applied`, unless it is empty, is what the store says from then on of how far a log was applied.
  absl::StatusOr<std::vector<MutationResult>> Commit(absl::Span<Mutations* const> group, std::string_view applied = {});
  // The same as one of several. `turn` is at kPrepare, and when this returns at kApply at most. Commits may overlap if
  // they have plain mutations only, and ResolvesPlainAlone().
  absl::StatusOr<std::vector<MutationResult>> Commit(absl::Span<Mutations* const> group, CommitTurn& turn,
                                                     std::string_view applied = {});
  bool ResolvesPlainAlone() const;
  // Makes a version, its embedding and its space known before the first mutation that uses them.
  void AddVersion(uint32_t version, uint32_t embedding, uint32_t space, const CodeSpec& spec);
  // Forgets a version. Drops all codes of `space` and all floats of `embedding`, where they are given, from memory and
  // from what reads of the disk find; Compact then frees the disk space.
  absl::Status DropVersion(uint32_t version, std::optional<uint32_t> space, std::optional<uint32_t> embedding);
  // Stores no floats from now on, and drops those of `embedding`, whose versions stay; as DropVersion does.
  absl::Status DropFloats(uint32_t embedding);
  // Writes a layout file for each shard, by which the next Open is quicker, unless those that are there are of what is
  // stored now, there is no room for them, or there are too few documents for it to matter: then none is left. Nor is
  // after an error, DEADLINE_EXCEEDED among them: then the next Open reads the store.
  absl::Status SaveLayout(LayoutLimits& limits);
  // The next Open reads the store.
  absl::Status RemoveLayout();
  // Removes the layout files from which it was opened once more is stored: they are of no use any more. By one thread
  // at a time; not while SaveLayout runs.
  void RemoveOutdatedLayout();
  // So many; tests change it.
  static std::atomic<uint64_t>& LeastLayoutDocuments();
  // Whether Open has read no document from the store, as layout files had all.
  bool from_layout() const { return layout_sequence_.has_value(); }
  // Blocks until the disk space of a dropped space or embedding is free, or CollectionStore::EndCompactions.
  absl::Status Compact(std::optional<uint32_t> space, std::optional<uint32_t> embedding);

 private:
  ShardSet(std::string path, std::unique_ptr<CollectionStore> store, ShardContents contents, ThreadPool* pool,
           CommitCounters* counters)
      : path_(std::move(path)),
        store_(std::move(store)),
        contents_(std::move(contents)),
        pool_(pool),
        counters_(counters) {}

  absl::Status DropUnused();
  absl::Status Load(uint32_t shards);
  std::unique_ptr<Shard> MakeShard(size_t shard) const {
    return std::make_unique<Shard>(static_cast<uint32_t>(shard), store_.get(), &contents_);
  }
  // What a shard's layout file begins with: what must be alike for it to be of use.
  std::string LayoutHeader(size_t shard, std::string_view name) const;
  absl::Status SaveShard(size_t shard, std::string_view name, SteadyTime deadline) const;
  // False if there is no layout file of what is stored now. Another one is removed.
  bool LoadLayout(size_t shard);
  // Calls body(shard) for shards 0..size() - 1, in parallel if there is much to do.
  void ForEachShard(size_t mutations, const std::function<void(size_t)>& body);
  // Decides what the requests do. Those that are refused, whose statuses say why, are taken out of `groups`.
  absl::StatusOr<std::vector<absl::Status>> Resolve(std::vector<Shard::Group>& groups);
  // A batch of what the groups, which are resolved, do, and how many mutations they have.
  CollectionStore::Batch MakeBatch(const std::vector<Shard::Group>& groups, size_t* count) const;
  void CountCommit(absl::Duration took, const absl::StatusOr<absl::Duration>& synced);
  // Changes the shards; which of them is added to `changed`.
  std::vector<MutationResult> Apply(const std::vector<Shard::Group>& groups, size_t mutations,
                                    std::vector<bool>& changed);
  // Makes new views of these shards, and the collection's, which has `store` for what is on disk.
  void Publish(const std::vector<bool>& changed, std::shared_ptr<const CollectionStore::View> store, uint64_t sequence);
  void PublishAll() { Publish(std::vector<bool>(shards_.size(), true), store_->MakeView(), store_->sequence()); }

  const std::string path_;
  const std::unique_ptr<CollectionStore> store_;
  ShardContents contents_;
  ThreadPool* const pool_;
  CommitCounters* const counters_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::atomic<uint64_t> memory_bytes_{0};
  std::optional<uint64_t> layout_sequence_;  // of the layout files that it was opened from
  bool outdated_layout_removed_ = false;

  mutable Mutex view_mutex_;
  std::shared_ptr<const CollectionView> view_ ABSL_GUARDED_BY(view_mutex_);

  // Of the last mutation that was put into a batch; whoever is at kPrepare uses it.
  uint64_t last_number_ = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SHARD_SHARD_SET_H_
