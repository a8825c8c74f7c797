// The little linear algebra that fitting and training need, on row-major float matrices.
#ifndef BEBR_INDEX_FIT_LINEAR_ALGEBRA_H_
#define BEBR_INDEX_FIT_LINEAR_ALGEBRA_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bebr {

// Asked while something takes long, some ten milliseconds apart, by each thread that works on it: it ends soon after
// this is not OK, which it stays then. Null: it always goes on. What returns no status has made nothing of use then:
// its caller asks once more (Ask) before it uses that.
using Continues = std::function<absl::Status()>;
inline absl::Status Ask(const Continues& continues) { return continues == nullptr ? absl::OkStatus() : continues(); }

// c (m x n) = a * b. With `transpose_a` a is stored k x m, with `transpose_b` b is stored n x k. Runs the kernel
// table's gemm on the caller's thread, or on `threads` that yield to others; the result is the same for any number of
// them.
void Multiply(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, const float* a, const float* b,
              float* c, size_t threads = 1, const Continues& continues = nullptr);

// Eigenvectors of a symmetric matrix, by falling eigenvalue.
struct EigenPairs {
  std::vector<double> values;  // count
  std::vector<float> vectors;  // count x n, one vector a row
};

// The `count` largest eigenvalues of the symmetric n x n matrix `a` with their vectors. Small matrices are solved
// directly, large ones by subspace iteration, whose vectors span the leading subspace closely but not to the
// last bit. INTERNAL if the solver does not converge.
absl::StatusOr<EigenPairs> LargestEigenvectors(const std::vector<double>& a, size_t n, size_t count, uint64_t seed,
                                               const Continues& continues = nullptr);

// A random orthogonal matrix, rows x columns with rows >= columns and orthonormal columns: rounds of plane rotations by
// random angles over random pairs, which mix every coordinate with every other in O(rows^2 log rows) operations.
std::vector<float> RandomRotation(size_t rows, size_t columns, std::mt19937_64& random,
                                  const Continues& continues = nullptr);

// Turns the rows of `rotation` (m x n) by plane rotations until every row r has the same r^T covariance r, so that all
// coordinates of a code carry the same variance. `covariance` is n x n. Orthonormality is kept. O(m^2 n + m n^2).
void EqualizeVariances(const std::vector<double>& covariance, size_t n, size_t m, std::vector<float>& rotation,
                       const Continues& continues = nullptr);

}  // namespace bebr

#endif  // BEBR_INDEX_FIT_LINEAR_ALGEBRA_H_
