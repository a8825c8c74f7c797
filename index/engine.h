// The engine's whole public surface: what the server may use, beside the value types of index/types.
//
//   BEBR_ASSIGN_OR_RETURN(auto engine, Engine::Open({.data_dir = "/var/lib/bebr"}));
//   BEBR_RETURN_IF_ERROR(engine->CreateCollection({.name = "papers", .version = "v1"}, model_file));
//   engine->Upsert({.collection = "papers", .documents = docs}, [](absl::StatusOr<UpsertResult> result) { ... });
//   engine->Search({.collection = "papers", .queries = {query}, .k = 10}, [](absl::StatusOr<SearchResult> result) { ...
//   });
#ifndef BEBR_INDEX_ENGINE_H_
#define BEBR_INDEX_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "index/types/browse.h"
#include "index/types/collection.h"
#include "index/types/document.h"
#include "index/types/repair.h"
#include "index/types/search.h"
#include "index/types/stats.h"
#include "index/types/write.h"

namespace bebr {

// How an engine is to run.
struct EngineOptions {
  std::string data_dir;
  std::string snapshot_dir;          // empty: data_dir/snapshots
  size_t threads = 0;                // of scans and encoding; 0 = the processors available
  size_t max_queued_queries = 4096;  // waiting for a scan, over all collections; more are refused
  size_t max_kept_views = 64;        // for calls to come (keep_view); more are refused
  uint64_t max_queued_upsert_bytes = uint64_t{256}
                                     << 20;  // of floats waiting to be encoded and committed; more are refused
  uint64_t memory_limit_bytes =
      0;  // codes, ids and attributes of all collections; writes beyond are refused; 0 = no limit
  uint64_t min_free_disk_bytes = 0;                   // with less free disk, what adds data is refused; 0 = no limit
  uint64_t write_buffer_bytes = uint64_t{112} << 20;  // of a collection's RocksDB
  uint64_t block_cache_bytes = uint64_t{128} << 20;   // of RocksDB, for all collections
  // Recall of every version that has stored floats, measured so often on so many sampled documents, reading so many
  // documents a second at most (0 = no limit). An interval of 0: never.
  absl::Duration recall_monitor_interval = absl::ZeroDuration();
  size_t recall_monitor_queries = 100;
  uint64_t recall_monitor_documents_per_s = 50000;
  // Codes in memory are compared with storage, and table files read whole, in passes that begin so often and read so
  // many bytes a second at most (0 = no limit). An interval of 0: never.
  absl::Duration scrub_interval = absl::ZeroDuration();
  uint64_t scrub_bytes_per_s = uint64_t{8} << 20;
  // Collections without a model file: the documents that bring the first fit, and how long without new ones is quiet,
  // from which the other times follow (index/learn/learner.h). They read as fast as the recall monitor may.
  uint64_t auto_first_documents = 2000;
  absl::Duration auto_pace = absl::Seconds(10);
};

// A collection that takes no writes, for a fault of the disk, until that has passed.
struct ReadOnlyCollection {
  std::string name;
  std::string reason;
};

// A collection that serves, although scrubbing has found damage that it could not mend.
struct DamagedCollection {
  std::string name;
  std::string reason;
};

// An Engine serves the collections of one data directory, which it locks.
//
// Wherever a collection is named, one of its aliases will do, but for DeleteCollection.
//
// Guarantees. When `done` of an Upsert or Delete reports OK, the effect is on disk (write-ahead log synced) and in
// every search submitted from then on. A request is atomic: a search, a Get or a snapshot sees all of its documents as
// it left them or none, and so does the next start after a crash. A failed write has no effect; if it failed on the
// disk, the next start may find it, and then all of it. Results depend on data and query alone: not on threads,
// instruction set, insertion order or restarts.
//
// Errors. INVALID_ARGUMENT names field, value and limit. NOT_FOUND: unknown collection or version. ALREADY_EXISTS.
// RESOURCE_EXHAUSTED: queue, memory or disk limit; try again later. DEADLINE_EXCEEDED and CANCELLED: a search ended
// early. UNAVAILABLE: shutting down, or the disk failed. DATA_LOSS: a checksum on disk is wrong.
//
// Faults of the disk. A collection whose write failed takes no more of them until the disk does: that is tried again
// about once a second. Searches go on meanwhile; CollectionInfo::problem and EngineStats::failing_collections tell of
// it. A write that failed for such a fault may be there, whole, after a crash.
//
// Thread safety: all methods may be called from any thread. `done` runs once, on one of the engine's threads or the
// caller's (for errors and searches that read little), and must not block. Destruction waits for what is in flight.
class Engine {
 public:
  static absl::StatusOr<std::unique_ptr<Engine>> Open(EngineOptions options);
  virtual ~Engine() = default;
  // Its end begins, so nobody waits for the disk space of what was dropped any more; it is to be over by `time` on the
  // clock of SteadyNow() (index/base/clock.h): what would only make the next start quicker is given up then.
  virtual void EndBy(absl::Duration time) { static_cast<void>(time); }

  // Takes over those of the options that may change while it runs: max_queued_queries, max_kept_views,
  // max_queued_upsert_bytes, memory_limit_bytes, min_free_disk_bytes, block_cache_bytes. What is queued or held already
  // stays.
  virtual void SetLimits(const EngineOptions& options) = 0;

  // RESOURCE_EXHAUSTED if its expected documents would not fit, by the memory formula, beside what the other
  // collections hold or expect, in memory_limit_bytes or, where there is none, in the machine's memory.
  // With config.auto_binarizer the file is not looked at.
  virtual absl::Status CreateCollection(const CollectionConfig& config, std::string_view model_file) = 0;
  virtual absl::Status DeleteCollection(std::string_view name) = 0;
  virtual absl::StatusOr<CollectionInfo> GetCollection(std::string_view name) = 0;
  virtual std::vector<std::string> ListCollections() = 0;
  // Collections whose files are missing or damaged: they are served by errors alone, and hold up no other.
  virtual std::vector<UnavailableCollection> UnavailableCollections() = 0;
  // Those that take no writes: what CollectionInfo::problem says of each. Waits for nothing.
  virtual std::vector<ReadOnlyCollection> ReadOnlyCollections() = 0;
  // Those of which a file, or a row in memory, is damaged: what CollectionInfo::damage says of each. Waits for nothing.
  virtual std::vector<DamagedCollection> DamagedCollections() = 0;

  // Adds a version to a collection; nothing else changes. RESOURCE_EXHAUSTED, as of CreateCollection, if the codes of a
  // space of its own would not fit.
  virtual absl::Status AddVersion(std::string_view collection, const VersionConfig& config,
                                  std::string_view model_file) = 0;
  // Makes `version` the default; FAILED_PRECONDITION if `expected_default` is not empty and not the default now, or if
  // a document has no code in the version's space, unless `force`.
  virtual absl::Status PromoteVersion(std::string_view collection, std::string_view version,
                                      std::string_view expected_default, bool force) = 0;
  // Drops a version: its floats if no other version takes them, and its space's codes if no other version maps into
  // that space. Blocks until the disk space is free, or EndBy.
  virtual absl::Status RetireVersion(std::string_view collection, std::string_view version) = 0;

  // Starts to re-encode, in the background, every document that has floats of `version` and in its space no code, or
  // one that another version wrote. At most `documents_per_s`, 0 = no limit; starting it again changes the limit. What
  // is done is what documents have, so an interruption loses nothing; after a restart it goes on by itself. Ends when
  // nothing is left to do. FAILED_PRECONDITION if there are no such floats.
  virtual absl::Status StartBackfill(std::string_view collection, std::string_view version,
                                     uint64_t documents_per_s) = 0;
  // What was re-encoded stays so.
  virtual absl::Status StopBackfill(std::string_view collection, std::string_view version) = 0;
  // Compares two versions on queries that are sampled documents, or given: see VersionCheck, which is also kept.
  // FAILED_PRECONDITION where floats are missing. Reads all floats of both versions: costs that, and documents x
  // queries x dims multiplications. Blocks.
  virtual absl::StatusOr<VersionCheck> CheckVersion(std::string_view collection, const CheckRequest& request) = 0;

  // Makes `alias` another name of `collection`, or switches it to that, at once for all clients. FAILED_PRECONDITION if
  // `expected` is given and not what it names now (empty: it must be new). ALREADY_EXISTS if a collection has the name.
  virtual absl::Status SetAlias(std::string_view alias, std::string_view collection,
                                std::optional<std::string_view> expected) = 0;
  virtual absl::Status DeleteAlias(std::string_view alias) = 0;
  virtual std::vector<Alias> ListAliases() = 0;
  // The collection that `name` stands for: that of the alias, else `name` itself.
  virtual std::string Resolve(std::string_view name) = 0;

  // Keeps the collection as it is now, while searches go on and writes wait for a moment: every acknowledged write, and
  // of one that is under way all or nothing. An empty `name`: the time.
  virtual absl::StatusOr<SnapshotInfo> CreateSnapshot(std::string_view collection, std::string_view name) = 0;
  // Of one collection, or of all where the name is empty; also of dropped ones.
  virtual absl::StatusOr<std::vector<SnapshotInfo>> ListSnapshots(std::string_view collection) = 0;
  // When the newest snapshot of each collection that has one was made, also of dropped ones. Waits for nothing.
  virtual std::map<std::string, absl::Time> NewestSnapshots() = 0;
  // Makes a new collection of a snapshot: versions, documents and answers are those of its moment. RESOURCE_EXHAUSTED
  // if it would not fit, as for CreateCollection.
  virtual absl::Status RestoreSnapshot(std::string_view collection, std::string_view name,
                                       std::string_view new_collection) = 0;
  virtual absl::Status DeleteSnapshot(std::string_view collection, std::string_view name) = 0;

  virtual void Upsert(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done) = 0;
  // Of documents those that were there count.
  virtual void Delete(std::string_view collection, std::vector<std::string> ids,
                      absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) = 0;
  // Deletes all documents that satisfy a filter when the write's turn has come. INVALID_ARGUMENT if it matches
  // documents although it names attributes that none has, RESOURCE_EXHAUSTED if there are more than
  // kMaxFilteredDeletions.
  virtual void DeleteByFilter(const FilteredDeletion& request,
                              absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) = 0;
  // Changes attributes and nothing else of documents, by id or by filter, which goes as above. INVALID_ARGUMENT, naming
  // the document, if one would have more attributes than there may be: then none is changed.
  virtual void UpdateAttributes(AttributeUpdate update,
                                absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) = 0;
  // The documents that exist, in the order of `ids`. Blocks on disk reads.
  virtual absl::StatusOr<std::vector<Document>> Get(std::string_view collection, absl::Span<const std::string> ids,
                                                    bool with_embeddings) = 0;

  // Pages, counts and attributes' values of what is there now, or of a kept view; all by one filter, if there is one.
  // They block: on the filter and, for a page, on disk reads; deadline and cancellation end them early.
  virtual absl::StatusOr<Page> Scroll(const PageRequest& request) = 0;
  virtual absl::StatusOr<CountResult> Count(const CountRequest& request) = 0;
  absl::StatusOr<uint64_t> Count(std::string_view collection, std::string_view filter) {
    auto counted = Count({.collection = std::string(collection), .filter = std::string(filter)});
    if (!counted.ok()) return counted.status();
    return counted->documents;
  }
  virtual absl::StatusOr<FacetResult> Facets(const FacetRequest& request) = 0;

  // A query for what resembles the examples: the mean of the positive ones, and if there are negative ones, twice that
  // less the mean of those; of cosine, of vectors of length 1. NOT_FOUND for a document that does not exist,
  // FAILED_PRECONDITION for one without stored floats of the version. Blocks on disk reads.
  virtual absl::StatusOr<std::vector<float>> Recommend(const ExampleRequest& request) = 0;

  // With keep_view, and with a page's, what the call sees is kept for others, which name the result's view_token and
  // see the same. FAILED_PRECONDITION for a token that is none of the collection, or no more; RESOURCE_EXHAUSTED where
  // max_kept_views are kept. With `like` it blocks on disk reads first.
  virtual void Search(SearchRequest request, absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done) = 0;

  // Lets go of the view that a call has kept, if its answer reaches nobody.
  virtual void ReleaseView(const std::string& view_token) = 0;

  virtual EngineStats Stats() = 0;
  // The memory formula: bytes for `documents` documents of a collection like `collection`, with ids of `id_bytes` bytes
  // on average (0: 16, as is usual). Attributes that are not told of take as much a document as they do now.
  virtual absl::StatusOr<MemoryUse> EstimateMemory(std::string_view collection, uint64_t documents, double id_bytes,
                                                   const AttributeLoad& attributes = {}) = 0;
};

// Reads all of a data directory, which no engine may have open, and all snapshots in `snapshot_dir` (empty: those in
// the data directory), and compares checksums; writes nothing but the lock. `report` gets each collection and snapshot
// by its directory, and OK or what is wrong with it, naming the file; of a store with several damages each. An error
// only if it cannot be done: FAILED_PRECONDITION if the directory is in use. Cost: reads every byte.
absl::Status VerifyDataDirectory(const std::string& data_dir, const std::string& snapshot_dir,
                                 absl::FunctionRef<void(const std::string& directory, const absl::Status&)> report);

// Makes a collection of a data directory, which no engine may have open, whole again whose table files of codes are
// damaged or missing: codes that cannot be read are encoded again of stored floats. The damaged files are kept aside,
// nothing else is changed. DATA_LOSS if documents, a log, the manifest or a model are damaged, which only a snapshot
// mends; also, with the counts, if codes or floats are lost for good, unless `accept_loss`. Cost: reads and writes all
// of the collection.
absl::StatusOr<RepairReport> RepairCollection(const std::string& data_dir, const std::string& name, bool accept_loss);

}  // namespace bebr

#endif  // BEBR_INDEX_ENGINE_H_
