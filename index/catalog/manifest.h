// What a collection is, apart from its documents, and the file that says so (FORMAT.md).
#ifndef BEBR_INDEX_CATALOG_MANIFEST_H_
#define BEBR_INDEX_CATALOG_MANIFEST_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/binarizer/binarizer.h"
#include "index/code/code_spec.h"
#include "index/storage/collection_store.h"
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
  std::optional<StoreMark> mark = StoreMark();  // none: the file is one of an earlier server
  int64_t created_unix_us = 0;
  FloatStorage store_floats = FloatStorage::kNone;
  uint32_t shards = 1;
  std::string default_version;
  std::string previous_default;     // before the last promotion; may be empty
  std::vector<Space> spaces;        // in use
  std::vector<Version> versions;    // retired ones too
  uint32_t next_space = 0;          // the number of the next space
  uint64_t expected_documents = 0;  // for which memory is set aside; 0: nobody said
  uint32_t default_rerank = 0;      // candidates of a search that leaves it to the collection; 0: none
  AttributeSchema attributes;
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
absl::Status WriteManifest(const std::string& directory, const CollectionManifest& manifest, bool synced = true);

// A new one for a collection of that name: for its manifest and its store (StoreMark).
std::string NewIdentity(std::string_view name);

// Where a directory has the model file of one of its versions.
std::string ModelPath(const std::string& directory, uint32_t version);

// INVALID_ARGUMENT, naming `field`, unless 1..128 bytes of [a-zA-Z0-9_.-], the first a letter or digit.
absl::Status ValidateName(std::string_view field, std::string_view name);

}  // namespace bebr

#endif  // BEBR_INDEX_CATALOG_MANIFEST_H_
