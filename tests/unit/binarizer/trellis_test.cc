#include "index/binarizer/trellis.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "index/binarizer/encoder.h"
#include "index/binarizer/error_shaper.h"
#include "index/binarizer/fitted_quantizer.h"
#include "tests/unit/binarizer/random_model.h"

namespace bebr {
namespace {

// The value of the derived code nearest to x among those that the branches of this and the last dimensions allow.
int Nearest(float x, uint32_t levels, uint32_t branches, uint32_t i) {
  const auto branch = [&](uint32_t before) { return i < before ? 0u : branches >> (i - before) & 1u; };
  const int z = static_cast<int>(2 * (branch(0) ^ branch(1) ^ branch(3)) + branch(2));
  int best = z;
  for (int c = z; c < 1 << (levels + 1); c += 4) {
    if (std::fabs(x - static_cast<float>(c)) < std::fabs(x - static_cast<float>(best))) best = c;
  }
  return best;
}

// The values that a code stands for, those of all bands of a run summed up.
std::vector<float> ValuesOf(const Model& model, const std::vector<uint32_t>& code) {
  const CodeSpec scored = model.spec.Derived();
  std::vector<uint32_t> derived(scored.code_words());
  model.spec.Derive(code.data(), derived.data());
  std::vector<float> values;
  const uint32_t* words = derived.data();
  size_t b = 0;
  for (const LevelPlan::Run& run : model.fine->levels.runs()) {
    const size_t first = values.size();
    const float of_first = model.spec.bands()[b].weight;
    values.resize(first + run.dims);
    for (const size_t end = b + run.bands(); b < end; ++b) {
      const Band& band = scored.bands()[b];
      const uint32_t plane = CodeSpec::PlaneWords(band.dims);
      for (uint32_t level = 0; level < band.levels; ++level) {
        for (uint32_t i = 0; i < band.dims; ++i) {
          const float value = std::ldexp(model.spec.bands()[b].weight / of_first, -static_cast<int>(level));
          values[first + i] += (words[level * plane + i / 32] >> (i % 32) & 1u) != 0 ? value : -value;
        }
      }
      words += band.levels * plane;
    }
  }
  return values;
}

TEST(TrellisTest, NoWordOfBranchesIsBetter) {
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal;
  for (int round = 0; round < 300; ++round) {
    const uint32_t levels = 1 + round % 4, count = 1 + static_cast<uint32_t>(random() % 10);
    std::vector<float> x(count);
    for (float& value : x) value = std::ldexp(1.0f + 0.6f * normal(random), static_cast<int>(levels));
    std::vector<uint8_t> numbers(count), derived(count);
    EncodeTrellis(x.data(), count, levels, numbers.data(), derived.data());
    double best = std::numeric_limits<double>::infinity(), found = 0.0;
    for (uint32_t branches = 0; branches < 1u << count; ++branches) {
      double cost = 0.0;
      for (uint32_t i = 0; i < count; ++i) cost += std::pow(x[i] - Nearest(x[i], levels, branches, i), 2);
      best = std::min(best, cost);
    }
    uint32_t branches = 0;
    for (uint32_t i = 0; i < count; ++i) branches |= (numbers[i] & 1u) << i;
    for (uint32_t i = 0; i < count; ++i) {
      EXPECT_EQ(derived[i], Nearest(x[i], levels, branches, i));
      EXPECT_EQ(derived[i] >> 2, numbers[i] >> 1);
      found += std::pow(x[i] - derived[i], 2);
    }
    EXPECT_NEAR(found, best, 1e-5 * (1.0 + best)) << levels << " levels, " << count << " values";
  }
}

// One way through the trellis: what it costs, and its codes.
struct Way {
  float cost = std::numeric_limits<float>::infinity();
  std::vector<float> errors, codes;
};

// EncodeShapedTrellis's search, a state at a time.
std::vector<float> ShapedCodes(const std::vector<float>& x, const std::vector<float>& shifts,
                               const std::vector<std::vector<float>>& rows, const std::vector<float>& weights,
                               uint32_t levels) {
  std::vector<Way> ways(8);
  ways[0].cost = 0.0f;
  for (size_t i = 0; i < x.size(); ++i) {
    std::vector<Way> next(8);
    for (uint32_t state = 0; state < 8; ++state) {
      const Way& way = ways[state];
      float target = 0.0f;
      for (size_t j = 0; j < i && way.cost < 1e30f; ++j) target += way.errors[j] * rows[i][j];
      target += x[i] + shifts[i];
      for (uint32_t branch = 0; branch < 2 && way.cost < 1e30f; ++branch) {
        const uint32_t z = 2 * (branch ^ (state & 1) ^ state >> 2) + (state >> 1 & 1);
        int code = static_cast<int>(z);
        for (int c = code; c < 1 << (levels + 1); c += 4) {
          if (std::fabs(target - static_cast<float>(c)) < std::fabs(target - static_cast<float>(code))) code = c;
        }
        const float miss = target - static_cast<float>(code);
        const float cost = way.cost + miss * miss * weights[i];
        Way& to = next[(2 * state + branch) & 7];
        if (!(cost < to.cost)) continue;
        to = way;
        to.cost = cost;
        to.errors.push_back(x[i] - static_cast<float>(code));
        to.codes.push_back(static_cast<float>(code));
      }
    }
    ways = next;
  }
  return std::min_element(ways.begin(), ways.end(), [](const Way& a, const Way& b) { return a.cost < b.cost; })->codes;
}

TEST(TrellisTest, EachWayCarriesItsErrorsAlong) {
  std::mt19937_64 random(2);
  std::normal_distribution<float> normal;
  for (int round = 0; round < 400; ++round) {
    const uint32_t levels = 1 + round % 4, count = 1 + static_cast<uint32_t>(random() % 32);
    const float carried = round % 5 == 0 ? 0.0f : 0.2f;
    std::vector<float> x(count), shifts(count), weights(count);
    std::vector<std::vector<float>> rows(count, std::vector<float>(count));
    std::vector<const float*> row_pointers;
    for (uint32_t i = 0; i < count; ++i) {
      x[i] = std::ldexp(1.0f + 0.6f * normal(random), static_cast<int>(levels));
      shifts[i] = carried * normal(random);
      weights[i] = carried > 0.0f ? 0.5f + std::fabs(normal(random)) : 1.0f;
      for (uint32_t j = 0; j < i; ++j) rows[i][j] = carried * normal(random);
      row_pointers.push_back(rows[i].data());
    }
    std::vector<uint8_t> numbers(count), derived(count), plain(count), plain_derived(count);
    EncodeShapedTrellis(x.data(), shifts.data(), row_pointers.data(), weights.data(), count, levels, numbers.data(),
                        derived.data());
    const std::vector<float> expected = ShapedCodes(x, shifts, rows, weights, levels);
    uint32_t branches = 0;
    for (uint32_t i = 0; i < count; ++i) branches |= (numbers[i] & 1u) << i;
    for (uint32_t i = 0; i < count; ++i) {
      ASSERT_EQ(derived[i], expected[i]) << round << ", value " << i;
      EXPECT_EQ(derived[i] >> 2, numbers[i] >> 1);
      EXPECT_EQ(derived[i] & 3, Nearest(-1e9f, levels, branches, i));
    }
    if (carried > 0.0f) continue;
    EncodeTrellis(x.data(), count, levels, plain.data(), plain_derived.data());
    EXPECT_EQ(numbers, plain);
  }
}

TEST(TrellisTest, ShapedErrorsCostQueriesLess) {
  RandomModelOptions options;
  options.quantizer = Quantizer::kFitted;
  options.query_levels = 6;
  for (const char* levels : {"5x6+40x4t+15x3t", "20x4+40x3"}) {
    options.levels = levels;
    const Model model = RandomModel(options);
    const FittedQuantizer quantizer(model);
    // Directions of which the first ones matter most.
    const std::vector<float> project = RandomRows(60, 60, 5), rows = RandomRows(100, 60, 3);
    std::vector<float> weights, spread;
    size_t band = 0;
    for (const LevelPlan::Run& run : model.fine->levels.runs()) {
      weights.insert(weights.end(), run.dims, model.spec.bands()[band].weight);
      band += run.bands();
    }
    for (int i = 0; i < 60; ++i) spread.push_back(1.0f / static_cast<float>(1 + i));
    const ErrorShaper shaper(project, weights, spread);
    double before = 0.0, after = 0.0;
    for (size_t row = 0; row < 100; ++row) {
      const float* y = rows.data() + row * 60;
      std::vector<uint32_t> code(model.spec.code_words()), shaped(code), again(code);
      const FittedQuantizer::Fit fit = quantizer.EncodeDocument(y, code.data());
      const FittedQuantizer::Fit of_shaped = quantizer.EncodeDocument(y, shaped.data(), &shaper);
      quantizer.EncodeDocument(y, again.data(), &shaper);
      EXPECT_EQ(shaped, again);
      EXPECT_GT(of_shaped.factor, 0.0);
      EXPECT_LE(of_shaped.energy, fit.energy * 1.0001);
      const auto error = [&](const std::vector<uint32_t>& of) {
        const std::vector<float> values = ValuesOf(model, of);
        double agreement = 0.0, energy = 0.0;
        for (size_t i = 0; i < 60; ++i) {
          agreement += weights[i] * values[i] * y[i];
          energy += weights[i] * values[i] * values[i];
        }
        double sum = 0.0;
        for (size_t k = 0; k < 60; ++k) {
          double along = 0.0;
          for (size_t i = 0; i < 60; ++i)
            along += weights[i] * (y[i] - values[i] * agreement / energy) * project[i * 60 + k];
          sum += spread[k] * along * along;
        }
        return sum;
      };
      before += error(code);
      after += error(shaped);
    }
    EXPECT_LT(after, 0.93 * before) << levels;
  }
}

TEST(TrellisTest, TakesAnyNumbers) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float value : {0.0f, 1e30f, -1e30f, infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
    const std::vector<float> x(32, value);
    std::vector<uint8_t> numbers(32), derived(32), again(32);
    EncodeTrellis(x.data(), 32, 3, numbers.data(), derived.data());
    EncodeTrellis(x.data(), 32, 3, again.data(), derived.data());
    EXPECT_EQ(numbers, again);
    for (size_t i = 0; i < 32; ++i) {
      EXPECT_LT(numbers[i], 8);
      EXPECT_LT(derived[i], 16);
    }
  }
}

TEST(ErrorShaperTest, WeighsErrorsByWhatQueriesSeeOfThem) {
  const std::vector<float> project = RandomRows(12, 7, 1), errors = RandomRows(1, 12, 2);
  std::vector<float> weights(12), spread(7);
  for (size_t i = 0; i < 12; ++i) weights[i] = 0.3f + 0.1f * static_cast<float>(i);
  for (size_t k = 0; k < 7; ++k) spread[k] = 1.0f / static_cast<float>(k + 1);
  const ErrorShaper shaper(project, weights, spread);
  double expected = 0.0;
  for (size_t i = 0; i < 12; ++i) {
    for (size_t j = 0; j < 12; ++j) {
      double product = 0.0;
      for (size_t k = 0; k < 7; ++k) product += double{project[i * 7 + k]} * spread[k] * project[j * 7 + k];
      product *= double{weights[i]} * weights[j] * (i == j ? 1.001 : 1.0);
      expected += product * errors[i] * errors[j];
    }
  }
  EXPECT_NEAR(shaper.Error(errors.data()), expected, 1e-3 * expected);
  // Of no spread at all nothing is made that is no number.
  const ErrorShaper nothing(std::vector<float>(12 * 7), weights, spread);
  EXPECT_TRUE(std::isfinite(nothing.Error(errors.data())));
}

// Of the scales that FORMAT.md names the one whose code points most nearly where the values do.
TEST(TrellisTest, DocumentsTakeTheBestScale) {
  RandomModelOptions options;
  options.quantizer = Quantizer::kFitted;
  options.query_levels = 6;
  options.levels = "35x4t+40x2t+9x1t";
  const Model model = RandomModel(options);
  const FittedQuantizer quantizer(model);
  const std::vector<float> rows = RandomRows(50, 84, 3);
  for (size_t row = 0; row < 50; ++row) {
    const float* y = rows.data() + row * 84;
    std::vector<uint32_t> code(model.spec.code_words()), expected;
    const FittedQuantizer::Fit fit = quantizer.EncodeDocument(y, code.data());
    double best = 0.0, factor = 0.0, of_first_run = 0.0;
    for (const float t : {1.0f, 0.9f, 1.12f}) {
      std::vector<uint32_t> words;
      double agreement = 0.0, energy = 0.0, all = 0.0, in_first_run = 0.0;
      const float* value = y;
      size_t first_band = 0;
      for (const LevelPlan::Run& band : model.fine->levels.runs()) {
        const float weight = model.spec.bands()[first_band].weight;
        first_band += band.bands();
        const uint32_t plane = CodeSpec::PlaneWords(band.dims);
        std::vector<uint32_t> planes(plane * band.levels);
        const float unit = std::ldexp(1.0f, static_cast<int>(band.levels) - 1);
        const float middle = static_cast<float>((1 << (band.levels + 1)) - 1) / 2;
        for (uint32_t first = 0; first < band.dims; first += 32) {
          const uint32_t count = std::min(32u, band.dims - first);
          std::vector<float> x;
          std::vector<uint8_t> numbers(count), derived(count);
          for (uint32_t i = 0; i < count; ++i) x.push_back(value[first + i] * (t * unit) + middle);
          EncodeTrellis(x.data(), count, band.levels, numbers.data(), derived.data());
          for (uint32_t i = 0; i < count; ++i) {
            const double of_code = (static_cast<double>(derived[i]) - middle) / unit;
            agreement += weight * of_code * value[first + i];
            if (first_band == 2) in_first_run += of_code * value[first + i];
            energy += weight * of_code * of_code;
            all += weight * static_cast<double>(value[first + i]) * value[first + i];
            for (uint32_t level = 0; level < band.levels; ++level)
              planes[level * plane + first / 32] |= (numbers[i] >> (band.levels - 1 - level) & 1u) << i;
          }
        }
        words.insert(words.end(), planes.begin(), planes.end());
        value += band.dims;
      }
      const double cosine = agreement / std::sqrt(energy);
      if (cosine <= best) continue;
      best = cosine;
      expected = words;
      of_first_run = in_first_run;
      factor = std::pow(all / agreement, 0.75) * std::pow(agreement / energy, 0.25);
    }
    EXPECT_EQ(code, expected);
    const std::vector<float> values = ValuesOf(model, code);
    EXPECT_NEAR(std::inner_product(values.begin(), values.begin() + 35, y, 0.0), of_first_run, 1e-4);
    EXPECT_NEAR(fit.factor, factor, 1e-5 * factor);
    EXPECT_NEAR(fit.energy, best * best, 1e-5 * best * best);
  }
}

}  // namespace
}  // namespace bebr
