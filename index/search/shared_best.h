// The best of a query while several threads look for them.
#ifndef BEBR_INDEX_SEARCH_SHARED_BEST_H_
#define BEBR_INDEX_SEARCH_SHARED_BEST_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "index/base/top_k.h"
#include "index/search/scan_target.h"

namespace bebr {

// What a thread has found for a query of a scan.
struct Find {
  uint32_t query;
  Candidate candidate;
};

// The best k of one query, of all threads of a scan: each of them looks only for what all have not found yet. It lies
// on cache lines of its own.
//
// Thread safety: threshold and TryAdd may be called from any thread, Take once all have ended. Nobody waits: a thread
// that comes while another one adds keeps what it has, and adds it later.
class alignas(64) SharedBest {
 public:
  SharedBest(const ScanTarget& target, size_t k, float min_score)
      : threshold_(min_score), best_(k, min_score, IsBetter{&target}) {}

  // A score below is not among the best, whoever finds it. It only rises.
  float threshold() const { return threshold_.load(std::memory_order_relaxed); }
  // False, and nothing is added, while another thread adds.
  bool TryAdd(absl::Span<const Find> finds) {
    if (taken_.test_and_set(std::memory_order_acquire)) return false;
    for (const Find& find : finds) {
      if (find.candidate.score >= best_.threshold()) best_.Add(find.candidate);
    }
    threshold_.store(best_.threshold(), std::memory_order_relaxed);
    taken_.clear(std::memory_order_release);
    return true;
  }
  // The best, best first; once.
  std::vector<Candidate> Take() { return best_.Take(); }

 private:
  struct IsBetter {
    const ScanTarget* target;
    bool operator()(const Candidate& a, const Candidate& b) const { return target->Better(a, b); }
  };

  std::atomic<float> threshold_;
  std::atomic_flag taken_;
  TopK<Candidate, IsBetter> best_;  // of whoever has taken it
};

// Adds what a thread has found to the best of each query, but for what is being added to by others: that is left.
template <typename BestOfQuery>
void AddFinds(std::vector<Find>& finds, BestOfQuery& best) {
  size_t kept = 0;
  for (size_t begin = 0, end = 0; begin < finds.size(); begin = end) {
    const uint32_t query = finds[begin].query;
    for (end = begin + 1; end < finds.size() && finds[end].query == query; ++end) continue;
    if (best[query].TryAdd(absl::MakeConstSpan(finds).subspan(begin, end - begin))) continue;
    for (size_t i = begin; i < end; ++i) finds[kept++] = finds[i];
  }
  finds.resize(kept);
}

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_SHARED_BEST_H_
