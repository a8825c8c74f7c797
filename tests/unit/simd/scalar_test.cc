// The scalar table against the definition of code_spec.h, written out with numbers instead of bits.
#include <cmath>

#include "gtest/gtest.h"
#include "tests/unit/simd/test_tables.h"

namespace bebr::simd {
namespace {

// The value of a dimension, sum over levels of 2^-t * (+-1).
double Value(const uint32_t* planes, uint32_t levels, uint32_t words, uint32_t i) {
  double value = 0;
  for (uint32_t t = 0; t < levels; ++t) {
    const bool bit = (planes[t * words + i / 32] >> (i % 32)) & 1;
    value += std::ldexp(bit ? 1.0 : -1.0, -static_cast<int>(t));
  }
  return value;
}

// The derived code of a trellis-coded band: as the example of code_spec.h, dimension by dimension.
std::vector<uint32_t> Derived(const uint32_t* planes, uint32_t levels, uint32_t words, uint32_t dims) {
  const uint32_t plain = (levels - 1) * words;
  std::vector<uint32_t> derived(planes, planes + plain);
  derived.resize(plain + 2 * words);
  const auto branch = [&](uint32_t i, uint32_t before) {
    return i % 32 < before ? 0 : planes[plain + i / 32] >> (i % 32 - before) & 1u;
  };
  for (uint32_t i = 0; i < dims; ++i) {
    derived[plain + i / 32] |= (branch(i, 0) ^ branch(i, 1) ^ branch(i, 3)) << (i % 32);
    derived[plain + words + i / 32] |= branch(i, 2) << (i % 32);
  }
  return derived;
}

float Expected(const Input& input, size_t q, size_t d) {
  const uint32_t* query = input.queries[q].data();
  const uint32_t* document = input.documents[d].data();
  const uint32_t query_levels = input.shape.query_levels;
  float acc = 0.0f;
  for (uint32_t b = 0; b < input.shape.band_count; ++b) {
    const BandShape& band = input.shape.bands[b];
    const uint32_t words = (band.dims + 31) / 32, levels = band.scored_levels();
    const std::vector<uint32_t> scored = band.trellis
                                             ? Derived(document, band.levels, words, band.dims)
                                             : std::vector<uint32_t>(document, document + size_t{band.levels} * words);
    double dot = 0;  // exact: a sum of small multiples of 2^-8
    for (uint32_t i = 0; i < band.dims; ++i) {
      dot += Value(query, query_levels, words, i) * Value(scored.data(), levels - band.left_out, words, i);
    }
    const double integer = std::ldexp(dot, static_cast<int>(query_levels - 1 + levels - 1));
    EXPECT_EQ(integer, std::trunc(integer));
    const float product = input.weights[q][b] * static_cast<float>(integer);
    acc = acc + product;
    query += query_levels * words;
    document += band.levels * words;
  }
  const float scaled = acc * input.scales[d];
  const float moved = scaled + input.offsets[d];
  return moved + input.query_offsets[q];
}

void Check(const Input& input) {
  const std::vector<float> scores = ScoreWith(*FindKernels("scalar"), input);
  for (size_t q = 0; q < input.queries.size(); ++q) {
    for (size_t d = 0; d < input.documents.size(); ++d) {
      ASSERT_EQ(scores[q * input.documents.size() + d], Expected(input, q, d)) << "query " << q << ", document " << d;
    }
  }
}

TEST(Scalar, AgreesWithTheDefinition) {
  for (uint32_t dims : {1u, 7u, 8u, 31u, 32u, 33u, 65u, 257u}) {
    for (uint32_t levels = 1; levels <= kMaxLevels; ++levels) {
      for (uint32_t query_levels = 1; query_levels <= kMaxQueryLevels; ++query_levels) {
        SCOPED_TRACE(testing::Message() << dims << "x" << levels << ", query levels " << query_levels);
        Check(MakeInput(MakeShape({{dims, levels}}, query_levels), 2, 3, dims * 100 + levels * 10 + query_levels));
      }
    }
  }
}

TEST(Scalar, AgreesWithTheDefinitionOnMixedBands) {
  Check(MakeInput(MakeShape({{32, 4}, {64, 3}, {96, 2}}, 4), 2, 3, 1));
  Check(MakeInput(MakeShape({{1, 1}, {33, 2}, {5, 3}, {31, 4}, {64, 1}, {7, 2}, {32, 3}, {100, 4}}, 2), 2, 3, 2));
}

TEST(Scalar, AgreesWithTheDefinitionOnTrellisCodes) {
  for (uint32_t dims : {1u, 3u, 8u, 31u, 32u, 33u, 65u, 257u}) {
    for (uint32_t levels = 1; levels < kMaxLevels; ++levels) {
      SCOPED_TRACE(testing::Message() << dims << "x" << levels << "t");
      Check(MakeInput(MakeShape({{dims, levels, 0, true}}, 1 + dims % kMaxQueryLevels), 2, 3, dims * 10 + levels));
    }
  }
  Check(MakeInput(MakeShape({{64, 4}, {65, 2, 0, true}, {40, 1}, {8, 3, 0, true}}, 6), 2, 3, 1));
}

TEST(Scalar, LeavesLevelsOut) {
  Check(MakeInput(MakeShape({{70, 2, 2, true}}, 4), 2, 3, 1));
  Check(MakeInput(MakeShape({{33, 3, 1, true}, {64, 2}, {40, 1, 1, true}}, 3), 2, 3, 2));
  Check(MakeInput(MakeShape({{70, 4, 3}}, 4), 2, 3, 1));
  Check(MakeInput(MakeShape({{33, 2, 1}, {257, 1}, {100, 3, 1}}, 3), 2, 3, 2));
}

// A bound holds to the last bit, and is reached where the levels left out agree with the query.
TEST(Scalar, NoScoreIsAboveItsBound) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    CodeShape shape = MakeShape({{33, 2}, {64, 4}, {5, 3}, {40, 1}, {70, 2, 0, true}}, 1 + seed % kMaxQueryLevels);
    Input input = MakeInput(shape, 4, 5, seed);
    for (float& scale : input.scales) scale = std::fabs(scale);
    const std::vector<float> scores = ScoreWith(*FindKernels("scalar"), input);
    for (uint32_t b = 0; b < shape.band_count; ++b) {
      input.shape.bands[b].left_out = (seed / 4) % shape.bands[b].scored_levels();
    }
    input.shape.bound = true;
    const std::vector<float> bounds = ScoreWith(*FindKernels("scalar"), input);
    for (size_t i = 0; i < scores.size(); ++i) ASSERT_GE(bounds[i], scores[i]) << "seed " << seed << ", score " << i;
  }
  Input input = MakeInput(MakeShape({{64, 2}}, 1), 1, 1, 0, Bits::kOnes, Bits::kOnes);
  input.weights[0][0] = 1;
  input.scales.assign(kBlockRows, 1.0f);
  const std::vector<float> scores = ScoreWith(*FindKernels("scalar"), input);
  input.shape.bands[0].left_out = 1;
  input.shape.bound = true;
  EXPECT_EQ(ScoreWith(*FindKernels("scalar"), input), scores);
}

TEST(Layout, LanesReadBackWhatWasStored) {
  const CodeShape shape = MakeShape({{33, 3}, {64, 1}}, 4);
  const Input input = MakeInput(shape, 2, 0, 7);
  GuardedMemory blocks(2 * BlockBytes(shape.code_words));
  input.FillBlocks(blocks.as<void>());
  for (size_t i = 0; i < input.documents.size(); ++i) {
    std::vector<uint32_t> code(shape.code_words);
    float scale = 0, offset = 0;
    LoadLane(shape, i % kBlockRows, blocks.as<uint8_t>() + i / kBlockRows * BlockBytes(shape.code_words), code.data(),
             &scale, &offset);
    EXPECT_EQ(code, input.documents[i]);
    EXPECT_EQ(scale, input.scales[i]);
    EXPECT_EQ(offset, input.offsets[i]);
  }
}

}  // namespace
}  // namespace bebr::simd
