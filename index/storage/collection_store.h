// The documents of a collection on disk (FORMAT.md).
#ifndef BEBR_INDEX_STORAGE_COLLECTION_STORE_H_
#define BEBR_INDEX_STORAGE_COLLECTION_STORE_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "index/storage/format.h"
#include "index/types/stats.h"

namespace bebr {

// What all stores of a process share: the block cache for reads of floats and documents, and RocksDB's counters.
// `write_buffer_bytes` is the most that one collection collects in memory before it is written to files.
class StoreCache;
inline constexpr uint64_t kDefaultWriteBufferBytes = uint64_t{112} << 20;
std::shared_ptr<StoreCache> MakeStoreCache(uint64_t capacity_bytes,
                                           uint64_t write_buffer_bytes = kDefaultWriteBufferBytes);
// The counters and the cache; what belongs to single stores is added by CollectionStore::AddStats.
StorageStats SharedStats(const StoreCache& cache);
// Blocks beyond it are dropped. May come at any time.
void SetCacheCapacity(StoreCache& cache, uint64_t capacity_bytes);

// Where the store lies in a collection's directory, or in a snapshot's. A store is named by the first of its shards.
std::string StorePath(const std::string& directory);
// A shard's layout file (index/segment/FORMAT.md), in its store's directory.
std::string LayoutPath(const std::string& store, uint32_t shard);

// What a collection's manifest knows of its store: by this they are told to belong together (index/catalog/FORMAT.md).
struct StoreMark {
  uint64_t generation = 0;  // how often the manifest was changed; the store is told it afterwards
  uint64_t sequence = 0;    // one that the store had when the manifest was written
  std::string identity;     // the same in both, and in no other collection; empty: written by an earlier server
};
// DATA_LOSS if the store at `path`, which has the mark `store`, does not belong to a manifest with the mark `manifest`:
// one of the two is an older copy, or another collection's.
absl::Status CheckMark(const std::string& path, const StoreMark& manifest, const StoreMark& store);

// A CollectionStore is the RocksDB of a collection: documents by (shard, id), codes by (space, shard, id), floats and
// marks by (embedding, shard, id); FORMAT.md has the bytes. One for all shards, so that a write to several of them is
// one batch, one log record and one sync, and a view or a checkpoint sees all of it or nothing.
//
// Durability. Commit returns OK after the write-ahead log is synced; the batch and its sequence are one atomic write. A
// Commit that fails has no effect, but that after a crash it may be there all the same, whole.
// Faults of the disk. After a Commit that failed all are refused, until Recover has dealt with what it may have left
// behind. Reads go on.
// Errors. RocksDB's, with the path: corruption as DATA_LOSS, a full disk as RESOURCE_EXHAUSTED, input and output errors
// as UNAVAILABLE. Thread safety. One thread at a time may call Commit, CommitInSteps, but for what it says, and
// MakeView; reads, health and Recover may run concurrently with everything.
class CollectionStore {
 public:
  // A write batch. Cheap to move; not thread-safe.
  class Batch {
   public:
    Batch();
    explicit Batch(size_t reserved_bytes);  // of keys and values, for which room is made at once
    ~Batch();
    Batch(Batch&&) noexcept;
    Batch& operator=(Batch&&) noexcept;
    void PutDocument(uint32_t shard, std::string_view id, std::string_view attributes);
    void DeleteDocument(uint32_t shard, std::string_view id);
    void PutCode(uint32_t space, uint32_t shard, std::string_view id, const StoredCode& code);
    void DeleteCode(uint32_t space, uint32_t shard, std::string_view id);
    void PutFloats(uint32_t embedding, uint32_t shard, std::string_view id, std::string_view bytes);
    void DeleteFloats(uint32_t embedding, uint32_t shard, std::string_view id);
    // Says that the document has floats which none of its codes tells of.
    void PutMark(uint32_t embedding, uint32_t shard, std::string_view id);
    void DeleteMark(uint32_t embedding, uint32_t shard, std::string_view id);
    // Everything of a space; all floats and marks of an embedding.
    void DeleteAllCodes(uint32_t space);
    void DeleteAllFloats(uint32_t embedding);
    // How far the batch brings a store that applies a log: what GetApplied returns from then on.
    void PutApplied(std::string_view place);
    // The store gets this format with the batch, if it has an older one.
    void NeedFormat(uint32_t format) { format_ = std::max(format_, format); }
    uint32_t format() const { return format_; }
    size_t bytes() const;

    struct Rep;  // RocksDB's batch, for the store alone
    Rep& rep() { return *rep_; }

   private:
    std::unique_ptr<Rep> rep_;
    std::string scratch_;
    uint32_t format_ = 0;
  };

  // A View is the store as it was when it was made; reads through it see no later write.
  class View {
   public:
    virtual ~View() = default;
  };

  // The store of `shards` shards at `path`. DATA_LOSS, naming the file, if one is missing, older than it should be or
  // damaged, and if the store is one of another number of shards. The end of a log that a crash has torn, which was
  // never acknowledged, is cut off.
  static absl::StatusOr<std::unique_ptr<CollectionStore>> Open(const std::string& path, uint32_t shards,
                                                               std::shared_ptr<StoreCache> cache);
  // Makes an empty store at `path`, where none may be, and opens it. With no identity it gets one by SetIdentity.
  static absl::StatusOr<std::unique_ptr<CollectionStore>> Create(const std::string& path, uint32_t shards,
                                                                 std::shared_ptr<StoreCache> cache,
                                                                 std::string_view identity = "");
  // Makes an empty store in a directory that is built aside, and closes it. Nothing of it is synced: that is left to
  // who puts the directory in its place (SyncTree).
  static absl::Status Build(const std::string& path, uint32_t shards, std::shared_ptr<StoreCache> cache,
                            std::string_view identity = "");
  virtual ~CollectionStore() = default;

  // Number of the last committed mutation; 0 for an empty store.
  virtual uint64_t sequence() const = 0;
  // How long the sync took.
  virtual absl::StatusOr<absl::Duration> Commit(Batch batch, uint64_t sequence) = 0;
  virtual std::shared_ptr<const View> MakeView() = 0;

  // What it says of itself: the generation is that of the manifest that it was last told of, 0 at first. The setters
  // are as a Commit; the identity is set before anybody else uses the store.
  virtual StoreMark mark() const = 0;
  virtual absl::Status SetGeneration(uint64_t generation) = 0;
  virtual absl::Status SetIdentity(std::string_view identity) = 0;
  // What the layout files that were written last have for a name; empty: none were. The setter is as a Commit.
  virtual std::string layout() const = 0;
  virtual absl::Status SetLayout(std::string_view name) = 0;

  // The table files of now, which hold what is not in the log. CheckTable reads all of one and compares its checksums:
  // DATA_LOSS names it, unless it is no longer one of them.
  struct Table {
    std::string name;
    uint64_t bytes = 0;
  };
  virtual std::vector<Table> Tables() const = 0;
  virtual absl::Status CheckTable(const Table& table) const = 0;

  // OK, or what went wrong, from the first fault of the disk until Recover returns OK.
  virtual absl::Status health() const = 0;
  // Tries to take writes again, if health() is not OK: writes what is in memory to files and begins a new log. An error
  // where the fault has not passed. Blocks on the disk.
  virtual absl::Status Recover() = 0;
  // Its collection was dropped, and its files are about to be removed: what fails from now on is NOT_FOUND.
  virtual void Leave() = 0;

  // Floats of `ids`, documents of the shard, under `embedding`, as written; nullopt where there are none.
  virtual absl::StatusOr<std::vector<std::optional<std::string>>> GetFloats(const View* view, uint32_t embedding,
                                                                            uint32_t shard,
                                                                            absl::Span<const std::string_view> ids) = 0;
  // Their attributes' bytes; what is read for them stays in the block cache, if it is to be filled.
  virtual absl::StatusOr<std::vector<std::optional<std::string>>> GetDocuments(const View* view, uint32_t shard,
                                                                               absl::Span<const std::string_view> ids,
                                                                               bool fill_cache) = 0;
  // Their codes in a space, as stored (DecodeCode), past the block cache.
  virtual absl::StatusOr<std::vector<std::optional<std::string>>> GetCodes(const View* view, uint32_t space,
                                                                           uint32_t shard,
                                                                           absl::Span<const std::string_view> ids) = 0;

  // What the last batch that said so put there; empty if none did.
  virtual absl::StatusOr<std::string> GetApplied(const View* view) = 0;

  // Calls `visit(id, attributes bytes, codes, marks)` for every document of a shard in the order of the ids, with its
  // code in each of `spaces` (nullopt where it has none) and those of `embeddings` it has a mark of. Stops at the first
  // error, of its own or of `visit`.
  using Visitor =
      std::function<absl::Status(std::string_view id, std::string_view attributes,
                                 absl::Span<const std::optional<StoredCode>> codes, absl::Span<const uint32_t> marks)>;
  virtual absl::Status VisitDocuments(const View* view, uint32_t shard, absl::Span<const uint32_t> spaces,
                                      absl::Span<const uint32_t> embeddings, const Visitor& visit) = 0;
  // Calls `visit(id, floats)` for all floats of an embedding in a shard in the order of the ids. Stops at the first
  // error.
  using FloatVisitor = std::function<absl::Status(std::string_view id, std::string_view bytes)>;
  virtual absl::Status VisitFloats(const View* view, uint32_t embedding, uint32_t shard, const FloatVisitor& visit) = 0;

  // Adds this store's gauges.
  virtual void AddStats(StorageStats& stats) const = 0;

  // Numbers of the spaces, and of the embeddings, that have anything on disk.
  virtual absl::StatusOr<std::vector<uint32_t>> StoredSpaces() = 0;
  virtual absl::StatusOr<std::vector<uint32_t>> StoredEmbeddings() = 0;

  // Gives back the disk space of a deleted space, or of deleted floats, once no View is left that sees them.
  virtual absl::Status CompactSpace(uint32_t space) = 0;
  virtual absl::Status CompactFloats(uint32_t embedding) = 0;
  // Ends them soon, those to come too: CANCELLED. For the end of the process, which then need not wait for them: what
  // is left is given back in the background, also of the next process.
  virtual void EndCompactions() = 0;

  // Writes what is in memory to files, which makes a Checkpoint that follows quick.
  virtual absl::Status Flush() = 0;
  // Makes `path`, which must not exist, a store of its own with what is committed now. Files that never change are
  // shared by hard links where the file system allows it.
  virtual absl::Status Checkpoint(const std::string& path) = 0;

  // Commit that another one may follow before it ends. `logged` is called, by the same thread, when the log is synced:
  // then the next may be called, on another thread. None of the batch can be read before `logged` has returned, so it
  // may wait until a view was made of what is there. Where the commit fails `logged` may not be called.
  virtual absl::StatusOr<absl::Duration> CommitInSteps(Batch batch, uint64_t sequence,
                                                       absl::FunctionRef<void()> logged) = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_COLLECTION_STORE_H_
