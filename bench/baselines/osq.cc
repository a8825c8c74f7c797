#include "bench/baselines/osq.h"

#include <algorithm>
#include <cmath>

#include "index/binarizer/dot.h"

namespace bebr::bench {
namespace {

constexpr double kLambda = 0.1;
constexpr int kRounds = 5;
// Half the width of the best uniform quantizer of 2^bits values of a standard normal variable, between the outer ones.
constexpr double kGaussianHalfWidth[] = {0, 0.798, 1.493, 2.051, 2.514, 2.916, 3.278, 3.611, 3.922};

struct Interval {
  double low, high;
};

// One vector, and what is asked of an interval for it.
class IntervalSearch {
 public:
  IntervalSearch(const float* x, size_t dims, int bits)
      : x_(x), dims_(dims), steps_((1 << bits) - 1), squared_(Dot(x, x, dims)) {}

  Interval Start(int bits) const {
    double sum = 0.0, low = x_[0], high = x_[0];
    for (size_t i = 0; i < dims_; ++i) {
      sum += x_[i];
      low = std::min<double>(low, x_[i]);
      high = std::max<double>(high, x_[i]);
    }
    const double mean = sum / static_cast<double>(dims_);
    const double deviation = std::sqrt(std::max(0.0, squared_ / static_cast<double>(dims_) - mean * mean));
    const double half = kGaussianHalfWidth[bits] * deviation;
    return {std::clamp(mean - half, low, high), std::clamp(mean + half, low, high)};
  }

  // The value's number among the 2^bits of the interval.
  double Step(float value, const Interval& interval) const {
    if (interval.high <= interval.low) return 0.0;
    const double clamped = std::clamp<double>(value, interval.low, interval.high);
    return std::round((clamped - interval.low) / (interval.high - interval.low) * steps_);
  }
  double Value(double step, const Interval& interval) const {
    return interval.low + step / steps_ * (interval.high - interval.low);
  }

  double Loss(const Interval& interval) const {
    double along = 0.0, error = 0.0;
    for (size_t i = 0; i < dims_; ++i) {
      const double wrong = x_[i] - Value(Step(x_[i], interval), interval);
      along += x_[i] * wrong;
      error += wrong * wrong;
    }
    return (1 - kLambda) * along * along / squared_ + kLambda * error;
  }

  // The best interval for the steps that `interval` gives; false if there is none.
  bool Solve(const Interval& interval, Interval& solved) const {
    double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
    for (size_t i = 0; i < dims_; ++i) {
      const double s = Step(x_[i], interval) / steps_;
      aa += (1 - s) * (1 - s);
      ab += (1 - s) * s;
      bb += s * s;
      ax += x_[i] * (1 - s);
      bx += x_[i] * s;
    }
    const double scale = (1 - kLambda) / squared_;
    const double m0 = scale * ax * ax + kLambda * aa, m1 = scale * ax * bx + kLambda * ab;
    const double m2 = scale * bx * bx + kLambda * bb, determinant = m0 * m2 - m1 * m1;
    if (determinant == 0.0) return false;
    solved = {(m2 * ax - m1 * bx) / determinant, (m0 * bx - m1 * ax) / determinant};
    return true;
  }

  bool zero() const { return squared_ <= 0.0; }

 private:
  const float* x_;
  size_t dims_;
  int steps_;
  double squared_;
};

}  // namespace

void QuantizeOsq(int bits, float* x, size_t dims) {
  const IntervalSearch search(x, dims, bits);
  if (search.zero()) return;
  Interval interval = search.Start(bits), solved{};
  double loss = search.Loss(interval);
  for (int round = 0; round < kRounds && search.Solve(interval, solved); ++round) {
    const double next = search.Loss(solved);
    if (next > loss) break;
    interval = solved;
    loss = next;
  }
  for (size_t i = 0; i < dims; ++i) x[i] = static_cast<float>(search.Value(search.Step(x[i], interval), interval));
}

Estimates MakeOsq(const Problem& problem, int bits) {
  Estimates estimates;
  estimates.rows = problem.Centred(problem.documents);
  estimates.queries = problem.Centred(problem.queries);
  estimates.offsets = problem.CentredOffsets();
  const int query_bits = bits <= 4 ? 4 : bits;
  ForRows(estimates.rows.rows, *problem.pool,
          [&](size_t r) { QuantizeOsq(bits, estimates.rows.row(r), problem.dims()); });
  ForRows(estimates.queries.rows, *problem.pool,
          [&](size_t q) { QuantizeOsq(query_bits, estimates.queries.row(q), problem.dims()); });
  estimates.code_bytes = static_cast<double>(problem.dims() * static_cast<size_t>(bits)) / 8.0;
  estimates.factor_bytes = 16.0;
  estimates.model_bytes = static_cast<double>(problem.dims() * sizeof(float));
  return estimates;
}

}  // namespace bebr::bench
