#include "index/fit/groups.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "index/base/float16.h"
#include "index/base/status_macros.h"
#include "index/binarizer/byte_rows.h"
#include "index/fit/linear_algebra.h"

namespace bebr {
namespace {

constexpr size_t kKMeansRows = 32000;
constexpr int kKMeansRounds = 20;
constexpr size_t kBlockRows = 4096;
constexpr size_t kSpreadRows = 256;
constexpr uint32_t kTriedGroups = 8;  // for a document: 16 find no more
// A basis's own covariance counts for rows / (rows + dims times this) of what is taken for it.
constexpr double kShrink = 0.9;
constexpr double kShrinkOfMany = 3.0;  // from so many bases on, of which each has few rows:
constexpr size_t kMany = 64;

// Queries lie between documents, of which they find the near ones: less unevenly spread than documents are.
constexpr double kSpreadPower = 0.75;
constexpr double kLeastSpread = 1e-5;
// Codes of fewer levels a component lose by shaped errors, and of so many components making them would take long.
constexpr uint32_t kShapedLevels = 3;
constexpr uint32_t kMostShapedDims = 768;

void RoundToHalf(std::vector<float>& values) {
  for (float& value : values) value = HalfToFloat(FloatToHalf(value));
}

double SquaredNorm(const float* x, size_t dims) {
  double sum = 0.0;
  for (size_t i = 0; i < dims; ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

// A row with norm 1 for cosine, less the corpus's mean; false for one of zeros.
bool Centre(const float* x, const CorpusStatistics& corpus, float* out) {
  const double squared = SquaredNorm(x, corpus.dims);
  if (squared == 0.0) return false;
  const double unit = UnitOf(corpus.metric, squared);
  for (size_t i = 0; i < corpus.dims; ++i) out[i] = static_cast<float>(x[i] * unit) - corpus.mean[i];
  return true;
}

// All rows but those of zeros, centred, in blocks.
absl::Status ForEachCentred(const RowStream& rows, const CorpusStatistics& corpus, const Continues& continues,
                            absl::FunctionRef<void(const Matrix& block)> take) {
  const size_t n = corpus.dims;
  absl::Status status;
  Matrix block{0, n, std::vector<float>(kBlockRows * n)};
  BEBR_RETURN_IF_ERROR(rows.ForEachBlock([&](const float* some, size_t count) {
    for (const float* x = some; x != some + count * n; x += n) {
      if (!status.ok() || !Centre(x, corpus, block.row(block.rows))) continue;
      if (++block.rows < kBlockRows) continue;
      take(block);
      block.rows = 0;
      status.Update(Ask(continues));
    }
  }));
  if (block.rows > 0 && status.ok()) take(block);
  status.Update(Ask(continues));
  return status;
}

// At most kKMeansRows rows, evenly spaced, centred.
absl::StatusOr<Matrix> Sample(const RowStream& rows, const CorpusStatistics& corpus, const Continues& continues) {
  const size_t n = corpus.dims, all = rows.rows(), count = std::min(all, kKMeansRows);
  Matrix sample{0, n, std::vector<float>(count * n)};
  size_t at = 0, wanted = 0;
  BEBR_RETURN_IF_ERROR(rows.ForEachBlock([&](const float* some, size_t of_block) {
    for (size_t i = 0; i < of_block; ++i, ++at) {
      if (wanted == count || at != wanted * all / count) continue;
      ++wanted;
      sample.rows += Centre(some + i * n, corpus, sample.row(sample.rows)) ? 1 : 0;
    }
  }));
  sample.values.resize(sample.rows * n);
  BEBR_RETURN_IF_ERROR(Ask(continues));
  return sample;
}

Matrix Reduced(const Matrix& rows, const std::vector<float>& reduce, size_t dims, const Continues& continues) {
  Matrix reduced{rows.rows, dims, std::vector<float>(rows.rows * dims)};
  Multiply(false, true, rows.rows, dims, rows.dims, rows.values.data(), reduce.data(), reduced.values.data(), 1,
           continues);
  return reduced;
}

// The number of the nearest of `centers` for each row.
std::vector<uint32_t> Nearest(const Matrix& rows, const Matrix& centers, const Continues& continues) {
  std::vector<double> halves;
  for (size_t c = 0; c < centers.rows; ++c) halves.push_back(0.5 * SquaredNorm(centers.row(c), centers.dims));
  std::vector<uint32_t> nearest(rows.rows);
  std::vector<float> products(kBlockRows * centers.rows);
  for (size_t start = 0; start < rows.rows && Ask(continues).ok(); start += kBlockRows) {
    const size_t count = std::min(kBlockRows, rows.rows - start);
    Multiply(false, true, count, centers.rows, rows.dims, rows.row(start), centers.values.data(), products.data(), 1,
             continues);
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
  Matrix means{count, rows.dims, std::vector<float>(count * rows.dims)};
  for (size_t c = 0; c < count; ++c) {
    if (sizes[c] == 0) std::copy_n(fallback(), rows.dims, means.row(c));
    for (size_t j = 0; sizes[c] > 0 && j < rows.dims; ++j)
      means.row(c)[j] = static_cast<float>(sums[c * rows.dims + j] / static_cast<double>(sizes[c]));
  }
  return means;
}

Matrix KMeans(const Matrix& sample, uint32_t count, uint64_t seed, const Continues& continues) {
  std::mt19937_64 random(seed);
  const auto any = [&] { return sample.row(random() % sample.rows); };
  Matrix centers;
  centers.rows = count;
  centers.dims = sample.dims;
  for (uint32_t c = 0; c < count; ++c) {
    const float* row = any();
    centers.values.insert(centers.values.end(), row, row + sample.dims);
  }
  for (int round = 0; round < kKMeansRounds && Ask(continues).ok(); ++round)
    centers = Means(sample, Nearest(sample, centers, continues), count, any);
  return centers;
}

// So many centers as each of `parts` parts of some rows gets of `count`: by its rows, and at least one.
std::vector<uint32_t> Shares(const std::vector<uint32_t>& part_of, uint32_t parts, uint32_t count) {
  std::vector<double> rows(parts, 0.0);
  for (const uint32_t part : part_of) ++rows[part];
  std::vector<uint32_t> shares(parts, 1);
  for (uint32_t given = parts; given < count; ++given) {
    uint32_t most = 0;
    for (uint32_t part = 1; part < parts; ++part) {
      if (rows[part] / shares[part] > rows[most] / shares[most]) most = part;
    }
    ++shares[most];
  }
  return shares;
}

// What is summed up over all rows, a block at a time. Groups without rows are left out at the end.
struct Groups {
  Matrix centers;                    // reduced
  std::vector<uint32_t> basis_of;    // of each
  std::vector<size_t> sizes;         // rows
  std::vector<double> sums;          // of each group's rows, centred
  std::vector<double> reduced_sums;  // the same, reduced
};

// Each part of the sample, one a basis, is cut again into its share of the groups.
Groups CutIntoGroups(const Matrix& sample, GroupCounts counts, uint64_t seed, const Continues& continues) {
  Groups groups{.centers = KMeans(sample, counts.bases, seed, continues)};
  groups.basis_of.resize(counts.bases);
  std::iota(groups.basis_of.begin(), groups.basis_of.end(), 0u);
  if (counts.bases >= counts.groups) return groups;
  const std::vector<uint32_t> part_of = Nearest(sample, groups.centers, continues);
  const std::vector<uint32_t> shares = Shares(part_of, counts.bases, counts.groups);
  const Matrix parts = std::exchange(groups.centers, Matrix{0, sample.dims, {}});
  groups.basis_of.clear();
  for (uint32_t part = 0; part < counts.bases; ++part) {
    Matrix rows{0, sample.dims, {}};
    for (size_t i = 0; i < sample.rows; ++i) {
      if (part_of[i] != part) continue;
      ++rows.rows;
      rows.values.insert(rows.values.end(), sample.row(i), sample.row(i) + sample.dims);
    }
    const bool whole = shares[part] == 1 || rows.rows == 0;
    const Matrix centers = whole ? Matrix{1, sample.dims, {parts.row(part), parts.row(part) + sample.dims}}
                                 : KMeans(rows, shares[part], seed + part, continues);
    groups.centers.rows += centers.rows;
    groups.centers.values.insert(groups.centers.values.end(), centers.values.begin(), centers.values.end());
    groups.basis_of.insert(groups.basis_of.end(), centers.rows, part);
  }
  return groups;
}

absl::Status TakeMeans(const RowStream& rows, const CorpusStatistics& corpus, const std::vector<float>& reduce,
                       const Continues& continues, Groups& groups) {
  const size_t n = corpus.dims, r = groups.centers.dims, count = groups.centers.rows;
  groups.sizes.assign(count, 0);
  groups.sums.assign(count * n, 0.0);
  groups.reduced_sums.assign(count * r, 0.0);
  return ForEachCentred(rows, corpus, continues, [&](const Matrix& block) {
    const Matrix reduced = Reduced(block, reduce, r, continues);
    const std::vector<uint32_t> group_of = Nearest(reduced, groups.centers, continues);
    for (size_t i = 0; i < block.rows; ++i) {
      const size_t g = group_of[i];
      ++groups.sizes[g];
      for (size_t j = 0; j < n; ++j) groups.sums[g * n + j] += block.row(i)[j];
      for (size_t j = 0; j < r; ++j) groups.reduced_sums[g * r + j] += reduced.row(i)[j];
    }
  });
}

// Of the rows of a basis's groups less the mean of each, scaled to norm sqrt(dims): the sum of their outer products,
// and their number.
struct Spread {
  std::vector<double> covariance;
  size_t rows = 0;
};

// Holds kSpreadRows rows a basis.
absl::Status TakeSpreads(const RowStream& rows, const CorpusStatistics& corpus, const std::vector<float>& reduce,
                         const Groups& groups, const Matrix& means, const Continues& continues,
                         std::vector<Spread>& spreads) {
  const size_t r = means.dims;
  std::vector<std::vector<float>> gathered(spreads.size());
  std::vector<float> product(r * r);
  for (Spread& spread : spreads) spread.covariance.assign(r * r, 0.0);
  const auto flush = [&](size_t b) {
    const size_t count = gathered[b].size() / r;
    if (count == 0 || !Ask(continues).ok()) return;
    Multiply(true, false, r, r, count, gathered[b].data(), gathered[b].data(), product.data());
    for (size_t i = 0; i < r * r; ++i) spreads[b].covariance[i] += product[i];
    spreads[b].rows += count;
    gathered[b].clear();
  };
  BEBR_RETURN_IF_ERROR(ForEachCentred(rows, corpus, continues, [&](const Matrix& block) {
    const Matrix reduced = Reduced(block, reduce, r, continues);
    const std::vector<uint32_t> group_of = Nearest(reduced, groups.centers, continues);
    for (size_t i = 0; i < reduced.rows; ++i) {
      const size_t g = group_of[i], b = groups.basis_of[g], at = gathered[b].size();
      for (size_t j = 0; j < r; ++j) gathered[b].push_back(reduced.row(i)[j] - means.row(g)[j]);
      const double squared = SquaredNorm(gathered[b].data() + at, r);
      const auto scale = squared > 0.0 ? static_cast<float>(std::sqrt(static_cast<double>(r) / squared)) : 0.0f;
      for (size_t j = 0; j < r; ++j) gathered[b][at + j] *= scale;
      if (gathered[b].size() == kSpreadRows * r) flush(b);
    }
  }));
  for (size_t b = 0; b < spreads.size(); ++b) flush(b);
  return Ask(continues);
}

absl::StatusOr<CorpusStatistics> OfBasis(const Spread& spread, const std::vector<double>& pooled, size_t r,
                                         size_t components, double shrink, uint64_t seed, const Continues& continues) {
  CorpusStatistics statistics;
  statistics.dims = static_cast<uint32_t>(r);
  statistics.metric = Metric::kInnerProduct;
  statistics.rows = spread.rows;
  statistics.mean.assign(r, 0.0f);
  const auto rows = static_cast<double>(spread.rows);
  const double own = rows / (rows + shrink * static_cast<double>(r));
  statistics.covariance.resize(r * r);
  for (size_t i = 0; i < r * r; ++i)
    statistics.covariance[i] = own * spread.covariance[i] / rows + (1.0 - own) * pooled[i];
  BEBR_ASSIGN_OR_RETURN(EigenPairs eigen,
                        LargestEigenvectors(statistics.covariance, r, std::min(components, r), seed, continues));
  statistics.variances = std::move(eigen.values);
  statistics.components = std::move(eigen.vectors);
  return statistics;
}

// The bases that some row has, and their numbers.
absl::Status TakeBases(const std::vector<Spread>& spreads, size_t r, size_t components, uint64_t seed,
                       const Continues& continues, GroupStatistics& result) {
  size_t rows = 0;
  std::vector<double> pooled(r * r, 0.0);
  std::vector<uint32_t> number_of;
  uint32_t used = 0;
  for (const Spread& spread : spreads) {
    rows += spread.rows;
    number_of.push_back(used);
    used += spread.rows > 0 ? 1 : 0;
    for (size_t i = 0; i < r * r; ++i) pooled[i] += spread.covariance[i];
  }
  for (double& value : pooled) value /= static_cast<double>(rows);
  for (size_t i = 0; i < r; ++i) result.variances.push_back(pooled[i * r + i]);
  const double shrink = used >= kMany ? kShrinkOfMany : kShrink;
  for (const Spread& spread : spreads) {
    if (spread.rows == 0) continue;
    BEBR_RETURN_IF_ERROR(Ask(continues));
    BEBR_ASSIGN_OR_RETURN(CorpusStatistics of_basis,
                          OfBasis(spread, pooled, r, components, shrink, seed + result.of_basis.size(), continues));
    result.of_basis.push_back(std::move(of_basis));
  }
  for (uint32_t& basis : result.basis_of) basis = number_of[basis];
  return absl::OkStatus();
}

// What errors are shaped by (FORMAT.md, "Shaped errors"), or nothing.
std::vector<float> ErrorSpread(const GroupStatistics& groups, const LevelPlan& shape) {
  std::vector<float> spread;
  const uint64_t values = uint64_t{shape.dims()} * shape.dims() * groups.of_basis.size();
  if (shape.bits() < kShapedLevels * shape.dims() || shape.dims() > kMostShapedDims || values > kMostShapedValues)
    return spread;
  const double most = *std::max_element(groups.variances.begin(), groups.variances.end());
  for (const double variance : groups.variances)
    spread.push_back(static_cast<float>(std::pow(std::max(variance / most, kLeastSpread), kSpreadPower)));
  return spread;
}

}  // namespace

size_t ReducedDims(const CorpusStatistics& corpus, size_t dims, double kept_energy) {
  double all = 0.0, kept = 0.0;
  for (size_t i = 0; i < corpus.dims; ++i) all += corpus.covariance[i * corpus.dims + i];
  size_t count = 0;
  for (; count < corpus.variances.size() && (count < dims || kept < kept_energy * all); ++count)
    kept += corpus.variances[count];
  return std::min(std::min<size_t>((count + 7) / 8 * 8, corpus.dims), corpus.variances.size());
}

absl::StatusOr<GroupStatistics> MeasureGroups(const Matrix& rows, const CorpusStatistics& corpus, GroupCounts counts,
                                              size_t reduced_dims, size_t components, uint64_t seed,
                                              const Continues& continues) {
  return MeasureGroups(MatrixRows(rows, kMaxFitRows), corpus, counts, reduced_dims, components, seed, continues);
}

absl::StatusOr<GroupStatistics> MeasureGroups(const RowStream& rows, const CorpusStatistics& corpus, GroupCounts counts,
                                              size_t reduced_dims, size_t components, uint64_t seed,
                                              const Continues& continues) {
  const size_t n = corpus.dims, r = reduced_dims;
  GroupStatistics result;
  result.reduced_dims = r;
  result.reduce.assign(corpus.components.begin(), corpus.components.begin() + static_cast<ptrdiff_t>(r * n));
  RoundToHalf(result.reduce);
  BEBR_ASSIGN_OR_RETURN(const Matrix sample, Sample(rows, corpus, continues));
  if (sample.rows < 2) return absl::InvalidArgumentError(absl::StrCat(sample.rows, " rows are not zero"));
  Groups groups = CutIntoGroups(Reduced(sample, result.reduce, r, continues), counts, seed, continues);
  const size_t count = groups.centers.rows;
  BEBR_RETURN_IF_ERROR(TakeMeans(rows, corpus, result.reduce, continues, groups));
  Matrix reduced_means{count, r, std::vector<float>(count * r)};
  size_t used = 0;
  for (size_t g = 0; g < count; ++g) {
    const auto size = static_cast<double>(groups.sizes[g]);
    if (groups.sizes[g] == 0) continue;
    ++used;
    result.basis_of.push_back(groups.basis_of[g]);
    for (size_t j = 0; j < r; ++j) reduced_means.row(g)[j] = static_cast<float>(groups.reduced_sums[g * r + j] / size);
    std::vector<float>& mean = result.means.emplace_back(n);
    for (size_t j = 0; j < n; ++j) mean[j] = static_cast<float>(groups.sums[g * n + j] / size) + corpus.mean[j];
  }
  if (used < 2) return absl::InvalidArgumentError(absl::StrCat("the rows fall into ", used, " group"));
  std::vector<Spread> spreads(counts.bases);
  BEBR_RETURN_IF_ERROR(TakeSpreads(rows, corpus, result.reduce, groups, reduced_means, continues, spreads));
  BEBR_RETURN_IF_ERROR(TakeBases(spreads, r, components, seed, continues, result));
  return result;
}

absl::StatusOr<Model> GroupedStartModel(const CorpusStatistics& corpus, const GroupStatistics& groups,
                                        const LevelPlan& shape, uint32_t query_levels, uint64_t seed,
                                        const Continues& continues) {
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
  model.trained = absl::StrCat("start: rotated principal components of ", groups.means.size(), " groups in ",
                               groups.of_basis.size(), " bases");
  model.byte_bases = true;
  model.reduced_dims = static_cast<uint32_t>(groups.reduced_dims);
  model.reduce = groups.reduce;
  model.spread = ErrorSpread(groups, shape);
  for (size_t g = 0; g < groups.means.size(); ++g) model.groups.push_back({groups.means[g], groups.basis_of[g]});
  for (const CorpusStatistics& of_basis : groups.of_basis) {
    BEBR_ASSIGN_OR_RETURN(Model start, StartModel(of_basis, shape, query_levels, seed, continues));
    BasisParameters& basis = model.bases.emplace_back();
    basis.project = std::move(start.project.linear.weight);
    RoundToByteRows(basis.project, groups.reduced_dims);
    for (const Band& band : start.spec.bands()) basis.band_weights.push_back(band.weight);
  }
  return model;
}

}  // namespace bebr
