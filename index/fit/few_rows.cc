#include "index/fit/few_rows.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/base/status_macros.h"
#include "index/binarizer/encoder.h"
#include "index/exact/neighbors.h"
#include "index/fit/code_search.h"

namespace bebr {
namespace {

constexpr size_t kParts = 5;
constexpr size_t kLeastRows = 4 * kParts;
constexpr double kDocumentsOfOne = 25.0;
constexpr size_t kManyDims = 1024;  // of which one fit is long enough
constexpr size_t kFewRowsPerDim = 20;

// The first k of each query's found rows that are not itself: query i is row i.
std::vector<uint32_t> WithoutSelf(const std::vector<uint32_t>& found, size_t queries, size_t depth, size_t k) {
  std::vector<uint32_t> others;
  for (size_t q = 0; q < queries; ++q) {
    size_t taken = 0;
    for (size_t i = 0; i < depth && taken < k; ++i) {
      const uint32_t row = found[q * depth + i];
      if (row != q) others.push_back(row), ++taken;
    }
  }
  return others;
}

// Rows first, first + 2, ...
Matrix EveryOther(const Matrix& rows, size_t first) {
  Matrix half{0, rows.dims, {}};
  for (size_t row = first; row < rows.rows; row += 2, ++half.rows)
    half.values.insert(half.values.end(), rows.row(row), rows.row(row) + rows.dims);
  return half;
}

}  // namespace

absl::StatusOr<double> RecallAmongMany(const Matrix& rows, Metric metric,
                                       absl::FunctionRef<absl::StatusOr<Model>(const Matrix& part)> fit,
                                       ThreadPool& pool) {
  if (rows.rows < kLeastRows)
    return absl::InvalidArgumentError(absl::StrCat(rows.rows, " rows cannot be cut in ", kParts));
  double sum = 0.0;
  const size_t parts = rows.dims > kManyDims ? 1 : kParts;
  for (size_t part = 0; part < parts; ++part) {
    Matrix inside{0, rows.dims, {}}, outside{0, rows.dims, {}};
    for (size_t r = 0; r < rows.rows; ++r) {
      Matrix& matrix = r % kParts == part ? inside : outside;
      matrix.values.insert(matrix.values.end(), rows.row(r), rows.row(r) + rows.dims);
      ++matrix.rows;
    }
    BEBR_ASSIGN_OR_RETURN(const Model model, fit(outside));
    BEBR_ASSIGN_OR_RETURN(const std::unique_ptr<const Binarizer> binarizer, MakeBinarizer(model, 0));
    const size_t n = inside.rows;
    const auto k = std::min(n - 1, static_cast<size_t>(std::clamp(
                                       std::round(std::sqrt(static_cast<double>(n) / kDocumentsOfOne)), 1.0, 10.0)));
    const CodeSearch search(*binarizer, inside, pool);
    const std::vector<uint32_t> found = WithoutSelf(search.Search(inside, k + 1), n, k + 1, k);
    const std::vector<uint32_t> exact =
        WithoutSelf(ExactNeighbors(inside, inside, k + 1, metric, pool.size()), n, k + 1, k);
    size_t same = 0;
    for (size_t q = 0; q < n; ++q) {
      for (size_t i = 0; i < k; ++i) {
        const auto first = exact.begin() + static_cast<ptrdiff_t>(q * k);
        same += static_cast<size_t>(std::count(first, first + static_cast<ptrdiff_t>(k), found[q * k + i]));
      }
    }
    sum += static_cast<double>(same) / static_cast<double>(n * k);
  }
  return sum / static_cast<double>(parts);
}

bool AreFew(const Matrix& rows) { return rows.rows < kFewRowsPerDim * rows.dims; }

absl::StatusOr<HeldOutRecall> RecallAmongOthers(const Matrix& rows, const Validator& validator,
                                                absl::FunctionRef<absl::StatusOr<Model>(const Matrix& part)> fit) {
  BEBR_ASSIGN_OR_RETURN(const Model model, fit(EveryOther(rows, 0)));
  return validator.Among(EveryOther(rows, 1)).Measure(model);
}

}  // namespace bebr
