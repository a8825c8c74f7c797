#include "server/call/response_watch.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/retry.h"

namespace bebr {
namespace {

constexpr absl::Duration kLookInterval = absl::Milliseconds(500);
constexpr uint64_t kMostTimesLimit = 2;  // of all callers
constexpr uint64_t kNearlyNothing = 16;  // one in so many bytes of the limit

}  // namespace

ResponseWatch::ResponseWatch(const std::atomic<uint64_t>& timeout_s, const std::atomic<uint64_t>& max_bytes,
                             Metrics* metrics)
    : timeout_s_(timeout_s), metrics_(metrics), pending_(max_bytes), thread_([this] { Run(); }) {}

ResponseWatch::~ResponseWatch() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  stop_.NotifyAll();
  thread_.join();
}

absl::Status ResponseWatch::Admit(std::string_view holder) const {
  const uint64_t limit = pending_.limit(), all = pending_.taken();
  if (all > kMostTimesLimit * limit) {
    return TryAgainLater(absl::StrFormat(
        "%d bytes of answers wait for their clients, of all callers, and the limit is %d (max_pending_response_bytes); "
        "try again later",
        all, limit));
  }
  const uint64_t own = pending_.TakenBy(holder), share = pending_.ShareOf(holder);
  if (own <= std::max(share, limit / kNearlyNothing)) return absl::OkStatus();
  return TryAgainLater(
      absl::StrFormat("%d bytes of answers to %s wait to be read, and its share is %d, half of what others leave of %d "
                      "(max_pending_response_bytes); read them, and try again later",
                      own, holder, share, limit));
}

void ResponseWatch::Begin(grpc::ServerContextBase* context, std::string_view holder, uint64_t bytes) {
  MutexLock lock(&mutex_);
  const auto [waiting, added] = waiting_.try_emplace(context);
  if (!added) return;
  waiting->second = Waiting{context->c_call(), SteadyNow(), pending_.Count(holder, bytes)};
  grpc_call_ref(context->c_call());
  Tell();
}

void ResponseWatch::End(grpc::ServerContextBase* context) {
  grpc_call* call = nullptr;
  {
    MutexLock lock(&mutex_);
    const auto found = waiting_.find(context);
    if (found == waiting_.end()) return;
    call = found->second.call;
    waiting_.erase(found);
    Tell();
  }
  grpc_call_unref(call);
}

void ResponseWatch::Run() {
  for (;;) {
    {
      MutexLock lock(&mutex_);
      if (!stopping_) stop_.WaitFor(&mutex_, kLookInterval);
      if (stopping_) return;
      Tell();
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
