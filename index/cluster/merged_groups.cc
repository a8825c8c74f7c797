#include "index/cluster/merged_groups.h"

#include <algorithm>

#include "index/search/grouping.h"
#include "index/search/ranking.h"

namespace bebr {

void MergedGroups::Add(size_t engine, std::vector<SearchHit> hits, ValueGroups groups) {
  const auto [entry, first] = parts_.try_emplace(engine);
  Part& part = entry->second;
  const std::set<AttributeValue> given(groups.values.begin(), groups.values.end());
  std::set<AttributeValue> seen;
  for (size_t i = 0; i < hits.size(); ++i) {
    if (!part.ids.insert(hits[i].id).second) continue;
    const Found& found = found_.emplace_back(Found{std::move(hits[i]), std::move(groups.of_hit[i]), engine});
    if (!first) continue;
    // They come in the order of selection, so what brings the last new value is the last one's best.
    for (const AttributeValue& value : found.values) {
      if (given.contains(value) && seen.insert(value).second) part.last = &found.hit;
    }
  }
  if (first) part.all = groups.all;
  part.given.insert(given.begin(), given.end());
}

void MergedGroups::Remove(size_t engine) {
  parts_.erase(engine);
  values_.clear();
}

void MergedGroups::Update() {
  std::vector<const Found*> order;
  for (const Found& found : found_) {
    if (parts_.contains(found.engine)) order.push_back(&found);
  }
  std::sort(order.begin(), order.end(), [](const Found* a, const Found* b) { return SelectedBefore(a->hit, b->hit); });
  members_.clear();
  for (const Found* found : order) {
    for (const AttributeValue& value : found->values) members_[value].selected.push_back(&found->hit);
  }
  const auto rest = order.begin() + static_cast<ptrdiff_t>(std::min(order.size(), rerank_));
  std::sort(order.begin(), rest, [](const Found* a, const Found* b) { return BetterHit(a->hit, b->hit); });
  for (auto found = order.begin(); found != rest; ++found) {
    for (const AttributeValue& value : (*found)->values) members_[value].reranked.push_back(&(*found)->hit);
  }
  if (values_.empty()) Choose(order);
}

void MergedGroups::Choose(const std::vector<const Found*>& order) {
  std::set<AttributeValue> chosen;
  for (const Found* found : order) {
    for (const AttributeValue& value : found->values) {
      if (values_.size() == request_.k) return;
      if (chosen.insert(value).second) values_.push_back(value);
    }
  }
}

std::vector<AttributeValue> MergedGroups::Missing(size_t engine) {
  Part& part = parts_.at(engine);
  std::vector<AttributeValue> missing;
  if (part.all) return missing;
  for (const AttributeValue& value : values_) {
    if (part.given.contains(value)) continue;
    const Members& members = members_.at(value);
    if (IsFull(members)) continue;
    const bool enough = members.selected.size() >= request_.group_size;
    const bool beyond =
        enough && part.last != nullptr && !SelectedBefore(*part.last, *members.selected[request_.group_size - 1]);
    if (!beyond) missing.push_back(value);
  }
  part.given.insert(missing.begin(), missing.end());
  return missing;
}

std::vector<SearchHit> MergedGroups::Ranked() const {
  std::vector<HitGroup> groups;
  for (const AttributeValue& value : values_) {
    const Members& members = members_.at(value);
    HitGroup& group = groups.emplace_back(HitGroup{ToScalar(value), {}});
    const auto& best = IsFull(members) ? members.reranked : members.selected;
    for (size_t i = 0; i < std::min(best.size(), request_.group_size); ++i) {
      SearchHit& hit = group.hits.emplace_back(*best[i]);
      hit.group = value;
    }
  }
  return RankGroups(std::move(groups), request_.min_score);
}

}  // namespace bebr
