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
  Queries queries, against_queries;
  if (request.queries.empty()) {
    const Version* const both[] = {version, against};
    BEBR_ASSIGN_OR_RETURN(std::vector<Queries> sampled, SampleQueries(collection, both, request.sample));
    queries = std::move(sampled[0]);
    against_queries = std::move(sampled[1]);
    if (queries.rows.empty()) {
      return absl::FailedPreconditionError(
          absl::StrFormat("no document has stored floats of both version \"%s\" and version \"%s\"; give queries",
                          version->name, against->name));
    }
  } else {
    BEBR_ASSIGN_OR_RETURN(queries, GivenQueries("queries", request.queries, *version));
    BEBR_ASSIGN_OR_RETURN(against_queries, GivenQueries("against_queries", request.against_queries, *against));
  }
  BEBR_ASSIGN_OR_RETURN(const ComparedAnswers answers,
                        CompareWithExact(collection, *version, queries, request.k, search, pace));
  BEBR_ASSIGN_OR_RETURN(const ComparedAnswers against_answers,
                        CompareWithExact(collection, *against, against_queries, request.k, search, pace));
  check.queries = static_cast<uint32_t>(queries.rows.size());
  check.recall = answers.recall();
  check.against_recall = against_answers.recall();
  check.overlap = MeanShare(against_answers.found, answers.found);
  check.checked_unix_us = absl::ToUnixMicros(absl::Now());
  return check;
}

}  // namespace bebr
