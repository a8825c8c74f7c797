#include "server/cluster/search_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bebr/node/v1/node.pb.h"
#include "server/cluster/convert.h"

namespace bebr {
namespace {

bool AreNear(SteadyTime a, SteadyTime b) {
  if (a == absl::InfiniteDuration() || b == absl::InfiniteDuration()) return a == b;
  return absl::AbsDuration(a - b) < SearchQueue::kMostApart;
}

bool GoTogether(const QueuedSearch& a, const QueuedSearch& b) {
  return AreNear(a.request.deadline, b.request.deadline) && AreNear(a.demand.deadline, b.demand.deadline);
}

// How many queries like those of a search a call may have.
size_t MostQueries(const SearchRequest& request) {
  const size_t wanted = request.offset + request.k + request.exclude_ids.size();
  const size_t candidates = std::max({wanted, request.rerank, request.candidates});
  const size_t floats = request.queries.front().size();
  return std::min({SearchQueue::kMostQueries, SearchQueue::kMostCandidates / std::max<size_t>(1, candidates),
                   SearchQueue::kMostFloats / std::max<size_t>(1, floats)});
}

// What searches have in common that may go together; empty: it goes alone.
std::string KindOf(const QueuedSearch& search) {
  const SearchRequest& request = search.request;
  if (request.queries.empty() || 2 * request.queries.size() > MostQueries(request)) return "";
  if (!request.view_token.empty() || request.keep_view > absl::ZeroDuration() || request.explain) return "";
  // What is said of all queries of a call must be that of the search's own.
  if (!request.group_by.empty() || request.probe > 0 || request.probe_recall > 0) return "";
  node::v1::SearchRequest message;
  ToMessage(request, &message);
  if (message.ByteSizeLong() > SearchQueue::kMostKindBytes) return "";
  return absl::StrCat(request.queries.front().size(), " ", search.demand.position > 0, " ",
                      message.SerializeAsString());
}

size_t QueriesOf(const SearchQueue::Group& group) {
  size_t queries = 0;
  for (const QueuedSearch& search : group) queries += search.request.queries.size();
  return queries;
}

}  // namespace

void SearchQueue::Add(QueuedSearch search) {
  const std::string key = KindOf(search);
  Group together;
  Kind* kind = nullptr;
  if (key.empty()) {
    together.push_back(std::move(search));
  } else {
    MutexLock lock(&mutex_);
    if (kinds_.size() >= kMostKinds) std::erase_if(kinds_, [](const auto& entry) { return entry.second.idle(); });
    kind = &kinds_[key];
    kind->queries += search.request.queries.size();
    kind->waiting.push_back(std::move(search));
    together = Next(*kind);
  }
  if (!together.empty()) SendNow(kind, std::move(together));
}

SearchQueue::Group SearchQueue::Next(Kind& kind) {
  kind.about = std::max(kind.about, kind.queries + kind.under_way);
  if (kind.waiting.empty() || kind.calls >= kCalls) return {};
  const size_t enough = std::min(kind.about / 2, MostQueries(kind.waiting.front().request));
  if (kind.calls > 0 && kind.queries < enough) return {};
  return Take(kind);
}

SearchQueue::Group SearchQueue::Take(Kind& kind) {
  Group together;
  std::deque<QueuedSearch> others;
  size_t queries = 0;
  const size_t most = MostQueries(kind.waiting.front().request);
  for (QueuedSearch& search : kind.waiting) {
    const size_t more = search.request.queries.size();
    if (queries + more <= most && (together.empty() || GoTogether(together.front(), search))) {
      queries += more;
      together.push_back(std::move(search));
    } else {
      others.push_back(std::move(search));
    }
  }
  kind.waiting = std::move(others);
  kind.queries -= queries;
  kind.under_way += queries;
  ++kind.calls;
  return together;
}

void SearchQueue::SendNow(Kind* kind, Group together) {
  if (kind == nullptr) return send_(std::move(together), [] {});
  const size_t queries = QueriesOf(together);
  send_(std::move(together), [this, kind, queries] { Ended(kind, queries); });
}

void SearchQueue::Ended(Kind* kind, size_t queries) {
  Group together;
  {
    MutexLock lock(&mutex_);
    --kind->calls;
    kind->under_way -= queries;
    kind->about -= (kind->about + 7) / 8;
    together = Next(*kind);
  }
  if (!together.empty()) SendNow(kind, std::move(together));
}

void SearchQueue::Tick() {
  const SteadyTime now = SteadyNow();
  std::vector<std::pair<Kind*, Group>> late;
  {
    MutexLock lock(&mutex_);
    for (auto& [key, kind] : kinds_) {
      while (!kind.waiting.empty() && now - kind.waiting.front().since >= kLongestWait)
        late.emplace_back(&kind, Take(kind));
    }
  }
  for (auto& [kind, together] : late) SendNow(kind, std::move(together));
}

}  // namespace bebr
