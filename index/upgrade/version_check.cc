#include "index/upgrade/version_check.h"

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/status_macros.h"
#include "index/catalog/embedding.h"

namespace bebr {
namespace {

absl::StatusOr<Queries> GivenQueries(std::string_view field, absl::Span<const absl::Span<const float>> given,
                                     const Version& version) {
  Queries queries;
  for (size_t i = 0; i < given.size(); ++i) {
    BEBR_RETURN_IF_ERROR(CheckEmbedding(absl::StrFormat("%s[%d]", field, i), given[i], version));
    queries.rows.emplace_back(given[i].begin(), given[i].end());
  }
  return queries;
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

// Queries of two versions, row by row of the same texts.
struct Pair {
  Queries of_version, of_against;
};

// Those that are given, or of documents that have floats of both.
absl::StatusOr<Pair> PairOfQueries(const Collection& collection, const CheckRequest& request, const Version& version,
                                   const Version& against, const ReadingPace& pace) {
  Pair pair;
  if (!request.queries.empty()) {
    BEBR_ASSIGN_OR_RETURN(pair.of_version, GivenQueries("queries", request.queries, version));
    BEBR_ASSIGN_OR_RETURN(pair.of_against, GivenQueries("against_queries", request.against_queries, against));
    return pair;
  }
  const Version* const both[] = {&version, &against};
  BEBR_ASSIGN_OR_RETURN(std::vector<Queries> sampled, SampleQueries(collection, both, request.sample, pace));
  pair = {std::move(sampled[0]), std::move(sampled[1])};
  if (!pair.of_version.rows.empty()) return pair;
  return absl::FailedPreconditionError(
      absl::StrFormat("no document has stored floats of both version \"%s\" and version \"%s\"; give queries",
                      version.name, against.name));
}

}  // namespace

absl::StatusOr<VersionCheck> CompareVersions(const Collection& collection, const CheckRequest& request,
                                             const SearchNow& search, const ReadingPace& pace) {
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
  BEBR_ASSIGN_OR_RETURN(const Pair queries, PairOfQueries(collection, request, *version, *against, pace));
  BEBR_ASSIGN_OR_RETURN(const ComparedAnswers answers,
                        CompareWithExact(collection, *version, queries.of_version, request.k, search, pace));
  BEBR_ASSIGN_OR_RETURN(const ComparedAnswers against_answers,
                        CompareWithExact(collection, *against, queries.of_against, request.k, search, pace));
  check.queries = static_cast<uint32_t>(queries.of_version.rows.size());
  check.recall = answers.recall();
  check.against_recall = against_answers.recall();
  BEBR_ASSIGN_OR_RETURN(const ScoreError error,
                        MeasureScoreError(*manifest, *version, queries.of_version, answers.exact, search, pace));
  check.score_error = error.mean;
  check.score_error_p99 = error.p99;
  check.overlap = MeanShare(against_answers.found, answers.found);
  check.checked_unix_us = absl::ToUnixMicros(absl::Now());
  return check;
}

}  // namespace bebr
