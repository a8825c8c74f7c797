// The life of versions: add, backfill, check, promote, retire.
#ifndef BEBR_INDEX_UPGRADE_UPGRADES_H_
#define BEBR_INDEX_UPGRADE_UPGRADES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/mutex.h"
#include "index/collection/capacity.h"
#include "index/collection/registry.h"
#include "index/types/collection.h"
#include "index/upgrade/backfill.h"
#include "index/upgrade/recall.h"
#include "index/upgrade/recall_monitor.h"

namespace bebr {

// Upgrades is everything that is done with the versions of collections: adding, backfilling, checking, promoting and
// retiring them, and the monitor of their recall. Its methods are those of Engine with the same names.
//
// Ownership: what the constructor gets is borrowed and outlives it. Thread safety: all methods may be called from any
// thread. The destructor stops what runs in the background and waits for it.
class Upgrades {
 public:
  // `threads` of a check. A monitor with an interval of 0 is off.
  Upgrades(Registry* registry, Capacity* capacity, SearchNow search, size_t threads, RecallMonitor::Options monitor);
  ~Upgrades();

  // Goes on with the backfills that a restart interrupted, and starts the monitor.
  void Start();

  absl::Status Add(std::string_view collection, const VersionConfig& config, std::string_view model_file);
  absl::Status Promote(std::string_view collection, std::string_view version, std::string_view expected_default,
                       bool force);
  absl::Status Retire(std::string_view collection, std::string_view version);
  absl::Status StartBackfill(std::string_view collection, std::string_view version, uint64_t documents_per_s);
  absl::Status StopBackfill(std::string_view collection, std::string_view version);
  absl::StatusOr<VersionCheck> Check(std::string_view collection, const CheckRequest& request);

  // Stops what runs for a collection that is being dropped, and waits for it.
  void Forget(std::string_view collection) { StopBackfills(collection, ""); }
  // Adds the backfills and the monitor's recall to what is known of a collection.
  void Describe(const CollectionManifest& manifest, CollectionInfo& info) const;
  RecallMonitor::Counters recall_counters() const;
  // What the monitor found last, if it is on.
  std::optional<RecallSample> LastRecall(const std::string& collection, const std::string& version) const;

 private:
  using Key = std::pair<std::string, std::string>;  // collection, version

  // Starts one, while nobody changes the collection: so it is known before its end, which waits for that. The caller
  // holds the one that it takes the place of, if any, until the collection may be changed again.
  void RunBackfill(const std::shared_ptr<Collection>& collection, const Version& version);
  // Records the end in the manifest. False if the disk did not let it.
  bool EndBackfill(const Key& key, const Backfill* ended);
  // On a backfill's own thread, which must not hold what would end it.
  bool IsCurrent(const Key& key, const Backfill* backfill) const;
  // Stops those of a collection, or of one of its versions, or all where the names are empty. Waits for their threads,
  // which may wait for the collection's change_mutex(): so that must not be held.
  void StopBackfills(std::string_view collection, std::string_view version);
  std::shared_ptr<Backfill> FindBackfill(const Key& key) const;

  Registry* const registry_;
  Capacity* const capacity_;
  const SearchNow search_;
  const size_t threads_;
  const RecallMonitor::Options monitor_options_;
  std::unique_ptr<RecallMonitor> monitor_;  // null: off

  mutable Mutex mutex_;
  std::map<Key, std::shared_ptr<Backfill>> backfills_ ABSL_GUARDED_BY(mutex_);  // also ended ones
};

}  // namespace bebr

#endif  // BEBR_INDEX_UPGRADE_UPGRADES_H_
