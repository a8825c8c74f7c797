// A collection of random documents in the scan layout, and scans of it as the engine does them.
#ifndef BEBR_BENCH_KERNELS_SCAN_H_
#define BEBR_BENCH_KERNELS_SCAN_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "index/base/aligned_buffer.h"
#include "index/simd/kernels.h"

namespace bebr::bench {

// One thing to measure.
struct Cell {
  std::string kernel;  // "hamming", "sdc4", ...
  std::vector<simd::BandShape> bands;
  uint32_t query_levels = 1;
  size_t queries = 1;
  int threads = 1;
  const simd::KernelTable* table = nullptr;
  size_t documents = 0;
  double seconds = 1e9;  // the best so far
};

simd::CodeShape ShapeOf(const Cell& cell);
size_t BitsOf(const Cell& cell);

// Blocks of random codes of one width. Any shape of that width without padding bits can be scanned in them.
class Documents {
 public:
  Documents(size_t documents, uint32_t code_words);
  // One scan of the cell's documents: scores, and the positions above a threshold that about 10 of a million documents
  // reach. Returns its seconds.
  double Scan(const Cell& cell) const;

  const uint8_t* data() const { return blocks_.data(); }
  size_t bytes() const { return blocks_.size(); }

 private:
  AlignedBuffer<uint8_t> blocks_;
  uint32_t code_words_;
};

}  // namespace bebr::bench

#endif  // BEBR_BENCH_KERNELS_SCAN_H_
