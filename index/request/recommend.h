// A query made of examples.
#ifndef BEBR_INDEX_REQUEST_RECOMMEND_H_
#define BEBR_INDEX_REQUEST_RECOMMEND_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "index/collection/collection.h"
#include "index/types/search.h"

namespace bebr {

// As Engine::Recommend, of a view.
absl::StatusOr<std::vector<float>> QueryOf(const PinnedView& seen, const ExampleRequest& request);

// What examples are compared in.
struct ExampleSpace {
  std::string collection;
  std::string version;
  std::string embedding;  // the first version that takes these embeddings: stored floats are told by its name
  size_t input_dims = 0;
  Metric metric = Metric::kCosine;
  bool keeps_floats = false;
};
// The documents with these ids that there are, in their order, with their embeddings.
using GetExamples = absl::FunctionRef<absl::StatusOr<std::vector<Document>>(const std::vector<std::string>& ids)>;
// The same of documents from anywhere.
absl::StatusOr<std::vector<float>> QueryOf(const ExampleSpace& space, const ExampleRequest& request, GetExamples get);

}  // namespace bebr

#endif  // BEBR_INDEX_REQUEST_RECOMMEND_H_
