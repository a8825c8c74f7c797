#include "index/fit/shapes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace bebr {
namespace {

// Squared error of a standard Gaussian after 0..4 levels of the recursion (uniform quantizers of 2^L values).
constexpr std::array<double, kMaxLevels + 1> kDistortion = {1.0, 0.3634, 0.1188, 0.0426, 0.0163};

// Dims that have at least 1, 2, 3, 4 levels: a shape of nested counts, whose sum is its bits.
using LevelCounts = std::array<int64_t, kMaxLevels>;

int64_t Unit(int64_t bits) {
  if (bits % 32 == 0 && bits >= 512) return 32;
  if (bits % 16 == 0 && bits >= 96) return 16;
  return bits % 8 == 0 && bits >= 32 ? 8 : 1;
}

// The shape, or nothing if the counts do not describe one.
void AddShape(const LevelCounts& counts, int64_t dims, std::vector<CodeSpec>& shapes) {
  std::vector<Band> bands;
  for (size_t level = kMaxLevels; level > 0; --level) {
    const int64_t more = level < kMaxLevels ? counts[level] : 0;
    const int64_t own = counts[level - 1] - more;
    if (own < 0 || counts[level - 1] < 0) return;
    if (own > 0) bands.push_back({static_cast<uint32_t>(own), static_cast<uint32_t>(level), 1.0f});
  }
  if (bands.empty() || (bands.size() > 1 && counts[0] > dims)) return;
  absl::StatusOr<CodeSpec> spec = CodeSpec::Create(std::move(bands));
  if (spec.ok() && std::find(shapes.begin(), shapes.end(), *spec) == shapes.end()) shapes.push_back(*std::move(spec));
}

// Gives `bits` levels to components, each to the component and level with the largest gain; then rounds to whole units.
LevelCounts Fill(const std::vector<double>& variances, int64_t bits, int64_t unit, uint32_t max_levels, double power) {
  LevelCounts counts = {};
  for (int64_t used = 0; used < bits; ++used) {
    int best = -1;
    double best_gain = -1.0;
    for (uint32_t level = 0; level < max_levels; ++level) {
      const int64_t limit = level == 0 ? static_cast<int64_t>(variances.size()) : counts[level - 1];
      if (counts[level] >= limit) continue;
      const double gain =
          std::pow(std::max(variances[counts[level]], 0.0), power) * (kDistortion[level] - kDistortion[level + 1]);
      if (gain > best_gain) best = static_cast<int>(level), best_gain = gain;
    }
    if (best < 0) break;
    ++counts[best];
  }
  int64_t rest = bits;
  for (size_t level = kMaxLevels - 1; level > 0; --level) {
    counts[level] = (counts[level] + unit / 2) / unit * unit;
    rest -= counts[level];
  }
  counts[0] = rest;
  return counts;
}

LevelCounts CountsOf(const CodeSpec& spec) {
  LevelCounts counts = {};
  for (const Band& band : spec.bands()) {
    for (uint32_t level = 0; level < band.levels; ++level) counts[level] += band.dims;
  }
  return counts;
}

}  // namespace

absl::StatusOr<std::vector<CodeSpec>> CandidateShapes(const std::vector<double>& variances, size_t dims, size_t bits,
                                                      uint32_t max_levels) {
  if (bits < kMinCodeBits || bits > size_t{kMaxCodeDims} * max_levels) {
    return absl::InvalidArgumentError(
        absl::StrCat("a budget of ", bits, " bits; it must be in ", kMinCodeBits, "..", kMaxCodeDims * max_levels));
  }
  std::vector<CodeSpec> shapes;
  const auto budget = static_cast<int64_t>(bits), n = static_cast<int64_t>(dims);
  for (int64_t level = 1; level <= max_levels; ++level) {
    // More dims than the embeddings have only where all levels of all of them do not use up the budget.
    if (budget % level != 0 || (budget / level > n && level < max_levels)) continue;
    LevelCounts counts = {};
    for (int64_t i = 0; i < level; ++i) counts[i] = budget / level;
    AddShape(counts, n, shapes);
  }
  if (budget < n * max_levels) {
    for (const double power : {0.75, 1.0, 1.5, 2.0}) {
      AddShape(Fill(variances, budget, Unit(budget), max_levels, power), n, shapes);
    }
  }
  if (shapes.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("no shape of at most ", max_levels, " levels has exactly ", bits,
                                                   " bits for ", dims, "-d embeddings; try a multiple of 8 or of 12"));
  }
  return shapes;
}

std::vector<CodeSpec> NeighborShapes(const CodeSpec& spec, size_t dims, uint32_t max_levels) {
  const LevelCounts counts = CountsOf(spec);
  const int64_t unit = Unit(spec.bits());
  std::vector<CodeSpec> shapes;
  for (uint32_t from = 0; from < max_levels; ++from) {
    for (uint32_t to = 0; to < max_levels; ++to) {
      if (from == to) continue;
      LevelCounts moved = counts;
      moved[from] -= unit;
      moved[to] += unit;
      if (moved[0] <= static_cast<int64_t>(dims)) AddShape(moved, static_cast<int64_t>(dims), shapes);
    }
  }
  return shapes;
}

}  // namespace bebr
