#include "index/fit/fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "index/base/thread_pool.h"
#include "index/binarizer/binarizer.h"
#include "index/binarizer/encoder.h"
#include "index/fit/group_search.h"
#include "index/fit/group_spans.h"
#include "index/fit/groups.h"
#include "index/fit/linear_algebra.h"
#include "index/fit/shape_search.h"
#include "index/fit/start_model.h"
#include "index/fit/validation.h"
#include "tests/unit/fit/clusters.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

double RecallOf(const Model& model, const Matrix& rows, const Matrix& queries) {
  ThreadPool nobody(0);
  return Validator(rows, queries, Metric::kCosine, nobody).Measure(model)->at_10;
}

TEST(FitStartTest, IsBetterThanTheDataFreeModelAndTheSameForASeed) {
  const Matrix rows = Clusters(3000, 48, 1), queries = Clusters(200, 48, 2);
  const auto fitted = FitStart({.rows = rows, .bits = 96});
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_EQ(fitted->rows, 2700u);
  EXPECT_EQ(fitted->model.spec.bits(), 96u);
  const auto data_free = DataFreeModel(48, Metric::kCosine, 96, 1);
  ASSERT_TRUE(data_free.ok()) << data_free.status();
  EXPECT_EQ(data_free->spec.bits(), 96u);
  EXPECT_GT(RecallOf(fitted->model, rows, queries), RecallOf(*data_free, rows, queries) + 0.02);
  EXPECT_EQ(*SerializeModel(FitStart({.rows = rows, .bits = 96})->model), *SerializeModel(fitted->model));
}

TEST(FitStartTest, TakesAsFewBitsAsTheRecallNeeds) {
  const Matrix rows = Clusters(2000, 64, 1);
  const auto low = FitStart({.rows = rows, .recall = 0.3}), high = FitStart({.rows = rows, .recall = 0.9});
  ASSERT_TRUE(low.ok() && high.ok()) << low.status() << high.status();
  EXPECT_LT(low->model.spec.bits(), high->model.spec.bits());
  EXPECT_GE(high->recall_at_10, 0.9);
  const auto impossible = FitStart({.rows = rows, .recall = 0.9999});
  ASSERT_TRUE(impossible.ok()) << impossible.status();
  EXPECT_FALSE(impossible->reached);
  EXPECT_EQ(impossible->model.spec.bits(), 256u);
}

// From a quarter of a bit a dim to four, with and without structure: what queries of 4 levels and the recursion find.
TEST(FitStartTest, IsNowhereBelowTheCodesOfTheRecursion) {
  std::mt19937_64 random(3);
  std::normal_distribution<float> normal;
  Matrix gaussian{2000, 32, std::vector<float>(2000 * 32)};
  for (float& value : gaussian.values) value = normal(random);
  ThreadPool nobody(0);
  for (Matrix rows : {gaussian, Clusters(2000, 32, 1)}) {
    const Matrix queries = SplitRows(rows, 300, 4);
    const CorpusStatistics corpus = *MeasureCorpus(rows, Metric::kCosine, 32, 1);
    const Validator validator(rows, queries, Metric::kCosine, nobody);
    ShapeSearch search;
    search.make_model = [&](const LevelPlan& shape) { return StartModel(corpus, shape, kMaxLevels, 1); };
    search.tried = [](const LevelPlan&, double, bool) { return absl::OkStatus(); };
    search.variances = corpus.variances;
    search.dims = 32;
    for (const size_t bits : {8u, 16u, 32u, 64u, 128u}) {
      const LevelPlan shape = *ShapeForBits(search, bits, validator, validator);
      const double before = RecallOf(*StartModel(corpus, shape, kMaxLevels, 1), rows, queries);
      EXPECT_GT(RecallOf(FitStart({.rows = rows, .bits = bits})->model, rows, queries), before - 0.015) << bits;
    }
  }
}

// Few rows vary more along some directions than along others, even where others like them do not.
TEST(FitStartTest, LevelsAreAlikeUnlessOthersFindClearlyMore) {
  for (const size_t dims : {64, 128}) {
    for (const uint64_t seed : {1, 2, 3, 4}) {
      std::mt19937_64 random(seed);
      std::normal_distribution<float> normal;
      Matrix gaussian{600, dims, std::vector<float>(600 * dims)};
      for (float& value : gaussian.values) value = normal(random);
      EXPECT_EQ(FitStart({.rows = gaussian, .bits = dims})->model.levels().runs().size(), 1u) << dims << ' ' << seed;
    }
  }
  EXPECT_GT(FitStart({.rows = Clusters(1000, 64, 1), .bits = 64})->model.levels().runs().size(), 1u);
}

// Of the same bits, on Gaussian data, from which no other code gains; on clusters they are taken where they are no
// worse.
TEST(FitStartTest, TrellisCodesFindMoreThanLevels) {
  std::mt19937_64 random(3);
  std::normal_distribution<float> normal;
  Matrix gaussian{3000, 64, std::vector<float>(3000 * 64)}, clusters = Clusters(3000, 32, 1);
  for (float& value : gaussian.values) value = normal(random);
  const Matrix queries = SplitRows(gaussian, 500, 4), near = SplitRows(clusters, 500, 4);
  for (const size_t bits : {64u, 128u}) {
    const auto levels = FitStart({.rows = gaussian, .bits = bits, .code = CodeKind::kLevels});
    const auto trellis = FitStart({.rows = gaussian, .bits = bits, .code = CodeKind::kTrellis});
    ASSERT_TRUE(levels.ok() && trellis.ok()) << levels.status() << trellis.status();
    EXPECT_FALSE(levels->model.spec.trellis());
    EXPECT_TRUE(trellis->model.spec.trellis());
    EXPECT_EQ(trellis->model.spec.bits(), bits);
    EXPECT_GT(RecallOf(trellis->model, gaussian, queries), RecallOf(levels->model, gaussian, queries) + 0.01) << bits;
    const auto plain = FitStart({.rows = clusters, .bits = bits, .code = CodeKind::kLevels});
    const auto either = FitStart({.rows = clusters, .bits = bits});
    ASSERT_TRUE(plain.ok() && either.ok()) << plain.status() << either.status();
    EXPECT_GT(RecallOf(either->model, clusters, near), RecallOf(plain->model, clusters, near) - 0.01) << bits;
  }
}

// Of points around few centres a group each tells much. Of a Gaussian it tells no more than the bits of its number
// would, and is taken only if it is not worse.
TEST(FitStartTest, TakesGroupsWhereTheyPay) {
  Matrix rows = Clusters(9000, 48, 1);
  const Matrix unseen = SplitRows(rows, 2000, 5), queries = Clusters(200, 48, 2);
  const auto fitted = FitStart({.rows = rows, .bits = 96});
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_GT(fitted->model.spec.groups(), 1u);
  EXPECT_FALSE(fitted->model.rotation.empty());
  const CorpusStatistics corpus = *MeasureCorpus(rows, Metric::kCosine, 48, 1);
  const Model without = *StartModel(corpus, fitted->model.levels(), fitted->model.query_levels, 1);
  EXPECT_GT(RecallOf(fitted->model, unseen, queries), RecallOf(without, unseen, queries) + 0.01);
  std::mt19937_64 random(3);
  std::normal_distribution<float> normal;
  for (float& value : rows.values) value = normal(random);
  const Matrix unseen_gaussian = SplitRows(rows, 2000, 5), gaussian_queries = SplitRows(rows, 200, 6);
  const auto gaussian = FitStart({.rows = rows, .bits = 96});
  ASSERT_TRUE(gaussian.ok()) << gaussian.status();
  const CorpusStatistics of_gaussian = *MeasureCorpus(rows, Metric::kCosine, 48, 1);
  const Model one_group = *StartModel(of_gaussian, gaussian->model.levels(), gaussian->model.query_levels, 1);
  EXPECT_GE(RecallOf(gaussian->model, unseen_gaussian, gaussian_queries),
            RecallOf(one_group, unseen_gaussian, gaussian_queries) - 0.005);
}

// Told by spans, bases take fewer bytes and find as much.
TEST(GroupsTest, SpansFindAsMuchInFewerBytes) {
  Matrix rows = Clusters(9000, 48, 1);
  const Matrix unseen = SplitRows(rows, 2000, 5), queries = Clusters(300, 48, 2);
  const CorpusStatistics corpus = *MeasureCorpus(rows, Metric::kCosine, 48, 1);
  const GroupStatistics groups = *MeasureGroups(rows, corpus, {16, 16}, 48, 48, 1);
  for (const char* levels : {"16x4t+16x3t+16x2t", "8x7+16x3+8x1", "24x2"}) {
    const LevelPlan shape = *LevelPlan::Parse(levels);
    const Model bytes = *GroupedStartModel(corpus, groups, shape, 7, 1);
    Model spans = bytes;
    TellBySpans(groups, 1, spans);
    EXPECT_FALSE(spans.rotation.empty());
    EXPECT_LT(SerializeModel(spans)->size() - 12000, 0.7 * (SerializeModel(bytes)->size() - 12000.0)) << levels;
    EXPECT_GT(RecallOf(spans, unseen, queries), RecallOf(bytes, unseen, queries) - 0.01) << levels;
    EXPECT_EQ(ParseModel(*SerializeModel(spans))->bases[3].project, spans.bases[3].project);
  }
  // One run of all there is would be turned the same way in all bases: left as it is.
  const Model even = *GroupedStartModel(corpus, groups, *LevelPlan::Parse("48x2"), 7, 1);
  Model same = even;
  TellBySpans(groups, 1, same);
  EXPECT_EQ(*SerializeModel(same), *SerializeModel(even));
}

// What is measured is told, and a search that has no more time takes the best so far.
TEST(GroupsTest, ASearchTellsWhatItTries) {
  const Matrix rows = Clusters(9000, 48, 1), queries = Clusters(200, 48, 2);
  const CorpusStatistics corpus = *MeasureCorpus(rows, Metric::kCosine, 48, 1);
  const LevelPlan shape = *LevelPlan::Parse("48x2");
  const Model without = *StartModel(corpus, shape, 6, 1);
  ThreadPool nobody(0);
  std::vector<TriedGroups> tried;
  size_t most = 1000;
  const GroupSearch search{.rows = rows,
                           .queries = queries,
                           .corpus = corpus,
                           .shape = shape,
                           .without = without,
                           .query_levels = 6,
                           .has_time = [&] { return tried.size() < most; },
                           .tried = [&](const TriedGroups& groups) { tried.push_back(groups); }};
  ASSERT_TRUE(StartWithGroups(search, nobody)->has_value());
  ASSERT_GT(tried.size(), 3u);
  for (const TriedGroups& groups : tried) {
    EXPECT_GE(groups.groups, 8u);
    EXPECT_GE(groups.bases, 1u);
    EXPECT_EQ(groups.shape.bits(), 96u);
    EXPECT_GT(groups.model_bits, 0.0);
    EXPECT_GT(groups.recall_at_10, 0.1);
  }
  tried.clear();
  most = 1;
  EXPECT_TRUE(StartWithGroups(search, nobody).ok());
  EXPECT_EQ(tried.size(), 1u);
  most = 0;
  EXPECT_FALSE(StartWithGroups(search, nobody)->has_value());
}

// Of distances lengths count: a model that takes the rows' directions alone finds little.
TEST(FitStartTest, FitsToDistancesWithAndWithoutGroups) {
  const auto rows_of = [](size_t count, uint64_t seed, float factor, float shift) {
    Matrix rows = Clusters(count, 48, seed);
    std::mt19937_64 random(seed);
    for (size_t r = 0; r < rows.rows; ++r) {
      const float length = factor * std::exp2(std::uniform_real_distribution<float>(-1, 1)(random));
      for (size_t i = 0; i < rows.dims; ++i) rows.row(r)[i] = rows.row(r)[i] * length + shift;
    }
    return rows;
  };
  ThreadPool nobody(0);
  std::vector<double> recalls;
  for (const auto& [factor, shift] : std::vector<std::pair<float, float>>{{1, 0}, {1e-3f, 0}, {1e3f, 0}, {1, 100}}) {
    const Matrix rows = rows_of(5000, 1, factor, shift);
    const auto fitted = FitStart({.rows = rows, .metric = Metric::kL2, .bits = 96});
    ASSERT_TRUE(fitted.ok()) << fitted.status();
    const Validator validator(rows, rows_of(200, 2, factor, shift), Metric::kL2, nobody);
    recalls.push_back(validator.Measure(fitted->model)->at_10);
    const Model directions = FitStart({.rows = rows, .bits = 96})->model;
    // Seen from afar, directions are all but distances.
    EXPECT_GT(recalls.back(), validator.Measure(directions)->at_10 + (shift == 0 ? 0.2 : 0.05)) << factor;
    EXPECT_NEAR(recalls.back(), recalls[0], 0.03) << factor << " " << shift;
  }
  EXPECT_GT(recalls[0], 0.5);
}

// Placeholders of zeros may be all that a part of the rows has.
TEST(GroupsTest, RowsOfZerosHaveNone) {
  const CorpusStatistics corpus = *MeasureCorpus(Clusters(500, 16, 1), Metric::kCosine, 16, 1);
  Matrix zeros{.rows = 5000, .dims = 16};
  zeros.values.resize(zeros.rows * zeros.dims);
  EXPECT_TRUE(absl::IsInvalidArgument(MeasureGroups(zeros, corpus, {8, 4}, 16, 16, 1).status()));
  zeros.values[17] = 1.0f;
  EXPECT_TRUE(absl::IsInvalidArgument(MeasureGroups(zeros, corpus, {8, 4}, 16, 16, 1).status()));
}

// Says no at the look of this number, and ever after.
class Patience {
 public:
  explicit Patience(size_t most) : most_(most) {}
  Continues continues() {
    return [this] { return ++looks_ < most_ ? absl::OkStatus() : absl::CancelledError("no longer wanted"); };
  }
  size_t looks() const { return looks_; }

 private:
  const size_t most_;
  std::atomic<size_t> looks_{0};
};
constexpr size_t kNeverEnds = ~size_t{0};

// How often `work` asks whether to go on; ended at its first, its last and some look between, it says so and does
// nothing more: what it has called asks on its way out, and what has many parts asks before each.
size_t Looks(size_t parts, const std::function<absl::Status(const Continues&)>& work) {
  Patience all(kNeverEnds);
  EXPECT_TRUE(work(all.continues()).ok());
  for (size_t i = 0; i <= 6; ++i) {
    Patience some(1 + i * (all.looks() - 1) / 6);
    EXPECT_TRUE(absl::IsCancelled(work(some.continues()))) << i;
    EXPECT_LT(some.looks(), 1 + i * (all.looks() - 1) / 6 + parts + 20) << "of " << all.looks();
  }
  return all.looks();
}

// Each of what takes long at many dims and rows.
TEST(FitStartTest, EveryLongLoopAsksWhetherToGoOn) {
  ThreadPool nobody(0);
  const Matrix rows = Clusters(9000, 48, 1), queries = Clusters(320, 48, 2);
  const auto measure = [&](const Continues& some) { return MeasureCorpus(rows, Metric::kL2, 48, 1, 1, some).status(); };
  EXPECT_GE(Looks(0, measure), 3u + 3u);  // blocks of rows, twice
  std::mt19937_64 random(1);
  std::vector<float> product(640 * 640), ones(640 * 640, 1.0f), rotation;
  const auto multiply = [&](const Continues& some) {
    Multiply(false, false, 640, 640, 640, ones.data(), ones.data(), product.data(), 1, some);
    return Ask(some);
  };
  EXPECT_GE(Looks(0, multiply), 10u);
  const auto rotate = [&](const Continues& some) {
    rotation = RandomRotation(256, 256, random, some);
    return Ask(some);
  };
  EXPECT_GE(Looks(0, rotate), 20u);
  std::vector<double> covariance(256 * 256);
  for (size_t i = 0; i < 256; ++i) covariance[i * 256 + i] = 1.0 + static_cast<double>(i);
  const auto equalize = [&](const Continues& some) {
    std::vector<float> turned = rotation;
    EqualizeVariances(covariance, 256, 256, turned, some);
    return Ask(some);
  };
  EXPECT_GE(Looks(0, equalize), 2u * 4u + 4u);
  const CorpusStatistics corpus = *MeasureCorpus(rows, Metric::kL2, 48, 1);
  const auto cut = [&](const Continues& some) {
    return MeasureGroups(rows, corpus, {64, 4}, 48, 48, 1, some).status();
  };
  EXPECT_GE(Looks(0, cut), 8u * 9000 / 64 + 2u * 9000 / 64);  // rounds of k-means, and the rows twice more
  const GroupStatistics groups = *MeasureGroups(rows, corpus, {64, 4}, 48, 48, 1);
  const LevelPlan shape = *LevelPlan::Parse("16x4+16x3+16x2");
  const auto start = [&](const Continues& some) {
    return GroupedStartModel(corpus, groups, shape, kMaxQueryLevels, 1, some).status();
  };
  EXPECT_GE(Looks(0, start), 4u * 3u * 10u);  // runs of each basis
  const Model model = *GroupedStartModel(corpus, groups, shape, kMaxQueryLevels, 1);
  const auto validate = [&](const Continues& some) {
    return Validator(rows, queries, Metric::kL2, nobody, some).Measure(model).status();
  };
  // Documents for three blocks of queries, which are searched in twenty.
  EXPECT_GE(Looks(9000 / 256 + 20 + 9000 / 512 + 3, validate), 18u + 3u * 18u + 35u + 20u);
}

// While the eigenvalues are found, both ways.
TEST(FitStartTest, AsksWhetherToGoOnWhileItSolves) {
  for (const size_t dims : {1100u, 2100u}) {
    std::vector<double> matrix(dims * dims);
    for (size_t i = 0; i < dims; ++i) matrix[i * dims + i] = static_cast<double>(i % 50 + 1);
    Patience some(2);
    EXPECT_TRUE(absl::IsCancelled(LargestEigenvectors(matrix, dims, 20, 1, some.continues()).status())) << dims;
    EXPECT_LT(some.looks(), 2u + 10u);
  }
}

// The fit as a whole, at any of its looks: it is asked no more then.
TEST(FitStartTest, EndsAtTheLookThatSaysSo) {
  const Matrix rows = Clusters(4500, 24, 1);
  const auto looks = [&](size_t most) {
    Patience patience(most);
    const auto fitted =
        FitStart({.rows = rows, .bits = 48, .cancelled = [asked = patience.continues()] { return !asked().ok(); }});
    EXPECT_EQ(absl::IsCancelled(fitted.status()), most != kNeverEnds) << fitted.status();
    return patience.looks();
  };
  const size_t all = looks(kNeverEnds);
  EXPECT_GT(all, 5000u);
  for (size_t i = 0; i <= 2; ++i) EXPECT_EQ(looks(1 + i * (all - 1) / 2), 1 + i * (all - 1) / 2);
}

TEST(FitStartTest, EndsWhenItIsCancelledAndRefusesTooFewRows) {
  EXPECT_TRUE(absl::IsCancelled(
      FitStart({.rows = Clusters(500, 16, 1), .bits = 32, .cancelled = [] { return true; }}).status()));
  EXPECT_THAT(std::string(FitStart({.rows = Clusters(9, 16, 1), .bits = 32}).status().message()), HasSubstr("9 rows"));
}

TEST(DataFreeModelTest, SpendsTheBudgetAndStaysValid) {
  for (const uint32_t dims : {2u, 33u, 64u, 384u, 784u}) {
    for (const size_t bits : {32u, 96u, 256u, 768u, 1024u}) {
      const auto model = DataFreeModel(dims, Metric::kInnerProduct, bits, 1);
      ASSERT_TRUE(model.ok()) << dims << " floats, " << bits << " bits: " << model.status();
      EXPECT_EQ(model->spec.bits(), bits);
      EXPECT_TRUE(Encoder::Create(*model, 0).ok());
    }
  }
}

TEST(SignsModelTest, KeepsTheBitsAndScoresByHammingDistance) {
  std::mt19937 random(3);
  for (const uint32_t bits : {8u, 100u, 256u}) {
    const auto model = SignsModel(bits);
    ASSERT_TRUE(model.ok()) << model.status();
    const auto file = SerializeModel(*model);
    ASSERT_TRUE(file.ok()) << file.status();
    const auto binarizer = *Binarizer::Parse(*file);
    const uint32_t words = binarizer->spec().code_words();
    std::vector<float> rows(2 * bits);
    uint32_t distance = 0;
    for (float& value : rows) value = random() % 2 == 0 ? 1.0f : -1.0f;
    for (uint32_t i = 0; i < bits; ++i) distance += rows[i] != rows[bits + i] ? 1 : 0;
    std::vector<uint32_t> codes(2 * words), planes(binarizer->spec().QueryWords(1));
    std::vector<CodeFactors> factors(2);
    binarizer->EncodeDocuments(rows.data(), 2, codes.data(), factors.data());
    for (uint32_t i = 0; i < bits; ++i) EXPECT_EQ((codes[i / 32] >> (i % 32)) & 1, rows[i] > 0 ? 1u : 0u) << i;
    float weight = 0, offset = 0;
    binarizer->EncodeQueries(rows.data() + bits, 1, planes.data(), &weight, &offset);
    EXPECT_TRUE(std::equal(planes.begin(), planes.end(), codes.begin() + words));
    const double dot = static_cast<double>(bits) - 2.0 * distance;
    EXPECT_NEAR(weight * dot * factors[0].scale + factors[0].offset + offset, dot / bits, 1e-5);
  }
  EXPECT_THAT(std::string(SignsModel(4).status().message()), HasSubstr("codes of 4 bits"));
  EXPECT_FALSE(SignsModel(4097).ok());
}

}  // namespace
}  // namespace bebr
