#include "index/train/compatible.h"

#include <torch/torch.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "index/base/status_macros.h"
#include "index/binarizer/dot.h"
#include "index/binarizer/encoder.h"
#include "index/fit/code_search.h"
#include "index/fit/start_model.h"
#include "index/train/torch_model.h"
#include "index/train/torch_translation.h"

namespace bebr {
namespace {

using torch::Tensor;

constexpr int64_t kBatch = 4096;
constexpr double kRidge = 1e-3;  // of the mean squared input
constexpr double kBalances[] = {1.0, 1.025, 1.05, 1.1, 1.15, 1.2};
constexpr double kCloseToBest = 0.005;  // recall@10

Tensor Batch(const Matrix& rows, int64_t first, int64_t count, Metric metric) {
  const Tensor x = torch::from_blob(const_cast<float*>(rows.row(static_cast<size_t>(first))),
                                    {count, static_cast<int64_t>(rows.dims)});
  switch (metric) {
    case Metric::kCosine:
      return x / x.norm(2, {1}, true).clamp_min(1e-30);
    case Metric::kInnerProduct:
    case Metric::kL2:
      break;
  }
  return x;
}

// Sums of a linear regression: of inputs with a constant 1 appended, and of inputs with targets.
class Regression {
 public:
  void Add(const Tensor& inputs, const Tensor& targets) {
    const Tensor x = torch::cat({inputs, torch::ones({inputs.size(0), 1})}, 1);
    const Tensor xt = x.t().contiguous();
    const Tensor square = MultiplyTransposed(xt, xt).to(torch::kFloat64);
    const Tensor product = MultiplyTransposed(xt, targets.t().contiguous()).to(torch::kFloat64);
    square_ = square_.defined() ? square_ + square : square;
    product_ = product_.defined() ? product_ + product : product;
  }
  // Weights (targets x inputs) and biases (targets) of the ridge regression.
  std::pair<Tensor, Tensor> Solve() const {
    const int64_t n = square_.size(0) - 1;
    Tensor penalty =
        torch::full({n + 1}, 1e-12 + kRidge * square_.diagonal().slice(0, 0, n).mean().item<double>(), torch::kFloat64);
    penalty[n] = 0.0;  // the constant is free
    const Tensor solution = torch::linalg_solve(square_ + torch::diag(penalty), product_, true);
    return {solution.slice(0, 0, n).t().contiguous(), solution.select(0, n).contiguous()};
  }

 private:
  Tensor square_, product_;
};

// The new model with everything but what the regressions give.
Model Frame(const Model& old_model, const CorpusStatistics& statistics) {
  Model model;
  model.metric = old_model.metric;
  model.input_dims = statistics.dims;
  model.spec = old_model.spec;
  model.query_levels = old_model.query_levels;
  model.quantizer = old_model.quantizer;
  model.fine = old_model.fine;
  model.mean = statistics.mean;
  if (model.metric == Metric::kInnerProduct) model.row_length = static_cast<float>(statistics.row_length);
  model.trained = "start: regression into the space of another version";
  return model;
}

FactorParameters Factors(const Model& old_model, const Tensor& weight, const Tensor& bias) {
  FactorParameters factors;
  factors.squared_norm = ToVector(weight[0]);
  factors.offset = ToVector(weight[1]);
  factors.squared_norm_bias = bias[0].item<float>();
  factors.offset_bias = bias[1].item<float>();
  if (old_model.factors.has_value()) {
    factors.query_offset = old_model.factors->query_offset;
    factors.query_scale = old_model.factors->query_scale;
  } else {
    const Metric metric = old_model.metric;
    factors.query_offset = static_cast<float>(QueryOffset(metric, old_model.mean.data(), old_model.mean.size()));
    factors.query_scale = static_cast<float>(ProductFactor(metric)) / static_cast<float>(old_model.input_dims);
  }
  return factors;
}

LayerParameters Layer(const Regression& regression) {
  const auto [weight, bias] = regression.Solve();
  return LayerParameters{ToVector(weight), ToVector(bias)};
}

// The rows of the older version as its codes have them: of another one's embeddings what they are translated to.
Tensor OldRows(const OlderVersion& older, const TorchTranslation* translation, int64_t first, int64_t count) {
  const Tensor x = Batch(older.documents, first, count, older.model.metric);
  return translation == nullptr ? x : translation->TranslateDocuments(x);
}

// Whether the new version is the old model with a translation before it, and not a model of its own with regressions
// for norms and offsets (FORMAT.md, "Compatible versions"): where codes are made in more than one step. These are
// linear in the row, which no squared length is: of vectors whose lengths count they say little. A translated row has a
// length of its own.
bool IsTranslated(const Model& old_model) {
  if (old_model.spec.groups() > 1 || old_model.spec.trellis() || old_model.translation.has_value()) return true;
  if (old_model.quantizer != Quantizer::kFitted || old_model.factors.has_value()) return false;
  switch (old_model.metric) {
    case Metric::kCosine:
      return false;
    case Metric::kInnerProduct:
    case Metric::kL2:
      break;
  }
  return true;
}

// The old model with a translation to the rows that it codes.
Model TranslationStart(const OlderVersion& older, const CorpusStatistics& statistics, const Matrix& documents) {
  Model model = older.model;
  const auto old_translation = model.translation.has_value() ? std::make_unique<TorchTranslation>(model) : nullptr;
  const Translation of_older = model.translation.value_or(Translation());
  Translation& translation = model.translation.emplace();
  // The new version's codes are to score as the older one's do, which have these.
  translation.document_scale = of_older.document_scale;
  translation.document_offset = of_older.document_offset;
  translation.input_dims = statistics.dims;
  translation.mean = statistics.mean;
  translation.row_length = static_cast<float>(statistics.row_length);
  model.trained = "start: regression into the space of another version";
  const Tensor mean = torch::tensor(statistics.mean);
  const auto rows = static_cast<int64_t>(documents.rows);
  Regression regression;
  for (int64_t first = 0; first < rows; first += kBatch) {
    const int64_t count = std::min(kBatch, rows - first);
    regression.Add(Batch(documents, first, count, model.metric) - mean,
                   OldRows(older, old_translation.get(), first, count));
  }
  translation.document.linear = Layer(regression);
  if (model.metric != Metric::kL2) return model;
  // What a regression leaves out is missing from distances.
  const TorchTranslation made(model);
  double left_out = 0.0;
  for (int64_t first = 0; first < rows; first += kBatch) {
    const int64_t count = std::min(kBatch, rows - first);
    left_out += (made.TranslateDocuments(Batch(documents, first, count, model.metric)) -
                 OldRows(older, old_translation.get(), first, count))
                    .square()
                    .sum()
                    .item<double>();
  }
  translation.document_offset -= static_cast<float>(left_out / static_cast<double>(rows));
  return model;
}

}  // namespace

absl::Status CheckPaired(const OlderVersion& older, const Matrix& documents) {
  if (older.documents.rows != documents.rows) {
    return absl::InvalidArgumentError(absl::StrCat("--paired has ", older.documents.rows, " rows, --input has ",
                                                   documents.rows, ": they must be the same documents, row for row"));
  }
  if (older.documents.dims != older.model.embedding_dims()) {
    return absl::InvalidArgumentError(absl::StrCat("--paired has ", older.documents.dims,
                                                   " dims; the model of --compatible-with takes ",
                                                   older.model.embedding_dims()));
  }
  if (older.model.residual_form == ResidualForm::kInput) {
    return absl::InvalidArgumentError(
        "the model of --compatible-with is of residual form 'input'; only form 'code' can be written into");
  }
  return absl::OkStatus();
}

absl::StatusOr<Model> CompatibleStart(const OlderVersion& older, const Matrix& documents) {
  BEBR_RETURN_IF_ERROR(CheckPaired(older, documents));
  BEBR_ASSIGN_OR_RETURN(const CorpusStatistics statistics,
                        MeasureCorpus(documents, older.model.metric, documents.dims, 1));
  try {
    torch::NoGradGuard no_grad;
    if (IsTranslated(older.model)) return TranslationStart(older, statistics, documents);
    Model model = Frame(older.model, statistics);
    const TorchModel old_model(older.model);
    std::vector<Regression> projections(older.model.steps.size() + 2);
    Regression factors;
    std::vector<float> scaled(static_cast<size_t>(kBatch) * documents.dims);
    const auto rows = static_cast<int64_t>(documents.rows), n = static_cast<int64_t>(documents.dims);
    for (int64_t first = 0; first < rows; first += kBatch) {
      const int64_t count = std::min(kBatch, rows - first);
      const Tensor old_x = Batch(older.documents, first, count, model.metric);
      CenterAndScale(model.mean, model.metric, documents.row(static_cast<size_t>(first)), static_cast<size_t>(count),
                     scaled.data());
      const Tensor u = torch::from_blob(scaled.data(), {count, n});
      const std::vector<Tensor> values = old_model.Projections(old_x);
      for (size_t i = 0; i < values.size(); ++i) projections[i].Add(u, values[i]);
      const auto [norm, offset] = old_model.NormsAndOffsets(old_x);
      factors.Add(Batch(documents, first, count, model.metric), torch::stack({norm.square(), offset}, 1));
    }
    model.project.linear = Layer(projections.front());
    model.query.linear = Layer(projections.back());
    for (uint32_t t = 0; t < model.step_count(); ++t) {
      StepParameters step;
      step.gain = older.model.steps[t].gain;
      step.feedback = older.model.steps[t].feedback;
      step.residual.linear = Layer(projections[t + 1]);
      model.steps.push_back(std::move(step));
    }
    const auto [weight, bias] = factors.Solve();
    model.factors = Factors(older.model, weight, bias);
    return model;
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("the regression into the old space failed: ", error.what()));
  }
}

namespace {

Model WithDocumentScale(Model model, double constant) {
  if (model.translation.has_value()) {
    model.translation->document_scale *= static_cast<float>(constant);
    return model;
  }
  const auto square = static_cast<float>(constant * constant);
  for (float& value : model.factors->squared_norm) value *= square;
  model.factors->squared_norm_bias *= square;
  model.factors->query_scale /= static_cast<float>(constant);  // the constant is in a query's norm, too
  return model;
}

}  // namespace

absl::StatusOr<Model> BalanceVersions(const Model& model, const OlderVersion& older, const Validator& validator) {
  if (!model.factors.has_value() && !model.translation.has_value())
    return absl::InternalError("the model has no factors of its own");
  BEBR_ASSIGN_OR_RETURN(const std::unique_ptr<const Binarizer> old_encoder, MakeBinarizer(older.model, 0));
  std::vector<Model> balanced;
  std::vector<double> recalls;
  for (const double constant : kBalances) {
    const Model& scaled = balanced.emplace_back(WithDocumentScale(model, constant));
    BEBR_ASSIGN_OR_RETURN(const std::unique_ptr<const Binarizer> encoder, MakeBinarizer(scaled, 0));
    CodeSearch search(*encoder, validator.documents(), validator.pool());
    search.Recode(*old_encoder, validator.older_documents(), 2);
    recalls.push_back(validator.Measure(search, *encoder, validator.queries()).at_10);
  }
  const double best = *std::max_element(recalls.begin(), recalls.end());
  const auto chosen = std::find_if(recalls.begin(), recalls.end(), [&](double r) { return r >= best - kCloseToBest; });
  return balanced[static_cast<size_t>(chosen - recalls.begin())];
}

absl::StatusOr<CompatibilityReport> MeasureCompatibility(const Model& model, const OlderVersion& older,
                                                         const Matrix& queries_old, const Validator& validator) {
  BEBR_ASSIGN_OR_RETURN(const std::unique_ptr<const Binarizer> encoder, MakeBinarizer(model, 0));
  BEBR_ASSIGN_OR_RETURN(const std::unique_ptr<const Binarizer> old_encoder, MakeBinarizer(older.model, 0));
  CompatibilityReport report;
  CodeSearch search(*encoder, validator.documents(), validator.pool());
  report.new_on_new = validator.Measure(search, *encoder, validator.queries()).at_10;
  search.Recode(*old_encoder, validator.older_documents(), 2);
  report.new_on_mixed = validator.Measure(search, *encoder, validator.queries()).at_10;
  search.Recode(*old_encoder, validator.older_documents(), 1);
  report.new_on_old = validator.Measure(search, *encoder, validator.queries()).at_10;
  if (queries_old.rows > 0) report.old_on_old = validator.Measure(search, *old_encoder, queries_old).at_10;
  BEBR_ASSIGN_OR_RETURN(const CorpusStatistics statistics,
                        MeasureCorpus(validator.documents(), model.metric, model.embedding_dims(), 1));
  const LevelPlan shape = model.levels();
  if (shape.dims() <= model.embedding_dims() || shape.runs().size() == 1) {
    BEBR_ASSIGN_OR_RETURN(const Model own, StartModel(statistics, shape, model.query_levels, 1));
    BEBR_ASSIGN_OR_RETURN(const std::unique_ptr<const Encoder> own_encoder, Encoder::Create(own, 0));
    const CodeSearch own_search(*own_encoder, validator.documents(), validator.pool());
    report.own_space_start = validator.Measure(own_search, *own_encoder, validator.queries()).at_10;
  }
  return report;
}

}  // namespace bebr
