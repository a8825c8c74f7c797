#include "index/binarizer/trellis.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "index/binarizer/encoder.h"
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

TEST(TrellisTest, NoWordOfBranchesIsBetter) {
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal;
  for (int round = 0; round < 300; ++round) {
    const uint32_t levels = 1 + round % 3, count = 1 + static_cast<uint32_t>(random() % 10);
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

// Of the scales that FORMAT.md names the one whose code points most nearly where the values do.
TEST(TrellisTest, DocumentsTakeTheBestScale) {
  RandomModelOptions options;
  options.quantizer = Quantizer::kFitted;
  options.query_levels = 6;
  options.levels = "40x2t+9x1t";
  const Model model = RandomModel(options);
  const FittedQuantizer quantizer(model);
  const std::vector<float> rows = RandomRows(50, 49, 3);
  for (size_t row = 0; row < 50; ++row) {
    const float* y = rows.data() + row * 49;
    std::vector<uint32_t> code(model.spec.code_words()), expected;
    const FittedQuantizer::Fit fit = quantizer.EncodeDocument(y, code.data());
    double best = 0.0, factor = 0.0;
    for (const float t : {1.0f, 0.9f, 1.12f}) {
      std::vector<uint32_t> words;
      double agreement = 0.0, energy = 0.0, all = 0.0;
      const float* value = y;
      for (const Band& band : model.spec.bands()) {
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
            agreement += band.weight * of_code * value[first + i];
            energy += band.weight * of_code * of_code;
            all += band.weight * static_cast<double>(value[first + i]) * value[first + i];
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
      factor = std::pow(all / agreement, 0.75) * std::pow(agreement / energy, 0.25);
    }
    EXPECT_EQ(code, expected);
    EXPECT_NEAR(fit.factor, factor, 1e-5 * factor);
    EXPECT_NEAR(fit.energy, best * best, 1e-5 * best * best);
  }
}

}  // namespace
}  // namespace bebr
