#include "tests/model/plain_queries.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace bebr::testing {
namespace {

void Sort(Ranked& hits) {
  std::sort(hits.begin(), hits.end(),
            [](const auto& a, const auto& b) { return a.score != b.score ? a.score > b.score : a.id < b.id; });
}

constexpr size_t kAll = 1 << 20;

// All documents that count, by estimate, best first; and their exact scores.
Ranked Estimates(const ReferenceCollection& reference, const SearchRequest& request, absl::Span<const float> query,
                 const Condition& filter) {
  const std::vector<float> values(query.begin(), query.end());
  const GroupSet groups = request.probe > 0 ? reference.Probe(values, request.probe).first : kAllGroups;
  Ranked hits = reference.Search(values, kAll, {}, groups);
  std::erase_if(hits, [&](const auto& hit) {
    return !filter.holds(hit.id, reference.documents().at(hit.id).attributes) ||
           std::count(request.exclude_ids.begin(), request.exclude_ids.end(), hit.id) > 0;
  });
  return hits;
}
Ranked Fused(const std::vector<Ranked>& lists, const SearchRequest& request) {
  std::map<std::string, double> fused;
  double weights = 0;
  const auto weight_of = [&](size_t l) { return request.weights.empty() ? 1.0 : double{request.weights[l]}; };
  for (const Ranked& list : lists) {
    for (const auto& hit : list) fused[hit.id] = request.fusion == Fusion::kMax ? -1e30 : 0;
  }
  for (size_t l = 0; l < lists.size(); ++l) {
    if (lists[l].empty()) continue;
    const double weight = weight_of(l);
    weights += weight;
    for (auto& [id, score] : fused) {
      const auto hit = std::find_if(lists[l].begin(), lists[l].end(), [&id = id](auto& h) { return h.id == id; });
      const bool in = hit != lists[l].end();
      if (request.fusion == Fusion::kMean) score += weight * (in ? hit->score : lists[l].back().score);
      if (!in) continue;
      if (request.fusion == Fusion::kReciprocalRank)
        score += weight / (61.0 + static_cast<double>(hit - lists[l].begin()));
      if (request.fusion == Fusion::kMax)
        score = std::max(score, hit->score < 0 ? hit->score / weight : hit->score * weight);
    }
  }
  Ranked hits;
  for (const auto& [id, score] : fused)
    hits.push_back({id, static_cast<float>(request.fusion == Fusion::kMean ? score / weights : score)});
  Sort(hits);
  return hits;
}
// Groups one after another.
Ranked Grouped(const ReferenceCollection& reference, const SearchRequest& request, const Condition& filter) {
  std::vector<std::pair<std::string, Ranked>> groups;
  for (const auto& hit : FoundPlainly(reference, request, request.queries[0], filter, kAll)) {
    const Attributes& attributes = reference.documents().at(hit.id).attributes;
    const auto word = attributes.find(request.group_by);
    if (word == attributes.end()) continue;
    const auto& value = std::get<std::string>(word->second);
    auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == value; });
    if (group == groups.end()) group = groups.insert(groups.end(), {value, {}});
    if (group->second.size() < request.group_size) group->second.push_back(hit);
  }
  groups.resize(std::min(groups.size(), request.k));
  Ranked hits;
  for (const auto& group : groups) hits.insert(hits.end(), group.second.begin(), group.second.end());
  return hits;
}

// A list from elsewhere, of documents that count.
Ranked ListedPlainly(const ReferenceCollection& reference, const SearchRequest& request, const RankedList& list,
                     const Condition& filter) {
  Ranked out;
  for (size_t i = 0; i < list.ids.size(); ++i) {
    const auto document = reference.documents().find(list.ids[i]);
    if (document == reference.documents().end() || !filter.holds(list.ids[i], document->second.attributes) ||
        std::count(request.exclude_ids.begin(), request.exclude_ids.end(), list.ids[i]) > 0)
      continue;
    out.push_back({list.ids[i], list.scores[i]});
  }
  return out;
}

}  // namespace

Ranked FoundPlainly(const ReferenceCollection& reference, const SearchRequest& request, absl::Span<const float> query,
                    const Condition& filter, size_t wanted) {
  Ranked hits = Estimates(reference, request, query, filter);
  if (request.rerank > 0) {
    std::map<std::string, float> exact;
    for (const auto& hit : reference.SearchExact({query.begin(), query.end()}, kAll)) exact[hit.id] = hit.score;
    hits.resize(std::min(hits.size(), request.rerank));
    for (auto& hit : hits) hit.score = exact.at(hit.id);
    Sort(hits);
  }
  std::erase_if(hits, [&](const auto& hit) { return request.min_score.has_value() && hit.score < *request.min_score; });
  hits.resize(std::min(hits.size(), wanted));
  return hits;
}
Ranked ExpectedOf(const ReferenceCollection& reference, const SearchRequest& request, const Condition& filter) {
  if (!request.group_by.empty()) return Grouped(reference, request, filter);
  const size_t wanted = request.offset + request.k;
  Ranked hits;
  if (request.fusion == Fusion::kNone) {
    hits = FoundPlainly(reference, request, request.queries[0], filter, wanted);
  } else {
    std::vector<Ranked> lists;
    for (const auto& query : request.queries)
      lists.push_back(FoundPlainly(reference, request, query, filter, std::max(wanted, request.rerank)));
    for (const RankedList& list : request.lists) lists.push_back(ListedPlainly(reference, request, list, filter));
    hits = Fused(lists, request);
    hits.resize(std::min(hits.size(), wanted));
  }
  hits.erase(hits.begin(), hits.begin() + static_cast<ptrdiff_t>(std::min(request.offset, hits.size())));
  return hits;
}

}  // namespace bebr::testing
