#include "index/cluster/merge.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/request/page.h"
#include "index/search/browse.h"
#include "index/search/ranking.h"
#include "index/search/search_job.h"

namespace bebr {
namespace {

// So many of them are left.
template <typename Before>
void Keep(size_t count, const Before& before, std::vector<SearchHit>& hits) {
  std::sort(hits.begin(), hits.end(), before);
  if (hits.size() > count) hits.resize(count);
}

// One query's hits, of all parts, whose `all` says how they were found.
std::vector<SearchHit> MergeHits(const SearchRequest& request, const SearchResult& all,
                                 std::vector<SearchHit> candidates) {
  const size_t selected = std::max(WantedCount(request), all.rerank);
  if (all.chosen > 0) {
    Keep(all.chosen, ChosenBefore, candidates);
    const absl::flat_hash_set<std::string_view> out(request.exclude_ids.begin(), request.exclude_ids.end());
    std::erase_if(candidates, [&](const SearchHit& hit) { return out.contains(hit.id); });
  }
  Keep(selected, SelectedBefore, candidates);
  std::sort(candidates.begin(), candidates.end(), BetterHit);
  // What is fused is a list of all that was ranked.
  const bool fused = request.fusion != Fusion::kNone;
  const size_t most = fused ? selected : request.k;
  std::vector<SearchHit> hits;
  for (size_t i = fused ? 0 : request.offset; i < candidates.size() && hits.size() < most; ++i) {
    if (request.min_score.has_value() && candidates[i].score < *request.min_score) break;
    hits.push_back(std::move(candidates[i]));
  }
  return hits;
}

// What nodes warn of beside the filter, and whether one of them is behind.
template <typename Result>
void AddWarningsOf(const Result& part, Result& all) {
  all.may_be_stale |= part.may_be_stale;
  for (const std::string& warning : part.warnings) {
    if (std::find(all.warnings.begin(), all.warnings.end(), warning) == all.warnings.end())
      all.warnings.push_back(warning);
  }
}
template <typename Result>
void AddWarnings(const std::vector<Result>& parts, Result& all) {
  for (const Result& part : parts) AddWarningsOf(part, all);
}

// The version is for all nodes as far as it is for the least of them.
VersionState MergeState(VersionState a, VersionState b) {
  if (a == b) return a;
  for (const VersionState state : {VersionState::kBackfilling, VersionState::kAdded, VersionState::kReady}) {
    if (a == state || b == state) return state;
  }
  return a;
}

void MergeVersion(const VersionInfo& part, VersionInfo& all) {
  all.state = MergeState(all.state, part.state);
  all.documents += part.documents;
  all.embeddings += part.embeddings;
  all.check.reset();   // of a node's own documents
  all.recall.reset();  // likewise
  if (!part.backfill.has_value()) return;
  if (!all.backfill.has_value()) all.backfill.emplace();
  all.backfill->running |= part.backfill->running;
  all.backfill->limit_documents_per_s += part.backfill->limit_documents_per_s;
  all.backfill->written += part.backfill->written;
  all.backfill->documents_per_s += part.backfill->documents_per_s;
  if (all.backfill->error.empty()) all.backfill->error = part.backfill->error;
}

// Where two parts of a collection contradict each other; empty: nowhere.
std::string Difference(const CollectionInfo& a, const CollectionInfo& b) {
  if (a.default_version != b.default_version) {
    return absl::StrFormat("nodes have different default versions, \"%s\" and \"%s\": promote one", a.default_version,
                           b.default_version);
  }
  if (a.store_floats != b.store_floats || a.attributes != b.attributes || a.default_rerank != b.default_rerank)
    return "nodes were created with different options";
  for (size_t i = 0; i < std::max(a.versions.size(), b.versions.size()); ++i) {
    if (i >= std::min(a.versions.size(), b.versions.size()) || a.versions[i].name != b.versions[i].name)
      return "nodes have different versions: add, or retire, what one of them lacks";
    if (a.versions[i].model_checksum != b.versions[i].model_checksum)
      return absl::StrFormat("nodes have different models of version \"%s\"", a.versions[i].name);
  }
  return "";
}

void AddMemory(const MemoryUse& part, MemoryUse& all) {
  all.codes += part.codes;
  all.ids += part.ids;
  all.attributes += part.attributes;
  all.models += part.models;
  all.total += part.total;
}

}  // namespace

bool ChosenBefore(const SearchHit& a, const SearchHit& b) {
  return a.first_key != b.first_key ? a.first_key > b.first_key : a.id < b.id;
}

void MergeTimings(const SearchTimings& part, SearchTimings& all) {
  all.queue_us = std::max(all.queue_us, part.queue_us);
  all.encode_us = std::max(all.encode_us, part.encode_us);
  all.scan_us = std::max(all.scan_us, part.scan_us);
  all.rerank_us = std::max(all.rerank_us, part.rerank_us);
  all.queries_in_scan = std::max(all.queries_in_scan, part.queries_in_scan);
}

void AddFacts(const FilterFacts& part, FilterFacts& all) {
  all.resize(std::max(all.size(), part.size()));
  for (size_t i = 0; i < part.size(); ++i) all[i] |= part[i];
}

void AddNodeWarnings(const SearchResult& part, SearchResult& all) { AddWarningsOf(part, all); }

void AddTimings(const SearchTimings& next, SearchTimings& all) {
  all.queue_us += next.queue_us;
  all.encode_us += next.encode_us;
  all.scan_us += next.scan_us;
  all.rerank_us += next.rerank_us;
  all.queries_in_scan = std::max(all.queries_in_scan, next.queries_in_scan);
}

absl::StatusOr<SearchResult> MergeFacts(const SearchRequest& request, const std::vector<SearchResult>& parts) {
  SearchResult all;
  all.rerank = parts.front().rerank;
  all.chosen = parts.front().chosen;
  for (const SearchResult& part : parts) {
    if (part.rerank != all.rerank || part.chosen != all.chosen) {
      return absl::UnavailableError(absl::StrFormat(
          "nodes rerank %d and %d candidates, as they do while the collection changes: try again, or set rerank",
          all.rerank, part.rerank));
    }
    all.documents_scanned += part.documents_scanned;
    all.scanned_share = std::max(all.scanned_share, part.scanned_share);
    all.documents += part.documents;
    all.without_code += part.without_code;
    MergeTimings(part.timings, all.timings);
    AddFacts(part.filter_facts, all.filter_facts);
  }
  if (request.group_by.empty()) {
    BEBR_ASSIGN_OR_RETURN(all.warnings, WarningsOfFilter(request.filter, all.filter_facts, request.strict));
  } else {
    BEBR_ASSIGN_OR_RETURN(all.warnings, WarningsOfGroups(request, all.filter_facts));
  }
  AddCodeWarning(request, all.without_code, all.warnings);
  AddWarnings(parts, all);
  return all;
}

absl::StatusOr<SearchResult> MergeSearch(const SearchRequest& request, std::vector<SearchResult> parts) {
  BEBR_ASSIGN_OR_RETURN(SearchResult all, MergeFacts(request, parts));
  for (size_t q = 0; q < parts.front().hits.size(); ++q) {
    std::vector<SearchHit> candidates;
    for (SearchResult& part : parts)
      std::move(part.hits[q].begin(), part.hits[q].end(), std::back_inserter(candidates));
    all.hits.push_back(MergeHits(request, all, std::move(candidates)));
  }
  return all;
}

absl::StatusOr<Page> MergePages(const PageRequest& request, std::vector<Page> parts) {
  Page all;
  std::string end;  // pages with more documents are known up to here; empty: none has more
  for (Page& part : parts) {
    if (!part.next.empty() && (end.empty() || part.next < end)) end = part.next;
    AddFacts(part.filter_facts, all.filter_facts);
    std::move(part.documents.begin(), part.documents.end(), std::back_inserter(all.documents));
  }
  BEBR_ASSIGN_OR_RETURN(all.warnings, WarningsOfFilter(request.filter, all.filter_facts, request.strict));
  AddWarnings(parts, all);
  const auto id = [](const PageDocument& entry) -> const std::string& { return entry.document.id; };
  std::sort(all.documents.begin(), all.documents.end(),
            [&](const PageDocument& a, const PageDocument& b) { return id(a) < id(b); });
  while (!end.empty() && !all.documents.empty() && id(all.documents.back()) > end) all.documents.pop_back();
  all.next = end;
  if (all.documents.size() > request.limit) {
    all.documents.resize(request.limit);
    all.next = id(all.documents.back());
  }
  // Every part alone is within the limit.
  uint64_t bytes = 0;
  for (size_t i = 0; request.max_bytes != 0 && i < all.documents.size(); ++i) {
    bytes += BytesOf(all.documents[i]);
    if (i == 0 || bytes <= request.max_bytes) continue;
    all.documents.resize(i);
    all.next = id(all.documents.back());
  }
  return all;
}

absl::StatusOr<CountResult> MergeCounts(const CountRequest& request, const std::vector<CountResult>& parts) {
  CountResult all;
  for (const CountResult& part : parts) {
    all.documents += part.documents;
    AddFacts(part.filter_facts, all.filter_facts);
  }
  BEBR_ASSIGN_OR_RETURN(all.warnings, WarningsOfFilter(request.filter, all.filter_facts, request.strict));
  AddWarnings(parts, all);
  return all;
}

absl::StatusOr<FacetResult> MergeFacets(const FacetRequest& request, std::vector<FacetResult> parts) {
  FacetResult all;
  std::map<AttributeValue, uint64_t> counts;
  for (FacetResult& part : parts) {
    all.documents += part.documents;
    all.with_attribute += part.with_attribute;
    AddFacts(part.filter_facts, all.filter_facts);
    AddFacts(part.attribute_facts, all.attribute_facts);
    for (Facet& facet : part.facets) counts[std::move(facet.value)] += facet.documents;
  }
  BEBR_RETURN_IF_ERROR(AddFacetWarnings(request, all));
  AddWarnings(parts, all);
  BEBR_RETURN_IF_ERROR(CheckFacetValues(request.attribute, counts.size()));
  all.values = counts.size();
  for (const auto& [value, documents] : counts) all.facets.push_back({value, documents});
  KeepMostFrequent(request.limit, all.facets);
  return all;
}

CollectionInfo MergeInfos(std::vector<CollectionInfo> parts) {
  CollectionInfo all = std::move(parts.front());
  for (size_t p = 1; p < parts.size(); ++p) {
    const CollectionInfo& part = parts[p];
    const std::string difference = Difference(all, part);
    if (all.problem.empty()) all.problem = difference.empty() ? part.problem : difference;
    if (all.damage.empty()) all.damage = part.damage;
    for (size_t v = 0; v < std::min(all.versions.size(), part.versions.size()); ++v)
      MergeVersion(part.versions[v], all.versions[v]);
    all.shards += part.shards;
    all.expected_documents += part.expected_documents;
    all.created = std::min(all.created, part.created);
    all.documents += part.documents;
    all.deleted_rows += part.deleted_rows;
    all.sequence += part.sequence;
    all.disk_bytes += part.disk_bytes;
    AddMemory(part.memory, all.memory);
  }
  return all;
}

EngineStats MergeStats(const std::vector<EngineStats>& parts) {
  EngineStats all;
  for (const EngineStats& part : parts) {
    all.queries = std::max(all.queries, part.queries);  // every node has every query
    all.scans += part.scans;
    all.documents_scanned += part.documents_scanned;
    all.bytes_scanned += part.bytes_scanned;
    all.documents_upserted += part.documents_upserted;
    all.documents_deleted += part.documents_deleted;
    all.documents_reencoded += part.documents_reencoded;
    all.refused_queries += part.refused_queries;
    all.refused_upserts += part.refused_upserts;
    all.encode_us += part.encode_us;
    all.commit_us += part.commit_us;
    all.apply_us += part.apply_us;
    all.scan_us += part.scan_us;
    all.queued_queries += part.queued_queries;
    all.threads += part.threads;
    if (all.simd.empty()) all.simd = part.simd;
  }
  return all;
}

}  // namespace bebr
