// What this machine can do at best, measured in the run whose results are compared with it.
#ifndef BEBR_BENCH_KERNELS_LIMITS_H_
#define BEBR_BENCH_KERNELS_LIMITS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace bebr::bench {

// Runs `work(thread)` on `threads` threads at once and returns the seconds from the start of all to the end of all.
double TimeThreads(int threads, const std::function<void(int)>& work);

// GB/s of the better of two passes of plain vector loads over `data`, split among the threads: with and without asking
// ahead.
double ReadGbPerS(const uint8_t* data, size_t bytes, int threads);

// GB/s of code bytes times queries of the shortest known instruction sequence that counts different bits, on data in
// registers and the first-level cache, 8 queries for each load, without the work around it (sums of bytes are never
// widened, no scores).
double PopcountGbPerS(int threads);
// Which sequence that is here.
std::string PopcountMethod();

// Products of two bytes a nanosecond of vpdpbusd on data in the first-level cache, each query's four bytes broadcast
// once for two vectors of documents; 0 on a processor without it. What codes of several levels are held against, a
// product for each dimension.
double ByteProductsPerNs(int threads);
// The same of vpmaddubsw and vpaddw with 512 bits, for the table that has no vpdpbusd; 0 on a processor without them.
double PairProductsPerNs(int threads);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_KERNELS_LIMITS_H_
