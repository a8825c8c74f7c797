#include "index/fit/shapes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace bebr {
namespace {

// Squared error of a standard Gaussian after 0..8 levels (the best uniform quantizers of 2^L values).
constexpr std::array<double, kMaxPlanLevels + 1> kDistortion = {1.0,     0.3634,  0.1188,   0.03744,  0.01154,
                                                                0.00349, 0.00104, 0.000304, 0.0000876};

// The same of trellis codes, as far as there are any.
constexpr std::array<double, kMaxPlanLevels + 1> kTrellisDistortion = {1.0,     0.3224,  0.0978,   0.0307,   0.00949,
                                                                       0.00349, 0.00104, 0.000304, 0.0000876};

// Dims that have at least 1, 2, ... levels: a shape of nested counts, whose sum is its bits.
using LevelCounts = std::array<int64_t, kMaxPlanLevels>;

int64_t Unit(int64_t bits) {
  if (bits % 32 == 0 && bits >= 256) return 32;
  if (bits % 16 == 0 && bits >= 96) return 16;
  return bits >= 96 || (bits % 8 == 0 && bits >= 32) ? 8 : 1;  // what is over goes to the lowest level
}

// The shape, or nothing if the counts do not describe one. Runs of up to `most_trellis` levels are trellis-coded.
void AddShapeOf(const LevelCounts& counts, int64_t dims, uint32_t most_trellis, std::vector<LevelPlan>& shapes) {
  std::vector<LevelPlan::Run> runs;
  for (size_t level = counts.size(); level > 0; --level) {
    const int64_t more = level < counts.size() ? counts[level] : 0;
    const int64_t own = counts[level - 1] - more;
    if (own < 0 || counts[level - 1] < 0) return;
    if (own > 0) runs.push_back({static_cast<uint32_t>(own), static_cast<uint32_t>(level), level <= most_trellis});
  }
  if (runs.empty() || (runs.size() > 1 && counts[0] > dims)) return;
  absl::StatusOr<LevelPlan> plan = LevelPlan::Create(std::move(runs));
  if (plan.ok() && std::find(shapes.begin(), shapes.end(), *plan) == shapes.end()) shapes.push_back(*std::move(plan));
}

// Trellis-coded as far as may be; and with runs of 4 levels that are not, whose bands are fewer.
void AddShape(const LevelCounts& counts, int64_t dims, bool trellis, std::vector<LevelPlan>& shapes) {
  if (trellis) AddShapeOf(counts, dims, kMaxTrellisPlanLevels, shapes);
  AddShapeOf(counts, dims, trellis ? kMaxTrellisLevels : 0, shapes);
}

// Gives `bits` levels to components, each to the component and level with the largest gain; then rounds to whole units.
LevelCounts Fill(const std::vector<double>& variances, int64_t bits, int64_t unit, uint32_t max_levels, double power,
                 bool trellis) {
  const auto& distortion = trellis ? kTrellisDistortion : kDistortion;
  LevelCounts counts = {};
  for (int64_t used = 0; used < bits; ++used) {
    int best = -1;
    double best_gain = -1.0;
    for (uint32_t level = 0; level < max_levels; ++level) {
      const int64_t limit = level == 0 ? static_cast<int64_t>(variances.size()) : counts[level - 1];
      if (counts[level] >= limit) continue;
      const double gain =
          std::pow(std::max(variances[counts[level]], 0.0), power) * (distortion[level] - distortion[level + 1]);
      if (gain > best_gain) best = static_cast<int>(level), best_gain = gain;
    }
    if (best < 0) break;
    ++counts[best];
  }
  int64_t rest = bits;
  for (size_t level = counts.size() - 1; level > 0; --level) {
    counts[level] = (counts[level] + unit / 2) / unit * unit;
    rest -= counts[level];
  }
  counts[0] = rest;
  return counts;
}

// A plan has few bands, and a run of more levels than one has takes two: levels above those go in pairs.
void PairFineLevels(int64_t unit, LevelCounts& counts) {
  for (size_t level = kMaxLevels; level + 1 < counts.size(); level += 2) {
    const int64_t both = counts[level] + counts[level + 1], each = (both / 2 + unit / 2) / unit * unit;
    counts[level] = counts[level + 1] = each;
    counts[0] += both - 2 * each;
  }
}

// Shapes of planes in whole words but for one, or for all alike, which lack what is over: those of these bits that
// scans read quickest.
void AddShapesOfWords(const std::vector<double>& variances, int64_t bits, uint32_t max_levels, double power,
                      bool trellis, std::vector<LevelPlan>& shapes) {
  constexpr int64_t kWord = 32, kLeast = 3 * kWord;
  const int64_t whole = (bits + kWord - 1) / kWord * kWord;
  if (whole == bits || whole < kLeast) return;
  const LevelCounts counts = Fill(variances, whole, kWord, max_levels, power, trellis);
  const auto dims = static_cast<int64_t>(variances.size());
  for (size_t level = 0; level < kMaxTrellisLevels; ++level) {
    LevelCounts lacking = counts;
    lacking[level] -= whole - bits;
    AddShape(lacking, dims, trellis, shapes);
  }
  LevelCounts lacking = counts;  // in all levels alike
  const auto levels = counts.size() - static_cast<size_t>(std::count(counts.begin(), counts.end(), 0));
  for (int64_t lack = 0; lack < whole - bits; ++lack) --lacking[static_cast<size_t>(lack) % levels];
  AddShape(lacking, dims, trellis, shapes);
}

LevelCounts CountsOf(const LevelPlan& plan) {
  LevelCounts counts = {};
  for (const LevelPlan::Run& run : plan.runs()) {
    for (uint32_t level = 0; level < run.levels; ++level) counts[level] += run.dims;
  }
  return counts;
}

}  // namespace

absl::StatusOr<std::vector<LevelPlan>> CandidateShapes(const std::vector<double>& variances, size_t dims, size_t bits,
                                                       uint32_t max_levels, bool trellis) {
  const size_t most_bits = size_t{kMaxCodeDims} * std::min(max_levels, kMaxLevels);  // further levels are dims as well
  if (bits < kMinCodeBits || bits > most_bits) {
    return absl::InvalidArgumentError(
        absl::StrCat("a budget of ", bits, " bits; it must be in ", kMinCodeBits, "..", most_bits));
  }
  std::vector<LevelPlan> shapes;
  const auto budget = static_cast<int64_t>(bits), n = static_cast<int64_t>(dims);
  const auto add_even = [&](int64_t level) {
    LevelCounts counts = {};
    for (int64_t i = 0; i < level; ++i) counts[i] = budget / level;
    if (budget % level == 0) AddShape(counts, n, trellis, shapes);
  };
  for (int64_t level = 1; level <= max_levels; ++level) {
    if (budget / level <= n || level == max_levels) add_even(level);
  }
  if (budget < n * max_levels) {
    for (const double power : {0.75, 1.0, 1.5, 2.0}) {
      LevelCounts counts = Fill(variances, budget, Unit(budget), max_levels, power, trellis);
      AddShape(counts, n, trellis, shapes);
      PairFineLevels(Unit(budget), counts);
      AddShape(counts, n, trellis, shapes);
      AddShapesOfWords(variances, budget, max_levels, power, trellis, shapes);
    }
  }
  // More dims than the embeddings have where no other shape has so many bits.
  for (int64_t level = max_levels; level > 0 && shapes.empty(); --level) add_even(level);
  if (shapes.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("no shape of at most ", max_levels, " levels has exactly ", bits,
                                                   " bits for ", dims, "-d embeddings; try a multiple of 8 or of 12"));
  }
  return shapes;
}

std::vector<LevelPlan> NeighborShapes(const LevelPlan& plan, size_t dims, uint32_t max_levels) {
  const LevelCounts counts = CountsOf(plan);
  const int64_t unit = Unit(plan.bits());
  std::vector<LevelPlan> shapes;
  for (uint32_t from = 0; from < max_levels; ++from) {
    for (uint32_t to = 0; to < max_levels; ++to) {
      if (from == to) continue;
      LevelCounts moved = counts;
      moved[from] -= unit;
      moved[to] += unit;
      if (moved[0] <= static_cast<int64_t>(dims)) AddShape(moved, static_cast<int64_t>(dims), plan.trellis(), shapes);
    }
  }
  return shapes;
}

}  // namespace bebr
