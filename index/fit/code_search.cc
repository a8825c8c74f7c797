#include "index/fit/code_search.h"

#include <algorithm>
#include <limits>

#include "index/base/top_k.h"
#include "index/segment/segment.h"

namespace bebr {
namespace {

constexpr size_t kQueryBatch = 16;
constexpr size_t kChunkBlocks = 256;

struct Found {
  float score = 0;
  uint32_t row = 0;
};
struct Better {
  bool operator()(const Found& a, const Found& b) const {
    return a.score != b.score ? a.score > b.score : a.row < b.row;
  }
};
using Best = TopK<Found, Better>;

}  // namespace

CodeSearch::CodeSearch(const Binarizer& binarizer, const Matrix& documents, ThreadPool& pool)
    : binarizer_(binarizer),
      pool_(pool),
      shape_(MakeShape(binarizer.spec(), binarizer.query_levels())),
      rows_(documents.rows),
      blocks_((documents.rows + simd::kBlockRows - 1) / simd::kBlockRows),
      block_bytes_(simd::BlockBytes(shape_.code_words)),
      data_(blocks_ * block_bytes_) {
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
  simd::StoreLane(shape_, static_cast<uint32_t>(row % simd::kBlockRows), code, factors.scale, factors.offset,
                  data_.data() + row / simd::kBlockRows * block_bytes_);
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
  std::vector<float> rows(queries.row(first), queries.row(first) + count * queries.dims), factors(count);
  binarizer.ScaleQueries(rows.data(), count, factors.data());
  binarizer.EncodeQueries(rows.data(), count, planes.data(), weights.data(), offsets.data());
  const size_t prepared_bytes = (kernels.prepared_bytes(shape) + 63) / 64 * 64;
  AlignedBuffer<std::byte> prepared(count * prepared_bytes);
  std::vector<const void*> pointers;
  std::vector<Best> best(count, Best(depth, -std::numeric_limits<float>::infinity(), Better()));
  for (size_t q = 0; q < count; ++q) {
    std::byte* place = prepared.data() + q * prepared_bytes;
    kernels.prepare(shape, planes.data() + q * plane_words, weights.data() + q * bands, offsets[q], place);
    pointers.push_back(place);
  }
  constexpr size_t kStride = kChunkBlocks * simd::kBlockRows;
  AlignedBuffer<float> scores(count * kStride);
  AlignedBuffer<uint32_t> positions(count * kStride);
  std::vector<simd::QueryHits> hits(count);
  for (size_t block = 0; block < blocks_; block += kChunkBlocks) {
    const size_t chunk = std::min(kChunkBlocks, blocks_ - block), row = block * simd::kBlockRows;
    for (size_t q = 0; q < count; ++q)
      hits[q] = {best[q].threshold(), positions.data() + q * kStride, scores.data() + q * kStride, 0};
    kernels.scan(shape, data_.data() + block * block_bytes_, chunk, pointers.data(), count, hits.data());
    for (size_t q = 0; q < count; ++q) {
      for (size_t i = 0; i < hits[q].count; ++i) {
        const size_t found = row + hits[q].positions[i];
        if (found < rows_) best[q].Add({hits[q].scores[i], static_cast<uint32_t>(found)});
      }
    }
  }
  for (size_t q = 0; q < count; ++q) {
    const std::vector<Found> found = best[q].Take();
    for (size_t i = 0; i < found.size(); ++i) out[q * depth + i] = found[i].row;
  }
}

}  // namespace bebr
