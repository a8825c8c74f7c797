#include "index/collection/caretaker.h"

#include "absl/time/time.h"

namespace bebr {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);

}  // namespace

Caretaker::Caretaker(Registry* registry) : registry_(registry), thread_([this] { Run(); }) {}

Caretaker::~Caretaker() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  thread_.join();
}

void Caretaker::Run() {
  for (;;) {
    {
      MutexLock lock(&mutex_);
      if (!stopping_) wake_.WaitFor(&mutex_, kInterval);
      if (stopping_) return;
    }
    for (const auto& collection : registry_->List()) {
      for (const auto& shard : collection->shards()) {
        // What still fails is said by health(), and was logged when it began.
        if (!shard->store().health().ok()) shard->store().Recover().IgnoreError();
      }
    }
  }
}

}  // namespace bebr
