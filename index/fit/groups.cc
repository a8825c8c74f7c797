#include "index/fit/groups.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "index/base/float16.h"
#include "index/base/status_macros.h"
#include "index/fit/linear_algebra.h"

namespace bebr {
namespace {

constexpr size_t kKMeansRows = 20000;
constexpr int kKMeansRounds = 8;
constexpr size_t kBlockRows = 4096;
constexpr double kKeptEnergy = 0.98;
constexpr uint32_t kTriedGroups = 4;  // for a document: more find hardly more
// A group's own covariance counts for rows / (rows + dims times this) of what is taken for it.
constexpr double kShrink = 0.9;
constexpr double kShrinkOfMany = 3.0;  // from so many groups on, of which each has few rows:
constexpr size_t kMany = 64;

void RoundToHalf(std::vector<float>& values) {
  for (float& value : values) value = HalfToFloat(FloatToHalf(value));
}

double SquaredNorm(const float* x, size_t dims) {
  double sum = 0.0;
  for (size_t i = 0; i < dims; ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

// Rows with norm 1 for cosine, less the corpus's mean; all-zero rows are left out.
Matrix Centred(const Matrix& rows, const CorpusStatistics& corpus) {
  const size_t n = rows.dims;
  Matrix centred;
  centred.dims = n;
  const size_t count = std::min(rows.rows, kMaxFitRows);
  for (size_t i = 0; i < count; ++i) {
    const float* x = rows.row(i * rows.rows / count);
    const double squared = SquaredNorm(x, n);
    if (squared == 0.0) continue;
    const double unit = UnitOf(corpus.metric, squared);
    for (size_t j = 0; j < n; ++j) centred.values.push_back(static_cast<float>(x[j] * unit) - corpus.mean[j]);
    ++centred.rows;
  }
  return centred;
}

Matrix Reduced(const Matrix& rows, const std::vector<float>& reduce, size_t dims) {
  Matrix reduced;
  reduced.rows = rows.rows;
  reduced.dims = dims;
  reduced.values.resize(rows.rows * dims);
  Multiply(false, true, rows.rows, dims, rows.dims, rows.values.data(), reduce.data(), reduced.values.data());
  return reduced;
}

// The number of the nearest of `centers` for each row.
std::vector<uint32_t> Nearest(const Matrix& rows, const Matrix& centers) {
  std::vector<double> halves;
  for (size_t c = 0; c < centers.rows; ++c) halves.push_back(0.5 * SquaredNorm(centers.row(c), centers.dims));
  std::vector<uint32_t> nearest(rows.rows);
  std::vector<float> products(kBlockRows * centers.rows);
  for (size_t start = 0; start < rows.rows; start += kBlockRows) {
    const size_t count = std::min(kBlockRows, rows.rows - start);
    Multiply(false, true, count, centers.rows, rows.dims, rows.row(start), centers.values.data(), products.data());
    for (size_t i = 0; i < count; ++i) {
      const float* of_row = products.data() + i * centers.rows;
      size_t best = 0;
      for (size_t c = 1; c < centers.rows; ++c) {
        if (of_row[c] - halves[c] > of_row[best] - halves[best]) best = c;
      }
      nearest[start + i] = static_cast<uint32_t>(best);
    }
  }
  return nearest;
}

// The means of the rows of each group; `fallback` says what one without rows becomes.
template <typename Fallback>
Matrix Means(const Matrix& rows, const std::vector<uint32_t>& group_of, size_t count, const Fallback& fallback) {
  std::vector<double> sums(count * rows.dims, 0.0);
  std::vector<size_t> sizes(count, 0);
  for (size_t i = 0; i < rows.rows; ++i) {
    ++sizes[group_of[i]];
    for (size_t j = 0; j < rows.dims; ++j) sums[group_of[i] * rows.dims + j] += rows.row(i)[j];
  }
  Matrix means;
  means.rows = count;
  means.dims = rows.dims;
  means.values.resize(count * rows.dims);
  for (size_t c = 0; c < count; ++c) {
    if (sizes[c] == 0) std::copy_n(fallback(), rows.dims, means.row(c));
    for (size_t j = 0; sizes[c] > 0 && j < rows.dims; ++j)
      means.row(c)[j] = static_cast<float>(sums[c * rows.dims + j] / static_cast<double>(sizes[c]));
  }
  return means;
}

Matrix KMeans(const Matrix& rows, uint32_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  Matrix sample;
  sample.rows = std::min(rows.rows, kKMeansRows);
  sample.dims = rows.dims;
  sample.values.resize(sample.rows * rows.dims);
  for (size_t i = 0; i < sample.rows; ++i) std::copy_n(rows.row(i * rows.rows / sample.rows), rows.dims, sample.row(i));
  const auto any = [&] { return sample.row(random() % sample.rows); };
  Matrix centers;
  centers.rows = count;
  centers.dims = rows.dims;
  for (uint32_t c = 0; c < count; ++c) {
    const float* row = any();
    centers.values.insert(centers.values.end(), row, row + rows.dims);
  }
  for (int round = 0; round < kKMeansRounds; ++round) centers = Means(sample, Nearest(sample, centers), count, any);
  return centers;
}

// Gives the groups that have rows the numbers from 0 on; returns how many they are.
size_t Renumber(size_t count, std::vector<uint32_t>& group_of) {
  std::vector<uint32_t> number(count, 0);
  for (const uint32_t group : group_of) number[group] = 1;
  uint32_t used = 0;
  for (uint32_t& entry : number) entry = entry != 0 ? used++ : 0;
  for (uint32_t& group : group_of) group = number[group];
  return used;
}

// Of the rows of each group less its mean, scaled to norm sqrt(dims): the sum of their outer products, and their
// number.
struct Spread {
  std::vector<double> covariance;
  size_t rows = 0;
};

std::vector<Spread> Spreads(const Matrix& reduced, const std::vector<uint32_t>& group_of, const Matrix& means) {
  const size_t r = reduced.dims;
  std::vector<Spread> spreads(means.rows);
  std::vector<float> block, product(r * r);
  for (uint32_t g = 0; g < means.rows; ++g) {
    Spread& spread = spreads[g];
    spread.covariance.assign(r * r, 0.0);
    const auto flush = [&] {
      const size_t count = block.size() / r;
      Multiply(true, false, r, r, count, block.data(), block.data(), product.data());
      for (size_t i = 0; count > 0 && i < r * r; ++i) spread.covariance[i] += product[i];
      spread.rows += count;
      block.clear();
    };
    for (size_t i = 0; i < reduced.rows; ++i) {
      if (group_of[i] != g) continue;
      const size_t at = block.size();
      for (size_t j = 0; j < r; ++j) block.push_back(reduced.row(i)[j] - means.row(g)[j]);
      const double squared = SquaredNorm(block.data() + at, r);
      const auto scale = squared > 0.0 ? static_cast<float>(std::sqrt(static_cast<double>(r) / squared)) : 0.0f;
      for (size_t j = 0; j < r; ++j) block[at + j] *= scale;
      if (block.size() == kBlockRows * r) flush();
    }
    if (!block.empty()) flush();
  }
  return spreads;
}

absl::StatusOr<CorpusStatistics> OfGroup(const Spread& spread, const std::vector<double>& pooled, const float* mean,
                                         size_t r, size_t components, double shrink, uint64_t seed) {
  CorpusStatistics statistics;
  statistics.dims = static_cast<uint32_t>(r);
  statistics.metric = Metric::kInnerProduct;
  statistics.rows = spread.rows;
  statistics.mean.assign(mean, mean + r);
  const auto rows = static_cast<double>(spread.rows);
  const double own = rows / (rows + shrink * static_cast<double>(r));
  statistics.covariance.resize(r * r);
  for (size_t i = 0; i < r * r; ++i)
    statistics.covariance[i] = own * spread.covariance[i] / rows + (1.0 - own) * pooled[i];
  BEBR_ASSIGN_OR_RETURN(EigenPairs eigen, LargestEigenvectors(statistics.covariance, r, std::min(components, r), seed));
  statistics.variances = std::move(eigen.values);
  statistics.components = std::move(eigen.vectors);
  return statistics;
}

}  // namespace

size_t ReducedDims(const CorpusStatistics& corpus, size_t dims) {
  double all = 0.0, kept = 0.0;
  for (size_t i = 0; i < corpus.dims; ++i) all += corpus.covariance[i * corpus.dims + i];
  size_t count = 0;
  for (; count < corpus.variances.size() && (count < dims || kept < kKeptEnergy * all); ++count)
    kept += corpus.variances[count];
  return std::min(std::min<size_t>((count + 7) / 8 * 8, corpus.dims), corpus.variances.size());
}

absl::StatusOr<GroupStatistics> MeasureGroups(const Matrix& rows, const CorpusStatistics& corpus, uint32_t count,
                                              size_t reduced_dims, size_t components, uint64_t seed) {
  const size_t n = corpus.dims, r = reduced_dims;
  GroupStatistics groups;
  groups.reduced_dims = r;
  groups.reduce.assign(corpus.components.begin(), corpus.components.begin() + static_cast<ptrdiff_t>(r * n));
  RoundToHalf(groups.reduce);
  const Matrix centred = Centred(rows, corpus);
  if (centred.rows < 2) return absl::InvalidArgumentError(absl::StrCat(centred.rows, " rows are not zero"));
  const Matrix reduced = Reduced(centred, groups.reduce, r);
  std::vector<uint32_t> group_of = Nearest(reduced, KMeans(reduced, count, seed));
  const size_t used = Renumber(count, group_of);
  if (used < 2) return absl::InvalidArgumentError(absl::StrCat("the rows fall into ", used, " group"));
  // Every group has rows: the fallbacks are never asked for.
  const Matrix means = Means(centred, group_of, used, [&] { return centred.row(0); });
  const Matrix reduced_means = Means(reduced, group_of, used, [&] { return reduced.row(0); });
  const std::vector<Spread> spreads = Spreads(reduced, group_of, reduced_means);
  std::vector<double> pooled(r * r, 0.0);
  for (const Spread& spread : spreads) {
    for (size_t i = 0; i < r * r; ++i) pooled[i] += spread.covariance[i] / static_cast<double>(reduced.rows);
  }
  const double shrink = used >= kMany ? kShrinkOfMany : kShrink;
  for (size_t g = 0; g < used; ++g) {
    std::vector<float>& mean = groups.means.emplace_back(means.row(g), means.row(g) + n);
    for (size_t j = 0; j < n; ++j) mean[j] += corpus.mean[j];
    BEBR_ASSIGN_OR_RETURN(CorpusStatistics of_group,
                          OfGroup(spreads[g], pooled, reduced_means.row(g), r, components, shrink, seed + g));
    groups.of_group.push_back(std::move(of_group));
  }
  return groups;
}

absl::StatusOr<Model> GroupedStartModel(const CorpusStatistics& corpus, const GroupStatistics& groups,
                                        const LevelPlan& shape, uint32_t query_levels, uint64_t seed) {
  Model model;
  const auto count = static_cast<uint32_t>(groups.means.size());
  BEBR_ASSIGN_OR_RETURN(model.spec,
                        CodeSpec::Create(shape.Bands(std::vector<float>(shape.runs().size(), 1.0f)), count));
  model.fine = FineRules{.levels = shape, .tried_groups = std::min(kTriedGroups, count)};
  model.metric = corpus.metric;
  model.input_dims = corpus.dims;
  model.query_levels = query_levels;
  model.quantizer = Quantizer::kFitted;
  model.mean = corpus.mean;
  if (model.metric == Metric::kInnerProduct) model.row_length = static_cast<float>(corpus.row_length);
  model.trained = absl::StrCat("start: rotated principal components of ", groups.means.size(), " groups");
  model.reduced_dims = static_cast<uint32_t>(groups.reduced_dims);
  model.reduce = groups.reduce;
  for (size_t g = 0; g < groups.means.size(); ++g) {
    BEBR_ASSIGN_OR_RETURN(Model start, StartModel(groups.of_group[g], shape, query_levels, seed));
    GroupParameters& group = model.groups.emplace_back();
    group.mean = groups.means[g];
    group.project = std::move(start.project.linear.weight);
    RoundToHalf(group.project);
    for (const Band& band : start.spec.bands()) group.band_weights.push_back(band.weight);
  }
  return model;
}

}  // namespace bebr
