#include "server/call/response_watch.h"

#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/retry.h"

namespace bebr {
namespace {

constexpr absl::Duration kLookInterval = absl::Milliseconds(500);

}  // namespace

ResponseWatch::ResponseWatch(const std::atomic<uint64_t>& timeout_s, const std::atomic<uint64_t>& max_bytes,
                             Metrics* metrics)
    : timeout_s_(timeout_s), max_bytes_(max_bytes), metrics_(metrics), thread_([this] { Run(); }) {}

ResponseWatch::~ResponseWatch() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  stop_.NotifyAll();
  thread_.join();
}

absl::Status ResponseWatch::Admit() const {
  const uint64_t bytes = bytes_.load(std::memory_order_relaxed);
  const uint64_t limit = max_bytes_.load(std::memory_order_relaxed);
  if (bytes <= limit) return absl::OkStatus();
  return TryAgainLater(absl::StrFormat(
      "%d bytes of answers wait for their clients and the limit is %d (max_pending_response_bytes); try "
      "again later",
      bytes, limit));
}

void ResponseWatch::Begin(grpc::ServerContextBase* context, uint64_t bytes) {
  MutexLock lock(&mutex_);
  if (!waiting_.emplace(context, Waiting{context->c_call(), SteadyNow(), bytes}).second) return;
  grpc_call_ref(context->c_call());
  metrics_->pending_response_bytes().Set(static_cast<double>(bytes_.fetch_add(bytes) + bytes));
}

void ResponseWatch::End(grpc::ServerContextBase* context) {
  grpc_call* call = nullptr;
  {
    MutexLock lock(&mutex_);
    const auto found = waiting_.find(context);
    if (found == waiting_.end()) return;
    call = found->second.call;
    const uint64_t bytes = found->second.bytes;
    waiting_.erase(found);
    metrics_->pending_response_bytes().Set(static_cast<double>(bytes_.fetch_sub(bytes) - bytes));
  }
  grpc_call_unref(call);
}

void ResponseWatch::Run() {
  for (;;) {
    {
      MutexLock lock(&mutex_);
      if (!stopping_) stop_.WaitFor(&mutex_, kLookInterval);
      if (stopping_) return;
    }
    CancelLate();
  }
}

void ResponseWatch::CancelLate() {
  const SteadyTime late = SteadyNow() - absl::Seconds(timeout_s_.load(std::memory_order_relaxed));
  std::vector<grpc_call*> calls;
  {
    MutexLock lock(&mutex_);
    for (auto& [context, waiting] : waiting_) {
      if (waiting.since > late) continue;
      waiting.since = absl::InfiniteDuration();  // cancelled once
      grpc_call_ref(waiting.call);
      calls.push_back(waiting.call);
    }
  }
  // Without the lock: gRPC may end the call, and so call End, at once on this thread.
  for (grpc_call* call : calls) {
    metrics_->slow_readers().Increment();
    grpc_call_cancel(call, nullptr);
    grpc_call_unref(call);
  }
}

}  // namespace bebr
