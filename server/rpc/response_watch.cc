#include "server/rpc/response_watch.h"

#include <chrono>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/retry.h"

namespace bebr {

ResponseWatch::ResponseWatch(absl::Duration timeout, uint64_t max_bytes, Metrics* metrics)
    : timeout_(timeout), max_bytes_(max_bytes), metrics_(metrics), thread_([this] { Run(); }) {}

ResponseWatch::~ResponseWatch() {
  {
    std::lock_guard lock(stop_mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
}

absl::Status ResponseWatch::Admit() const {
  const uint64_t bytes = bytes_.load(std::memory_order_relaxed);
  if (bytes <= max_bytes_) return absl::OkStatus();
  return TryAgainLater(absl::StrFormat(
      "%d bytes of answers wait for their clients and the limit is %d (max_pending_response_bytes); try "
      "again later",
      bytes, max_bytes_));
}

void ResponseWatch::Begin(grpc::ServerContextBase* context, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  if (waiting_.emplace(context, Waiting{absl::Now(), bytes}).second) {
    metrics_->pending_response_bytes().Set(static_cast<double>(bytes_.fetch_add(bytes) + bytes));
  }
}

void ResponseWatch::End(grpc::ServerContextBase* context) {
  std::lock_guard lock(mutex_);
  const auto found = waiting_.find(context);
  if (found == waiting_.end()) return;
  const uint64_t bytes = found->second.bytes;
  waiting_.erase(found);
  metrics_->pending_response_bytes().Set(static_cast<double>(bytes_.fetch_sub(bytes) - bytes));
}

void ResponseWatch::Run() {
  std::unique_lock lock(stop_mutex_);
  while (!stop_.wait_for(lock, std::chrono::milliseconds(500), [this] { return stopping_; })) CancelLate();
}

void ResponseWatch::CancelLate() {
  const absl::Time late = absl::Now() - timeout_;
  std::lock_guard lock(mutex_);
  std::vector<grpc::ServerContextBase*> calls;
  for (auto& [context, waiting] : waiting_) {
    if (waiting.since > late) continue;
    waiting.since = absl::InfiniteFuture();  // cancelled once
    calls.push_back(context);
  }
  for (grpc::ServerContextBase* context : calls) {
    if (waiting_.find(context) == waiting_.end()) continue;
    metrics_->slow_readers().Increment();
    context->TryCancel();
  }
}

}  // namespace bebr
