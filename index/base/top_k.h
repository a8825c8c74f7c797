// The best few of many.
#ifndef BEBR_INDEX_BASE_TOP_K_H_
#define BEBR_INDEX_BASE_TOP_K_H_

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace bebr {

// A TopK keeps the best k candidates of a stream by a total order `Better` (a strict weak order without ties between
// candidates, in which the one with the higher `score` comes first).
//
// It gathers up to 2k + 8 candidates and then cuts back to the best k by partial selection, so a candidate costs O(1)
// amortised whatever k is; threshold() is the score below which a candidate cannot be among the best k, and the caller
// need not add such. `k` is 1 or more. Thread safety: none.
template <typename Candidate, typename Better>
class TopK {
 public:
  TopK(size_t k, float min_score, Better better) : k_(k), threshold_(min_score), better_(better) {
    candidates_.reserve(std::min<size_t>(2 * k_ + 8, 64));
  }

  float threshold() const { return threshold_; }
  void Add(Candidate candidate) {
    candidates_.push_back(std::move(candidate));
    if (candidates_.size() >= 2 * k_ + 8) Cut();
  }
  // Lifts the threshold to what another part of the scan has found.
  void Raise(float threshold) { threshold_ = std::max(threshold_, threshold); }
  // The best k, best first.
  std::vector<Candidate> Take() {
    Cut();
    std::sort(candidates_.begin(), candidates_.end(), better_);
    return std::move(candidates_);
  }

 private:
  void Cut() {
    if (candidates_.size() <= k_) return;
    std::nth_element(candidates_.begin(), candidates_.begin() + (k_ - 1), candidates_.end(), better_);
    candidates_.resize(k_);
    threshold_ = std::max(threshold_, candidates_.back().score);
  }

  const size_t k_;
  float threshold_;
  Better better_;
  std::vector<Candidate> candidates_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_TOP_K_H_
