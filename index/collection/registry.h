// Collections and aliases by name.
#ifndef BEBR_INDEX_COLLECTION_REGISTRY_H_
#define BEBR_INDEX_COLLECTION_REGISTRY_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/mutex.h"
#include "index/catalog/catalog.h"
#include "index/collection/collection.h"
#include "index/collection/engine_shared.h"
#include "index/types/collection.h"

namespace bebr {

// The Registry knows the open collections of a data directory by name, and their aliases, and changes both in memory
// and on disk. Wherever a collection is looked up, one of its aliases will do, but for Drop.
//
// Locks. A collection is changed by one caller at a time, under its change_mutex(); the names are guarded by a mutex of
// their own that is never held while the disk is waited for. So what happens to one collection holds up no other.
//
// Thread safety: all methods may be called from any thread.
class Registry {
 public:
  // Removes what interrupted operations left behind; opens nothing. `shared` is borrowed and outlives it.
  static absl::StatusOr<std::unique_ptr<Registry>> Open(const std::string& data_dir, EngineShared* shared);

  // Closes all collections, several at the same time: each waits for the disk.
  ~Registry();

  // Opens all collections and reads the aliases. What cannot be read is told in the log and by Unavailable(), and holds
  // up nothing else. Called once, before anything else.
  absl::Status Load();

  // NOT_FOUND if there is no such collection; what is wrong with it, if it is unavailable.
  absl::StatusOr<std::shared_ptr<Collection>> Find(std::string_view name) const;
  // The collection that `name` stands for: that of the alias, else `name` itself.
  std::string Resolve(std::string_view name) const;
  // By name, those that are open; and those that cannot be opened.
  std::vector<std::shared_ptr<Collection>> List() const;
  std::vector<UnavailableCollection> Unavailable() const;
  // Tries to open the unavailable ones again whose reason may have passed, such as a full disk; and to read the
  // aliases.
  void RetryUnavailable();
  // The directory of a collection's files.
  std::string PathOf(const Collection& collection) const {
    return catalog_->CollectionPath(collection.manifest()->name);
  }

  // Makes a collection, with the model file of its only version, or of a snapshot's directory. ALREADY_EXISTS if a
  // collection or an alias has the name. Nothing is left of what fails.
  absl::Status Create(CollectionManifest manifest, std::string_view model_file);
  absl::Status Restore(CollectionManifest manifest, const std::string& from);
  // Drops a collection. `detached` runs once nobody finds it any more and before its files go. FAILED_PRECONDITION for
  // an alias, and while there is one of it. After an error of the disk it is
  // unavailable, until it is dropped or opened again.
  absl::Status Drop(std::string_view name, absl::FunctionRef<void()> detached);

  // Changes a collection's manifest: `edit` gets a copy, which is written and takes effect if it returns OK.
  // Where `model_file` is not empty it belongs to the last version and is written first. `changed` runs once it took
  // effect, before the next change.
  using Edit = absl::FunctionRef<absl::Status(const Collection&, CollectionManifest&)>;
  absl::Status Change(
      std::string_view name, Edit edit, std::string_view model_file = "", absl::FunctionRef<void()> changed = [] {});
  // Runs `body` while nobody changes the collection.
  absl::Status Hold(std::string_view name, absl::FunctionRef<absl::Status(const Collection&)> body);

  // As Engine's methods of the same names.
  absl::Status SetAlias(std::string_view alias, std::string_view collection, std::optional<std::string_view> expected);
  absl::Status DeleteAlias(std::string_view alias);
  std::vector<Alias> ListAliases() const;

 private:
  Registry(std::string data_dir, std::unique_ptr<Catalog> catalog, EngineShared* shared)
      : data_dir_(std::move(data_dir)), catalog_(std::move(catalog)), shared_(shared) {}

  // Missing collections first, which the file that lists them may tell only now.
  void LoadAliases();
  absl::Status TryOpen(const std::string& name);
  // A collection that cannot be opened is told as unavailable; one that is known stays as it is.
  void OpenOrTell(const std::string& name);
  absl::Status OpenCollection(CollectionManifest manifest);
  // Opens what has just been made on disk, or removes it again. What cannot be removed is unavailable.
  absl::Status OpenMade(CollectionManifest manifest);
  absl::Status DropUnavailable(std::string_view name);
  // FAILED_PRECONDITION if it is an alias, or there is one of it.
  absl::Status CheckNotAliased(std::string_view name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes a free name, so that nobody else makes a collection of it meanwhile; Release gives it back.
  absl::Status Reserve(std::string_view name);
  void Release(std::string_view name);
  absl::Status CheckNameIsFree(std::string_view name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the collection is what its name stands for, and not dropped meanwhile.
  bool IsOpen(const std::shared_ptr<Collection>& collection) const;
  absl::Status SaveAliases(Aliases aliases) ABSL_EXCLUSIVE_LOCKS_REQUIRED(aliases_mutex_);

  const std::string data_dir_;
  const std::unique_ptr<Catalog> catalog_;
  EngineShared* const shared_;

  Mutex unavailable_mutex_ ABSL_ACQUIRED_BEFORE(aliases_mutex_);  // one change of the unavailable ones at a time
  Mutex aliases_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);              // one change of the aliases at a time
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<Collection>, std::less<>> collections_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, absl::Status, std::less<>> unavailable_ ABSL_GUARDED_BY(mutex_);  // why
  Aliases aliases_ ABSL_GUARDED_BY(mutex_);
  absl::Status aliases_status_ ABSL_GUARDED_BY(mutex_);                  // why there are none
  std::set<std::string, std::less<>> reserved_ ABSL_GUARDED_BY(mutex_);  // names being made or dropped
};

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_REGISTRY_H_
