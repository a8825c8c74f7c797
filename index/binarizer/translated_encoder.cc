#include "index/binarizer/translated_encoder.h"

#include <algorithm>
#include <utility>

#include "index/base/status_macros.h"
#include "index/binarizer/dot.h"
#include "index/binarizer/encoder.h"

namespace bebr {
namespace {

constexpr size_t kRowsAtOnce = 64;

ResidualBlock BlockOf(const BlockParameters& block, const std::vector<uint32_t>& hidden, size_t inputs,
                      size_t outputs) {
  return ResidualBlock(block, block.linear.weight, hidden, inputs, outputs);
}

}  // namespace

absl::StatusOr<std::unique_ptr<const TranslatedEncoder>> TranslatedEncoder::Create(Model model, uint32_t checksum) {
  BEBR_RETURN_IF_ERROR(ValidateModel(model));
  std::unique_ptr<TranslatedEncoder> encoder(new TranslatedEncoder(model, checksum));
  const Translation& translation = *model.translation;
  const size_t k = translation.input_dims, n = model.input_dims;
  encoder->document_ = BlockOf(translation.document, translation.hidden, k, n);
  if (!translation.query.linear.weight.empty())
    encoder->query_ = BlockOf(translation.query, translation.query_hidden, k, n);
  encoder->document_scale_ = translation.document_scale;
  encoder->document_offset_ = translation.document_offset;
  model.translation.reset();
  BEBR_ASSIGN_OR_RETURN(encoder->inner_, MakeBinarizer(std::move(model), 0));
  return encoder;
}

size_t TranslatedEncoder::memory_bytes() const {
  return sizeof(*this) + facts_bytes() + document_.memory_bytes() + query_.memory_bytes() + inner_->memory_bytes();
}

void TranslatedEncoder::Translate(const float* embeddings, size_t rows, bool queries, float* out) const {
  static thread_local std::vector<float> centred, scratch;
  const size_t k = input_dims_, n = inner_->input_dims();
  const ResidualBlock& block = queries && !query_.empty() ? query_ : document_;
  centred.resize(std::min(rows, kRowsAtOnce) * k);
  scratch.resize(std::min(rows, kRowsAtOnce) * block.scratch_floats());
  for (size_t start = 0; start < rows; start += kRowsAtOnce) {
    const size_t batch = std::min(kRowsAtOnce, rows - start);
    for (size_t r = 0; r < batch; ++r) {
      const float* x = embeddings + (start + r) * k;
      const double unit = UnitOf(metric_, x, k);
      for (size_t i = 0; i < k; ++i) centred[r * k + i] = Finite(x[i] * unit - mean_[i]);
    }
    float* const translated = out + start * n;
    block.Apply(centred.data(), batch, translated, scratch.data());
    for (size_t i = 0; i < batch * n; ++i) translated[i] = Finite(translated[i]);
  }
}

template <typename Encode>
void TranslatedEncoder::InBatches(const float* embeddings, size_t rows, bool queries, const Encode& encode) const {
  std::vector<float> translated(std::min(rows, kRowsAtOnce) * inner_->input_dims());
  for (size_t start = 0; start < rows; start += kRowsAtOnce) {
    const size_t batch = std::min(kRowsAtOnce, rows - start);
    Translate(embeddings + start * input_dims_, batch, queries, translated.data());
    encode(translated.data(), start, batch);
  }
}

void TranslatedEncoder::EncodeDocuments(const float* embeddings, size_t rows, uint32_t* codes,
                                        CodeFactors* factors) const {
  InBatches(embeddings, rows, /*queries=*/false, [&](const float* translated, size_t start, size_t batch) {
    inner_->EncodeDocuments(translated, batch, codes + start * spec_.code_words(), factors + start);
  });
  for (size_t r = 0; r < rows; ++r) {
    factors[r].scale = Finite(factors[r].scale * document_scale_);
    factors[r].offset = Finite(factors[r].offset + document_offset_);
  }
}

void TranslatedEncoder::EncodeQueries(const float* embeddings, size_t rows, uint32_t* planes, float* weights,
                                      float* offsets) const {
  EncodeQueriesOf(std::vector<GroupSet>(rows, kAllGroups), embeddings, planes, weights, offsets);
}

void TranslatedEncoder::EncodeQueriesOf(absl::Span<const GroupSet> wanted, const float* embeddings, uint32_t* planes,
                                        float* weights, float* offsets) const {
  const size_t groups = spec_.groups();
  InBatches(embeddings, wanted.size(), /*queries=*/true, [&](const float* translated, size_t start, size_t batch) {
    inner_->EncodeQueriesOf(wanted.subspan(start, batch), translated,
                            planes + start * groups * spec_.QueryWords(query_levels_),
                            weights + start * groups * spec_.bands().size(), offsets + start * groups);
  });
}

void TranslatedEncoder::RankGroups(const float* embeddings, size_t rows, float* nearness) const {
  InBatches(embeddings, rows, /*queries=*/true, [&](const float* translated, size_t start, size_t batch) {
    inner_->RankGroups(translated, batch, nearness + start * spec_.groups());
  });
}

}  // namespace bebr
