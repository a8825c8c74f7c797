#include "index/learn/comparison.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

constexpr size_t kNeighbors = 10;
constexpr double kShare = 0.995;
constexpr uint32_t kDepths[] = {20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000};
// Few at a time: the searches of others wait for theirs.
constexpr size_t kQueriesAtATime = 16;

// The best `k` by a version's codes, without the queries' own documents.
absl::StatusOr<Answers> CodeAnswers(const Collection& collection, const Version& version, const Queries& queries,
                                    size_t k, const SearchNow& search, const ReadingPace& pace) {
  Answers answers;
  for (size_t first = 0; first < queries.rows.size(); first += kQueriesAtATime) {
    SearchRequest request{.collection = collection.manifest()->name,
                          .version = version.name,
                          .k = k + 1,
                          .deadline = pace.deadline,
                          .cancelled = pace.cancelled};
    const size_t end = std::min(queries.rows.size(), first + kQueriesAtATime);
    for (size_t q = first; q < end; ++q) request.queries.push_back(queries.rows[q]);
    BEBR_ASSIGN_OR_RETURN(const SearchResult result, search(std::move(request)));
    for (size_t q = first; q < end; ++q) {
      std::vector<std::string>& ids = answers.emplace_back();
      for (const SearchHit& hit : result.hits[q - first]) {
        if (hit.id != queries.ids[q] && ids.size() < k) ids.push_back(hit.id);
      }
    }
  }
  return answers;
}

Answers FirstOf(const Answers& answers, size_t k) {
  Answers first = answers;
  for (auto& ids : first) ids.resize(std::min(ids.size(), k));
  return first;
}

uint32_t NeededRerank(const Answers& exact, const Answers& found) {
  for (const uint32_t depth : kDepths) {
    if (MeanShare(exact, FirstOf(found, depth)) >= kShare) return depth;
  }
  return *std::rbegin(kDepths);
}

}  // namespace

absl::StatusOr<Comparison> Compare(const Collection& collection, const Version& version, const Version* against,
                                   const SearchNow& search, const ReadingPace& pace) {
  const Version* const versions[] = {&version};
  BEBR_ASSIGN_OR_RETURN(const std::vector<Queries> sampled,
                        SampleQueries(collection, versions, kComparisonQueries, pace));
  const Queries& queries = sampled[0];
  if (queries.rows.empty()) return NoFloats(version);
  BEBR_ASSIGN_OR_RETURN(const ComparedAnswers answers,
                        CompareWithExact(collection, version, queries, kNeighbors, search, pace));
  BEBR_ASSIGN_OR_RETURN(const Answers deep,
                        CodeAnswers(collection, version, queries, *std::rbegin(kDepths), search, pace));
  Comparison comparison;
  comparison.rerank = NeededRerank(answers.exact, deep);
  VersionCheck& check = comparison.check;
  check.checked_unix_us = absl::ToUnixMicros(absl::Now());
  check.queries = static_cast<uint32_t>(queries.rows.size());
  check.k = kNeighbors;
  check.documents = collection.DocumentsWithEmbedding(version.embedding);
  check.recall = answers.recall();
  if (against == nullptr) return comparison;
  BEBR_ASSIGN_OR_RETURN(const Answers other, CodeAnswers(collection, *against, queries, kNeighbors, search, pace));
  check.against = against->name;
  check.against_documents = check.documents;
  check.against_recall = MeanShare(answers.exact, other);
  check.overlap = MeanShare(other, answers.found);
  return comparison;
}

}  // namespace bebr
