// bebr-train: fits and trains a binarizer to a file of embeddings.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <exception>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "index/base/program.h"
#include "index/base/status_macros.h"
#include "index/fit/fit.h"
#include "index/train/options.h"
#include "index/train/training_files.h"
#include "index/train/training_run.h"

namespace bebr {
namespace {

// Set by the first SIGINT or SIGTERM; a second ends the program as ever, and where there is nothing to keep the first.
std::atomic<bool> interrupted = false;
std::atomic<bool> keeps = false;

void Interrupt(int) {
  if (keeps) {
    interrupted = true;
    return;
  }
  constexpr std::string_view kNothing = "\nbebr-train: interrupted before training began: nothing is kept\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kNothing.data(), kNothing.size());
  _exit(kExitFailed);
}

void ListenForInterrupts() {
  struct sigaction action = {};
  action.sa_handler = Interrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
}

struct Flags {
  TrainOptions options;
  uint32_t dims = 0;
  uint32_t levels = 0;
  std::string shape;
  uint32_t packed = 0;
  bool json = false;
};

// An option that takes one of `choices` by its name. CLI11's own transformer prints the values of the enum as well, as
// bytes.
template <typename T>
void AddChoice(CLI::App& app, const std::string& name, T& value, const std::map<std::string, T>& choices,
               const std::string& description) {
  CLI::Option* const option = app.add_option_function<std::string>(
      name, [&value, choices](const std::string& text) { value = choices.at(text); }, description);
  option->check(CLI::IsMember(choices));
  for (const auto& [text, choice] : choices) {
    if (choice == value) option->default_str(text);
  }
}

// What goes in and comes out, and what the code is to be.
void DeclareTask(CLI::App& app, Flags& flags) {
  TrainOptions& options = flags.options;
  app.add_option("--input", options.input,
                 "Document embeddings: .npy, .fvecs, .jsonl, .hdf5, IDX; wanted but for --packed");
  app.add_option("--output", options.output, "The model file to write")->required();
  app.add_option("--queries", options.queries, "Held-out queries (default: rows split off from the input)");
  app.add_option("--bits", options.bits, "Bits a document; the shape is searched")
      ->check(CLI::Range(kMinCodeBits, kMaxCodeDims * kMaxLevels));
  app.add_option("--target-recall", options.target_recall,
                 "Instead of bits: the fewest whose start has this held-out recall@10")
      ->check(CLI::Range(0.01, 1.0));
  app.add_option("--dims", flags.dims, "Code dims, with --levels")->check(CLI::Range(1u, kMaxCodeDims));
  app.add_option("--levels", flags.levels, "Levels stored a document, 1..8")->check(CLI::Range(1u, kMaxPlanLevels));
  app.add_option("--shape", flags.shape,
                 "Runs of dims x levels, e.g. 32x6+64x3+96x2; more than 4 levels with more than 4 query levels");
  AddChoice(
      app, "--code", options.code,
      {{"levels", CodeKind::kLevels}, {"trellis", CodeKind::kTrellis}, {"auto", CodeKind::kAuto}},
      "Of a searched shape: levels, trellis codes, or these where they find clearly more; --shape says it: 128x2t");
  app.add_option("--query-levels", options.query_levels,
                 "Levels of a query, 1..4 by the recursion, 5 to 7 with a quantizer fitted to every row")
      ->check(CLI::Range(1u, kMaxQueryLevels))
      ->capture_default_str();
  app.add_option("--groups", options.groups, "Groups of documents, at most so many, as many as pay")
      ->check(CLI::Range(1u, kMaxGroups))
      ->capture_default_str();
  AddChoice(app, "--metric", options.metric,
            {{"cosine", Metric::kCosine}, {"inner_product", Metric::kInnerProduct}, {"l2", Metric::kL2}},
            "What scores estimate");
  CLI::Option* compatible =
      app.add_option("--compatible-with", options.compatible_with,
                     "Model file of an older version: the new one writes into its space (needs --paired)");
  compatible->needs(
      app.add_option("--paired", options.paired, "The older version's embeddings of the rows of --input"));
  app.add_option("--packed", flags.packed,
                 "Instead of all that: the model for codes of so many bits that were made elsewhere, whose files are "
                 "read as FILE.npy:bits")
      ->check(CLI::PositiveNumber)
      ->excludes("--input")
      ->excludes("--bits");
  app.add_flag("--json", flags.json, "Print a JSON summary on standard output");
}

// How it is trained.
void DeclareTraining(CLI::App& app, TrainOptions& options) {
  app.add_option("--steps", options.steps, "Training steps; 0: only the training-free start")
      ->check(CLI::Range(0, 1'000'000'000));
  app.add_option(
         "--fit-rows", options.fit_rows,
         "Rows that means, covariances and groups are measured on, evenly spaced (default: 100,000; of an input "
         "of over 202,000, which is not held in memory, 1,000,000)")
      ->check(CLI::Range(size_t{1000}, size_t{1} << 40));
  app.add_option("--time-limit", options.time_limit,
                 "Seconds after which no more shapes and groups are tried: the best so far is fitted (default: none)")
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed, "Same seed, same model")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--threads", options.threads, "Threads; 0: every processor")->check(CLI::Range(0, 1024));
  AddChoice(app, "--method", options.method, {{"residual", Method::kResidual}, {"mib", Method::kMedian}},
            "residual, or mib for training-free median thresholds");
  app.add_option("--hidden", options.hidden, "Sizes of an MLP path's hidden layers; 0: linear")
      ->check(CLI::NonNegativeNumber)
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--query-hidden", options.query_hidden, "The same for queries of a compatible version; 0: linear")
      ->check(CLI::NonNegativeNumber)
      ->delimiter(',')
      ->capture_default_str();
  AddChoice(app, "--residual-form", options.residual_form,
            {{"code", ResidualForm::kCode}, {"input", ResidualForm::kInput}},
            "code: residuals of the code, the MLP in the projection alone; input: the paper's blocks");
  AddChoice(app, "--estimator", options.estimator,
            {{"ste", Estimator::kStraightThrough}, {"reste", Estimator::kReste}, {"tanh", Estimator::kTanh}},
            "Gradient of the sign: ste, reste, tanh");
  app.add_option("--learning-rate", options.learning_rate, "Peak learning rate (default: from the dims)")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--prefix-share", options.prefix_share,
                 "Share of the steps that train shorter codes (prefixes of the levels)")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--pairs", options.pairs,
                 "Query embeddings that belong to input rows: adds the contrastive loss (needs --queries)");
  app.add_option("--pair-rows", options.pair_rows,
                 "Row numbers of the pairs' documents, one a line (default: row i to row i)");
  app.add_flag("--resume", options.resume, "Go on from OUTPUT.checkpoint, which an interrupted run leaves");
}

absl::Status CompleteHidden(const std::string& name, std::vector<uint32_t>& sizes) {
  std::erase(sizes, 0u);
  for (const uint32_t size : sizes) {
    if (size > kMaxHiddenDims)
      return absl::InvalidArgumentError(absl::StrCat(name, " ", size, ": the limit is ", kMaxHiddenDims));
  }
  if (sizes.size() > kMaxHiddenLayers)
    return absl::InvalidArgumentError(absl::StrCat(name, ": at most ", kMaxHiddenLayers, " layers"));
  return absl::OkStatus();
}

absl::Status Complete(Flags& flags) {
  if (flags.packed != 0) return absl::OkStatus();
  if (flags.options.input.empty()) return absl::InvalidArgumentError("--input is required");
  BEBR_RETURN_IF_ERROR(CompleteHidden("--hidden", flags.options.hidden));
  BEBR_RETURN_IF_ERROR(CompleteHidden("--query-hidden", flags.options.query_hidden));
  const int ways = (flags.options.bits != 0) + (flags.options.target_recall > 0.0) +
                   (flags.dims != 0 || flags.levels != 0) + !flags.shape.empty() +
                   !flags.options.compatible_with.empty();
  if (ways != 1) {
    return absl::InvalidArgumentError(
        "give exactly one of --bits, --target-recall, --dims with --levels, --shape, --compatible-with");
  }
  if (flags.dims != 0 || flags.levels != 0) flags.shape = absl::StrCat(flags.dims, "x", flags.levels);
  if (flags.shape.empty()) return absl::OkStatus();
  absl::StatusOr<LevelPlan> plan = LevelPlan::Parse(flags.shape);
  if (!plan.ok()) return plan.status();
  flags.options.shape = *std::move(plan);
  return absl::OkStatus();
}

// Null where the model is not compatible with an older one.
nlohmann::json CompatibilitySummary(const TrainResult& result) {
  if (!result.compatibility.has_value()) return nullptr;
  const CompatibilityReport& report = *result.compatibility;
  nlohmann::json summary = {{"new_on_old", report.new_on_old},
                            {"new_on_mixed", report.new_on_mixed},
                            {"new_on_new", report.new_on_new},
                            {"own_space_start", nullptr}};
  if (report.own_space_start.has_value()) summary["own_space_start"] = *report.own_space_start;
  if (report.old_on_old.has_value()) summary["old_on_old"] = *report.old_on_old;
  return summary;
}

nlohmann::json Summary(const TrainResult& result) {
  const CodeSpec& spec = result.model.spec;
  nlohmann::json curve = nlohmann::json::array();
  for (const CurvePoint& point : result.curve) {
    curve.push_back({{"step", point.step},
                     {"loss", point.loss},
                     {"recall_at_10", point.recall_at_10},
                     {"elapsed_s", point.elapsed_s}});
  }
  nlohmann::json tried = nlohmann::json::array();
  for (const TriedShape& shape : result.tried) {
    tried.push_back({{"shape", shape.shape},
                     {"bits", shape.bits},
                     {"recall_at_10", shape.recall_at_10},
                     {"all_queries", shape.all_queries}});
  }
  return {{"shape", result.model.levels().ToString()},
          {"bits", spec.bits()},
          {"groups", spec.groups()},
          {"compatibility", CompatibilitySummary(result)},
          {"input_dims", result.model.input_dims},
          {"query_levels", result.model.query_levels},
          {"rows", result.rows},
          {"fit_rows", result.fit_rows},
          {"fit_s", result.fit_s},
          {"recall_documents", result.recall_documents},
          {"recall_error", StandardError(result.kept)},
          {"recall_at_10_among_many", result.among_many.has_value() ? nlohmann::json(*result.among_many) : nullptr},
          {"held_out_queries", result.held_out_queries},
          {"start", {{"recall_at_10", result.start.at_10}, {"recall_at_50", result.start.at_50}}},
          {"start_with_groups", {{"recall_at_10", result.grouped.at_10}, {"recall_at_50", result.grouped.at_50}}},
          {"kept", {{"recall_at_10", result.kept.at_10}, {"recall_at_50", result.kept.at_50}}},
          {"trained_kept", result.trained_kept},
          {"steps", result.steps},
          {"curve", curve},
          {"bits_that_differ", result.bits_that_differ},
          {"start_s", result.start_s},
          {"total_s", result.total_s},
          {"shapes_tried", tried},
          {"warnings", result.warnings}};
}

void PrintCompatibility(const CompatibilityReport& report) {
  std::fprintf(stderr, "Held-out recall@10 of the new embedding's exact neighbours:\n");
  if (report.old_on_old.has_value())
    std::fprintf(stderr, "  old queries on old codes             %.4f\n", *report.old_on_old);
  std::fprintf(stderr,
               "  new queries on old codes             %.4f\n"
               "  new queries on half old, half new    %.4f\n"
               "  new queries on new codes             %.4f\n",
               report.new_on_old, report.new_on_mixed, report.new_on_new);
  if (report.own_space_start.has_value())
    std::fprintf(stderr, "  a space of its own, untrained        %.4f\n", *report.own_space_start);
}

int Fail(const absl::Status& status, int code) {
  std::fprintf(stderr, "bebr-train: %s\n", std::string(status.message()).c_str());
  return code;
}

int WritePacked(const Flags& flags) {
  const absl::StatusOr<Model> model = SignsModel(flags.packed);
  if (!model.ok()) return Fail(model.status(), kExitUsage);
  if (const absl::Status status = WriteModel(*model, flags.options.output); !status.ok())
    return Fail(status, kExitFailed);
  if (flags.json)
    std::printf("%s\n",
                nlohmann::json({{"shape", model->levels().ToString()}, {"bits", flags.packed}}).dump(2).c_str());
  return kExitDone;
}

int Run(int argc, char** argv) {
  CLI::App app("Fits and trains a binarizer: float embeddings in, a model file out.", "bebr-train");
  app.set_version_flag("--version", "bebr-train " BEBR_VERSION);
  app.footer("Example:\n  bebr-train --input docs.npy --bits 512 --output model.safetensors");
  Flags flags;
  flags.options.code = CodeKind::kAuto;
  DeclareTask(app, flags);
  DeclareTraining(app, flags.options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  if (const absl::Status status = Complete(flags); !status.ok()) return Fail(status, kExitUsage);
  if (flags.packed != 0) return WritePacked(flags);
  ListenForInterrupts();
  flags.options.interrupted = &interrupted;
  flags.options.keeps = &keeps;
  const absl::StatusOr<TrainResult> result = TrainFiles(flags.options);
  if (!result.ok()) return Fail(result.status(), kExitFailed);
  for (const std::string& warning : result->warnings)
    std::fprintf(stderr, "bebr-train: warning: %s\n", warning.c_str());
  std::fprintf(stderr,
               "%s, query %u levels: held-out recall@10 %.4f at start, %.4f kept (%s), +-%.4f among %zu documents, "
               "%.1f s\n",
               result->model.levels().ToString().c_str(), result->model.query_levels, result->start.at_10,
               result->kept.at_10, result->trained_kept ? "trained" : "start", StandardError(result->kept),
               result->recall_documents, result->total_s);
  if (result->among_many.has_value()) {
    std::fprintf(stderr,
                 "Few rows: their neighbours are easily found among so few. Expect a recall@10 of %.2f at most "
                 "among many documents, and fit again with more.\n",
                 *result->among_many);
  }
  if (result->compatibility.has_value()) PrintCompatibility(*result->compatibility);
  if (flags.json) std::printf("%s\n", Summary(*result).dump(2).c_str());
  return kExitDone;
}

}  // namespace
}  // namespace bebr

int main(int argc, char** argv) {
  try {
    return bebr::EndOutput("bebr-train", bebr::Run(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bebr-train: %s\n", error.what());
    return bebr::kExitFailed;
  }
}
