#ifndef BEBR_BENCH_RECALL_OTHERS_H_
#define BEBR_BENCH_RECALL_OTHERS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/baselines/estimates.h"
#include "index/fit/start_model.h"

namespace bebr::bench {

// One method of bench/baselines at one size.
struct Other {
  std::string method;
  std::string shape;
  double bits = 0;       // of a document's code
  int levels = 0;        // bits of a dimension or of a part
  int query_levels = 0;  // 32: floats
  std::function<Estimates()> make;
};

// The methods in some sizes, or `all` that they have. `problem` and `statistics`, with all principal components, must
// outlive them.
std::vector<Other> Others(const Problem& problem, const CorpusStatistics& statistics, uint64_t seed, bool all);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_RECALL_OTHERS_H_
