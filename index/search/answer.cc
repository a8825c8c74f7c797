#include "index/search/answer.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/clock.h"
#include "index/base/interruption.h"
#include "index/base/status_macros.h"
#include "index/search/result_memory.h"

namespace bebr {
namespace {

constexpr size_t kHitsAtATime = 64;  // whose attributes are read in one go, before the limit is checked

// What a hit takes in an answer beside its id and attributes, at least.
constexpr uint64_t kHitBytes = 16;

absl::Status CheckResultBytes(const SearchRequest& request, absl::Span<const SearchHit> hits,
                              std::atomic<uint64_t>& total) {
  if (request.max_result_bytes == 0) return absl::OkStatus();
  uint64_t bytes = 0;
  for (const SearchHit& hit : hits) {
    bytes += hit.id.size() + kHitBytes;
    for (const auto& [name, value] : hit.attributes) bytes += name.size() + ValueBytes(value);
  }
  if (total.fetch_add(bytes) + bytes <= request.max_result_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrFormat("the results have over %d bytes, the limit of an answer: ask for a smaller k, fewer queries, or "
                      "without attributes",
                      request.max_result_bytes));
}

absl::Status AddAttributes(const ShardSet& shards, const CollectionStore::View* view, absl::Span<SearchHit> hits) {
  std::vector<uint32_t> shard_of;
  for (const SearchHit& hit : hits) shard_of.push_back(shards.ShardOf(hit.id));
  for (uint32_t shard = 0; shard < shards.size(); ++shard) {
    std::vector<SearchHit*> of_shard;
    std::vector<std::string_view> ids;
    for (size_t i = 0; i < hits.size(); ++i) {
      if (shard_of[i] != shard) continue;
      of_shard.push_back(&hits[i]);
      ids.push_back(hits[i].id);
    }
    if (ids.empty()) continue;
    BEBR_ASSIGN_OR_RETURN(const auto documents, shards.store().GetDocuments(view, shard, ids, /*fill_cache=*/true));
    for (size_t i = 0; i < ids.size(); ++i) {
      if (!documents[i].has_value()) continue;
      BEBR_ASSIGN_OR_RETURN(of_shard[i]->attributes, DecodeAttributes(*documents[i]));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status TakeValues(const SearchRequest& request, absl::Span<const AttributeValue> values,
                        std::atomic<uint64_t>& total) {
  uint64_t bytes = 0;
  for (const AttributeValue& value : values) bytes += ValueBytes(value);
  if (request.max_result_bytes > 0 && total.fetch_add(bytes) + bytes > request.max_result_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("the values of \"%s\" of the hits have over %d bytes, the limit of an answer: ask for fewer "
                        "queries, or a smaller k or group_size",
                        request.group_by, request.max_result_bytes));
  }
  if (request.take_memory == nullptr) return absl::OkStatus();
  return request.take_memory(bytes + values.size() * sizeof(AttributeValue));
}

absl::Status CompleteHits(const SearchRequest& request, const ShardSet& shards, const CollectionStore::View* view,
                          absl::Span<SearchHit> hits, std::atomic<uint64_t>& total) {
  for (size_t begin = 0; begin < hits.size(); begin += kHitsAtATime) {
    BEBR_RETURN_IF_ERROR(Interrupted(request, SteadyNow()));
    const absl::Span<SearchHit> some = hits.subspan(begin, kHitsAtATime);
    if (request.with_attributes) {
      BEBR_RETURN_IF_ERROR(AddAttributes(shards, view, some));
      if (request.take_memory != nullptr) BEBR_RETURN_IF_ERROR(request.take_memory(AttributeMemory(some)));
    }
    BEBR_RETURN_IF_ERROR(CheckResultBytes(request, some, total));
  }
  return absl::OkStatus();
}

}  // namespace bebr
