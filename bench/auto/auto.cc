// bench_auto: a collection without a model file while it fills: recall over time of what it serves and of the code that
// knows nothing of the data, latencies of searches while it fits and while it does not, and how far it ends from
// `bebr-train --steps 0` on the same rows. Streams: the rows in a random order, and an order whose distribution shifts
// half-way.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <future>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/support/engine_run.h"
#include "bench/support/machine.h"
#include "bench/support/server_process.h"
#include "index/base/file.h"
#include "index/base/status_macros.h"
#include "index/dataset/vector_file.h"
#include "index/exact/neighbors.h"
#include "index/fit/fit.h"
#include "index/fit/start_model.h"
#include "index/fit/validation.h"

namespace bebr::bench {
namespace {

constexpr size_t kNearest = 10;

struct Options {
  std::string json;
  std::string docs = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz";
  std::string queries = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz";
  uint32_t bits = 0;
  size_t limit = 0;
  size_t query_count = 500;
  double pace_s = 3.0;
  std::vector<size_t> documents = {1000, 2000, 4000, 8000, 16000, 32000, 60000};
};

// One row after another, by the order of a stream.
Matrix Reorder(const Matrix& rows, const std::vector<size_t>& order) {
  Matrix result{rows.rows, rows.dims, {}};
  result.values.reserve(rows.values.size());
  for (const size_t row : order) result.values.insert(result.values.end(), rows.row(row), rows.row(row) + rows.dims);
  return result;
}

// Rows on one side of the middle along the first principal component, then those on the other; each half shuffled.
absl::StatusOr<std::vector<size_t>> ShiftingOrder(const Matrix& rows, std::mt19937_64& random) {
  BEBR_ASSIGN_OR_RETURN(const CorpusStatistics statistics, MeasureCorpus(rows, Metric::kCosine, 1, 1, 2));
  std::vector<float> along(rows.rows), u(rows.dims);
  for (size_t r = 0; r < rows.rows; ++r) {
    CenterAndScale(statistics.mean, Metric::kCosine, rows.row(r), 1, u.data());
    along[r] = std::inner_product(u.begin(), u.end(), statistics.components.begin(), 0.0f);
  }
  std::vector<size_t> order(rows.rows);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return along[a] < along[b]; });
  std::shuffle(order.begin(), order.begin() + static_cast<ptrdiff_t>(rows.rows / 2), random);
  std::shuffle(order.begin() + static_cast<ptrdiff_t>(rows.rows / 2), order.end(), random);
  return order;
}

// A client that searches all the time, one query a call, and notes its latencies by what the learner did meanwhile.
class Client {
 public:
  Client(EngineRun& run, const Matrix& queries) : run_(run), queries_(queries), thread_([this] { Run(); }) {}
  ~Client() { Stop(); }
  void Stop() {
    stopping_.store(true);
    if (thread_.joinable()) thread_.join();
  }
  std::vector<double> idle_ms, learning_ms;  // to be read after Stop
  size_t failures = 0;

 private:
  void Run() {
    for (size_t i = 0; !stopping_.load(); ++i) {
      SearchRequest request{.collection = EngineRun::kCollection, .k = kNearest, .collection_rerank = true};
      request.queries.push_back({queries_.row(i % queries_.rows), queries_.dims});
      const bool before = Learns();
      const double start = NowSeconds();
      std::promise<bool> ok;
      run_.engine().Search(std::move(request), [&ok](auto result) { ok.set_value(result.ok()); });
      failures += ok.get_future().get() ? 0 : 1;
      const double ms = 1e3 * (NowSeconds() - start);
      if (before == Learns()) (before ? learning_ms : idle_ms).push_back(ms);
      absl::SleepFor(absl::Milliseconds(2));
    }
  }
  bool Learns() {
    const auto info = run_.Info();
    return info.ok() && info->auto_info.has_value() && info->auto_info->state != AutoState::kCollecting &&
           info->auto_info->state != AutoState::kFitted;
  }

  EngineRun& run_;
  const Matrix& queries_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// Recall@10 of the code that knows nothing of the data, of as many bits, by the server's encoder and kernels.
absl::StatusOr<double> DataFreeRecall(const Matrix& rows, const Matrix& queries, size_t bits, ThreadPool& pool) {
  BEBR_ASSIGN_OR_RETURN(const Model model, DataFreeModel(static_cast<uint32_t>(rows.dims), Metric::kCosine, bits, 1));
  BEBR_ASSIGN_OR_RETURN(const HeldOutRecall recall, Validator(rows, queries, Metric::kCosine, pool).Measure(model));
  return recall.at_10;
}

// Recall@10 of what the trainer fits to the same rows; none where no trainer was built beside this program.
absl::StatusOr<std::optional<double>> TrainerRecall(const Matrix& rows, const Matrix& queries, size_t bits,
                                                    ThreadPool& pool) {
  const std::string trainer = Sibling("bebr-train");
  if (!std::filesystem::exists(trainer)) return std::nullopt;
  const WorkDirectory directory;
  const std::string input = directory.path() + "/rows.npy", output = directory.path() + "/model.safetensors";
  BEBR_RETURN_IF_ERROR(WriteNpy(input, rows));
  BEBR_RETURN_IF_ERROR(
      RunProgram({trainer, "--input", input, "--bits", absl::StrCat(bits), "--steps", "0", "--output", output}));
  BEBR_ASSIGN_OR_RETURN(const std::string file, ReadFile(output));
  BEBR_ASSIGN_OR_RETURN(const Model model, ParseModel(file));
  BEBR_ASSIGN_OR_RETURN(const HeldOutRecall recall, Validator(rows, queries, Metric::kCosine, pool).Measure(model));
  return recall.at_10;
}

// Waits until the learner has nothing to do, for as long as a version that was replaced lives. `promoted` is called
// whenever there is another default.
absl::Status Settle(EngineRun& run, double pace_s, const std::function<absl::Status()>& promoted) {
  std::string serving;
  for (double quiet_since = NowSeconds(); NowSeconds() < quiet_since + 5 * pace_s;) {
    BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, run.Info());
    if (std::exchange(serving, info.default_version) != info.default_version) BEBR_RETURN_IF_ERROR(promoted());
    size_t in_use = 0;
    for (const VersionInfo& version : info.versions) in_use += version.state != VersionState::kRetired ? 1 : 0;
    if (info.auto_info->state != AutoState::kFitted || in_use > 1) quiet_since = NowSeconds();
    absl::SleepFor(absl::Milliseconds(50));
  }
  return absl::OkStatus();
}

absl::Status RunStream(const Options& options, const std::string& name, const Matrix& rows, const Matrix& queries,
                       nlohmann::json& out) {
  WorkDirectory directory;
  ThreadPool pool(1);
  BEBR_ASSIGN_OR_RETURN(auto engine,
                        Engine::Open({.data_dir = directory.path(), .auto_pace = absl::Seconds(options.pace_s)}));
  EngineRun run(std::move(engine));
  BEBR_RETURN_IF_ERROR(run.engine().CreateCollection(
      {.name = EngineRun::kCollection,
       .store_floats = FloatStorage::kFloat16,
       .auto_binarizer = AutoBinarizerConfig{.dims = static_cast<uint32_t>(rows.dims), .bits = options.bits}},
      ""));
  Client client(run, queries);
  std::printf("\n%s: %zu rows of %zu floats\n%10s %9s %9s %9s %9s %7s  %s\n", name.c_str(), rows.rows, rows.dims,
              "documents", "seconds", "data-free", "codes", "reranked", "rerank", "version");
  const double start = NowSeconds();
  size_t written = 0, bits = 0;
  double codes_recall = 0;
  const auto measure = [&]() -> absl::Status {
    const Matrix there{written, rows.dims, {rows.values.data(), rows.row(written - 1) + rows.dims}};
    const auto exact = ExactNeighbors(there, queries, kNearest, Metric::kCosine, 1);
    BEBR_ASSIGN_OR_RETURN(const auto codes, run.Search(queries, 50, {.k = kNearest}));
    BEBR_ASSIGN_OR_RETURN(const auto served, run.Search(queries, 50, {.k = kNearest, .collection_rerank = true}));
    BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, run.Info());
    for (const VersionInfo& version : info.versions) bits = version.bits;
    BEBR_ASSIGN_OR_RETURN(const double data_free, DataFreeRecall(there, queries, bits, pool));
    codes_recall = MeanRecall(exact, kNearest, codes.found, kNearest);
    const double reranked = MeanRecall(exact, kNearest, served.found, kNearest);
    std::printf("%10zu %9.1f %9.3f %9.3f %9.4f %7u  %s\n", written, NowSeconds() - start, data_free, codes_recall,
                reranked, info.default_rerank, info.default_version.c_str());
    out.push_back({{"stream", name},
                   {"documents", written},
                   {"seconds", NowSeconds() - start},
                   {"recall_data_free", data_free},
                   {"recall_codes", codes_recall},
                   {"recall_served", reranked},
                   {"rerank", info.default_rerank},
                   {"version", info.default_version}});
    return absl::OkStatus();
  };
  for (const size_t documents : options.documents) {
    const size_t end = std::min(documents, rows.rows);
    if (end <= written) break;
    BEBR_RETURN_IF_ERROR(run.Write(written, end - written, rows.dims, [&](size_t i) { return rows.row(i); }));
    written = end;
    BEBR_RETURN_IF_ERROR(measure());
  }
  BEBR_RETURN_IF_ERROR(Settle(run, options.pace_s, measure));
  BEBR_RETURN_IF_ERROR(measure());
  client.Stop();
  BEBR_ASSIGN_OR_RETURN(const std::optional<double> trainer, TrainerRecall(rows, queries, bits, pool));
  for (auto* times : {&client.idle_ms, &client.learning_ms}) std::sort(times->begin(), times->end());
  std::printf(
      "bebr-train --steps 0 on the same rows: %s, %zu bits; p99 of %zu searches %.1f ms, of %zu while it learns "
      "%.1f ms; %zu failed\n",
      trainer ? absl::StrFormat("%.3f", *trainer).c_str() : "not built", bits, client.idle_ms.size(),
      Percentile(client.idle_ms, 0.99), client.learning_ms.size(), Percentile(client.learning_ms, 0.99),
      client.failures);
  BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, run.Info());
  for (const AutoEvent& event : info.auto_info->events) std::printf("    %s\n", event.text.c_str());
  out.push_back({{"stream", name},
                 {"documents", written},
                 {"bits", bits},
                 {"recall_codes", codes_recall},
                 {"recall_trainer", trainer ? nlohmann::json(*trainer) : nlohmann::json()},
                 {"p50_ms", Percentile(client.idle_ms, 0.5)},
                 {"p99_ms", Percentile(client.idle_ms, 0.99)},
                 {"p50_learning_ms", Percentile(client.learning_ms, 0.5)},
                 {"p99_learning_ms", Percentile(client.learning_ms, 0.99)},
                 {"failed_searches", client.failures}});
  return absl::OkStatus();
}

absl::Status Run(const Options& options) {
  BEBR_ASSIGN_OR_RETURN(const Matrix rows, ReadVectors(options.docs, options.limit));
  BEBR_ASSIGN_OR_RETURN(const Matrix queries, ReadVectors(options.queries, options.query_count));
  std::mt19937_64 random(1);
  std::vector<size_t> order(rows.rows);
  std::iota(order.begin(), order.end(), size_t{0});
  std::shuffle(order.begin(), order.end(), random);
  nlohmann::json out = nlohmann::json::array();
  BEBR_RETURN_IF_ERROR(RunStream(options, "shuffled", Reorder(rows, order), queries, out));
  BEBR_ASSIGN_OR_RETURN(order, ShiftingOrder(rows, random));
  BEBR_RETURN_IF_ERROR(RunStream(options, "shifting half-way", Reorder(rows, order), queries, out));
  return WriteJson(options.json, {{"machine", DescribeMachine()}, {"docs", options.docs}, {"rows", out}});
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) {
  bebr::bench::Options options;
  CLI::App app("A collection without a model file while it fills: recall over time, and latencies.");
  app.add_option("--json", options.json, "also write the numbers to this file");
  app.add_option("--docs", options.docs, "documents")->capture_default_str();
  app.add_option("--queries", options.queries, "queries")->capture_default_str();
  app.add_option("--bits", options.bits, "of a code; 0: the usual number")->capture_default_str();
  app.add_option("--limit", options.limit, "documents at most; 0: all")->capture_default_str();
  app.add_option("--query-count", options.query_count, "queries at most")->capture_default_str();
  app.add_option("--pace", options.pace_s, "seconds without writes that are quiet")->capture_default_str();
  app.add_option("--documents", options.documents, "documents at which recall is measured")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = bebr::bench::Run(options);
  if (!status.ok()) std::fprintf(stderr, "bench_auto: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
