#include "index/fit/shape_search.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/fit/shapes.h"

namespace bebr {
namespace {

constexpr size_t kLeastBits = 64;
constexpr size_t kMostBits = 8192;

constexpr size_t kLeastQueries = 200;  // held out: fewer say too little to choose trellis codes by
// Of a gain in recall that trellis codes are taken for, and levels that differ: of dozens of such shapes the one that
// seems best is in part the luckiest, and few rows do not tell how their variances differ.
constexpr double kLeastSigmas = 1.0;

absl::StatusOr<HeldOutRecall> MeasureShape(const ShapeSearch& search, const LevelPlan& shape,
                                           const Validator& validator, bool all_queries) {
  BEBR_ASSIGN_OR_RETURN(const Model model, search.make_model(shape));
  BEBR_ASSIGN_OR_RETURN(HeldOutRecall recall, validator.Measure(model));
  BEBR_RETURN_IF_ERROR(search.tried(shape, recall.at_10, all_queries));
  return recall;
}

bool HasTime(const ShapeSearch& search) { return search.has_time == nullptr || search.has_time(); }

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

bool IsEven(const LevelPlan& shape) { return shape.runs().size() == 1; }

struct MeasuredShape {
  LevelPlan shape;
  HeldOutRecall recall;
};

// Among the rows that models are measured by, and not clearly less among others.
absl::StatusOr<bool> FindsClearlyMore(const ShapeSearch& search, const MeasuredShape& mixed,
                                      const MeasuredShape& even) {
  if (PairedGain(mixed.recall, even.recall) < kLeastSigmas) return false;
  if (search.among_others == nullptr || !HasTime(search)) return true;
  const absl::StatusOr<HeldOutRecall> of_mixed = search.among_others(mixed.shape);
  const absl::StatusOr<HeldOutRecall> of_even = search.among_others(even.shape);
  if (of_mixed.ok() && of_even.ok()) return PairedGain(*of_mixed, *of_even) > -kLeastSigmas;
  for (const absl::Status& status : {of_mixed.status(), of_even.status()}) {
    if (!absl::IsInvalidArgument(status)) BEBR_RETURN_IF_ERROR(status);  // else half of the rows say nothing
  }
  return true;
}

absl::StatusOr<MeasuredShape> BestShape(const ShapeSearch& search, size_t bits, bool trellis,
                                        const Validator& validator, const Validator& quick) {
  BEBR_ASSIGN_OR_RETURN(std::vector<LevelPlan> waiting,
                        CandidateShapes(search.variances, search.dims, bits, search.max_levels, trellis));
  if (waiting.size() == 1 && search.code != CodeKind::kAuto) return MeasuredShape{waiting[0], {}};
  std::vector<std::pair<double, LevelPlan>> seen;
  for (int round = 0; round <= search.rounds && !waiting.empty(); ++round) {
    const double before = seen.empty() ? -1.0 : seen.front().first;
    for (const LevelPlan& shape : waiting) {
      if (std::any_of(seen.begin(), seen.end(), [&](const auto& tried) { return tried.second == shape; })) continue;
      if (!seen.empty() && !HasTime(search)) break;
      BEBR_ASSIGN_OR_RETURN(const HeldOutRecall recall, MeasureShape(search, shape, quick, false));
      seen.emplace_back(recall.at_10, shape);
    }
    std::stable_sort(seen.begin(), seen.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    if (seen.front().first <= before) break;
    waiting = NeighborShapes(seen.front().second, search.dims, search.max_levels);
  }
  std::optional<MeasuredShape> best, even;
  for (size_t i = 0; i < seen.size(); ++i) {
    const LevelPlan& shape = seen[i].second;
    const bool first_even = IsEven(shape) && !even.has_value();
    if (i >= search.finalists && !first_even) continue;
    if (best.has_value() && !HasTime(search)) break;
    BEBR_ASSIGN_OR_RETURN(HeldOutRecall recall, MeasureShape(search, shape, validator, true));
    if (first_even) even.emplace(MeasuredShape{shape, recall});
    if (!best.has_value() || recall.at_10 > best->recall.at_10) best.emplace(MeasuredShape{shape, std::move(recall)});
  }
  if (!even.has_value() || IsEven(best->shape)) return *std::move(best);
  BEBR_ASSIGN_OR_RETURN(const bool more, FindsClearlyMore(search, *best, *even));
  return *std::move(more ? best : even);
}

}  // namespace

absl::StatusOr<LevelPlan> ShapeForBits(const ShapeSearch& search, size_t bits, const Validator& validator,
                                       const Validator& quick) {
  const bool trellis = search.code == CodeKind::kTrellis;
  BEBR_ASSIGN_OR_RETURN(MeasuredShape best, BestShape(search, bits, trellis, validator, quick));
  if (search.code == CodeKind::kAuto && validator.query_count() >= kLeastQueries && HasTime(search)) {
    BEBR_ASSIGN_OR_RETURN(MeasuredShape coded, BestShape(search, bits, true, validator, quick));
    if (PairedGain(coded.recall, best.recall) > kLeastSigmas) best = std::move(coded);
  }
  return std::move(best.shape);
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
