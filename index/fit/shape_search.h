// Which shape of a code suits a set of embeddings.
#ifndef BEBR_INDEX_FIT_SHAPE_SEARCH_H_
#define BEBR_INDEX_FIT_SHAPE_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/binarizer/model.h"
#include "index/fit/validation.h"

namespace bebr {

// What bands may be: levels alone, trellis-coded as far as they can be, or the latter where they find clearly more.
enum class CodeKind { kLevels, kTrellis, kAuto };

// How a search for a shape goes about it.
struct ShapeSearch {
  // Makes the model that a shape is judged by.
  std::function<absl::StatusOr<Model>(const LevelPlan&)> make_model;
  // Told of every shape that was measured, and whether on all held-out queries or on a part; an error ends the search.
  std::function<absl::Status(const LevelPlan&, double recall_at_10, bool all_queries)> tried;
  std::function<bool()> has_time;  // asked before each: if not, the best so far is taken; null: always
  std::vector<double> variances;   // of the principal components, falling
  size_t dims = 0;                 // of the embeddings
  uint32_t max_levels = kMaxLevels;
  CodeKind code = CodeKind::kLevels;  // trellis codes need models with a fitted quantizer
  int rounds = 4;                     // of moving dims between levels
  size_t finalists = 3;               // shapes that are measured again on all held-out queries
  // What a model of some of the rows finds among the others: where rows are few, principal components are theirs alone.
  // Asked of a shape whose levels differ, and of the one that it is to find more than; null: what was measured counts.
  std::function<absl::StatusOr<HeldOutRecall>(const LevelPlan&)> among_others;
};

// A shape of exactly `bits`: the candidates are measured by `quick`, dims are moved between levels as long as that
// helps, and the best few are measured by `validator`. Levels that differ must find clearly more than those that do
// not. Cost: some 10 to 60 models measured, of kAuto twice as many.
absl::StatusOr<LevelPlan> ShapeForBits(const ShapeSearch& search, size_t bits, const Validator& validator,
                                       const Validator& quick);

// The shape of the smallest budget, by steps of about an eighth from 64 to 8,192 bits, that reaches a recall@10 on the
// held-out queries. INVALID_ARGUMENT, with what can be reached, if none does.
absl::StatusOr<LevelPlan> ShapeForRecall(const ShapeSearch& search, double recall, const Validator& validator,
                                         const Validator& quick);

}  // namespace bebr

#endif  // BEBR_INDEX_FIT_SHAPE_SEARCH_H_
