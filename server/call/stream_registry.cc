#include "server/call/stream_registry.h"

#include <algorithm>
#include <utility>

namespace bebr {

bool StreamRegistry::Add(const std::shared_ptr<DrainableStream>& stream) {
  MutexLock lock(&mutex_);
  if (draining_) return false;
  if (streams_.size() >= sweep_at_) {
    std::erase_if(streams_, [](const auto& known) { return known.expired(); });
    sweep_at_ = std::max<size_t>(sweep_at_, 2 * streams_.size());
  }
  streams_.push_back(stream);
  return true;
}

void StreamRegistry::Drain() {
  std::vector<std::weak_ptr<DrainableStream>> streams;
  {
    MutexLock lock(&mutex_);
    draining_ = true;
    streams = std::exchange(streams_, {});
  }
  for (const auto& known : streams) {
    if (const auto stream = known.lock()) stream->Drain();
  }
}

}  // namespace bebr
