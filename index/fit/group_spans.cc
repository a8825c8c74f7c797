#include "index/fit/group_spans.h"

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "index/binarizer/spans.h"
#include "index/fit/linear_algebra.h"

namespace bebr {

bool SpansPay(const LevelPlan& shape, size_t reduced, size_t bases) {
  // A run of all there is spans the same in all bases, which then could not turn it to equal variances each for itself.
  const bool one = shape.runs().size() == 1 && shape.dims() >= reduced;
  return !one && SpansAreSmall(shape, reduced, bases);
}

void TellBySpans(const GroupStatistics& groups, uint64_t seed, Model& model) {
  const LevelPlan plan = model.levels();
  const size_t r = groups.reduced_dims;
  if (!SpansPay(plan, r, model.bases.size())) return;
  std::vector<SpanParameters> spans;
  for (const CorpusStatistics& of_basis : groups.of_basis) {
    spans.push_back(ToSpans(plan, r, of_basis.components));
    const std::vector<float>& scales = spans.back().scales;
    if (*std::max_element(scales.begin(), scales.end()) > kLargestSpanScale) return;
  }
  std::mt19937_64 random(seed);
  std::vector<float> rotations;
  for (const LevelPlan::Run& run : plan.runs()) {
    const std::vector<float> rotation = RandomRotation(run.dims, run.dims, random);
    rotations.insert(rotations.end(), rotation.begin(), rotation.end());
  }
  model.rotation = ToRotationBytes(plan, rotations);
  const std::vector<RunTurn> turns = RunTurns(plan, model.rotation);
  for (size_t b = 0; b < spans.size(); ++b) {
    BasisParameters& basis = model.bases[b];
    basis.spans = std::move(spans[b]);
    basis.project = FromSpans(plan, r, turns, basis.spans, basis.band_weights);
  }
}

}  // namespace bebr
