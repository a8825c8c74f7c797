#include "index/search/ranking.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"

namespace bebr {
namespace {

constexpr double kReciprocalRankShift = 60.0;

// 2 c - (2^levels - 1) of a dimension of a band whose planes begin at `planes`.
int64_t ValueOf(const uint32_t* planes, uint32_t plane_words, uint32_t levels, uint32_t dim) {
  int64_t c = 0;
  for (uint32_t t = 0; t < levels; ++t) c = 2 * c + ((planes[t * plane_words + dim / 32] >> (dim % 32)) & 1);
  return 2 * c - ((int64_t{1} << levels) - 1);
}

struct Fused {
  SearchHit hit;
  double sum = 0;  // over the lists it is in; of a mean, of what it has beyond their last scores
  double most = 0;
  double score = 0;
};

// What counts more is better, also where scores are negative, as those of distances are.
double TimesWeight(double score, double weight) { return score < 0 ? score / weight : score * weight; }

}  // namespace

bool BetterHit(const SearchHit& a, const SearchHit& b) { return a.score != b.score ? a.score > b.score : a.id < b.id; }

bool SelectedBefore(const SearchHit& a, const SearchHit& b) { return a.key != b.key ? a.key > b.key : a.id < b.id; }

size_t WantedCount(const SearchRequest& request) {
  return request.group_by.empty() ? request.offset + request.k : request.k * request.group_size;
}

size_t CandidateCount(const SearchRequest& request) {
  return std::max(WantedCount(request), request.rerank) + request.exclude_ids.size();
}

void LeaveOut(const ScanTarget& target, const SearchRequest& request, std::vector<Candidate>& candidates) {
  if (request.exclude_ids.empty()) return;
  const absl::flat_hash_set<std::string_view> out(request.exclude_ids.begin(), request.exclude_ids.end());
  std::erase_if(candidates, [&](const Candidate& candidate) { return out.contains(target.id(candidate)); });
  const size_t ranked = CandidateCount(request) - request.exclude_ids.size();
  if (candidates.size() > ranked) candidates.resize(ranked);
}

std::vector<SearchHit> Fuse(std::vector<WeightedHits> lists, Fusion fusion, size_t offset, size_t k) {
  absl::flat_hash_map<std::string, Fused> found;
  double absent = 0, weights = 0;  // of a mean: what a document in no list would have, and divides all
  for (WeightedHits& list : lists) {
    if (list.hits.empty()) continue;
    const double weight = list.weight, last = list.hits.back().score;
    absent += weight * last;
    weights += weight;
    for (size_t rank = 0; rank < list.hits.size(); ++rank) {
      SearchHit& hit = list.hits[rank];
      const double score = hit.score;
      const auto [entry, added] = found.try_emplace(hit.id);
      Fused& fused = entry->second;
      const double weighted = TimesWeight(score, weight);
      fused.most = added ? weighted : std::max(fused.most, weighted);
      fused.sum += fusion == Fusion::kReciprocalRank ? weight / (kReciprocalRankShift + static_cast<double>(rank) + 1.0)
                                                     : weight * (score - last);
      if (added) fused.hit = std::move(hit);
    }
  }
  std::vector<Fused*> ranked;
  for (auto& [id, fused] : found) {
    const double sum = fusion == Fusion::kMean ? (absent + fused.sum) / weights : fused.sum;
    fused.score = fusion == Fusion::kMax ? fused.most : sum;
    ranked.push_back(&fused);
  }
  std::sort(ranked.begin(), ranked.end(), [](const Fused* a, const Fused* b) {
    return a->score != b->score ? a->score > b->score : a->hit.id < b->hit.id;
  });
  std::vector<SearchHit> hits;
  for (size_t i = std::min(offset, ranked.size()); i < ranked.size() && hits.size() < k; ++i) {
    ranked[i]->hit.score = static_cast<float>(ranked[i]->score);
    ranked[i]->hit.score_kind = ScoreKind::kFused;
    hits.push_back(std::move(ranked[i]->hit));
  }
  return hits;
}

Explanation Explain(const CodeSpec& spec, const EncodedQuery& query, const uint32_t* words, CodeFactors factors) {
  Explanation explanation;
  explanation.scale = factors.scale;
  explanation.offset = factors.offset;
  explanation.group = factors.group;
  explanation.query_offset = query.offset;
  explanation.query_factor = query.factor;
  const uint32_t* planes = query.planes;
  float sum = 0;
  for (size_t b = 0; b < spec.bands().size(); ++b) {
    const Band& band = spec.bands()[b];
    const uint32_t plane_words = CodeSpec::PlaneWords(band.dims);
    BandExplanation& out = explanation.bands.emplace_back();
    out.dims = band.dims;
    out.weight = query.weights[b];
    for (uint32_t i = 0; i < band.dims; ++i) {
      out.dot += ValueOf(planes, plane_words, query.levels, i) * ValueOf(words, plane_words, band.levels, i);
    }
    for (uint32_t t = 0; t < band.levels; ++t) {
      uint32_t& distance = out.distances.emplace_back(0);
      for (uint32_t w = 0; w < plane_words; ++w) {
        distance += static_cast<uint32_t>(std::popcount(planes[t * plane_words + w] ^ words[t * plane_words + w]));
      }
    }
    sum += out.weight * static_cast<float>(out.dot);
    planes += plane_words * query.levels;
    words += plane_words * band.levels;
  }
  explanation.estimate = (sum * factors.scale + factors.offset + query.offset) * query.factor;
  return explanation;
}

}  // namespace bebr
