// A query made of examples.
#ifndef BEBR_INDEX_REQUEST_RECOMMEND_H_
#define BEBR_INDEX_REQUEST_RECOMMEND_H_

#include <vector>

#include "absl/status/statusor.h"
#include "index/collection/collection.h"
#include "index/types/search.h"

namespace bebr {

// As Engine::Recommend.
absl::StatusOr<std::vector<float>> QueryOf(const Collection& collection, const ExampleRequest& request);

}  // namespace bebr

#endif  // BEBR_INDEX_REQUEST_RECOMMEND_H_
