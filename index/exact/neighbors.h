// Exact neighbours of rows in memory, and how many of them a search has found.
#ifndef BEBR_INDEX_EXACT_NEIGHBORS_H_
#define BEBR_INDEX_EXACT_NEIGHBORS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "index/exact/matrix.h"
#include "index/types/document.h"

namespace bebr {

// The exact k best rows of `docs` for every row of `queries` by `metric`, best first, ties by row number: queries.rows
// * k row numbers. Computed in blocks, about 1 MiB a thread beside the input, and of l2 512 rows; k is cut to
// docs.rows. Cost: 2 * queries
// * docs * dims operations. `continues` is asked meanwhile, by all threads; null: never. Once it is false it stays so,
// and the numbers are those of some rows.
std::vector<uint32_t> ExactNeighbors(const Matrix& docs, const Matrix& queries, size_t k, Metric metric, size_t threads,
                                     const std::function<bool()>& continues = nullptr);

// Share of `exact` (k_exact row numbers) that is among the first `depth` of `found`.
double Recall(const uint32_t* exact, size_t k_exact, const uint32_t* found, size_t found_count, size_t depth);

}  // namespace bebr

#endif  // BEBR_INDEX_EXACT_NEIGHBORS_H_
