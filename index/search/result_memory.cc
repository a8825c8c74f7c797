#include "index/search/result_memory.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "index/segment/segment.h"
#include "index/simd/kernels.h"

namespace bebr {
namespace {

constexpr uint64_t kUsualId = 16;      // bytes of an id beyond those that a string has in itself
constexpr uint64_t kAllocation = 16;   // what malloc takes beside the bytes asked for
constexpr uint64_t kNode = 32;         // of a map
constexpr uint64_t kSharedCount = 16;  // of a shared_ptr
constexpr uint64_t kShortText = 15;    // longer ones have a buffer of their own

uint64_t TextMemory(uint64_t bytes) { return bytes > kShortText ? bytes + 1 + kAllocation : 0; }

uint64_t ListMemory(const AttributeList& list) {
  uint64_t bytes = kAllocation + list.size() * sizeof(AttributeScalar);
  for (const AttributeScalar& value : list) {
    if (const auto* text = std::get_if<std::string>(&value)) bytes += TextMemory(text->size());
  }
  return bytes;
}

}  // namespace

uint64_t QueryMemory(const CodeSpec& spec, uint32_t query_levels, uint32_t first_levels) {
  const simd::CodeShape shape = MakeShape(spec, query_levels);
  uint64_t prepared = 0;
  for (const simd::KernelTable* table : simd::AllKernels()) {
    if (table->supported()) prepared = std::max<uint64_t>(prepared, table->prepared_bytes(shape));
  }
  const uint64_t encoded = spec.QueryWords(query_levels) * sizeof(uint32_t) + (spec.bands().size() + 1) * sizeof(float);
  return spec.groups() * (encoded + (first_levels > 0 ? 2 : 1) * (prepared + kAllocation));
}

uint64_t HitMemory(const SearchRequest& request, const CodeSpec& spec) {
  uint64_t bytes = sizeof(SearchHit) + kUsualId + TextMemory(request.version.size());
  if (!request.group_by.empty()) bytes += TextMemory(kMaxIndexedTextBytes);
  if (!request.explain) return bytes;
  bytes += sizeof(Explanation) + kSharedCount + 2 * kAllocation;
  for (const Band& band : spec.bands()) {
    bytes += sizeof(BandExplanation) + band.derived_levels() * sizeof(uint32_t) + kAllocation;
  }
  return bytes;
}

uint64_t AttributeMemory(absl::Span<const SearchHit> hits) {
  uint64_t bytes = 0;
  for (const SearchHit& hit : hits) {
    for (const auto& [name, value] : hit.attributes) {
      bytes += kNode + kAllocation + sizeof(std::pair<std::string, AttributeValue>) + TextMemory(name.size());
      if (const auto* text = std::get_if<std::string>(&value)) bytes += TextMemory(text->size());
      if (const auto* list = std::get_if<AttributeList>(&value)) bytes += ListMemory(*list);
    }
  }
  return bytes;
}

}  // namespace bebr
