// Pages of a collection's documents.
#ifndef BEBR_INDEX_REQUEST_PAGE_H_
#define BEBR_INDEX_REQUEST_PAGE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "index/collection/collection.h"
#include "index/types/browse.h"

namespace bebr {

// The memory that it takes, roughly.
uint64_t BytesOf(const PageDocument& entry);

// As Engine::Scroll, of a view.
absl::StatusOr<Page> ReadPage(const PinnedView& seen, const PageRequest& request);

}  // namespace bebr

#endif  // BEBR_INDEX_REQUEST_PAGE_H_
