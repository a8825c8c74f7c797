#include "index/fit/linear_algebra.h"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <memory>
#include <numbers>
#include <numeric>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "index/base/aligned_buffer.h"
#include "index/base/background.h"
#include "index/base/status_macros.h"
#include "index/simd/kernels.h"

namespace bebr {
namespace {

// Above this the direct solver takes longer than the other, if only some vectors are wanted: it takes 5 s for 1,536.
constexpr size_t kDirectEigenLimit = 2048;
constexpr int kSubspaceIterations = 24;
constexpr size_t kRowsPerTask = 64;

using RowMajor = ::Eigen::Matrix<double, ::Eigen::Dynamic, ::Eigen::Dynamic, ::Eigen::RowMajor>;

absl::StatusOr<EigenPairs> DirectEigen(const std::vector<double>& a, size_t n, size_t count) {
  const auto size = static_cast<::Eigen::Index>(n);
  const ::Eigen::SelfAdjointEigenSolver<::Eigen::MatrixXd> solver(
      ::Eigen::Map<const RowMajor>(a.data(), size, size).eval());
  if (solver.info() != ::Eigen::Success) {
    return absl::InternalError(absl::StrCat("the eigenvalues of a ", n, " x ", n, " covariance were not found"));
  }
  EigenPairs result;
  for (size_t i = 0; i < count; ++i) {
    const ::Eigen::Index column = size - 1 - static_cast<::Eigen::Index>(i);  // the solver's rise
    result.values.push_back(solver.eigenvalues()[column]);
    for (::Eigen::Index j = 0; j < size; ++j) {
      result.vectors.push_back(static_cast<float>(solver.eigenvectors()(j, column)));
    }
  }
  return result;
}

// DirectEigen, which takes a second for 1,024 and minutes for 4,096 and asks nobody meanwhile: on a thread that is left
// to itself when it is not wanted any more. It has copies of all that it uses.
absl::StatusOr<EigenPairs> DirectEigen(const std::vector<double>& a, size_t n, size_t count,
                                       const Continues& continues) {
  constexpr size_t kSoonDone = 256;
  if (continues == nullptr || n <= kSoonDone) return DirectEigen(a, n, count);
  auto outcome = std::make_shared<std::promise<absl::StatusOr<EigenPairs>>>();
  std::future<absl::StatusOr<EigenPairs>> solved = outcome->get_future();
  std::thread([outcome, a, n, count] { outcome->set_value(DirectEigen(a, n, count)); }).detach();
  while (solved.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
    BEBR_RETURN_IF_ERROR(continues());
  }
  return solved.get();
}

// Orthonormalises the rows of `basis` (k x n) by the Cholesky factor of their Gram matrix, with a little on its
// diagonal so that rows which have become alike do no harm.
absl::Status Orthonormalize(std::vector<float>& basis, size_t k, size_t n, const Continues& continues) {
  std::vector<float> gram(k * k);
  Multiply(false, true, k, k, n, basis.data(), basis.data(), gram.data(), 1, continues);
  BEBR_RETURN_IF_ERROR(Ask(continues));
  const auto size = static_cast<::Eigen::Index>(k);
  RowMajor matrix = ::Eigen::Map<::Eigen::Matrix<float, ::Eigen::Dynamic, ::Eigen::Dynamic, ::Eigen::RowMajor>>(
                        gram.data(), size, size)
                        .cast<double>();
  matrix.diagonal().array() += std::max(matrix.diagonal().maxCoeff(), 1e-30) * 1e-7;
  const ::Eigen::LLT<RowMajor> factor(matrix);
  if (factor.info() != ::Eigen::Success) return absl::InternalError("a basis could not be made orthonormal");
  BEBR_RETURN_IF_ERROR(Ask(continues));
  const RowMajor inverse = factor.matrixL().solve(RowMajor::Identity(size, size));
  std::vector<float> scaled(inverse.data(), inverse.data() + k * k);
  std::vector<float> result(k * n);
  Multiply(false, false, k, n, k, scaled.data(), basis.data(), result.data(), 1, continues);
  basis = std::move(result);
  return Ask(continues);
}

absl::StatusOr<EigenPairs> SubspaceEigen(const std::vector<double>& a, size_t n, size_t count, uint64_t seed,
                                         const Continues& continues) {
  const std::vector<float> matrix(a.begin(), a.end());
  const size_t k = std::min(n, count + 32);
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> basis(k * n), product(k * n);
  for (float& value : basis) value = normal(random);
  BEBR_RETURN_IF_ERROR(Orthonormalize(basis, k, n, continues));
  for (int i = 0; i < kSubspaceIterations; ++i) {
    Multiply(false, false, k, n, n, basis.data(), matrix.data(), product.data(), 1, continues);
    std::swap(basis, product);
    BEBR_RETURN_IF_ERROR(Orthonormalize(basis, k, n, continues));
  }
  // A second pass: after the first, rows of very different lengths have lost digits.
  BEBR_RETURN_IF_ERROR(Orthonormalize(basis, k, n, continues));
  std::vector<float> projected(k * k);
  Multiply(false, false, k, n, n, basis.data(), matrix.data(), product.data(), 1, continues);
  Multiply(false, true, k, k, n, product.data(), basis.data(), projected.data(), 1, continues);
  BEBR_RETURN_IF_ERROR(Ask(continues));
  BEBR_ASSIGN_OR_RETURN(EigenPairs small,
                        DirectEigen(std::vector<double>(projected.begin(), projected.end()), k, count, continues));
  EigenPairs result;
  result.values = std::move(small.values);
  result.vectors.resize(count * n);
  Multiply(false, false, count, n, k, small.vectors.data(), basis.data(), result.vectors.data(), 1, continues);
  BEBR_RETURN_IF_ERROR(Ask(continues));
  return result;
}

// b^T of the `rows` x `columns` matrix b.
std::vector<float> Transposed(const float* b, size_t rows, size_t columns) {
  constexpr size_t kTile = 32;
  std::vector<float> result(rows * columns);
  for (size_t i0 = 0; i0 < rows; i0 += kTile) {
    for (size_t j0 = 0; j0 < columns; j0 += kTile) {
      for (size_t i = i0; i < std::min(rows, i0 + kTile); ++i) {
        for (size_t j = j0; j < std::min(columns, j0 + kTile); ++j) result[j * rows + i] = b[i * columns + j];
      }
    }
  }
  return result;
}

// Turns two values by an angle.
template <typename T>
void Turn(T& low, T& high, double cosine, double sine) {
  const double a = low, b = high;
  low = static_cast<T>(cosine * a - sine * b);
  high = static_cast<T>(sine * a + cosine * b);
}

}  // namespace

void Multiply(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, const float* a, const float* b,
              float* c, size_t threads, const Continues& continues) {
  if (m == 0 || n == 0) return;
  const simd::KernelTable& kernels = simd::Kernels();
  std::vector<float> turned_a, turned_b;
  if (transpose_a) turned_a = Transposed(a, k, m), a = turned_a.data();
  if (!transpose_b) turned_b = Transposed(b, k, n), b = turned_b.data();
  AlignedBuffer<float> packed(kernels.packed_floats(n, k));
  kernels.pack(b, n, k, packed.data());
  const auto some_rows = [&](size_t task) {
    const size_t first = task * kRowsPerTask, count = std::min(kRowsPerTask, m - first);
    kernels.gemm(a + first * k, count, k, packed.data(), n, k, nullptr, c + first * n, n);
  };
  const size_t tasks = (m + kRowsPerTask - 1) / kRowsPerTask;
  if (threads > 1) {
    return RunInBackground(threads, tasks, [&](size_t task) {
      if (Ask(continues).ok()) some_rows(task);
    });
  }
  for (size_t task = 0; task < tasks && Ask(continues).ok(); ++task) some_rows(task);
}

absl::StatusOr<EigenPairs> LargestEigenvectors(const std::vector<double>& a, size_t n, size_t count, uint64_t seed,
                                               const Continues& continues) {
  if (n <= kDirectEigenLimit || count + 32 >= n) return DirectEigen(a, n, count, continues);
  return SubspaceEigen(a, n, count, seed, continues);
}

std::vector<float> RandomRotation(size_t rows, size_t columns, std::mt19937_64& random, const Continues& continues) {
  std::vector<double> matrix(rows * columns, 0.0);
  for (size_t i = 0; i < columns; ++i) matrix[i * columns + i] = 1.0;
  std::vector<size_t> order(rows);
  std::iota(order.begin(), order.end(), size_t{0});
  std::uniform_real_distribution<double> angle(0.0, 2.0 * std::numbers::pi);
  const int rounds = 2 * (static_cast<int>(std::ceil(std::log2(static_cast<double>(std::max<size_t>(rows, 2))))) + 2);
  for (int round = 0; round < rounds && Ask(continues).ok(); ++round) {
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

void EqualizeVariances(const std::vector<double>& covariance, size_t n, size_t m, std::vector<float>& rotation,
                       const Continues& continues) {
  const std::vector<float> narrow(covariance.begin(), covariance.end());
  std::vector<float> product(m * n), rotated_float(m * m);
  Multiply(false, false, m, n, n, rotation.data(), narrow.data(), product.data(), 1, continues);
  Multiply(false, true, m, m, n, product.data(), rotation.data(), rotated_float.data(), 1, continues);
  std::vector<double> c(rotated_float.begin(), rotated_float.end());
  const auto at = [&c, m](size_t i, size_t j) -> double& { return c[i * m + j]; };
  double mean = 0.0;
  for (size_t i = 0; i < m; ++i) mean += at(i, i) / static_cast<double>(m);
  // Each plane rotation of the smallest with the largest brings one of them to the mean exactly: at most m - 1 are
  // needed.
  std::vector<bool> done(m, false);
  for (size_t round = 0; round + 1 < m; ++round) {
    if (round % kRowsPerTask == 0 && !Ask(continues).ok()) return;
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
    for (size_t j = 0; j < m; ++j) Turn(at(low, j), at(high, j), cosine, sine);
    for (size_t j = 0; j < m; ++j) Turn(at(j, low), at(j, high), cosine, sine);
    for (size_t j = 0; j < n; ++j) Turn(rotation[low * n + j], rotation[high * n + j], cosine, sine);
    done[low] = true;
  }
}

}  // namespace bebr
