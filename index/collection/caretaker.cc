#include "index/collection/caretaker.h"

#include "absl/time/time.h"

namespace bebr {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);
constexpr int kRoundsToReopen = 10;  // opening a collection costs more than trying a write

}  // namespace

Caretaker::Caretaker(Registry* registry, KeptViews* views)
    : registry_(registry), views_(views), thread_([this] { Run(); }) {}

Caretaker::~Caretaker() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  thread_.join();
}

void Caretaker::Run() {
  for (int round = 1;; ++round) {
    {
      MutexLock lock(&mutex_);
      if (!stopping_) wake_.WaitFor(&mutex_, kInterval);
      if (stopping_) return;
    }
    views_->Expire();
    views_->Measure();
    if (round % kRoundsToReopen == 0) registry_->RetryUnavailable();
    for (const auto& collection : registry_->List()) {
      // What still fails is said by health(), and was logged when it began.
      collection->shards()->RemoveOutdatedLayout();
      CollectionStore& store = collection->shards()->store();
      if (!store.health().ok()) store.Recover().IgnoreError();
    }
  }
}

}  // namespace bebr
