// Pages of a collection's documents.
#ifndef BEBR_INDEX_REQUEST_PAGE_H_
#define BEBR_INDEX_REQUEST_PAGE_H_

#include "absl/status/statusor.h"
#include "index/collection/collection.h"
#include "index/types/browse.h"

namespace bebr {

// As Engine::Scroll. A document that is written while its page is read is there as it was before or after.
absl::StatusOr<Page> ReadPage(const Collection& collection, const PageRequest& request);

}  // namespace bebr

#endif  // BEBR_INDEX_REQUEST_PAGE_H_
