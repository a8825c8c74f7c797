// The best hits of the best values of an attribute, of candidates that several engines chose by their first levels.
#ifndef BEBR_INDEX_CLUSTER_CHOSEN_GROUPS_H_
#define BEBR_INDEX_CLUSTER_CHOSEN_GROUPS_H_

#include <cstddef>
#include <vector>

#include "index/search/grouping.h"
#include "index/types/search.h"

namespace bebr {

// A ChosenGroups makes of the parts of one query with group_by and candidates what one engine with all documents would
// have found:
//
//   ChosenGroups groups(request, rerank);
//   while (!groups.known()) groups.TakeRound(chosen, what all engines found beside groups.values());
//   if (!groups.values().empty()) groups.TakeMissing(chosen, what all engines found of groups.values());
//   return groups.Ranked();
//
// Why that is exact. It goes through the same scans as one engine (SearchGroups), of which each chooses among all
// documents that satisfy its filter. Each engine returns the best of its own by their first levels, as many as are to
// be chosen (`chosen` of its answer; 0: nothing is, and it returns the best by all levels), so those that are chosen of
// all documents are among them.
//
// Cost: that of sorting what was found. Not thread-safe.
class ChosenGroups {
 public:
  // A document that some engine found, and its values.
  struct Found {
    SearchHit hit;
    std::vector<AttributeValue> values;
  };

  // `request` is borrowed; `rerank` is how many documents are reranked.
  ChosenGroups(const SearchRequest& request, size_t rerank)
      : request_(request), rerank_(rerank), groups_(request.k, request.group_size) {}

  // Whether it is known which values are the best.
  bool known() const { return known_; }
  // Until then those that were found, and are passed over in the next round; then those that lack hits.
  std::vector<AttributeValue> values() const;

  void TakeRound(size_t chosen, std::vector<Found> found);
  void TakeMissing(size_t chosen, const std::vector<Found>& found);

  std::vector<SearchHit> Ranked();

 private:
  // Of what was found the best `count` of those that are chosen, in the order of selection.
  std::vector<Found> Select(size_t chosen, size_t count, std::vector<Found> found) const;

  const SearchRequest& request_;
  const size_t rerank_;
  size_t round_ = 0;
  bool known_ = false;
  HitGroups groups_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_CHOSEN_GROUPS_H_
