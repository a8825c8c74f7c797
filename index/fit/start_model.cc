#include "index/fit/start_model.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "index/base/status_macros.h"
#include "index/fit/linear_algebra.h"

namespace bebr {
namespace {

constexpr size_t kBlockRows = 4096;

// Standard deviation of a band's coordinates before the sign, by level count. The values a code of L levels can take
// have the fixed distance 2^(2-L); these place them near a Gaussian's best uniform quantizer. Chosen by held-out
// recall.
constexpr float kDeviation[kMaxLevels + 1] = {1.0f, 1.0f, 0.97f, 0.88f, 0.78f};

// The same where the query does not share the documents' steps: a Gaussian's best uniform quantizer itself, whose two
// values of one level stand for as much as they claim.
constexpr float kFittedDeviation[kMaxPlanLevels + 1] = {1.0f,    1.253f, 1.004f, 0.853f, 0.746f,
                                                        0.6645f, 0.6f,   0.549f, 0.507f};

// The same of trellis codes, by the levels that are stored.
constexpr float kTrellisDeviation[kMaxTrellisPlanLevels + 1] = {1.0f, 1.255f, 1.004f, 0.829f, 0.738f};

// A single level says less of a coordinate than its two values claim: the mean of a Gaussian beyond zero is 0.8 of its
// standard deviation. A band's weight is lowered by about that much beside bands of more levels. Chosen by held-out
// recall.
constexpr float kConfidence[kMaxLevels + 1] = {1.0f, 0.88f, 1.0f, 1.0f, 1.0f};

double SquaredNorm(const float* x, size_t dims) {
  double sum = 0.0;
  for (size_t i = 0; i < dims; ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

// Evenly spaced row numbers without the rows that are zero (they say nothing about the corpus).
std::vector<size_t> SampleRows(const Matrix& rows, size_t limit) {
  std::vector<size_t> sample;
  const size_t count = std::min(rows.rows, limit);
  for (size_t i = 0; i < count; ++i) {
    const size_t row = i * rows.rows / count;
    if (SquaredNorm(rows.row(row), rows.dims) > 0.0) sample.push_back(row);
  }
  return sample;
}

// Rows that are orthonormal directions for band `b`, which begins at dimension `first`, and the variance along each.
std::vector<float> BandDirections(const CorpusStatistics& statistics, size_t first, size_t dims, bool whole,
                                  std::mt19937_64& random, double* variance, const Continues& continues) {
  const size_t n = statistics.dims;
  std::vector<float> directions;
  std::vector<double> covariance;
  if (whole) {
    directions = RandomRotation(dims, n, random, continues);
    EqualizeVariances(statistics.covariance, n, dims, directions, continues);
    double trace = 0.0;
    for (size_t i = 0; i < n; ++i) trace += statistics.covariance[i * n + i];
    *variance = trace / static_cast<double>(dims);
    return directions;
  }
  std::vector<float> rotation = RandomRotation(dims, dims, random, continues);
  std::vector<double> diagonal(dims * dims, 0.0);
  double trace = 0.0;
  for (size_t i = 0; i < dims; ++i) {
    diagonal[i * dims + i] = std::max(statistics.variances[first + i], 0.0);
    trace += diagonal[i * dims + i];
  }
  EqualizeVariances(diagonal, dims, dims, rotation, continues);
  *variance = trace / static_cast<double>(dims);
  directions.resize(dims * n);
  Multiply(false, false, dims, n, dims, rotation.data(), statistics.components.data() + first * n, directions.data(), 1,
           continues);
  return directions;
}

// Sums over rows of a stream, those of zeros left out: they say nothing about the corpus.
struct Sums {
  size_t rows = 0;
  std::vector<double> mean;
  double spread = 0.0;             // the mean squared distance from the mean
  std::vector<double> covariance;  // of the rows less the mean, each scaled to the same length
};

absl::Status TakeMean(const RowStream& rows, Metric metric, const Continues& continues, Sums& sums) {
  const size_t n = rows.dims();
  sums.mean.assign(n, 0.0);
  absl::Status status;
  BEBR_RETURN_IF_ERROR(rows.ForEachBlock([&](const float* block, size_t count) {
    for (const float* x = block; x != block + count * n; x += n) {
      if (status.ok() && sums.rows % kBlockRows == 0) status = Ask(continues);
      if (!status.ok()) return;
      const double squared = SquaredNorm(x, n), unit = UnitOf(metric, squared);
      if (squared == 0.0) continue;
      ++sums.rows;
      for (size_t i = 0; i < n; ++i) sums.mean[i] += unit * x[i];
    }
  }));
  for (double& value : sums.mean) value /= static_cast<double>(std::max<size_t>(1, sums.rows));
  return status;
}

absl::Status TakeSpread(const RowStream& rows, Metric metric, const std::vector<float>& mean, size_t threads,
                        const Continues& continues, Sums& sums) {
  const size_t n = rows.dims();
  sums.covariance.assign(n * n, 0.0);
  std::vector<float> gathered, scaled(kBlockRows * n), product(n * n);
  absl::Status status;
  const auto flush = [&] {
    const size_t count = gathered.size() / n;
    CenterAndScale(mean, metric, gathered.data(), count, scaled.data());
    Multiply(true, false, n, n, count, scaled.data(), scaled.data(), product.data(), threads, continues);
    status.Update(Ask(continues));
    if (!status.ok()) return;
    for (size_t i = 0; i < n * n; ++i) sums.covariance[i] += product[i] / static_cast<double>(sums.rows);
    gathered.clear();
  };
  BEBR_RETURN_IF_ERROR(rows.ForEachBlock([&](const float* block, size_t count) {
    for (const float* x = block; x != block + count * n; x += n) {
      if (!status.ok()) return;
      const double squared = SquaredNorm(x, n), unit = UnitOf(metric, squared);
      if (squared == 0.0) continue;
      double distance = 0.0;
      for (size_t i = 0; i < n; ++i) distance += (unit * x[i] - sums.mean[i]) * (unit * x[i] - sums.mean[i]);
      sums.spread += distance / static_cast<double>(sums.rows);
      gathered.insert(gathered.end(), x, x + n);
      if (gathered.size() == kBlockRows * n) flush();
    }
  }));
  if (!gathered.empty() && status.ok()) flush();
  return status;
}

// Whether a code of one band takes all directions there are, and not only the first of them.
bool TakesAll(const CorpusStatistics& statistics, const LevelPlan& plan) {
  return plan.runs().size() == 1 && plan.dims() >= statistics.dims;
}

absl::Status CheckShape(const CorpusStatistics& statistics, const LevelPlan& plan, bool fitted) {
  const size_t n = statistics.dims, m = plan.dims();
  if (!fitted && plan.max_levels() > kMaxLevels) {
    return absl::InvalidArgumentError(absl::StrCat("shape ", plan.ToString(), " has up to ", plan.max_levels(),
                                                   " levels; more than ", kMaxLevels, " need query levels above ",
                                                   kMaxLevels));
  }
  if (!fitted && plan.trellis()) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape ", plan.ToString(), " is trellis-coded, which needs query levels above ", kMaxLevels));
  }
  if (TakesAll(statistics, plan)) return absl::OkStatus();
  if (m > n) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape ", plan.ToString(), " has ", m, " dims in several bands; the embeddings have ", n));
  }
  if (statistics.variances.size() >= m) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat(m, " components are needed, ", statistics.variances.size(), " were measured"));
}

}  // namespace

double UnitOf(Metric metric, double squared_length) {
  switch (metric) {
    case Metric::kCosine:
      return squared_length > 0.0 ? 1.0 / std::sqrt(squared_length) : 0.0;
    case Metric::kInnerProduct:
    case Metric::kL2:
      break;
  }
  return 1.0;
}

void CenterAndScale(const std::vector<float>& mean, Metric metric, const float* rows, size_t count, float* out) {
  const size_t n = mean.size();
  for (size_t r = 0; r < count; ++r) {
    const float* x = rows + r * n;
    float* u = out + r * n;
    const auto unit = static_cast<float>(UnitOf(metric, SquaredNorm(x, n)));
    for (size_t i = 0; i < n; ++i) u[i] = x[i] * unit - mean[i];
    const double squared = SquaredNorm(u, n);
    const float scale = squared > 0.0 ? static_cast<float>(std::sqrt(static_cast<double>(n) / squared)) : 0.0f;
    for (size_t i = 0; i < n; ++i) u[i] *= scale;
  }
}

absl::StatusOr<CorpusStatistics> MeasureCorpus(const Matrix& rows, Metric metric, size_t components, uint64_t seed,
                                               size_t threads, const Continues& continues) {
  return MeasureCorpus(MatrixRows(rows, kMaxFitRows), metric, components, seed, threads, continues);
}

absl::StatusOr<CorpusStatistics> MeasureCorpus(const RowStream& rows, Metric metric, size_t components, uint64_t seed,
                                               size_t threads, const Continues& continues) {
  const size_t n = rows.dims();
  if (n == 0 || n > kMaxInputDims) {
    return absl::InvalidArgumentError(absl::StrCat("the embeddings have ", n, " dims; the limit is ", kMaxInputDims));
  }
  Sums sums;
  BEBR_RETURN_IF_ERROR(TakeMean(rows, metric, continues, sums));
  if (sums.rows < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("the input has ", rows.rows(), " rows, ", sums.rows, " of them not zero; at least 2 are needed"));
  }
  CorpusStatistics statistics;
  statistics.dims = static_cast<uint32_t>(n);
  statistics.metric = metric;
  statistics.rows = sums.rows;
  statistics.mean.assign(sums.mean.begin(), sums.mean.end());
  BEBR_RETURN_IF_ERROR(TakeSpread(rows, metric, statistics.mean, threads, continues, sums));
  statistics.covariance = std::move(sums.covariance);
  double trace = 0.0;
  for (size_t i = 0; i < n; ++i) trace += statistics.covariance[i * n + i];
  const double mean_squared = SquaredNorm(statistics.mean.data(), n);
  statistics.row_length = std::sqrt(sums.spread + mean_squared);
  if (!std::isfinite(trace) || !std::isfinite(sums.spread)) {
    return absl::InvalidArgumentError("the embeddings' values are too large: their covariance is not finite");
  }
  if (trace <= 0.0 || sums.spread <= 1e-10 * mean_squared) {
    return absl::InvalidArgumentError(absl::StrCat("all ", rows.rows(), " rows are equal",
                                                   metric == Metric::kCosine ? " after normalising" : "",
                                                   ": there is nothing to tell them apart by"));
  }
  BEBR_ASSIGN_OR_RETURN(EigenPairs eigen,
                        LargestEigenvectors(statistics.covariance, n, std::min(components, n), seed, continues));
  statistics.variances = std::move(eigen.values);
  statistics.components = std::move(eigen.vectors);
  return statistics;
}

absl::StatusOr<Model> StartModel(const CorpusStatistics& statistics, const LevelPlan& plan, uint32_t query_levels,
                                 uint64_t seed, const Continues& continues) {
  const bool fitted = query_levels > kMaxLevels;
  BEBR_RETURN_IF_ERROR(CheckShape(statistics, plan, fitted));
  const size_t n = statistics.dims, m = plan.dims();
  Model model;
  model.metric = statistics.metric;
  model.input_dims = statistics.dims;
  model.query_levels = query_levels;
  if (fitted) {
    model.quantizer = Quantizer::kFitted;
    model.fine = FineRules{.levels = plan};
  }
  model.mean = statistics.mean;
  if (model.metric == Metric::kInnerProduct) model.row_length = static_cast<float>(statistics.row_length);
  model.trained = "start: rotated principal components";
  model.project.linear.weight.reserve(m * n);
  model.project.linear.bias.assign(m, 0.0f);
  std::mt19937_64 random(seed);
  std::vector<float> weights;
  size_t first = 0;
  // A band without variance (beyond the rank of the data) must not blow up: its weight makes it count for nothing.
  const double floor = 1e-6 * static_cast<double>(n) / static_cast<double>(std::max(m, n));
  for (const LevelPlan::Run& run : plan.runs()) {
    double variance = 0.0;
    const std::vector<float> directions =
        BandDirections(statistics, first, run.dims, TakesAll(statistics, plan), random, &variance, continues);
    BEBR_RETURN_IF_ERROR(Ask(continues));
    variance = std::max(variance, floor);
    const float deviation = run.trellis ? kTrellisDeviation[run.levels]
                            : fitted    ? kFittedDeviation[run.levels]
                                        : kDeviation[run.levels];
    const float confidence = fitted ? 1.0f : kConfidence[run.levels];
    const float scale = deviation / static_cast<float>(std::sqrt(variance));
    for (const float value : directions) model.project.linear.weight.push_back(value * scale);
    weights.push_back(static_cast<float>(variance) / (deviation * deviation) * confidence);
    first += run.dims;
  }
  BEBR_ASSIGN_OR_RETURN(model.spec, CodeSpec::Create(plan.Bands(weights)));
  model.steps.resize(model.step_count());
  for (StepParameters& step : model.steps) step.residual.linear.bias.assign(m, 0.0f);
  return model;
}

absl::StatusOr<Model> RotationModel(uint32_t dims, Metric metric, const CodeSpec& spec, uint32_t query_levels,
                                    uint64_t seed) {
  CorpusStatistics statistics;
  statistics.dims = dims;
  statistics.metric = metric;
  statistics.mean.assign(dims, 0.0f);
  statistics.covariance.assign(size_t{dims} * dims, 0.0);
  for (size_t i = 0; i < dims; ++i) statistics.covariance[i * dims + i] = 1.0;
  statistics.variances.assign(dims, 1.0);
  // Directions that have nothing to do with the embeddings' own axes: a code may have fewer dims than they.
  std::mt19937_64 random(seed);
  statistics.components = RandomRotation(dims, dims, random);
  BEBR_ASSIGN_OR_RETURN(Model model, StartModel(statistics, spec, query_levels, seed));
  model.trained = "random rotation, fitted to nothing";
  return model;
}

absl::StatusOr<Model> MedianModel(const CorpusStatistics& statistics, const Matrix& rows, const CodeSpec& spec,
                                  uint32_t query_levels, uint64_t seed) {
  BEBR_ASSIGN_OR_RETURN(Model model, StartModel(statistics, spec, query_levels, seed));
  const size_t n = statistics.dims, m = spec.dims();
  const std::vector<size_t> sample = SampleRows(rows, 20000);
  std::vector<float> values(sample.size() * m), block(kBlockRows * n), scaled(kBlockRows * n);
  for (size_t start = 0; start < sample.size(); start += kBlockRows) {
    const size_t count = std::min(kBlockRows, sample.size() - start);
    for (size_t i = 0; i < count; ++i) std::copy_n(rows.row(sample[start + i]), n, block.data() + i * n);
    CenterAndScale(model.mean, model.metric, block.data(), count, scaled.data());
    Multiply(false, true, count, m, n, scaled.data(), model.project.linear.weight.data(), values.data() + start * m);
  }
  std::vector<float> column(sample.size());
  for (size_t j = 0; j < m; ++j) {
    for (size_t i = 0; i < sample.size(); ++i) column[i] = values[i * m + j];
    std::nth_element(column.begin(), column.begin() + column.size() / 2, column.end());
    model.project.linear.bias[j] = -column[column.size() / 2];
  }
  for (StepParameters& step : model.steps) step.residual.linear.bias = model.project.linear.bias;
  model.architecture = "median";
  model.trained = "median thresholds over rotated principal components";
  return model;
}

}  // namespace bebr
