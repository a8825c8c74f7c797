#include "index/cluster/log_lane.h"

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/logging.h"
#include "index/base/retry.h"
#include "index/base/status_macros.h"
#include "index/replica/log_change.h"

namespace bebr {
namespace {

constexpr absl::Duration kBetweenTries = absl::Milliseconds(100);

absl::Status NotWritten(const absl::Status& why) {
  return absl::UnavailableError(absl::StrFormat("the log did not take it, and it is not written: %s", why.message()));
}

}  // namespace

LogLane::LogLane(OpenLog open, std::string writer, absl::Duration timeout)
    : open_(std::move(open)), name_(std::move(writer)), timeout_(timeout), thread_([this] { Run(); }) {}

LogLane::~LogLane() {
  {
    MutexLock lock(&mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void LogLane::Append(Write write, Done done) {
  Waiting waiting{.write = std::move(write), .done = std::move(done)};
  absl::Status refused;
  for (const auto& [shard, change] : waiting.write.changes) {
    waiting.bytes += change.size();
    refused.Update(CheckEncodedChange(change));
  }
  // A fault of this program, or of a node: it must not stop all replicas.
  if (!refused.ok()) {
    return waiting.done(absl::InternalError(
        absl::StrFormat("it is not written: replicas could not read it in the log: %s", refused.message())));
  }
  {
    MutexLock lock(&mutex_);
    if (ending_) refused = absl::UnavailableError("the server is stopping");
    if (waiting_bytes_ > 0 && waiting_bytes_ + waiting.bytes > kMostWaiting) {
      refused = TryAgainLater(absl::StrFormat(
          "%d bytes of writes wait for the log and the limit is %d; try again later", waiting_bytes_, kMostWaiting));
    }
    if (refused.ok()) {
      waiting_bytes_ += waiting.bytes;
      waiting_.push_back(std::move(waiting));
      return changed_.NotifyAll();
    }
  }
  waiting.done(refused);
}

std::vector<LogLane::Waiting> LogLane::Take() {
  std::vector<Waiting> group;
  size_t bytes = 0;
  while (!waiting_.empty()) {
    const Waiting& next = waiting_.front();
    if (!group.empty() && (next.write.alone || bytes + next.bytes > kMostGroup)) break;
    bytes += next.bytes;
    waiting_bytes_ -= next.bytes;
    group.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    if (group.back().write.alone) break;
  }
  return group;
}

void LogLane::Run() {
  for (;;) {
    std::vector<Waiting> group;
    {
      MutexLock lock(&mutex_);
      while (waiting_.empty() && !ending_) changed_.Wait(&mutex_);
      if (waiting_.empty()) return;
      group = Take();
    }
    AppendGroup(std::move(group));
  }
}

void LogLane::AppendGroup(std::vector<Waiting> group) {
  std::map<uint32_t, std::vector<std::string>> by_shard;
  std::vector<Placed> placed(group.size());
  for (size_t i = 0; i < group.size(); ++i) {
    for (auto& [shard, change] : group[i].write.changes) {
      placed[i].numbers[shard] = static_cast<uint32_t>(by_shard[shard].size());
      by_shard[shard].push_back(std::move(change));
    }
  }
  std::vector<std::string> bytes;
  bytes.reserve(by_shard.size());  // records borrow from it
  std::vector<LogRecord> records;
  for (const auto& [shard, changes] : by_shard) records.push_back({shard, bytes.emplace_back(JoinLogChanges(changes))});
  by_shard.clear();
  const SteadyTime begun = SteadyNow();
  const absl::StatusOr<LogPlace> place = AppendRecords(records);
  appends_.Add(SteadyNow() - begun);
  if (!place.ok()) failed_appends_.fetch_add(1, std::memory_order_relaxed);
  for (size_t i = 0; i < group.size(); ++i) {
    if (!place.ok()) {
      group[i].done(place.status());
      continue;
    }
    placed[i].position = place->position;
    placed[i].append = place->append;
    group[i].done(std::move(placed[i]));
  }
}

void LogLane::AddTo(LogReport& report) const {
  report.appends = appends_.counts();
  report.failed_appends = failed_appends_;
}

bool LogLane::Ending() {
  MutexLock lock(&mutex_);
  return ending_;
}

absl::Status LogLane::Begin() {
  if (log_ == nullptr) {
    auto opened = open_();
    failed_ = !opened.ok();
    if (!opened.ok()) return opened.status();
    log_ = *std::move(opened);
  }
  auto writer = log_->BeginWriter(name_);
  failed_ = !writer.ok();
  if (!writer.ok()) {
    log_.reset();
    return writer.status();
  }
  writer_ = *std::move(writer);
  return absl::OkStatus();
}

absl::StatusOr<LogPlace> LogLane::AppendRecords(const std::vector<LogRecord>& records) {
  const SteadyTime deadline = SteadyNow() + timeout_;
  absl::Status error;
  bool lost = false;
  do {
    if (!writer_.has_value()) {
      // What waits while this ends is tried once, as long as the log answers.
      if (failed_ && Ending()) return NotWritten(absl::UnavailableError("the server is stopping"));
      if (absl::Status begun = Begin(); !begun.ok()) return NotWritten(begun);
    }
    const uint64_t number = writer_->number + 1;
    auto place = log_->Append(*writer_, number, records);
    if (place.ok()) {
      writer_->number = number;
      return place;
    }
    error = place.status();
    // Nothing that the log takes; or it does not know the writer's last append, and so does not have this one either.
    lost = absl::IsInvalidArgument(error);
    if (lost) BEBR_RETURN_IF_ERROR(CheckAppend(records));
    BEBR_ASSIGN_OR_RETURN(const std::optional<LogPlace> found, Find(number, deadline));
    if (found.has_value()) return *found;
    if (lost) LogError("the log has lost what this gateway appended last: {}", std::string(error.message()));
  } while ((lost || absl::IsUnavailable(error)) && SteadyNow() < deadline && !Ending());
  return NotWritten(error);
}

absl::StatusOr<std::optional<LogPlace>> LogLane::Find(uint64_t number, SteadyTime deadline) {
  writer_.reset();
  for (;;) {
    const absl::Status begun = Begin();
    if (begun.ok()) return writer_->number == number ? std::optional<LogPlace>(writer_->place) : std::nullopt;
    if (SteadyNow() >= deadline || Ending()) {
      return absl::UnavailableError(absl::StrFormat(
          "the log did not answer in time, and nobody knows yet whether this is written: %s", begun.message()));
    }
    absl::SleepFor(kBetweenTries);
  }
}

}  // namespace bebr
