// Bases of groups that are told by what their runs of components span, and not direction by direction: how models with
// many groups stay small (FORMAT.md, "Spans").
#ifndef BEBR_INDEX_BINARIZER_SPANS_H_
#define BEBR_INDEX_BINARIZER_SPANS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "index/binarizer/level_plan.h"
#include "index/binarizer/model.h"

namespace bebr {

// The most that a scale may be, far above those of any fit: values stay numbers.
inline constexpr float kLargestSpanScale = 1.0f;

// Bytes of one basis of `reduced` values, and of the rotations of all.
size_t SpanBytes(const LevelPlan& plan, size_t reduced);
size_t RotationBytes(const LevelPlan& plan);

// Whether bases of spans may be so large: to make projections of them takes seconds at most.
bool SpansAreSmall(const LevelPlan& plan, size_t reduced, size_t bases);

// What the runs span of `directions`, orthonormal rows of `reduced` values of which the plan's components are the
// first. Scales above kLargestSpanScale are for none to keep: where directions hardly differ from others.
SpanParameters ToSpans(const LevelPlan& plan, size_t reduced, const std::vector<float>& directions);

// What turns the directions of a run, orthonormal rows; the same for all bases.
using RunTurn = std::vector<float>;

// Those that a model's `rotation` says, in the order of the runs.
std::vector<RunTurn> RunTurns(const LevelPlan& plan, const std::vector<float>& rotation);

// A projection that spans that: orthogonal rows, as long as fits the bands' weights, turned inside each run by `turns`.
std::vector<float> FromSpans(const LevelPlan& plan, size_t reduced, const std::vector<RunTurn>& turns,
                             const SpanParameters& spans, const std::vector<float>& band_weights);

// `rotations` of all runs one after the other, orthonormal rows each, as the bytes that RunTurns takes.
std::vector<float> ToRotationBytes(const LevelPlan& plan, const std::vector<float>& rotations);

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_SPANS_H_
