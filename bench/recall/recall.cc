// bench/run recall: recall against bits of training-free quantizers, RaBitQ, and this project's binarizers, on the same
// data.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/recall/baselines.h"
#include "bench/recall/plot.h"
#include "bench/support/machine.h"
#include "index/base/status_macros.h"
#include "index/binarizer/encoder.h"
#include "index/dataset/evaluation.h"
#include "index/fit/code_search.h"
#include "index/train/training_run.h"

namespace bebr::bench {
namespace {

constexpr char kFashionDocuments[] = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz";
constexpr char kFashionQueries[] = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz";

const std::map<std::string, Metric> kMetrics = {
    {"cosine", Metric::kCosine}, {"inner_product", Metric::kInnerProduct}, {"l2", Metric::kL2}};

struct Flags {
  std::string json, svg, docs, queries, held_out, ids, query_ids, qrels, name = "custom";
  size_t limit = 2000;
  std::vector<size_t> budgets;
  std::vector<std::string> from;
  int64_t steps = -1;
  size_t threads = 0;
  uint64_t seed = 1;
  bool no_fashion = false, no_training = false, no_baselines = false, unseen = false;
  uint32_t query_levels = kMaxQueryLevels;
  Metric metric = Metric::kCosine;
};

// One set of documents and queries with what is right for them.
struct Dataset {
  std::string name;
  Matrix documents, queries;
  Matrix fitted;                // what models are fitted to: the documents, or with --unseen others
  Matrix held_out;              // shown to the trainer for validation; none: it holds out documents
  std::vector<uint32_t> exact;  // queries x 10
  std::vector<std::string> ids, query_ids;
  Qrels qrels;
};

// Rows first, first + 2, ...
Matrix EveryOther(const Matrix& rows, size_t first) {
  Matrix half;
  half.dims = rows.dims;
  for (size_t row = first; row < rows.rows; row += 2, ++half.rows)
    half.values.insert(half.values.end(), rows.row(row), rows.row(row) + rows.dims);
  return half;
}

absl::StatusOr<Dataset> LoadDataset(const std::string& name, const std::string& docs, const std::string& queries,
                                    const Flags& flags) {
  Dataset data;
  data.name = name;
  BEBR_ASSIGN_OR_RETURN(data.documents, ReadVectors(docs));
  BEBR_ASSIGN_OR_RETURN(data.queries, ReadVectors(queries, flags.limit));
  if (data.documents.rows < kFound || data.queries.dims != data.documents.dims) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the documents are ", data.documents.rows, " x ", data.documents.dims, ", the queries ", data.queries.rows,
        " x ", data.queries.dims, "; dims must agree and at least ", kFound, " documents are needed"));
  }
  if (flags.unseen) {
    data.fitted = EveryOther(data.documents, 0);
    data.documents = EveryOther(data.documents, 1);
  } else {
    data.fitted = data.documents;
  }
  data.exact = ExactNeighbors(data.documents, data.queries, 10, flags.metric, AvailableProcessors());
  return data;
}

// A benchmark over one data set: collects rows.
class Benchmark {
 public:
  Benchmark(const Flags& flags, const Dataset& data, ThreadPool& pool, nlohmann::json& rows)
      : flags_(flags), data_(data), pool_(pool), rows_(rows) {}

  absl::Status Run() {
    const size_t d = data_.documents.dims;
    if (!flags_.no_baselines) BEBR_RETURN_IF_ERROR(RunBaselines(d));
    for (const size_t bits : flags_.budgets.empty() ? std::vector<size_t>{d / 2, d, 2 * d} : flags_.budgets)
      BEBR_RETURN_IF_ERROR(RunBudget(bits));
    return absl::OkStatus();
  }

 private:
  absl::Status RunBaselines(size_t d) {
    BEBR_ASSIGN_OR_RETURN(statistics_, MeasureCorpus(data_.fitted, flags_.metric, d, flags_.seed));
    BEBR_ASSIGN_OR_RETURN(const CodeSpec one_bit, CodeSpec::Create({{static_cast<uint32_t>(d), 1, 1.0f}}));
    if (!data_.qrels.empty())
      Add("float", absl::StrCat(d), 0, 0, 32 * d,
          ExactNeighbors(data_.documents, data_.queries, kFound, flags_.metric, pool_.size()));
    const Model sign = SignModel(statistics_);
    Add("sign", sign.spec.ToString(), 1, 1, d, SearchSigns(sign, data_.documents, data_.queries, pool_));
    BEBR_ASSIGN_OR_RETURN(const Model median, MedianModel(statistics_, data_.fitted, one_bit, 1, flags_.seed));
    Add("mib", one_bit.ToString(), 1, 1, d, SearchSigns(median, data_.documents, data_.queries, pool_));
    for (const size_t bits : {d / 2, d}) {
      BEBR_ASSIGN_OR_RETURN(const Model itq, ItqModel(statistics_, data_.fitted, bits, flags_.seed));
      Add("itq", itq.spec.ToString(), 1, 1, bits, SearchSigns(itq, data_.documents, data_.queries, pool_));
    }
    struct Variant {
      size_t dims;
      int bits;
    };
    for (const Variant& variant : {Variant{d / 2, 1}, Variant{d, 1}, Variant{d, 2}, Variant{d, 4}}) {
      BEBR_ASSIGN_OR_RETURN(const Found found, SearchRabitq(statistics_, data_.documents, data_.queries, variant.dims,
                                                            variant.bits, flags_.seed, pool_));
      Add("rabitq", absl::StrCat(variant.dims, "x", variant.bits), variant.bits, 32, variant.dims * variant.bits,
          found);
    }
    return absl::OkStatus();
  }

  absl::Status RunBudget(size_t bits) {
    TrainOptions options;
    options.bits = bits;
    options.seed = flags_.seed;
    options.threads = pool_.size();
    options.metric = flags_.metric;
    options.query_levels = flags_.query_levels;
    options.steps = 0;
    options.progress = false;
    // The benchmark's queries are not shown to the trainer: it holds out documents of its own, or is given others.
    BEBR_ASSIGN_OR_RETURN(const TrainResult start, Train(options, data_.fitted, data_.held_out));
    BEBR_RETURN_IF_ERROR(AddModel("start", start));
    options.bits = 0;
    options.shape = start.model.levels();
    options.groups = kMaxGroups;
    if (flags_.query_levels > kMaxLevels) {
      BEBR_ASSIGN_OR_RETURN(const TrainResult grouped, Train(options, data_.fitted, data_.held_out));
      BEBR_RETURN_IF_ERROR(AddModel("groups", grouped));
    }
    options.groups = 1;
    if (flags_.no_training) return absl::OkStatus();
    options.steps = flags_.steps;
    options.progress = true;
    BEBR_ASSIGN_OR_RETURN(const TrainResult trained, Train(options, data_.fitted, data_.held_out));
    return AddModel("trained", trained);
  }

  absl::Status AddModel(const std::string& method, const TrainResult& result) {
    BEBR_ASSIGN_OR_RETURN(const std::unique_ptr<const Binarizer> binarizer, MakeBinarizer(result.model, 0));
    BEBR_ASSIGN_OR_RETURN(const std::string file, SerializeModel(result.model));
    const CodeSearch search(*binarizer, data_.documents, pool_);
    Add(method, result.model.levels().ToString(), result.model.levels().max_levels(), result.model.query_levels,
        result.model.spec.bits(), search.Search(data_.queries, kFound));
    rows_.back()["seconds"] = result.total_s;
    rows_.back()["groups"] = result.model.spec.groups();
    rows_.back()["model_bytes"] = file.size();
    rows_.back()["held_out_recall_at_10"] = result.kept.at_10;
    if (method == "trained") rows_.back()["trained_kept"] = result.trained_kept;
    return absl::OkStatus();
  }

  void Add(const std::string& method, const std::string& shape, size_t levels, size_t query_levels, size_t bits,
           const Found& found) {
    double recall[3] = {};
    const size_t depths[3] = {10, 50, kFound};
    for (size_t q = 0; q < data_.queries.rows; ++q) {
      for (size_t i = 0; i < 3; ++i)
        recall[i] += Recall(data_.exact.data() + q * 10, 10, found.data() + q * kFound, kFound, depths[i]);
    }
    for (double& value : recall) value /= static_cast<double>(data_.queries.rows);
    const size_t dims = method == "float"              ? data_.documents.dims
                        : LevelPlan::Parse(shape).ok() ? LevelPlan::Parse(shape)->dims()
                                                       : 0;
    // Reranking 100 by the floats finds exactly those of the true ten that are among the 100.
    rows_.push_back({{"dataset", data_.name},
                     {"metric", std::string(ToString(flags_.metric))},
                     {"method", method},
                     {"shape", shape},
                     {"dims", dims},
                     {"levels", levels},
                     {"query_levels", query_levels},
                     {"bits", bits},
                     {"recall_at_10", recall[0]},
                     {"recall_at_50", recall[1]},
                     {"recall_at_100", recall[2]},
                     {"recall_at_10_reranked", recall[2]}});
    std::string ndcg_text = "-";
    if (!data_.qrels.empty()) {
      const double ndcg = MeanNdcg(found);
      rows_.back()["ndcg_at_10"] = ndcg;
      char buffer[16];
      std::snprintf(buffer, sizeof(buffer), "%.4f", ndcg);
      ndcg_text = buffer;
    } else {
      rows_.back()["ndcg_at_10"] = nullptr;
    }
    std::printf("%-10s %-8s %-30s %6zu  %.4f  %.4f  %.4f  %s\n", data_.name.c_str(), method.c_str(), shape.c_str(),
                bits, recall[0], recall[1], recall[2], ndcg_text.c_str());
    std::fflush(stdout);
  }

  double MeanNdcg(const Found& found) const {
    double sum = 0.0;
    size_t judged = 0;
    for (size_t q = 0; q < data_.queries.rows; ++q) {
      const auto judgements = data_.qrels.find(data_.query_ids[q]);
      if (judgements == data_.qrels.end()) continue;
      std::vector<std::string_view> ranked;
      for (size_t i = 0; i < 10; ++i) ranked.push_back(data_.ids[found[q * kFound + i]]);
      sum += Ndcg(judgements->second, ranked, 10);
      ++judged;
    }
    return judged > 0 ? sum / static_cast<double>(judged) : 0.0;
  }

  const Flags& flags_;
  const Dataset& data_;
  ThreadPool& pool_;
  nlohmann::json& rows_;
  CorpusStatistics statistics_;
};

std::vector<PlotChart> Charts(const nlohmann::json& rows) {
  std::vector<PlotChart> charts;
  for (const nlohmann::json& row : rows) {
    if (row["method"] == "float") continue;
    const std::string dataset = row["dataset"], method = row["method"];
    auto chart = std::find_if(charts.begin(), charts.end(), [&](const PlotChart& c) { return c.title == dataset; });
    if (chart == charts.end()) chart = charts.insert(charts.end(), {dataset, {}});
    auto series =
        std::find_if(chart->series.begin(), chart->series.end(), [&](const PlotSeries& s) { return s.name == method; });
    if (series == chart->series.end()) series = chart->series.insert(chart->series.end(), {method, {}});
    series->points.push_back({row["bits"].get<double>(), row["recall_at_10"].get<double>()});
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
  nlohmann::json rows = nlohmann::json::array();
  const double begin = NowSeconds();
  std::printf("%-10s %-8s %-30s %6s  %6s  %6s  %6s  %s\n", "dataset", "method", "shape", "bits", "R@10", "R@50",
              "rerank", "nDCG@10");
  if (!flags.docs.empty()) {
    BEBR_ASSIGN_OR_RETURN(Dataset data, LoadDataset(flags.name, flags.docs, flags.queries, flags));
    if (!flags.held_out.empty()) {
      BEBR_ASSIGN_OR_RETURN(data.held_out, ReadVectors(flags.held_out));
    }
    if (!flags.qrels.empty()) {
      BEBR_ASSIGN_OR_RETURN(data.qrels, ReadQrels(flags.qrels));
      BEBR_ASSIGN_OR_RETURN(data.ids, ReadIds(flags.ids));
      BEBR_ASSIGN_OR_RETURN(data.query_ids, ReadIds(flags.query_ids));
      if (data.ids.size() != data.documents.rows || data.query_ids.size() < data.queries.rows) {
        return absl::InvalidArgumentError(absl::StrCat(data.ids.size(), " ids for ", data.documents.rows,
                                                       " documents, ", data.query_ids.size(), " for ",
                                                       data.queries.rows, " queries"));
      }
    }
    BEBR_RETURN_IF_ERROR(Benchmark(flags, data, pool, rows).Run());
  }
  if (!flags.no_fashion) {
    BEBR_ASSIGN_OR_RETURN(const Dataset data, LoadDataset("fashion", kFashionDocuments, kFashionQueries, flags));
    BEBR_RETURN_IF_ERROR(Benchmark(flags, data, pool, rows).Run());
  }
  if (!flags.svg.empty()) BEBR_RETURN_IF_ERROR(WritePlot(flags.svg, Charts(rows)));
  return WriteJson(
      flags.json,
      {{"benchmark", "recall"}, {"machine", DescribeMachine()}, {"seconds", NowSeconds() - begin}, {"rows", rows}});
}

int Main(int argc, char** argv) {
  CLI::App app("Recall against bits: training-free quantizers, RaBitQ, our start and trained binarizers.");
  Flags flags;
  app.add_option("--json", flags.json, "Write the rows as JSON");
  auto* svg = app.add_option("--svg", flags.svg, "Write a plot of recall@10 against bits");
  app.add_option("--from", flags.from, "Measure nothing: draw what earlier runs wrote with --json")->needs(svg);
  auto* docs = app.add_option("--docs", flags.docs, "Document embeddings of another data set");
  auto* queries = app.add_option("--queries", flags.queries, "Its queries");
  docs->needs(queries);
  app.add_option("--held-out", flags.held_out,
                 "Other queries, for the trainer's validation (default: documents held out)")
      ->needs(docs);
  auto* qrels = app.add_option("--qrels", flags.qrels, "Its relevance judgements (needs both id files)");
  qrels->needs(app.add_option("--ids", flags.ids, "Document ids, one a line"));
  qrels->needs(app.add_option("--query-ids", flags.query_ids, "Query ids, one a line"));
  app.add_option("--name", flags.name, "Its name in the table")->capture_default_str();
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
  auto* unseen =
      app.add_flag("--unseen", flags.unseen,
                   "Fit to every other document, and index those between: what models are worth on documents "
                   "that are written later");
  unseen->excludes(qrels);
  app.add_flag("--no-fashion", flags.no_fashion, "Leave Fashion-MNIST out");
  app.add_flag("--no-baselines", flags.no_baselines, "Only this project's binarizers");
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
