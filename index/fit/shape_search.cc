#include "index/fit/shape_search.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/fit/shapes.h"

namespace bebr {
namespace {

constexpr size_t kLeastBits = 64;
constexpr size_t kMostBits = 8192;

absl::StatusOr<double> MeasureShape(const ShapeSearch& search, const LevelPlan& shape, const Validator& validator,
                                    bool all_queries) {
  BEBR_ASSIGN_OR_RETURN(const Model model, search.make_model(shape));
  BEBR_ASSIGN_OR_RETURN(const HeldOutRecall recall, validator.Measure(model));
  BEBR_RETURN_IF_ERROR(search.tried(shape, recall.at_10, all_queries));
  return recall.at_10;
}

// The budgets that are tried for a recall.
std::vector<size_t> Budgets(size_t dims) {
  std::vector<size_t> budgets;
  const size_t most = std::min(dims * kMaxLevels, kMostBits);
  for (size_t bits = kLeastBits; bits <= most; bits += std::max<size_t>(32, bits / 8 / 32 * 32)) {
    budgets.push_back(bits);
  }
  if (budgets.empty()) budgets.push_back(kLeastBits);
  return budgets;
}

}  // namespace

absl::StatusOr<LevelPlan> ShapeForBits(const ShapeSearch& search, size_t bits, const Validator& validator,
                                       const Validator& quick) {
  BEBR_ASSIGN_OR_RETURN(std::vector<LevelPlan> waiting,
                        CandidateShapes(search.variances, search.dims, bits, search.max_levels));
  if (waiting.size() == 1) return waiting[0];
  std::vector<std::pair<double, LevelPlan>> seen;
  for (int round = 0; round <= search.rounds && !waiting.empty(); ++round) {
    const double before = seen.empty() ? -1.0 : seen.front().first;
    for (const LevelPlan& shape : waiting) {
      if (std::any_of(seen.begin(), seen.end(), [&](const auto& tried) { return tried.second == shape; })) continue;
      BEBR_ASSIGN_OR_RETURN(const double recall, MeasureShape(search, shape, quick, false));
      seen.emplace_back(recall, shape);
    }
    std::stable_sort(seen.begin(), seen.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    if (seen.front().first <= before) break;
    waiting = NeighborShapes(seen.front().second, search.dims, search.max_levels);
  }
  LevelPlan best;
  double best_recall = -1.0;
  for (size_t i = 0; i < std::min(search.finalists, seen.size()); ++i) {
    const LevelPlan& shape = seen[i].second;
    BEBR_ASSIGN_OR_RETURN(const double recall, MeasureShape(search, shape, validator, true));
    if (recall > best_recall) best = shape, best_recall = recall;
  }
  return best;
}

absl::StatusOr<LevelPlan> ShapeForRecall(const ShapeSearch& search, double recall, const Validator& validator,
                                         const Validator& quick) {
  double best = 0.0;
  const std::vector<size_t> budgets = Budgets(search.dims);
  for (const size_t bits : budgets) {
    BEBR_ASSIGN_OR_RETURN(LevelPlan shape, ShapeForBits(search, bits, validator, quick));
    BEBR_ASSIGN_OR_RETURN(const Model model, search.make_model(shape));
    BEBR_ASSIGN_OR_RETURN(const HeldOutRecall reached, validator.Measure(model));
    best = std::max(best, reached.at_10);
    if (reached.at_10 >= recall) return shape;
  }
  return absl::InvalidArgumentError(absl::StrFormat(
      "a held-out recall@10 of %.3f was asked for; up to %d bits give %.3f", recall, budgets.back(), best));
}

}  // namespace bebr
