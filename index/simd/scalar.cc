// The reference: every other table must agree with it bit for bit. Written to be read; it is also what runs where no
// other table is supported.
#include <bit>
#include <cmath>
#include <cstring>

#include "index/simd/match.h"
#include "index/simd/query.h"
#include "index/simd/tables.h"

namespace bebr::simd {
namespace {

size_t PreparedBytes(const CodeShape& shape) {
  size_t words = 0;
  for (uint32_t b = 0; b < shape.band_count; ++b) words += PlaneWords(shape.bands[b].dims) * shape.query_levels;
  return sizeof(QueryHead) + words * sizeof(uint32_t);
}

void Prepare(const CodeShape& shape, const uint32_t* planes, const float* weights, float query_offset, void* prepared) {
  auto* head = static_cast<QueryHead*>(prepared);
  std::memset(head, 0, sizeof(*head));
  head->offset = query_offset;
  std::memcpy(head + 1, planes, PreparedBytes(shape) - sizeof(*head));
  BandView band = FirstBand(shape);
  for (uint32_t b = 0; b < shape.band_count; ++b) {
    if (b > 0) band = NextBand(shape, b, band);
    head->weight[b] = BandWeight(band, weights[b]);
    head->constant[b] = BoundConstant(shape, band, planes, weights[b]);
    planes += size_t{band.words} * band.query_levels;
  }
}

// Word w of a lane's scored level t: of trellis codes the last two are derived.
uint32_t DocumentWord(const BandView& band, const uint32_t* block, uint32_t lane, uint32_t t, uint32_t w) {
  const uint32_t stored = t < band.plain ? t : band.plain;
  const uint32_t word = block[(band.first_word + stored * band.words + w) * size_t{kBlockRows} + lane];
  if (t < band.plain) return word;
  const uint32_t rest = band.dims - w * 32, used = rest < 32 ? (1u << rest) - 1 : ~0u;
  return (t == band.plain ? word ^ word << 1 ^ word << 3 : word << 2) & used;
}

// The exact integer D of one lane: every pair of a document's and a query's plane, weighted by its two levels. Two
// planes with `different` unequal bits have the dot product dims - 2 * different.
int32_t BandProduct(const BandView& band, const uint32_t* block, uint32_t lane, const uint32_t* query) {
  int32_t sum = 0;
  for (uint32_t t = 0; t < band.levels; ++t) {
    for (uint32_t s = 0; s < band.query_levels; ++s) {
      int32_t different = 0;
      for (uint32_t w = 0; w < band.words; ++w) {
        different += std::popcount(DocumentWord(band, block, lane, t, w) ^ query[s * band.words + w]);
      }
      const int32_t product = static_cast<int32_t>(band.dims) - 2 * different;
      sum += product * (1 << (band.levels - 1 - t + band.query_levels - 1 - s));
    }
  }
  return sum;
}

float LaneScore(const CodeShape& shape, const uint32_t* block, uint32_t lane, const QueryHead* head) {
  const auto* query = reinterpret_cast<const uint32_t*>(head + 1);
  BandView band = FirstBand(shape);
  float acc = 0.0f;
  for (uint32_t b = 0; b < shape.band_count; ++b) {
    if (b > 0) band = NextBand(shape, b, band);
    const int32_t product = head->constant[b] + BandProduct(band, block, lane, query);
    acc = acc + head->weight[b] * static_cast<float>(product);
    query += size_t{band.words} * band.query_levels;
  }
  float scale, offset;
  std::memcpy(&scale, block + size_t{shape.code_words} * kBlockRows + lane, sizeof(scale));
  std::memcpy(&offset, block + (size_t{shape.code_words} + 1) * kBlockRows + lane, sizeof(offset));
  return ((acc * scale) + offset) + head->offset;
}

void Score(const CodeShape& shape, const void* blocks, size_t block_count, const void* const* prepared,
           size_t query_count, float* scores, size_t stride) {
  const size_t block_words = (size_t{shape.code_words} + 2) * kBlockRows;
  for (size_t b = 0; b < block_count; ++b) {
    const auto* block = static_cast<const uint32_t*>(blocks) + b * block_words;
    for (size_t q = 0; q < query_count; ++q) {
      const auto* head = static_cast<const QueryHead*>(prepared[q]);
      for (uint32_t lane = 0; lane < kBlockRows; ++lane) {
        scores[q * stride + b * kBlockRows + lane] = LaneScore(shape, block, lane, head);
      }
    }
  }
}

void Scan(const CodeShape& shape, const void* blocks, size_t block_count, const void* const* prepared,
          size_t query_count, QueryHits* hits) {
  const size_t block_words = (size_t{shape.code_words} + 2) * kBlockRows;
  for (size_t q = 0; q < query_count; ++q) {
    hits[q].count = 0;
    for (size_t row = 0; row < block_count * kBlockRows; ++row) {
      const auto* block = static_cast<const uint32_t*>(blocks) + row / kBlockRows * block_words;
      const float score = LaneScore(shape, block, row % kBlockRows, static_cast<const QueryHead*>(prepared[q]));
      if (!(score >= hits[q].threshold)) continue;
      hits[q].positions[hits[q].count] = static_cast<uint32_t>(row);
      hits[q].scores[hits[q].count++] = score;
    }
  }
}

size_t PackedFloats(size_t n, size_t k) { return n * k; }

void Pack(const float* weights, size_t n, size_t k, float* packed) {
  std::memcpy(packed, weights, n * k * sizeof(float));
}

void Gemm(const float* x, size_t rows, size_t x_stride, const float* packed, size_t n, size_t k, const float* bias,
          float* out, size_t out_stride) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t j = 0; j < n; ++j) {
      float acc = bias != nullptr ? bias[j] : 0.0f;
      for (size_t i = 0; i < k; ++i) acc = std::fma(x[r * x_stride + i], packed[j * k + i], acc);
      out[r * out_stride + j] = acc;
    }
  }
}

}  // namespace

const KernelTable kScalarTable = {"scalar", ScalarSupported, PreparedBytes, Prepare, Score,
                                  Scan,     PackedFloats,    Pack,          Gemm,    Match<PortableRows>};

}  // namespace bebr::simd
