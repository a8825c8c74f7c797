#include "index/train/training_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <thread>

#include "index/binarizer/binarizer.h"
#include "index/binarizer/encoder.h"
#include "index/fit/groups.h"
#include "index/fit/start_model.h"
#include "index/train/code_disagreement.h"
#include "index/train/row_lengths.h"
#include "index/train/torch_model.h"
#include "index/train/trainer.h"
#include "index/train/training_files.h"
#include "tests/unit/fit/clusters.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

TrainOptions Quiet(const char* shape, int64_t steps) {
  TrainOptions options;
  if (shape != nullptr) options.shape = *ParseCodeSpec(shape);
  options.steps = steps;
  options.threads = 1;
  options.progress = false;
  return options;
}

// With codes of the recursion.
TrainOptions Recurrent(const char* shape, int64_t steps) {
  TrainOptions options = Quiet(shape, steps);
  options.query_levels = kMaxLevels;
  return options;
}

std::string Error(const TrainOptions& options, Matrix rows) {
  const auto result = Train(options, std::move(rows), {});
  EXPECT_FALSE(result.ok());
  return std::string(result.status().message());
}

TEST(TrainTest, NeverWorseThanTheStartAndTheSameForASeed) {
  TrainOptions options = Quiet("16x2+16x1", 24);
  const auto first = Train(options, Clusters(3000, 48, 1), {});
  const auto second = Train(options, Clusters(3000, 48, 1), {});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_GT(first->start.at_10, 0.2);
  EXPECT_GE(first->kept.at_10, first->start.at_10);
  EXPECT_EQ(*SerializeModel(first->model), *SerializeModel(second->model));
  EXPECT_GE(first->curve.size(), 4u);
  EXPECT_LT(first->bits_that_differ, 1e-4);
  options.seed = 2;
  EXPECT_NE(*SerializeModel(Train(options, Clusters(3000, 48, 1), {})->model), *SerializeModel(first->model));
}

TEST(TrainTest, TrainsForDistances) {
  Matrix rows = Clusters(3000, 48, 1);
  for (size_t r = 0; r < rows.rows; ++r) {
    for (size_t i = 0; i < rows.dims; ++i) rows.row(r)[i] = rows.row(r)[i] * (0.5f + 0.5f * (r % 4)) + 100.0f;
  }
  for (TrainOptions options : {Quiet("16x2+16x1", 24), Recurrent("24x2", 24)}) {
    options.metric = Metric::kL2;
    const auto result = Train(options, rows, {});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->model.metric, Metric::kL2);
    EXPECT_GT(result->start.at_10, 0.4);
    EXPECT_GE(result->kept.at_10, result->start.at_10);
    EXPECT_LT(result->curve.back().loss, result->curve.front().loss);
    EXPECT_LT(result->bits_that_differ, 1e-4);
  }
}

// At half, once and twice as many bits as dims: on the queries it was chosen by never, on others not beyond chance.
TEST(TrainTest, NeverWorseThanTheStartAtAnyBudgetAndSeed) {
  const Matrix rows = Clusters(2500, 32, 1), others = Clusters(400, 32, 77);
  ThreadPool pool(1);
  const Validator unseen(rows, others, Metric::kCosine, pool);
  for (const char* shape : {"16x1", "16x2", "16x4"}) {
    for (const uint64_t seed : {1, 2, 3}) {
      TrainOptions options = Quiet(shape, 20);
      options.seed = seed;
      options.hidden = {32};
      const auto trained = Train(options, rows, {});
      ASSERT_TRUE(trained.ok()) << trained.status();
      EXPECT_GE(trained->kept.at_10, trained->start.at_10) << shape << " seed " << seed;
      options.steps = 0;
      const auto start = Train(options, rows, {});
      ASSERT_TRUE(start.ok()) << start.status();
      EXPECT_GT(PairedGain(*unseen.Measure(trained->model), *unseen.Measure(start->model)), -3.0)
          << shape << " seed " << seed;
    }
  }
}

TEST(TrainTest, TheRangeOfTheStraightThroughGradientHalvesWithTheLevel) {
  const auto start = Train(Recurrent("16x2", 0), Clusters(300, 16, 1), {});
  ASSERT_TRUE(start.ok()) << start.status();
  Model model = ToTrainable(start->model, ResidualForm::kCode, {}, 1);
  StepParameters& step = model.steps[0];
  step.feedback.assign(16 * 16, 0.0f);
  step.residual.linear.weight.assign(16 * 16, 0.0f);
  model.project.linear.weight.assign(16 * 16, 0.0f);
  // The gradients of both levels' biases where these are all that the signs see.
  const auto gradients = [&](float first, float second) {
    model.project.linear.bias.assign(16, first);
    step.residual.linear.bias.assign(16, second);
    const TorchModel torch_model(model);
    torch_model.EncodeDocuments(torch::rand({4, 16}), kMaxLevels, Estimator::kStraightThrough, 1.0)
        .code.sum()
        .backward();
    const auto of = [&](size_t parameter) { return torch_model.parameters()[parameter].grad()[0].item<double>(); };
    return std::make_pair(of(2), of(6));
  };
  EXPECT_EQ(gradients(1.9f, 0.9f), std::make_pair(4.0, 2.0));
  EXPECT_EQ(gradients(2.1f, 1.1f), std::make_pair(0.0, 0.0));
}

TEST(TrainTest, ABadLearningRateKeepsTheStart) {
  TrainOptions options = Quiet("16x2", 16);
  options.learning_rate = 1e30;
  const auto result = Train(options, Clusters(2000, 32, 1), {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->trained_kept);
  EXPECT_EQ(result->kept.at_10, result->start.at_10);
  EXPECT_THAT(result->model.trained, HasSubstr("start"));
}

TEST(TrainTest, TheEncoderGivesTheTrainersCodes) {
  const Matrix rows = Clusters(1500, 40, 3);
  const auto start = Train(Recurrent("16x3+16x1", 0), rows, {});
  ASSERT_TRUE(start.ok());
  const std::vector<uint32_t> layers = {24, 16};
  for (const Model& model : {start->model, ToTrainable(start->model, ResidualForm::kCode, {}, 1),
                             ToTrainable(start->model, ResidualForm::kCode, layers, 1),
                             ToTrainable(start->model, ResidualForm::kInput, layers, 1)}) {
    TorchModel torch_model(model);
    // Away from the start, so that every tensor matters.
    torch::manual_seed(5);
    std::vector<torch::Tensor> parameters;
    for (const auto& parameter : torch_model.parameters()) {
      parameters.push_back(parameter.detach() +
                           0.05 * torch::randn_like(parameter) * parameter.detach().abs().mean().clamp_min(0.05));
    }
    const Model moved = torch_model.ToModel(parameters);
    ASSERT_TRUE(ValidateModel(moved).ok()) << ValidateModel(moved);
    const auto differ = CodeDisagreement(moved, rows);
    ASSERT_TRUE(differ.ok()) << differ.status();
    EXPECT_LT(*differ, 2e-5) << "hidden layers " << model.hidden.size();
  }
}

void ExpectTheStartsCodes(const Model& start, const std::vector<ResidualForm>& forms, const Matrix& rows) {
  const auto plain = *Encoder::Create(start, 0);
  const size_t words = plain->spec().code_words(), query_words = plain->spec().QueryWords(start.query_levels);
  const auto encode = [&](const Encoder& encoder) {
    std::vector<uint32_t> codes(rows.rows * (words + query_words));
    std::vector<CodeFactors> factors(rows.rows);
    std::vector<float> weights(rows.rows * encoder.spec().bands().size()), offsets(rows.rows);
    encoder.EncodeDocuments(rows.values.data(), rows.rows, codes.data(), factors.data());
    encoder.EncodeQueries(rows.values.data(), rows.rows, codes.data() + rows.rows * words, weights.data(),
                          offsets.data());
    return codes;
  };
  const std::vector<uint32_t> expected = encode(*plain);
  for (const ResidualForm form : forms) {
    const auto trainable = Encoder::Create(ToTrainable(start, form, {24}, 1), 0);
    ASSERT_TRUE(trainable.ok()) << trainable.status();
    const std::vector<uint32_t> codes = encode(**trainable);
    size_t differ = 0;
    for (size_t i = 0; i < codes.size(); ++i) differ += static_cast<size_t>(__builtin_popcount(codes[i] ^ expected[i]));
    EXPECT_LT(static_cast<double>(differ), 1e-3 * 32.0 * static_cast<double>(codes.size()));
  }
}

TEST(TrainTest, TrainingBeginsWithTheStartsCodes) {
  const Matrix rows = Clusters(1000, 40, 3);
  ExpectTheStartsCodes(Train(Recurrent("16x3+16x1", 0), rows, {})->model, {ResidualForm::kCode, ResidualForm::kInput},
                       rows);
  ExpectTheStartsCodes(Train(Quiet("16x3+16x1", 0), rows, {})->model, {ResidualForm::kCode}, rows);
}

// Of documents the first scale, of queries what they round; so scores are nearly the encoder's.
TEST(TrainTest, FittedCodesAreNearlyTheTrainers) {
  const Matrix rows = Clusters(300, 40, 3);
  const Model model = Train(Quiet("16x3+16x1", 0), rows, {})->model;
  ASSERT_EQ(model.quantizer, Quantizer::kFitted);
  const auto encoder = *Encoder::Create(model, 0);
  const size_t words = encoder->spec().code_words();
  std::vector<uint32_t> codes(rows.rows * words);
  std::vector<CodeFactors> factors(rows.rows);
  encoder->EncodeDocuments(rows.values.data(), rows.rows, codes.data(), factors.data());
  torch::NoGradGuard no_grad;
  torch::Tensor x = torch::from_blob(const_cast<float*>(rows.values.data()), {300, 40});
  x = x / x.norm(2, {1}, true);
  const TorchCodes documents = TorchModel(model).EncodeDocuments(x, kMaxLevels, Estimator::kStraightThrough, 1.0);
  size_t differ = 0;
  double ratios = 0.0;
  for (int64_t r = 0; r < 300; ++r) {
    ratios += documents.scale[r].item<float>() / factors[static_cast<size_t>(r)].scale;
    for (int64_t i = 0; i < 16; ++i) {  // the first band's first level: signs, whatever the scale
      const uint32_t word = codes[static_cast<size_t>(r) * words];
      differ += (documents.code[r][i].item<float>() >= 0) != ((word >> i & 1) != 0);
    }
  }
  EXPECT_LE(differ, 2u);
  EXPECT_NEAR(ratios / 300, 1.0, 0.1);
}

TEST(TrainTest, PicksAShapeOfTheBudget) {
  TrainOptions options = Quiet(nullptr, 0);
  options.bits = 64;
  const auto result = Train(options, Clusters(2000, 48, 1), {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->model.spec.bits(), 64u);
  ASSERT_GT(result->tried.size(), 2u);
  double best = 0.0, of_kept = -1.0;
  for (const TriedShape& shape : result->tried) {
    if (!shape.all_queries) continue;
    best = std::max(best, shape.recall_at_10);
    if (shape.shape == result->model.spec.ToString()) of_kept = shape.recall_at_10;
  }
  EXPECT_EQ(of_kept, best);
  EXPECT_EQ(result->start.at_10, best);
}

TEST(TrainTest, TargetRecallPicksTheSmallestBudgetThatReachesIt) {
  TrainOptions options = Quiet(nullptr, 0);
  options.target_recall = 0.6;
  const auto low = Train(options, Clusters(1500, 32, 1), {});
  ASSERT_TRUE(low.ok()) << low.status();
  EXPECT_GE(low->start.at_10, 0.6);
  options.target_recall = low->start.at_10 + 0.02;
  const auto high = Train(options, Clusters(1500, 32, 1), {});
  ASSERT_TRUE(high.ok()) << high.status();
  EXPECT_GT(high->model.spec.bits(), low->model.spec.bits());
  options.target_recall = 0.9999;
  EXPECT_THAT(Error(options, Clusters(1500, 32, 1)), HasSubstr("1.000 was asked for"));
}

TEST(TrainTest, EveryEstimatorAndFormAndPairsRun) {
  const Matrix rows = Clusters(1200, 32, 1);
  for (const Estimator estimator : {Estimator::kStraightThrough, Estimator::kReste, Estimator::kTanh}) {
    TrainOptions options = Quiet("16x2", 4);
    options.estimator = estimator;
    options.hidden = {24};
    if (estimator == Estimator::kTanh) options.residual_form = ResidualForm::kInput;
    options.prefix_share = 0.5;
    QueryPairs pairs;
    pairs.queries = Clusters(100, 32, 9);
    for (uint32_t i = 0; i < 100; ++i) pairs.rows.push_back(i);
    const auto result = Train(options, rows, Clusters(200, 32, 5), pairs);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->steps, 4);
    EXPECT_TRUE(std::isfinite(result->curve.back().loss));
  }
}

TEST(TrainTest, BadInputIsNamed) {
  const TrainOptions options = Quiet("16x1", 0);
  EXPECT_THAT(Error(options, Matrix{1, 16, std::vector<float>(16, 1.0f)}), HasSubstr("at least 2"));
  EXPECT_THAT(Error(options, Matrix{40, 16, std::vector<float>(640, 1.0f)}), HasSubstr("equal"));
  Matrix nan = Clusters(50, 16, 1);
  nan.values[33] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(Error(options, nan), HasSubstr("input row 2 holds nan"));
  EXPECT_THAT(Error(Quiet("8x2+16x1", 0), Clusters(50, 16, 1)), HasSubstr("24 dims in several bands"));
  TrainOptions few_levels = Quiet("16x3", 0);
  few_levels.query_levels = 2;
  EXPECT_THAT(Error(few_levels, Clusters(50, 16, 1)), HasSubstr("3 levels"));
  TrainOptions small = Quiet(nullptr, 0);
  small.bits = 4;
  EXPECT_THAT(Error(small, Clusters(50, 16, 1)), HasSubstr("4 bits"));
}

TEST(TrainTest, WhatCannotBeWrittenIsToldBeforeTheWork) {
  const std::string folder = ::testing::TempDir() + "/output." + std::to_string(::getpid());
  std::filesystem::create_directories(folder + "/is_a_folder");
  TrainOptions options = Quiet("16x1", 0);
  options.input = folder + "/there is no such input.npy";  // not even looked at
  options.output = folder + "/none/model.safetensors";
  EXPECT_THAT(std::string(TrainFiles(options).status().message()), HasSubstr("cannot be written: No such file"));
  options.output = folder + "/is_a_folder";
  EXPECT_THAT(std::string(TrainFiles(options).status().message()), HasSubstr("is a directory"));
  options.output = folder + "/model.safetensors";
  EXPECT_THAT(std::string(TrainFiles(options).status().message()), HasSubstr("no such input"));
  EXPECT_TRUE(std::filesystem::is_empty(folder + "/is_a_folder"));
  EXPECT_FALSE(std::filesystem::exists(options.output + ".part"));
  // Few pairs are learnt by heart.
  ASSERT_TRUE(WriteNpy(folder + "/docs.npy", Clusters(400, 16, 1)).ok());
  options.input = options.queries = options.pairs = folder + "/docs.npy";
  EXPECT_THAT(std::string(TrainFiles(options).status().message()), HasSubstr("--pairs has 400 queries"));
  std::filesystem::remove_all(folder);
}

TEST(TrainTest, ARowThatIsFarLongerThanTheOthersIsNamed) {
  Matrix rows = Clusters(400, 16, 1);
  for (size_t i = 0; i < 16; ++i) rows.row(123)[i] = 1e8f * rows.row(7)[i];
  TrainOptions options = Quiet("16x2", 0);
  for (const Metric metric : {Metric::kInnerProduct, Metric::kL2}) {
    options.metric = metric;
    EXPECT_THAT(Error(options, rows), HasSubstr("input row 123 is of length"));
  }
  options.metric = Metric::kCosine;
  EXPECT_TRUE(Train(options, rows, {}).ok());
}

TEST(TrainTest, TheLengthsOfManyRowsTakeNoMoreMemory) {
  RowLengths lengths(Metric::kL2), of_cosine(Metric::kCosine);
  constexpr size_t kRows = 3 * RowLengths::kMostHeld;
  for (size_t i = 0; i < kRows; ++i) {
    // Short rows at first: the median is of all.
    const float row = i == kRows - 1 ? 900.0f : i < RowLengths::kMostHeld ? 0.01f : 1.0f;
    lengths.Add(&row, 1);
    of_cosine.Add(&row, 1);
    ASSERT_LT(lengths.held(), RowLengths::kMostHeld);
  }
  EXPECT_GT(lengths.held(), RowLengths::kMostHeld / 4);
  EXPECT_TRUE(lengths.Check().ok());
  const float longest = 1100.0f, short_row = 1.0f;
  lengths.Add(&longest, 1);
  lengths.Add(&short_row, 1);
  EXPECT_THAT(std::string(lengths.Check().message()), HasSubstr(std::to_string(kRows) + " is of length 1.1e+03"));
  EXPECT_EQ(of_cosine.held(), 0u);
}

TEST(TrainTest, FarMeansAndTinyNormsKeepTheirRecall) {
  TrainOptions options = Quiet("32x3", 0);
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    options.metric = metric;
    const double plain = Train(options, Clusters(2000, 32, 1), {})->start.at_10;
    for (const float times : {1e-16f, 1e15f}) {
      Matrix rows = Clusters(2000, 32, 1);
      for (float& value : rows.values) value *= times;
      const auto result = Train(options, rows, {});
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_NEAR(result->start.at_10, plain, 0.03) << ToString(metric) << times;
    }
  }
  // What floats can still tell apart so far out, of which nothing is lost in the mean.
  options.metric = Metric::kL2;
  const double plain = Train(options, Clusters(2000, 32, 1), {})->start.at_10;
  Matrix rows = Clusters(2000, 32, 1);
  for (float& value : rows.values) value += 1000.0f;
  EXPECT_NEAR(Train(options, rows, {})->start.at_10, plain, 0.05);
}

TEST(TrainTest, FewRowsSayHowLittleTheyKnow) {
  const auto few = Train(Quiet("16x2", 0), Clusters(150, 32, 1), {});
  ASSERT_TRUE(few.ok()) << few.status();
  ASSERT_TRUE(few->among_many.has_value());
  EXPECT_LT(*few->among_many, few->kept.at_10);
  EXPECT_EQ(few->recall_documents, 135u);
  const auto many = Train(Quiet("16x2", 0), Clusters(12000, 32, 1), {});
  EXPECT_FALSE(many->among_many.has_value());
  EXPECT_GT(*few->among_many, many->kept.at_10 - 0.1);  // these clusters show only in many rows
  EXPECT_LT(StandardError(many->kept), StandardError(few->kept));
}

// Training goes on from codes of up to 8 levels, and from groups, and is kept only where it wins.
TEST(TrainTest, TrainsFurtherLevelsAndGroups) {
  TrainOptions options = Quiet(nullptr, 12);
  options.shape = *LevelPlan::Parse("8x6+16x2");
  options.hidden = {16};
  const auto fine = Train(options, Clusters(3000, 32, 1), {});
  ASSERT_TRUE(fine.ok()) << fine.status();
  EXPECT_GT(fine->steps, 0);  // up to the best that was measured
  EXPECT_LE(fine->steps, 12);
  EXPECT_GE(fine->kept.at_10, fine->start.at_10);
  EXPECT_TRUE(Binarizer::Parse(*SerializeModel(fine->model)).ok());
  options.groups = 8;
  const auto grouped = Train(options, Clusters(6000, 32, 3), {});
  ASSERT_TRUE(grouped.ok()) << grouped.status();
  EXPECT_GT(grouped->steps, 0);
  EXPECT_GE(grouped->kept.at_10, grouped->grouped.at_10);
  EXPECT_TRUE(Binarizer::Parse(*SerializeModel(grouped->model)).ok());
}

// A search that has no time takes the first of what it would try, and groups are left out.
TEST(TrainTest, ATimeLimitEndsTheSearch) {
  TrainOptions options = Quiet(nullptr, 0);
  options.bits = 64;
  options.groups = 16;
  options.code = CodeKind::kAuto;
  const Matrix rows = Clusters(6000, 32, 3);
  const auto whole = Train(options, rows, {});
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_GT(whole->tried.size(), 10u);
  EXPECT_GT(whole->model.spec.groups(), 1u);
  options.time_limit = 1e-9;
  const auto limited = Train(options, rows, {});
  ASSERT_TRUE(limited.ok()) << limited.status();
  EXPECT_EQ(limited->tried.size(), 2u);  // by some of the queries, and by all
  EXPECT_EQ(limited->model.spec.bits(), 64u);
  EXPECT_EQ(limited->model.spec.groups(), 1u);
}

// A model in groups that training changed: its file holds what was measured.
TEST(TrainTest, TrainedGroupsAreWrittenAsTheyAre) {
  const Matrix rows = Clusters(3000, 32, 1);
  const CorpusStatistics statistics = *MeasureCorpus(rows, Metric::kCosine, 32, 1);
  const Model start = *GroupedStartModel(statistics, *MeasureGroups(rows, statistics, {6, 3}, 32, 32, 1),
                                         *LevelPlan::Parse("8x5+16x2"), 6, 1);
  ThreadPool pool(1);
  const Validator validator(rows, Clusters(200, 32, 2), Metric::kCosine, pool);
  TrainOptions options = Quiet(nullptr, 20);
  options.learning_rate = 1e-3;
  HeldOutRecall none = *validator.Measure(start);
  const double before = none.at_10;
  none.at_10 = 0.0;  // so that whatever is trained is kept
  std::fill(none.per_query.begin(), none.per_query.end(), -1.0f);
  const auto outcome = Trainer::Run(options, start, none, rows, {}, validator);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  ASSERT_TRUE(outcome->improved);
  EXPECT_NE(outcome->model.bases[0].project, start.bases[0].project);
  EXPECT_GT(outcome->recall.at_10, before - 0.1);
  const Model read = *ParseModel(*SerializeModel(outcome->model));
  EXPECT_EQ(read.bases[1].project, outcome->model.bases[1].project);
  EXPECT_EQ(validator.Measure(read)->at_10, outcome->recall.at_10);
}

// An interruption in a step that is measured, here the last: what it reached is not lost, nor is its checkpoint before
// the model is written.
TEST(TrainTest, AnInterruptedStepIsMeasured) {
  const std::string output = ::testing::TempDir() + "/measured." + std::to_string(::getpid());
  const Matrix rows = Clusters(1000, 32, 1);
  ThreadPool pool(1);
  const Validator validator(rows, Clusters(100, 32, 2), Metric::kCosine, pool);
  TrainOptions options = Quiet("16x2", 1);
  options.output = output;
  options.interrupt_after = 1;
  const Model start = ToTrainable(Train(Quiet("16x2", 0), rows, {})->model, ResidualForm::kCode, {}, 1);
  HeldOutRecall none = *validator.Measure(start);
  none.at_10 = 0.0;  // so that whatever is trained is kept
  std::fill(none.per_query.begin(), none.per_query.end(), -1.0f);
  EXPECT_EQ(Trainer::Run(options, start, none, rows, {}, validator).status().code(), absl::StatusCode::kCancelled);
  options.interrupt_after = -1;
  options.resume = true;
  const auto resumed = Trainer::Run(options, start, none, rows, {}, validator);
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_TRUE(resumed->improved);
  EXPECT_TRUE(std::filesystem::exists(output + ".checkpoint"));
  std::filesystem::remove(output + ".checkpoint");
}

// Wherever the search for a start is then: of rows that are few it makes models of parts of them as well.
TEST(TrainTest, AnInterruptionEndsTheSearchForAStart) {
  TrainOptions options = Quiet(nullptr, 1000);
  options.bits = 128;
  std::atomic<bool> interrupted = true, keeps = false;
  options.interrupted = &interrupted;
  options.keeps = &keeps;
  EXPECT_THAT(Error(options, Clusters(1000, 96, 1)), HasSubstr("before training began"));
  interrupted = false;
  std::thread later([&] { interrupted = true; });
  EXPECT_THAT(Error(options, Clusters(1000, 96, 1)), HasSubstr("before training began"));
  later.join();
  EXPECT_FALSE(keeps);
}

TEST(TrainTest, PoorInputGivesASoundModel) {
  Matrix few = Clusters(12, 64, 1);  // fewer rows than dims
  Matrix constant = Clusters(300, 32, 1);
  for (size_t r = 0; r < constant.rows; ++r) constant.row(r)[3] = 7.0f, constant.row(r)[5] = 0.0f;
  Matrix duplicates = Clusters(20, 32, 1);
  const std::vector<float> once = duplicates.values;
  for (int i = 0; i < 9; ++i) duplicates.values.insert(duplicates.values.end(), once.begin(), once.end());
  duplicates.rows *= 10;
  Matrix zeros = Clusters(300, 32, 1);
  for (size_t r = 0; r < 100; ++r) std::fill_n(zeros.row(r * 3), 32, 0.0f);
  for (const Matrix& rows : {few, constant, duplicates, zeros}) {
    for (const char* shape : {"16x2", "8x4+16x1", "64x1"}) {
      if (ParseCodeSpec(shape)->dims() > rows.dims && ParseCodeSpec(shape)->bands().size() > 1) continue;
      const auto result = Train(Quiet(shape, 3), rows, {});
      ASSERT_TRUE(result.ok()) << shape << ": " << result.status();
      const auto file = SerializeModel(result->model);
      ASSERT_TRUE(file.ok()) << file.status();
      EXPECT_TRUE(Binarizer::Parse(*file).ok());
    }
  }
}

TEST(TrainTest, AnInterruptedRunResumesToTheSameModel) {
  const std::string folder = ::testing::TempDir() + "/resume." + std::to_string(::getpid());
  std::filesystem::create_directories(folder);
  ASSERT_TRUE(WriteNpy(folder + "/docs.npy", Clusters(2000, 32, 1)).ok());
  TrainOptions options = Quiet("16x2", 16);
  options.input = folder + "/docs.npy";
  options.output = folder + "/whole.safetensors";
  const auto whole = TrainFiles(options);
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_FALSE(std::filesystem::exists(options.output + ".checkpoint"));
  options.output = folder + "/parts.safetensors";
  options.stop_after = 7;  // as an interruption would: the last checkpoint is that of step 6
  EXPECT_EQ(TrainFiles(options).status().code(), absl::StatusCode::kCancelled);
  ASSERT_TRUE(std::filesystem::exists(options.output + ".checkpoint"));
  options.stop_after = -1;
  options.resume = true;
  const auto resumed = TrainFiles(options);
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_EQ(*SerializeModel(resumed->model), *SerializeModel(whole->model));
  options.seed = 99;
  options.stop_after = 3;
  options.resume = false;
  EXPECT_FALSE(TrainFiles(options).ok());
  options.seed = 1;
  options.resume = true;
  EXPECT_THAT(std::string(TrainFiles(options).status().message()), HasSubstr("another run"));
  // An interruption leaves a checkpoint of the very step, and there is no resuming from nothing.
  std::filesystem::remove(options.output + ".checkpoint");
  const absl::Status nothing = TrainFiles(options).status();
  EXPECT_EQ(nothing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(nothing.message()), HasSubstr("no checkpoint"));
  options.resume = false;
  options.stop_after = -1;
  options.interrupt_after = 7;
  const absl::Status interrupted = TrainFiles(options).status();
  EXPECT_EQ(interrupted.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(std::string(interrupted.message()), HasSubstr("interrupted after step 7 of 16"));
  options.interrupt_after = -1;
  options.resume = true;
  EXPECT_EQ(*SerializeModel(TrainFiles(options)->model), *SerializeModel(whole->model));
  const std::atomic<bool> at_once = true;
  options.resume = false;
  options.interrupted = &at_once;
  EXPECT_THAT(std::string(TrainFiles(options).status().message()), HasSubstr("before training began"));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace bebr
