// The value types of collections, their versions, aliases and snapshots.
#ifndef BEBR_INDEX_TYPES_COLLECTION_H_
#define BEBR_INDEX_TYPES_COLLECTION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "index/types/document.h"

namespace bebr {

inline constexpr size_t kMaxCollectionNameBytes = 128;  // [a-zA-Z0-9_.-], starting with a letter or digit
inline constexpr size_t kMaxShards = 256;
inline constexpr uint32_t kMaxVersions = 254;  // that a collection has ever had
inline constexpr size_t kMaxCheckQueries = 1000;
inline constexpr size_t kMaxCheckK = 100;
inline constexpr uint64_t kMaxExpectedDocuments = uint64_t{1} << 40;

inline constexpr uint32_t kMaxAutoDims = 4096;
inline constexpr uint32_t kMinAutoBits = 32;
inline constexpr uint32_t kMaxAutoBits = 8192;
inline constexpr size_t kMaxAutoEvents = 32;  // that are kept

// What binarizers the engine is to make for a collection that has no model file.
struct AutoBinarizerConfig {
  uint32_t dims = 0;  // of the embeddings: 2..kMaxAutoDims
  uint32_t bits = 0;  // of a code: a multiple of 32; 0 = as many as `recall` takes, or a usual number
  double recall =
      0.0;  // recall@10 of the codes that each fit is to reach with as few bits as it can; 0 = `bits` decides
  Metric metric = Metric::kCosine;
};

// How far the engine has come with the binarizers that it makes for a collection.
enum class AutoState : uint8_t {
  kCollecting = 0,   // the first binarizer, which knows nothing of the data, serves until enough documents are there
  kFitting = 1,      // to a sample of the stored floats
  kBackfilling = 2,  // the fitted version encodes the documents
  kChecking = 3,     // it is compared with the default version
  kFitted = 4,       // the default version is a fitted one
  kFinal = 5,        // and no other will follow: no floats are stored
};

// Something that was done with the binarizers of a collection, and why.
struct AutoEvent {
  int64_t unix_us = 0;
  std::string text;
};

// What a collection with binarizers of the engine's making says of them.
struct AutoInfo {
  AutoState state = AutoState::kCollecting;
  AutoBinarizerConfig config;
  uint64_t fitted_documents = 0;    // there at the last fit; 0 = there was none
  uint64_t next_fit_documents = 0;  // that bring the next fit, if nothing else does
  double recall = 0.0;              // recall@10 of the default version's codes, as measured last; 0 = not measured
  double recall_goal = 0.0;         // below it there is a new fit
  uint32_t fits = 0;
  uint32_t promotions = 0;
  std::vector<AutoEvent> events;  // the last ones, oldest first
  std::string error;              // of the last attempt, which is made again
};

// What a new collection is to be.
struct CollectionConfig {
  std::string name;
  std::string version = "v1";  // of the model file given with it: the first version, and the default
  FloatStorage store_floats = FloatStorage::kNone;
  uint32_t shards = 0;  // 0 = the processors available, at most 8
  // Memory for so many documents, by the memory formula with ids of 16 bytes, is set aside: what would not fit is
  // refused now. 0 = nobody knows.
  uint64_t expected_documents = 0;
  // Binarizers of the engine's making, in place of a model file. Without stored floats the documents' floats are kept
  // until the first fit, which is then the only one.
  std::optional<AutoBinarizerConfig> auto_binarizer;
  // Candidates of a search that leaves it to the collection (SearchRequest::collection_rerank); 0 = none, or with
  // auto_binarizer as many as a recall@10 of 0.99 takes.
  uint32_t default_rerank = 0;
  AttributeSchema attributes;  // kinds and storage of attributes, by name; others are of any kind
};

// What a version added to a collection is to be.
struct VersionConfig {
  std::string name;
  // A version into whose space the model maps: the code shapes must be the same. Empty: a space of its own.
  std::string compatible_with;
  // A version whose embeddings this one takes too: another binarizer for the same upstream model. The floats are stored
  // once, and a write of one version is encoded for both. Empty: embeddings of its own.
  std::string same_embeddings_as;
};

// What a comparison of a version with another one found. Shares are of the k nearest documents, averaged over the
// queries.
struct VersionCheck {
  int64_t checked_unix_us = 0;
  std::string against;  // the other version
  uint32_t queries = 0;
  uint32_t k = 0;
  double recall = 0;          // of the version's exact float neighbours, found by its code search
  double against_recall = 0;  // the same of the other version
  double overlap = 0;         // of the two versions' answers
  uint64_t documents = 0;     // with floats of the version
  uint64_t against_documents = 0;
  double score_error = 0;  // of the version, as of RecallSample
  double score_error_p99 = 0;
};

// What a comparison of two versions is to do: Engine::CheckVersion.
struct CheckRequest {
  std::string version;
  std::string against;    // empty = the default version
  uint32_t sample = 200;  // documents whose stored floats are the queries: 1..kMaxCheckQueries
  uint32_t k = 10;        // 1..100
  // Instead of a sample, embeddings of the two versions: as many of one as of the other; borrowed.
  std::vector<absl::Span<const float>> queries;
  std::vector<absl::Span<const float>> against_queries;
  absl::Duration deadline = absl::InfiniteDuration();  // on the clock of SteadyNow(), index/base/clock.h
  std::shared_ptr<std::atomic<bool>> cancelled;        // may be null; set by the caller at any time
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

// What a probe of a share of the documents finds of what a search of all documents finds.
struct ProbePoint {
  float share = 0;
  float recall = 0;
};

// Recall of a version's codes as the monitor found it last: of the k exact neighbours by the stored floats of sampled
// documents, the mean share among the first k of its code search.
struct RecallSample {
  absl::Time measured;
  double recall = 0;
  uint32_t queries = 0;
  uint32_t k = 0;
  // |estimated - exact score| over the exact neighbours: mean and 99th percentile.
  double score_error = 0;
  double score_error_p99 = 0;
  // By rising share; empty: the space has no groups, or there were too few queries to say.
  std::vector<ProbePoint> probe;
};

// An embedding version as it is now.
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

// Bytes the engine holds in memory for a collection; the formula: index/README.md. `total` is their sum.
struct MemoryUse {
  uint64_t codes = 0;  // packed codes and factors
  uint64_t ids = 0;    // ids and the id table
  uint64_t attributes = 0;
  uint64_t models = 0;
  uint64_t total = 0;
};

// The attributes of documents to come, for an estimate of memory.
struct AttributeLoad {
  double per_document = 0.0;    // attributes that a document has, in the mean, all kinds
  uint64_t distinct_texts = 0;  // different texts and lists that filters compare, in all
  double text_bytes = 0.0;      // their mean length
};

// A collection as it is now.
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
  uint64_t sequence = 0;      // number of the last mutation
  MemoryUse memory;           // measured
  uint64_t disk_bytes = 0;
  std::string problem;                // why it takes no writes; empty: it does
  std::string damage;                 // what scrubbing found and could not mend; empty: nothing
  uint32_t default_rerank = 0;        // candidates of a search that leaves it to the collection; 0: none
  AttributeSchema attributes;         // as it was created with
  std::optional<AutoInfo> auto_info;  // of a collection whose binarizers the engine makes
};

// Another name of a collection.
struct Alias {
  std::string name;
  std::string collection;
};

// A collection as it was at one moment.
struct SnapshotInfo {
  std::string collection;
  std::string name;
  absl::Time created;
  uint64_t documents = 0;
  uint64_t bytes = 0;  // of files, also those that are shared with the collection by hard links
  // Of a node that follows a log: after which position the collection was so (0: of a server by itself), and the slots
  // of which it has the documents.
  uint64_t position = 0;
  uint32_t first_slot = 0, last_slot = 0;
  std::string problem;  // of a cluster's: why it cannot be restored now
};

// A collection that is on disk but cannot be opened. Everything that is asked of it fails with the reason, but dropping
// it.
struct UnavailableCollection {
  std::string name;
  std::string reason;
};

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_COLLECTION_H_
