// Every table against scalar, bit for bit, on edge shapes and in memory that ends at guard pages.
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <random>
#include <utility>

#include "gtest/gtest.h"
#include "tests/unit/simd/test_tables.h"

namespace bebr::simd {
namespace {

class Tables : public testing::TestWithParam<NamedTable> {
 protected:
  const KernelTable& table() const { return *GetParam().table; }
  const KernelTable& scalar() const { return *FindKernels("scalar"); }

  void ExpectSameHits(const Input& input, const std::vector<float>& scores) {
    const std::vector<float> thresholds = ThresholdsFor(input, scores);
    EXPECT_EQ(ScanWith(table(), input, thresholds), ScanWith(scalar(), input, thresholds));
  }

  // And, by several thresholds, the same hits of a scan.
  void ExpectSameScores(const Input& input) {
    const std::vector<float> expected = ScoreWith(scalar(), input);
    for (const bool in_one_piece : {true, false}) {
      const std::vector<float> actual = ScoreWith(table(), input, in_one_piece);
      const int64_t at = FirstDifference(expected, actual);
      if (at >= 0) return FailAt(input, at, expected, actual);
    }
    ExpectSameHits(input, expected);
  }

  void FailAt(const Input& input, int64_t at, const std::vector<float>& expected, const std::vector<float>& actual) {
    const size_t documents = input.documents.size();
    FAIL() << "query " << at / documents << " of " << input.queries.size() << ", document " << at % documents << " of "
           << documents << ": " << actual[at] << " instead of " << expected[at];
  }
};

std::vector<NamedTable> Parameters() {
  static const std::vector<NamedTable> tables = TablesUnderTest();
  return tables;
}

// What a run with few documents and queries costs about; large shapes get fewer of them.
size_t Affordable(uint32_t dims, size_t wanted) {
  const size_t most = dims > 2048 ? 3 : dims > 512 ? 17 : 33;
  return wanted < most ? wanted : most;
}

TEST_P(Tables, ScoreEveryShape) {
  const size_t block_counts[] = {1, 2, 3, 17};
  const size_t query_counts[] = {1, 2, 3, 4, 5, 7, 8, 9, 16, 33};
  uint64_t seed = 0;
  for (uint32_t dims :
       {1u, 7u, 8u, 9u, 31u, 32u, 33u, 63u, 64u, 65u, 255u, 256u, 257u, 511u, 513u, 784u, 1024u, 2048u, 8192u}) {
    for (uint32_t levels = 1; levels <= kMaxLevels; ++levels) {
      for (uint32_t query_levels = 1; query_levels <= kMaxQueryLevels; ++query_levels, ++seed) {
        const size_t blocks = Affordable(dims, block_counts[seed % 4]);
        const size_t queries = Affordable(dims, query_counts[seed % 10]);
        SCOPED_TRACE(testing::Message() << dims << "x" << levels << ", query levels " << query_levels << ", " << blocks
                                        << " blocks, " << queries << " queries");
        ExpectSameScores(MakeInput(MakeShape({{dims, levels}}, query_levels), blocks, queries, seed));
      }
    }
  }
}

TEST_P(Tables, ScoreEveryCount) {
  for (size_t blocks : {0, 1, 2, 3, 4, 5, 7, 8, 9, 17}) {
    for (size_t queries = 0; queries <= 33; ++queries) {
      const uint32_t levels = 1 + queries % 4;
      SCOPED_TRACE(testing::Message() << "levels " << levels << ", " << blocks << " blocks, " << queries << " queries");
      ExpectSameScores(MakeInput(MakeShape({{70, levels}}, 1 + blocks % 4), blocks, queries, blocks * 100 + queries));
    }
  }
  for (size_t queries : {47, 54, 63, 64, 65, 66, 129, 195}) {
    SCOPED_TRACE(testing::Message() << queries << " queries");
    ExpectSameScores(MakeInput(MakeShape({{40, 2}, {24, 4}}, 4), 9, queries, queries));
  }
}

TEST_P(Tables, ScoreMixedBands) {
  const std::vector<std::vector<BandShape>> codes = {
      {{32, 4}, {64, 3}, {96, 2}},
      {{1, 1}, {1, 4}},
      {{33, 2}, {257, 1}, {100, 3}},
      {{1, 1}, {33, 2}, {5, 3}, {31, 4}, {64, 1}, {7, 2}, {32, 3}, {100, 4}},
      {{1024, 1}, {1024, 2}, {1024, 3}, {1024, 4}, {1024, 1}, {1024, 2}, {1024, 3}, {1024, 4}},
  };
  for (size_t i = 0; i < codes.size(); ++i) {
    for (uint32_t query_levels = 1; query_levels <= kMaxQueryLevels; ++query_levels) {
      SCOPED_TRACE(testing::Message() << "code " << i << ", query levels " << query_levels);
      ExpectSameScores(MakeInput(MakeShape(codes[i], query_levels), 3, i == 4 ? 3 : 11, i * 10 + query_levels));
    }
  }
}

TEST_P(Tables, ScoreWithLevelsLeftOut) {
  const std::vector<std::vector<BandShape>> codes = {
      {{256, 2, 1}}, {{128, 4, 3}}, {{128, 4, 1}}, {{32, 4, 2}, {64, 3, 2}, {96, 2, 1}}, {{33, 2, 0}, {700, 3, 1}}};
  for (size_t i = 0; i < codes.size(); ++i) {
    for (uint32_t query_levels = 1; query_levels <= kMaxQueryLevels; ++query_levels) {
      for (size_t queries : {1, 7, 19}) {
        for (bool bound : {false, true}) {
          SCOPED_TRACE(testing::Message() << "code " << i << ", query levels " << query_levels << ", " << queries
                                          << " queries, bound " << bound);
          CodeShape shape = MakeShape(codes[i], query_levels);
          shape.bound = bound;
          ExpectSameScores(MakeInput(shape, 11, queries, i * 10 + query_levels + queries));
        }
      }
    }
  }
}

TEST_P(Tables, ScoreTrellisCodes) {
  const size_t query_counts[] = {1, 2, 3, 4, 7, 16, 33};
  uint64_t seed = 0;
  for (uint32_t dims : {1u, 3u, 4u, 8u, 31u, 32u, 33u, 64u, 65u, 255u, 256u, 513u, 1024u, 8192u}) {
    for (uint32_t levels = 1; levels < kMaxLevels; ++levels) {
      for (uint32_t query_levels = 1; query_levels <= kMaxQueryLevels; ++query_levels, ++seed) {
        for (uint32_t left_out = 0; left_out <= levels; ++left_out) {
          const size_t blocks = Affordable(dims, 1 + seed % 9), queries = Affordable(dims, query_counts[seed % 7]);
          SCOPED_TRACE(testing::Message() << dims << "x" << levels << "t, left out " << left_out << ", query levels "
                                          << query_levels << ", " << blocks << " blocks, " << queries << " queries");
          CodeShape shape = MakeShape({{dims, levels, left_out, true}}, query_levels);
          shape.bound = seed % 2 == 0;
          ExpectSameScores(MakeInput(shape, blocks, queries, seed));
          if (left_out == 0) ExpectSameScores(MakeInput(shape, blocks, 1, seed));
        }
      }
    }
  }
  const std::vector<std::vector<BandShape>> codes = {
      {{31, 2, 0, true}, {33, 3, 0, true}, {1, 1, 0, true}},
      {{64, 4}, {65, 2, 0, true}, {40, 1}, {8, 3, 1, true}},
      {{32, 4}, {96, 2, 0, true}, {64, 1, 0, true}},
      {{1024, 3, 0, true}, {1024, 4}, {1024, 1, 0, true}, {1024, 2, 0, true}, {1024, 1}, {1024, 3, 2, true}},
  };
  for (size_t i = 0; i < codes.size(); ++i) {
    for (size_t queries : {1, 3, 8, 33, 64}) {
      SCOPED_TRACE(testing::Message() << "code " << i << ", " << queries << " queries");
      ExpectSameScores(
          MakeInput(MakeShape(codes[i], 1 + (i + queries) % kMaxQueryLevels), i == 3 ? 2 : 11, queries, i));
    }
  }
}

// The largest sums there are, of either sign: a sum that overflows shows here.
TEST_P(Tables, ScoreExtremeCodes) {
  for (uint32_t dims : {255u, 256u, 1024u, 2048u, 8192u}) {
    for (uint32_t levels = 1; levels <= kMaxLevels; ++levels) {
      for (uint32_t query_levels = 1; query_levels <= kMaxQueryLevels; ++query_levels) {
        for (Bits document : {Bits::kZeros, Bits::kOnes}) {
          for (Bits query : {Bits::kZeros, Bits::kOnes}) {
            SCOPED_TRACE(testing::Message() << dims << "x" << levels << ", query levels " << query_levels);
            ExpectSameScores(MakeInput(MakeShape({{dims, levels}}, query_levels), 1, 17, dims, document, query));
            if (levels == kMaxLevels) continue;
            const CodeShape trellis = MakeShape({{dims, levels, 0, true}}, query_levels);
            ExpectSameScores(MakeInput(trellis, 1, 17, dims, document, query));
          }
        }
      }
    }
  }
}

// Factors far larger and smaller than those of codes, and such as are no numbers.
TEST_P(Tables, ScanWithUnusualFactors) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float special[] = {0.0f, -0.0f, 1e-38f, 1e30f, -1e30f, infinity, std::numeric_limits<float>::quiet_NaN()};
  for (const std::vector<BandShape>& bands : std::vector<std::vector<BandShape>>{{{64, 1}}, {{40, 2}, {24, 4}}}) {
    for (size_t queries : {1, 9, 18}) {
      for (uint64_t seed = 0; seed < 40; ++seed) {
        SCOPED_TRACE(testing::Message() << bands.size() << " bands, " << queries << " queries, seed " << seed);
        Input input = MakeInput(MakeShape(bands, 1 + seed % kMaxQueryLevels), 9, queries, seed);
        std::mt19937_64 random(seed);
        for (size_t i = 0; i < input.documents.size(); ++i) {
          if (random() % 8 == 0) input.scales[i] = special[random() % std::size(special)];
          if (random() % 8 == 0) input.offsets[i] = special[random() % std::size(special)];
        }
        std::vector<float> thresholds;
        for (size_t q = 0; q < queries; ++q) {
          const float choices[] = {0.0f, -0.0f, 10.0f, 1e29f, -infinity, infinity};
          thresholds.push_back(choices[(seed + q) % std::size(choices)]);
        }
        EXPECT_EQ(ScanWith(table(), input, thresholds), ScanWith(scalar(), input, thresholds));
      }
    }
  }
}

struct GemmShape {
  size_t rows, n, k;
  bool bias;
};

std::vector<float> GemmWith(const KernelTable& table, const GemmShape& shape, uint64_t seed) {
  constexpr float kUntouched = -123456.0f;
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  const size_t x_stride = shape.k + seed % 3, out_stride = shape.n + seed % 5;
  GuardedMemory x(((shape.rows - 1) * x_stride + shape.k) * sizeof(float), sizeof(float));
  GuardedMemory weights(shape.n * shape.k * sizeof(float), sizeof(float));
  GuardedMemory bias(shape.n * sizeof(float), sizeof(float));
  const size_t out_floats = (shape.rows - 1) * out_stride + shape.n;
  GuardedMemory out(out_floats * sizeof(float), sizeof(float));
  for (size_t i = 0; i < (shape.rows - 1) * x_stride + shape.k; ++i) x.as<float>()[i] = normal(random);
  for (size_t i = 0; i < shape.n * shape.k; ++i) weights.as<float>()[i] = normal(random);
  for (size_t i = 0; i < shape.n; ++i) bias.as<float>()[i] = normal(random);
  for (size_t i = 0; i < out_floats; ++i) out.as<float>()[i] = kUntouched;
  GuardedMemory packed(table.packed_floats(shape.n, shape.k) * sizeof(float));
  table.pack(weights.as<float>(), shape.n, shape.k, packed.as<float>());
  table.gemm(x.as<float>(), shape.rows, x_stride, packed.as<float>(), shape.n, shape.k,
             shape.bias ? bias.as<float>() : nullptr, out.as<float>(), out_stride);
  // With the floats between the rows, which must stay as they were.
  return std::vector<float>(out.as<float>(), out.as<float>() + out_floats);
}

TEST_P(Tables, GemmIsOneChainForEveryOutput) {
  uint64_t seed = 0;
  for (size_t n : {1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 129, 200}) {
    for (size_t k : {1, 2, 3, 8, 17, 64, 257}) {
      for (size_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 16, 25, 33}) {
        if (++seed % 3 != 0 && rows > 8) continue;
        const GemmShape shape = {rows, n, k, seed % 2 == 0};
        ASSERT_LT(FirstDifference(GemmWith(scalar(), shape, seed), GemmWith(table(), shape, seed)), 0)
            << rows << " rows, n " << n << ", k " << k;
      }
    }
  }
}

TEST_P(Tables, GemmWithoutInputsGivesTheBias) {
  const float bias[] = {1.0f, -2.0f, 3.0f};
  float packed[1] = {}, out[6] = {};
  table().gemm(packed, 2, 0, packed, 3, 0, bias, out, 3);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(out[i], bias[i % 3]);
}

// The key as the comment of KeyForm says.
uint64_t KeyOf(KeyForm form, uint64_t value) {
  const uint64_t sign = uint64_t{1} << 63;
  switch (form) {
    case KeyForm::kSigned:
      return value ^ sign;
    case KeyForm::kDouble:
      return (value & sign) != 0 ? ~value : value | sign;
    default:
      return value;
  }
}

// The scalar table is under test too: the reference is the comparison itself.
TEST_P(Tables, MatchFindsTheRowsOfATypeInARange) {
  constexpr size_t kWords = 5;
  constexpr uint64_t kSign = uint64_t{1} << 63;
  const uint64_t edges[] = {
      0, 1, 2, kSign - 1, kSign, kSign + 1, ~uint64_t{0}, ~uint64_t{0} - 1, uint64_t{0x3ff} << 52};
  std::mt19937_64 random(5);
  const auto draw = [&] { return random() % 2 == 0 ? edges[random() % std::size(edges)] : random(); };
  for (int round = 0; round < 3000; ++round) {
    // Buffers that end with the last row: a read beyond would fault.
    GuardedMemory type_buffer(64 * kWords, 1), value_buffer(64 * kWords * sizeof(uint64_t), 8);
    uint8_t* types = type_buffer.as<uint8_t>();
    uint64_t* values = value_buffer.as<uint64_t>();
    const unsigned kinds = 1 + static_cast<unsigned>(random() % 3);
    for (size_t i = 0; i < 64 * kWords; ++i) {
      types[i] = static_cast<uint8_t>(random() % kinds * 100);
      values[i] = draw();
    }
    RangeTest test{.type = static_cast<uint8_t>(random() % 2 * 100), .form = static_cast<KeyForm>(random() % 3)};
    test.least = draw();
    test.most = random() % 3 == 0 ? test.least : draw();
    if (test.most < test.least) std::swap(test.least, test.most);
    for (const KernelTable* tested : {&table(), &scalar()}) {
      uint64_t bits[kWords];
      tested->match(test, types, values, kWords, bits);
      for (size_t i = 0; i < 64 * kWords; ++i) {
        const uint64_t key = KeyOf(test.form, values[i]);
        const bool expected = types[i] == test.type && key >= test.least && key <= test.most;
        ASSERT_EQ((bits[i / 64] >> (i % 64) & 1) != 0, expected) << tested->name << ", row " << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Simd, Tables, testing::ValuesIn(Parameters()),
                         [](const testing::TestParamInfo<NamedTable>& info) { return info.param.name; });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Tables);

}  // namespace
}  // namespace bebr::simd
