// Binarizers of the engine's own making.
#ifndef BEBR_INDEX_LEARN_LEARNER_H_
#define BEBR_INDEX_LEARN_LEARNER_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/collection/capacity.h"
#include "index/collection/registry.h"
#include "index/learn/lesson.h"
#include "index/learn/steps.h"
#include "index/types/collection.h"
#include "index/upgrade/recall.h"
#include "index/upgrade/upgrades.h"

namespace bebr {

// A Learner looks after the collections that were created without a model file: it fits binarizers to samples of their
// stored floats, backfills them, compares them with the default version, and makes the better one the default, as
// AutoBinarizer in proto/bebr/v1/collections.proto promises. All of it is done by one thread that yields to others, one
// collection at a time, in steps that the manifest records (steps.h): after a kill it goes on from the last one.
//
// A collection whose default version is not one that it made is left alone, and so is one whose first fit was final.
//
// Ownership: what the constructor gets is borrowed and outlives it. Thread safety: all methods may be called from any
// thread. The destructor ends the step in progress and waits: within seconds. Cost: Lesson's and FitStart's.
class Learner {
 public:
  struct Options {
    uint64_t first_documents = 2000;  // that bring the first fit
    // How long without new documents is quiet. A look at all collections every tenth of it; a version that is no longer
    // the default lives three times, and what fails is tried again after six times as long.
    absl::Duration pace = absl::Seconds(10);
    uint64_t documents_per_s = 0;  // read at most, when versions are compared; 0 = no limit
  };

  Learner(Registry* registry, Upgrades* upgrades, Capacity* capacity, SearchNow search, Options options);
  ~Learner();

  // Begins to look.
  void Start();
  // Ends the step that holds a collection which is being dropped, and waits until it is let go of.
  void Forget(std::string_view collection);
  // Adds how far it is to what is known of a collection.
  void Describe(const CollectionManifest& manifest, CollectionInfo& info) const;

 private:
  // What need not outlive the process.
  struct Progress {
    uint64_t documents = 0;  // at the last look
    SteadyTime grew;         // when there were more than before
    SteadyTime retry;        // nothing is done until then
    SteadyTime promoted;     // since when the outgoing version is that
    SteadyTime backfilled;   // when a backfill was started
    absl::Time fitted;
    bool fitting = false;
    std::string error;
  };

  void Run();
  void LookAt(const std::string& name);
  // Does what is next for a collection, or returns the fit that is.
  absl::StatusOr<std::optional<Lesson>> Step(const std::shared_ptr<Collection>& collection);
  // Starts a backfill where documents lack a code of the version. True while some do.
  absl::StatusOr<bool> Incomplete(const Collection& collection, const Version& version);
  absl::Status BringIn(const Collection& collection, const Version& candidate);
  absl::Status RetireOutgoing(const Collection& collection);
  absl::Status DropFloats(Collection& collection);
  absl::Status Learn(Lesson lesson);
  absl::StatusOr<Comparison> CompareWith(const Collection& collection, const Version& version, const Version* against);
  Situation SituationOf(const Collection& collection, const Version& version);
  // Changes the manifest, if it is still that of this collection.
  absl::Status Change(const std::string& name, int64_t created_unix_us,
                      absl::FunctionRef<absl::Status(CollectionManifest&)> edit, std::string_view model_file = "");
  // Waits; false once it is to stop.
  bool Wait(absl::Duration duration);
  bool stopping() const;
  // Set once the collection that is looked at is not wanted any more, or nothing is.
  std::shared_ptr<std::atomic<bool>> unwanted() const;
  Progress ProgressOf(const std::string& name) const;
  void SetProgress(const std::string& name, absl::FunctionRef<void(Progress&)> edit);

  Registry* const registry_;
  Upgrades* const upgrades_;
  Capacity* const capacity_;
  const SearchNow search_;
  const Options options_;

  mutable Mutex mutex_;
  CondVar wake_;  // stopping_, or held_ changed
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::string held_ ABSL_GUARDED_BY(mutex_);  // the collection that a step holds; empty: none
  std::shared_ptr<std::atomic<bool>> unwanted_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Progress> progress_ ABSL_GUARDED_BY(mutex_);
  SteadyTime next_read_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_LEARN_LEARNER_H_
