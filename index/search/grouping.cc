#include "index/search/grouping.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/search/number_order.h"
#include "index/search/ranking.h"
#include "index/segment/attribute_list.h"

namespace bebr {
namespace {

constexpr size_t kLeastHits = 256;    // candidates of the first round, at least,
constexpr size_t kHitsPerWanted = 4;  // or so many for each hit that is asked for,
constexpr size_t kMoreHits = 4;       // and so many times as many in each round after it

// A decimal that equals an integer is that.
AttributeScalar OneOfEqual(AttributeScalar value) {
  const auto* number = std::get_if<double>(&value);
  if (number == nullptr) return value;
  const std::optional<int64_t> whole = EqualInt(*number);
  return whole.has_value() ? AttributeScalar(*whole) : value;
}

}  // namespace

std::vector<AttributeScalar> GroupsOf(const ScanTarget& target, uint32_t segment, uint32_t row, std::string_view name) {
  const ScanTarget::Part& part = target.parts()[segment];
  const AttributeDictionary& dictionary = *target.shard(part.shard).dictionary;
  std::vector<AttributeScalar> values;
  const auto column = part.view->attributes->find(name);
  if (column == part.view->attributes->end()) return values;
  if (column->second->types[row] == AttributeType::kList) {
    const std::string packed = dictionary.Text(static_cast<uint32_t>(column->second->values[row]));
    ForEachInList(packed, [&](std::string_view value) { values.push_back(OneOfEqual(UnpackScalar(value))); });
  } else if (auto scalar = ScalarAt(*column->second, row, dictionary)) {
    values.push_back(OneOfEqual(*std::move(scalar)));
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

ValueKinds KindsOf(const CollectionView& view, std::string_view name) {
  ValueKinds kinds;
  for (const auto& shard : view.shards) {
    for (const SegmentView& segment : shard->segments) {
      const auto column = segment.attributes->find(name);
      if (column == segment.attributes->end()) {
        kinds.none = true;
        continue;
      }
      const AttributeType* types = column->second->types.data();
      const auto has = [&](AttributeType type) {
        return std::memchr(types, static_cast<int>(type), segment.rows) != nullptr;
      };
      kinds.lists = kinds.lists || has(AttributeType::kList);
      kinds.none = kinds.none || has(AttributeType::kAbsent) || has(AttributeType::kStored);
    }
  }
  return kinds;
}

size_t HitsOfRound(const SearchRequest& request, size_t rerank, size_t round) {
  size_t hits = std::min(std::max({kLeastHits, kHitsPerWanted * WantedCount(request), rerank}), kMaxK);
  while (--round > 0 && hits < kMaxK) hits = std::min(kMoreHits * hits, kMaxK);
  return hits;
}

absl::Status CheckGroupAttribute(const CollectionManifest& manifest, const std::string& attribute) {
  const auto rule = manifest.attributes.find(attribute);
  if (rule == manifest.attributes.end() || rule->second.storage != AttributeStorage::kStored) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "group_by is \"%s\", an attribute that is stored only by the collection's schema; group by an indexed one",
      attribute));
}

absl::StatusOr<std::vector<SearchHit>> HitsOfGroups(
    const ScanTarget& target, std::string_view attribute, absl::Span<HitGroup> groups, std::vector<SearchHit> others,
    absl::FunctionRef<absl::Status(absl::Span<const AttributeValue>)> take, ValueGroups& grouped) {
  std::vector<SearchHit> hits = std::move(others);
  for (HitGroup& group : groups) {
    std::move(group.hits.begin(), group.hits.end(), std::back_inserter(hits));
    grouped.values.push_back(ToValue(std::move(group.value)));
  }
  // A document that is here several times is the same each time.
  std::sort(hits.begin(), hits.end(), SelectedBefore);
  hits.erase(std::unique(hits.begin(), hits.end(), [](const auto& a, const auto& b) { return a.id == b.id; }),
             hits.end());
  for (SearchHit& hit : hits) {
    hit.group.reset();
    std::vector<AttributeValue>& values = grouped.of_hit.emplace_back();
    for (AttributeScalar& value : GroupsOf(target, hit.segment, hit.row, attribute))
      values.push_back(ToValue(std::move(value)));
    BEBR_RETURN_IF_ERROR(take(values));
  }
  return hits;
}

void HitGroups::Add(const ScanTarget& target, std::string_view attribute,
                    absl::Span<const ScoredCandidate> candidates) {
  for (const ScoredCandidate& scored : candidates) {
    for (const AttributeScalar& value : GroupsOf(target, scored.candidate.segment, scored.candidate.row, attribute)) {
      SearchHit* hit = PlaceIn(value);
      if (hit == nullptr) continue;
      hit->score = scored.candidate.score;
      hit->score_kind = scored.kind;
      hit->segment = scored.candidate.segment;
      hit->row = scored.candidate.row;
      hit->group = ToValue(value);
    }
  }
}

void HitGroups::Add(absl::Span<const AttributeValue> values, const SearchHit& hit) {
  for (const AttributeValue& value : values) {
    SearchHit* place = PlaceIn(ToScalar(value));
    if (place == nullptr) continue;
    *place = hit;
    place->group = value;
  }
}

SearchHit* HitGroups::PlaceIn(const AttributeScalar& value) {
  const std::string packed = PackScalar(value);
  const auto found = by_value_.find(packed);
  if (found == by_value_.end() && enough()) return nullptr;
  const size_t at = found != by_value_.end() ? found->second : groups_.size();
  if (at < old_) return nullptr;
  if (at == groups_.size()) {
    groups_.push_back({value, {}});
    by_value_.emplace(packed, at);
  }
  HitGroup& group = groups_[at];
  return group.hits.size() == group_size_ ? nullptr : &group.hits.emplace_back();
}

void HitGroups::AddKnown(AttributeScalar value) {
  by_value_.emplace(PackScalar(value), groups_.size());
  groups_.push_back({std::move(value), {}});
  old_ = groups_.size();
}

std::vector<Candidate> HitGroups::Wanted(absl::Span<const ScoredCandidate> candidates, size_t at_least) const {
  absl::flat_hash_set<std::pair<uint32_t, uint32_t>> in_groups;
  for (size_t g = old_; g < groups_.size(); ++g) {
    for (const SearchHit& hit : groups_[g].hits) in_groups.emplace(hit.segment, hit.row);
  }
  std::vector<Candidate> wanted;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& candidate = candidates[i].candidate;
    if (i < at_least || in_groups.contains({candidate.segment, candidate.row})) wanted.push_back(candidate);
  }
  return wanted;
}

absl::Status HitGroups::Complete(const std::vector<SearchHit>& hits) {
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, const SearchHit*> by_row;
  for (const SearchHit& hit : hits) by_row.emplace(std::pair(hit.segment, hit.row), &hit);
  for (size_t g = old_; g < groups_.size(); ++g) {
    for (SearchHit& hit : groups_[g].hits) {
      const auto found = by_row.find({hit.segment, hit.row});
      if (found == by_row.end()) return absl::InternalError("a hit of a group was not found among those of its search");
      SearchHit whole = *found->second;
      whole.score = hit.score;
      whole.score_kind = hit.score_kind;
      whole.group = std::move(hit.group);
      hit = std::move(whole);
    }
  }
  return absl::OkStatus();
}

void HitGroups::EndRound(bool all) {
  for (size_t g = old_; g < groups_.size(); ++g) groups_[g].whole = all || groups_[g].hits.size() == group_size_;
  old_ = groups_.size();
}

std::vector<AttributeScalar> HitGroups::known() const {
  std::vector<AttributeScalar> values;
  for (const HitGroup& group : groups_) values.push_back(group.value);
  return values;
}

std::vector<SearchHit> RankGroups(std::vector<HitGroup> groups, std::optional<float> min_score) {
  for (HitGroup& group : groups) {
    std::erase_if(group.hits, [&](const SearchHit& hit) { return min_score.has_value() && hit.score < *min_score; });
    std::sort(group.hits.begin(), group.hits.end(), BetterHit);
  }
  std::erase_if(groups, [](const HitGroup& group) { return group.hits.empty(); });
  std::sort(groups.begin(), groups.end(), [](const HitGroup& a, const HitGroup& b) {
    const SearchHit &x = a.hits.front(), &y = b.hits.front();
    return x.id == y.id ? a.value < b.value : BetterHit(x, y);
  });
  std::vector<SearchHit> hits;
  for (HitGroup& group : groups) std::move(group.hits.begin(), group.hits.end(), std::back_inserter(hits));
  return hits;
}

}  // namespace bebr
