// What searches take in memory: their queries while they are scanned, and their hits.
#ifndef BEBR_INDEX_SEARCH_RESULT_MEMORY_H_
#define BEBR_INDEX_SEARCH_RESULT_MEMORY_H_

#include <cstdint>

#include "absl/types/span.h"
#include "index/code/code_spec.h"
#include "index/types/search.h"

namespace bebr {

// In bytes: the codes of one query, for every group of `spec`, as they are encoded and as the kernels take them, for
// the table of kernels that takes most.
uint64_t QueryMemory(const CodeSpec& spec, uint32_t query_levels, uint32_t first_levels);

// In bytes, with what the allocator needs: a hit of a search in codes of `spec`, without its attributes; and the
// attributes that hits have.
uint64_t HitMemory(const SearchRequest& request, const CodeSpec& spec);
uint64_t AttributeMemory(absl::Span<const SearchHit> hits);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_RESULT_MEMORY_H_
