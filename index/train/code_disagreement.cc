#include "index/train/code_disagreement.h"

#include <torch/torch.h>

#include <cmath>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "index/base/status_macros.h"
#include "index/binarizer/encoder.h"
#include "index/train/neighborhoods.h"
#include "index/train/torch_model.h"

namespace bebr {
namespace {

using torch::Tensor;

// Bits of `words`, codes with `levels_of(band)` levels, that are not those of the values in `code`.
template <typename LevelsOf>
size_t DifferentBits(const CodeSpec& spec, const Tensor& code, const std::vector<uint32_t>& words, LevelsOf levels_of) {
  const float* values = code.data_ptr<float>();
  const uint32_t* plane = words.data();
  size_t differ = 0;
  for (int64_t r = 0; r < code.size(0); ++r) {
    for (const Band& band : spec.bands()) {
      const uint32_t plane_words = CodeSpec::PlaneWords(band.dims), levels = levels_of(band);
      for (uint32_t i = 0; i < band.dims; ++i) {
        float rest = *values++;
        for (uint32_t t = 0; t < levels; ++t) {
          const bool torch_bit = rest >= 0.0f;
          rest -= std::ldexp(torch_bit ? 1.0f : -1.0f, -static_cast<int>(t));
          differ += torch_bit != (((plane[t * plane_words + i / 32] >> (i % 32)) & 1) != 0);
        }
      }
      plane += plane_words * levels;
    }
  }
  return differ;
}

}  // namespace

absl::StatusOr<double> CodeDisagreement(const Model& model, const Matrix& rows) {
  if (model.quantizer == Quantizer::kFitted) return 0.0;
  BEBR_ASSIGN_OR_RETURN(const std::unique_ptr<const Encoder> encoder, Encoder::Create(model, 0));
  const CodeSpec& spec = model.spec;
  std::vector<uint32_t> planes(rows.rows * spec.QueryWords(model.query_levels)), codes(rows.rows * spec.code_words());
  std::vector<float> weights(rows.rows * spec.bands().size()), offsets(rows.rows);
  std::vector<CodeFactors> factors(rows.rows);
  encoder->EncodeQueries(rows.values.data(), rows.rows, planes.data(), weights.data(), offsets.data());
  encoder->EncodeDocuments(rows.values.data(), rows.rows, codes.data(), factors.data());
  try {
    torch::NoGradGuard no_grad;
    const TorchModel torch_model(model);
    const Tensor x = Rows(rows, torch::arange(static_cast<int64_t>(rows.rows)), model.metric);
    const Tensor queries = torch_model.EncodeQueries(x, Estimator::kStraightThrough, 1.0).code.contiguous();
    const Tensor documents =
        torch_model.EncodeDocuments(x, kMaxLevels, Estimator::kStraightThrough, 1.0).code.contiguous();
    const size_t differ = DifferentBits(spec, queries, planes, [&](const Band&) { return model.query_levels; }) +
                          DifferentBits(spec, documents, codes, [](const Band& band) { return band.levels; });
    return static_cast<double>(differ) /
           (static_cast<double>(rows.rows) * (spec.dims() * model.query_levels + spec.bits()));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("libtorch failed: ", error.what()));
  }
}

}  // namespace bebr
