#ifndef BEBR_BENCH_BASELINES_KMEANS_H_
#define BEBR_BENCH_BASELINES_KMEANS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "index/base/thread_pool.h"
#include "index/exact/matrix.h"

namespace bebr::bench {

// Lloyd's k-means from random rows; a centroid without rows takes a random row. Fewer rows than `count` give as many
// centroids. Looks at kKMeansRows rows, evenly spaced.
inline constexpr size_t kKMeansRows = 20000;
inline constexpr int kKMeansIterations = 12;
Matrix KMeans(const Matrix& rows, size_t count, uint64_t seed, ThreadPool& pool);

// The nearest centroid of each row by the Euclidean distance, ties to the first. On the caller's thread.
void Assign(const Matrix& rows, const Matrix& centroids, uint32_t* nearest);
// The same on the pool's threads.
std::vector<uint32_t> NearestCentroids(const Matrix& rows, const Matrix& centroids, ThreadPool& pool);
// One round more: each centroid becomes the mean of its rows.
void UpdateCentroids(const Matrix& rows, const std::vector<uint32_t>& nearest, uint64_t seed, Matrix& centroids);

// Every so many-th row, `most` of them.
Matrix Sample(const Matrix& rows, size_t most);
// Columns [first, first + count) of rows.
Matrix Columns(const Matrix& rows, size_t first, size_t count);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_BASELINES_KMEANS_H_
