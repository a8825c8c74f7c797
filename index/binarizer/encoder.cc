#include "index/binarizer/encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "index/base/status_macros.h"
#include "index/binarizer/dot.h"
#include "index/binarizer/grouped_encoder.h"
#include "index/binarizer/translated_encoder.h"

namespace bebr {
namespace {

constexpr double kLargestFloat = 3.4028234e38;

}  // namespace

// What a row's factors are made of.
struct Encoder::RowNumbers {
  double norm = 0.0;       // |x - mean|, or what the model's factors say
  double offset = 0.0;     // <mean, x>, or of l2 -|x - mean|^2; likewise
  double energy = 0.0;     // sum of w_b |y_b|^2
  double agreement = 0.0;  // sum of w_b <code_b, y_b>
  double error = 0.0;      // of a fitted code, in parts of |x - mean|^2
  // What the code is to be multiplied with so that its dot product with y is |y|^2, hence the estimate unbiased along
  // y.
  double Scale() const { return agreement > 0.0 ? norm * (energy / agreement) : 0.0; }
};

// One batch. `input` is x scaled to norm sqrt(n); `projection` the first level's values, before the sign.
struct Encoder::Scratch {
  std::vector<float> input, projection, residual, code, feedback, hidden;
  RowNumbers rows[kBatchRows];
};

Encoder::Scratch& Encoder::ThreadScratch() const {
  static thread_local Scratch scratch;
  const size_t n = input_dims_, m = components_;
  size_t hidden = std::max(document_path_.project.scratch_floats(), query_path_.project.scratch_floats());
  for (const Step& step : document_path_.steps)
    hidden = std::max({hidden, step.residual.scratch_floats(), step.reconstruct.scratch_floats()});
  const auto grow = [](std::vector<float>& buffer, size_t size) {
    if (buffer.size() < size) buffer.resize(size);
  };
  grow(scratch.input, kBatchRows * n);
  grow(scratch.projection, kBatchRows * m);
  grow(scratch.residual, kBatchRows * m);
  grow(scratch.code, kBatchRows * m);
  grow(scratch.feedback, kBatchRows * (document_path_.form == ResidualForm::kInput ? n : m));
  grow(scratch.hidden, kBatchRows * hidden);
  return scratch;
}

Encoder::Path Encoder::DocumentPath(const Model& model) {
  const size_t n = model.input_dims, m = model.components();
  const std::vector<uint32_t> hidden = model.step_hidden();
  Path path;
  path.form = model.residual_form;
  path.project = ResidualBlock(model.project, model.project.linear.weight, model.hidden, n, m);
  for (const StepParameters& parameters : model.steps) {
    Step step;
    step.gain = parameters.gain;
    const bool own_weight = !parameters.residual.linear.weight.empty();
    // The projection's output can stand for R u only where nothing but the linear path went into it.
    if (path.form == ResidualForm::kInput || own_weight || !model.hidden.empty()) {
      const std::vector<float>& weight = own_weight ? parameters.residual.linear.weight : model.project.linear.weight;
      step.residual = ResidualBlock(parameters.residual, weight, hidden, n, m);
    } else {
      step.bias_change.resize(m);
      for (size_t i = 0; i < m; ++i)
        step.bias_change[i] = parameters.residual.linear.bias[i] - model.project.linear.bias[i];
    }
    if (!parameters.feedback.empty()) step.feedback = DenseLayer(parameters.feedback, {}, m, m);
    if (path.form == ResidualForm::kInput)
      step.reconstruct = ResidualBlock(parameters.reconstruct, parameters.reconstruct.linear.weight, hidden, m, n);
    path.steps.push_back(std::move(step));
  }
  return path;
}

Encoder::Path Encoder::QueryPath(const Model& model) {
  Path path;
  if (!model.has_query_projection()) return path;
  const size_t n = model.input_dims, m = model.components();
  path.project = ResidualBlock(model.query, model.query.linear.weight, model.query_hidden, n, m);
  for (uint32_t t = 1; t < model.query_levels; ++t) {
    Step step;
    step.bias_change.assign(m, 0.0f);
    path.steps.push_back(std::move(step));
  }
  return path;
}

absl::StatusOr<std::unique_ptr<const Encoder>> Encoder::Create(const Model& model, uint32_t checksum) {
  BEBR_RETURN_IF_ERROR(ValidateModel(model));
  if (model.spec.groups() > 1 || model.translation.has_value())
    return absl::InvalidArgumentError("a model with groups or a translation is not run by one encoder");
  std::unique_ptr<Encoder> encoder(new Encoder(model, checksum));
  encoder->components_ = model.components();
  encoder->factors_ = model.factors;
  encoder->query_offset_ = model.factors.has_value() ? model.factors->query_offset
                                                     : QueryOffset(model.metric, model.mean.data(), model.mean.size());
  encoder->query_scale_ = model.factors.has_value()
                              ? model.factors->query_scale
                              : ProductFactor(model.metric) / static_cast<double>(model.input_dims);
  encoder->document_path_ = DocumentPath(model);
  encoder->query_path_ = QueryPath(model);
  if (model.quantizer == Quantizer::kFitted) encoder->fitted_.emplace(model);
  return encoder;
}

size_t Encoder::memory_bytes() const {
  size_t bytes = sizeof(*this) + facts_bytes();
  for (const Path* path : {&document_path_, &query_path_}) {
    bytes += path->project.memory_bytes();
    for (const Step& step : path->steps) {
      bytes += step.residual.memory_bytes() + step.reconstruct.memory_bytes() + step.feedback.memory_bytes() +
               step.bias_change.size() * sizeof(float);
    }
  }
  return bytes;
}

void Encoder::Prepare(const float* embeddings, size_t rows, Scratch& scratch) const {
  const size_t n = input_dims_;
  for (size_t r = 0; r < rows; ++r) {
    const float* x = embeddings + r * n;
    float* input = scratch.input.data() + r * n;
    RowNumbers& row = scratch.rows[r];
    row = RowNumbers();
    const double unit = UnitOf(metric_, x, n);
    row.offset = RowOffset(metric_, mean_.data(), x, unit, n);
    if (unit > kLargestFloat) {  // rows of values next to nothing
      for (size_t i = 0; i < n; ++i) input[i] = static_cast<float>(x[i] * unit) - mean_[i];
    } else {
      const auto unit_float = static_cast<float>(unit);
      for (size_t i = 0; i < n; ++i) input[i] = x[i] * unit_float - mean_[i];
    }
    row.norm = std::sqrt(Dot(input, input, n));
    const float scale = row.norm > 0.0 ? Finite(std::sqrt(static_cast<double>(n)) / row.norm) : 0.0f;
    for (size_t i = 0; i < n; ++i) input[i] *= scale;
    if (!factors_.has_value()) continue;
    const double squared = unit * Dot(factors_->squared_norm.data(), x, n) + factors_->squared_norm_bias;
    row.norm = row.norm > 0.0 ? std::sqrt(std::max(squared, 0.0)) : 0.0;
    row.offset = unit * Dot(factors_->offset.data(), x, n) + factors_->offset_bias;
  }
}

void Encoder::FirstLevel(const Path& path, size_t rows, Scratch& scratch) const {
  path.project.Apply(scratch.input.data(), rows, scratch.projection.data(), scratch.hidden.data());
  const size_t count = rows * spec_.dims();
  for (size_t i = 0; i < count; ++i) {
    scratch.residual[i] = scratch.projection[i];
    scratch.code[i] = scratch.projection[i] >= 0.0f ? 1.0f : -1.0f;
  }
}

void Encoder::ResidualInCode(const Step& step, size_t rows, Scratch& scratch) const {
  const size_t m = spec_.dims();
  const float* feedback = scratch.code.data();
  if (!step.feedback.empty()) {
    step.feedback.Apply(scratch.code.data(), rows, scratch.feedback.data());
    feedback = scratch.feedback.data();
  }
  float* residual = scratch.residual.data();
  if (!step.residual.empty()) {
    step.residual.Apply(scratch.input.data(), rows, residual, scratch.hidden.data());
    for (size_t i = 0; i < rows * m; ++i) residual[i] = residual[i] - step.gain * feedback[i];
    return;
  }
  for (size_t r = 0; r < rows; ++r) {
    const size_t first = r * m;
    for (size_t i = 0; i < m; ++i) {
      residual[first + i] = (scratch.projection[first + i] + step.bias_change[i]) - step.gain * feedback[first + i];
    }
  }
}

void Encoder::ResidualInInput(const Step& step, size_t rows, Scratch& scratch) const {
  float* rest = scratch.feedback.data();
  step.reconstruct.Apply(scratch.code.data(), rows, rest, scratch.hidden.data());
  const size_t count = rows * input_dims_;
  for (size_t i = 0; i < count; ++i) rest[i] = scratch.input[i] - step.gain * rest[i];
  step.residual.Apply(rest, rows, scratch.residual.data(), scratch.hidden.data());
}

void Encoder::NextLevel(const Path& path, uint32_t level, size_t rows, Scratch& scratch) const {
  const Step& step = path.steps[level - 1];
  if (path.form == ResidualForm::kCode) {
    ResidualInCode(step, rows, scratch);
  } else {
    ResidualInInput(step, rows, scratch);
  }
  const float size = 1.0f / static_cast<float>(1u << level);
  const size_t count = rows * spec_.dims();
  for (size_t i = 0; i < count; ++i) scratch.code[i] += scratch.residual[i] >= 0.0f ? size : -size;
}

void Encoder::PackLevel(uint32_t level, size_t rows, const Scratch& scratch, bool query, uint32_t* out,
                        size_t stride) const {
  const size_t m = spec_.dims();
  for (size_t r = 0; r < rows; ++r) {
    const float* residual = scratch.residual.data() + r * m;
    uint32_t* band_words = out + r * stride;
    for (const Band& band : spec_.bands()) {
      const uint32_t levels = query ? query_levels_ : band.levels;
      const uint32_t plane_words = CodeSpec::PlaneWords(band.dims);
      if (level < levels) {
        uint32_t* words = band_words + level * plane_words;
        for (uint32_t first = 0; first < band.dims; first += 32) {
          const uint32_t count = std::min(32u, band.dims - first);
          uint32_t word = 0;
          for (uint32_t i = 0; i < count; ++i) word |= static_cast<uint32_t>(residual[first + i] >= 0.0f) << i;
          words[first / 32] = word;
        }
      }
      band_words += levels * plane_words;
      residual += band.dims;
    }
  }
}

void Encoder::AddBandEnergy(size_t b, size_t rows, Scratch& scratch) const {
  size_t first = 0;
  for (size_t i = 0; i < b; ++i) first += spec_.bands()[i].dims;
  const Band& band = spec_.bands()[b];
  for (size_t r = 0; r < rows; ++r) {
    const float* y = scratch.projection.data() + r * spec_.dims() + first;
    const float* code = scratch.code.data() + r * spec_.dims() + first;
    scratch.rows[r].energy += band.weight * Dot(y, y, band.dims);
    scratch.rows[r].agreement += band.weight * Dot(code, y, band.dims);
  }
}

void Encoder::RecurOverDocuments(size_t rows, Scratch& scratch, uint32_t* codes) const {
  for (uint32_t level = 0; level < spec_.max_levels(); ++level) {
    level == 0 ? FirstLevel(document_path_, rows, scratch) : NextLevel(document_path_, level, rows, scratch);
    PackLevel(level, rows, scratch, /*query=*/false, codes, spec_.code_words());
    for (size_t b = 0; b < spec_.bands().size(); ++b) {
      if (spec_.bands()[b].levels == level + 1) AddBandEnergy(b, rows, scratch);
    }
  }
}

void Encoder::FitDocuments(size_t rows, const ErrorShaper* shaper, Scratch& scratch, uint32_t* codes) const {
  document_path_.project.Apply(scratch.input.data(), rows, scratch.projection.data(), scratch.hidden.data());
  for (size_t r = 0; r < rows; ++r) {
    RowNumbers& row = scratch.rows[r];
    const FittedQuantizer::Fit fit =
        fitted_->EncodeDocument(scratch.projection.data() + r * components_, codes + r * spec_.code_words(), shaper);
    row.agreement = 1.0;
    row.energy = fit.factor;
    row.error = 1.0 - fit.energy / static_cast<double>(input_dims_);
  }
}

void Encoder::EncodeDocuments(const float* embeddings, size_t rows, uint32_t* codes, CodeFactors* factors) const {
  EncodeDocuments(embeddings, rows, codes, factors, nullptr);
}

void Encoder::EncodeDocuments(const float* embeddings, size_t rows, uint32_t* codes, CodeFactors* factors,
                              double* errors, const ErrorShaper* shaper) const {
  Scratch& scratch = ThreadScratch();
  for (size_t start = 0; start < rows; start += kBatchRows) {
    const size_t batch = std::min(kBatchRows, rows - start);
    uint32_t* const batch_codes = codes + start * spec_.code_words();
    Prepare(embeddings + start * input_dims_, batch, scratch);
    fitted_ ? FitDocuments(batch, shaper, scratch, batch_codes) : RecurOverDocuments(batch, scratch, batch_codes);
    for (size_t r = 0; r < batch; ++r) {
      const RowNumbers& row = scratch.rows[r];
      factors[start + r] = {Finite(row.Scale()), Finite(row.offset)};
      if (errors != nullptr) errors[start + r] = row.norm * row.norm * row.error;
    }
  }
}

void Encoder::RecurOverQueries(size_t rows, Scratch& scratch, uint32_t* planes, float* weights) const {
  const Path& path = query_path();
  for (uint32_t level = 0; level < query_levels_; ++level) {
    level == 0 ? FirstLevel(path, rows, scratch) : NextLevel(path, level, rows, scratch);
    PackLevel(level, rows, scratch, /*query=*/true, planes, spec_.QueryWords(query_levels_));
  }
  for (size_t b = 0; b < spec_.bands().size(); ++b) AddBandEnergy(b, rows, scratch);
  for (size_t r = 0; r < rows; ++r) {
    const double scale = scratch.rows[r].Scale() * query_scale_;
    for (const Band& band : spec_.bands()) {
      *weights++ = Finite(scale * band.weight / static_cast<double>(1u << (query_levels_ - 1 + band.levels - 1)));
    }
  }
}

void Encoder::FitQueries(size_t rows, Scratch& scratch, uint32_t* planes, float* weights) const {
  query_path().project.Apply(scratch.input.data(), rows, scratch.projection.data(), scratch.hidden.data());
  for (size_t r = 0; r < rows; ++r) {
    double units[kMaxBands];
    fitted_->EncodeQuery(scratch.projection.data() + r * components_, query_levels_,
                         planes + r * spec_.QueryWords(query_levels_), units);
    const double scale = scratch.rows[r].norm * query_scale_;
    for (size_t b = 0; b < spec_.bands().size(); ++b) {
      const Band& band = spec_.bands()[b];
      *weights++ = Finite(scale * band.weight * units[b] / static_cast<double>(1u << (band.derived_levels() - 1)));
    }
  }
}

void Encoder::EncodeQueries(const float* embeddings, size_t rows, uint32_t* planes, float* weights,
                            float* offsets) const {
  Scratch& scratch = ThreadScratch();
  for (size_t start = 0; start < rows; start += kBatchRows) {
    const size_t batch = std::min(kBatchRows, rows - start);
    uint32_t* const batch_planes = planes + start * spec_.QueryWords(query_levels_);
    float* const batch_weights = weights + start * spec_.bands().size();
    Prepare(embeddings + start * input_dims_, batch, scratch);
    fitted_ ? FitQueries(batch, scratch, batch_planes, batch_weights)
            : RecurOverQueries(batch, scratch, batch_planes, batch_weights);
    for (size_t r = 0; r < batch; ++r) offsets[start + r] = Finite(scratch.rows[r].offset + query_offset_);
  }
}

absl::StatusOr<std::unique_ptr<const Binarizer>> MakeBinarizer(Model model, uint32_t checksum) {
  if (model.translation.has_value()) {
    BEBR_ASSIGN_OR_RETURN(std::unique_ptr<const Binarizer> translated,
                          TranslatedEncoder::Create(std::move(model), checksum));
    return translated;
  }
  if (model.spec.groups() > 1) {
    BEBR_ASSIGN_OR_RETURN(std::unique_ptr<const Binarizer> grouped, GroupedEncoder::Create(std::move(model), checksum));
    return grouped;
  }
  BEBR_ASSIGN_OR_RETURN(std::unique_ptr<const Encoder> encoder, Encoder::Create(model, checksum));
  return std::unique_ptr<const Binarizer>(std::move(encoder));
}

absl::StatusOr<std::unique_ptr<const Binarizer>> Binarizer::Parse(std::string_view file) {
  uint32_t checksum = 0;
  BEBR_ASSIGN_OR_RETURN(Model model, ParseModel(file, &checksum));
  return MakeBinarizer(std::move(model), checksum);
}

}  // namespace bebr
