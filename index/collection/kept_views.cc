#include "index/collection/kept_views.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_set.h"
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

uint64_t MemoryOf(const Segment& segment) {
  return segment.code_bytes() + segment.id_bytes() + segment.attributes().memory_bytes(segment.rows());
}

// Adds up what the view has and `seen` has not, which it then has.
uint64_t AddUnseen(const CollectionView& view, absl::flat_hash_set<const void*>& seen) {
  uint64_t bytes = 0;
  for (const auto& shard : view.shards) {
    if (seen.insert(shard->dictionary.get()).second) bytes += shard->dictionary->memory_bytes();
    for (const SegmentView& part : shard->segments) {
      // The writer is at work on segments of the present only, whose memory nobody asks for.
      if (seen.insert(part.segment.get()).second) bytes += MemoryOf(*part.segment);
    }
  }
  return bytes;
}

// The same without the sum.
void See(const CollectionView& view, absl::flat_hash_set<const void*>& seen) {
  for (const auto& shard : view.shards) {
    seen.insert(shard->dictionary.get());
    for (const SegmentView& part : shard->segments) seen.insert(part.segment.get());
  }
}

// RESOURCE_EXHAUSTED if no more may be kept: in all; of this collection, so that whoever keeps views of one leaves room
// to the others; or of this owner, so that there is room for the next.
template <typename Entries>
absl::Status CheckRoom(const Entries& entries, const ShardSet* shards, std::string_view owner, size_t most) {
  const auto refuse = [](const std::string& what) {
    return TryAgainLater(what + "; try again later, or without keep_view_s");
  };
  if (entries.size() >= most)
    return refuse(absl::StrFormat("%d views are kept, as many as may be (max_kept_views)", entries.size()));
  size_t of_collection = 0, own = 0;
  for (const auto& [token, entry] : entries) {
    of_collection += entry.view.shards.get() == shards ? 1 : 0;
    own += entry.owner == owner ? 1 : 0;
  }
  if (of_collection >= (most + 1) / 2) {
    return refuse(absl::StrFormat(
        "%d views of the collection are kept, as many as may be of one: half of the %d of all (max_kept_views)",
        of_collection, most));
  }
  const size_t others = entries.size() - own;
  if (own < (most - others + 1) / 2) return absl::OkStatus();
  return refuse(absl::StrFormat(
      "%d views of %s are kept, as many as may be of one key or host: half of what others leave of %d (max_kept_views)",
      own, owner, most));
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

absl::StatusOr<std::string> KeptViews::Keep(PinnedView view, std::string_view owner, absl::Duration how_long) {
  BEBR_ASSIGN_OR_RETURN(std::string token, RandomToken());
  const SteadyTime now = SteadyNow();
  Entries over;  // goes after the lock
  MutexLock lock(&mutex_);
  over = TakeOut([now](const Entry& entry) { return entry.until <= now; });
  BEBR_RETURN_IF_ERROR(CheckRoom(entries_, view.shards.get(), owner, most_));
  const SteadyTime last = now + longest_;
  entries_.emplace(token, Entry{std::move(view), std::string(owner), std::min(now + how_long, last), last});
  return token;
}

absl::StatusOr<PinnedView> KeptViews::Find(std::string_view token, const ShardSet* shards, absl::Duration how_long) {
  const SteadyTime now = SteadyNow();
  MutexLock lock(&mutex_);
  const auto found = entries_.find(token);
  if (found == entries_.end() || found->second.until <= now || found->second.view.shards.get() != shards) {
    return absl::FailedPreconditionError(
        "view_token names no view of this collection that is still kept: its time is over, a version was retired, or "
        "the server was started again; begin again without it");
  }
  if (how_long > absl::ZeroDuration()) found->second.until = std::min(now + how_long, found->second.last);
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

void KeptViews::Measure() {
  std::vector<PinnedView> views;
  {
    MutexLock lock(&mutex_);
    for (const auto& [token, entry] : entries_) views.push_back(entry.view);
  }
  // After the views: what is in one of them and not here is there no more.
  std::map<const ShardSet*, std::shared_ptr<const CollectionView>> present;
  absl::flat_hash_set<const void*> seen;
  for (const PinnedView& kept : views) {
    const auto [entry, added] = present.try_emplace(kept.shards.get());
    if (!added) continue;
    entry->second = kept.shards->view();
    See(*entry->second, seen);
  }
  uint64_t bytes = 0;
  for (const PinnedView& kept : views) bytes += AddUnseen(*kept.view, seen);
  held_bytes_.store(bytes, std::memory_order_relaxed);
}

size_t KeptViews::count() const {
  MutexLock lock(&mutex_);
  return entries_.size();
}

}  // namespace bebr
