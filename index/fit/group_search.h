// How many groups suit a set of embeddings.
#ifndef BEBR_INDEX_FIT_GROUP_SEARCH_H_
#define BEBR_INDEX_FIT_GROUP_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/thread_pool.h"
#include "index/binarizer/model.h"
#include "index/exact/matrix.h"
#include "index/fit/start_model.h"

namespace bebr {

// Groups that were measured on rows left out of the fit.
struct TriedGroups {
  uint32_t groups = 0;
  uint32_t bases = 0;
  size_t reduced_dims = 0;
  LevelPlan shape;
  double model_bits = 0.0;  // of each of the expected documents
  double recall_at_10 = 0.0;
};

// What a search for groups is given.
struct GroupSearch {
  const Matrix& rows;              // that models are compared on
  const Matrix& queries;           // that it is not
  const CorpusStatistics& corpus;  // of `rows`
  LevelPlan shape;                 // without groups
  const Model& without;            // the start without groups
  uint32_t query_levels = 0;
  uint32_t most = kMaxGroups;
  size_t expected_documents = 1000000;  // that share the model's bytes
  uint64_t seed = 1;
  const RowStream* all = nullptr;  // that the model is fitted to in the end; null: `rows`
  Continues continues;             // asked all the while (linear_algebra.h): an error ends the search; or null
  std::function<bool()>
      has_time;  // asked between fits and measurements: if not, the best so far is taken; null: always
  std::function<void(const TriedGroups&)> tried;  // told of what was measured; or null
};

// The start with as many groups, bases and kept dims as pay, or nothing where none do. A fit to a part of the rows is
// measured on the others: on rows that it has seen more groups always seem better. What a model finds is weighed
// against its bytes, shared by the expected documents, as if longer codes were made of them; they must be a small part
// of a code's. Groups must find clearly more than none. Fewer than some thousand rows have no groups. Codes have as
// many bits as `shape`, in the shape that suits what groups leave of the variances; where `shape` is trellis-coded they
// are.
//
// Cost: the fit of up to ten models (MeasureGroups), and the recall of these and of up to eight shapes for some 2,500
// queries on at most 8,000 documents.
absl::StatusOr<std::optional<Model>> StartWithGroups(const GroupSearch& search, ThreadPool& pool);

}  // namespace bebr

#endif  // BEBR_INDEX_FIT_GROUP_SEARCH_H_
