#include "tests/support/test_shards.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace bebr::testing {
namespace {

template <typename T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "test shards: %s\n", result.status().ToString().c_str());
    std::abort();
  }
  return *std::move(result);
}

}  // namespace

absl::StatusOr<MutationResult> CommitRequest(ShardSet& shards, std::vector<Mutation> list) {
  Mutations mutations(shards.size());
  for (Mutation& mutation : list) {
    const uint32_t shard = shards.ShardOf(mutation.id);
    mutations.by_shard[shard].push_back(std::move(mutation));
  }
  Mutations* const group[] = {&mutations};
  absl::StatusOr<std::vector<MutationResult>> results = shards.Commit(group);
  if (!results.ok()) return results.status();
  return std::move(results->front());
}

TestShards::TestShards(const std::string& model_file, size_t shards)
    : binarizer_(Must(Binarizer::Parse(model_file))), reference_(model_file) {
  ShardContents contents{.spaces = {{0, binarizer_->spec()}}, .versions = {{0, 0}}, .stores_floats = true};
  const auto cache = MakeStoreCache(1 << 20, 1 << 20);
  const std::string path = directory_.path() + "/store";
  Must(CollectionStore::Create(path, static_cast<uint32_t>(shards), cache));
  shards_ = Must(ShardSet::Open(path, static_cast<uint32_t>(shards), std::move(contents), cache, &pool_, &counters_));
}

void TestShards::Put(const std::string& id, const std::vector<float>& embedding, Attributes attributes) {
  PutAll({{id, {embedding, std::move(attributes)}}});
}

void TestShards::PutAll(const std::map<std::string, std::pair<std::vector<float>, Attributes>>& documents) {
  const uint32_t code_words = binarizer_->spec().code_words();
  std::vector<uint32_t> words(documents.size() * code_words);
  std::vector<Mutation> list(documents.size());
  size_t i = 0;
  for (const auto& [id, document] : documents) {
    const auto& [embedding, attributes] = document;
    CodeFactors factors;
    uint32_t* const code = words.data() + i * code_words;
    binarizer_->EncodeDocuments(embedding.data(), 1, code, &factors);
    Mutation& mutation = list[i++];
    mutation.id = id;
    mutation.attributes = &attributes;
    mutation.codes.push_back({.space = 0, .version = 0, .factors = factors, .words = {code, code_words}});
    mutation.floats.push_back(
        {.embedding = 0, .bytes = {reinterpret_cast<const char*>(embedding.data()), embedding.size() * sizeof(float)}});
    reference_.Upsert(id, embedding, attributes);
  }
  Must(CommitRequest(*shards_, std::move(list)));
}

void TestShards::Delete(const std::string& id) {
  Must(CommitRequest(*shards_, {Mutation{.kind = MutationKind::kDelete, .id = id}}));
  reference_.Delete(id);
}

ScanTarget TestShards::Target() const { return ScanTarget(shards_->view(), 0); }

PreparedQueries TestShards::Prepare(const std::vector<std::vector<float>>& queries, uint32_t first_levels,
                                    bool bound) const {
  const CodeSpec& spec = binarizer_->spec();
  const uint32_t levels = binarizer_->query_levels();
  std::vector<float> rows;
  for (const auto& query : queries) rows.insert(rows.end(), query.begin(), query.end());
  std::vector<float> factors(queries.size());
  binarizer_->ScaleQueries(rows.data(), queries.size(), factors.data());
  const size_t codes = queries.size() * spec.groups();
  std::vector<uint32_t> planes(codes * spec.QueryWords(levels));
  std::vector<float> weights(codes * spec.bands().size()), offsets(codes);
  binarizer_->EncodeQueries(rows.data(), queries.size(), planes.data(), weights.data(), offsets.data());
  simd::CodeShape shape = MakeShape(spec, levels);
  if (first_levels > 0) {
    for (uint32_t b = 0; b < shape.band_count; ++b) {
      shape.bands[b].left_out = std::max(shape.bands[b].scored_levels(), first_levels) - first_levels;
    }
    shape.bound = bound;
  }
  FairPool pool(0);
  return PreparedQueries(spec, shape, queries.size(), planes.data(), weights.data(), offsets.data(), pool);
}

std::vector<std::vector<Candidate>> ScanAll(const ScanTarget& target, const PreparedQueries& prepared,
                                            const FirstPass* first, absl::Span<const ScanQuery> queries, size_t threads,
                                            ScanCounts* counts) {
  FairPool pool(threads - 1);
  CodeScan scan(target, prepared, first, queries);
  scan.Run(pool);
  std::vector<std::vector<Candidate>> best;
  for (size_t q = 0; q < queries.size(); ++q) best.push_back(scan.Best(q));
  if (counts != nullptr) *counts = scan.counts();
  return best;
}

std::vector<ReferenceCollection::Hit> HitsOf(const ScanTarget& target, const std::vector<Candidate>& candidates) {
  std::vector<ReferenceCollection::Hit> hits;
  for (const Candidate& candidate : candidates) hits.push_back({std::string(target.id(candidate)), candidate.score});
  return hits;
}

}  // namespace bebr::testing
