// A search between its check and its scan.
#ifndef BEBR_INDEX_SEARCH_SEARCH_JOB_H_
#define BEBR_INDEX_SEARCH_SEARCH_JOB_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "index/base/clock.h"
#include "index/base/interruption.h"
#include "index/catalog/manifest.h"
#include "index/search/filter.h"
#include "index/search/scan_target.h"
#include "index/shard/shard_set.h"
#include "index/types/search.h"

namespace bebr {

// A search that has been checked and waits for its scan; or for its next one, if it has more queries than a scan takes.
struct SearchJob {
  SearchRequest request;
  std::shared_ptr<ShardSet> shards;
  std::shared_ptr<const CollectionManifest> manifest;
  Version version;                       // of the queries
  std::shared_ptr<const Filter> filter;  // null = all documents
  // Of each query one of its own, in place of `filter`; or none.
  std::vector<std::shared_ptr<const Filter>> filters;
  // Of a query's candidates, best first, those that become hits, in their order; null: all. One query at a time.
  absl::AnyInvocable<absl::StatusOr<std::vector<Candidate>>(std::vector<Candidate>)> choose;
  absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done;
  uint64_t query_memory = 0;  // of one query while it is scanned: QueryMemory
  SteadyTime submitted;       // when it began to wait

  // What its scans so far have found.
  size_t scanned = 0;  // queries
  // What the first one scanned, and so all of them; null before, unless it is to be of this view.
  std::shared_ptr<const ScanTarget> target;
  // Of a search that reads little: the rows of each part of `target` that `filter` leaves, once they were looked up.
  std::optional<std::vector<SelectedRows>> rows;
  SearchResult result;
  std::atomic<uint64_t> result_bytes{0};

  const Filter* FilterOf(size_t query) const { return filters.empty() ? filter.get() : filters[query].get(); }
  size_t queries_left() const { return request.queries.size() - scanned; }
};

// What must be alike for searches to share a scan: manifest, version, first_levels and candidates.
using ScanKey = std::tuple<const CollectionManifest*, uint32_t, uint32_t, size_t>;
ScanKey ScanKeyOf(const SearchJob& job);
// How many queries a scan of a search and what is like it may have: their codes take kMostScanCodes bytes at most.
inline constexpr uint64_t kMostScanCodes = uint64_t{32} << 20;
size_t MostQueries(const SearchJob& job);

// Filter::Unknown, of all segments of a view; and all that it says.
Filter::Warnings UnknownIn(const Filter& filter, const CollectionView& view);
std::vector<std::string> WarningsOf(const Filter& filter, const CollectionView& view);
// The same of facts (Filter::Facts), of all segments of a view or of several.
FilterFacts FactsOf(const Filter& filter, const CollectionView& view);
std::vector<std::string> WarningsOf(const Filter& filter, const FilterFacts& facts);
// Of a view's documents, those that have no code in a space, which no search of it finds; and what is said of them.
uint64_t WithoutCode(const CollectionView& view, const CollectionManifest& manifest, uint32_t space);
void AddCodeWarning(const SearchRequest& request, uint64_t without_code, std::vector<std::string>& warnings);
// Of a search with group_by: the filter of the documents that are in a group, as far as facts are concerned.
std::shared_ptr<const Filter> WithSomeGroup(const Filter* filter, const std::string& group_by);
// Of a part, from which whoever merges it makes what is said.
void AddPartFacts(const SearchJob& job, const CollectionView& view, SearchResult& result);
// All that is said of an answer; of a part its facts.
void AddWarnings(const SearchJob& job, const CollectionView& view, SearchResult& result);
// INVALID_ARGUMENT with these, if there are any.
absl::Status CheckKnown(const Filter& filter, const CollectionView& view);
absl::Status CheckKnown(const std::vector<std::string>& warnings, std::string_view of = "filter");
// The same of a search with group_by, of facts as AddPartFacts adds them: what is said, or with `strict` the error.
absl::StatusOr<std::vector<std::string>> WarningsOfGroups(const SearchRequest& request, const FilterFacts& facts);
// INVALID_ARGUMENT unless group_by goes with the rest of the request.
absl::Status CheckGrouping(const SearchRequest& request);

// A checked search of a collection, ready for the scheduler but for `done`. INVALID_ARGUMENT names field, value and
// limit; NOT_FOUND: an unknown version; FAILED_PRECONDITION: a rerank without stored floats. With a view it sees that,
// else what is there when it is scanned.
absl::StatusOr<std::unique_ptr<SearchJob>> PrepareSearch(SearchRequest request,
                                                         std::shared_ptr<const CollectionManifest> manifest,
                                                         std::shared_ptr<ShardSet> shards,
                                                         std::shared_ptr<const CollectionView> view = nullptr);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_SEARCH_JOB_H_
