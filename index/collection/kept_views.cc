#include "index/collection/kept_views.h"

#include <unistd.h>

#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "index/base/retry.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

absl::StatusOr<std::string> RandomToken() {
  std::array<char, 16> bytes{};
  if (getentropy(bytes.data(), bytes.size()) != 0) {
    return absl::InternalError("the system has no random bytes for the token of a view");
  }
  return absl::BytesToHexString(absl::string_view(bytes.data(), bytes.size()));
}

}  // namespace

template <typename Goes>
KeptViews::Entries KeptViews::TakeOut(const Goes& goes) {
  Entries out;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto next = std::next(it);
    if (goes(it->second)) out.insert(entries_.extract(it));
    it = next;
  }
  return out;
}

absl::StatusOr<std::string> KeptViews::Keep(PinnedView view, absl::Duration how_long) {
  BEBR_ASSIGN_OR_RETURN(std::string token, RandomToken());
  const SteadyTime now = SteadyNow();
  Entries over;  // goes after the lock
  MutexLock lock(&mutex_);
  over = TakeOut([now](const Entry& entry) { return entry.until <= now; });
  if (entries_.size() >= most_) {
    return TryAgainLater(absl::StrFormat(
        "%d views are kept, as many as may be (max_kept_views); try again later, or without keep_view_s",
        entries_.size()));
  }
  entries_.emplace(token, Entry{std::move(view), now + how_long});
  return token;
}

absl::StatusOr<PinnedView> KeptViews::Find(std::string_view token, const ShardSet* shards, absl::Duration how_long) {
  const SteadyTime now = SteadyNow();
  MutexLock lock(&mutex_);
  const auto found = entries_.find(token);
  if (found == entries_.end() || found->second.until <= now || found->second.view.shards.get() != shards) {
    return absl::FailedPreconditionError(
        "view_token names no view of this collection that is still kept: its time is over, a version was retired, or "
        "the "
        "server was started again; begin again without it");
  }
  if (how_long > absl::ZeroDuration()) found->second.until = now + how_long;
  return found->second.view;
}

void KeptViews::Release(const std::string& token) {
  Entries out;
  MutexLock lock(&mutex_);
  if (const auto found = entries_.find(token); found != entries_.end()) out.insert(entries_.extract(found));
}

void KeptViews::Forget(const ShardSet* shards) {
  Entries out;
  MutexLock lock(&mutex_);
  out = TakeOut([shards](const Entry& entry) { return entry.view.shards.get() == shards; });
}

void KeptViews::Expire() {
  const SteadyTime now = SteadyNow();
  Entries out;
  MutexLock lock(&mutex_);
  out = TakeOut([now](const Entry& entry) { return entry.until <= now; });
}

void KeptViews::Clear() {
  Entries out;
  MutexLock lock(&mutex_);
  out.swap(entries_);
}

size_t KeptViews::count() const {
  MutexLock lock(&mutex_);
  return entries_.size();
}

}  // namespace bebr
