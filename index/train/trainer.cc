#include "index/train/trainer.h"

#include <torch/torch.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "index/base/checksum.h"
#include "index/base/status_macros.h"
#include "index/train/checkpoint.h"
#include "index/train/neighborhoods.h"
#include "index/train/optimizer.h"
#include "index/train/pair_loss.h"
#include "index/train/trainable.h"

namespace bebr {
namespace {

using torch::Tensor;
using Clock = std::chrono::steady_clock;

constexpr double kNever = -1e9;  // the logarithm of a share of nothing
constexpr double kPairWeight = 0.1;
constexpr double kPerplexity = 20.0;
constexpr double kCompatiblePerplexity = 200.0;  // what the older codes can tell apart is coarser
constexpr double kTranslatedPerplexity = 500.0;
constexpr double kAverage = 0.99;
constexpr int kMeasurements = 10;
constexpr std::chrono::seconds kTellAtLeast(30);  // between lines about progress, where they go to a file
constexpr int kPatience = 3;
constexpr double kFarBelow = 0.03;  // recall@10
constexpr double kTrainingFlops = 1.5e13;

std::vector<Tensor> Clone(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> copies;
  for (const Tensor& tensor : tensors) copies.push_back(tensor.detach().clone());
  return copies;
}

void CopyInto(std::vector<Tensor> targets, const std::vector<Tensor>& sources) {
  torch::NoGradGuard no_grad;
  for (size_t i = 0; i < targets.size(); ++i) targets[i].copy_(sources[i]);
}

// One training run: everything that a step needs and a checkpoint holds.
class Session {
 public:
  Session(const TrainOptions& options, const Model& start, const HeldOutRecall& start_recall, const Matrix& documents,
          const QueryPairs& pairs, const Validator& validator, const OlderVersion* older, int64_t steps)
      : options_(options),
        documents_(documents),
        pairs_(pairs),
        validator_(validator),
        steps_(steps),
        model_(MakeTrainable(start)),
        average_(MakeTrainable(start)),
        older_(older),
        optimizer_(Trained(), PeakRate(options, start, older != nullptr), steps),
        start_recall_(start_recall),
        best_recall_(start_recall) {
    std::mt19937_64 random(options.seed);
    const size_t threads = static_cast<size_t>(torch::get_num_threads());
    const double of_older = start.translation.has_value() ? kTranslatedPerplexity : kCompatiblePerplexity;
    const double perplexity = older == nullptr ? kPerplexity : of_older;
    temperature_ = Temperature(documents, options.metric, perplexity, random);
    {
      torch::NoGradGuard no_grad;
      log_score_temperature_.fill_(std::log(
          older == nullptr ? temperature_ : Temperature(older->documents, options.metric, perplexity, random)));
    }
    if (older != nullptr) old_model_ = MakeTrainable(older->model);
    neighborhoods_ = FindNeighborhoods(documents, options.metric, threads, random);
    fingerprint_ =
        Crc32(absl::StrCat(start.spec.ToString(), ",", start.spec.groups(), ",", start.query_levels, ",",
                           start.embedding_dims(), ",", documents.rows, ",", options.seed, ",", steps, ",",
                           absl::StrJoin(start.hidden, "-"), ",", absl::StrJoin(start.query_hidden, "-"), ",",
                           static_cast<int>(options.estimator), ",", static_cast<int>(start.residual_form)));
    best_parameters_ = Clone(average_->parameters());
  }

  absl::StatusOr<TrainingOutcome> Run() {
    if (options_.resume) BEBR_RETURN_IF_ERROR(Load());
    const int64_t every = std::max<int64_t>(1, steps_ / kMeasurements);
    begin_ = Clock::now();
    const int64_t first_step = step_;
    while (step_ < steps_ && since_best_ < kPatience) {
      loss_sum_ += Step();
      ++loss_count_;
      ++step_;
      if (step_ == options_.stop_after) return absl::CancelledError(absl::StrCat("stopped after step ", step_));
      if (options_.progress) Progress(first_step);
      if (step_ % every == 0 || step_ == steps_) {
        BEBR_RETURN_IF_ERROR(Measure());
        if (!options_.output.empty()) BEBR_RETURN_IF_ERROR(Save());
      }
      // After the measurement, which a resumption, beginning with the next step, would leave out.
      if (step_ == options_.interrupt_after || (options_.interrupted != nullptr && *options_.interrupted))
        return Interrupted();
    }
    if (options_.progress) std::fprintf(stderr, "\n");
    TrainingOutcome outcome;
    outcome.steps = step_;
    outcome.curve = curve_;
    outcome.recall = best_recall_;
    outcome.improved = improved_;
    if (improved_) outcome.model = WithValues(best_parameters_);
    return outcome;
  }

 private:
  absl::Status Interrupted() {
    if (options_.output.empty()) return absl::CancelledError(absl::StrCat("interrupted after step ", step_));
    BEBR_RETURN_IF_ERROR(Save());
    return absl::CancelledError(absl::StrCat("interrupted after step ", step_, " of ", steps_, "; '", CheckpointPath(),
                                             "' holds it: go on with the same options and --resume"));
  }
  static double PeakRate(const TrainOptions& options, const Model& model, bool compatible) {
    // Found by trying on text (256 dims: 1e-3 to 2e-3), pixels (784 dims: 2e-4; 6e-4 costs recall from 784 bits up) and
    // compatible versions (96 dims: 5e-3).
    const auto n = static_cast<double>(model.embedding_dims());
    return options.learning_rate > 0.0 ? options.learning_rate : std::min(compatible ? 5e-3 : 2e-3, 128.0 / (n * n));
  }
  std::string CheckpointPath() const { return options_.output + ".checkpoint"; }

  // What the optimizer moves. In another version's space the band weights are that version's, and the scores'
  // temperature is learned instead.
  std::vector<Tensor> Trained() {
    std::vector<Tensor> trained = model_->parameters();
    log_score_temperature_ = torch::zeros({1});
    if (older_ != nullptr) {
      model_->FreezeWeights();
      trained.push_back(log_score_temperature_.set_requires_grad(true));
    }
    return trained;
  }
  Model WithValues(const std::vector<Tensor>& parameters) const {
    Model model = model_->ToModel(parameters);
    if (older_ != nullptr) model.spec = older_->model.spec;  // bit for bit
    return model;
  }

  double Sharpness() const { return 1.0 + 2.0 * static_cast<double>(step_) / static_cast<double>(steps_); }

  double Step() {
    std::mt19937_64 random(options_.seed * 1000003 + static_cast<uint64_t>(step_) + 1);
    const TrainingBatch batch = DrawBatch(neighborhoods_, documents_.rows, random);
    const Tensor query_index = torch::tensor(batch.queries), document_index = torch::tensor(batch.documents);
    const Tensor queries = Rows(documents_, query_index, options_.metric),
                 documents = Rows(documents_, document_index, options_.metric);
    const Tensor self = query_index.unsqueeze(1) == document_index.unsqueeze(0);
    // Now and then shorter codes, where wanted: a prefix of the levels then serves as a code of its own.
    const bool shorter = static_cast<double>(random() % 1000) < 1000.0 * options_.prefix_share;
    const int64_t cap = shorter ? 1 + static_cast<int64_t>(random() % kMaxLevels) : int64_t{kMaxPlanLevels};

    const TorchCodes query_codes = model_->EncodeQueries(queries, options_.estimator, Sharpness());
    const TorchCodes document_codes = model_->EncodeDocuments(documents, cap, options_.estimator, Sharpness());
    const Target target = TargetOf(queries, documents, self);
    const auto divergence = [&](const TorchCodes& codes) {
      const Tensor score =
          (model_->Scores(query_codes, codes) / log_score_temperature_.exp()).masked_fill(self, kNever);
      return (target.shares * torch::log_softmax(score, 1)).sum() / -static_cast<double>(queries.size(0)) -
             target.entropy;
    };
    Tensor loss;
    if (older_ == nullptr) {
      loss = divergence(document_codes);
    } else {
      const TorchCodes old_codes = OldCodes(document_index);
      loss =
          (divergence(old_codes) + divergence(Mixed(old_codes, document_codes, random)) + divergence(document_codes)) /
          3.0;
    }
    if (pairs_.queries.rows > 0) loss = loss + kPairWeight * OfPairs(random);
    loss.backward();
    optimizer_.Step(step_);
    UpdateAverage();
    return loss.item<double>();
  }

  // What the scores are to give: every query's softmax of its similarities with the documents, but for itself.
  struct Target {
    Tensor shares;         // queries x documents
    double entropy = 0.0;  // a query, on average
  };
  Target TargetOf(const Tensor& queries, const Tensor& documents, const Tensor& self) const {
    torch::NoGradGuard no_grad;
    Tensor log_target = (Similarities(queries, documents, options_.metric) / temperature_).masked_fill_(self, kNever);
    log_target = torch::log_softmax(log_target, 1);
    const Tensor shares = log_target.exp();
    return {shares, -log_target.mul_(shares).sum().item<double>() / static_cast<double>(queries.size(0))};
  }

  TorchCodes OldCodes(const Tensor& rows) const {
    torch::NoGradGuard no_grad;
    return old_model_->EncodeDocuments(Rows(older_->documents, rows, options_.metric), int64_t{kMaxPlanLevels},
                                       options_.estimator, 1.0);
  }

  // Every document's code by one of the two versions, at random.
  static TorchCodes Mixed(const TorchCodes& a, const TorchCodes& b, std::mt19937_64& random) {
    std::vector<uint8_t> coin(static_cast<size_t>(a.code.size(0)));
    for (uint8_t& side : coin) side = static_cast<uint8_t>(random() & 1);
    const Tensor first = torch::tensor(coin) > 0;
    return {torch::where(first.unsqueeze(1), a.code, b.code), torch::where(first, a.scale, b.scale),
            torch::where(first, a.offset, b.offset)};
  }

  Tensor OfPairs(std::mt19937_64& random) {
    const PairBatch batch = DrawPairs(pairs_, documents_, options_.metric, random);
    return pair_loss_.Of(batch, *model_, *average_, options_.estimator, Sharpness(), temperature_);
  }

  void UpdateAverage() {
    torch::NoGradGuard no_grad;
    const std::vector<Tensor> targets = average_->parameters(), sources = model_->parameters();
    for (size_t i = 0; i < targets.size(); ++i) targets[i].lerp_(sources[i], 1.0 - kAverage);
  }

  absl::Status Measure() {
    BEBR_ASSIGN_OR_RETURN(HeldOutRecall recall, validator_.Measure(WithValues(average_->parameters())));
    const bool rising = recall.at_10 > last_recall_;
    last_recall_ = recall.at_10;
    const double elapsed = elapsed_before_s_ + std::chrono::duration<double>(Clock::now() - begin_).count();
    curve_.push_back(
        {step_, loss_sum_ / std::max<double>(1.0, static_cast<double>(loss_count_)), recall.at_10, elapsed});
    loss_sum_ = 0.0;
    loss_count_ = 0;
    // Recall dips while the rate is high and comes back as it falls: only what neither leads nor rises is idle.
    if (2 * step_ > steps_ && !rising) ++since_best_;
    // Better than the start beyond doubt; among those, the best.
    if (recall.at_10 > best_recall_.at_10 && PairedGain(recall, start_recall_) > 1.0) {
      best_recall_ = std::move(recall);
      improved_ = true;
      since_best_ = 0;
      best_parameters_ = Clone(average_->parameters());
    } else if (recall.at_10 < best_recall_.at_10 - kFarBelow) {
      // The steps are too large for this data. Go on from the best with smaller ones.
      CopyInto(model_->parameters(), best_parameters_);
      CopyInto(average_->parameters(), best_parameters_);
      optimizer_.Halve();
    }
    return absl::OkStatus();
  }

  void Progress(int64_t first_step) {
    const bool terminal = isatty(STDERR_FILENO) != 0;
    const double done = static_cast<double>(step_ - first_step),
                 elapsed = std::chrono::duration<double>(Clock::now() - begin_).count();
    const bool tenth = (step_ * 10) / steps_ != ((step_ - 1) * 10) / steps_;
    // In a file a line for each tenth of the steps, and while these take long, so that one sees it going on.
    if (!terminal && !tenth && Clock::now() < told_ + kTellAtLeast) return;
    told_ = Clock::now();
    const int filled = static_cast<int>(20 * step_ / steps_);
    std::fprintf(stderr, "%s[%-20.*s] step %lld/%lld  loss %.4f  held-out recall@10 %.4f (start %.4f)  %.0f s left%s",
                 terminal ? "\r" : "", filled, "####################", static_cast<long long>(step_),
                 static_cast<long long>(steps_), loss_count_ > 0 ? loss_sum_ / static_cast<double>(loss_count_) : 0.0,
                 last_recall_ > 0.0 ? last_recall_ : start_recall_.at_10, start_recall_.at_10,
                 elapsed / done * static_cast<double>(steps_ - step_), terminal ? "  " : "\n");
    std::fflush(stderr);
  }

  std::vector<Tensor> State() {
    std::vector<Tensor> state = {
        torch::tensor({static_cast<int64_t>(fingerprint_), step_, since_best_, int64_t{improved_}}),
        torch::tensor({optimizer_.factor(), best_recall_.at_10, best_recall_.at_50, last_recall_}, torch::kFloat64),
        torch::tensor(best_recall_.per_query), log_score_temperature_};
    for (const auto& group :
         {model_->parameters(), average_->parameters(), best_parameters_, optimizer_.first(), optimizer_.second()}) {
      state.insert(state.end(), group.begin(), group.end());
    }
    return state;
  }

  absl::Status Save() { return WriteCheckpoint(CheckpointPath(), State()); }

  absl::Status Load() {
    torch::NoGradGuard no_grad;
    return ReadCheckpoint(CheckpointPath(), [&](const std::vector<Tensor>& loaded) -> absl::Status {
      std::vector<Tensor> mine = State();
      if (loaded.size() != mine.size() || loaded[0].index({0}).item<int64_t>() != static_cast<int64_t>(fingerprint_)) {
        return absl::FailedPreconditionError(absl::StrCat("the checkpoint '", CheckpointPath(),
                                                          "' is of another run (data, shape, seed, steps): give that "
                                                          "run's options, or leave --resume out to start anew"));
      }
      step_ = loaded[0].index({1}).item<int64_t>();
      since_best_ = loaded[0].index({2}).item<int64_t>();
      improved_ = loaded[0].index({3}).item<int64_t>() != 0;
      optimizer_.set_factor(loaded[1].index({0}).item<double>());
      best_recall_.at_10 = loaded[1].index({1}).item<double>();
      best_recall_.at_50 = loaded[1].index({2}).item<double>();
      last_recall_ = loaded[1].index({3}).item<double>();
      best_recall_.per_query.assign(loaded[2].data_ptr<float>(), loaded[2].data_ptr<float>() + loaded[2].numel());
      for (size_t i = 3; i < mine.size(); ++i) mine[i].copy_(loaded[i]);
      if (options_.progress) std::fprintf(stderr, "resumed after step %lld\n", static_cast<long long>(step_));
      return absl::OkStatus();
    });
  }

  const TrainOptions& options_;
  const Matrix& documents_;
  const QueryPairs& pairs_;
  const Validator& validator_;
  int64_t steps_;
  std::unique_ptr<Trainable> model_, average_;
  const OlderVersion* older_;
  std::unique_ptr<Trainable> old_model_;
  Tensor log_score_temperature_;
  Optimizer optimizer_;
  HeldOutRecall start_recall_, best_recall_;
  double temperature_ = 1.0;
  Neighborhoods neighborhoods_;
  uint32_t fingerprint_ = 0;
  std::vector<Tensor> best_parameters_;
  PairLoss pair_loss_;
  int64_t step_ = 0, since_best_ = 0;
  bool improved_ = false;
  double last_recall_ = 0.0, loss_sum_ = 0.0, elapsed_before_s_ = 0.0;
  int64_t loss_count_ = 0;
  std::vector<CurvePoint> curve_;
  Clock::time_point begin_;
  Clock::time_point told_;  // when the last line about progress was
};

}  // namespace

int64_t Trainer::DefaultSteps(const Model& model) {
  const double n = model.input_dims, m = model.spec.dims(), steps = model.spec.max_levels() - 1.0;
  const double queries = kBatchSeeds * (kBatchPositives + 1.0), documents = queries + kBatchOthers;
  double per_document = n * m + steps * (n * m + m * m);
  double width = n;
  for (const uint32_t hidden : model.hidden) per_document += width * hidden, width = hidden;
  if (!model.hidden.empty()) per_document += width * m;
  // Twice as much backwards, but the inputs' gradients are not needed, nor those of the similarities.
  const double step_flops =
      2.0 * (3.0 * documents * per_document + 2.0 * queries * n * m + queries * documents * (3.0 * m + n));
  return static_cast<int64_t>(std::clamp(kTrainingFlops / step_flops, 600.0, 3000.0));
}

absl::StatusOr<TrainingOutcome> Trainer::Run(const TrainOptions& options, const Model& start,
                                             const HeldOutRecall& start_recall, const Matrix& documents,
                                             const QueryPairs& pairs, const Validator& validator,
                                             const OlderVersion* older) {
  const int64_t steps = options.steps >= 0 ? options.steps : DefaultSteps(start);
  TrainingOutcome outcome;
  outcome.model = start;
  outcome.recall = start_recall;
  if (steps == 0) return outcome;
  try {
    // Pairs name rows of the whole input, so it is not thinned out then.
    Matrix sample;
    OlderVersion old_sample;
    const bool thin = documents.rows > kTrainingDocuments && pairs.queries.rows == 0;
    if (thin) sample = EvenlySpaced(documents, kTrainingDocuments);
    if (thin && older != nullptr) {
      old_sample = {older->model, EvenlySpaced(older->documents, kTrainingDocuments)};
      older = &old_sample;
    }
    Session session(options, start, start_recall, thin ? sample : documents, pairs, validator, older, steps);
    BEBR_ASSIGN_OR_RETURN(TrainingOutcome trained, session.Run());
    if (!trained.improved) trained.model = start;
    return trained;
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("training failed: ", error.what()));
  }
}

}  // namespace bebr
