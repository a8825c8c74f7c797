#include "bench/kernels/scan.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "bench/kernels/limits.h"

namespace bebr::bench {
namespace {

// Blocks times queries of a piece, as the server's scan calls the kernel: its blocks stay in the second-level cache.
constexpr size_t kPieceScores = 8192;
constexpr size_t kLeastPieceBlocks = 16;
constexpr size_t kMostPieceBlocks = 128;

struct PreparedQueries {
  AlignedBuffer<uint8_t> buffer;
  std::vector<const void*> pointers;
};

PreparedQueries Prepare(const Cell& cell, const simd::CodeShape& shape) {
  std::mt19937_64 random(3);
  size_t words = 0;
  for (const simd::BandShape& band : cell.bands) words += (band.dims + 31) / 32 * cell.query_levels;
  PreparedQueries queries;
  std::vector<uint32_t> planes(words);
  const std::vector<float> weights(cell.bands.size(), 0.01f);
  const size_t bytes = (cell.table->prepared_bytes(shape) + 63) / 64 * 64;
  queries.buffer = AlignedBuffer<uint8_t>(bytes * cell.queries);
  for (size_t q = 0; q < cell.queries; ++q) {
    for (uint32_t& word : planes) word = static_cast<uint32_t>(random());
    queries.pointers.push_back(queries.buffer.data() + q * bytes);
    cell.table->prepare(shape, planes.data(), weights.data(), 0.0f, queries.buffer.data() + q * bytes);
  }
  return queries;
}

}  // namespace

simd::CodeShape ShapeOf(const Cell& cell) {
  simd::CodeShape shape;
  for (const simd::BandShape& band : cell.bands) {
    shape.bands[shape.band_count++] = band;
    shape.code_words += (band.dims + 31) / 32 * band.levels;
  }
  shape.query_levels = cell.query_levels;
  return shape;
}

size_t BitsOf(const Cell& cell) {
  size_t bits = 0;
  for (const simd::BandShape& band : cell.bands) bits += size_t{band.dims} * band.levels;
  return bits;
}

Documents::Documents(size_t documents, uint32_t code_words)
    : blocks_(documents / simd::kBlockRows * simd::BlockBytes(code_words)), code_words_(code_words) {
  std::mt19937_64 random(2);
  const size_t block_bytes = simd::BlockBytes(code_words);
  for (size_t block = 0; block < documents / simd::kBlockRows; ++block) {
    uint8_t* at = blocks_.data() + block * block_bytes;
    for (size_t i = 0; i < code_words * 4 * simd::kBlockRows; i += 8) {
      const uint64_t word = random();
      std::memcpy(at + i, &word, sizeof(word));
    }
    auto* factors = reinterpret_cast<float*>(at + size_t{code_words} * 4 * simd::kBlockRows);
    for (size_t i = 0; i < 2 * simd::kBlockRows; ++i) factors[i] = i < simd::kBlockRows ? 1.0f : 0.25f;
  }
}

double Documents::Scan(const Cell& cell) const {
  const simd::CodeShape shape = ShapeOf(cell);
  const PreparedQueries queries = Prepare(cell, shape);
  const size_t block_bytes = simd::BlockBytes(code_words_);
  const size_t blocks = cell.documents / simd::kBlockRows;
  const size_t piece = std::clamp(kPieceScores / cell.queries, kLeastPieceBlocks, kMostPieceBlocks);
  const size_t stride = piece * simd::kBlockRows;
  // The threshold: what the best few of a sample reach. Not timed.
  std::vector<float> sample(std::min(blocks, size_t{4096}) * simd::kBlockRows);
  cell.table->score(shape, blocks_.data(), sample.size() / simd::kBlockRows, queries.pointers.data(), 1, sample.data(),
                    sample.size());
  const float threshold = *std::max_element(sample.begin(), sample.end());
  std::vector<size_t> found(cell.threads);
  std::vector<AlignedBuffer<float>> scores;
  std::vector<AlignedBuffer<uint32_t>> positions;
  std::vector<std::vector<simd::QueryHits>> hits(cell.threads);
  for (int t = 0; t < cell.threads; ++t) {
    scores.emplace_back(stride * cell.queries);
    positions.emplace_back(stride * cell.queries);
    for (size_t q = 0; q < cell.queries; ++q)
      hits[t].push_back({threshold, positions[t].data() + q * stride, scores[t].data() + q * stride, 0});
  }
  const auto scan = [&](int t) {
    const size_t end = blocks * (t + 1) / cell.threads;
    for (size_t b = blocks * t / cell.threads; b < end; b += piece) {
      const size_t count = std::min(piece, end - b);
      cell.table->scan(shape, blocks_.data() + b * block_bytes, count, queries.pointers.data(), cell.queries,
                       hits[t].data());
      for (const simd::QueryHits& query : hits[t]) found[t] += query.count;
    }
  };
  // A single query is held against the read bandwidth, which is the best of three passes too: what of the documents is
  // in the third-level cache must be the same for both, whatever ran before.
  const int passes = cell.queries == 1 ? 3 : 1;
  double best = TimeThreads(cell.threads, scan);
  for (int pass = 1; pass < passes; ++pass) best = std::min(best, TimeThreads(cell.threads, scan));
  return best;
}

}  // namespace bebr::bench
