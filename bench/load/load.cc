// bench_load: many clients at once against a real server. For every number of clients first a closed loop, which gives
// the most queries a second, then an open loop at a share of that, which gives honest latencies. Beside it the bare
// batch kernel on the same codes, measured in the same run: what the processor could do if there were no server. The
// processor time of a query tells of both where other programs take their share of the machine.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "bench/load/kernel_rate.h"
#include "bench/load/load_client.h"
#include "bench/support/ingestion.h"
#include "bench/support/machine.h"
#include "bench/support/server_process.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"
#include "index/dataset/vector_file.h"

namespace bebr::bench {
namespace {

constexpr size_t kRounds = 10;
constexpr size_t kMainClients = 64;  // whose row is at the top of the JSON

struct Options {
  std::string json;
  size_t documents = 1000000;
  size_t dims = 256;
  unsigned code_dims = 256;
  unsigned levels = 2;
  unsigned query_levels = 4;
  uint32_t k = 10;
  std::vector<size_t> clients = {1, 8, 64, 256};
  double seconds = 10;
  double kernel_seconds = 6;
  double open_share = 0.7;
};

// Vectors with some structure, as embeddings have: a few hundred centres and noise around them.
Matrix MakeVectors(size_t rows, size_t dims, unsigned seed) {
  constexpr size_t kCentres = 500;
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> centres(kCentres * dims);
  for (float& value : centres) value = normal(random);
  random.seed(seed);
  Matrix matrix{.rows = rows, .dims = dims, .values = std::vector<float>(rows * dims)};
  for (size_t i = 0; i < rows; ++i) {
    const float* centre = centres.data() + (random() % kCentres) * dims;
    for (size_t j = 0; j < dims; ++j) matrix.row(i)[j] = centre[j] + normal(random);
  }
  return matrix;
}

// A row of the sample with some of another one, so that no two documents are equal; valid until the thread asks again.
const float* MixedRow(const Matrix& sample, size_t i) {
  constexpr float kShare = 0.3f;
  thread_local std::vector<float> mixed;
  const size_t first = i % sample.rows;
  const float* a = sample.row(first);
  const float* b = sample.row((first + 1 + i / sample.rows * 7919) % sample.rows);
  mixed.resize(sample.dims);
  for (size_t j = 0; j < sample.dims; ++j) mixed[j] = a[j] + kShare * b[j];
  return mixed.data();
}

struct Prepared {
  std::unique_ptr<ServerProcess> server;
  v1::Version version;
  std::vector<v1::SearchRequest> queries;
  std::vector<std::string> hits;  // of each query, as a single client got them
};

absl::StatusOr<Prepared> Prepare(const Options& options, const WorkDirectory& work) {
  constexpr size_t kSampled = 50000;
  constexpr size_t kQueries = 500;
  const Matrix data = MakeVectors(std::min(options.documents, kSampled), options.dims, 1);
  BEBR_RETURN_IF_ERROR(WriteNpy(work.path() + "/sample.npy", data));
  const std::string model = work.path() + "/model.safetensors";
  BEBR_RETURN_IF_ERROR(
      RunProgram({Sibling("bebr-train"), "--input", work.path() + "/sample.npy", "--dims",
                  absl::StrCat(options.code_dims), "--levels", absl::StrCat(options.levels), "--query-levels",
                  absl::StrCat(options.query_levels), "--steps", "0", "--output", model}));
  Prepared prepared;
  BEBR_ASSIGN_OR_RETURN(prepared.server, ServerProcess::Start(work.path() + "/data"));
  v1::CollectionConfig config;
  config.set_name("load");
  BEBR_RETURN_IF_ERROR(CreateCollection(prepared.server->channel(), config, model));
  const IngestOptions ingest{.collection = "load", .documents = options.documents, .dims = options.dims};
  BEBR_RETURN_IF_ERROR(Ingest(prepared.server->channel(), ingest, [&](size_t i) { return MixedRow(data, i); }));
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, GetCollection(prepared.server->channel(), "load"));
  prepared.version = collection.versions(0);
  const Matrix queries = MakeVectors(kQueries, options.dims, 2);
  for (size_t i = 0; i < queries.rows; ++i) {
    v1::SearchRequest& request = prepared.queries.emplace_back();
    request.set_collection("load");
    request.mutable_query()->mutable_values()->Add(queries.row(i), queries.row(i) + options.dims);
    request.mutable_options()->set_k(options.k);
    BEBR_ASSIGN_OR_RETURN(const v1::SearchResponse response, Search(prepared.server->channel(), request));
    prepared.hits.push_back(HitsOf(response));
  }
  return prepared;
}

// Processor time as shares of all cores while something ran.
class CpuShares {
 public:
  explicit CpuShares(int server) : server_(server) {}
  void Resume() { Add(-1); }
  void Pause() { Add(1); }
  double client() const { return own_cpu_ / Capacity(); }
  double server() const { return server_cpu_ / Capacity(); }
  double client_s() const { return own_cpu_; }
  double server_s() const { return server_cpu_; }

 private:
  void Add(double sign) {
    wall_ += sign * NowSeconds();
    own_cpu_ += sign * OwnCpuSeconds();
    server_cpu_ += sign * ProcessCpuSeconds(server_);
  }
  double Capacity() const { return wall_ * static_cast<double>(AvailableProcessors()); }
  const int server_;
  double wall_ = 0, own_cpu_ = 0, server_cpu_ = 0;
};

absl::StatusOr<nlohmann::json> MeasureRow(const Options& options, const Prepared& prepared, size_t clients,
                                          BatchKernel& kernel) {
  LoadOptions load{
      .server = prepared.server->address(),
      .clients = clients,
      .seconds = options.seconds,
      .query = [&](size_t i) -> const v1::SearchRequest& { return prepared.queries[i % prepared.queries.size()]; },
      .expected = [&](size_t i) -> const std::string& { return prepared.hits[i % prepared.hits.size()]; }};
  // The kernel runs between the rounds, while the server idles: the machine's speed wanders.
  std::vector<double> kernel_ms;
  double kernel_rate = 0, kernel_cpu = 0;
  CpuShares cpu(prepared.server->pid());
  const RoundHooks hooks{.before =
                             [&] {
                               const double before = OwnCpuSeconds();
                               kernel_rate += kernel.Rate(options.kernel_seconds / kRounds, kernel_ms) / kRounds;
                               kernel_cpu += OwnCpuSeconds() - before;
                               cpu.Resume();
                             },
                         .after = [&] { cpu.Pause(); }};
  BEBR_ASSIGN_OR_RETURN(const LoadResult closed, RunClosedLoop(load, kRounds, hooks));
  const double rate = static_cast<double>(closed.answered) / closed.wall_s;
  const auto micros = [](double seconds, size_t queries) { return seconds * 1e6 / static_cast<double>(queries); };
  // Each round has one scan more, which is not timed.
  const double kernel_us = micros(kernel_cpu, (kernel_ms.size() + kRounds) * BatchKernel::kQueries);
  const double server_us = micros(cpu.server_s(), closed.latencies_ms.size());
  std::sort(kernel_ms.begin(), kernel_ms.end());
  BEBR_ASSIGN_OR_RETURN(const LoadResult open, RunOpenLoop(load, rate * options.open_share));
  return nlohmann::json{{"clients", clients},
                        {"documents", options.documents},
                        {"bits", prepared.version.bits()},
                        {"queries_per_s", rate},
                        {"batch_kernel_queries_per_s", kernel_rate},
                        {"batch_kernel_p50_ms", Percentile(kernel_ms, 0.50)},
                        {"batch_kernel_p99_ms", Percentile(kernel_ms, 0.99)},
                        {"ratio", rate / kernel_rate},
                        // The kernel with what the load client left of the processors.
                        {"ratio_without_client", rate / (kernel_rate * std::max(0.01, 1 - cpu.client()))},
                        {"client_cpu_share", cpu.client()},
                        {"server_cpu_share", cpu.server()},
                        {"kernel_cpu_us_per_query", kernel_us},
                        {"server_cpu_us_per_query", server_us},
                        {"client_cpu_us_per_query", micros(cpu.client_s(), closed.latencies_ms.size())},
                        {"ratio_of_cpu_time", kernel_us / server_us},
                        {"queries_in_scan", closed.queries_in_scan / static_cast<double>(closed.latencies_ms.size())},
                        {"closed_p50_ms", Percentile(closed.latencies_ms, 0.50)},
                        {"closed_p99_ms", Percentile(closed.latencies_ms, 0.99)},
                        {"open_queries_per_s", rate * options.open_share},
                        {"p50_ms", Percentile(open.latencies_ms, 0.50)},
                        {"p99_ms", Percentile(open.latencies_ms, 0.99)},
                        {"p999_ms", Percentile(open.latencies_ms, 0.999)},
                        {"refused", closed.refused + open.refused},
                        {"different_from_single_client", closed.different + open.different}};
}

void PrintRow(const nlohmann::json& row) {
  std::printf(
      "%7zu %10.0f %9.0f %6.2f %9.2f %8.0f%% %8.0f%% %7.1f %7.0f %7.0f %6.2f %11.0f %9.2f %9.2f %9.2f %9.2f %9.2f\n",
      row["clients"].get<size_t>(), row["queries_per_s"].get<double>(), row["batch_kernel_queries_per_s"].get<double>(),
      row["ratio"].get<double>(), row["ratio_without_client"].get<double>(),
      100 * row["client_cpu_share"].get<double>(), 100 * row["server_cpu_share"].get<double>(),
      row["queries_in_scan"].get<double>(), row["kernel_cpu_us_per_query"].get<double>(),
      row["server_cpu_us_per_query"].get<double>(), row["ratio_of_cpu_time"].get<double>(),
      row["open_queries_per_s"].get<double>(), row["p50_ms"].get<double>(), row["p99_ms"].get<double>(),
      row["p999_ms"].get<double>(), row["batch_kernel_p50_ms"].get<double>(), row["batch_kernel_p99_ms"].get<double>());
  std::fflush(stdout);
}

absl::Status Run(const Options& options) {
  const WorkDirectory work;
  BEBR_ASSIGN_OR_RETURN(const Prepared prepared, Prepare(options, work));
  BEBR_ASSIGN_OR_RETURN(const auto kernel, BatchKernel::Create(prepared.version.code(), prepared.version.query_levels(),
                                                               options.documents, AvailableProcessors()));
  std::printf("%zu documents of %s (%u bits), %zu cores\n", options.documents, prepared.version.code().c_str(),
              prepared.version.bits(), AvailableProcessors());
  std::printf(
      "        ----------------------- closed loop --------------------- -- cpu us a query --- "
      "------------ open loop, ms ----------- "
      "kernel's scan, ms\n");
  std::printf("%7s %10s %9s %6s %9s %9s %9s %7s %7s %7s %6s %11s %9s %9s %9s %9s %9s\n", "clients", "queries/s",
              "kernel/s", "ratio", "w/o client", "client", "server", "a scan", "kernel", "server", "ratio", "queries/s",
              "p50", "p99", "p99.9", "p50", "p99");
  nlohmann::json rows = nlohmann::json::array();
  for (const size_t clients : options.clients) {
    BEBR_ASSIGN_OR_RETURN(auto row, MeasureRow(options, prepared, clients, *kernel));
    PrintRow(row);
    rows.push_back(std::move(row));
  }
  nlohmann::json json = rows[0];
  for (const auto& row : rows) {
    if (row["clients"] == kMainClients) json = row;
  }
  for (const auto& row : rows) {
    const auto different = row["different_from_single_client"].get<uint64_t>();
    if (different == 0) continue;
    return absl::InternalError(absl::StrCat(different, " answers of ", row["clients"].get<size_t>(),
                                            " clients differ from those of a single client"));
  }
  std::printf("every answer was compared: all are those that a single client got\n");
  json["rows"] = rows;
  json["code"] = prepared.version.code();
  json["query_levels"] = prepared.version.query_levels();
  json["k"] = options.k;
  json["float_dims"] = options.dims;
  json["machine"] = DescribeMachine();
  BEBR_RETURN_IF_ERROR(WriteJson(options.json, json));
  return prepared.server->Stop();
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as the server
  bebr::bench::Options options;
  CLI::App app("bench_load: queries/s and latency of many clients through the whole server");
  app.add_option("--json", options.json, "write the figures to this file");
  app.add_option("--documents", options.documents, "documents in the collection")
      ->check(CLI::Range(1000, 100000000))
      ->capture_default_str();
  app.add_option("--dims", options.dims, "floats of an embedding")->check(CLI::Range(8, 8192))->capture_default_str();
  app.add_option("--code-dims", options.code_dims, "dims of the code")->capture_default_str();
  app.add_option("--levels", options.levels, "levels of the code; bits = dims x levels")
      ->check(CLI::Range(1, 4))
      ->capture_default_str();
  app.add_option("--query-levels", options.query_levels, "levels of a query")
      ->check(CLI::Range(1, 4))
      ->capture_default_str();
  app.add_option("-k", options.k, "results of a query")->capture_default_str();
  app.add_option("--clients", options.clients, "numbers of clients")->capture_default_str();
  app.add_option("--seconds", options.seconds, "of each run")->capture_default_str();
  app.add_option("--kernel-seconds", options.kernel_seconds, "of the bare kernel beside each run")
      ->capture_default_str();
  app.add_option("--open-share", options.open_share, "rate of the open loop, as a share of the closed loop's")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = bebr::bench::Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_load: %s\n", status.ToString().c_str());
  return 1;
}
