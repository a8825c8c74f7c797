#include "index/request/query.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/request/child_search.h"
#include "index/request/fused_search.h"
#include "index/request/group_search.h"
#include "index/request/recommend.h"
#include "index/request/seen_view.h"
#include "index/search/search_job.h"

namespace bebr {
namespace {

using Done = absl::AnyInvocable<void(absl::StatusOr<SearchResult>)>;

// Adds the token of a kept view to the answer, or lets go of a view that was kept for a search that failed.
Done WithToken(std::shared_ptr<const Collection> collection, SeenView seen, std::vector<std::string> versions,
               Done done) {
  return [collection = std::move(collection), seen = std::move(seen), versions = std::move(versions),
          done = std::move(done)](absl::StatusOr<SearchResult> result) mutable {
    if (result.ok()) {
      result->view_token = seen.token;
    } else {
      result = NewerThanView(*collection, seen, versions, result.status());
      Unsee(*collection, seen);
    }
    done(std::move(result));
  };
}

// Whether a search goes by how near the space's groups are to its queries.
bool RanksGroups(const SearchRequest& request) {
  return request.explain || request.probe_recall > 0.0f || (request.probe > 0.0f && request.probe < 1.0f);
}

absl::Status CheckDocumentsByGroup(const SearchJob& job) {
  const size_t told = job.request.documents_by_group.size(), groups = job.version.binarizer->spec().groups();
  if (told == 0 || told == groups) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("documents_by_group has %d entries; the space has %d groups", told, groups));
}

// The answer of a part that is to count_groups.
SearchResult CountGroups(SearchJob& job) {
  Pin(job);
  SearchResult result;
  result.hits.resize(job.request.queries.size());
  result.documents_by_group = job.target->LiveRowsByGroup(job.version.binarizer->spec().groups());
  result.probe = job.request.probe;
  result.version = job.version.name;
  result.model_checksum = job.version.binarizer->checksum();
  return result;
}

}  // namespace

void Query(std::shared_ptr<const Collection> collection, SearchRequest request, Scheduler& scheduler, Done done) {
  if (absl::Status status = CheckFusion(request); !status.ok()) return done(std::move(status));
  auto seen = See(*collection, request.view_token, request.view_owner, request.keep_view);
  if (!seen.ok()) return done(seen.status());
  const PinnedView pinned = seen->pinned;
  const bool kept = seen->kept;
  if (kept) {
    std::vector<std::string> versions = request.versions;
    if (versions.empty()) versions.push_back(request.version);
    if (request.like.has_value()) versions.push_back(request.like->version);
    done = WithToken(std::move(collection), *std::move(seen), std::move(versions), std::move(done));
  }
  if (request.like.has_value()) {
    auto query = QueryOf(pinned, *request.like);
    if (!query.ok()) return done(query.status());
    auto floats = std::make_shared<const std::vector<float>>(*std::move(query));
    request.queries.push_back(*floats);
    done = [floats, done = std::move(done)](absl::StatusOr<SearchResult> result) mutable { done(std::move(result)); };
  }
  if (request.fusion != Fusion::kNone && request.group_by.empty())
    return SearchFused(std::move(request), pinned, scheduler, std::move(done));
  auto job = PrepareSearch(std::move(request), pinned.manifest, pinned.shards, kept ? pinned.view : nullptr);
  if (!job.ok()) return done(job.status());
  (*job)->done = std::move(done);
  SetProbe(pinned, **job);
  const SearchRequest& checked = (*job)->request;
  if (checked.count_groups && RanksGroups(checked) && (*job)->version.binarizer->spec().groups() > 1)
    return (*job)->done(CountGroups(**job));
  if (absl::Status status = CheckDocumentsByGroup(**job); !status.ok()) return (*job)->done(std::move(status));
  if (!(*job)->request.group_by.empty()) return SearchGroups(*std::move(job), scheduler);
  scheduler.Serve(*std::move(job));
}

}  // namespace bebr
