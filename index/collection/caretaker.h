// What an engine does by itself about once a second: recovery from faults of the disk, and the end of kept views.
#ifndef BEBR_INDEX_COLLECTION_CARETAKER_H_
#define BEBR_INDEX_COLLECTION_CARETAKER_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "index/base/mutex.h"
#include "index/collection/registry.h"

namespace bebr {

// A Caretaker tries again, about once a second, what a fault of the disk has stopped: collections that take no writes.
// So a server needs no restart when the disk has room again or is back. It also lets go of kept views whose time is
// over.
//
// Ownership: registry and views are borrowed. Its one thread runs until it is destroyed, which waits for the attempt
// that is under way.
class Caretaker {
 public:
  Caretaker(Registry* registry, KeptViews* views);
  ~Caretaker();

 private:
  void Run();

  Registry* const registry_;
  KeptViews* const views_;
  Mutex mutex_;
  CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_CARETAKER_H_
