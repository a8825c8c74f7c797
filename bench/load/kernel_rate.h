#ifndef BEBR_BENCH_LOAD_KERNEL_RATE_H_
#define BEBR_BENCH_LOAD_KERNEL_RATE_H_

#include <cstddef>
#include <string_view>

#include "absl/status/statusor.h"

namespace bebr::bench {

// Queries a second of the bare batch kernel: 64 queries at a time over `documents` codes of the shape `code` ("256x2"),
// on `threads` threads, without top-k, encoding or any server. The best of a few passes.
absl::StatusOr<double> MeasureBatchKernel(std::string_view code, unsigned query_levels, size_t documents,
                                          size_t threads);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_LOAD_KERNEL_RATE_H_
