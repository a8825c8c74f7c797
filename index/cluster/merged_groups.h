// The best hits of the best values of an attribute, made of what several engines have found.
#ifndef BEBR_INDEX_CLUSTER_MERGED_GROUPS_H_
#define BEBR_INDEX_CLUSTER_MERGED_GROUPS_H_

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "index/types/search.h"

namespace bebr {

// A MergedGroups makes of the parts of one query with group_by what one engine with all documents would have found:
//
//   MergedGroups merged(request, rerank);
//   for each engine: merged.Add(engine, hits, groups);
//   merged.Update();
//   for each engine: ask it for merged.Missing(engine), if any, as group_values; merged.Add(engine, hits, groups);
//   merged.Update();
//   return merged.Ranked();
//
// Why that is exact. Each engine gives its best k values by estimate, and their best group_size documents. A value that
// is one of the best k of all documents has its best document on some engine, and fewer than k values have a better one
// there: so that engine gives it, and the best k values of all that was given are those of all documents. With a rerank
// the values of the best `rerank` documents come first, in their new order; all of these were given too. What documents
// of such a value are on an engine that has not given it come after the best one of each value that it gave. Where
// that leaves room for them it is asked for the value's best, once.
//
// A document that an engine gives again, as it may where it is written meanwhile, stays what it was. Cost: that of
// sorting what was given. Not thread-safe.
class MergedGroups {
 public:
  // `request` is borrowed; `rerank` is how many documents the engines were to rerank.
  MergedGroups(const SearchRequest& request, size_t rerank) : request_(request), rerank_(rerank) {}

  // A part's hits and values: first of its best values, then of those that were asked for.
  void Add(size_t engine, std::vector<SearchHit> hits, ValueGroups groups);
  // What an engine gave counts no more.
  void Remove(size_t engine);
  // Takes into account what was added or removed. The first time, and where an engine was removed, it finds out which
  // values are the best: these stay.
  void Update();

  // Of the best values those of which the engine may have documents that count and were not given. It is told once.
  std::vector<AttributeValue> Missing(size_t engine);
  std::vector<SearchHit> Ranked() const;

 private:
  struct Found {
    SearchHit hit;
    std::vector<AttributeValue> values;
    size_t engine = 0;
  };
  struct Part {
    std::set<AttributeValue> given;
    std::set<std::string> ids;
    bool all = false;                 // it has no other values
    const SearchHit* last = nullptr;  // of the values that it gave first the last one's best document
  };
  // A value's documents that are known.
  struct Members {
    std::vector<const SearchHit*> selected;  // in the order in which candidates are selected
    std::vector<const SearchHit*> reranked;  // those that are among the best `rerank` of all, in their new order
  };

  void Choose(const std::vector<const Found*>& order);
  bool IsFull(const Members& members) const { return members.reranked.size() >= request_.group_size; }

  const SearchRequest& request_;
  const size_t rerank_;
  std::deque<Found> found_;
  std::map<size_t, Part> parts_;
  std::vector<AttributeValue> values_;  // the best
  std::map<AttributeValue, Members> members_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_MERGED_GROUPS_H_
