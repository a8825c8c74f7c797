// What the hits of a search take in memory.
#ifndef BEBR_INDEX_SEARCH_RESULT_MEMORY_H_
#define BEBR_INDEX_SEARCH_RESULT_MEMORY_H_

#include <cstdint>

#include "absl/types/span.h"
#include "index/code/code_spec.h"
#include "index/types/search.h"

namespace bebr {

// In bytes, with what the allocator needs: a hit of a search in codes of `spec`, without its attributes; and the
// attributes that hits have.
uint64_t HitMemory(const SearchRequest& request, const CodeSpec& spec);
uint64_t AttributeMemory(absl::Span<const SearchHit> hits);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_RESULT_MEMORY_H_
