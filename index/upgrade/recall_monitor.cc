#include "index/upgrade/recall_monitor.h"

#include <algorithm>

#include "index/base/background.h"
#include "index/base/logging.h"

namespace bebr {
namespace {

constexpr size_t kRecallK = 10;
// After a start the first figures need not wait for a long interval.
constexpr absl::Duration kFirstWait = absl::Minutes(1);

}  // namespace

RecallMonitor::RecallMonitor(Options options, ListCollections list, SearchNow search)
    : options_(options), list_(std::move(list)), search_(std::move(search)), thread_([this] { Run(); }) {}

RecallMonitor::~RecallMonitor() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    *unwanted_ = true;
  }
  wake_.NotifyAll();
  thread_.join();
}

std::optional<RecallSample> RecallMonitor::Last(const std::string& collection, const std::string& version) const {
  MutexLock lock(&mutex_);
  const auto found = last_.find({collection, version});
  return found == last_.end() ? std::nullopt : std::optional(found->second);
}

RecallMonitor::Counters RecallMonitor::counters() const {
  MutexLock lock(&mutex_);
  return counters_;
}

bool RecallMonitor::Wait(absl::Duration duration) {
  const SteadyTime until = SteadyNow() + duration;
  MutexLock lock(&mutex_);
  while (!stopping_ && SteadyNow() < until) wake_.WaitFor(&mutex_, until - SteadyNow());
  return !stopping_;
}

void RecallMonitor::Run() {
  YieldToOthers();
  if (!Wait(std::min(options_.interval, kFirstWait))) return;
  do {
    MeasureAll();
  } while (Wait(options_.interval));
}

void RecallMonitor::MeasureAll() {
  std::map<std::pair<std::string, std::string>, bool> seen;
  for (const auto& collection : list_()) {
    const auto manifest = collection->manifest();
    if (manifest->store_floats == FloatStorage::kNone) continue;
    for (const Version& version : manifest->versions) {
      if (version.retired || collection->DocumentsWithEmbedding(version.embedding) == 0) continue;
      seen[{manifest->name, version.name}] = true;
      Measure(*collection, version);
    }
  }
  MutexLock lock(&mutex_);
  for (auto it = last_.begin(); it != last_.end();) it = seen.contains(it->first) ? std::next(it) : last_.erase(it);
}

void RecallMonitor::Measure(Collection& collection, const Version& version) {
  const ReadingPace pace{
      .threads = 1, .spend = [this](size_t documents) { return Spend(documents); }, .cancelled = unwanted_};
  const auto sample = MeasureRecall(collection, version, options_.queries, kRecallK, search_, pace);
  const std::string name = collection.manifest()->name;
  MutexLock lock(&mutex_);
  if (stopping_) return;
  if (sample.ok()) {
    ++counters_.measured;
    collection.SetProbeCurve(version, sample->probe);
    last_[{name, version.name}] = *sample;
  } else {
    ++counters_.failed;
    LogWarning("recall of version {} of collection {} cannot be measured: {}", version.name, name,
               std::string(sample.status().message()));
  }
}

absl::Status RecallMonitor::Spend(size_t documents) {
  MutexLock lock(&mutex_);
  if (options_.documents_per_s > 0) {
    const double seconds = static_cast<double>(documents) / static_cast<double>(options_.documents_per_s);
    next_read_ = std::max(next_read_, SteadyNow()) + absl::Seconds(seconds);
    while (!stopping_ && SteadyNow() < next_read_) wake_.WaitFor(&mutex_, next_read_ - SteadyNow());
  }
  return stopping_ ? absl::CancelledError("the server is shutting down") : absl::OkStatus();
}

}  // namespace bebr
