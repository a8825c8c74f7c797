#include "index/upgrade/recall.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <queue>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/background.h"
#include "index/base/interruption.h"
#include "index/base/stable_hash.h"
#include "index/base/status_macros.h"
#include "index/exact/exact_search.h"
#include "index/upgrade/probe_curve.h"

namespace bebr {
namespace {

constexpr size_t kExactRows = 64;  // documents scored together
// Few at a time: clients' searches wait for the scan that these share.
constexpr size_t kQueriesAtATime = 16;

// Shows the floats of one shard, as they are read, to an ExactBest.
class ShardReader {
 public:
  ShardReader(const Version& version, FloatStorage storage, const ReadingPace& pace, const Origin& origin,
              ExactBest<std::string>& best)
      : dims_(version.binarizer->input_dims()),
        metric_(version.binarizer->metric()),
        storage_(storage),
        pace_(pace),
        origin_(origin),
        best_(best) {}

  absl::Status Add(std::string_view id, std::string_view bytes) {
    rows_.resize((ids_.size() + 1) * dims_);
    BEBR_RETURN_IF_ERROR(ReadStoredFloats(storage_, bytes, absl::MakeSpan(rows_).last(dims_)));
    ids_.emplace_back(id);
    return ids_.size() == kExactRows ? Flush() : absl::OkStatus();
  }
  absl::Status Flush() {
    const size_t rows = ids_.size();
    if (rows > 0) Score();
    ids_.clear();
    rows_.clear();
    BEBR_RETURN_IF_ERROR(Interrupted(pace_, SteadyNow()));
    return pace_.spend == nullptr ? absl::OkStatus() : pace_.spend(rows);
  }

 private:
  void Score() {
    const float* const rows = origin_.Move(rows_.data(), ids_.size(), moved_);
    terms_.clear();
    for (size_t i = 0; i < ids_.size(); ++i) terms_.push_back(TermOf(metric_, rows + i * dims_, dims_));
    best_.Add(rows, ids_.size(), terms_.data(), [this](size_t i) { return ids_[i]; });
  }

  const size_t dims_;
  const Metric metric_;
  const FloatStorage storage_;
  const ReadingPace& pace_;
  const Origin& origin_;
  ExactBest<std::string>& best_;
  std::vector<std::string> ids_;
  std::vector<float> rows_, moved_;
  std::vector<ExactTerm> terms_;
};

absl::StatusOr<Answers> ExactAnswers(const Collection& collection, const Version& version, const Queries& queries,
                                     size_t k, const ReadingPace& pace) {
  std::vector<float> floats;
  for (const auto& row : queries.rows) floats.insert(floats.end(), row.begin(), row.end());
  const size_t dims = version.binarizer->input_dims();
  const Origin origin(version.binarizer->metric(), floats.data(), queries.rows.size(), dims);
  std::vector<float> moved;
  const ExactQueries exact(origin.Move(floats.data(), queries.rows.size(), moved), queries.rows.size(), dims);
  ShardSet& shards = *collection.shards();
  const auto view = shards.view();
  std::vector<ExactBest<std::string>> best(shards.size(), ExactBest<std::string>(exact, k));
  std::vector<absl::Status> outcomes(shards.size());
  RunInBackground(pace.threads, shards.size(), [&](size_t s) {
    ShardReader reader(version, collection.manifest()->store_floats, pace, origin, best[s]);
    outcomes[s] =
        shards.store().VisitFloats(view->store.get(), version.embedding, static_cast<uint32_t>(s),
                                   [&](std::string_view id, std::string_view bytes) { return reader.Add(id, bytes); });
    outcomes[s].Update(reader.Flush());
  });
  for (const absl::Status& outcome : outcomes) BEBR_RETURN_IF_ERROR(outcome);
  Answers answers(exact.count());
  for (size_t q = 0; q < exact.count(); ++q) {
    std::vector<ExactBest<std::string>::Entry> found;
    for (auto& of_shard : best) {
      for (auto& entry : of_shard.Take(q)) found.push_back(std::move(entry));
    }
    std::sort(found.begin(), found.end());
    for (size_t i = 0; i < std::min(k, found.size()); ++i) answers[q].push_back(std::move(found[i].id));
  }
  return answers;
}

absl::StatusOr<Answers> CodeAnswers(const CollectionManifest& manifest, const Version& version, const Queries& queries,
                                    size_t k, const SearchNow& search, const ReadingPace& pace) {
  Answers answers;
  for (size_t first = 0; first < queries.rows.size(); first += kQueriesAtATime) {
    SearchRequest request{.collection = manifest.name,
                          .version = version.name,
                          .k = k,
                          .deadline = pace.deadline,
                          .cancelled = pace.cancelled};
    const size_t end = std::min(queries.rows.size(), first + kQueriesAtATime);
    for (size_t q = first; q < end; ++q) request.queries.push_back(queries.rows[q]);
    BEBR_ASSIGN_OR_RETURN(const SearchResult result, search(std::move(request)));
    for (const auto& hits : result.hits) {
      std::vector<std::string>& ids = answers.emplace_back();
      for (const SearchHit& hit : hits) ids.push_back(hit.id);
    }
  }
  return answers;
}

// A filter that leaves the documents with these ids.
std::string OneOf(const std::set<std::string_view>& ids) {
  std::string filter = "id IN (";
  for (const std::string_view id : ids) {
    filter += filter.back() == '(' ? "\"" : ", \"";
    for (const char c : id) {
      if (c == '"' || c == '\\') filter += '\\';
      filter += c;
    }
    filter += '"';
  }
  return filter + ")";
}

// Adds |estimated - exact score| of each of the ids that was scored both ways.
void AddErrors(const std::vector<std::string>& ids, const std::vector<SearchHit>& estimated,
               const std::vector<SearchHit>& reranked, std::vector<double>& errors) {
  std::map<std::string_view, double> estimates, exact;
  for (const SearchHit& hit : estimated) estimates[hit.id] = hit.score;
  for (const SearchHit& hit : reranked) {
    if (hit.score_kind == ScoreKind::kExact) exact[hit.id] = hit.score;
  }
  for (const std::string& id : ids) {
    const auto by_codes = estimates.find(id), by_floats = exact.find(id);
    if (by_codes == estimates.end() || by_floats == exact.end()) continue;  // deleted meanwhile
    errors.push_back(std::fabs(by_codes->second - by_floats->second));
  }
}

// Takes each query's own document out and leaves k.
void Trim(const Queries& queries, size_t k, Answers& answers) {
  for (size_t q = 0; q < answers.size(); ++q) {
    if (!queries.ids.empty()) std::erase(answers[q], queries.ids[q]);
    if (answers[q].size() > k) answers[q].resize(k);
  }
}

// A document by the hash of its id.
using HashedId = std::pair<uint64_t, std::string_view>;

// Those of a shard with the smallest hashes, in order, `count` of them at most; only such as come after `after`.
absl::StatusOr<std::vector<HashedId>> SmallestHashes(const ShardView& shard_view, const HashedId* after, size_t count,
                                                     const ReadingPace& pace) {
  std::priority_queue<HashedId> smallest;
  for (const SegmentView& view : shard_view.segments) {
    BEBR_RETURN_IF_ERROR(Interrupted(pace, SteadyNow()));
    for (uint32_t row = 0; row < view.rows; ++row) {
      if (view.deleted != nullptr && view.deleted->test(row)) continue;
      const std::string_view id = view.segment->id(row);
      const HashedId entry(StableHash(id), id);
      if (after != nullptr && entry <= *after) continue;
      if (smallest.size() == count && entry >= smallest.top()) continue;
      smallest.push(entry);
      if (smallest.size() > count) smallest.pop();
    }
  }
  std::vector<HashedId> ordered(smallest.size());
  for (size_t i = ordered.size(); i > 0; smallest.pop()) ordered[--i] = smallest.top();
  return ordered;
}

struct Sample {
  uint64_t hash = 0;
  std::string id;
  std::vector<std::vector<float>> rows;  // by version
  bool operator<(const Sample& other) const { return hash != other.hash ? hash < other.hash : id < other.id; }
};

// Whether the document has floats of all versions, which are then in `sample`.
absl::StatusOr<bool> ReadSample(CollectionStore& store, const CollectionView& view, uint32_t shard,
                                FloatStorage storage, absl::Span<const Version* const> versions, Sample& sample) {
  const std::string_view id = sample.id;
  for (const Version* version : versions) {
    BEBR_ASSIGN_OR_RETURN(const auto floats,
                          store.GetFloats(view.store.get(), version->embedding, shard, absl::MakeConstSpan(&id, 1)));
    if (!floats[0].has_value()) return false;
    auto& row = sample.rows.emplace_back(version->binarizer->input_dims());
    BEBR_RETURN_IF_ERROR(ReadStoredFloats(storage, *floats[0], absl::MakeSpan(row)));
  }
  return true;
}

absl::Status SampleShard(CollectionStore& store, const CollectionView& view, uint32_t shard, FloatStorage storage,
                         absl::Span<const Version* const> versions, size_t count, const ReadingPace& pace,
                         std::vector<Sample>& samples) {
  size_t taken = 0;
  HashedId last;
  bool first_pass = true;
  // Where few documents have the floats, further passes look at more and more of them.
  for (size_t look_at = 2 * count;; look_at *= 4) {
    BEBR_ASSIGN_OR_RETURN(const std::vector<HashedId> candidates,
                          SmallestHashes(*view.shards[shard], first_pass ? nullptr : &last, look_at, pace));
    for (const HashedId& candidate : candidates) {
      BEBR_RETURN_IF_ERROR(Interrupted(pace, SteadyNow()));
      Sample sample{candidate.first, std::string(candidate.second), {}};
      BEBR_ASSIGN_OR_RETURN(const bool whole, ReadSample(store, view, shard, storage, versions, sample));
      if (whole) samples.push_back(std::move(sample));
      taken += whole ? 1 : 0;
      if (taken == count) return absl::OkStatus();
    }
    if (candidates.size() < look_at) return absl::OkStatus();
    last = candidates.back();
    first_pass = false;
  }
}

}  // namespace

absl::StatusOr<std::vector<Queries>> SampleQueries(const Collection& collection,
                                                   absl::Span<const Version* const> versions, size_t count,
                                                   const ReadingPace& pace) {
  std::vector<Sample> samples;
  ShardSet& shards = *collection.shards();
  const auto view = shards.view();
  const FloatStorage storage = collection.manifest()->store_floats;
  for (uint32_t s = 0; s < shards.size(); ++s) {
    BEBR_RETURN_IF_ERROR(SampleShard(shards.store(), *view, s, storage, versions, count, pace, samples));
  }
  std::sort(samples.begin(), samples.end());
  if (samples.size() > count) samples.resize(count);
  std::vector<Queries> queries(versions.size());
  for (Sample& sample : samples) {
    for (size_t v = 0; v < versions.size(); ++v) {
      queries[v].ids.push_back(sample.id);
      queries[v].rows.push_back(std::move(sample.rows[v]));
    }
  }
  return queries;
}

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

double ComparedAnswers::recall() const { return MeanShare(exact, found); }

absl::StatusOr<ComparedAnswers> CompareWithExact(const Collection& collection, const Version& version,
                                                 const Queries& queries, size_t k, const SearchNow& search,
                                                 const ReadingPace& pace) {
  const size_t deep = k + (queries.ids.empty() ? 0 : 1);
  ComparedAnswers answers;
  BEBR_ASSIGN_OR_RETURN(answers.exact, ExactAnswers(collection, version, queries, deep, pace));
  BEBR_ASSIGN_OR_RETURN(answers.found, CodeAnswers(*collection.manifest(), version, queries, deep, search, pace));
  Trim(queries, k, answers.exact);
  Trim(queries, k, answers.found);
  return answers;
}

absl::StatusOr<ScoreError> MeasureScoreError(const CollectionManifest& manifest, const Version& version,
                                             const Queries& queries, const Answers& exact, const SearchNow& search,
                                             const ReadingPace& pace) {
  std::vector<double> errors;
  for (size_t first = 0; first < queries.rows.size(); first += kQueriesAtATime) {
    const size_t end = std::min(queries.rows.size(), first + kQueriesAtATime);
    std::set<std::string_view> ids;
    for (size_t q = first; q < end; ++q) ids.insert(exact[q].begin(), exact[q].end());
    if (ids.empty()) continue;
    SearchRequest request{.collection = manifest.name,
                          .version = version.name,
                          .k = ids.size(),
                          .filter = OneOf(ids),
                          .deadline = pace.deadline,
                          .cancelled = pace.cancelled};
    for (size_t q = first; q < end; ++q) request.queries.push_back(queries.rows[q]);
    BEBR_ASSIGN_OR_RETURN(const SearchResult estimated, search(request));
    request.rerank = request.k;
    BEBR_ASSIGN_OR_RETURN(const SearchResult reranked, search(std::move(request)));
    for (size_t q = first; q < end; ++q)
      AddErrors(exact[q], estimated.hits[q - first], reranked.hits[q - first], errors);
  }
  if (errors.empty()) return ScoreError{};
  std::sort(errors.begin(), errors.end());
  const double sum = std::accumulate(errors.begin(), errors.end(), 0.0);
  const size_t below = (errors.size() * 99 + 99) / 100;  // a percentile that is one of them
  return ScoreError{sum / static_cast<double>(errors.size()), errors[below - 1]};
}

absl::Status NoFloats(const Version& version) {
  return absl::FailedPreconditionError(absl::StrFormat(
      "no document has stored floats of version \"%s\", so there is nothing to compare its codes with", version.name));
}

absl::StatusOr<RecallSample> MeasureRecall(const Collection& collection, const Version& version, size_t queries,
                                           size_t k, const SearchNow& search, const ReadingPace& pace) {
  const Version* const versions[] = {&version};
  BEBR_ASSIGN_OR_RETURN(const std::vector<Queries> sampled, SampleQueries(collection, versions, queries, pace));
  if (sampled[0].rows.empty()) return NoFloats(version);
  BEBR_ASSIGN_OR_RETURN(const ComparedAnswers answers,
                        CompareWithExact(collection, version, sampled[0], k, search, pace));
  BEBR_ASSIGN_OR_RETURN(const ScoreError error,
                        MeasureScoreError(*collection.manifest(), version, sampled[0], answers.exact, search, pace));
  BEBR_ASSIGN_OR_RETURN(std::vector<ProbePoint> probe,
                        MeasureProbes(*collection.manifest(), version, sampled[0], k, search, pace));
  return RecallSample{.measured = absl::Now(),
                      .recall = answers.recall(),
                      .queries = static_cast<uint32_t>(sampled[0].rows.size()),
                      .k = static_cast<uint32_t>(k),
                      .score_error = error.mean,
                      .score_error_p99 = error.p99,
                      .probe = std::move(probe)};
}

}  // namespace bebr
