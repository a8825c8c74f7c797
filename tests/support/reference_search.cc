#include "tests/support/reference_search.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "index/base/float16.h"

namespace bebr::testing {
namespace {

// The odd integer 2 c - (2^L - 1) of each dimension of one band, where the planes of the band start at `words`.
std::vector<int64_t> DecodeBand(const uint32_t* words, uint32_t dims, uint32_t levels) {
  std::vector<int64_t> values(dims);
  for (uint32_t i = 0; i < dims; ++i) {
    int64_t c = 0;
    for (uint32_t t = 0; t < levels; ++t) c = 2 * c + ((words[t * ((dims + 31) / 32) + i / 32] >> (i % 32)) & 1);
    values[i] = 2 * c - ((int64_t{1} << levels) - 1);
  }
  return values;
}

// A stored code as it is scored: each dimension of a trellis-coded band by the branches of itself and of those before
// it in its word.
std::vector<uint32_t> DerivedCode(const CodeSpec& spec, const std::vector<uint32_t>& stored) {
  std::vector<uint32_t> derived;
  size_t at = 0;
  for (const Band& band : spec.bands()) {
    const uint32_t words = (band.dims + 31) / 32, plain = words * (band.trellis ? band.levels - 1 : band.levels);
    derived.insert(derived.end(), stored.begin() + at, stored.begin() + at + plain);
    at += plain;
    if (!band.trellis) continue;
    const auto branch = [&](uint32_t i, uint32_t before) {
      return i % 32 < before ? 0u : stored[at + i / 32] >> (i % 32 - before) & 1u;
    };
    std::vector<uint32_t> planes(2 * words);
    for (uint32_t i = 0; i < band.dims; ++i) {
      planes[i / 32] |= (branch(i, 0) ^ branch(i, 1) ^ branch(i, 3)) << i % 32;
      planes[words + i / 32] |= branch(i, 2) << i % 32;
    }
    derived.insert(derived.end(), planes.begin(), planes.end());
    at += words;
  }
  return derived;
}

std::vector<ReferenceCollection::Hit> Best(std::vector<ReferenceCollection::Hit> hits, size_t k) {
  std::sort(hits.begin(), hits.end(),
            [](const auto& a, const auto& b) { return a.score != b.score ? a.score > b.score : a.id < b.id; });
  if (hits.size() > k) hits.resize(k);
  return hits;
}

}  // namespace

ReferenceCollection::ReferenceCollection(std::string_view model_file, bool half) : half_(half) {
  auto binarizer = Binarizer::Parse(model_file);
  if (!binarizer.ok()) {
    std::fprintf(stderr, "test model: %s\n", binarizer.status().ToString().c_str());
    std::abort();
  }
  binarizer_ = *std::move(binarizer);
}

void ReferenceCollection::Upsert(const std::string& id, std::vector<float> embedding, Attributes attributes) {
  UpsertBy(*this, id, std::move(embedding));
  documents_[id].attributes = std::move(attributes);
}

void ReferenceCollection::UpsertBy(const ReferenceCollection& writer, const std::string& id,
                                   std::vector<float> embedding) {
  if (half_) {
    for (float& value : embedding) value = HalfToFloat(FloatToHalf(value));
  }
  Entry entry{std::move(embedding), {}, std::vector<uint32_t>(binarizer_->spec().code_words()), {}};
  writer.binarizer_->EncodeDocuments(entry.embedding.data(), 1, entry.code.data(), &entry.factors);
  documents_[id] = std::move(entry);
}

std::vector<ReferenceCollection::Hit> ReferenceCollection::Search(const std::vector<float>& query, size_t k,
                                                                  const std::function<bool(const Attributes&)>& accept,
                                                                  GroupSet groups) const {
  return Best(Scores(query, kMaxLevels, accept, groups), k);
}

std::pair<GroupSet, double> ReferenceCollection::Probe(const std::vector<float>& query, float share) const {
  const uint32_t groups = binarizer_->spec().groups();
  if (groups == 1 || share >= 1 || documents_.empty()) return {kAllGroups, 1.0};
  std::vector<size_t> count(groups);
  for (const auto& [id, entry] : documents_) ++count[entry.factors.group];
  std::vector<float> scaled = query, nearness(groups);
  float factor = 0;
  binarizer_->ScaleQueries(scaled.data(), 1, &factor);
  binarizer_->RankGroups(scaled.data(), 1, nearness.data());
  std::vector<std::pair<float, uint32_t>> order;
  for (uint32_t group = 0; group < groups; ++group) order.emplace_back(-nearness[group], group);
  std::sort(order.begin(), order.end());
  const auto all = static_cast<double>(documents_.size());
  GroupSet chosen = 0;
  size_t documents = 0;
  for (const auto& [far, group] : order) {
    if (static_cast<float>(static_cast<double>(documents) / all) >= share) break;
    chosen |= OneGroup(group);
    documents += count[group];
  }
  return {chosen, static_cast<float>(static_cast<double>(documents) / all)};
}

std::vector<ReferenceCollection::Hit> ReferenceCollection::SearchProgressive(const std::vector<float>& query, size_t k,
                                                                             uint32_t first_levels, size_t candidates,
                                                                             GroupSet groups) const {
  std::set<std::string> chosen;
  for (const Hit& hit : Best(Scores(query, first_levels, {}, groups), candidates)) chosen.insert(hit.id);
  std::vector<Hit> hits = Scores(query, kMaxLevels, {}, groups);
  std::erase_if(hits, [&](const Hit& hit) { return !chosen.contains(hit.id); });
  return Best(std::move(hits), k);
}

std::vector<ReferenceCollection::Hit> ReferenceCollection::Scores(const std::vector<float>& query, uint32_t levels,
                                                                  const std::function<bool(const Attributes&)>& accept,
                                                                  GroupSet groups) const {
  const CodeSpec spec = binarizer_->spec().Derived();
  const uint32_t query_levels = binarizer_->query_levels();
  std::vector<uint32_t> planes(spec.groups() * spec.QueryWords(query_levels));
  std::vector<float> weights(spec.groups() * spec.bands().size()), offsets(spec.groups());
  float factor = 0;
  std::vector<float> scaled = query;
  binarizer_->ScaleQueries(scaled.data(), 1, &factor);
  binarizer_->EncodeQueries(scaled.data(), 1, planes.data(), weights.data(), offsets.data());
  std::vector<Hit> hits;
  for (const auto& [id, entry] : documents_) {
    if (accept && !accept(entry.attributes)) continue;
    const uint32_t group = entry.factors.group;
    if ((groups & OneGroup(group)) == 0) continue;
    const uint32_t* query_words = planes.data() + group * spec.QueryWords(query_levels);
    const float* band_weights = weights.data() + group * spec.bands().size();
    const std::vector<uint32_t> derived = DerivedCode(binarizer_->spec(), entry.code);
    const uint32_t* words = derived.data();
    float sum = 0;
    for (size_t b = 0; b < spec.bands().size(); ++b) {
      const Band& band = spec.bands()[b];
      const uint32_t scored = std::min(levels, band.levels);
      const std::vector<int64_t> q = DecodeBand(query_words, band.dims, query_levels),
                                 d = DecodeBand(words, band.dims, scored);
      int64_t dot = 0;
      for (uint32_t i = 0; i < band.dims; ++i) dot += q[i] * d[i];
      sum += band_weights[b] * static_cast<float>(dot << (band.levels - scored));
      query_words += (band.dims + 31) / 32 * query_levels;
      words += (band.dims + 31) / 32 * band.levels;
    }
    hits.push_back({id, (sum * entry.factors.scale + entry.factors.offset + offsets[group]) * factor});
  }
  return hits;
}

std::vector<ReferenceCollection::Hit> ReferenceCollection::SearchExact(const std::vector<float>& query,
                                                                       size_t k) const {
  std::vector<Hit> hits;
  for (const auto& [id, entry] : documents_) {
    double dot = 0, query_square = 0, square = 0, distance = 0;
    for (size_t i = 0; i < query.size(); ++i) {
      const double value = entry.embedding[i];
      dot += query[i] * value;
      query_square += static_cast<double>(query[i]) * query[i];
      square += value * value;
      distance += (query[i] - value) * (query[i] - value);
    }
    const double norm = std::sqrt(query_square) * std::sqrt(square);
    const Metric metric = binarizer_->metric();
    const double score = metric == Metric::kL2             ? -distance
                         : metric == Metric::kInnerProduct ? dot
                         : norm > 0                        ? dot / norm
                                                           : 0;
    hits.push_back({id, static_cast<float>(score)});
  }
  return Best(std::move(hits), k);
}

}  // namespace bebr::testing
