// A query made of examples.
#ifndef BEBR_INDEX_REQUEST_RECOMMEND_H_
#define BEBR_INDEX_REQUEST_RECOMMEND_H_

#include <vector>

#include "absl/status/statusor.h"
#include "index/collection/collection.h"
#include "index/types/search.h"

namespace bebr {

// As Engine::Recommend, of a view.
absl::StatusOr<std::vector<float>> QueryOf(const PinnedView& seen, const ExampleRequest& request);

}  // namespace bebr

#endif  // BEBR_INDEX_REQUEST_RECOMMEND_H_
