// A shard: its documents on disk and in memory, its writes, and the views that searches read.
#ifndef BEBR_INDEX_SHARD_SHARD_H_
#define BEBR_INDEX_SHARD_SHARD_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "index/base/mutex.h"
#include "index/segment/segment.h"
#include "index/shard/mutation.h"
#include "index/storage/shard_store.h"
#include "index/types/document.h"

namespace bebr {

// Bytes that a shard holds in memory.
struct ShardMemory {
  uint64_t codes = 0;
  uint64_t ids = 0;
  uint64_t attributes = 0;
  uint64_t total() const { return codes + ids + attributes; }
};

// Documents of a shard by what they have.
struct ShardCounts {
  std::map<uint32_t, uint64_t> codes;       // documents whose code each version wrote
  std::map<uint32_t, uint64_t> embeddings;  // documents with floats of each embedding
};

// What a search, or statistics, see of a shard: how it was after one of its commits. Consistent and unchanging.
struct ShardView {
  std::vector<SegmentView> segments;
  std::shared_ptr<const ShardStore::View> store;
  const AttributeDictionary* dictionary = nullptr;  // the shard's
  uint64_t sequence = 0;
  uint64_t documents = 0;
  uint64_t deleted_rows = 0;
  ShardMemory memory;
  ShardCounts counts;
};

// A Shard is one RocksDB directory and the scan layout of its documents: the unit of parallelism and of placement.
//
// Writing. Submit queues mutations; one thread takes what waits, writes it as one synced batch (group commit), applies
// it to the segments, publishes a view, and only then calls `done`. So an acknowledged write is on disk and in the
// next search. If the write to disk fails, nothing is applied. Replacing, merging into or deleting a document marks its
// row deleted; segments with many such rows are rewritten, which frees their memory.
//
// Embeddings. Versions that take the same embedding share its floats, which are stored once under its number. Which
// floats a document has is known without reading them: a code tells of the embedding of the version that wrote it, and
// marks of the others.
//
// Thread safety: all methods may be called from any thread. The destructor commits what was submitted.
class Shard {
 public:
  // What the committer has done since the shard was opened; read without waiting for it.
  struct Stats {
    uint64_t commit_us = 0;  // RocksDB write and sync
    uint64_t apply_us = 0;   // scan layout and view
    uint64_t commits = 0;
    uint64_t failed_commits = 0;  // that storage refused
    uint64_t rewritten_rows = 0;
  };
  // What is in use. `versions` maps a version's number to that of the embedding it takes.
  struct Contents {
    std::map<uint32_t, CodeSpec> spaces;
    std::map<uint32_t, uint32_t> versions;
    bool stores_floats = false;
  };
  // Opens the shard at `path`, which it creates if need be, and rebuilds the segments from disk. Drops what is on disk
  // but no longer in use.
  static absl::StatusOr<std::unique_ptr<Shard>> Open(std::string path, std::shared_ptr<StoreCache> cache,
                                                     Contents contents);
  ~Shard();

  // Holds writes up while it lives; searches, reads and statistics go on.
  class Pause {
   public:
    explicit Pause(Shard& shard) ABSL_NO_THREAD_SAFETY_ANALYSIS : shard_(shard) { shard_.apply_mutex_.Lock(); }
    ~Pause() ABSL_NO_THREAD_SAFETY_ANALYSIS { shard_.apply_mutex_.Unlock(); }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    Shard& shard_;
  };

  void Submit(Mutations mutations);
  std::shared_ptr<const ShardView> view() const;
  ShardStore& store() { return *store_; }
  std::string_view path() const { return path_; }
  Stats stats() const;
  // The view's memory in all.
  uint64_t memory_bytes() const { return memory_bytes_.load(std::memory_order_relaxed); }

  // Makes a version, its embedding and its space known before the first mutation that uses them.
  void AddVersion(uint32_t version, uint32_t embedding, uint32_t space, const CodeSpec& spec);
  // Forgets a version. Drops all codes of `space` and all floats of `embedding`, where they are given, from memory and
  // disk. Writes wait only while memory and log change, not for the disk space.
  absl::Status DropVersion(uint32_t version, std::optional<uint32_t> space, std::optional<uint32_t> embedding);

 private:
  // Rows are numbered slot * kSegmentRows + row in segment.
  struct Slot {
    std::shared_ptr<Segment> segment;  // null = free
    std::unique_ptr<DeletionSet> deleted;
    uint32_t deleted_rows = 0;
    std::shared_ptr<const DeletionSet> published_deleted;  // reset when `deleted` changes
  };
  struct IdHash {
    using is_transparent = void;
    const Shard* shard;
    size_t operator()(uint32_t row) const;
    size_t operator()(std::string_view id) const;
  };
  struct IdEqual {
    using is_transparent = void;
    const Shard* shard;
    bool operator()(uint32_t a, uint32_t b) const { return a == b; }
    bool operator()(uint32_t row, std::string_view id) const;
    bool operator()(std::string_view id, uint32_t row) const { return (*this)(row, id); }
  };

  // What a document has, as far as merging must know.
  struct Held {
    bool exists = false;
    bool changed = false;  // by an earlier mutation of the same group, not yet applied
    const Segment* segment = nullptr;
    uint32_t row = 0;
    absl::InlinedVector<std::pair<uint32_t, uint32_t>, 2> codes;  // space, version
    absl::InlinedVector<uint32_t, 2> marks;
  };

  Shard(std::string path, std::unique_ptr<ShardStore> store, Contents contents);

  absl::Status DropUnused() ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  absl::Status Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  void Run();
  void CommitGroup(std::vector<Mutations>& group);
  // Decides what each mutation of a group does, given those before it.
  void Resolve(std::vector<Mutations>& group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  void ResolveOne(Mutation& mutation, Held& held) ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  // The embeddings that a document's codes tell of.
  absl::InlinedVector<uint32_t, 2> EmbeddingsOf(const Held& held) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  Held Find(std::string_view id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  bool InUse(uint32_t embedding) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  ShardStore::Batch BuildBatch(const std::vector<Mutations>& group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  void AddToBatch(const Mutation& mutation, ShardStore::Batch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  MutationResult Apply(const Mutations& mutations) ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  // Appends the row that a kReplace, or a kMerge into the row `old`, makes.
  void AppendRow(const Mutation& mutation, std::optional<uint32_t> old) ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  // The row of the document, which is marked deleted, if there was such a document.
  std::optional<uint32_t> EraseRow(std::string_view id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  void MarkDeleted(uint32_t row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  // The slot whose segment takes the next row.
  uint32_t TailSlot() ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  void InsertRow(uint32_t row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  void Count(const Segment& segment, uint32_t row, int64_t change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  void CountAgain() ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  // The number of a set of marks in mark_sets_.
  uint16_t MarkSet(absl::Span<const uint32_t> marks) ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  // Takes a dropped embedding out of all sets of marks; the last one to go frees their memory.
  void ForgetMarks(uint32_t embedding) ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  // Moves the live rows out of segments that are mostly deleted.
  void Reclaim() ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  ShardMemory Memory() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  ShardCounts Counts() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);
  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(apply_mutex_);

  std::string_view id(uint32_t row) const { return slots_[row / kSegmentRows].segment->id(row % kSegmentRows); }

  const std::string path_;
  const std::unique_ptr<ShardStore> store_;
  AttributeDictionary dictionary_;
  std::atomic<uint64_t> memory_bytes_{0};

  // Held while the segments change; readers use views and never wait for it.
  mutable Mutex apply_mutex_;
  Contents contents_ ABSL_GUARDED_BY(apply_mutex_);
  std::vector<std::vector<uint32_t>> mark_sets_ ABSL_GUARDED_BY(apply_mutex_) = {{}};  // what Segment::marks numbers
  // Not annotated: the hash set's functors read them, always under apply_mutex_.
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_ ABSL_GUARDED_BY(apply_mutex_);
  int64_t tail_slot_ ABSL_GUARDED_BY(apply_mutex_) = -1;
  absl::flat_hash_set<uint32_t, IdHash, IdEqual> rows_ ABSL_GUARDED_BY(apply_mutex_);
  std::map<uint32_t, int64_t> codes_by_version_ ABSL_GUARDED_BY(apply_mutex_);
  std::map<uint32_t, int64_t> documents_by_embedding_ ABSL_GUARDED_BY(apply_mutex_);

  struct Counters {
    std::atomic<uint64_t> commit_us{0}, apply_us{0}, commits{0}, failed_commits{0}, rewritten_rows{0};
  };
  Counters counters_;

  mutable Mutex view_mutex_;
  std::shared_ptr<const ShardView> view_ ABSL_GUARDED_BY(view_mutex_);

  Mutex queue_mutex_;
  CondVar wake_;  // mutations came, or stopping_
  std::deque<Mutations> queue_ ABSL_GUARDED_BY(queue_mutex_);
  bool stopping_ ABSL_GUARDED_BY(queue_mutex_) = false;
  std::thread committer_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SHARD_SHARD_H_
