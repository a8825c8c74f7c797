#include "index/binarizer/encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <thread>
#include <tuple>
#include <vector>

#include "index/binarizer/error_shaper.h"
#include "index/binarizer/translated_encoder.h"
#include "index/simd/kernels.h"
#include "tests/unit/binarizer/random_model.h"

namespace bebr {
namespace {

// What FORMAT.md says, written down as plainly as possible in double.
class Reference {
 public:
  explicit Reference(const Model& model) : model_(model) {}

  // The values that a document's or query's projection gives.
  std::vector<double> Projection(const float* row, bool query) {
    const size_t n = model_.input_dims;
    double squared = 0.0;
    for (size_t i = 0; i < n; ++i) squared += double{row[i]} * row[i];
    unit_ = model_.metric == Metric::kCosine ? 1.0 / std::sqrt(squared) : 1.0;
    u_.assign(n, 0.0);
    norm_ = offset_ = 0.0;
    for (size_t i = 0; i < n; ++i) {
      u_[i] = row[i] * unit_ - model_.mean[i];
      norm_ += u_[i] * u_[i];
      offset_ += row[i] * unit_ * model_.mean[i];
    }
    if (model_.metric == Metric::kL2) offset_ = -norm_;
    norm_ = std::sqrt(norm_);
    for (double& value : u_) value *= std::sqrt(static_cast<double>(n)) / norm_;
    return query && model_.has_query_projection() ? Apply(model_.query, u_, n, model_.query.linear.weight)
                                                  : Apply(model_.project, u_, n, model_.project.linear.weight);
  }

  // Pre-sign values of a document's or query's levels, dims x levels.
  std::vector<std::vector<double>> Levels(const float* row, bool query) {
    const bool own = query && model_.has_query_projection();
    std::vector<std::vector<double>> levels = {Projection(row, query)};
    std::vector<double> code = Sign(levels[0]);
    for (uint32_t t = 1; t < (query ? model_.query_levels : model_.spec.max_levels()); ++t) {
      if (own) {
        levels.push_back(levels[0]);
        for (size_t i = 0; i < code.size(); ++i) levels[t][i] -= code[i];
      } else {
        levels.push_back(Next(model_.steps[t - 1], code));
      }
      const std::vector<double> sign = Sign(levels.back());
      for (size_t i = 0; i < code.size(); ++i) code[i] += std::ldexp(sign[i], -static_cast<int>(t));
    }
    return levels;
  }
  double norm() const { return norm_; }
  double offset() const { return offset_; }
  double product_factor() const { return model_.metric == Metric::kL2 ? 2.0 : 1.0; }
  static std::vector<double> Apply(const BlockParameters& block, const std::vector<double>& x, size_t,
                                   const std::vector<float>& weight) {
    std::vector<double> out = Dense(weight, block.linear.bias, x), hidden = x;
    for (size_t i = 0; i < block.mlp.size(); ++i) {
      hidden = Dense(block.mlp[i].weight, block.mlp[i].bias, hidden);
      if (i + 1 < block.mlp.size()) {
        for (double& value : hidden) value = std::max(value, 0.0);
      }
    }
    if (!block.mlp.empty()) {
      for (size_t i = 0; i < out.size(); ++i) out[i] += hidden[i];
    }
    return out;
  }

 private:
  static std::vector<double> Sign(std::vector<double> values) {
    for (double& value : values) value = value >= 0.0 ? 1.0 : -1.0;
    return values;
  }
  static std::vector<double> Dense(const std::vector<float>& weight, const std::vector<float>& bias,
                                   const std::vector<double>& x) {
    std::vector<double> out(weight.size() / x.size(), 0.0);
    for (size_t j = 0; j < out.size(); ++j) {
      out[j] = bias.empty() ? 0.0 : bias[j];
      for (size_t i = 0; i < x.size(); ++i) out[j] += double{weight[j * x.size() + i]} * x[i];
    }
    return out;
  }
  std::vector<double> Next(const StepParameters& step, const std::vector<double>& code) const {
    const auto& weight =
        step.residual.linear.weight.empty() ? model_.project.linear.weight : step.residual.linear.weight;
    if (model_.residual_form == ResidualForm::kCode) {
      std::vector<double> residual = Apply(step.residual, u_, u_.size(), weight);
      const std::vector<double> fed = step.feedback.empty() ? code : Dense(step.feedback, {}, code);
      for (size_t i = 0; i < residual.size(); ++i) residual[i] -= step.gain * fed[i];
      return residual;
    }
    std::vector<double> rest = Apply(step.reconstruct, code, code.size(), step.reconstruct.linear.weight);
    for (size_t i = 0; i < rest.size(); ++i) rest[i] = u_[i] - step.gain * rest[i];
    return Apply(step.residual, rest, rest.size(), weight);
  }

  const Model& model_;
  std::vector<double> u_;
  double unit_ = 1.0, norm_ = 0.0, offset_ = 0.0;
};

bool Bit(const CodeSpec& spec, const uint32_t* words, uint32_t query_levels, size_t band, uint32_t level,
         uint32_t dim) {
  size_t word = 0;
  for (size_t b = 0; b < band; ++b) {
    word += CodeSpec::PlaneWords(spec.bands()[b].dims) * (query_levels != 0 ? query_levels : spec.bands()[b].levels);
  }
  word += level * CodeSpec::PlaneWords(spec.bands()[band].dims) + dim / 32;
  return (words[word] >> (dim % 32)) & 1;
}

std::vector<RandomModelOptions> Variants() {
  std::vector<RandomModelOptions> variants(10);
  variants[1].own_residual_weight = false;
  variants[2].feedback = false;
  variants[2].own_residual_weight = false;
  variants[2].metric = Metric::kInnerProduct;
  variants[3].form = ResidualForm::kInput;
  variants[4].form = ResidualForm::kInput;
  variants[4].hidden = {31};
  variants[4].own_residual_weight = false;
  variants[5].form = ResidualForm::kInput;
  variants[5].hidden = {16, 20};
  variants[5].shape = "100x3";
  variants[6].query_projection = true;
  variants[6].query_hidden = {64, 5};
  variants[7].query_projection = true;
  variants[7].hidden = {20};
  variants[7].own_residual_weight = false;
  variants[7].shape = "40x1+33x2";
  variants[8].query_projection = true;
  variants[8].form = ResidualForm::kInput;
  variants[8].hidden = {16};
  variants[9].metric = Metric::kL2;
  return variants;
}

TEST(EncoderTest, CodesAndFactorsAreWhatTheFormatSays) {
  for (const RandomModelOptions& options : Variants()) {
    const Model model = RandomModel(options);
    const auto encoder = Encoder::Create(model, 0);
    ASSERT_TRUE(encoder.ok()) << encoder.status();
    const CodeSpec& spec = (*encoder)->spec();
    constexpr size_t kRows = 70;
    const std::vector<float> rows = RandomRows(kRows, options.input_dims, 3);
    std::vector<uint32_t> codes(kRows * spec.code_words()), planes(kRows * spec.QueryWords(options.query_levels));
    std::vector<CodeFactors> factors(kRows);
    std::vector<float> weights(kRows * spec.bands().size()), offsets(kRows);
    (*encoder)->EncodeDocuments(rows.data(), kRows, codes.data(), factors.data());
    (*encoder)->EncodeQueries(rows.data(), kRows, planes.data(), weights.data(), offsets.data());
    Reference reference(model);
    size_t close_calls = 0;
    for (size_t r = 0; r < kRows; ++r) {
      for (const bool query : {false, true}) {
        const auto levels = reference.Levels(rows.data() + r * options.input_dims, query);
        bool close = false;  // a sum this near to zero may round to either side, and all that follows may differ
        for (const auto& level : levels) {
          for (const double residual : level) close |= std::abs(residual) < 1e-5;
        }
        close_calls += close;
        if (close) continue;
        const uint32_t query_levels = query ? options.query_levels : 0;
        const uint32_t* words =
            query ? planes.data() + r * spec.QueryWords(query_levels) : codes.data() + r * spec.code_words();
        double energy = 0.0, agreement = 0.0;
        size_t first = 0;
        for (size_t b = 0; b < spec.bands().size(); ++b) {
          const Band& band = spec.bands()[b];
          for (uint32_t i = 0; i < band.dims; ++i) {
            double value = 0.0;
            for (uint32_t t = 0; t < (query ? query_levels : band.levels); ++t) {
              const bool bit = Bit(spec, words, query_levels, b, t, i);
              ASSERT_EQ(bit, levels[t][first + i] >= 0.0)
                  << (query ? "query " : "document ") << r << " band " << b << " level " << t << " dim " << i;
              value += std::ldexp(bit ? 1.0 : -1.0, -static_cast<int>(t));
            }
            energy += band.weight * levels[0][first + i] * levels[0][first + i];
            agreement += band.weight * levels[0][first + i] * value;
          }
          first += band.dims;
        }
        const double scale = agreement > 0.0 ? reference.norm() * energy / agreement : 0.0;
        if (!query) {
          EXPECT_NEAR(factors[r].offset, reference.offset(), 1e-5);
          EXPECT_NEAR(factors[r].scale, scale, 1e-4 * std::abs(scale));
          continue;
        }
        for (size_t b = 0; b < spec.bands().size(); ++b) {
          const Band& band = spec.bands()[b];
          const double expected = reference.product_factor() * scale / options.input_dims * band.weight /
                                  std::ldexp(1.0, query_levels - 1 + band.levels - 1);
          EXPECT_NEAR(weights[r * spec.bands().size() + b], expected, 1e-4 * std::abs(expected));
        }
      }
    }
    EXPECT_LT(close_calls, kRows / 5);
  }
}

// What FORMAT.md says of fitted quantizers, in double.
class FittedReference {
 public:
  FittedReference(const Model& model, std::vector<double> y)
      : runs_(RunsOf(model)), y_(std::move(y)), fine_(model.fine.has_value()) {}

  // The runs of components, with the weight of each.
  static std::vector<Band> RunsOf(const Model& model) {
    std::vector<Band> runs;
    size_t b = 0;
    const LevelPlan plan = model.levels();
    for (const LevelPlan::Run& run : plan.runs()) {
      runs.push_back({run.dims, run.levels, model.spec.bands()[b].weight});
      b += run.levels > 4 ? 2 : 1;
    }
    return runs;
  }

  void FitDocument() {
    double best = -1e300, second = -1e300;
    for (const double t : {1.0, 0.8, 0.9, 1.12, 1.25}) {
      std::vector<int> numbers;
      double agreement = 0.0, energy = 0.0, code_energy = 0.0;
      ForEachDim([&](const Band& band, size_t i) {
        const double half = std::ldexp(1.0, static_cast<int>(band.levels) - 1);
        numbers.push_back(Floor(static_cast<double>(static_cast<float>(t)) * y_[i] * half / 2, half));
        const double value = (2 * numbers.back() + 1 - 2 * half) / half;
        agreement += band.weight * y_[i] * value;
        energy += band.weight * y_[i] * y_[i];
        code_energy += band.weight * value * value;
      });
      const double cosine = agreement / std::sqrt(code_energy);
      second = std::max(second, std::min(best, cosine));
      if (cosine <= best) continue;
      best = cosine;
      numbers_ = numbers;
      scale_ = energy / agreement;
      if (fine_) scale_ = std::pow(scale_, 0.75) * std::pow(agreement / code_energy, 0.25);
    }
    close_ |= best - second < 1e-6 * std::abs(best);
  }

  void FitQuery(uint32_t levels) {
    const double half = std::ldexp(1.0, static_cast<int>(levels) - 1);
    std::vector<double> most(runs_.size(), 0.0);
    size_t at = 0;
    for (size_t run = 0; run < runs_.size(); at += runs_[run++].dims) {
      for (size_t i = 0; i < runs_[run].dims; ++i) {
        most[run] = std::max(most[run], std::abs(y_[at + i]));
        double four = 0.0;
        for (size_t j = i / 4 * 4; j < std::min<size_t>(i / 4 * 4 + 4, runs_[run].dims); ++j)
          four += std::abs(y_[at + j]);
        if (levels == 7) most[run] = std::max(most[run], four * 127 / 251);
      }
    }
    ForEachDim([&](const Band& band, size_t i) {
      const double unit = most[&band - runs_.data()] / (2 * half - 1);
      const double number = y_[i] / (2 * unit);
      numbers_.push_back(Floor(number, half));
    });
    for (const double value : most) units_.push_back(value / (2 * half - 1));
  }

  const std::vector<int>& numbers() const { return numbers_; }
  const std::vector<double>& units() const { return units_; }
  double scale() const { return scale_; }
  bool close() const { return close_; }  // so near to another code that rounding may decide

 private:
  template <typename Visit>
  void ForEachDim(const Visit& visit) const {
    size_t i = 0;
    for (const Band& band : runs_) {
      for (uint32_t j = 0; j < band.dims; ++j) visit(band, i++);
    }
  }
  int Floor(double value, double half) {
    close_ |= std::abs(value - std::round(value)) < 1e-5;
    return static_cast<int>(std::clamp(std::floor(value), -half, half - 1) + half);
  }

  const std::vector<Band> runs_;
  const std::vector<double> y_;
  const bool fine_;
  std::vector<int> numbers_;
  std::vector<double> units_;
  double scale_ = 0.0;
  bool close_ = false;
};

std::vector<RandomModelOptions> FittedVariants() {
  std::vector<RandomModelOptions> variants(7);
  for (RandomModelOptions& options : variants) {
    options.quantizer = Quantizer::kFitted;
    options.query_levels = 6;
  }
  variants[1].query_projection = true;
  variants[1].query_hidden = {16};
  variants[1].shape = "24x4";
  variants[2].hidden = {9};
  variants[2].query_levels = 5;
  variants[2].metric = Metric::kInnerProduct;
  variants[3].levels = "7x8+33x6+5x5+40x1";
  variants[4].levels = "8x4+16x2";
  variants[4].metric = Metric::kInnerProduct;
  variants[5].metric = Metric::kL2;
  variants[5].levels = "9x6+20x2";
  variants[6].query_levels = 7;
  variants[6].levels = "7x8+33x6+2x5+40x1";
  return variants;
}

int NumberOf(const CodeSpec& spec, const uint32_t* words, uint32_t query_levels, size_t band, uint32_t dim) {
  int number = 0;
  const uint32_t levels = query_levels != 0 ? query_levels : spec.bands()[band].levels;
  for (uint32_t t = 0; t < levels; ++t) number = 2 * number + Bit(spec, words, query_levels, band, t, dim);
  return number;
}

TEST(EncoderTest, FittedCodesAreWhatTheFormatSays) {
  for (const RandomModelOptions& options : FittedVariants()) {
    const Model model = RandomModel(options);
    const auto encoder = *Encoder::Create(model, 0);
    const CodeSpec& spec = encoder->spec();
    constexpr size_t kRows = 70;
    const size_t bands = spec.bands().size();
    const std::vector<float> rows = RandomRows(kRows, options.input_dims, 3);
    std::vector<uint32_t> codes(kRows * spec.code_words()), planes(kRows * spec.QueryWords(options.query_levels));
    std::vector<CodeFactors> factors(kRows);
    std::vector<float> weights(kRows * bands), offsets(kRows);
    encoder->EncodeDocuments(rows.data(), kRows, codes.data(), factors.data());
    encoder->EncodeQueries(rows.data(), kRows, planes.data(), weights.data(), offsets.data());
    Reference reference(model);
    size_t close_calls = 0;
    for (size_t r = 0; r < kRows; ++r) {
      FittedReference document(model, reference.Projection(rows.data() + r * options.input_dims, false));
      document.FitDocument();
      FittedReference query(model, reference.Projection(rows.data() + r * options.input_dims, true));
      query.FitQuery(options.query_levels);
      close_calls += document.close() + query.close();
      size_t i = 0, b = 0, run = 0;
      for (const Band& of_run : FittedReference::RunsOf(model)) {
        // The bands of a run: their numbers one after the other are the run's, their queries alike.
        const size_t end = b + (of_run.levels > 4 ? 2 : 1);
        for (uint32_t j = 0; j < of_run.dims; ++j, ++i) {
          int number = 0;
          for (size_t of_band = b; of_band < end; ++of_band) {
            number = (number << spec.bands()[of_band].levels) +
                     NumberOf(spec, codes.data() + r * spec.code_words(), 0, of_band, j);
            if (!query.close()) {
              ASSERT_EQ(NumberOf(spec, planes.data() + r * spec.QueryWords(options.query_levels), options.query_levels,
                                 of_band, j),
                        query.numbers()[i]);
            }
          }
          if (!document.close()) {
            ASSERT_EQ(number, document.numbers()[i]);
          }
        }
        for (; b < end; ++b) {
          const Band& band = spec.bands()[b];
          const double weight = reference.product_factor() * reference.norm() / options.input_dims * band.weight *
                                query.units()[run] / std::ldexp(1.0, static_cast<int>(band.levels) - 1);
          EXPECT_NEAR(weights[r * bands + b], weight, 1e-4 * weight);
        }
        ++run;
      }
      if (!document.close()) {
        EXPECT_NEAR(factors[r].scale, reference.norm() * document.scale(), 1e-4 * factors[r].scale);
      }
      EXPECT_NEAR(factors[r].offset, reference.offset(), 1e-5);
    }
    EXPECT_LT(close_calls, kRows / 5);
  }
}

// Whatever the values: those of four dims share a byte of the kernels' tables.
TEST(EncoderTest, QueriesOfSevenLevelsFitTheKernels) {
  RandomModelOptions options;
  options.quantizer = Quantizer::kFitted;
  options.query_levels = 7;
  options.levels = "40x4+7x2+3x1";
  options.input_dims = 50;
  Model model = RandomModel(options);
  std::fill(model.mean.begin(), model.mean.end(), 0.0f);
  std::fill(model.project.linear.weight.begin(), model.project.linear.weight.end(), 0.0f);
  std::fill(model.project.linear.bias.begin(), model.project.linear.bias.end(), 0.0f);
  for (size_t i = 0; i < 50; ++i) model.project.linear.weight[i * 50 + i] = 1.0f;
  const auto encoder = *Encoder::Create(model, 0);
  const CodeSpec& spec = encoder->spec();
  std::mt19937_64 random(5);
  std::normal_distribution<float> normal;
  int largest = 0;
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<float> row(50);
    for (float& value : row) {
      // All alike, some alike, or as of a projection.
      value = trial % 3 == 0 ? 1.0f : normal(random);
      if (trial % 3 == 1 && std::abs(value) < 1.0f) value = 0.0f;
      if (trial % 3 == 1 && value != 0.0f) value = std::copysign(1.0f + 1e-6f * static_cast<float>(trial), value);
      if (random() % 2 == 0) value = -value;
    }
    std::vector<uint32_t> planes(spec.QueryWords(7));
    std::vector<float> weights(spec.bands().size());
    float offset = 0.0f;
    encoder->EncodeQueries(row.data(), 1, planes.data(), weights.data(), &offset);
    for (size_t b = 0; b < spec.bands().size(); ++b) {
      for (uint32_t first = 0; first < spec.bands()[b].dims; first += 4) {
        int sum = 0;
        for (uint32_t i = first; i < std::min(first + 4, spec.bands()[b].dims); ++i)
          sum += std::abs(2 * NumberOf(spec, planes.data(), 7, b, i) - 127);
        ASSERT_LE(sum, static_cast<int>(simd::kMostOfFour)) << "trial " << trial << ", band " << b << ", dim " << first;
        largest = std::max(largest, sum);
      }
    }
  }
  EXPECT_GE(largest, 248);
}

double Length(const float* row, size_t count) {
  double squared = 0.0;
  for (size_t i = 0; i < count; ++i) squared += double{row[i]} * row[i];
  return std::sqrt(squared);
}

std::vector<RandomModelOptions> GroupedVariants() {
  RandomModelOptions options;
  options.quantizer = Quantizer::kFitted;
  options.query_levels = 6;
  options.groups = 5;
  RandomModelOptions product = options;
  product.metric = Metric::kInnerProduct;
  product.shape = "33x2";
  RandomModelOptions fine = options;
  fine.levels = "3x7+9x2+20x1";
  fine.tried_groups = 3;
  RandomModelOptions distance = fine;
  distance.metric = Metric::kL2;
  RandomModelOptions shared = fine;
  shared.levels = "3x7+9x2t+20x1t";
  shared.bases = 2;
  RandomModelOptions shaped = shared;
  shaped.levels = "5x4t+9x3+4x2t";
  shaped.spread = true;
  RandomModelOptions spanned = shaped;
  spanned.reduced_dims = 20;
  spanned.spans = true;
  return {options, product, fine, distance, shared, shaped, spanned};
}

// Of a model with groups, what one group is by itself: a model of reduced rows.
Model AloneModel(const Model& model, const BasisParameters& basis, const std::vector<float>& mean) {
  Model alone;
  std::vector<Band> bands = model.spec.bands();
  for (size_t b = 0; b < bands.size(); ++b) bands[b].weight = basis.band_weights[b];
  alone.spec = *CodeSpec::Create(bands);
  alone.metric = model.metric == Metric::kL2 ? Metric::kL2 : Metric::kInnerProduct;
  alone.input_dims = model.reduced_dims;
  alone.query_levels = model.query_levels;
  alone.quantizer = Quantizer::kFitted;
  alone.mean = mean;
  if (model.fine.has_value()) alone.fine = FineRules{.levels = model.fine->levels};
  alone.project.linear = {basis.project, std::vector<float>(model.components())};
  return alone;
}

// reduce (x - mean), in double and rounded at the end.
std::vector<float> ReducedRow(const Model& model, const std::vector<double>& x) {
  std::vector<float> reduced;
  for (uint32_t i = 0; i < model.reduced_dims; ++i) {
    double sum = 0.0;
    for (size_t j = 0; j < x.size(); ++j) sum += model.reduce[i * x.size() + j] * (x[j] - model.mean[j]);
    reduced.push_back(static_cast<float>(sum));
  }
  return reduced;
}

// What the errors of the documents of a basis are shaped by; nothing where they are not.
std::unique_ptr<const ErrorShaper> ShaperOf(const Model& model, const BasisParameters& basis) {
  if (model.spread.empty()) return nullptr;
  std::vector<float> weights;
  size_t band = 0;
  for (const LevelPlan::Run& run : model.fine->levels.runs()) {
    weights.insert(weights.end(), run.dims, basis.band_weights[band]);
    band += run.bands();
  }
  return std::make_unique<const ErrorShaper>(basis.project, weights, model.spread);
}

TEST(GroupedEncoderTest, ADocumentIsCodedByTheBestOfTheNearestGroupsAndAQueryByAll) {
  for (const RandomModelOptions& options : GroupedVariants()) {
    const Model model = RandomModel(options);
    const auto binarizer = *MakeBinarizer(model, 0);
    const CodeSpec& spec = binarizer->spec();
    constexpr size_t kRows = 70;
    const size_t n = options.input_dims, bands = spec.bands().size(), groups = spec.groups();
    const size_t words = spec.QueryWords(options.query_levels);
    const std::vector<float> rows = RandomRows(kRows, n, 3);
    std::vector<uint32_t> codes(kRows * spec.code_words()), planes(kRows * groups * words);
    std::vector<CodeFactors> factors(kRows);
    std::vector<float> weights(kRows * groups * bands), offsets(kRows * groups);
    binarizer->EncodeDocuments(rows.data(), kRows, codes.data(), factors.data());
    binarizer->EncodeQueries(rows.data(), kRows, planes.data(), weights.data(), offsets.data());
    std::vector<std::unique_ptr<const Encoder>> alone;
    std::vector<std::vector<float>> means;
    for (const GroupParameters& group : model.groups) {
      means.push_back(ReducedRow(model, {group.mean.begin(), group.mean.end()}));
      alone.push_back(*Encoder::Create(AloneModel(model, model.bases[group.basis], means.back()), 0));
    }
    std::set<uint32_t> used;
    size_t different_bits = 0;
    for (size_t r = 0; r < kRows; ++r) {
      const float* row = rows.data() + r * n;
      std::vector<double> x(row, row + n);
      const double unit = options.metric == Metric::kCosine ? 1.0 / Length(row, n) : 1.0;
      for (double& value : x) value *= unit;
      const std::vector<float> reduced = ReducedRow(model, x);
      const auto distance = [&](uint32_t g) {
        double sum = 0.0;
        for (size_t i = 0; i < reduced.size(); ++i) sum += std::pow(double{reduced[i]} - means[g][i], 2);
        return sum;
      };
      const auto offset_of = [&](uint32_t g) {
        double dot = 0.0, squared = 0.0;
        for (size_t j = 0; j < n; ++j) {
          dot += model.groups[g].mean[j] * x[j];
          squared += std::pow(model.groups[g].mean[j] - x[j], 2);
        }
        return options.metric == Metric::kL2 ? -squared : dot;
      };
      const uint32_t group = factors[r].group;
      ASSERT_LT(group, groups);
      used.insert(group);
      std::vector<uint32_t> code(spec.code_words()), query(words);
      CodeFactors expected;
      const auto shaper = ShaperOf(model, model.bases[model.groups[group].basis]);
      alone[group]->EncodeDocuments(reduced.data(), 1, code.data(), &expected, nullptr, shaper.get());
      for (size_t w = 0; w < code.size(); ++w)
        different_bits += std::popcount(code[w] ^ codes[r * spec.code_words() + w]);
      EXPECT_NEAR(factors[r].scale, expected.scale, 1e-3 * expected.scale);
      EXPECT_NEAR(factors[r].offset, offset_of(group), 1e-5);
      std::vector<std::pair<double, uint32_t>> nearest;
      for (uint32_t g = 0; g < groups; ++g) nearest.emplace_back(distance(g), g);
      std::sort(nearest.begin(), nearest.end());
      double error = 0.0, least = 1e300;
      for (uint32_t i = 0; i < options.tried_groups; ++i) {
        const uint32_t g = nearest[i].second;
        double of_group = 0.0;
        alone[g]->EncodeDocuments(reduced.data(), 1, code.data(), &expected, &of_group);
        least = std::min(least, of_group);
        if (g == group) error = of_group;
      }
      EXPECT_NEAR(error, least, 1e-4 * std::abs(least)) << r;
      for (uint32_t g = 0; g < groups; ++g) {
        std::vector<float> expected_weights(bands);
        float offset = 0.0f;
        alone[g]->EncodeQueries(reduced.data(), 1, query.data(), expected_weights.data(), &offset);
        for (size_t w = 0; w < words; ++w)
          different_bits += std::popcount(query[w] ^ planes[(r * groups + g) * words + w]);
        for (size_t b = 0; b < bands; ++b) {
          EXPECT_NEAR(weights[(r * groups + g) * bands + b], expected_weights[b], 1e-4 * expected_weights[b]);
        }
        const double squared =
            options.metric == Metric::kL2 ? 0.0 : std::pow(Length(model.groups[g].mean.data(), n), 2);
        EXPECT_NEAR(offsets[r * groups + g], offset_of(g) - squared, 1e-5);
      }
    }
    EXPECT_GT(used.size(), 1u);
    EXPECT_LT(different_bits, kRows);  // of values that lie between two numbers
  }
}

TEST(GroupedEncoderTest, QueriesAreEncodedForSomeGroupsAndTheNearestComeFirst) {
  for (const RandomModelOptions& options : GroupedVariants()) {
    const Model model = RandomModel(options);
    const auto binarizer = *MakeBinarizer(model, 0);
    const CodeSpec& spec = binarizer->spec();
    constexpr size_t kRows = 70;
    constexpr uint32_t kMark = 0xABCD1234;
    const size_t n = options.input_dims, bands = spec.bands().size(), groups = spec.groups();
    const size_t words = spec.QueryWords(options.query_levels), codes = kRows * groups;
    const std::vector<float> rows = RandomRows(kRows, n, 3);
    std::vector<uint32_t> planes(codes * words), some(planes.size(), kMark);
    std::vector<float> weights(codes * bands), offsets(codes), some_weights(weights.size()), some_offsets(codes);
    binarizer->EncodeQueries(rows.data(), kRows, planes.data(), weights.data(), offsets.data());
    std::mt19937_64 random(4);
    std::vector<GroupSet> wanted(kRows);
    for (GroupSet& set : wanted) set = random() % 5 == 0 ? 0 : random();
    binarizer->EncodeQueriesOf(wanted, rows.data(), some.data(), some_weights.data(), some_offsets.data());
    std::vector<float> nearness(codes);
    binarizer->RankGroups(rows.data(), kRows, nearness.data());
    std::vector<std::vector<float>> means;
    for (const GroupParameters& group : model.groups)
      means.push_back(ReducedRow(model, {group.mean.begin(), group.mean.end()}));
    for (size_t r = 0; r < kRows; ++r) {
      const float* row = rows.data() + r * n;
      std::vector<double> x(row, row + n);
      for (double& value : x) value *= options.metric == Metric::kCosine ? 1.0 / Length(row, n) : 1.0;
      const std::vector<float> reduced = ReducedRow(model, x);
      // Nearness is half of what the squared length of the row is more than the squared distance.
      const double squared = std::inner_product(reduced.begin(), reduced.end(), reduced.begin(), 0.0);
      for (uint32_t g = 0; g < groups; ++g) {
        const size_t at = r * groups + g;
        double distance = 0.0;
        for (size_t i = 0; i < reduced.size(); ++i) distance += std::pow(double{reduced[i]} - means[g][i], 2);
        EXPECT_NEAR(nearness[at], (squared - distance) / 2, 1e-4 * (squared + distance));
        const bool is_wanted = (wanted[r] & OneGroup(g)) != 0;
        for (size_t w = 0; w < words; ++w) EXPECT_EQ(some[at * words + w], is_wanted ? planes[at * words + w] : kMark);
        for (size_t b = 0; is_wanted && b < bands; ++b)
          EXPECT_EQ(some_weights[at * bands + b], weights[at * bands + b]);
        EXPECT_EQ(some_offsets[at], is_wanted ? offsets[at] : 0.0f);
      }
    }
  }
}

std::vector<RandomModelOptions> TranslatedVariants() {
  std::vector<RandomModelOptions> variants = GroupedVariants();
  variants.push_back(FittedVariants()[3]);
  for (size_t i = 0; i < variants.size(); ++i) {
    variants[i].translation_dims = 17;
    if (i % 2 == 1) variants[i].translation_hidden = {9, 30};
    variants[i].translated_queries = i != 0;
  }
  return variants;
}

// D(x - mean), in double.
std::vector<double> Translated(const Translation& translation, const BlockParameters& block, const float* row,
                               Metric metric) {
  const size_t k = translation.input_dims;
  const double unit = metric == Metric::kCosine ? 1.0 / Length(row, k) : 1.0;
  std::vector<double> x;
  for (size_t i = 0; i < k; ++i) x.push_back(row[i] * unit - translation.mean[i]);
  return Reference::Apply(block, x, k, block.linear.weight);
}

TEST(TranslatedEncoderTest, RowsAreCodedAsWhatTheyAreTranslatedTo) {
  for (const RandomModelOptions& options : TranslatedVariants()) {
    Model model = RandomModel(options);
    const auto encoder = *TranslatedEncoder::Create(model, 5);
    const Translation translation = *model.translation;
    model.translation.reset();
    const auto inner = *MakeBinarizer(model, 0);
    EXPECT_EQ(encoder->input_dims(), 17u);
    EXPECT_EQ(encoder->checksum(), 5u);
    EXPECT_EQ(encoder->spec(), inner->spec());
    EXPECT_EQ(encoder->groups_checksum(), inner->groups_checksum());
    EXPECT_EQ(encoder->groups_checksum() != 0, options.groups > 1);
    constexpr size_t kRows = 130;
    const size_t n = options.input_dims, groups = inner->spec().groups();
    const std::vector<float> rows = RandomRows(kRows, 17, 3);
    for (const bool queries : {false, true}) {
      std::vector<float> translated(kRows * n);
      encoder->Translate(rows.data(), kRows, queries, translated.data());
      for (size_t r = 0; r < kRows; ++r) {
        const BlockParameters& block = queries && options.translated_queries ? translation.query : translation.document;
        const std::vector<double> expected = Translated(translation, block, rows.data() + r * 17, options.metric);
        for (size_t i = 0; i < n; ++i) ASSERT_NEAR(translated[r * n + i], expected[i], 1e-4);
      }
      if (queries) {
        const size_t words = groups * inner->spec().QueryWords(6), bands = groups * inner->spec().bands().size();
        std::vector<uint32_t> planes(kRows * words), expected(planes.size());
        std::vector<float> weights(kRows * bands), expected_weights(weights.size()), offsets(kRows * groups),
            expected_offsets(offsets.size());
        encoder->EncodeQueries(rows.data(), kRows, planes.data(), weights.data(), offsets.data());
        inner->EncodeQueries(translated.data(), kRows, expected.data(), expected_weights.data(),
                             expected_offsets.data());
        EXPECT_EQ(planes, expected);
        EXPECT_EQ(weights, expected_weights);
        EXPECT_EQ(offsets, expected_offsets);
        std::vector<float> nearness(kRows * groups), expected_nearness(nearness.size());
        encoder->RankGroups(rows.data(), kRows, nearness.data());
        inner->RankGroups(translated.data(), kRows, expected_nearness.data());
        EXPECT_EQ(nearness, expected_nearness);
        std::vector<GroupSet> wanted(kRows);
        for (size_t r = 0; r < kRows; ++r) wanted[r] = r * 0x9E3779B97F4A7C15u;
        std::fill(planes.begin(), planes.end(), 7u);
        std::fill(expected.begin(), expected.end(), 7u);
        encoder->EncodeQueriesOf(wanted, rows.data(), planes.data(), weights.data(), offsets.data());
        inner->EncodeQueriesOf(wanted, translated.data(), expected.data(), expected_weights.data(),
                               expected_offsets.data());
        EXPECT_EQ(planes, expected);
        continue;
      }
      std::vector<uint32_t> codes(kRows * inner->spec().code_words()), expected(codes.size());
      std::vector<CodeFactors> factors(kRows), expected_factors(kRows);
      encoder->EncodeDocuments(rows.data(), kRows, codes.data(), factors.data());
      inner->EncodeDocuments(translated.data(), kRows, expected.data(), expected_factors.data());
      EXPECT_EQ(codes, expected);
      for (size_t r = 0; r < kRows; ++r) {
        EXPECT_EQ(factors[r].group, expected_factors[r].group);
        EXPECT_NEAR(factors[r].scale, 1.1f * expected_factors[r].scale, 1e-6 * factors[r].scale);
        EXPECT_NEAR(factors[r].offset, expected_factors[r].offset - 0.02f, 1e-5);
      }
    }
    if (options.metric == Metric::kInnerProduct) {
      std::vector<float> long_row(rows.begin(), rows.begin() + 17);
      float factor = 0.0f;
      encoder->ScaleQueries(long_row.data(), 1, &factor);
      EXPECT_NEAR(Length(long_row.data(), 17), 3.0, 1e-5);
      EXPECT_NEAR(factor, Length(rows.data(), 17) / 3.0, 1e-5);
    }
  }
}

TEST(TranslatedEncoderTest, GroupsAreToldByWhatCodesThem) {
  RandomModelOptions options = GroupedVariants()[2];
  const uint32_t checksum = (*MakeBinarizer(RandomModel(options), 0))->groups_checksum();
  Model model = RandomModel(options);
  model.trained = "another time";
  EXPECT_EQ((*MakeBinarizer(model, 0))->groups_checksum(), checksum);
  model.bases[1].project[3] += 0.5f;
  EXPECT_NE((*MakeBinarizer(model, 0))->groups_checksum(), checksum);
  model = RandomModel(options);
  model.mean[0] += 0.5f;
  EXPECT_NE((*MakeBinarizer(model, 0))->groups_checksum(), checksum);
}

TEST(EncoderTest, ARowsCodeDependsOnTheRowAlone) {
  std::vector<RandomModelOptions> variants = Variants();
  for (const RandomModelOptions& options : FittedVariants()) variants.push_back(options);
  for (const RandomModelOptions& options : GroupedVariants()) variants.push_back(options);
  for (const RandomModelOptions& options : TranslatedVariants()) variants.push_back(options);
  for (const RandomModelOptions& options : variants) {
    const auto encoder = *MakeBinarizer(RandomModel(options), 0);
    const CodeSpec& spec = encoder->spec();
    constexpr size_t kRows = 131;
    const size_t dims = encoder->input_dims();
    const std::vector<float> rows = RandomRows(kRows, dims, 9);
    std::vector<uint32_t> together(kRows * spec.code_words()), alone(together.size());
    std::vector<CodeFactors> together_factors(kRows), alone_factors(kRows);
    encoder->EncodeDocuments(rows.data(), kRows, together.data(), together_factors.data());
    const auto encode_some = [&](size_t part) {
      for (size_t r = part; r < kRows; r += 2) {
        encoder->EncodeDocuments(rows.data() + r * dims, 1, alone.data() + r * spec.code_words(), &alone_factors[r]);
      }
    };
    std::thread other(encode_some, 1);
    encode_some(0);
    other.join();
    EXPECT_EQ(alone, together);
    for (size_t r = 0; r < kRows; ++r) {
      EXPECT_EQ(alone_factors[r].scale, together_factors[r].scale);
      EXPECT_EQ(alone_factors[r].offset, together_factors[r].offset);
      EXPECT_EQ(alone_factors[r].group, together_factors[r].group);
    }
  }
}

TEST(EncoderTest, QueriesOfInnerProductAreCodedWithTheLengthOfTheDocuments) {
  RandomModelOptions options;
  options.metric = Metric::kInnerProduct;
  Model model = RandomModel(options);
  const size_t n = options.input_dims;
  const double mean = Length(model.mean.data(), n);
  constexpr size_t kRows = 40;
  for (const float row_length : {0.0f, 3.5f}) {
    model.row_length = row_length;
    const auto encoder = *Encoder::Create(model, 0);
    for (const float times : {1e-30f, 0.01f, 1.0f, 1e9f}) {
      std::vector<float> rows = RandomRows(kRows, options.input_dims, 4), factors(kRows);
      for (float& value : rows) value *= times;
      std::vector<float> scaled = rows;
      encoder->ScaleQueries(scaled.data(), kRows, factors.data());
      for (size_t r = 0; r < kRows; ++r) {
        const float* row = scaled.data() + r * n;
        const double before = Length(rows.data() + r * n, n), length = Length(row, n);
        for (size_t i = 0; i < n; ++i) EXPECT_NEAR(row[i] * factors[r], rows[r * n + i], 1e-6 * before);
        if (row_length > 0) {
          EXPECT_NEAR(length, row_length, 1e-5);
        } else if (before >= mean && before <= 20 * mean) {
          EXPECT_EQ(length, before);
        } else if (length < 19.999 * mean) {
          double along = 0.0;
          for (size_t i = 0; i < n; ++i) along += double{row[i]} * model.mean[i];
          EXPECT_NEAR(along, mean * mean, 1e-5);
        } else {
          EXPECT_NEAR(length, 20 * mean, 1e-5 * mean);
        }
      }
    }
  }
  for (const Metric metric : {Metric::kCosine, Metric::kL2}) {
    options.metric = metric;
    std::vector<float> rows = RandomRows(kRows, options.input_dims, 4), factors(kRows);
    const std::vector<float> before = rows;
    (*Encoder::Create(RandomModel(options), 0))->ScaleQueries(rows.data(), kRows, factors.data());
    EXPECT_EQ(rows, before);
    EXPECT_EQ(factors, std::vector<float>(kRows, 1.0f));
  }
}

class OddRowsTest : public testing::TestWithParam<std::tuple<Quantizer, Metric>> {};

TEST_P(OddRowsTest, GiveFiniteFactors) {
  RandomModelOptions options;
  std::tie(options.quantizer, options.metric) = GetParam();
  Model model = RandomModel(options);
  const auto encoder = *Encoder::Create(model, 0);
  std::vector<float> rows(4 * options.input_dims, 0.0f);  // row 0: zero
  for (uint32_t i = 0; i < options.input_dims; ++i) {
    rows[options.input_dims + i] = 3e38f;       // row 1: as large as floats are
    rows[2 * options.input_dims + i] = 1e-42f;  // row 2: denormal
    rows[3 * options.input_dims + i] = i == 0 ? -3e38f : 0.0f;
  }
  std::vector<uint32_t> codes(4 * encoder->spec().code_words());
  std::vector<CodeFactors> factors(4);
  encoder->EncodeDocuments(rows.data(), 4, codes.data(), factors.data());
  for (const CodeFactors& factor : factors) {
    EXPECT_TRUE(std::isfinite(factor.scale));
    EXPECT_TRUE(std::isfinite(factor.offset));
  }
  std::vector<uint32_t> planes(4 * encoder->spec().QueryWords(options.query_levels));
  std::vector<float> weights(4 * encoder->spec().bands().size()), offsets(4);
  encoder->EncodeQueries(rows.data(), 4, planes.data(), weights.data(), offsets.data());
  for (const float weight : weights) EXPECT_TRUE(std::isfinite(weight));
}

INSTANTIATE_TEST_SUITE_P(Quantizers, OddRowsTest,
                         testing::Combine(testing::Values(Quantizer::kRecurrent, Quantizer::kFitted),
                                          testing::Values(Metric::kCosine, Metric::kL2)));

}  // namespace
}  // namespace bebr
