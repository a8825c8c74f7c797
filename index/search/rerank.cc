#include "index/search/rerank.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>

#include "absl/strings/str_format.h"
#include "index/base/float16.h"
#include "index/base/status_macros.h"

namespace bebr {

namespace {

constexpr size_t kChains = 8;
constexpr size_t kReadAtATime = 512;  // floats of documents that are held at a time

// Sums over the values of a query and a document, in chains with a fixed order: fast enough, and the same on every
// machine.
struct ExactSums {
  double dot[kChains] = {}, query_square[kChains] = {}, document_square[kChains] = {}, distance[kChains] = {};

  void Add(size_t chain, double q, double d) {
    dot[chain] += q * d;
    query_square[chain] += q * q;
    document_square[chain] += d * d;
    distance[chain] += (q - d) * (q - d);
  }
  static double Of(const double (&chains)[kChains]) {
    double sum = chains[0];
    for (size_t c = 1; c < kChains; ++c) sum += chains[c];
    return sum;
  }
  float Score(Metric metric) const {
    switch (metric) {
      case Metric::kCosine: {
        const double divisor = std::sqrt(Of(query_square)) * std::sqrt(Of(document_square));
        return divisor > 0 ? static_cast<float>(Of(dot) / divisor) : 0.0f;
      }
      case Metric::kInnerProduct:
        break;
      case Metric::kL2:
        return static_cast<float>(0.0 - Of(distance));  // of the same row 0, not -0
    }
    return static_cast<float>(Of(dot));
  }
};

}  // namespace

float ExactScore(absl::Span<const float> query, std::string_view stored, FloatStorage storage, Metric metric) {
  constexpr size_t kAtATime = 32 * kChains;
  float document[kAtATime];
  uint16_t halves[kAtATime];
  ExactSums sums;
  for (size_t begin = 0; begin < query.size(); begin += kAtATime) {
    const size_t count = std::min(kAtATime, query.size() - begin);
    if (storage == FloatStorage::kFloat16) {
      std::memcpy(halves, stored.data() + begin * sizeof(uint16_t), count * sizeof(uint16_t));
      HalfToFloat(halves, count, document);
    } else {
      std::memcpy(document, stored.data() + begin * sizeof(float), count * sizeof(float));
    }
    const float* const values = query.data() + begin;
    size_t i = 0;
    for (; i + kChains <= count; i += kChains) {
      for (size_t c = 0; c < kChains; ++c) sums.Add(c, values[i + c], document[i + c]);
    }
    for (size_t c = 0; i + c < count; ++c) sums.Add(c, values[i + c], document[i + c]);
  }
  return sums.Score(metric);
}

namespace {

// Whether a band holds further levels of the dims of the one before: it has a sixteenth of its weight, to the last bit
// (index/binarizer/FORMAT.md), as no band of other dims does.
bool GoesOn(const CodeSpec& spec, size_t b) {
  if (b == 0) return false;
  const Band &band = spec.bands()[b], &before = spec.bands()[b - 1];
  return before.levels == kMaxLevels && before.dims == band.dims && band.weight == before.weight / (1u << kMaxLevels);
}

}  // namespace

float InformationScore(const CodeSpec& spec, uint32_t query_levels, const uint32_t* query, const uint32_t* document) {
  uint32_t distance = 0, dims = 0;
  for (size_t b = 0; b < spec.bands().size(); ++b) {
    const Band& band = spec.bands()[b];
    const uint32_t words = CodeSpec::PlaneWords(band.dims);
    if (!GoesOn(spec, b)) {
      for (uint32_t w = 0; w < words; ++w) distance += std::popcount(query[w] ^ document[w]);
      dims += band.dims;
    }
    query += words * query_levels;
    document += words * band.levels;
  }
  const double p = static_cast<double>(distance) / dims;
  if (p >= 0.5) return 0.0f;
  if (p <= 0.0) return 1.0f;
  return static_cast<float>(1.0 + p * std::log2(p) + (1.0 - p) * std::log2(1.0 - p));
}

namespace {

// Of a shard's documents, those numbered in `some`.
absl::Status ScoreSome(CollectionStore& store, const CollectionStore::View* view, uint32_t shard,
                       absl::Span<const DocumentInShard> documents, absl::Span<const size_t> some,
                       const ExactScoring& scoring, std::vector<std::optional<float>>& scores) {
  const size_t width = scoring.storage == FloatStorage::kFloat16 ? sizeof(uint16_t) : sizeof(float);
  std::vector<std::string_view> ids;
  for (const size_t i : some) ids.push_back(documents[i].id);
  BEBR_ASSIGN_OR_RETURN(const auto floats, store.GetFloats(view, scoring.embedding, shard, ids));
  for (size_t j = 0; j < ids.size(); ++j) {
    if (!floats[j].has_value()) continue;
    if (floats[j]->size() != scoring.query.size() * width) {
      return absl::DataLossError(
          absl::StrFormat("the stored embedding of document \"%s\" has %d bytes; %d were expected", ids[j],
                          floats[j]->size(), scoring.query.size() * width));
    }
    scores[some[j]] = ExactScore(scoring.query, *floats[j], scoring.storage, scoring.metric);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::optional<float>>> ExactScores(CollectionStore& store, const CollectionStore::View* view,
                                                              absl::Span<const DocumentInShard> documents,
                                                              const ExactScoring& scoring) {
  std::map<uint32_t, std::vector<size_t>> by_shard;
  for (size_t i = 0; i < documents.size(); ++i) by_shard[documents[i].shard].push_back(i);
  std::vector<std::optional<float>> scores(documents.size());
  for (const auto& [shard, of_shard] : by_shard) {
    for (size_t begin = 0; begin < of_shard.size(); begin += kReadAtATime) {
      if (scoring.interrupted != nullptr) BEBR_RETURN_IF_ERROR(scoring.interrupted());
      const auto some = absl::MakeConstSpan(of_shard).subspan(begin, kReadAtATime);
      BEBR_RETURN_IF_ERROR(ScoreSome(store, view, shard, documents, some, scoring, scores));
    }
  }
  return scores;
}

std::vector<std::string_view> IdsOf(const ScanTarget& target, absl::Span<const ScoredCandidate> candidates) {
  std::vector<std::string_view> ids;
  ids.reserve(candidates.size());
  for (const ScoredCandidate& entry : candidates) ids.push_back(target.id(entry.candidate));
  return ids;
}

absl::StatusOr<std::vector<ScoredCandidate>> Rerank(const ScanTarget& target, CollectionStore& store,
                                                    const std::vector<Candidate>& candidates, size_t depth,
                                                    const ExactScoring& scoring) {
  depth = std::min(depth, candidates.size());
  std::vector<DocumentInShard> documents;
  for (size_t i = 0; i < depth; ++i)
    documents.push_back({target.parts()[candidates[i].segment].shard, target.id(candidates[i])});
  BEBR_ASSIGN_OR_RETURN(const auto exact, ExactScores(store, target.store_view(), documents, scoring));
  std::vector<ScoredCandidate> scored;
  for (const Candidate& candidate : candidates) scored.push_back({candidate, ScoreKind::kEstimated});
  for (size_t i = 0; i < depth; ++i) {
    if (!exact[i].has_value()) continue;
    scored[i].candidate.score = *exact[i];
    scored[i].kind = ScoreKind::kExact;
  }
  std::sort(scored.begin(), scored.end(), [&](const ScoredCandidate& a, const ScoredCandidate& b) {
    return target.Better(a.candidate, b.candidate);
  });
  return scored;
}

}  // namespace bebr
