// A shard: the scan layout of its documents, what mutations do to it, and the views that searches read.
#ifndef BEBR_INDEX_SHARD_SHARD_H_
#define BEBR_INDEX_SHARD_SHARD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/base/mutex.h"
#include "index/segment/layout_file.h"
#include "index/segment/segment.h"
#include "index/shard/mutation.h"
#include "index/storage/collection_store.h"
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
  std::shared_ptr<const AttributeDictionary> dictionary;
  uint64_t documents = 0;
  uint64_t deleted_rows = 0;
  ShardMemory
      rows_memory;  // without the dictionary, which older views keep alive too, and indexes, which readers build
  ShardCounts counts;

  // Now.
  ShardMemory memory() const {
    ShardMemory memory = rows_memory;
    memory.attributes += dictionary->memory_bytes();
    for (const SegmentView& segment : segments) {
      for (const auto& [name, column] : *segment.attributes) memory.attributes += column->index_bytes();
    }
    return memory;
  }
};

// Where a view has a document.
struct RowInView {
  const SegmentView* segment = nullptr;  // null: it has none
  uint32_t row = 0;
};

// What a collection's shards hold.
struct ShardContents {
  std::map<uint32_t, CodeSpec> spaces;
  std::map<uint32_t, uint32_t> versions;  // in use: number, and that of the embedding it takes
  bool stores_floats = false;
  std::shared_ptr<const AttributeSchema> attributes = std::make_shared<const AttributeSchema>();
  // Replicas apply a log to it (index/replica): then what mutations do depends on them and their documents alone, and
  // not on what other documents have, nor on which are in one group. Costs each a look at its document.
  bool from_log = false;
  std::optional<StoreMark> mark;  // what the manifest that says all this knows of the store, if it does

  bool InUse(uint32_t embedding) const;
  // DATA_LOSS unless the code of a document can be one of its space; OK for a space that is not among the contents.
  absl::Status CheckCode(std::string_view id, uint32_t space, uint32_t version, uint32_t group, size_t words) const;
};

// A Shard is the scan layout of a hash range of a collection's documents: the unit of parallelism. It decides what
// mutations do and how they change the segments; ShardSet writes them to disk in between.
//
// Replacing, merging into or deleting a document marks its row deleted; segments with many such rows are rewritten,
// which frees their memory.
//
// Embeddings. Versions that take the same embedding share its floats, which are stored once under its number. Which
// floats a document has is known without reading them: a code tells of the embedding of the version that wrote it, and
// marks of the others.
//
// Ownership: store and contents are the ShardSet's. Thread safety: none, but for Locate and what ResolvesPlainAlone
// says; what others see is a view.
class Shard {
 public:
  Shard(uint32_t number, CollectionStore* store, const ShardContents* contents);
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // Rebuilds the segments from disk; called once, first.
  absl::Status Load();
  // The shard as a layout file has it; and back, in place of Load. After an error it is of no use.
  void Save(LayoutWriter& out) const;
  absl::Status LoadLayout(LayoutReader& in);

  // The mutations of a group of requests, in order.
  using Group = std::vector<absl::Span<Mutation>>;
  // Decides what each mutation of a group does, given those before it; may be called again for less of the group. Sets
  // the status of each request that is to be refused: one whose update leaves a document with more attributes than
  // there may be, or writes too much. `updated_bytes` is what the updates of each request write, to which shards add
  // one after another. An error if the disk cannot be read.
  absl::Status Resolve(const Group& group, std::vector<uint64_t>& updated_bytes,
                       std::vector<absl::Status>& refused) const;
  // Whether plain mutations (IsPlain) are resolved without a look at the documents; then Resolve and AddToBatch for
  // such may run while a group of such is applied.
  bool ResolvesPlainAlone() const { return !MayHoldOthers(); }
  // Adds what a resolved group does to the batch.
  void AddToBatch(const Group& group, CollectionStore::Batch& batch) const;
  // Makes a prepared group's effect, once it is on disk; a result for each request.
  std::vector<MutationResult> Apply(const Group& group);

  // Forgets what is of a space, or of an embedding, that is no longer among the contents.
  void Drop(std::optional<uint32_t> space, std::optional<uint32_t> embedding);

  // How the shard is now.
  std::shared_ptr<const ShardView> MakeView();
  // Where one of its views has these documents, all different, by their places in `ids`. May be called from any thread
  // at any time. Costs a look at the id table each, while which no group is applied; and where some are not found, at
  // the ids of rows that were replaced or deleted since the view.
  std::vector<RowInView> Locate(const ShardView& view, absl::Span<const std::string_view> ids) const;

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

  // What a document has, as far as a mutation must know.
  struct Held {
    bool exists = false;
    bool changed = false;  // by an earlier mutation of the same group, not yet applied
    const Segment* segment = nullptr;
    uint32_t row = 0;
    const Attributes* attributes = nullptr;  // as an earlier mutation of the same group leaves them; else the row's
    absl::InlinedVector<std::pair<uint32_t, uint32_t>, 2> codes;  // space, version
    absl::InlinedVector<uint32_t, 2> marks;
    // As earlier mutations of the same group leave them: floats by embedding; and whether others are as stored.
    std::map<uint32_t, std::string_view> floats;
    bool keeps_floats = true;
  };

  // CRC-32C of floats as they are on disk, by id and embedding, that mutations of a group expect.
  using StoredFloats = absl::flat_hash_map<std::pair<std::string_view, uint32_t>, uint32_t>;
  absl::StatusOr<StoredFloats> ReadExpected(const Group& group) const;
  // Whether the mutation finds the floats that it expects, or expects none.
  bool FindsFloats(const StoredFloats& stored, const Mutation& mutation, const Held& held) const;

  // Attributes as they are on disk, by id, of the documents that a group updates.
  using StoredAttributes = absl::flat_hash_map<std::string_view, std::string>;
  absl::StatusOr<StoredAttributes> ReadUpdated(const Group& group, std::vector<uint64_t>& updated_bytes,
                                               std::vector<absl::Status>& refused) const;
  // Whether documents may have embeddings that a mutation with one embedding says nothing of.
  bool MayHoldOthers() const;
  bool NeedsHeld(const Mutation& mutation) const;
  void ForgetRetired(Mutation& mutation) const;
  absl::Status ResolveOne(const StoredAttributes& stored, Mutation& mutation, Held& held) const;
  absl::Status ChangeAttributes(const StoredAttributes& stored, Mutation& mutation, Held& held) const;
  // Whether the document is one that the mutation, by its kind and its conditions, leaves alone.
  bool Passes(Mutation& mutation, const Held& held) const;
  // What a mutation that applies leaves of what the document has.
  void KeepOf(Mutation& mutation, Held& held) const;
  // Takes out of `held` the codes of embeddings that come, in spaces for which no code comes.
  void DropOutdated(Mutation& mutation, Held& held) const;
  void ResolveMarks(Mutation& mutation, Held& held, const absl::InlinedVector<uint32_t, 2>& all) const;
  // The embeddings that a document's codes tell of.
  absl::InlinedVector<uint32_t, 2> EmbeddingsOf(const Held& held) const;
  Held Find(std::string_view id) const;
  void AddOne(const Mutation& mutation, CollectionStore::Batch& batch) const;
  void AddAttributes(const Mutation& mutation, CollectionStore::Batch& batch) const;
  MutationResult ApplyRequest(absl::Span<const Mutation> mutations);
  // Appends the row that a mutation makes of a document; `old` is its row, if something of that stays.
  void AppendRow(const Mutation& mutation, std::optional<uint32_t> old);
  // The row of the document, which is marked deleted, if there was such a document.
  std::optional<uint32_t> EraseRow(std::string_view id);
  void MarkDeleted(uint32_t row);
  // The slot whose segment takes the next row.
  uint32_t TailSlot();
  void InsertRow(uint32_t row);
  void Count(const Segment& segment, uint32_t row, int64_t change);
  void CountAgain();
  // The number of a set of marks in mark_sets_.
  uint16_t MarkSet(absl::Span<const uint32_t> marks);
  // Takes a dropped embedding out of all sets of marks; the last one to go frees their memory.
  void ForgetMarks(uint32_t embedding);
  // Of LoadLayout: the counts, then a slot and its rows that are not deleted.
  void LoadCounts(LayoutReader& in);
  void LoadSlot(LayoutReader& in, uint32_t number, std::vector<uint32_t>& held);
  // Moves the live rows out of segments that are mostly deleted.
  void Reclaim();
  ShardMemory Memory() const;
  ShardCounts Counts() const;

  std::string_view id(uint32_t row) const { return slots_[row / kSegmentRows].segment->id(row % kSegmentRows); }

  const uint32_t number_;
  CollectionStore* const store_;
  const ShardContents& contents_;
  const std::shared_ptr<AttributeDictionary> dictionary_ = std::make_shared<AttributeDictionary>();
  std::vector<std::vector<uint32_t>> mark_sets_ = {{}};  // what Segment::marks numbers
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  int64_t tail_slot_ = -1;
  // Of the present rows. The writer changes it, and the slots and ids that it goes by, under the lock, which readers
  // hold; the writer's own looks need none.
  mutable Mutex rows_mutex_;
  absl::flat_hash_set<uint32_t, IdHash, IdEqual> rows_;
  std::map<uint32_t, int64_t> codes_by_version_;
  std::map<uint32_t, int64_t> documents_by_embedding_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SHARD_SHARD_H_
