#ifndef BEBR_BENCH_VERSUS_HNSW_PEER_H_
#define BEBR_BENCH_VERSUS_HNSW_PEER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "index/dataset/vector_file.h"

namespace bebr::bench {

// hnswlib (Debian's libhnswlib-dev) over vectors of unit length by inner product: what a user would pick instead.
class HnswPeer {
 public:
  virtual ~HnswPeer() = default;
  // Adds, or replaces, rows first .. first + count - 1 on `threads` threads.
  virtual void Add(size_t first, size_t count, size_t threads, const std::function<const float*(size_t)>& row) = 0;

  struct Answers {
    double seconds = 0;
    std::vector<double> latencies_ms;  // sorted
    std::vector<std::vector<uint32_t>> found;
  };
  // The `k` nearest with search width `ef`; the queries are shared out among `threads` threads.
  virtual Answers Search(const Matrix& queries, size_t k, size_t ef, size_t threads) = 0;
};

struct HnswOptions {
  size_t dims = 0;
  size_t most_rows = 0;
  size_t m = 16;
  size_t ef_construction = 200;
};

// Null if this program was built without hnswlib.
std::unique_ptr<HnswPeer> MakeHnswPeer(const HnswOptions& options);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_VERSUS_HNSW_PEER_H_
