// bench/run recall: recall against the size of codes of other quantizers and of this project's binarizers, on the same
// data.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/baselines/signs.h"
#include "bench/recall/dataset.h"
#include "bench/recall/half_factors.h"
#include "bench/recall/others.h"
#include "bench/recall/plot.h"
#include "bench/support/machine.h"
#include "index/base/status_macros.h"
#include "index/binarizer/encoder.h"
#include "index/exact/neighbors.h"
#include "index/fit/code_search.h"
#include "index/simd/kernels.h"
#include "index/train/training_run.h"

namespace bebr::bench {
namespace {

constexpr char kFashionDocuments[] = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz";
constexpr char kFashionQueries[] = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz";
// A model's bytes are shared by so many documents.
constexpr double kSharedBy = 1e6;
// A document's scale and offset, and what groups take of a document beside its code: the place of a row and the row of
// a place.
constexpr double kFactorBytes = 8.0, kPlaceBytes = 4.0;
// Documents whose encoding is timed, and the processors that its rate is told for.
constexpr size_t kTimedDocuments = 20000;
constexpr double kEncodingProcessors = 2.0;
// Of sizes closer together than this, ours are made for the smallest.
constexpr double kSameSize = 1.08;
// So much larger is as large: models differ by fractions of a byte a document.
constexpr double kAsLarge = 1.01;

const std::map<std::string, Metric> kMetrics = {
    {"cosine", Metric::kCosine}, {"inner_product", Metric::kInnerProduct}, {"l2", Metric::kL2}};
const std::map<std::string, CodeKind> kCodes = {
    {"levels", CodeKind::kLevels}, {"trellis", CodeKind::kTrellis}, {"auto", CodeKind::kAuto}};

const std::map<std::string, Generated> kGenerated = {{"gaussian", Generated::kGaussian},
                                                     {"clusters", Generated::kClusters}};

struct Flags {
  std::string json, svg;
  std::vector<std::string> generated;
  size_t rows = 4000, dims = 64;
  DatasetFiles files{.name = "custom"};
  size_t limit = 2000;
  std::vector<size_t> budgets;
  std::vector<std::string> from;
  int64_t steps = -1;
  size_t threads = 0;
  uint64_t seed = 1;
  bool no_fashion = false, no_training = false, no_baselines = false, unseen = false, equal_bytes = false,
       count_model = false, all_sizes = false, resume = false, before = false, half_factors = false;
  uint32_t query_levels = kMaxQueryLevels;
  Metric metric = Metric::kCosine;
  CodeKind code = CodeKind::kAuto;
};

// What a document takes, and what all together take, in bytes.
struct Size {
  double code = 0, factors = 0, model = 0;
  double total() const { return code + factors + model / kSharedBy; }
};

// A benchmark over one data set: adds to the rows of `json`, which it writes whenever there is one more, since the next
// may take long.
class Benchmark {
 public:
  Benchmark(const Flags& flags, const Dataset& data, ThreadPool& pool, nlohmann::json& json)
      : flags_(flags), data_(data), pool_(pool), json_(json), rows_(json["rows"]) {}

  absl::Status Run() {
    const size_t d = data_.documents.dims;
    std::set<double> sizes;
    if (!flags_.no_baselines) {
      BEBR_ASSIGN_OR_RETURN(statistics_, MeasureCorpus(data_.fitted, flags_.metric, d, flags_.seed, pool_.size()));
      if (Known("sign", absl::StrCat(d, "x1"), d) == nullptr) BEBR_RETURN_IF_ERROR(RunSigns(d));
      RunOthers(sizes);
    }
    if (flags_.equal_bytes) {
      double before = 0.0;
      for (const double size : sizes) {
        if (size < before * kSameSize) continue;
        BEBR_RETURN_IF_ERROR(RunOfBytes(size * kAsLarge));
        before = size;
      }
      return absl::OkStatus();
    }
    for (const size_t bits : flags_.budgets.empty() ? std::vector<size_t>{d / 2, d, 2 * d} : flags_.budgets)
      BEBR_RETURN_IF_ERROR(flags_.count_model ? RunWithModel(bits) : RunBudget(bits));
    return absl::OkStatus();
  }

 private:
  absl::Status RunSigns(size_t d) {
    BEBR_ASSIGN_OR_RETURN(const CodeSpec one_bit, CodeSpec::Create({{static_cast<uint32_t>(d), 1, 1.0f}}));
    const double floats = sizeof(float) * static_cast<double>(d);
    if (!data_.qrels.empty())
      Add("float", absl::StrCat(d), 0, 0, 32 * d, {floats, 0, 0},
          ExactNeighbors(data_.documents, data_.queries, kFound, flags_.metric, pool_.size()));
    const Model sign = SignModel(statistics_);
    AddSigns("sign", sign, floats);
    BEBR_ASSIGN_OR_RETURN(const Model median, MedianModel(statistics_, data_.fitted, one_bit, 1, flags_.seed));
    AddSigns("mib", median, floats);
    for (const size_t bits : {d / 2, d}) {
      BEBR_ASSIGN_OR_RETURN(const Model itq, ItqModel(statistics_, data_.fitted, bits, flags_.seed));
      AddSigns("itq", itq, floats * static_cast<double>(bits));
    }
    return absl::OkStatus();
  }

  void AddSigns(const std::string& method, const Model& model, double model_bytes) {
    const size_t bits = model.spec.bits();
    Add(method, model.spec.ToString(), 1, 1, bits, {static_cast<double>(bits) / 8, 0, model_bytes},
        SearchSigns(model, data_.documents, data_.queries, pool_));
  }

  // The row of an earlier run.
  const nlohmann::json* Known(const std::string& method, const std::string& shape, size_t bits) const {
    for (const nlohmann::json& row : rows_) {
      if (row["dataset"] == data_.name && row["method"] == method && row["shape"] == shape && row["bits"] == bits)
        return &row;
    }
    return nullptr;
  }

  void RunOthers(std::set<double>& sizes) {
    const Problem problem = MakeProblem(flags_.metric, data_.fitted, data_.documents, data_.queries, pool_);
    for (const Other& other : Others(problem, statistics_, flags_.seed, flags_.all_sizes)) {
      if (const nlohmann::json* known = Known(other.method, other.shape, static_cast<size_t>(other.bits))) {
        if (other.method != "bound") sizes.insert((*known)["bytes"].get<double>());
        continue;
      }
      const Estimates estimates = other.make();
      const Size size{estimates.code_bytes, estimates.factor_bytes, estimates.model_bytes};
      Add(other.method, other.shape, static_cast<size_t>(other.levels), static_cast<size_t>(other.query_levels),
          static_cast<size_t>(other.bits), size, Search(estimates, pool_));
      if (other.method != "bound") sizes.insert(size.total());
    }
  }

  TrainOptions Options() const {
    TrainOptions options;
    options.seed = flags_.seed;
    options.threads = pool_.size();
    options.metric = flags_.metric;
    options.code = flags_.code;
    options.query_levels = flags_.query_levels;
    options.steps = 0;
    options.progress = false;
    return options;
  }

  // The benchmark's queries are not shown to the trainer: it holds out documents of its own, or is given others.
  absl::StatusOr<TrainResult> Fit(const TrainOptions& options) const {
    return Train(options, data_.fitted, data_.held_out);
  }
  absl::StatusOr<TrainResult> FitStart(size_t bits) const {
    TrainOptions options = Options();
    options.bits = bits;
    return Fit(options);
  }
  // `start` in groups, if some pay.
  absl::StatusOr<TrainResult> FitGroups(const TrainResult& start) const {
    TrainOptions options = Options();
    options.shape = start.model.levels();
    options.groups = kMaxGroups;
    return Fit(options);
  }

  // The codes of before quantizers were fitted.
  absl::Status RunBefore(size_t bits) {
    TrainOptions options = Options();
    options.bits = bits;
    options.query_levels = kMaxLevels;
    options.code = CodeKind::kLevels;
    BEBR_ASSIGN_OR_RETURN(const TrainResult before, Fit(options));
    return AddModel("before", before);
  }

  absl::Status RunBudget(size_t bits) {
    if (flags_.before) BEBR_RETURN_IF_ERROR(RunBefore(bits));
    BEBR_ASSIGN_OR_RETURN(const TrainResult start, FitStart(bits));
    BEBR_RETURN_IF_ERROR(AddModel("start", start));
    if (flags_.query_levels > kMaxLevels) {
      BEBR_ASSIGN_OR_RETURN(const TrainResult grouped, FitGroups(start));
      BEBR_RETURN_IF_ERROR(AddModel("groups", grouped));
    }
    if (flags_.no_training) return absl::OkStatus();
    TrainOptions options = Options();
    options.bits = bits;
    options.steps = flags_.steps;
    options.progress = true;
    BEBR_ASSIGN_OR_RETURN(const TrainResult trained, Fit(options));
    return AddModel("trained", trained);
  }

  // Codes in groups that have at most so many bits together with the model's, which are known afterwards: the largest,
  // and the largest of whole bytes, whose shapes are others; of the two, those that find more on held-out queries.
  absl::Status RunWithModel(size_t bits) {
    std::optional<TrainResult> best;
    for (size_t code = bits - 1; code >= kMinCodeBits;) {
      BEBR_ASSIGN_OR_RETURN(const TrainResult start, FitStart(code));
      BEBR_ASSIGN_OR_RETURN(TrainResult grouped, FitGroups(start));
      BEBR_ASSIGN_OR_RETURN(const Size size, SizeOf(grouped.model));
      const double left = static_cast<double>(bits) - 8.0 * size.model / kSharedBy;
      if (left < static_cast<double>(code)) {
        code = std::min(code - 1, static_cast<size_t>(std::max(left, 0.0)));
        continue;
      }
      if (!best.has_value() || grouped.kept.at_10 > best->kept.at_10) best = std::move(grouped);
      if (code % 8 == 0) break;
      code = code / 8 * 8;
    }
    if (best.has_value()) return AddModel("groups", *best);
    return absl::InvalidArgumentError(absl::StrCat("no model and code have ", bits, " bits together"));
  }

  // The largest codes that take at most so many bytes a document in all, in whole words of 32 bits: one less until they
  // do, as what padding and the model take is known afterwards.
  absl::Status RunOfBytes(double bytes) {
    constexpr size_t kWord = 32;
    const auto room = [bytes](double beside) { return static_cast<size_t>(8.0 * (bytes - beside)) / kWord * kWord; };
    for (const bool in_groups : {false, true}) {
      for (size_t bits = room(kFactorBytes + (in_groups ? kPlaceBytes : 0.0)); bits >= kWord; bits -= kWord) {
        BEBR_ASSIGN_OR_RETURN(TrainResult result, FitStart(bits));
        if (in_groups) {
          BEBR_ASSIGN_OR_RETURN(result, FitGroups(result));
        }
        BEBR_ASSIGN_OR_RETURN(const Size size, SizeOf(result.model));
        if (size.total() > bytes) continue;
        BEBR_RETURN_IF_ERROR(AddModel(in_groups ? "groups" : "start", result));
        break;
      }
    }
    return absl::OkStatus();
  }

  static absl::StatusOr<Size> SizeOf(const Model& model) {
    BEBR_ASSIGN_OR_RETURN(const std::string file, SerializeModel(model));
    const double code = 4.0 * model.spec.code_words();
    const double row = static_cast<double>(simd::BlockBytes(model.spec.code_words())) / simd::kBlockRows;
    return Size{code, row - code + (model.spec.groups() > 1 ? kPlaceBytes : 0.0), static_cast<double>(file.size())};
  }

  // Documents that so many processors encode a second if each does as much as one thread does in its own time: what
  // others do on the machine counts little.
  double EncodedPerSecond(const Binarizer& binarizer) const {
    constexpr size_t kAtOnce = 256;
    const size_t count = std::min(kTimedDocuments, data_.documents.rows);
    std::vector<uint32_t> codes(kAtOnce * binarizer.spec().code_words());
    std::vector<CodeFactors> factors(kAtOnce);
    const double begin = OwnCpuSeconds();
    for (size_t first = 0; first < count; first += kAtOnce) {
      binarizer.EncodeDocuments(data_.documents.row(first), std::min(kAtOnce, count - first), codes.data(),
                                factors.data());
    }
    return kEncodingProcessors * static_cast<double>(count) / (OwnCpuSeconds() - begin);
  }

  absl::Status AddModel(const std::string& method, const TrainResult& result) {
    BEBR_ASSIGN_OR_RETURN(const std::unique_ptr<const Binarizer> binarizer, MakeBinarizer(result.model, 0));
    BEBR_ASSIGN_OR_RETURN(const Size size, SizeOf(result.model));
    const double encoded_per_s = EncodedPerSecond(*binarizer);
    const CodeSearch search(*binarizer, data_.documents, pool_);
    Add(method, result.model.levels().ToString(), result.model.levels().max_levels(), result.model.query_levels,
        result.model.spec.bits(), size, search.Search(data_.queries, kFound));
    rows_.back()["encoded_per_s"] = encoded_per_s;
    std::printf("%-26s %.0f documents/s are encoded on %.0f processors, by processor time\n", "", encoded_per_s,
                kEncodingProcessors);
    rows_.back()["seconds"] = result.total_s;
    rows_.back()["groups"] = result.model.spec.groups();
    rows_.back()["held_out_recall_at_10"] = result.kept.at_10;
    if (method == "trained") rows_.back()["trained_kept"] = result.trained_kept;
    if (flags_.half_factors) AddHalf(method, result.model, *binarizer, size);
    return absl::OkStatus();
  }

  // The same codes with factors of half the bytes.
  void AddHalf(const std::string& method, const Model& model, const Binarizer& binarizer, Size size) {
    const HalfFactors halves(binarizer);
    size.factors -= kFactorBytes / 2;
    Add(absl::StrCat(method, ", f16"), model.levels().ToString(), model.levels().max_levels(), model.query_levels,
        model.spec.bits(), size, CodeSearch(halves, data_.documents, pool_).Search(data_.queries, kFound));
  }

  void Add(const std::string& method, const std::string& shape, size_t levels, size_t query_levels, size_t bits,
           const Size& size, const Found& found) {
    nlohmann::json row = data_.Measure(found);
    const auto plan = LevelPlan::Parse(shape);
    row.update({{"dataset", data_.name},
                {"metric", std::string(ToString(flags_.metric))},
                {"method", method},
                {"shape", shape},
                {"dims", method == "float" ? data_.documents.dims
                         : plan.ok()       ? plan->dims()
                                           : 0},
                {"levels", levels},
                {"query_levels", query_levels},
                {"bits", bits},
                {"code_bytes", size.code},
                {"factor_bytes", size.factors},
                {"model_bytes", size.model},
                {"words", size.code / 4},
                {"bytes", size.total()}});
    const std::string ndcg =
        row["ndcg_at_10"].is_null() ? "-" : absl::StrFormat("%.4f", row["ndcg_at_10"].get<double>());
    std::printf("%-10s %-15s %-30s %6zu  %7.1f  %.4f  %.4f  %.4f  %s\n", data_.name.c_str(), method.c_str(),
                shape.c_str(), bits, size.total(), row["recall_at_10"].get<double>(), row["recall_at_50"].get<double>(),
                row["recall_at_100"].get<double>(), ndcg.c_str());
    std::fflush(stdout);
    rows_.push_back(std::move(row));
    json_["seconds"] = NowSeconds() - begin_;
    if (const absl::Status status = WriteJson(flags_.json, json_); !status.ok())
      std::fprintf(stderr, "%s\n", status.ToString().c_str());
  }

  const Flags& flags_;
  const Dataset& data_;
  ThreadPool& pool_;
  nlohmann::json& json_;
  nlohmann::json& rows_;
  CorpusStatistics statistics_;
  const double begin_ = NowSeconds();
};

// By bytes where all rows have them, else by bits.
std::vector<PlotChart> Charts(const nlohmann::json& rows) {
  const bool bytes = std::all_of(rows.begin(), rows.end(), [](const auto& row) { return row.contains("bytes"); });
  std::vector<PlotChart> charts;
  for (const nlohmann::json& row : rows) {
    if (row["method"] == "float") continue;
    const std::string dataset = row["dataset"], method = row["method"];
    auto chart = std::find_if(charts.begin(), charts.end(), [&](const PlotChart& c) { return c.title == dataset; });
    if (chart == charts.end()) chart = charts.insert(charts.end(), {dataset, bytes ? "bytes" : "bits", {}});
    auto series =
        std::find_if(chart->series.begin(), chart->series.end(), [&](const PlotSeries& s) { return s.name == method; });
    if (series == chart->series.end()) series = chart->series.insert(chart->series.end(), {method, {}});
    series->points.push_back({row[bytes ? "bytes" : "bits"].get<double>(), row["recall_at_10"].get<double>()});
  }
  return charts;
}

// The rows of earlier runs, to draw them together.
absl::StatusOr<nlohmann::json> ReadRows(const std::vector<std::string>& files) {
  nlohmann::json rows = nlohmann::json::array();
  for (const std::string& file : files) {
    std::ifstream in(file);
    const nlohmann::json result = nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false);
    if (!result.is_object() || !result.contains("rows"))
      return absl::InvalidArgumentError(absl::StrCat("'", file, "' is not what --json writes"));
    for (const nlohmann::json& row : result["rows"]) rows.push_back(row);
  }
  return rows;
}

absl::Status RunAll(const Flags& flags) {
  if (!flags.from.empty()) {
    BEBR_ASSIGN_OR_RETURN(const nlohmann::json earlier, ReadRows(flags.from));
    return WritePlot(flags.svg, Charts(earlier));
  }
  ThreadPool pool(flags.threads == 0 ? AvailableProcessors() : flags.threads);
  const double begin = NowSeconds();
  std::printf("%-10s %-15s %-30s %6s  %7s  %6s  %6s  %6s  %s\n", "dataset", "method", "shape", "bits", "bytes", "R@10",
              "R@50", "rerank", "nDCG@10");
  std::vector<DatasetFiles> sets;
  if (!flags.files.docs.empty()) sets.push_back(flags.files);
  for (const std::string& kind : flags.generated) {
    sets.push_back({.name = absl::StrCat(kind, "-", flags.rows),
                    .generated = kGenerated.at(kind),
                    .rows = flags.rows,
                    .dims = flags.dims});
  }
  if (!flags.no_fashion) sets.push_back({.name = "fashion", .docs = kFashionDocuments, .queries = kFashionQueries});
  nlohmann::json json = {{"benchmark", "recall"},
                         {"machine", DescribeMachine()},
                         {"unseen", flags.unseen},
                         {"rows", nlohmann::json::array()}};
  if (flags.resume) {
    BEBR_ASSIGN_OR_RETURN(const nlohmann::json earlier, ReadRows({flags.json}));
    // Ours depend on what the project is now.
    for (const nlohmann::json& row : earlier) {
      if (row["method"] != "start" && row["method"] != "groups" && row["method"] != "trained")
        json["rows"].push_back(row);
    }
  }
  for (const DatasetFiles& files : sets) {
    BEBR_ASSIGN_OR_RETURN(const Dataset data, LoadDataset(files, flags.limit, flags.metric, flags.unseen));
    BEBR_RETURN_IF_ERROR(Benchmark(flags, data, pool, json).Run());
  }
  if (!flags.svg.empty()) BEBR_RETURN_IF_ERROR(WritePlot(flags.svg, Charts(json["rows"])));
  json["seconds"] = NowSeconds() - begin;
  return WriteJson(flags.json, json);
}

int Main(int argc, char** argv) {
  CLI::App app("Recall against the size of codes: other quantizers, our start and trained binarizers.");
  Flags flags;
  auto* json = app.add_option("--json", flags.json, "Write the rows as JSON");
  app.add_flag("--resume", flags.resume, "Keep what the --json file of the same command has of other methods")
      ->needs(json);
  auto* svg = app.add_option("--svg", flags.svg, "Write a plot of recall@10 against the size of a document");
  app.add_option("--from", flags.from, "Measure nothing: draw what earlier runs wrote with --json")->needs(svg);
  auto* docs = app.add_option("--docs", flags.files.docs, "Document embeddings of another data set");
  auto* queries = app.add_option("--queries", flags.files.queries, "Its queries");
  docs->needs(queries);
  auto* held_out = app.add_option("--held-out", flags.files.held_out,
                                  "Other queries, for the trainer's validation (default: documents held out)");
  held_out->needs(docs);
  app.add_flag("--hold-out-rest", flags.files.rest_held_out, "These are its queries beyond --limit")
      ->needs(docs)
      ->excludes(held_out);
  auto* qrels = app.add_option("--qrels", flags.files.qrels, "Its relevance judgements (needs both id files)");
  qrels->needs(app.add_option("--ids", flags.files.ids, "Document ids, one a line"));
  qrels->needs(app.add_option("--query-ids", flags.files.query_ids, "Query ids, one a line"));
  app.add_option("--name", flags.files.name, "Its name in the table")->capture_default_str();
  app.add_option("--generated", flags.generated, "Data that is made up: gaussian, clusters")
      ->delimiter(',')
      ->check(CLI::IsMember(kGenerated));
  app.add_option("--rows", flags.rows, "Of these, documents")
      ->check(CLI::Range(size_t{40}, size_t{10000000}))
      ->capture_default_str();
  app.add_option("--dims", flags.dims, "Of these")->check(CLI::Range(1u, kMaxInputDims))->capture_default_str();
  app.add_option("--limit", flags.limit, "Queries at most")->capture_default_str();
  app.add_option("--bits", flags.budgets, "Budgets instead of d/2, d, 2d")->delimiter(',');
  app.add_option("--steps", flags.steps, "Training steps (default: the trainer's)");
  app.add_option("--threads", flags.threads, "Threads (default: every processor)");
  app.add_option("--seed", flags.seed)->capture_default_str();
  app.add_option("--query-levels", flags.query_levels, "Of our binarizers, as bebr-train takes them")
      ->capture_default_str();
  app.add_option_function<std::string>(
         "--metric", [&flags](const std::string& name) { flags.metric = kMetrics.at(name); },
         "Of the exact neighbours, and of all that looks for them: cosine (default), inner_product or l2")
      ->check(CLI::IsMember(kMetrics));
  app.add_option_function<std::string>(
         "--code", [&flags](const std::string& name) { flags.code = kCodes.at(name); },
         "Of our binarizers, as bebr-train takes it: levels, trellis or auto (default)")
      ->check(CLI::IsMember(kCodes));
  auto* unseen =
      app.add_flag("--unseen", flags.unseen,
                   "Fit to every other document, and index those between: what models are worth on documents "
                   "that are written later");
  unseen->excludes(qrels);
  auto* equal = app.add_flag("--equal-bytes", flags.equal_bytes,
                             "Ours at as many bytes a document as the other methods take, the model's at a million "
                             "documents counted");
  app.add_flag(
         "--count-model", flags.count_model,
         "Budgets are of codes and models together: the bits of a model in groups are shared by a million documents")
      ->excludes(equal);
  app.add_flag("--all-sizes", flags.all_sizes, "Every size of the other methods, not only some");
  app.add_flag("--before", flags.before, "Also codes of the recursion, with queries of 4 levels: those of before");
  app.add_flag("--half-factors", flags.half_factors,
               "Also the same codes with a document's factors rounded to f16, which no format keeps");
  app.add_flag("--no-fashion", flags.no_fashion, "Leave Fashion-MNIST out");
  app.add_flag("--no-baselines", flags.no_baselines, "Only this project's binarizers")->excludes(equal);
  app.add_flag("--no-training", flags.no_training, "Leave trained binarizers out");
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = RunAll(flags); !status.ok()) {
    std::fprintf(stderr, "bench_recall: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) { return bebr::bench::Main(argc, argv); }
