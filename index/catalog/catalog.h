#ifndef BEBR_INDEX_CATALOG_CATALOG_H_
#define BEBR_INDEX_CATALOG_CATALOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/document.h"
#include "index/binarizer/binarizer.h"
#include "index/code/code_spec.h"

namespace bebr {

// A code space of a collection.
struct Space {
  uint32_t number = 0;
  CodeSpec spec;
};

// An embedding version of a collection. Numbers are never used twice.
struct Version {
  uint32_t number = 0;
  std::string name;
  uint32_t space = 0;
  bool retired = false;
  std::shared_ptr<const Binarizer> binarizer;  // null once retired
};

// What a collection is, without its documents. A value: it is changed by writing a changed copy.
struct CollectionManifest {
  std::string name;
  int64_t created_unix_us = 0;
  FloatStorage store_floats = FloatStorage::kNone;
  uint32_t shards = 1;
  std::string default_version;
  std::vector<Space> spaces;      // in use
  std::vector<Version> versions;  // retired ones too
  uint32_t next_space = 0;        // the number of the next space

  // Of a version in use; an empty name stands for the default. NOT_FOUND names the versions there are.
  absl::StatusOr<const Version*> FindVersion(std::string_view version_name) const;
  const Version* VersionByNumber(uint32_t number) const;
  const Space* FindSpace(uint32_t number) const;
};

// INVALID_ARGUMENT, naming `field`, unless 1..128 bytes of [a-zA-Z0-9_.-], the first a letter or digit.
absl::Status ValidateName(std::string_view field, std::string_view name);

// The Catalog keeps the manifests and model files of a data directory (FORMAT.md): one directory per collection. Each
// change is one atomic rename, so that after a crash a collection, or a version, is there wholly or not at all.
//
// Thread safety: none; the engine calls it under its lock.
class Catalog {
 public:
  // Removes what an interrupted creation or deletion left behind.
  static absl::StatusOr<std::unique_ptr<Catalog>> Open(std::string data_dir);

  std::string CollectionPath(std::string_view name) const;
  // All manifests, their binarizers loaded.
  absl::StatusOr<std::vector<CollectionManifest>> Load() const;
  // Makes the directory with the manifest and the model file of its only version.
  absl::Status Create(const CollectionManifest& manifest, std::string_view model_file);
  // Writes a changed manifest; where `model_file` is not empty it belongs to the last version and is written first.
  absl::Status Update(const CollectionManifest& manifest, std::string_view model_file);
  // After this the collection does not exist; its files are gone or will be at the next Open.
  absl::Status Remove(std::string_view name);

 private:
  explicit Catalog(std::string root) : root_(std::move(root)) {}
  std::string root_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_CATALOG_CATALOG_H_
