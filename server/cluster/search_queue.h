// Searches on their way to a node, several in one call.
#ifndef BEBR_SERVER_CLUSTER_SEARCH_QUEUE_H_
#define BEBR_SERVER_CLUSTER_SEARCH_QUEUE_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/types/search.h"
#include "server/cluster/node_calls.h"

namespace bebr {

// A search for a node, what it demands of it, and who waits for it.
struct QueuedSearch {
  SearchRequest request;
  NodeCalls::Demand demand;
  absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done;

  SteadyTime since = SteadyNow();
};

// A SearchQueue makes few calls of many searches: while calls are on their way, searches that ask for the same of other
// queries wait, and go together. A call costs more than a query, and the node scans once for all of its queries.
//
// When. Of those that are alike there are kCalls calls at a time. The first one goes at once; the second once half of
// the queries that are about wait, so that while one half is searched for, the other half is answered and comes again.
// None waits longer than some milliseconds where the node is slow, or hangs. Searches of other kinds, of other filters
// say, wait for none of this, nor do those with views, and those that ask for much.
//
// Together. Searches whose deadlines are less than kMostApart from each other; their call has the last of these, and
// demands the furthest position that one of them does. Those that demand none do not go with those that do.
//
// Thread safety: all methods may be called from any thread. Ownership: whoever has it must keep it until all searches
// are done, and `send` must run `ended` before that.
class SearchQueue {
 public:
  using Group = std::vector<QueuedSearch>;
  // Makes a call of one or more searches; `ended` must run once when it has ended.
  using Send = std::function<void(Group together, std::function<void()> ended)>;
  explicit SearchQueue(Send send) : send_(std::move(send)) {}

  static constexpr size_t kCalls = 2;
  static constexpr size_t kMostQueries = 64;
  static constexpr size_t kMostCandidates = 8192;    // of a call
  static constexpr size_t kMostFloats = 256 << 10;   // likewise
  static constexpr size_t kMostKindBytes = 4 << 10;  // of what is compared to tell whether searches are alike
  static constexpr absl::Duration kMostApart = absl::Milliseconds(100);
  static constexpr absl::Duration kLongestWait = absl::Milliseconds(20);

  void Add(QueuedSearch search);
  // Sends what has waited for kLongestWait; to be called about as often.
  void Tick();

 private:
  // Searches that are alike.
  struct Kind {
    std::deque<QueuedSearch> waiting;
    size_t queries = 0;    // that wait
    size_t calls = 0;      // on their way
    size_t under_way = 0;  // queries of these
    size_t about = 0;      // the most that waited or were on their way; an eighth is forgotten with each call
    bool idle() const { return waiting.empty() && calls == 0; }
  };
  static constexpr size_t kMostKinds = 1000;  // before those without searches are forgotten

  // Those that are to go now, if any are.
  static Group Next(Kind& kind);
  // The first ones, which go together.
  static Group Take(Kind& kind);
  void SendNow(Kind* kind, Group together);
  void Ended(Kind* kind, size_t queries);

  const Send send_;
  Mutex mutex_;
  std::map<std::string, Kind> kinds_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bebr

#endif  // BEBR_SERVER_CLUSTER_SEARCH_QUEUE_H_
