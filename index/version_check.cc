#include "index/version_check.h"

#include <algorithm>
#include <cmath>
#include <queue>
#include <set>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/stable_hash.h"
#include "index/base/status_macros.h"
#include "index/binarizer/encoder.h"

namespace bebr {
namespace {

constexpr size_t kExactRows = 64;  // documents scored together

// Queries as embeddings of one version; the ids of the documents they are, if they are documents.
struct Queries {
  std::vector<std::vector<float>> rows;
  std::vector<std::string> ids;
};

using Answers = std::vector<std::vector<std::string>>;  // ids by query, best first

// The best `k` ids seen so far, by score, then id.
class Best {
 public:
  explicit Best(size_t k) : k_(k) {}
  void Add(float score, std::string_view id) {
    if (heap_.size() == k_ && score < heap_.top().first) return;
    heap_.emplace(score, id);
    if (heap_.size() > k_) heap_.pop();
  }
  std::vector<std::string> Take() {
    std::vector<std::string> ids(heap_.size());
    for (size_t i = ids.size(); i > 0; heap_.pop()) ids[--i] = heap_.top().second;
    return ids;
  }

 private:
  using Entry = std::pair<float, std::string>;
  struct Better {
    bool operator()(const Entry& a, const Entry& b) const {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    }
  };
  size_t k_;
  std::priority_queue<Entry, std::vector<Entry>, Better> heap_;  // the worst on top
};

// Scores the floats of one shard for all queries.
class ExactScan {
 public:
  ExactScan(const Version& version, FloatStorage storage, const DenseLayer& queries, size_t count, size_t k)
      : dims_(version.binarizer->input_dims()),
        cosine_(version.binarizer->metric() == Metric::kCosine),
        storage_(storage),
        queries_(queries),
        best_(count, Best(k)) {}

  absl::Status Add(std::string_view id, std::string_view bytes) {
    rows_.resize((ids_.size() + 1) * dims_);
    BEBR_RETURN_IF_ERROR(ReadStoredFloats(storage_, bytes, absl::MakeSpan(rows_).last(dims_)));
    ids_.emplace_back(id);
    if (ids_.size() == kExactRows) Flush();
    return absl::OkStatus();
  }
  void Flush() {
    scores_.resize(ids_.size() * best_.size());
    if (!ids_.empty()) queries_.Apply(rows_.data(), ids_.size(), scores_.data());
    for (size_t r = 0; r < ids_.size(); ++r) {
      float square = 0;
      for (size_t i = 0; i < dims_; ++i) square += rows_[r * dims_ + i] * rows_[r * dims_ + i];
      const float factor = cosine_ ? (square > 0 ? 1.0f / std::sqrt(square) : 0.0f) : 1.0f;
      for (size_t q = 0; q < best_.size(); ++q) best_[q].Add(scores_[r * best_.size() + q] * factor, ids_[r]);
    }
    ids_.clear();
    rows_.clear();
  }
  std::vector<Best>& best() { return best_; }

 private:
  const size_t dims_;
  const bool cosine_;
  const FloatStorage storage_;
  const DenseLayer& queries_;
  std::vector<std::string> ids_;
  std::vector<float> rows_;
  std::vector<float> scores_;
  std::vector<Best> best_;
};

absl::StatusOr<Answers> ExactAnswers(const Collection& collection, const Version& version, const Queries& queries,
                                     size_t k) {
  const size_t count = queries.rows.size(), dims = version.binarizer->input_dims();
  std::vector<float> weight;
  for (const auto& row : queries.rows) weight.insert(weight.end(), row.begin(), row.end());
  // A dense layer whose weights are the queries scores documents as fast as the machine multiplies.
  const DenseLayer layer(weight, std::vector<float>(count), dims, count);
  // On this thread alone: those of the pool encode what clients write.
  ExactScan scan(version, collection.manifest()->store_floats, layer, count, k);
  for (const auto& shard : collection.shards()) {
    const auto snapshot = shard->snapshot();
    BEBR_RETURN_IF_ERROR(
        shard->store().VisitFloats(snapshot->store.get(), version.embedding,
                                   [&](std::string_view id, std::string_view bytes) { return scan.Add(id, bytes); }));
  }
  scan.Flush();
  Answers answers;
  for (Best& best : scan.best()) answers.push_back(best.Take());
  return answers;
}

absl::StatusOr<Answers> CodeAnswers(const CollectionManifest& manifest, const Version& version, const Queries& queries,
                                    size_t k, const SearchNow& search) {
  SearchRequest request{.collection = manifest.name, .version = version.name, .k = k};
  for (const auto& row : queries.rows) request.queries.push_back(row);
  BEBR_ASSIGN_OR_RETURN(const SearchResult result, search(std::move(request)));
  Answers answers;
  for (const auto& hits : result.hits) {
    std::vector<std::string>& ids = answers.emplace_back();
    for (const SearchHit& hit : hits) ids.push_back(hit.id);
  }
  return answers;
}

// Takes each query's own document out and leaves k.
void Trim(const Queries& queries, size_t k, Answers& answers) {
  for (size_t q = 0; q < answers.size(); ++q) {
    if (!queries.ids.empty()) std::erase(answers[q], queries.ids[q]);
    if (answers[q].size() > k) answers[q].resize(k);
  }
}

// The mean share of the ids of `wanted` that are in `found`.
double MeanShare(const Answers& wanted, const Answers& found) {
  double sum = 0;
  size_t counted = 0;
  for (size_t q = 0; q < wanted.size(); ++q) {
    if (wanted[q].empty()) continue;
    const std::set<std::string_view> there(found[q].begin(), found[q].end());
    size_t common = 0;
    for (const std::string& id : wanted[q]) common += there.contains(id) ? 1 : 0;
    sum += static_cast<double>(common) / static_cast<double>(wanted[q].size());
    ++counted;
  }
  return counted == 0 ? 0.0 : sum / static_cast<double>(counted);
}

absl::Status NoFloats(const Version& version) {
  return absl::FailedPreconditionError(absl::StrFormat(
      "no document has stored floats of version \"%s\", so there is nothing to compare its codes with", version.name));
}

absl::StatusOr<Queries> GivenQueries(std::string_view field, absl::Span<const absl::Span<const float>> given,
                                     const Version& version) {
  Queries queries;
  for (size_t i = 0; i < given.size(); ++i) {
    BEBR_RETURN_IF_ERROR(CheckEmbedding(absl::StrFormat("%s[%d]", field, i), given[i], version));
    queries.rows.emplace_back(given[i].begin(), given[i].end());
  }
  return queries;
}

// The documents with the smallest hashes among those that have floats of both versions, as queries of both.
absl::Status SampleQueries(const Collection& collection, const Version& version, const Version& against, size_t count,
                           Queries* first, Queries* second) {
  struct Sample {
    uint64_t hash;
    std::string id;
    std::vector<float> first, second;
    bool operator<(const Sample& other) const { return hash != other.hash ? hash < other.hash : id < other.id; }
  };
  const FloatStorage storage = collection.manifest()->store_floats;
  std::vector<Sample> samples;
  for (const auto& shard : collection.shards()) {
    const auto snapshot = shard->snapshot();
    std::vector<std::pair<uint64_t, std::string>> ids;
    for (const SegmentView& view : snapshot->segments) {
      for (uint32_t row = 0; row < view.rows; ++row) {
        if (view.deleted != nullptr && view.deleted->test(row)) continue;
        ids.emplace_back(StableHash(view.segment->id(row)), view.segment->id(row));
      }
    }
    std::sort(ids.begin(), ids.end());
    size_t taken = 0;
    for (size_t i = 0; i < ids.size() && taken < count; ++i) {
      const std::string_view id = ids[i].second;
      const auto read = [&](const Version& v, std::vector<float>& into) -> absl::StatusOr<bool> {
        BEBR_ASSIGN_OR_RETURN(const auto floats, shard->store().GetFloats(snapshot->store.get(), v.embedding,
                                                                          absl::MakeConstSpan(&id, 1)));
        if (!floats[0].has_value()) return false;
        into.resize(v.binarizer->input_dims());
        BEBR_RETURN_IF_ERROR(ReadStoredFloats(storage, *floats[0], absl::MakeSpan(into)));
        return true;
      };
      Sample sample{ids[i].first, std::string(id), {}, {}};
      BEBR_ASSIGN_OR_RETURN(const bool has_first, read(version, sample.first));
      if (!has_first) continue;
      BEBR_ASSIGN_OR_RETURN(const bool has_second, read(against, sample.second));
      if (!has_second) continue;
      samples.push_back(std::move(sample));
      ++taken;
    }
  }
  std::sort(samples.begin(), samples.end());
  if (samples.size() > count) samples.resize(count);
  for (Sample& sample : samples) {
    first->ids.push_back(sample.id);
    first->rows.push_back(std::move(sample.first));
    second->ids.push_back(std::move(sample.id));
    second->rows.push_back(std::move(sample.second));
  }
  return absl::OkStatus();
}

absl::Status ValidateRequest(const CheckRequest& request) {
  if (request.k == 0 || request.k > kMaxCheckK) {
    return absl::InvalidArgumentError(absl::StrFormat("k is %d; it is 1 to %d", request.k, kMaxCheckK));
  }
  if (request.sample == 0 || request.sample > kMaxCheckQueries) {
    return absl::InvalidArgumentError(absl::StrFormat("sample is %d; it is 1 to %d", request.sample, kMaxCheckQueries));
  }
  if (request.queries.size() != request.against_queries.size() || request.queries.size() > kMaxCheckQueries) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "queries has %d entries and against_queries %d; they are embeddings of the same texts by the two "
        "versions, at most %d each",
        request.queries.size(), request.against_queries.size(), kMaxCheckQueries));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<VersionCheck> CompareVersions(const Collection& collection, const CheckRequest& request,
                                             const SearchNow& search) {
  BEBR_RETURN_IF_ERROR(ValidateRequest(request));
  const auto manifest = collection.manifest();
  if (request.version.empty()) return absl::InvalidArgumentError("version is empty; name the version to check");
  BEBR_ASSIGN_OR_RETURN(const Version* version, manifest->FindVersion(request.version));
  BEBR_ASSIGN_OR_RETURN(const Version* against, manifest->FindVersion(request.against));
  if (version == against) {
    return absl::InvalidArgumentError(
        absl::StrFormat("against is \"%s\", the version that is checked; name another one", against->name));
  }
  if (manifest->store_floats == FloatStorage::kNone) {
    return absl::FailedPreconditionError(
        absl::StrFormat("collection \"%s\" stores no floats, so there are no exact neighbours to compare with; `bebr "
                        "eval` takes them from "
                        "a file",
                        manifest->name));
  }
  VersionCheck check{.against = against->name, .k = request.k};
  check.documents = collection.DocumentsWithEmbedding(version->embedding);
  check.against_documents = collection.DocumentsWithEmbedding(against->embedding);
  if (check.documents == 0) return NoFloats(*version);
  if (check.against_documents == 0) return NoFloats(*against);
  Queries queries, against_queries;
  if (request.queries.empty()) {
    BEBR_RETURN_IF_ERROR(SampleQueries(collection, *version, *against, request.sample, &queries, &against_queries));
    if (queries.rows.empty()) {
      return absl::FailedPreconditionError(
          absl::StrFormat("no document has stored floats of both version \"%s\" and version \"%s\"; give queries",
                          version->name, against->name));
    }
  } else {
    BEBR_ASSIGN_OR_RETURN(queries, GivenQueries("queries", request.queries, *version));
    BEBR_ASSIGN_OR_RETURN(against_queries, GivenQueries("against_queries", request.against_queries, *against));
  }
  const size_t k = request.k, deep = k + (queries.ids.empty() ? 0 : 1);
  BEBR_ASSIGN_OR_RETURN(Answers exact, ExactAnswers(collection, *version, queries, deep));
  BEBR_ASSIGN_OR_RETURN(Answers found, CodeAnswers(*manifest, *version, queries, deep, search));
  BEBR_ASSIGN_OR_RETURN(Answers against_exact, ExactAnswers(collection, *against, against_queries, deep));
  BEBR_ASSIGN_OR_RETURN(Answers against_found, CodeAnswers(*manifest, *against, against_queries, deep, search));
  for (Answers* answers : {&exact, &found, &against_exact, &against_found}) Trim(queries, k, *answers);
  check.queries = static_cast<uint32_t>(queries.rows.size());
  check.recall = MeanShare(exact, found);
  check.against_recall = MeanShare(against_exact, against_found);
  check.overlap = MeanShare(against_found, found);
  check.checked_unix_us = absl::ToUnixMicros(absl::Now());
  return check;
}

}  // namespace bebr
