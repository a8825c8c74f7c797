// A Binarizer: a Model made ready to run on the kernel tables.
#ifndef BEBR_INDEX_BINARIZER_ENCODER_H_
#define BEBR_INDEX_BINARIZER_ENCODER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "index/binarizer/binarizer.h"
#include "index/binarizer/fitted_quantizer.h"
#include "index/binarizer/model.h"
#include "index/binarizer/model_binarizer.h"
#include "index/binarizer/residual_block.h"

namespace bebr {

// The binarizer of a model: an Encoder, a GroupedEncoder where it has groups, or a TranslatedEncoder before one of
// them. Takes memory for the model once: what is made ready of it is freed before the next part is.
absl::StatusOr<std::unique_ptr<const Binarizer>> MakeBinarizer(Model model, uint32_t checksum);

// The Encoder runs a Model without groups or translation: see Binarizer for what codes and scores mean, FORMAT.md for
// the recursion.
//
// Determinism. Dense layers go through simd::KernelTable::gemm, whose result for a row depends on that row alone;
// everything else is elementwise or a sum in one fixed order. Works in batches of kBatchRows rows with scratch memory
// of the calling thread (about kBatchRows * (2 * input_dims + 4 * dims) floats).
//
// Cost in multiply-adds. A document: dims * input_dims, plus h * (input_dims + dims) for a hidden layer of h, and for
// every level after the first dims * dims (feedback) + dims * input_dims (where the step has a projection of its own).
// A query: dims * input_dims where the model has a projection for queries, else as a document.
class Encoder : public ModelBinarizer {
 public:
  static constexpr size_t kBatchRows = 64;

  static absl::StatusOr<std::unique_ptr<const Encoder>> Create(const Model& model, uint32_t checksum);

  size_t memory_bytes() const override;

  void EncodeDocuments(const float* embeddings, size_t rows, uint32_t* codes, CodeFactors* factors) const override;
  // The same, and how much of each row a code leaves out: the squared length of the difference between row and code,
  // at the code's best length. For models with a fitted quantizer. `shaper` as in FittedQuantizer.
  void EncodeDocuments(const float* embeddings, size_t rows, uint32_t* codes, CodeFactors* factors, double* errors,
                       const ErrorShaper* shaper = nullptr) const;
  void EncodeQueries(const float* embeddings, size_t rows, uint32_t* planes, float* weights,
                     float* offsets) const override;
  void EncodeQueriesOf(absl::Span<const GroupSet> wanted, const float* embeddings, uint32_t* planes, float* weights,
                       float* offsets) const override {
    EncodeQueries(embeddings, wanted.size(), planes, weights, offsets);
  }
  void RankGroups(const float*, size_t rows, float* nearness) const override { std::fill_n(nearness, rows, 0.0f); }

 private:
  struct Step {
    float gain = 1.0f;
    ResidualBlock residual;          // empty: the projection's output is used
    std::vector<float> bias_change;  // with an empty residual: its bias minus the projection's
    DenseLayer feedback;             // empty: the identity
    ResidualBlock reconstruct;       // kInput only
  };
  // From an embedding to the levels of its code.
  struct Path {
    ResidualForm form = ResidualForm::kCode;
    ResidualBlock project;
    std::vector<Step> steps;
  };
  struct Scratch;
  struct RowNumbers;

  using ModelBinarizer::ModelBinarizer;
  static Path DocumentPath(const Model& model);
  static Path QueryPath(const Model& model);
  const Path& query_path() const { return query_path_.project.empty() ? document_path_ : query_path_; }
  Scratch& ThreadScratch() const;
  void Prepare(const float* embeddings, size_t rows, Scratch& scratch) const;
  void FirstLevel(const Path& path, size_t rows, Scratch& scratch) const;
  void NextLevel(const Path& path, uint32_t level, size_t rows, Scratch& scratch) const;
  void ResidualInCode(const Step& step, size_t rows, Scratch& scratch) const;
  void ResidualInInput(const Step& step, size_t rows, Scratch& scratch) const;
  // Writes one level's bits of `rows` rows; `levels` says how many levels each band of the output has.
  void PackLevel(uint32_t level, size_t rows, const Scratch& scratch, bool query, uint32_t* out, size_t stride) const;
  // Adds w_b |y|^2 and w_b <code, y> of band `b` to the row numbers.
  void AddBandEnergy(size_t b, size_t rows, Scratch& scratch) const;
  // Codes of prepared rows by either quantizer, with the row numbers, or the weights, that go with them.
  void RecurOverDocuments(size_t rows, Scratch& scratch, uint32_t* codes) const;
  void FitDocuments(size_t rows, const ErrorShaper* shaper, Scratch& scratch, uint32_t* codes) const;
  void RecurOverQueries(size_t rows, Scratch& scratch, uint32_t* planes, float* weights) const;
  void FitQueries(size_t rows, Scratch& scratch, uint32_t* planes, float* weights) const;

  double query_offset_ = 0.0;  // -|mean|^2; of l2 0
  double query_scale_ = 1.0;   // 1 / n; of l2 2 / n
  std::optional<FactorParameters> factors_;
  size_t components_ = 0;                  // values of a projection
  std::optional<FittedQuantizer> fitted_;  // else the paths' steps make the levels
  Path document_path_;
  Path query_path_;  // empty: queries take the documents'
};

}  // namespace bebr

#endif  // BEBR_INDEX_BINARIZER_ENCODER_H_
