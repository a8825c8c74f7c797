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

uint64_t LogHead::Last() {
  MutexLock lock(&mutex_);
  return last_;
}

bool LogHead::EndedBefore(uint64_t position, SteadyTime time) {
  MutexLock lock(&mutex_);
  return asked_ > time && told_ < position;
}

LogReport LogHead::Report() {
  MutexLock lock(&mutex_);
  LogReport report = report_;
  report.head = last_;
  return report;
}

absl::StatusOr<uint64_t> LogHead::Ask() {
  if (log_ == nullptr) {
    BEBR_ASSIGN_OR_RETURN(log_, open_());
  }
  const auto state = log_->State();
  if (state.ok() && identity_ == 0) identity_ = state->identity;
  if (state.ok() && identity_ != state->identity) {
    log_.reset();
    return AnotherLog("the gateway", identity_, state->identity);
  }
  if (state.ok()) {
    trimmed_ = state->trimmed.position;
    return state->head.position;
  }
  log_.reset();
  return state.status();
}

void LogHead::Measure(const absl::Status& asked) {
  absl::StatusOr<LogSize> size = asked.ok() ? log_->Size() : absl::StatusOr<LogSize>(asked);
  MutexLock lock(&mutex_);
  report_.problem = std::string(size.status().message());
  report_.refused = MustBeMended(size.status());
  report_.trimmed = trimmed_;
  if (!size.ok()) return;
  report_.rows = size->rows;
  report_.bytes = size->bytes;
}

void LogHead::Tell(const absl::Status& asked) {
  const std::string why(asked.message());
  if (asked.ok()) return LogWarning("the log can be asked where it ends");
  if (MustBeMended(asked)) return LogError("the log refuses this gateway, until somebody mends that: {}", why);
  LogWarning("the log cannot be asked where it ends: {}", why);
}

bool LogHead::Ending() {
  MutexLock lock(&mutex_);
  return ending_;
}

std::vector<LogHead::Done> LogHead::AwaitWaiting(SteadyTime look_at) {
  MutexLock lock(&mutex_);
  for (SteadyTime now = SteadyNow(); waiting_.empty() && !ending_ && now < look_at; now = SteadyNow())
    changed_.WaitFor(&mutex_, look_at - now);
  return std::exchange(waiting_, {});
}

void LogHead::Run() {
  absl::StatusCode told = absl::StatusCode::kOk;
  SteadyTime look_at = SteadyNow();
  for (;;) {
    std::vector<Done> waiting = AwaitWaiting(look_at);
    const bool ending = Ending();
    const SteadyTime begun = SteadyNow();
    const auto asked = ending ? absl::UnavailableError("stopping") : Ask();
    if (!ending && asked.status().code() != told) {
      told = asked.status().code();
      Tell(asked.status());
      look_at = SteadyNow();  // that it is so is told at once
    }
    Answer answer;
    {
      MutexLock lock(&mutex_);
      if (asked.ok()) last_ = *asked;  // less than before, where an older state of it was restored
      if (asked.ok()) {
        told_ = *asked;
        asked_ = begun;
      }
      if (!asked.ok()) pause_until_ = SteadyNow() + kPause;
      answer = {.position = last_, .known = asked.ok()};
    }
    for (Done& done : waiting) done(answer);
    if (ending) return;
    if (SteadyNow() < look_at) continue;
    Measure(asked.status());
    look_at = SteadyNow() + kLookInterval;
  }
}

}  // namespace bebr
