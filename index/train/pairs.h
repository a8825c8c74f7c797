// Queries whose documents are known.
#ifndef BEBR_INDEX_TRAIN_PAIRS_H_
#define BEBR_INDEX_TRAIN_PAIRS_H_

#include <cstdint>
#include <vector>

#include "index/dataset/vector_file.h"

namespace bebr {

// Queries that are known to belong to documents: query row i to document row `rows[i]`.
struct QueryPairs {
  Matrix queries;
  std::vector<uint32_t> rows;
};

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_PAIRS_H_
