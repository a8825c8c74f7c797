#include "bench/baselines/kmeans.h"

#include <algorithm>
#include <random>

#include "index/binarizer/dot.h"
#include "index/fit/linear_algebra.h"

namespace bebr::bench {
namespace {

constexpr size_t kBlockRows = 1024;

// Rows [begin, end); halves[c] = |c|^2 / 2.
void AssignRows(const Matrix& rows, const Matrix& centroids, const std::vector<float>& halves, size_t begin, size_t end,
                uint32_t* nearest) {
  const size_t count = centroids.rows;
  std::vector<float> products(std::min(kBlockRows, end - begin) * count);
  for (size_t first = begin; first < end; first += kBlockRows) {
    const size_t part = std::min(kBlockRows, end - first);
    Multiply(false, true, part, count, rows.dims, rows.row(first), centroids.values.data(), products.data());
    for (size_t r = 0; r < part; ++r) {
      const float* product = products.data() + r * count;
      float best = product[0] - halves[0];
      uint32_t at = 0;
      for (size_t c = 1; c < count; ++c) {
        if (const float score = product[c] - halves[c]; score > best) best = score, at = static_cast<uint32_t>(c);
      }
      nearest[first + r] = at;
    }
  }
}

std::vector<float> HalfSquares(const Matrix& centroids) {
  std::vector<float> halves(centroids.rows);
  for (size_t c = 0; c < centroids.rows; ++c) {
    halves[c] = static_cast<float>(0.5 * Dot(centroids.row(c), centroids.row(c), centroids.dims));
  }
  return halves;
}

}  // namespace

void Assign(const Matrix& rows, const Matrix& centroids, uint32_t* nearest) {
  AssignRows(rows, centroids, HalfSquares(centroids), 0, rows.rows, nearest);
}

std::vector<uint32_t> NearestCentroids(const Matrix& rows, const Matrix& centroids, ThreadPool& pool) {
  const std::vector<float> halves = HalfSquares(centroids);
  std::vector<uint32_t> nearest(rows.rows);
  pool.ParallelFor((rows.rows + kBlockRows - 1) / kBlockRows, [&](size_t block) {
    AssignRows(rows, centroids, halves, block * kBlockRows, std::min(rows.rows, (block + 1) * kBlockRows),
               nearest.data());
  });
  return nearest;
}

void UpdateCentroids(const Matrix& rows, const std::vector<uint32_t>& nearest, uint64_t seed, Matrix& centroids) {
  std::mt19937_64 random(seed);
  std::vector<double> sums(centroids.values.size());
  std::vector<size_t> counts(centroids.rows);
  for (size_t r = 0; r < rows.rows; ++r) {
    ++counts[nearest[r]];
    for (size_t i = 0; i < rows.dims; ++i) sums[nearest[r] * rows.dims + i] += rows.row(r)[i];
  }
  for (size_t c = 0; c < centroids.rows; ++c) {
    if (counts[c] == 0) {
      std::copy_n(rows.row(random() % rows.rows), rows.dims, centroids.row(c));
      continue;
    }
    for (size_t i = 0; i < rows.dims; ++i) {
      centroids.row(c)[i] = static_cast<float>(sums[c * rows.dims + i] / static_cast<double>(counts[c]));
    }
  }
}

Matrix Sample(const Matrix& rows, size_t most) {
  if (rows.rows <= most) return rows;
  Matrix sample{most, rows.dims, {}};
  for (size_t i = 0; i < most; ++i) {
    const float* row = rows.row(i * rows.rows / most);
    sample.values.insert(sample.values.end(), row, row + rows.dims);
  }
  return sample;
}

Matrix Columns(const Matrix& rows, size_t first, size_t count) {
  Matrix columns{rows.rows, count, std::vector<float>(rows.rows * count)};
  for (size_t r = 0; r < rows.rows; ++r) std::copy_n(rows.row(r) + first, count, columns.row(r));
  return columns;
}

Matrix KMeans(const Matrix& rows, size_t count, uint64_t seed, ThreadPool& pool) {
  const Matrix sample = Sample(rows, kKMeansRows);
  std::mt19937_64 random(seed);
  std::vector<uint32_t> order(sample.rows);
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<uint32_t>(i);
  std::shuffle(order.begin(), order.end(), random);
  Matrix centroids{std::min(count, sample.rows), rows.dims, {}};
  for (size_t c = 0; c < centroids.rows; ++c) {
    centroids.values.insert(centroids.values.end(), sample.row(order[c]), sample.row(order[c]) + rows.dims);
  }
  for (int i = 0; i < kKMeansIterations; ++i) {
    UpdateCentroids(sample, NearestCentroids(sample, centroids, pool), seed + static_cast<uint64_t>(i), centroids);
  }
  return centroids;
}

}  // namespace bebr::bench
