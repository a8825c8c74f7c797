#include "index/train/linear_algebra.h"

#include <dnnl.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

// Above this the direct solver would take minutes with a plain LAPACK.
constexpr size_t kDirectEigenLimit = 1024;
constexpr int kSubspaceIterations = 24;

absl::StatusOr<Eigen> DirectEigen(const std::vector<double>& a, size_t n, size_t count) {
  try {
    torch::NoGradGuard no_grad;
    const auto size = static_cast<int64_t>(n);
    const torch::Tensor matrix = torch::from_blob(const_cast<double*>(a.data()), {size, size}, torch::kFloat64);
    auto [values, vectors] = torch::linalg_eigh(matrix, "L");
    const torch::Tensor rows = vectors.t().flip({0}).to(torch::kFloat32).contiguous();
    const torch::Tensor sorted = values.flip({0}).contiguous();
    Eigen result;
    result.values.assign(sorted.data_ptr<double>(), sorted.data_ptr<double>() + count);
    result.vectors.assign(rows.data_ptr<float>(), rows.data_ptr<float>() + count * n);
    return result;
  } catch (const std::exception& error) {
    return absl::InternalError(
        absl::StrCat("the eigenvalues of a ", n, " x ", n, " covariance were not found: ", error.what()));
  }
}

// Orthonormalises the rows of `basis` (k x n) through the inverse square root of their Gram matrix.
absl::Status Orthonormalize(std::vector<float>& basis, size_t k, size_t n) {
  std::vector<float> gram(k * k);
  Multiply(false, true, k, k, n, basis.data(), basis.data(), gram.data());
  BEBR_ASSIGN_OR_RETURN(const Eigen eigen, DirectEigen(std::vector<double>(gram.begin(), gram.end()), k, k));
  std::vector<float> scaled(k * k);
  const double floor = std::max(eigen.values[0], 1e-30) * 1e-10;
  for (size_t i = 0; i < k; ++i) {
    const double scale = 1.0 / std::sqrt(std::max(eigen.values[i], floor));
    for (size_t j = 0; j < k; ++j) scaled[i * k + j] = static_cast<float>(scale * eigen.vectors[i * k + j]);
  }
  std::vector<float> result(k * n);
  Multiply(false, false, k, n, k, scaled.data(), basis.data(), result.data());
  basis = std::move(result);
  return absl::OkStatus();
}

absl::StatusOr<Eigen> SubspaceEigen(const std::vector<double>& a, size_t n, size_t count, uint64_t seed) {
  const std::vector<float> matrix(a.begin(), a.end());
  const size_t k = std::min(n, count + 32);
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> basis(k * n), product(k * n);
  for (float& value : basis) value = normal(random);
  BEBR_RETURN_IF_ERROR(Orthonormalize(basis, k, n));
  for (int i = 0; i < kSubspaceIterations; ++i) {
    Multiply(false, false, k, n, n, basis.data(), matrix.data(), product.data());
    std::swap(basis, product);
    BEBR_RETURN_IF_ERROR(Orthonormalize(basis, k, n));
  }
  // A second pass: after the first, rows of very different lengths have lost digits.
  BEBR_RETURN_IF_ERROR(Orthonormalize(basis, k, n));
  std::vector<float> projected(k * k);
  Multiply(false, false, k, n, n, basis.data(), matrix.data(), product.data());
  Multiply(false, true, k, k, n, product.data(), basis.data(), projected.data());
  BEBR_ASSIGN_OR_RETURN(Eigen small, DirectEigen(std::vector<double>(projected.begin(), projected.end()), k, count));
  Eigen result;
  result.values = std::move(small.values);
  result.vectors.resize(count * n);
  Multiply(false, false, count, n, k, small.vectors.data(), basis.data(), result.vectors.data());
  return result;
}

}  // namespace

void Multiply(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, const float* a, const float* b,
              float* c, bool accumulate) {
  if (m == 0 || n == 0) return;
  dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', static_cast<dnnl_dim_t>(m), static_cast<dnnl_dim_t>(n),
             static_cast<dnnl_dim_t>(k), 1.0f, a, static_cast<dnnl_dim_t>(transpose_a ? m : k), b,
             static_cast<dnnl_dim_t>(transpose_b ? k : n), accumulate ? 1.0f : 0.0f, c, static_cast<dnnl_dim_t>(n));
}

absl::StatusOr<Eigen> LargestEigenvectors(const std::vector<double>& a, size_t n, size_t count, uint64_t seed) {
  if (n <= kDirectEigenLimit || count + 32 >= n) return DirectEigen(a, n, count);
  return SubspaceEigen(a, n, count, seed);
}

std::vector<float> RandomRotation(size_t rows, size_t columns, std::mt19937_64& random) {
  std::vector<double> matrix(rows * columns, 0.0);
  for (size_t i = 0; i < columns; ++i) matrix[i * columns + i] = 1.0;
  std::vector<size_t> order(rows);
  std::iota(order.begin(), order.end(), size_t{0});
  std::uniform_real_distribution<double> angle(0.0, 2.0 * std::numbers::pi);
  const int rounds = 2 * (static_cast<int>(std::ceil(std::log2(static_cast<double>(std::max<size_t>(rows, 2))))) + 2);
  for (int round = 0; round < rounds; ++round) {
    // Written out rather than std::shuffle, whose result may differ between standard libraries.
    for (size_t i = rows; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
    for (size_t pair = 0; pair + 1 < rows; pair += 2) {
      double* a = matrix.data() + order[pair] * columns;
      double* b = matrix.data() + order[pair + 1] * columns;
      const double theta = angle(random), c = std::cos(theta), s = std::sin(theta);
      for (size_t j = 0; j < columns; ++j) {
        const double x = a[j], y = b[j];
        a[j] = c * x - s * y;
        b[j] = s * x + c * y;
      }
    }
  }
  return std::vector<float>(matrix.begin(), matrix.end());
}

void EqualizeVariances(const std::vector<double>& covariance, size_t n, size_t m, std::vector<float>& rotation) {
  const std::vector<float> narrow(covariance.begin(), covariance.end());
  std::vector<float> product(m * n), rotated_float(m * m);
  Multiply(false, false, m, n, n, rotation.data(), narrow.data(), product.data());
  Multiply(false, true, m, m, n, product.data(), rotation.data(), rotated_float.data());
  std::vector<double> c(rotated_float.begin(), rotated_float.end());
  const auto at = [&c, m](size_t i, size_t j) -> double& { return c[i * m + j]; };
  double mean = 0.0;
  for (size_t i = 0; i < m; ++i) mean += at(i, i) / static_cast<double>(m);
  // Each plane rotation of the smallest with the largest brings one of them to the mean exactly: at most m - 1 are
  // needed.
  std::vector<bool> done(m, false);
  for (size_t round = 0; round + 1 < m; ++round) {
    size_t low = m, high = m;
    for (size_t i = 0; i < m; ++i) {
      if (done[i]) continue;
      if (low == m || at(i, i) < at(low, low)) low = i;
      if (high == m || at(i, i) > at(high, high)) high = i;
    }
    if (low == m || low == high || at(high, high) - at(low, low) < 1e-6 * mean) break;
    // Solve c^2 l + s^2 h - 2 s c x = mean for t = s / c.
    const double l = at(low, low) - mean, h = at(high, high) - mean, x = at(low, high);
    const double root = std::sqrt(std::max(0.0, x * x - l * h));
    const double t = std::abs(h) > 0.0 ? (x + (x >= 0.0 ? root : -root)) / h : 0.0;
    const double cosine = 1.0 / std::sqrt(1.0 + t * t), sine = t * cosine;
    for (size_t j = 0; j < m; ++j) {
      const double a = at(low, j), b = at(high, j);
      at(low, j) = cosine * a - sine * b;
      at(high, j) = sine * a + cosine * b;
    }
    for (size_t j = 0; j < m; ++j) {
      const double a = at(j, low), b = at(j, high);
      at(j, low) = cosine * a - sine * b;
      at(j, high) = sine * a + cosine * b;
    }
    for (size_t j = 0; j < n; ++j) {
      const double a = rotation[low * n + j], b = rotation[high * n + j];
      rotation[low * n + j] = static_cast<float>(cosine * a - sine * b);
      rotation[high * n + j] = static_cast<float>(sine * a + cosine * b);
    }
    done[low] = true;
  }
}

}  // namespace bebr
