// Where the collections of a data directory lie, their manifests and model files, and their aliases (FORMAT.md).
#ifndef BEBR_INDEX_CATALOG_CATALOG_H_
#define BEBR_INDEX_CATALOG_CATALOG_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/mutex.h"
#include "index/catalog/aliases.h"
#include "index/catalog/catalog_record.h"
#include "index/catalog/manifest.h"

namespace bebr {

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
  // Removes what an interrupted creation or deletion left behind, as far as the disk lets it.
  static absl::StatusOr<std::unique_ptr<Catalog>> Open(const std::string& data_dir);

  // The directory of a collection.
  std::string CollectionPath(std::string_view name) const;
  // Names of the collections that have a directory, sorted. What is none, such as lost+found or an empty directory, is
  // passed over with a warning. To be called before the others, unless there are none.
  absl::StatusOr<std::vector<std::string>> Names();
  // Those that have none, though catalog.json lists them, as Names() found.
  std::vector<std::string> Missing() const;
  // The manifest of one of them, its binarizers loaded. Of a missing one DATA_LOSS, unless it is back: its directory
  // has what it must have, and is as the call before found it. So it is not taken while it is copied. One in whose
  // place another collection lies, by the identities in catalog.json, is missing too.
  absl::StatusOr<CollectionManifest> Load(std::string_view name);
  // How a collection was opened that was loaded. A missing one is missing until that succeeds; after DATA_LOSS or
  // FAILED_PRECONDITION Load gives that error until its directory changes.
  void NoteOpened(std::string_view name, const absl::Status& status);
  // Which collection it is that was opened, if catalog.json does not know; the next change of that file writes it, or
  // SaveIdentities.
  void NoteIdentity(const CollectionManifest& manifest);
  void SaveIdentities();
  // Reads catalog.json, if it could not be read, such as for an error of the disk; there may be more missing ones then.
  void ReadRecordAgain();
  // Makes the directory with the manifest and the model file of its only version; `fill` adds what else is in it, and
  // need not sync it: all of it is synced before the directory is put in its place.
  using Fill = std::function<absl::Status(const std::string& directory)>;
  absl::Status Create(const CollectionManifest& manifest, std::string_view model_file, const Fill& fill);
  // Writes a changed manifest in place of `before`; where `model_file` is not empty it belongs to the last version and
  // is written first.
  absl::Status Update(const CollectionManifest& before, const CollectionManifest& manifest,
                      std::string_view model_file);
  // After this the collection does not exist; its files, if it has any, are gone or will be at the next Open. An error:
  // it is as before.
  absl::Status Remove(std::string_view name);

  // Makes a collection of what is in the directory `from`, a snapshot: models and shards; `change`, which syncs what it
  // writes, gets the copy before it is put in its place.
  absl::Status Restore(const CollectionManifest& manifest, const std::string& from, const Fill& change);

  // The second replaces all at once, and comes after the first.
  absl::StatusOr<Aliases> LoadAliases();
  absl::Status SaveAliases(Aliases aliases);

 private:
  // Makes the directory of a collection, which `fill` fills under another name; leaves nothing of a failure.
  absl::Status Build(const CollectionManifest& manifest, const Fill& fill);

  // A directory for a new collection: NAME, or NAME+2 and so on.
  absl::StatusOr<std::string> NewDirectory(const std::string& name);

  // What was seen last of the directory of a missing collection.
  struct Returning {
    std::string looks;     // LooksOf; empty: it was not there
    absl::Status refused;  // why it could not be opened as it was then
  };
  bool IsMissing(std::string_view name) const;
  // The directory of a missing collection, if it is there and as it was seen last.
  absl::StatusOr<std::string> FindAgain(std::string_view name);
  absl::StatusOr<CollectionManifest> LoadAt(const std::string& path, std::string_view name) const;
  // CheckIdentity by catalog.json as it is now.
  absl::Status CheckKnown(const std::string& path, const CollectionManifest& manifest);

  void ReadRecord() ABSL_EXCLUSIVE_LOCKS_REQUIRED(record_mutex_);
  // Which of those that catalog.json lists have no directory; it lists those that have one from now on.
  void NoteMissing() ABSL_EXCLUSIVE_LOCKS_REQUIRED(record_mutex_, mutex_);
  // Takes a collection into catalog.json, or out of it; an error leaves it in.
  absl::Status List(const std::string& name, const std::string& identity);
  absl::Status Unlist(std::string_view name);
  void NoteAliases(uint64_t generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(record_mutex_);
  absl::Status SaveRecord() ABSL_EXCLUSIVE_LOCKS_REQUIRED(record_mutex_);
  // Removes `directory`, which was a collection's, once catalog.json does not list `name`; all that is in it before.
  void RemoveDropped(std::string_view name, const std::string& directory);
  absl::Status RemoveAllDropped();

  explicit Catalog(const std::string& data_dir) : data_dir_(data_dir), root_(data_dir + "/collections") {}
  const std::string data_dir_;
  const std::string root_;
  Mutex record_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // held while catalog.json is written
  CatalogRecord record_ ABSL_GUARDED_BY(record_mutex_);
  bool unsaved_ ABSL_GUARDED_BY(record_mutex_) = false;        // of NoteIdentity
  absl::Status record_status_ ABSL_GUARDED_BY(record_mutex_);  // why it cannot be read: then it is not written
  mutable Mutex mutex_;
  std::map<std::string, Returning, std::less<>> missing_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string, std::less<>> directories_ ABSL_GUARDED_BY(mutex_);  // by collection
  std::set<std::string> used_ ABSL_GUARDED_BY(mutex_);  // directories that are or were a collection's
};

}  // namespace bebr

#endif  // BEBR_INDEX_CATALOG_CATALOG_H_
