#ifndef BEBR_BENCH_LOAD_KERNEL_RATE_H_
#define BEBR_BENCH_LOAD_KERNEL_RATE_H_

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "index/base/aligned_buffer.h"
#include "index/base/thread_pool.h"
#include "index/simd/kernels.h"

namespace bebr::bench {

// The bare batch kernel: 64 queries at a time over random codes, with a threshold, without top-k, encoding or any
// server. Thread safety: none.
class BatchKernel {
 public:
  static constexpr size_t kQueries = 64;

  // `documents` codes of the shape `code` ("256x2"), scanned on `threads` threads.
  static absl::StatusOr<std::unique_ptr<BatchKernel>> Create(std::string_view code, unsigned query_levels,
                                                             size_t documents, size_t threads);
  // Queries a second over about `seconds`: the mean, as that of a server, and not the best moment of a machine whose
  // speed wanders. Appends the milliseconds of each scan, whose spread is the machine's own.
  double Rate(double seconds, std::vector<double>& scans_ms);

 private:
  BatchKernel(const simd::CodeShape& shape, size_t blocks, size_t threads);
  void ScanOnce();

  const simd::CodeShape shape_;
  const size_t blocks_;
  const size_t block_bytes_;
  AlignedBuffer<std::byte> data_;
  AlignedBuffer<std::byte> prepared_;
  std::vector<const void*> pointers_;
  std::vector<float> thresholds_;  // of each query: what the best of a sample reaches
  ThreadPool pool_;                // ParallelFor works on the caller's thread too
};

}  // namespace bebr::bench

#endif  // BEBR_BENCH_LOAD_KERNEL_RATE_H_
