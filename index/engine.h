// The engine's whole public surface: what the server may use, beside the value types of index/base.
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
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "index/base/document.h"
#include "index/catalog/snapshots.h"
#include "index/catalog/version_check.h"
#include "index/search/search_types.h"
#include "index/storage/storage_stats.h"

namespace bebr {

inline constexpr size_t kMaxCollectionNameBytes = 128;  // [a-zA-Z0-9_.-], starting with a letter or digit
inline constexpr size_t kMaxShards = 256;
inline constexpr size_t kMaxDocumentsPerRequest = 10000;
inline constexpr size_t kMaxCheckQueries = 1000;
inline constexpr size_t kMaxCheckK = 100;

struct EngineOptions {
  std::string data_dir;
  std::string snapshot_dir;          // empty: data_dir/snapshots
  size_t threads = 0;                // of scans and encoding; 0 = the processors available
  size_t max_queued_queries = 4096;  // waiting for a scan, over all collections; more are refused
  uint64_t max_queued_upsert_bytes = uint64_t{256}
                                     << 20;  // of floats waiting to be encoded and committed; more are refused
  uint64_t memory_limit_bytes =
      0;  // codes, ids and attributes of all collections; writes beyond are refused; 0 = no limit
  uint64_t min_free_disk_bytes = 0;                   // with less free disk, what adds data is refused; 0 = no limit
  uint64_t write_buffer_bytes = uint64_t{112} << 20;  // of one shard's RocksDB
  uint64_t block_cache_bytes = uint64_t{128} << 20;   // of RocksDB, for all collections
  // Recall of every version that has stored floats, measured so often on so many sampled documents, reading so many
  // documents a second at most (0 = no limit). An interval of 0: never.
  absl::Duration recall_monitor_interval = absl::ZeroDuration();
  size_t recall_monitor_queries = 100;
  uint64_t recall_monitor_documents_per_s = 50000;
};

// ---- Collections ----

struct CollectionConfig {
  std::string name;
  std::string version = "v1";  // of the model file given with it: the first version, and the default
  FloatStorage store_floats = FloatStorage::kNone;
  uint32_t shards = 0;  // 0 = the processors available, at most 8
  // Memory for so many documents, by the memory formula with ids of 16 bytes, is set aside: what would not fit is
  // refused now. 0 = nobody knows.
  uint64_t expected_documents = 0;
};

struct VersionConfig {
  std::string name;
  // A version into whose space the model maps: the code shapes must be the same. Empty: a space of its own.
  std::string compatible_with;
  // A version whose embeddings this one takes too: another binarizer for the same upstream model. The floats are stored
  // once, and a write of one version is encoded for both. Empty: embeddings of its own.
  std::string same_embeddings_as;
};

// How far an upgrade to a version has come.
enum class VersionState : uint8_t {
  kAdded = 0,        // some documents have no code in its space: its searches do not find them
  kBackfilling = 1,  // the server is re-encoding documents
  kReady = 2,        // every document has a code in its space
  kDefault = 3,
  kRetired = 4,
};

// What a re-encoding in the background does, or did since the engine was opened.
struct BackfillInfo {
  bool running = false;
  uint64_t limit_documents_per_s = 0;  // 0 = none
  uint64_t written = 0;                // documents re-encoded
  double documents_per_s = 0;          // lately; 0 when it does not run
  std::string error;                   // why it ended early
};

// Recall of a version's codes as the monitor found it last: of the k exact neighbours by the stored floats of sampled
// documents, the mean share among the first k of its code search.
struct RecallSample {
  absl::Time measured;
  double recall = 0;
  uint32_t queries = 0;
  uint32_t k = 0;
};

struct VersionInfo {
  std::string name;
  VersionState state = VersionState::kAdded;
  uint32_t space = 0;              // number of the code space it maps into
  std::string same_embeddings_as;  // the first version that takes these embeddings, if that is another one
  uint32_t input_dims = 0;
  uint32_t query_levels = 0;
  std::string code;   // shape of the space's codes, e.g. "32x4+64x3+96x2"
  uint32_t bits = 0;  // a document's code, without padding
  Metric metric = Metric::kCosine;
  uint32_t model_checksum = 0;
  std::string model;                     // one line for people
  uint64_t documents = 0;                // whose code this version wrote
  uint64_t embeddings = 0;               // documents with stored floats that it takes
  std::optional<BackfillInfo> backfill;  // the last one since the engine was opened
  std::optional<VersionCheck> check;     // the last one
  std::optional<RecallSample> recall;    // if the monitor is on and has measured it
};

// Bytes the engine holds in memory for a collection; FORMAT: README "Memory". `total` is their sum.
struct MemoryUse {
  uint64_t codes = 0;  // packed codes and factors
  uint64_t ids = 0;    // ids and the id table
  uint64_t attributes = 0;
  uint64_t models = 0;
  uint64_t total = 0;
};

struct CollectionInfo {
  std::string name;
  std::string default_version;
  std::string previous_default;  // the default before the last promotion; empty if it is retired or there was none
  FloatStorage store_floats = FloatStorage::kNone;
  uint32_t shards = 0;
  uint64_t expected_documents = 0;  // 0: not told
  absl::Time created;
  std::vector<VersionInfo> versions;
  uint64_t documents = 0;
  uint64_t deleted_rows = 0;  // replaced or deleted rows whose memory is not yet reclaimed
  uint64_t sequence = 0;      // sum over shards of the last mutation's number
  MemoryUse memory;           // measured
  uint64_t disk_bytes = 0;
};

// ---- Documents ----

// One embedding of a document. `values` is borrowed: it stays valid until the call's `done` has run.
struct EmbeddingInput {
  std::string_view version;  // empty = the collection's default version
  absl::Span<const float> values;
};

struct DocumentInput {
  std::string id;
  Attributes attributes;
  std::vector<EmbeddingInput> embeddings;  // at least one
};

enum class UpsertMode : uint8_t {
  kReplace = 0,  // inserts a document, or replaces all of it
  kMerge = 1,    // adds embeddings to documents that exist; attributes and other embeddings stay
};

struct UpsertRequest {
  std::string collection;
  std::vector<DocumentInput> documents;  // 1..kMaxDocumentsPerRequest; of equal ids the last one wins
  UpsertMode mode = UpsertMode::kReplace;
};

struct UpsertResult {
  uint64_t documents = 0;
  uint64_t created = 0;                  // the rest were there before
  std::vector<std::string> unknown_ids;  // of a merge: documents that do not exist and were not written
};

struct StoredEmbedding {
  std::string version;
  std::vector<float> values;  // as stored: rounded to f16 if the collection keeps f16; empty if it keeps none
};

struct Document {
  std::string id;
  Attributes attributes;
  std::vector<StoredEmbedding> embeddings;
};

// What has happened since the engine was opened; every number only grows, except the gauges.
struct EngineStats {
  uint64_t queries = 0;
  uint64_t scans = 0;
  uint64_t documents_scanned = 0;  // documents x queries
  uint64_t bytes_scanned = 0;
  uint64_t documents_upserted = 0;
  uint64_t documents_deleted = 0;
  uint64_t documents_reencoded = 0;  // by backfills
  uint64_t refused_queries = 0;
  uint64_t refused_upserts = 0;  // the queue was full
  uint64_t refused_memory = 0;   // writes beyond memory_limit_bytes
  uint64_t refused_disk = 0;     // writes with less than min_free_disk_bytes left
  uint64_t failed_commits = 0;   // writes that storage did not take, by group
  uint64_t recall_measured = 0;  // by the recall monitor, and attempts that failed
  uint64_t recall_failed = 0;
  uint64_t encode_us = 0;  // of documents: processor time by stage of ingestion
  uint64_t commit_us = 0;  // RocksDB write and sync
  uint64_t apply_us = 0;   // scan layout
  uint64_t scan_us = 0;
  uint64_t queued_queries = 0;       // gauge
  uint64_t queued_upsert_bytes = 0;  // gauge
  uint64_t disk_free_bytes = 0;      // gauge, of the file system of data_dir
  uint64_t disk_total_bytes = 0;
  StorageStats storage;
  std::string simd;  // name of the kernel table in use
  size_t threads = 0;
};

struct CheckRequest {
  std::string version;
  std::string against;    // empty = the default version
  uint32_t sample = 200;  // documents whose stored floats are the queries: 1..kMaxCheckQueries
  uint32_t k = 10;        // 1..100
  // Instead of a sample, embeddings of the two versions: as many of one as of the other; borrowed.
  std::vector<absl::Span<const float>> queries;
  std::vector<absl::Span<const float>> against_queries;
};

struct Alias {
  std::string name;
  std::string collection;
};

// An Engine serves the collections of one data directory, which it locks.
//
// Wherever a collection is named, one of its aliases will do, but for DeleteCollection.
//
// Guarantees. When `done` of an Upsert or Delete reports OK, the effect is on disk (write-ahead log synced) and in
// every search submitted from then on. A failed write has no effect at all. A search sees one consistent snapshot of
// every shard. Results depend on data and query alone: not on threads, instruction set, insertion order or restarts.
//
// Errors. INVALID_ARGUMENT names field, value and limit. NOT_FOUND: unknown collection or version. ALREADY_EXISTS.
// RESOURCE_EXHAUSTED: queue, memory or disk limit; try again later. DEADLINE_EXCEEDED and CANCELLED: a search ended
// early. UNAVAILABLE: shutting down. DATA_LOSS: a checksum on disk is wrong.
//
// Thread safety: all methods may be called from any thread. `done` runs once, on one of the engine's threads (or the
// caller's, for errors found at once), and must not block. Destruction waits for what is in flight.
class Engine {
 public:
  static absl::StatusOr<std::unique_ptr<Engine>> Open(EngineOptions options);
  virtual ~Engine() = default;

  // RESOURCE_EXHAUSTED if its expected documents would not fit, by the memory formula, beside what the other
  // collections hold or expect, in memory_limit_bytes or, where there is none, in the machine's memory.
  virtual absl::Status CreateCollection(const CollectionConfig& config, std::string_view model_file) = 0;
  virtual absl::Status DeleteCollection(std::string_view name) = 0;
  virtual absl::StatusOr<CollectionInfo> GetCollection(std::string_view name) = 0;
  virtual std::vector<std::string> ListCollections() = 0;

  // Adds a version to a collection; nothing else changes. RESOURCE_EXHAUSTED, as of CreateCollection, if the codes of a
  // space of its own would not fit.
  virtual absl::Status AddVersion(std::string_view collection, const VersionConfig& config,
                                  std::string_view model_file) = 0;
  // Makes `version` the default; FAILED_PRECONDITION if `expected_default` is not empty and not the default now, or if
  // no document has a code in the version's space, unless `force`.
  virtual absl::Status PromoteVersion(std::string_view collection, std::string_view version,
                                      std::string_view expected_default, bool force) = 0;
  // Drops a version: its floats if no other version takes them, and its space's codes if no other version maps into
  // that space. Blocks until the disk space is free.
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

  // Keeps the collection as it is now, while searches go on and writes wait for a moment. An empty `name`: the time.
  virtual absl::StatusOr<SnapshotInfo> CreateSnapshot(std::string_view collection, std::string_view name) = 0;
  // Of one collection, or of all where the name is empty; also of dropped ones.
  virtual absl::StatusOr<std::vector<SnapshotInfo>> ListSnapshots(std::string_view collection) = 0;
  // Makes a new collection of a snapshot: versions, documents and answers are those of its moment. RESOURCE_EXHAUSTED
  // if it would not fit, as for CreateCollection.
  virtual absl::Status RestoreSnapshot(std::string_view collection, std::string_view name,
                                       std::string_view new_collection) = 0;
  virtual absl::Status DeleteSnapshot(std::string_view collection, std::string_view name) = 0;

  virtual void Upsert(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done) = 0;
  // `done` gets the number of documents that were there.
  virtual void Delete(std::string_view collection, std::vector<std::string> ids,
                      absl::AnyInvocable<void(absl::StatusOr<uint64_t>)> done) = 0;
  // The documents that exist, in the order of `ids`. Blocks on disk reads.
  virtual absl::StatusOr<std::vector<Document>> Get(std::string_view collection, absl::Span<const std::string> ids,
                                                    bool with_embeddings) = 0;

  virtual void Search(SearchRequest request, absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done) = 0;

  virtual EngineStats Stats() = 0;
  // The memory formula: bytes for `documents` documents of a collection like `collection`, with ids of `id_bytes` bytes
  // on average.
  virtual absl::StatusOr<MemoryUse> EstimateMemory(std::string_view collection, uint64_t documents,
                                                   double id_bytes) = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_ENGINE_H_
