#include "bench/load/kernel_rate.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/support/machine.h"
#include "index/base/aligned_buffer.h"
#include "index/base/thread_pool.h"
#include "index/code/code_spec.h"
#include "index/simd/choice.h"
#include "index/simd/kernels.h"

namespace bebr::bench {
namespace {

constexpr size_t kTileBlocks = 128;  // which stay in the second-level cache
constexpr size_t kSampleBlocks = 4096;

absl::StatusOr<simd::CodeShape> ParseShape(std::string_view code, unsigned query_levels) {
  const absl::StatusOr<CodeSpec> spec = ParseCodeSpec(code);
  if (!spec.ok()) return spec.status();
  simd::CodeShape shape;
  shape.query_levels = query_levels;
  shape.code_words = spec->code_words();
  for (const Band& band : spec->bands())
    shape.bands[shape.band_count++] = {.dims = band.dims, .levels = band.levels, .trellis = band.trellis};
  return shape;
}

// Words of a code with the padding of each level zero, as the layout demands.
std::vector<uint32_t> RandomCode(const simd::CodeShape& shape, bool query, std::mt19937& random) {
  std::vector<uint32_t> words;
  for (uint32_t b = 0; b < shape.band_count; ++b) {
    const uint32_t levels = query ? shape.query_levels : shape.bands[b].levels;
    for (uint32_t level = 0; level < levels; ++level) {
      for (uint32_t left = shape.bands[b].dims; left > 0; left -= std::min(left, 32u)) {
        words.push_back(left >= 32 ? random() : random() & ((1u << left) - 1));
      }
    }
  }
  return words;
}

}  // namespace

absl::StatusOr<std::unique_ptr<BatchKernel>> BatchKernel::Create(std::string_view code, unsigned query_levels,
                                                                 size_t documents, size_t threads) {
  const auto shape = ParseShape(code, query_levels);
  if (!shape.ok()) return shape.status();
  const size_t blocks = (documents + simd::kBlockRows - 1) / simd::kBlockRows;
  return std::unique_ptr<BatchKernel>(new BatchKernel(*shape, blocks, threads));
}

BatchKernel::BatchKernel(const simd::CodeShape& shape, size_t blocks, size_t threads)
    : shape_(shape),
      blocks_(blocks),
      block_bytes_(simd::BlockBytes(shape.code_words)),
      data_(blocks * block_bytes_),
      pool_(threads - 1) {
  std::mt19937 random(1);
  for (size_t block = 0; block < blocks; ++block) {
    for (uint32_t lane = 0; lane < simd::kBlockRows; ++lane) {
      simd::StoreLane(shape, lane, RandomCode(shape, false, random).data(), 1.0f, 0.0f,
                      data_.data() + block * block_bytes_);
    }
  }
  const simd::KernelTable& kernels = simd::KernelsFor(shape, kQueries);
  const std::vector<float> weights(shape.band_count, 1.0f);
  const size_t bytes = (kernels.prepared_bytes(shape) + 63) / 64 * 64;
  prepared_ = AlignedBuffer<std::byte>(bytes * kQueries);
  for (size_t q = 0; q < kQueries; ++q) {
    pointers_.push_back(prepared_.data() + q * bytes);
    kernels.prepare(shape, RandomCode(shape, true, random).data(), weights.data(), 0.0f, prepared_.data() + q * bytes);
  }
  std::vector<float> sample(std::min(blocks, kSampleBlocks) * simd::kBlockRows);
  for (size_t q = 0; q < kQueries; ++q) {
    kernels.score(shape, data_.data(), sample.size() / simd::kBlockRows, &pointers_[q], 1, sample.data(), 0);
    thresholds_.push_back(*std::max_element(sample.begin(), sample.end()));
  }
}

void BatchKernel::ScanOnce() {
  const size_t threads = pool_.size() + 1;
  pool_.ParallelFor(threads, [&](size_t thread) {
    constexpr size_t kStride = kTileBlocks * simd::kBlockRows;
    const auto scores = std::make_unique_for_overwrite<float[]>(kQueries * kStride);
    const auto positions = std::make_unique_for_overwrite<uint32_t[]>(kQueries * kStride);
    std::vector<simd::QueryHits> hits;
    for (size_t q = 0; q < kQueries; ++q)
      hits.push_back({thresholds_[q], positions.get() + q * kStride, scores.get() + q * kStride, 0});
    const size_t end = blocks_ * (thread + 1) / threads;
    for (size_t block = blocks_ * thread / threads; block < end; block += kTileBlocks) {
      simd::KernelsFor(shape_, kQueries)
          .scan(shape_, data_.data() + block * block_bytes_, std::min(kTileBlocks, end - block), pointers_.data(),
                kQueries, hits.data());
    }
  });
}

double BatchKernel::Rate(double seconds, std::vector<double>& scans_ms) {
  ScanOnce();
  size_t queries = 0;
  const double start = NowSeconds();
  double passed = 0;
  while (passed < seconds) {
    ScanOnce();
    queries += kQueries;
    const double before = passed;
    passed = NowSeconds() - start;
    scans_ms.push_back((passed - before) * 1e3);
  }
  return static_cast<double>(queries) / passed;
}

}  // namespace bebr::bench
