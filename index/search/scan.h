// The scan of all codes of a space for the best few of each query.
#ifndef BEBR_INDEX_SEARCH_SCAN_H_
#define BEBR_INDEX_SEARCH_SCAN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "absl/types/span.h"
#include "index/base/clock.h"
#include "index/base/thread_pool.h"
#include "index/search/filter.h"
#include "index/search/scan_target.h"

namespace bebr {

// What one query of a scan asks for.
struct ScanQuery {
  size_t k = 1;
  float min_score = -std::numeric_limits<float>::infinity();
  const Filter* filter = nullptr;  // null: all documents. Evaluated once for all queries that have the same object
  // Polled between runs of blocks, with the time; once true the query is scanned no further and its candidates mean
  // nothing. May be null.
  std::function<bool(SteadyTime now)> stopped;
};

// What a scan has read.
struct ScanCounts {
  // Live documents in the blocks in which the query's filter leaves any: whatever other queries there are.
  std::vector<uint64_t> documents_of_query;
  uint64_t documents = 0;  // the sum
  uint64_t bytes = 0;      // code bytes read
};

// The first pass of a level-progressive scan: all documents are scored by the first levels of their codes alone.
struct FirstPass {
  const PreparedQueries& prepared;  // of the same queries, in a shape with levels left out
  // The best so many by that score are scored with all levels, and the best k of these are the result; at least k. 0:
  // the shape gives bounds, and those whose bound reaches the best k so far are scored with all levels, which gives
  // exactly the result of a scan of all levels.
  size_t candidates = 0;
};

// Scores every live document for every query and returns each query's best k, best first. All queries share one pass
// over the codes, each beside its filter: the blocks of the target are shared out over `threads` threads of the pool
// and the caller's. `first` may be null. The result depends on target, queries and first->candidates alone.
std::vector<std::vector<Candidate>> Scan(const ScanTarget& target, const PreparedQueries& prepared,
                                         const FirstPass* first, absl::Span<const ScanQuery> queries, ThreadPool& pool,
                                         size_t threads, ScanCounts* counts);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_SCAN_H_
