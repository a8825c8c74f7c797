#include "index/train/code_search.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace bebr {
namespace {

constexpr size_t kQueryBatch = 16;
constexpr size_t kChunkBlocks = 256;

// The best `depth` of a stream of scored rows, by score and then by row.
class Best {
 public:
  explicit Best(size_t depth) : depth_(depth) {}
  float threshold() const { return threshold_; }
  void Add(float score, uint32_t row) { candidates_.push_back({score, row}); }
  void Shrink() {
    if (candidates_.size() <= depth_) return;
    std::nth_element(candidates_.begin(), candidates_.begin() + depth_ - 1, candidates_.end(), Better);
    candidates_.resize(depth_);
    threshold_ = candidates_.back().first;
  }
  void Finish(uint32_t* out) {
    Shrink();
    std::sort(candidates_.begin(), candidates_.end(), Better);
    for (size_t i = 0; i < candidates_.size(); ++i) out[i] = candidates_[i].second;
  }

 private:
  using Candidate = std::pair<float, uint32_t>;
  static bool Better(const Candidate& a, const Candidate& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  }
  size_t depth_;
  float threshold_ = -std::numeric_limits<float>::infinity();
  std::vector<Candidate> candidates_;
};

}  // namespace

simd::CodeShape ShapeOf(const CodeSpec& spec, uint32_t query_levels) {
  simd::CodeShape shape;
  shape.band_count = static_cast<uint32_t>(spec.bands().size());
  for (uint32_t b = 0; b < shape.band_count; ++b) shape.bands[b] = {spec.bands()[b].dims, spec.bands()[b].levels};
  shape.query_levels = query_levels;
  shape.code_words = spec.code_words();
  return shape;
}

CodeSearch::CodeSearch(const Binarizer& binarizer, const Matrix& documents, ThreadPool& pool)
    : binarizer_(binarizer),
      pool_(pool),
      shape_(ShapeOf(binarizer.spec(), binarizer.query_levels())),
      rows_(documents.rows),
      blocks_((documents.rows + simd::kBlockRows - 1) / simd::kBlockRows),
      data_(blocks_ * simd::BlockBytes(shape_.code_words) / sizeof(uint32_t)) {
  constexpr size_t kRowsPerTask = 64 * simd::kBlockRows;
  const size_t words = shape_.code_words;
  pool_.ParallelFor((rows_ + kRowsPerTask - 1) / kRowsPerTask, [&](size_t task) {
    const size_t first = task * kRowsPerTask, count = std::min(kRowsPerTask, rows_ - first);
    std::vector<uint32_t> codes(count * words);
    std::vector<CodeFactors> factors(count);
    binarizer_.EncodeDocuments(documents.row(first), count, codes.data(), factors.data());
    for (size_t i = 0; i < count; ++i) Store(first + i, codes.data() + i * words, factors[i]);
  });
}

void CodeSearch::Store(size_t row, const uint32_t* code, const CodeFactors& factors) {
  const size_t words = shape_.code_words, lane = row % simd::kBlockRows;
  uint32_t* block = data_.data() + row / simd::kBlockRows * (words + 2) * simd::kBlockRows;
  for (size_t w = 0; w < words; ++w) block[w * simd::kBlockRows + lane] = code[w];
  std::memcpy(block + words * simd::kBlockRows + lane, &factors.scale, sizeof(float));
  std::memcpy(block + (words + 1) * simd::kBlockRows + lane, &factors.offset, sizeof(float));
}

void CodeSearch::Recode(const Binarizer& binarizer, const Matrix& documents, size_t every) {
  std::vector<uint32_t> code(shape_.code_words);
  CodeFactors factors;
  for (size_t row = 0; row < rows_; row += every) {
    binarizer.EncodeDocuments(documents.row(row), 1, code.data(), &factors);
    Store(row, code.data(), factors);
  }
}

std::vector<uint32_t> CodeSearch::Search(const Matrix& queries, size_t depth) const {
  return Search(binarizer_, queries, depth);
}

std::vector<uint32_t> CodeSearch::Search(const Binarizer& query_binarizer, const Matrix& queries, size_t depth) const {
  depth = std::min(depth, rows_);
  std::vector<uint32_t> found(queries.rows * depth);
  pool_.ParallelFor((queries.rows + kQueryBatch - 1) / kQueryBatch, [&](size_t task) {
    const size_t first = task * kQueryBatch;
    SearchRange(query_binarizer, queries, first, std::min(kQueryBatch, queries.rows - first), depth,
                found.data() + first * depth);
  });
  return found;
}

void CodeSearch::SearchRange(const Binarizer& binarizer, const Matrix& queries, size_t first, size_t count,
                             size_t depth, uint32_t* out) const {
  const simd::KernelTable& kernels = simd::Kernels();
  const CodeSpec& spec = binarizer.spec();
  simd::CodeShape shape = shape_;
  shape.query_levels = binarizer.query_levels();
  const size_t plane_words = spec.QueryWords(shape.query_levels), bands = spec.bands().size();
  std::vector<uint32_t> planes(count * plane_words);
  std::vector<float> weights(count * bands), offsets(count);
  binarizer.EncodeQueries(queries.row(first), count, planes.data(), weights.data(), offsets.data());
  const size_t prepared_bytes = (kernels.prepared_bytes(shape) + 63) / 64 * 64;
  AlignedBuffer<std::byte> prepared(count * prepared_bytes);
  std::vector<const void*> pointers;
  std::vector<Best> best(count, Best(depth));
  for (size_t q = 0; q < count; ++q) {
    std::byte* place = prepared.data() + q * prepared_bytes;
    kernels.prepare(shape, planes.data() + q * plane_words, weights.data() + q * bands, offsets[q], place);
    pointers.push_back(place);
  }
  constexpr size_t kStride = kChunkBlocks * simd::kBlockRows;
  AlignedBuffer<float> scores(count * kStride);
  AlignedBuffer<uint32_t> positions(count * kStride);
  std::vector<simd::QueryHits> hits(count);
  const size_t block_words = (shape.code_words + 2) * simd::kBlockRows;
  for (size_t block = 0; block < blocks_; block += kChunkBlocks) {
    const size_t chunk = std::min(kChunkBlocks, blocks_ - block), row = block * simd::kBlockRows;
    for (size_t q = 0; q < count; ++q)
      hits[q] = {best[q].threshold(), positions.data() + q * kStride, scores.data() + q * kStride, 0};
    kernels.scan(shape, data_.data() + block * block_words, chunk, pointers.data(), count, hits.data());
    for (size_t q = 0; q < count; ++q) {
      for (size_t i = 0; i < hits[q].count; ++i) {
        const size_t found = row + hits[q].positions[i];
        if (found < rows_) best[q].Add(hits[q].scores[i], static_cast<uint32_t>(found));
      }
      best[q].Shrink();
    }
  }
  for (size_t q = 0; q < count; ++q) best[q].Finish(out + q * depth);
}

}  // namespace bebr
