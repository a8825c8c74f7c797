#include "index/request/child_search.h"

#include <algorithm>
#include <utility>

#include "index/search/probe.h"

namespace bebr {

std::unique_ptr<SearchJob> ChildOf(const SearchJob& parent, std::vector<absl::Span<const float>> queries, size_t k) {
  auto child = std::make_unique<SearchJob>();
  const SearchRequest& from = parent.request;
  SearchRequest& request = child->request;
  request.version = from.version;
  request.queries = std::move(queries);
  request.k = k;
  request.first_levels = from.first_levels;
  if (from.candidates > 0) request.candidates = std::max(from.candidates, k + from.exclude_ids.size());
  if (from.rerank == 0) request.min_score = from.min_score;  // an estimate decides nothing where there is a rerank
  request.probe = from.probe;
  request.documents_by_group = from.documents_by_group;
  request.filter = from.filter;
  request.exclude_ids = from.exclude_ids;
  request.explain = from.explain;
  request.deadline = from.deadline;
  request.cancelled = from.cancelled;
  child->shards = parent.shards;
  child->manifest = parent.manifest;
  child->version = parent.version;
  child->filter = parent.filter;
  child->query_memory = parent.query_memory;
  child->target = parent.target;
  return child;
}

void AddCosts(const SearchResult& child, size_t queries, SearchResult& total) {
  total.timings.queue_us += child.timings.queue_us;
  total.timings.encode_us += child.timings.encode_us;
  total.timings.scan_us += child.timings.scan_us;
  total.timings.queries_in_scan = std::max(total.timings.queries_in_scan, child.timings.queries_in_scan);
  total.documents_scanned += child.documents_scanned * queries;
}

void SetProbe(const PinnedView& view, SearchJob& job) {
  SearchRequest& request = job.request;
  if (request.probe_recall == 0.0f) return;
  request.probe = 1.0f;
  if (view.probes == nullptr) return;
  if (const auto curve = view.probes->find(job.version.number); curve != view.probes->end())
    request.probe = ShareForRecall(curve->second, request.probe_recall);
}

void Pin(SearchJob& job) {
  if (job.target == nullptr) job.target = std::make_shared<const ScanTarget>(job.shards->view(), job.version.space);
}

}  // namespace bebr
