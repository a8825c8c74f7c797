// The scan of all codes of a space for the best few of each query.
#ifndef BEBR_INDEX_SEARCH_SCAN_H_
#define BEBR_INDEX_SEARCH_SCAN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "index/base/clock.h"
#include "index/base/fair_pool.h"
#include "index/search/filter.h"
#include "index/search/scan_target.h"

namespace bebr {

// What one query of a scan asks for.
struct ScanQuery {
  size_t k = 1;
  float min_score = -std::numeric_limits<float>::infinity();
  const Filter* filter = nullptr;  // null: all documents. Evaluated once for all queries that have the same object
  const Filter::LocatedIds* ids = nullptr;  // of the filter, in the target's view; null: no row has one
  // The rows of each part of the target that the filter leaves, if they are known: they are taken. May be null.
  std::vector<SelectedRows>* rows = nullptr;
  GroupSet groups = kAllGroups;  // documents of others are not scored, and the query need not be prepared for them
  // Polled between runs of blocks, with the time; once true the query is scanned no further and its candidates mean
  // nothing. May be null.
  std::function<bool(SteadyTime now)> stopped;
};

// What a scan has read.
struct ScanCounts {
  // Live documents in the blocks of its groups in which the query's filter leaves any: whatever other queries there
  // are.
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

class ScanRun;

// A CodeScan scores every live document for every query and keeps each query's best k. All queries share one pass over
// the codes, each beside its filter.
//
//   CodeScan scan(target, prepared, nullptr, queries);
//   scan.Run(pool);
//   const std::vector<Candidate> best = scan.Best(0);
//
// What is found depends on target, queries and first->candidates alone. What the constructor takes is borrowed until
// the end; `first` may be null. Thread safety: after Run, Best and counts may be called on any threads.
class CodeScan {
 public:
  CodeScan(const ScanTarget& target, const PreparedQueries& prepared, const FirstPass* first,
           absl::Span<const ScanQuery> queries);
  ~CodeScan();

  // The blocks of the target are shared out over the pool's threads and the caller's.
  void Run(FairPool& pool);
  // A query's best k, best first. Once for each query: it takes together what the threads found. `first`, if not null,
  // gets those that were chosen by their first levels, with the score by these; without a first pass the best k.
  std::vector<Candidate> Best(size_t query, std::vector<Candidate>* first = nullptr);
  ScanCounts counts() const;

 private:
  std::unique_ptr<ScanRun> run_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_SCAN_H_
