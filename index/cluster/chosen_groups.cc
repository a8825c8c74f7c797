#include "index/cluster/chosen_groups.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "index/cluster/merge.h"
#include "index/search/ranking.h"

namespace bebr {
namespace {

template <typename Before>
void Sort(std::vector<ChosenGroups::Found>& found, size_t count, const Before& before) {
  const auto end = found.begin() + static_cast<ptrdiff_t>(std::min(count, found.size()));
  std::sort(found.begin(), end, [&](const auto& a, const auto& b) { return before(a.hit, b.hit); });
}

}  // namespace

std::vector<AttributeValue> ChosenGroups::values() const {
  std::vector<AttributeValue> values;
  for (const HitGroup& group : groups_.groups()) {
    if (!known_ || !group.whole) values.push_back(ToValue(group.value));
  }
  return values;
}

std::vector<ChosenGroups::Found> ChosenGroups::Select(size_t chosen, size_t count, std::vector<Found> found) const {
  if (chosen > 0) {
    Sort(found, found.size(), ChosenBefore);
    if (found.size() > chosen) found.resize(chosen);
    const absl::flat_hash_set<std::string_view> out(request_.exclude_ids.begin(), request_.exclude_ids.end());
    std::erase_if(found, [&](const Found& one) { return out.contains(one.hit.id); });
  }
  Sort(found, found.size(), SelectedBefore);
  if (found.size() > count) found.resize(count);
  // With a rerank the final score is another one, so the estimate may drop nothing.
  while (rerank_ == 0 && request_.min_score.has_value() && !found.empty() && found.back().hit.key < *request_.min_score)
    found.pop_back();
  return found;
}

void ChosenGroups::TakeRound(size_t chosen, std::vector<Found> found) {
  const size_t wanted = HitsOfRound(request_, rerank_, ++round_);
  found = Select(chosen, wanted, std::move(found));
  if (round_ == 1) Sort(found, rerank_, BetterHit);
  for (const Found& one : found) groups_.Add(one.values, one.hit);
  const bool all = found.size() < wanted;
  groups_.EndRound(all);
  known_ = all || groups_.enough();
}

void ChosenGroups::TakeMissing(size_t chosen, const std::vector<Found>& found) {
  for (HitGroup& group : groups_.groups()) {
    if (group.whole) continue;
    group.hits.clear();
    const AttributeValue value = ToValue(group.value);
    std::vector<Found> of_value;
    for (const Found& one : found) {
      if (std::find(one.values.begin(), one.values.end(), value) != one.values.end()) of_value.push_back(one);
    }
    for (Found& one : Select(chosen, request_.group_size, std::move(of_value))) {
      group.hits.push_back(std::move(one.hit));
      group.hits.back().group = value;
    }
  }
}

std::vector<SearchHit> ChosenGroups::Ranked() { return RankGroups(std::move(groups_.groups()), request_.min_score); }

}  // namespace bebr
