#include "index/cluster/log_head.h"

#include <algorithm>
#include <future>
#include <utility>

#include "index/base/logging.h"
#include "index/base/status_macros.h"

namespace bebr {

LogHead::LogHead(OpenLog open) : open_(std::move(open)), thread_([this] { Run(); }) {}

LogHead::~LogHead() {
  {
    MutexLock lock(&mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void LogHead::Get(Done done) {
  Answer answer;
  {
    MutexLock lock(&mutex_);
    if (!ending_ && SteadyNow() >= pause_until_) {
      waiting_.push_back(std::move(done));
      return changed_.NotifyAll();
    }
    answer.position = last_;
  }
  done(answer);
}

LogHead::Answer LogHead::Wait() {
  auto outcome = std::make_shared<std::promise<Answer>>();  // shared: set_value may outlast get
  Get([outcome](Answer answer) { outcome->set_value(answer); });
  return outcome->get_future().get();
}

void LogHead::Saw(uint64_t position) {
  MutexLock lock(&mutex_);
  last_ = std::max(last_, position);
}

absl::StatusOr<uint64_t> LogHead::Ask() {
  if (log_ == nullptr) {
    BEBR_ASSIGN_OR_RETURN(log_, open_());
  }
  const auto state = log_->State();
  if (state.ok()) return state->head.position;
  log_.reset();
  return state.status();
}

void LogHead::Run() {
  bool failing = false;
  for (;;) {
    std::vector<Done> waiting;
    bool ending = false;
    {
      MutexLock lock(&mutex_);
      while (waiting_.empty() && !ending_) changed_.Wait(&mutex_);
      waiting.swap(waiting_);
      ending = ending_;
    }
    const auto asked = ending ? absl::UnavailableError("stopping") : Ask();
    if (!ending && asked.ok() == failing) {
      failing = !asked.ok();
      LogWarning("the log {} be asked where it ends{}", failing ? "cannot" : "can",
                 failing ? ": " + std::string(asked.status().message()) : "");
    }
    Answer answer;
    {
      MutexLock lock(&mutex_);
      if (asked.ok()) last_ = *asked;  // less than before, where an older state of it was restored
      if (!asked.ok()) pause_until_ = SteadyNow() + kPause;
      answer = {.position = last_, .known = asked.ok()};
    }
    for (Done& done : waiting) done(answer);
    if (ending) return;
  }
}

}  // namespace bebr
