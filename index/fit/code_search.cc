#include "index/fit/code_search.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "index/base/top_k.h"
#include "index/segment/segment.h"

namespace bebr {
namespace {

constexpr size_t kQueryBatch = 16;
constexpr size_t kChunkBlocks = 256;
constexpr uint32_t kNoRow = ~0u;

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

// The rows of each query's best, best first, `depth` apart.
void TakeRows(std::vector<Best>& best, size_t depth, uint32_t* out) {
  for (size_t q = 0; q < best.size(); ++q) {
    const std::vector<Found> found = best[q].Take();
    for (size_t i = 0; i < found.size(); ++i) out[q * depth + i] = found[i].row;
  }
}

}  // namespace

CodeSearch::CodeSearch(const Binarizer& binarizer, const Matrix& documents, ThreadPool& pool,
                       const Continues& continues)
    : binarizer_(binarizer),
      pool_(pool),
      continues_(continues),
      shape_(MakeShape(binarizer.spec(), binarizer.query_levels())),
      rows_(documents.rows),
      block_bytes_(simd::BlockBytes(shape_.code_words)) {
  constexpr size_t kRowsPerTask = 16 * simd::kBlockRows;
  const size_t words = binarizer.spec().code_words();
  std::vector<uint32_t> codes(rows_ * words);
  std::vector<CodeFactors> factors(rows_);
  pool_.ParallelFor((rows_ + kRowsPerTask - 1) / kRowsPerTask, [&](size_t task) {
    if (!Ask(continues_).ok()) return;
    const size_t first = task * kRowsPerTask, count = std::min(kRowsPerTask, rows_ - first);
    binarizer_.EncodeDocuments(documents.row(first), count, codes.data() + first * words, factors.data() + first);
  });
  StoreAll(codes, factors);
  if (binarizer_.spec().groups() == 1) return;
  codes_ = std::move(codes);
  factors_ = std::move(factors);
}

void CodeSearch::StoreAll(const std::vector<uint32_t>& codes, const std::vector<CodeFactors>& factors) {
  groups_.clear();
  place_of_.clear();
  std::vector<size_t> sizes(binarizer_.spec().groups(), 0);
  for (const CodeFactors& of_row : factors) ++sizes[of_row.group];
  std::vector<size_t> next;  // place of each group
  size_t blocks = 0;
  for (const size_t size : sizes) {
    next.push_back(blocks * simd::kBlockRows);
    groups_.push_back({blocks, blocks + (size + simd::kBlockRows - 1) / simd::kBlockRows});
    blocks = groups_.back().end;
  }
  row_of_.assign(blocks * simd::kBlockRows, kNoRow);
  for (size_t row = 0; row < rows_; ++row) {
    const size_t place = next[factors[row].group]++;
    place_of_.push_back(static_cast<uint32_t>(place));
    row_of_[place] = static_cast<uint32_t>(row);
  }
  data_ = AlignedBuffer<std::byte>(blocks * block_bytes_);
  for (size_t row = 0; row < rows_; ++row)
    Store(row, codes.data() + row * binarizer_.spec().code_words(), factors[row]);
}

void CodeSearch::Store(size_t row, const uint32_t* code, const CodeFactors& factors) {
  const size_t place = place_of_[row];
  simd::StoreLane(shape_, static_cast<uint32_t>(place % simd::kBlockRows), code, factors.scale, factors.offset,
                  data_.data() + place / simd::kBlockRows * block_bytes_);
}

void CodeSearch::Recode(const Binarizer& binarizer, const Matrix& documents, size_t every) {
  std::vector<uint32_t> code(binarizer.spec().code_words());
  CodeFactors factors;
  for (size_t row = 0; row < rows_; row += every) {
    binarizer.EncodeDocuments(documents.row(row), 1, code.data(), &factors);
    if (factors_.empty()) {
      Store(row, code.data(), factors);
    } else {
      std::copy(code.begin(), code.end(), codes_.begin() + static_cast<ptrdiff_t>(row * code.size()));
      factors_[row] = factors;
    }
  }
  if (!factors_.empty()) StoreAll(codes_, factors_);
}

std::vector<uint32_t> CodeSearch::Search(const Matrix& queries, size_t depth) const {
  return Search(binarizer_, queries, depth);
}

std::vector<uint32_t> CodeSearch::Search(const Binarizer& query_binarizer, const Matrix& queries, size_t depth) const {
  depth = std::min(depth, rows_);
  std::vector<uint32_t> found(queries.rows * depth);
  pool_.ParallelFor((queries.rows + kQueryBatch - 1) / kQueryBatch, [&](size_t task) {
    if (!Ask(continues_).ok()) return;
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
  const size_t codes = count * groups_.size();
  std::vector<uint32_t> planes(codes * plane_words);
  std::vector<float> weights(codes * bands), offsets(codes);
  std::vector<float> rows(queries.row(first), queries.row(first) + count * queries.dims), factors(count);
  binarizer.ScaleQueries(rows.data(), count, factors.data());
  binarizer.EncodeQueries(rows.data(), count, planes.data(), weights.data(), offsets.data());
  const size_t prepared_bytes = (kernels.prepared_bytes(shape) + 63) / 64 * 64;
  AlignedBuffer<std::byte> prepared(count * prepared_bytes);
  std::vector<const void*> pointers(count);
  std::vector<Best> best(count, Best(depth, -std::numeric_limits<float>::infinity(), Better()));
  constexpr size_t kStride = kChunkBlocks * simd::kBlockRows;
  AlignedBuffer<float> scores(count * kStride);
  AlignedBuffer<uint32_t> positions(count * kStride);
  std::vector<simd::QueryHits> hits(count);
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (size_t q = 0; q < count; ++q) {
      std::byte* place = prepared.data() + q * prepared_bytes;
      const size_t code = q * groups_.size() + g;
      kernels.prepare(shape, planes.data() + code * plane_words, weights.data() + code * bands, offsets[code], place);
      pointers[q] = place;
    }
    for (size_t block = groups_[g].first; block < groups_[g].end; block += kChunkBlocks) {
      const size_t chunk = std::min(kChunkBlocks, groups_[g].end - block);
      for (size_t q = 0; q < count; ++q)
        hits[q] = {best[q].threshold(), positions.data() + q * kStride, scores.data() + q * kStride, 0};
      kernels.scan(shape, data_.data() + block * block_bytes_, chunk, pointers.data(), count, hits.data());
      for (size_t q = 0; q < count; ++q) {
        for (size_t i = 0; i < hits[q].count; ++i) {
          const uint32_t row = row_of_[block * simd::kBlockRows + hits[q].positions[i]];
          if (row != kNoRow) best[q].Add({hits[q].scores[i], row});
        }
      }
    }
  }
  TakeRows(best, depth, out);
}

}  // namespace bebr
