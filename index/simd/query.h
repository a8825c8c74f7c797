// What every table's prepared query begins with, and how a query's packed code is read. Included by the files of one
// instruction set each, so everything has internal linkage: code built for a newer processor must not be merged into
// common symbols.
#ifndef BEBR_INDEX_SIMD_QUERY_H_
#define BEBR_INDEX_SIMD_QUERY_H_

#include <cstddef>
#include <cstdint>

#include "index/simd/kernels.h"

namespace bebr::simd {
namespace {

// The head of a prepared query; the table's payload for each band follows, 64-byte aligned.
struct alignas(64) QueryHead {
  float weight[kMaxBands];
  int32_t constant[kMaxBands];  // D = constant + 2 * the band's sum over the bits or values of the document
  float offset;
  float magnitude;  // of the sum over the bands, at most
};

// One band of a code shape. Documents' words of stored level t begin at word first_word + t * words of a block, in rows
// of 16. Scored levels from `plain` on are derived from the branches, stored level `plain`.
struct BandView {
  uint32_t dims;
  uint32_t levels;  // that are scored
  uint32_t plain;   // of these, those that are stored as they are
  uint32_t query_levels;
  uint32_t words;  // of one level
  uint32_t first_word;
  uint32_t left_out;

  bool has_branches() const { return plain < levels; }
};

inline uint32_t PlaneWords(uint32_t dims) { return (dims + 31) / 32; }

inline BandView ViewBand(const CodeShape& shape, uint32_t b, uint32_t first_word) {
  const BandShape& band = shape.bands[b];
  const uint32_t levels = band.scored_levels() - band.left_out, plain = band.levels - (band.trellis ? 1 : 0);
  return {band.dims,  levels,       levels < plain ? levels : plain, shape.query_levels, PlaneWords(band.dims),
          first_word, band.left_out};
}

inline BandView FirstBand(const CodeShape& shape) { return ViewBand(shape, 0, 0); }

inline BandView NextBand(const CodeShape& shape, uint32_t b, const BandView& last) {
  return ViewBand(shape, b, last.first_word + shape.bands[b - 1].levels * last.words);
}

// From stored words, a vector of uint32_t, to those of a scored level (CodeSpec, "Trellis codes"): as they are,
struct AsStored {
  template <typename Words>
  void operator()(Words&) const {}
};
// the higher level that branches stand for,
struct HighDerived {
  template <typename Words>
  void operator()(Words& words) const {
    words = words ^ words << 1 ^ words << 3;
  }
};
// or the lower one. After a band's last dimension both may be anything: queries are 0 there.
struct LowDerived {
  template <typename Words>
  void operator()(Words& words) const {
    words = words << 2;
  }
};

// 2 c_q - (2^Q - 1) of dimension i of a band's query planes; 0 after the last dimension.
inline int32_t QueryValue(const BandView& band, const uint32_t* planes, uint32_t i) {
  if (i >= band.dims) return 0;
  int32_t c = 0;
  for (uint32_t s = 0; s < band.query_levels; ++s) c = 2 * c + ((planes[s * band.words + i / 32] >> (i % 32)) & 1);
  return 2 * c - ((1 << band.query_levels) - 1);
}

// QueryValue of the 32 dimensions of a band's word.
inline void QueryValues(const BandView& band, const uint32_t* planes, uint32_t word, int32_t (&values)[32]) {
  for (int32_t& value : values) value = 0;
  for (uint32_t s = 0; s < band.query_levels; ++s) {
    const uint32_t plane = planes[s * band.words + word];
    for (uint32_t i = 0; i < 32; ++i) values[i] = 2 * values[i] + static_cast<int32_t>(plane >> i & 1u);
  }
  const int32_t full = (1 << band.query_levels) - 1;
  for (uint32_t i = 0; i < 32; ++i) values[i] = word * 32 + i < band.dims ? 2 * values[i] - full : 0;
}

// The weight of a band's D: the levels left out are the lesser ones.
inline float BandWeight(const BandView& band, float weight) { return weight * static_cast<float>(1u << band.left_out); }

// What the levels left out can add to a band's D at most, rounded up; 0 unless the shape asks for bounds.
inline int32_t BoundConstant(const CodeShape& shape, const BandView& band, const uint32_t* planes, float weight) {
  if (!shape.bound || band.left_out == 0) return 0;
  int32_t magnitude = 0;
  for (uint32_t i = 0; i < band.dims; ++i) {
    const int32_t value = QueryValue(band, planes, i);
    magnitude += value < 0 ? -value : value;
  }
  const int32_t unit = 1 << band.left_out;
  const int32_t most = (magnitude * (unit - 1) + unit - 1) / unit;
  return weight < 0 ? -most : most;
}

// 2^L - 1: the largest unsigned value of a document's dimension.
inline int32_t FullValue(const BandView& band) { return (1 << band.levels) - 1; }

// The magnitude of a weighted D, at most, rounded up.
inline float MostOf(const BandView& band, float weight) {
  const float most = static_cast<float>(band.dims) * static_cast<float>((2 * FullValue(band) + 1) << band.query_levels);
  return (weight < 0 ? -weight : weight) * most;
}

}  // namespace
}  // namespace bebr::simd

#endif  // BEBR_INDEX_SIMD_QUERY_H_
