#include "index/binarizer/fitted_quantizer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <span>

#include "index/binarizer/dot.h"
#include "index/binarizer/trellis.h"
#include "index/simd/kernels.h"

namespace bebr {
namespace {

// The first is tried first and kept where no other is better.
constexpr float kScales[] = {1.0f, 0.8f, 0.9f, 1.12f, 1.25f};
constexpr float kTrellisScales[] = {1.0f, 0.9f, 1.12f};  // of a model with trellis-coded runs, likewise
constexpr float kLeastSpread = 1e-30f;                   // of a query's band; less is nothing
// Of 7 levels: what the scaled magnitudes of four values sum to at most, so that the odd integers that they are rounded
// to, each at most one further from 0, sum to no more than kernels take. (Four odd integers sum to an even one.)
constexpr uint32_t kWideLevels = 7;
constexpr float kMostOfFour = 251.0f;
static_assert(kWideLevels == kMaxQueryLevels && kMostOfFour + 4.0f <= static_cast<float>(simd::kMostOfFour));

// The number of the interval that factor * y falls into, of 2^levels of length 1 around 0.
uint8_t Round(float y, float factor, uint32_t levels) {
  const auto half = static_cast<float>(1u << (levels - 1));
  const float x = std::min(std::max(-half, y * factor), half - 0.5f);  // -half if it is no number
  auto below = static_cast<int>(x);
  below -= static_cast<float>(below) > x;
  return static_cast<uint8_t>(below + static_cast<int>(half));
}

static_assert(std::endian::native == std::endian::little, "the first of eight numbers is the lowest byte");

// Bit `bit` of up to eight numbers, the first one's lowest.
uint32_t BitOfEach(const uint8_t* numbers, uint32_t count, uint32_t bit) {
  uint64_t eight = 0;
  std::memcpy(&eight, numbers, count);
  constexpr uint64_t kLowest = 0x0101010101010101, kGather = 0x0102040810204080;
  return static_cast<uint32_t>(((eight >> bit & kLowest) * kGather) >> 56);
}

// The levels of `dims` numbers, most significant bit first, as CodeSpec packs them; returns the words' end.
uint32_t* Pack(const uint8_t* numbers, uint32_t dims, uint32_t levels, uint32_t* words) {
  for (uint32_t level = 0; level < levels; ++level) {
    for (uint32_t first = 0; first < dims; first += 32) {
      const uint32_t count = std::min(32u, dims - first);
      uint32_t word = 0;
      for (uint32_t i = 0; i < count; i += 8)
        word |= BitOfEach(numbers + first + i, std::min(8u, count - i), levels - 1 - level) << i;
      *words++ = word;
    }
  }
  return words;
}

// What the outermost of a query's values, those that 2^levels - 1 stands for, are: the largest of y or, of 7 levels, as
// much more as leaves room for each four of them.
float SpreadOf(const float* y, uint32_t dims, uint32_t levels) {
  float largest = 0.0f, most_of_four = 0.0f;
  for (uint32_t first = 0; first < dims; first += 4) {
    float of_four = 0.0f;
    for (uint32_t i = first; i < std::min(first + 4, dims); ++i) {
      const float magnitude = std::fabs(y[i]);
      largest = std::max(largest, magnitude);
      of_four += magnitude;
    }
    most_of_four = std::max(most_of_four, of_four);
  }
  if (levels < kWideLevels) return largest;
  constexpr auto kMost = static_cast<float>((1u << kWideLevels) - 1);
  return std::max(largest, most_of_four * (kMost / kMostOfFour));
}

// One code of a document: its numbers and values, and how well it stands for y.
struct Candidate {
  std::vector<uint8_t> numbers;
  std::vector<float> values;
  double agreement = 0.0;  // <code, y>, weighted by band
  double energy = 0.0;     // |code|^2, likewise

  double Cosine() const { return energy > 0.0 ? agreement / std::sqrt(energy) : 0.0; }
};

// The numbers and values of a trellis-coded run. The values of its derived code of levels + 1 levels lie 2^(1 - levels)
// apart, those of the number in the middle at 0.
void QuantizeTrellis(uint32_t dims, uint32_t levels, const float* y, float scale, uint8_t* numbers, float* values) {
  const float factor = scale * std::ldexp(1.0f, static_cast<int>(levels) - 1);
  const float step = std::ldexp(1.0f, 1 - static_cast<int>(levels));
  const float middle = static_cast<float>(1u << levels) - 0.5f;
  for (uint32_t first = 0; first < dims; first += 32) {
    const uint32_t count = std::min(32u, dims - first);
    float x[32];
    uint8_t derived[32];
    for (uint32_t i = 0; i < count; ++i) x[i] = y[first + i] * factor + middle;
    EncodeTrellis(x, count, levels, numbers + first, derived);
    for (uint32_t i = 0; i < count; ++i) values[first + i] = (static_cast<float>(derived[i]) - middle) * step;
  }
}

template <typename Runs>
void Quantize(const Runs& runs, const float* y, float scale, Candidate& out) {
  out.agreement = out.energy = 0.0;
  size_t first = 0;
  for (const auto& band : runs) {
    const float factor = scale * std::ldexp(1.0f, static_cast<int>(band.levels) - 2);
    const float step = std::ldexp(1.0f, 2 - static_cast<int>(band.levels));
    const float least = (0.5f - static_cast<float>(1u << (band.levels - 1))) * step;
    float* values = out.values.data() + first;
    if (band.trellis) QuantizeTrellis(band.dims, band.levels, y + first, scale, out.numbers.data() + first, values);
    for (uint32_t i = 0; !band.trellis && i < band.dims; ++i) {
      const uint8_t number = Round(y[first + i], factor, band.levels);
      out.numbers[first + i] = number;
      values[i] = least + static_cast<float>(number) * step;
    }
    out.agreement += band.weight * Dot(values, y + first, band.dims);
    out.energy += band.weight * Dot(values, values, band.dims);
    first += band.dims;
  }
}

// As QuantizeTrellis of y / fitting, but with errors that are shaped; `first` is the run's first component, `errors`
// are those of all before it, to which the run's are added.
void ShapeTrellis(uint32_t dims, uint32_t levels, const float* y, float scale, const ErrorShaper& shaper, size_t start,
                  float* errors, uint8_t* numbers, float* values) {
  const float factor = std::ldexp(1.0f, static_cast<int>(levels) - 1);
  const float step = std::ldexp(1.0f, 1 - static_cast<int>(levels));
  const float middle = static_cast<float>(1u << levels) - 0.5f;
  for (uint32_t first = 0; first < dims; first += 32) {
    const uint32_t count = std::min(32u, dims - first);
    const size_t before = start + first;
    float x[32], shifts[32], weights[32];
    const float* rows[32];
    uint8_t derived[32];
    for (uint32_t i = 0; i < count; ++i) {
      x[i] = y[before + i] * (scale * factor) + middle;
      shifts[i] = static_cast<float>(shaper.Carried(before + i, errors, before)) * factor;
      weights[i] = shaper.weight(before + i);
      rows[i] = shaper.row(before + i) + before;
    }
    EncodeShapedTrellis(x, shifts, rows, weights, count, levels, numbers + before, derived);
    for (uint32_t i = 0; i < count; ++i) {
      values[before + i] = (static_cast<float>(derived[i]) - middle) * step;
      errors[before + i] = y[before + i] * scale - values[before + i];
    }
  }
}

// A code of scale * y with shaped errors, which it writes.
template <typename Runs>
void ShapeErrors(const Runs& runs, const float* y, float scale, const ErrorShaper& shaper, float* errors,
                 Candidate& out) {
  out.agreement = out.energy = 0.0;
  size_t first = 0;
  for (const auto& run : runs) {
    if (run.trellis) {
      ShapeTrellis(run.dims, run.levels, y, scale, shaper, first, errors, out.numbers.data(), out.values.data());
    } else {
      const float factor = std::ldexp(1.0f, static_cast<int>(run.levels) - 2);
      const float step = std::ldexp(1.0f, 2 - static_cast<int>(run.levels));
      const float least = (0.5f - static_cast<float>(1u << (run.levels - 1))) * step;
      for (size_t i = first; i < first + run.dims; ++i) {
        const float target = y[i] * scale, shift = static_cast<float>(shaper.Carried(i, errors, i));
        out.numbers[i] = Round(target + shift, factor, run.levels);
        out.values[i] = least + static_cast<float>(out.numbers[i]) * step;
        errors[i] = target - out.values[i];
      }
    }
    out.agreement += run.weight * Dot(out.values.data() + first, y + first, run.dims);
    out.energy += run.weight * Dot(out.values.data() + first, out.values.data() + first, run.dims);
    first += run.dims;
  }
}

}  // namespace

FittedQuantizer::FittedQuantizer(const Model& model)
    : dims_(model.components()), trellis_(model.spec.trellis()), tempered_(model.fine.has_value()) {
  const LevelPlan plan = model.levels();
  size_t band = 0;
  for (const LevelPlan::Run& run : plan.runs()) {
    runs_.push_back({run.dims, run.levels, run.bands(), run.trellis, model.spec.bands()[band].weight});
    band += run.bands();
  }
}

FittedQuantizer::Fit FittedQuantizer::EncodeDocument(const float* y, uint32_t* code, const ErrorShaper* shaper) const {
  static thread_local Candidate best, next;
  for (Candidate* candidate : {&best, &next}) {
    candidate->numbers.resize(dims_);
    candidate->values.resize(dims_);
  }
  const std::span<const float> scales =
      trellis_ ? std::span<const float>(kTrellisScales) : std::span<const float>(kScales);
  Quantize(runs_, y, scales[0], best);
  for (size_t i = 1; i < scales.size(); ++i) {
    Quantize(runs_, y, scales[i], next);
    if (next.Cosine() > best.Cosine()) std::swap(best, next);
  }
  if (shaper != nullptr && best.agreement > 0.0) {
    static thread_local std::vector<float> errors, shaped;
    errors.resize(dims_);
    shaped.resize(dims_);
    const float scale = Finite(best.energy / best.agreement);
    for (size_t i = 0; i < dims_; ++i) errors[i] = y[i] * scale - best.values[i];
    ShapeErrors(runs_, y, scale, *shaper, shaped.data(), next);
    if (next.agreement > 0.0 && shaper->Error(shaped.data()) < shaper->Error(errors.data())) std::swap(best, next);
  }
  double energy = 0.0;
  size_t first = 0;
  for (const Run& run : runs_) {
    energy += run.weight * Dot(y + first, y + first, run.dims);
    code = Pack(best.numbers.data() + first, run.dims, run.levels, code);
    first += run.dims;
  }
  if (!(best.agreement > 0.0)) return {};
  const double unbiased = energy / best.agreement, fitting = best.agreement / best.energy;
  const double root = std::sqrt(unbiased / fitting);
  return {tempered_ ? fitting * root * std::sqrt(root) : unbiased, best.agreement * fitting};
}

void FittedQuantizer::EncodeQuery(const float* y, uint32_t levels, uint32_t* planes, double* units) const {
  static thread_local std::vector<uint8_t> numbers;
  numbers.resize(dims_);
  const auto most = static_cast<float>((1u << levels) - 1);
  for (const Run& run : runs_) {
    const uint32_t dims = run.dims;
    const float spread = SpreadOf(y, dims, levels);
    const bool any = spread > kLeastSpread && std::isfinite(spread);
    const float factor = any ? 0.5f * most / spread : 0.0f;
    for (uint32_t i = 0; i < dims; ++i) numbers[i] = Round(y[i], factor, levels);
    // A band of further levels is compared with the same values.
    for (uint32_t band = 0; band < run.bands; ++band) {
      planes = Pack(numbers.data(), dims, levels, planes);
      *units++ = any ? static_cast<double>(spread) / most : 0.0;
    }
    y += dims;
  }
}

}  // namespace bebr
