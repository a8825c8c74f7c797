#include "index/binarizer/level_plan.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "index/base/status_macros.h"

namespace bebr {

uint32_t LevelPlan::Run::first_levels() const {
  if (!trellis) return std::min(levels, kMaxLevels);
  return levels <= kMaxTrellisLevels ? levels : levels - 2;
}

LevelPlan::LevelPlan(const CodeSpec& spec) : dims_(spec.dims()), bits_(spec.bits()), max_levels_(spec.max_levels()) {
  for (const Band& band : spec.bands()) runs_.push_back({band.dims, band.levels, band.trellis});
}

absl::StatusOr<LevelPlan> LevelPlan::Create(std::vector<Run> runs) {
  LevelPlan plan;
  for (const Run& run : runs) {
    if (run.levels == 0 || run.levels > kMaxPlanLevels) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%d components have %d levels; they have 1 to %d", run.dims, run.levels, kMaxPlanLevels));
    }
    if (run.trellis && run.levels > kMaxTrellisPlanLevels) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%d components are trellis-coded with %d levels; at most %d can be", run.dims, run.levels,
                          kMaxTrellisPlanLevels));
    }
    plan.max_levels_ = std::max(plan.max_levels_, run.levels);
  }
  plan.runs_ = std::move(runs);
  BEBR_ASSIGN_OR_RETURN(const CodeSpec spec, CodeSpec::Create(plan.Bands(std::vector<float>(plan.runs_.size(), 1.0f))));
  for (const Run& run : plan.runs_) plan.dims_ += run.dims;
  plan.bits_ = spec.bits();
  return plan;
}

absl::StatusOr<LevelPlan> LevelPlan::Parse(std::string_view text) {
  std::vector<Run> runs;
  for (absl::string_view part : absl::StrSplit(absl::string_view(text.data(), text.size()), '+')) {
    Band band;
    if (!ParseBand(std::string_view(part.data(), part.size()), band)) {
      return absl::InvalidArgumentError(
          absl::StrFormat("'%s' is no code shape; write dims x levels, e.g. 128x2 or 32x6+96x2", text));
    }
    runs.push_back({band.dims, band.levels, band.trellis});
  }
  return Create(std::move(runs));
}

std::vector<Band> LevelPlan::Bands(const std::vector<float>& weights) const {
  std::vector<Band> bands;
  for (size_t i = 0; i < runs_.size(); ++i) {
    const Run& run = runs_[i];
    const uint32_t first = run.first_levels();
    const bool one = run.bands() == 1;
    bands.push_back({run.dims, first, weights[i], one && run.trellis});
    if (!one)
      bands.push_back({run.dims, run.levels - first, std::ldexp(weights[i], -static_cast<int>(first)), run.trellis});
  }
  return bands;
}

bool LevelPlan::Describes(const std::vector<Band>& bands) const {
  std::vector<float> weights;
  size_t b = 0;
  for (const Run& run : runs_) {
    weights.push_back(b < bands.size() ? bands[b].weight : 0.0f);
    b += run.bands();
  }
  return Bands(weights) == bands;
}

bool LevelPlan::trellis() const {
  return std::any_of(runs_.begin(), runs_.end(), [](const Run& run) { return run.trellis; });
}

std::string LevelPlan::ToString() const {
  std::string text;
  for (const Run& run : runs_) {
    absl::StrAppend(&text, text.empty() ? "" : "+",
                    bebr::ToString(Band{.dims = run.dims, .levels = run.levels, .trellis = run.trellis}));
  }
  return text;
}

}  // namespace bebr
