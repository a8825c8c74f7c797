// Which shapes of a code are worth trying for a bit budget.
#ifndef BEBR_INDEX_FIT_SHAPES_H_
#define BEBR_INDEX_FIT_SHAPES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "index/binarizer/level_plan.h"

namespace bebr {

// Code shapes of exactly `bits` bits that are worth trying for embeddings whose principal components have these
// variances (falling): one shape of every level count, and mixed levels by reverse water-filling. A level of a
// component of variance v lowers the squared error by v * (D(L) - D(L + 1)), D being a Gaussian's distortion; levels go
// where v^p times that is largest, for a few p, because an error in a component also matters by how much queries use
// it. Bands are multiples of 32 dims where the budget allows: smaller ones would be padded in the scan. Of other
// budgets from 256 bits on there are shapes with whole words in all planes but one. With `trellis` all runs of at most
// kMaxTrellisLevels levels are trellis-coded, and those of 4 in one of two such shapes. INVALID_ARGUMENT for a budget
// below kMinCodeBits or above what kMaxCodeDims dims of `max_levels` levels hold.
absl::StatusOr<std::vector<LevelPlan>> CandidateShapes(const std::vector<double>& variances, size_t dims, size_t bits,
                                                       uint32_t max_levels, bool trellis = false);

// Shapes of the same bits, trellis-coded or not, as `plan` that differ from it by one move of dims between two level
// counts; for a local search.
std::vector<LevelPlan> NeighborShapes(const LevelPlan& plan, size_t dims, uint32_t max_levels);

}  // namespace bebr

#endif  // BEBR_INDEX_FIT_SHAPES_H_
