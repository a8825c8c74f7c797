// What it would cost to keep a document's factors as f16.
#ifndef BEBR_BENCH_RECALL_HALF_FACTORS_H_
#define BEBR_BENCH_RECALL_HALF_FACTORS_H_

#include <string>

#include "index/base/float16.h"
#include "index/binarizer/binarizer.h"

namespace bebr::bench {

// Another binarizer's codes, with factors that are rounded to f16. Keeps a reference to it.
class HalfFactors : public Binarizer {
 public:
  explicit HalfFactors(const Binarizer& whole) : whole_(whole) {}

  const CodeSpec& spec() const override { return whole_.spec(); }
  uint32_t input_dims() const override { return whole_.input_dims(); }
  uint32_t query_levels() const override { return whole_.query_levels(); }
  Metric metric() const override { return whole_.metric(); }
  uint32_t checksum() const override { return whole_.checksum(); }
  uint32_t groups_checksum() const override { return whole_.groups_checksum(); }
  std::string description() const override { return whole_.description(); }
  size_t memory_bytes() const override { return whole_.memory_bytes(); }

  void EncodeDocuments(const float* embeddings, size_t rows, uint32_t* codes, CodeFactors* factors) const override {
    whole_.EncodeDocuments(embeddings, rows, codes, factors);
    for (size_t row = 0; row < rows; ++row) {
      factors[row].scale = HalfToFloat(FloatToHalf(factors[row].scale));
      factors[row].offset = HalfToFloat(FloatToHalf(factors[row].offset));
    }
  }
  void ScaleQueries(float* embeddings, size_t rows, float* factors) const override {
    whole_.ScaleQueries(embeddings, rows, factors);
  }
  void EncodeQueries(const float* embeddings, size_t rows, uint32_t* planes, float* weights,
                     float* offsets) const override {
    whole_.EncodeQueries(embeddings, rows, planes, weights, offsets);
  }
  void EncodeQueriesOf(absl::Span<const GroupSet> wanted, const float* embeddings, uint32_t* planes, float* weights,
                       float* offsets) const override {
    whole_.EncodeQueriesOf(wanted, embeddings, planes, weights, offsets);
  }
  void RankGroups(const float* embeddings, size_t rows, float* nearness) const override {
    whole_.RankGroups(embeddings, rows, nearness);
  }

 private:
  const Binarizer& whole_;
};

}  // namespace bebr::bench

#endif  // BEBR_BENCH_RECALL_HALF_FACTORS_H_
