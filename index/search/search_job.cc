#include "index/search/search_job.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/base/status_macros.h"
#include "index/catalog/embedding.h"
#include "index/search/ranking.h"
#include "index/search/result_memory.h"

namespace bebr {
namespace {

constexpr size_t kMaxQueriesPerScan = 64;  // more at a time cost more each: the caches hold so many

// A search that leaves it to the collection is refused nothing for it: it reranks as far as its own limits allow.
void SetDefaultRerank(const CollectionManifest& manifest, SearchRequest& request) {
  if (!request.collection_rerank) return;
  const size_t wanted = std::max<size_t>(manifest.default_rerank, 2 * WantedCount(request));
  size_t most = std::min(request.most_rerank, kMaxRerank);
  if (request.candidates > 0)
    most = std::min(most, request.candidates - std::min(request.candidates, request.exclude_ids.size()));
  const bool reranks = manifest.default_rerank > 0 && manifest.KeepsFloats() && most >= WantedCount(request);
  request.rerank = reranks ? std::min(wanted, most) : 0;
}

absl::Status CheckRerank(const SearchRequest& request, const CollectionManifest& manifest) {
  if (request.rerank == 0) return absl::OkStatus();
  const size_t least = WantedCount(request);
  if (request.rerank < least || request.rerank > kMaxRerank) {
    const char* what = request.offset > 0 ? "offset + k" : least > request.k ? "k times group_size" : "k";
    return absl::InvalidArgumentError(
        absl::StrFormat("rerank is %d; it is 0 or from %s (%d) to %d", request.rerank, what, least, kMaxRerank));
  }
  if (!manifest.KeepsFloats()) {
    return absl::FailedPreconditionError(
        absl::StrFormat("collection \"%s\" stores no floats, so there is nothing to rerank with; create it with "
                        "store_floats f16 or f32",
                        manifest.name));
  }
  return absl::OkStatus();
}

absl::Status CheckLevels(const SearchRequest& request) {
  if (request.first_levels > kMaxLevels) {
    return absl::InvalidArgumentError(
        absl::StrFormat("first_levels is %d; codes have at most %d levels", request.first_levels, kMaxLevels));
  }
  if (request.candidates > 0) {
    const size_t least = CandidateCount(request);
    if (request.first_levels == 0) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "candidates is %d without first_levels; set the levels by which they are chosen", request.candidates));
    }
    if (request.candidates < least || request.candidates > kMaxCandidates) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "candidates is %d; it is 0 or from the larger of offset + k and rerank, with excluded ids (%d), to %d",
          request.candidates, least, kMaxCandidates));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckProbe(const SearchRequest& request) {
  const float probe = request.probe, recall = request.probe_recall;
  if (!(probe >= 0.0f && probe <= 1.0f)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "probe is %g; it is a share of the documents, more than 0 and at most 1, or 0 for none", probe));
  }
  if (!(recall >= 0.0f && recall < 1.0f)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "probe_recall is %g; it is a share of what a search of all documents finds, more than 0 and less than 1, or 0 "
        "for none",
        recall));
  }
  if (probe == 0.0f || recall == 0.0f) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat("probe is %g and probe_recall %g; set one of them", probe, recall));
}

absl::Status CheckLimits(const SearchRequest& request) {
  BEBR_RETURN_IF_ERROR(ValidateCount("queries", request.queries.size(), kMaxQueriesPerRequest));
  if (request.k == 0 || request.k > kMaxK) {
    return absl::InvalidArgumentError(absl::StrFormat("k is %d; it is 1 to %d", request.k, kMaxK));
  }
  if (request.offset > kMaxK || request.offset + request.k > kMaxK) {
    return absl::InvalidArgumentError(
        absl::StrFormat("offset is %d and k %d; together they are at most %d", request.offset, request.k, kMaxK));
  }
  if (request.exclude_ids.size() > kMaxExcluded) {
    return absl::InvalidArgumentError(
        absl::StrFormat("exclude_ids has %d entries; the limit is %d", request.exclude_ids.size(), kMaxExcluded));
  }
  BEBR_RETURN_IF_ERROR(CheckProbe(request));
  BEBR_RETURN_IF_ERROR(CheckGrouping(request));
  if (request.min_score.has_value() && !std::isfinite(*request.min_score)) {
    return absl::InvalidArgumentError(absl::StrFormat("min_score is %f; it must be finite", *request.min_score));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckGrouping(const SearchRequest& request) {
  if (request.group_by.empty()) return absl::OkStatus();
  if (request.group_by.size() > kMaxAttributeNameBytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("group_by has %d bytes; it is the name of an attribute, of %d at most", request.group_by.size(),
                        kMaxAttributeNameBytes));
  }
  if (request.group_size == 0 || request.group_size > kMaxGroupSize) {
    return absl::InvalidArgumentError(
        absl::StrFormat("group_size is %d; it is 1 to %d", request.group_size, kMaxGroupSize));
  }
  if (request.k * request.group_size > kMaxK) {
    return absl::InvalidArgumentError(absl::StrFormat("k is %d and group_size %d; their product is at most %d",
                                                      request.k, request.group_size, kMaxK));
  }
  if (request.offset == 0 && request.fusion == Fusion::kNone) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("group_by is set with %s; leave that out, or group what it returns yourself",
                      request.offset > 0 ? "offset" : "fusion"));
}

ScanKey ScanKeyOf(const SearchJob& job) {
  return {job.manifest.get(), job.version.number, job.request.first_levels, job.request.candidates};
}

size_t MostQueries(const SearchJob& job) {
  return std::clamp<size_t>(kMostScanCodes / std::max<uint64_t>(job.query_memory, 1), 1, kMaxQueriesPerScan);
}

FilterFacts FactsOf(const Filter& filter, const CollectionView& view) {
  std::vector<const SegmentView*> segments;
  for (const auto& shard : view.shards) {
    for (const SegmentView& segment : shard->segments) segments.push_back(&segment);
  }
  return filter.Facts(segments);
}

Filter::Warnings UnknownIn(const Filter& filter, const CollectionView& view) {
  return filter.Unknown(FactsOf(filter, view));
}

std::vector<std::string> WarningsOf(const Filter& filter, const CollectionView& view) {
  return WarningsOf(filter, FactsOf(filter, view));
}

std::vector<std::string> WarningsOf(const Filter& filter, const FilterFacts& facts) {
  Filter::Warnings warnings = filter.Unknown(facts);
  std::move(warnings.stored.begin(), warnings.stored.end(), std::back_inserter(warnings.unknown));
  return std::move(warnings.unknown);
}

uint64_t WithoutCode(const CollectionView& view, const CollectionManifest& manifest, uint32_t space) {
  uint64_t documents = 0, coded = 0;
  for (const auto& shard : view.shards) {
    documents += shard->documents;
    for (const auto& [number, count] : shard->counts.codes) {
      const Version* version = manifest.VersionByNumber(number);
      coded += version != nullptr && version->space == space ? count : 0;
    }
  }
  return documents - std::min(documents, coded);
}

void AddCodeWarning(const SearchRequest& request, uint64_t without_code, std::vector<std::string>& warnings) {
  if (without_code == 0) return;
  const std::string version =
      request.version.empty() ? "the default version" : absl::StrCat("version \"", request.version, "\"");
  warnings.push_back(absl::StrFormat(
      "documents that have no code of %s, which a search by it does not find: %d; backfill it, or write their "
      "embeddings",
      version, without_code));
}

std::shared_ptr<const Filter> WithSomeGroup(const Filter* filter, const std::string& group_by) {
  return Filter::WithOtherValue(filter, group_by, /*known=*/{}, /*lists=*/true);
}

void AddPartFacts(const SearchJob& job, const CollectionView& view, SearchResult& result) {
  result.version = job.version.name;
  result.model_checksum = job.version.binarizer->checksum();
  result.without_code = WithoutCode(view, *job.manifest, job.version.space);
  if (!job.request.group_by.empty()) {
    result.filter_facts = FactsOf(*WithSomeGroup(job.filter.get(), job.request.group_by), view);
  } else if (job.filter != nullptr) {
    result.filter_facts = FactsOf(*job.filter, view);
  }
}

void AddWarnings(const SearchJob& job, const CollectionView& view, SearchResult& result) {
  if (job.request.part) return AddPartFacts(job, view, result);
  if (job.filter != nullptr) result.warnings = WarningsOf(*job.filter, view);
  AddCodeWarning(job.request, WithoutCode(view, *job.manifest, job.version.space), result.warnings);
}

absl::Status CheckKnown(const Filter& filter, const CollectionView& view) {
  return CheckKnown(WarningsOf(filter, view));
}

absl::Status CheckKnown(const std::vector<std::string>& unknown, std::string_view of) {
  if (unknown.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat("%s: %s (strict)", of, absl::StrJoin(unknown, "; ")));
}

absl::StatusOr<std::vector<std::string>> WarningsOfGroups(const SearchRequest& request, const FilterFacts& facts) {
  std::unique_ptr<const Filter> filter;
  if (!request.filter.empty()) {
    BEBR_ASSIGN_OR_RETURN(filter, Filter::Parse(request.filter));
  }
  const auto with_group = WithSomeGroup(filter.get(), request.group_by);
  if (request.strict && filter != nullptr)
    BEBR_RETURN_IF_ERROR(CheckKnown(WarningsOf(*filter, with_group->OfBase(facts))));
  std::vector<std::string> warnings = WarningsOf(*with_group, facts);
  if (request.strict) BEBR_RETURN_IF_ERROR(CheckKnown(warnings, "filter and group_by"));
  return warnings;
}

absl::StatusOr<std::unique_ptr<SearchJob>> PrepareSearch(SearchRequest request,
                                                         std::shared_ptr<const CollectionManifest> manifest,
                                                         std::shared_ptr<ShardSet> shards,
                                                         std::shared_ptr<const CollectionView> view) {
  BEBR_ASSIGN_OR_RETURN(const Version* version, manifest->FindVersion(request.version));
  BEBR_RETURN_IF_ERROR(CheckMadeFor(request.model_checksum, *version, *manifest));
  BEBR_RETURN_IF_ERROR(CheckLimits(request));
  SetDefaultRerank(*manifest, request);
  BEBR_RETURN_IF_ERROR(CheckRerank(request, *manifest));
  BEBR_RETURN_IF_ERROR(CheckLevels(request));
  for (size_t i = 0; i < request.queries.size(); ++i) {
    BEBR_RETURN_IF_ERROR(CheckEmbedding(absl::StrFormat("queries[%d]", i), request.queries[i], *version));
  }
  auto job = std::make_unique<SearchJob>();
  if (!request.filter.empty()) {
    BEBR_ASSIGN_OR_RETURN(job->filter, Filter::Parse(request.filter));
    if (request.strict) BEBR_RETURN_IF_ERROR(CheckKnown(*job->filter, view != nullptr ? *view : *shards->view()));
  }
  job->version = *version;
  job->query_memory = QueryMemory(version->binarizer->spec(), version->binarizer->query_levels(), request.first_levels);
  if (view != nullptr) job->target = std::make_shared<const ScanTarget>(std::move(view), version->space);
  job->manifest = std::move(manifest);
  job->shards = std::move(shards);
  job->request = std::move(request);
  return job;
}

}  // namespace bebr
