// What collections are, apart from their documents, and the files that say so (FORMAT.md).
#ifndef BEBR_INDEX_CATALOG_CATALOG_H_
#define BEBR_INDEX_CATALOG_CATALOG_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/mutex.h"
#include "index/binarizer/binarizer.h"
#include "index/code/code_spec.h"
#include "index/types/collection.h"
#include "index/types/document.h"
#include "index/types/formats.h"

namespace bebr {

// A code space of a collection.
struct Space {
  uint32_t number = 0;
  CodeSpec spec;
};

// A version's binarizer in figures and words: what is left of it once the version is retired.
struct ModelDescription {
  uint32_t input_dims = 0;
  uint32_t query_levels = 0;
  std::string code;   // shape, e.g. "32x4+64x3+96x2"
  uint32_t bits = 0;  // of a document's code
  Metric metric = Metric::kCosine;
  uint32_t checksum = 0;
  std::string words;  // one line
};
ModelDescription DescribeModel(const Binarizer& binarizer);

// An embedding version of a collection. Numbers are never used twice.
struct Version {
  uint32_t number = 0;
  std::string name;
  uint32_t space = 0;
  uint32_t embedding = 0;  // number of the first version that takes these embeddings: its own, or an older one's
  bool retired = false;
  std::shared_ptr<const Binarizer> binarizer;  // null once retired
  std::optional<uint32_t> model_checksum;  // of the binarizer's file, as the manifest was read; not told by format 1
  std::optional<ModelDescription> was;     // of a retired one, unless an earlier server retired it
  // The state of an upgrade: whether the server re-encodes for it, how fast at most (0: no limit), the last check.
  bool backfilling = false;
  uint64_t backfill_documents_per_s = 0;
  std::optional<VersionCheck> check;
};

// The default rerank of a version whose codes nobody has measured: of few documents so many hold nearly all neighbours.
inline constexpr uint32_t kUnmeasuredRerank = 500;

// What is kept of the binarizers that the engine makes for a collection: index/learn goes on from it after a restart.
struct AutoRecord {
  AutoBinarizerConfig config;
  bool keeps_floats = true;         // false: floats are stored only until a fitted version is the default
  bool measures_rerank = true;      // default_rerank is the engine's to set
  std::string version;              // the default, as far as the engine made it so
  std::string candidate;            // fitted, and on its way to become the default; empty: none
  std::string outgoing;             // was the default, and is to be retired; empty: none
  bool final = false;               // no fit will follow
  bool dropping_floats = false;     // they are no longer needed, and not all gone yet
  uint64_t fitted_documents = 0;    // there when the last fit began
  uint64_t fitted_rows = 0;         // to which the default version was fitted
  uint64_t measured_documents = 0;  // there when `recall` was measured
  double recall = 0.0;              // recall@10 of the default version's codes
  double recall_goal = 0.0;
  uint32_t fits = 0;
  uint32_t promotions = 0;
  std::vector<AutoEvent> events;  // the last kMaxAutoEvents
};

// What a collection is, without its documents. A value: it is changed by writing a changed copy.
struct CollectionManifest {
  uint32_t format = kManifestFormat;  // in a file of an earlier server: 1, which had a store for each shard
  std::string name;
  int64_t created_unix_us = 0;
  FloatStorage store_floats = FloatStorage::kNone;
  uint32_t shards = 1;
  std::string default_version;
  std::string previous_default;           // before the last promotion; may be empty
  std::vector<Space> spaces;              // in use
  std::vector<Version> versions;          // retired ones too
  uint32_t next_space = 0;                // the number of the next space
  uint64_t expected_documents = 0;        // for which memory is set aside; 0: nobody said
  uint32_t default_rerank = 0;            // candidates of a search that leaves it to the collection; 0: none
  std::optional<AutoRecord> auto_record;  // of a collection whose binarizers the engine makes

  // Whether floats are stored for good, so that there is rerank and re-encoding.
  bool KeepsFloats() const {
    return store_floats != FloatStorage::kNone && (!auto_record.has_value() || auto_record->keeps_floats);
  }

  // Of a version in use; an empty name stands for the default. NOT_FOUND names the versions there are.
  absl::StatusOr<const Version*> FindVersion(std::string_view version_name) const;
  const Version* VersionByNumber(uint32_t number) const;
  // Versions in use that take the embedding of that number.
  std::vector<const Version*> VersionsOfEmbedding(uint32_t embedding) const;
  const Space* FindSpace(uint32_t number) const;
};

// The manifest in a directory, its binarizers loaded; and the other way round, without the binarizers. DATA_LOSS names
// the file that is missing, damaged or contradicts itself.
absl::StatusOr<CollectionManifest> ReadManifest(const std::string& directory);
absl::Status WriteManifest(const std::string& directory, const CollectionManifest& manifest);

// Collections by alias.
using Aliases = std::map<std::string, std::string, std::less<>>;
// Those of a data directory; none if there is no such file.
absl::StatusOr<Aliases> ReadAliases(const std::string& data_dir);

// INVALID_ARGUMENT, naming `field`, unless 1..128 bytes of [a-zA-Z0-9_.-], the first a letter or digit.
absl::Status ValidateName(std::string_view field, std::string_view name);

// The Catalog keeps the manifests and model files of a data directory (FORMAT.md): one directory per collection. Each
// change is one atomic rename, so that after a crash a collection, or a version, is there wholly or not at all.
//
// Directories are not used twice while the process lives: what still has a dropped collection's files open, and writes
// to them by name, never meets those of a new one of the same name.
//
// Thread safety: all methods may be called from any thread, for different collections; for one collection, and for the
// aliases, the caller lets in one change at a time.
class Catalog {
 public:
  // Removes what an interrupted creation or deletion left behind.
  static absl::StatusOr<std::unique_ptr<Catalog>> Open(const std::string& data_dir);

  // The directory of a collection.
  std::string CollectionPath(std::string_view name) const;
  // Names of the collections that have a directory, sorted. What is none, such as lost+found or an empty directory, is
  // passed over with a warning. To be called before the others, unless there are none.
  absl::StatusOr<std::vector<std::string>> Names();
  // The manifest of one of them, its binarizers loaded.
  absl::StatusOr<CollectionManifest> Load(std::string_view name) const;
  // Makes the directory with the manifest and the model file of its only version; `fill` adds what else is in it.
  using Fill = std::function<absl::Status(const std::string& directory)>;
  absl::Status Create(const CollectionManifest& manifest, std::string_view model_file, const Fill& fill);
  // Writes a changed manifest in place of `before`; where `model_file` is not empty it belongs to the last version and
  // is written first.
  absl::Status Update(const CollectionManifest& before, const CollectionManifest& manifest,
                      std::string_view model_file);
  // After this the collection does not exist; its files are gone or will be at the next Open. An error: it is as
  // before.
  absl::Status Remove(std::string_view name);

  // Makes a collection of what is in the directory `from`, a snapshot: manifest, models and shards.
  absl::Status Restore(const CollectionManifest& manifest, const std::string& from);

  absl::StatusOr<Aliases> LoadAliases() const { return ReadAliases(data_dir_); }
  // Replaces all at once.
  absl::Status SaveAliases(const Aliases& aliases);

 private:
  // Makes the directory of a collection, which `fill` fills under another name; leaves nothing of a failure.
  absl::Status Build(const std::string& name, const Fill& fill);

  // A directory for a new collection: NAME, or NAME+2 and so on.
  absl::StatusOr<std::string> NewDirectory(const std::string& name);

  explicit Catalog(const std::string& data_dir) : data_dir_(data_dir), root_(data_dir + "/collections") {}
  const std::string data_dir_;
  const std::string root_;
  mutable Mutex mutex_;
  std::map<std::string, std::string, std::less<>> directories_ ABSL_GUARDED_BY(mutex_);  // by collection
  std::set<std::string> used_ ABSL_GUARDED_BY(mutex_);  // directories that are or were a collection's
};

}  // namespace bebr

#endif  // BEBR_INDEX_CATALOG_CATALOG_H_
