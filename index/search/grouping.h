// The values of an attribute as groups of hits.
#ifndef BEBR_INDEX_SEARCH_GROUPING_H_
#define BEBR_INDEX_SEARCH_GROUPING_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/catalog/manifest.h"
#include "index/search/rerank.h"
#include "index/search/scan_target.h"
#include "index/shard/shard_set.h"
#include "index/types/search.h"

namespace bebr {

// What the rows of a view have under an attribute's name.
struct ValueKinds {
  bool lists = false;  // some row has a list
  bool none = false;   // some row has none, or one that is stored only
};
ValueKinds KindsOf(const CollectionView& view, std::string_view name);

// The different values in memory of a row's attribute, in order, of which each is a group. Of numbers that are equal
// one.
std::vector<AttributeScalar> GroupsOf(const ScanTarget& target, uint32_t segment, uint32_t row, std::string_view name);

// The best hits of one value.
struct HitGroup {
  AttributeScalar value;
  std::vector<SearchHit> hits;  // each with the value as its group
  bool whole = false;           // no document of the group is missing, or it has as many hits as a group may
};

// Puts hits and groups in order by their scores, without hits below `min_score`, and returns them as one list: the
// order of groups is that of their best hits, then of their values.
std::vector<SearchHit> RankGroups(std::vector<HitGroup> groups, std::optional<float> min_score);

// How many of the best documents a search by groups looks for in one of its rounds, from 1.
size_t HitsOfRound(const SearchRequest& request, size_t rerank, size_t round);
// INVALID_ARGUMENT if the attribute to group by is stored only.
absl::Status CheckGroupAttribute(const CollectionManifest& manifest, const std::string& attribute);

// For a part: the hits of groups, and others, each once and in the order of their keys; `grouped` is told the groups,
// and those of each hit, of which `take` is told hit by hit: its error ends it.
absl::StatusOr<std::vector<SearchHit>> HitsOfGroups(
    const ScanTarget& target, std::string_view attribute, absl::Span<HitGroup> groups, std::vector<SearchHit> others,
    absl::FunctionRef<absl::Status(absl::Span<const AttributeValue>)> take, ValueGroups& grouped);

// A HitGroups finds out which groups are the best, and their best hits, from lists of candidates, most of which are in
// no group in the end: only the others are made hits. Each value of a list is a group of its own, and numbers of both
// types are one if they are equal. A round is: Add, Wanted, Complete, EndRound. Not thread-safe. Cost: linear in the
// values of the candidates.
class HitGroups {
 public:
  // At most `groups` groups of at most `group_size` hits.
  HitGroups(size_t groups, size_t group_size) : most_(groups), group_size_(group_size) {}

  // Takes candidates, best first, worse ones than all before, of what was scanned. Values that were known when the
  // round began are passed over.
  void Add(const ScanTarget& target, std::string_view attribute, absl::Span<const ScoredCandidate> candidates);
  // The same of one that is a hit already, with these values.
  void Add(absl::Span<const AttributeValue> values, const SearchHit& hit);
  // Those of the round's candidates that are in a group, or among the first `at_least`, each once, in their order; and
  // the hits that were made of them, of which each takes all but its score and group. INTERNAL if one of a group is not
  // among them.
  std::vector<Candidate> Wanted(absl::Span<const ScoredCandidate> candidates, size_t at_least = 0) const;
  absl::Status Complete(const std::vector<SearchHit>& hits);
  // Ends a round: what it took were the best of all documents with a value that was not known when it began, or, with
  // `all`, all of them.
  void EndRound(bool all);

  // A group that is there whatever is found: before the first round, in which no candidate is put into it.
  void AddKnown(AttributeScalar value);

  bool enough() const { return groups_.size() >= most_; }
  std::vector<AttributeScalar> known() const;
  std::vector<HitGroup>& groups() { return groups_; }
  const std::vector<HitGroup>& groups() const { return groups_; }

 private:
  // A place for one more hit of a value; null: none.
  SearchHit* PlaceIn(const AttributeScalar& value);

  const size_t most_, group_size_;
  std::vector<HitGroup> groups_;
  absl::flat_hash_map<std::string, size_t> by_value_;  // by PackScalar
  size_t old_ = 0;                                     // groups that were known when the round began
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_GROUPING_H_
