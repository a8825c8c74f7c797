#include "server/call/blocking_pool.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/retry.h"

namespace bebr {

absl::Status BlockingPool::TrySubmit(absl::AnyInvocable<void()> task) {
  if (waiting_.fetch_add(1) >= kMaxWaiting) {
    waiting_.fetch_sub(1);
    return TryAgainLater(absl::StrFormat("%d calls wait for the disk already; try again later", kMaxWaiting));
  }
  pool_.Submit([this, task = std::move(task)]() mutable {
    waiting_.fetch_sub(1);
    task();
  });
  return absl::OkStatus();
}

}  // namespace bebr
