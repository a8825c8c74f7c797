// bench_rerank: what it costs to score the best candidates again with the stored floats, beside searches that do not,
// one client and many at once, with the floats in the page cache and without. Straight through the engine, with random
// floats: candidates lie anywhere in the files, as they do where ids say nothing of the documents.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/support/engine_run.h"
#include "bench/support/machine.h"
#include "bench/support/server_process.h"
#include "index/base/mutex.h"
#include "index/base/status_macros.h"

namespace bebr::bench {
namespace {

constexpr size_t kRows = 200003;  // that differ: documents repeat them
constexpr size_t kQueries = 2000;

struct Options {
  std::string json;
  std::string data;
  std::string shape = "256x2";
  uint32_t query_levels = 4;
  uint32_t dims = 256;
  size_t documents = 1000000;
  size_t depth = 100;
  size_t clients = 64;
  size_t rounds = 5;
  double seconds = 1.5;
};

// Calls `visit` with each table file below a directory, open.
void ForEachTable(const std::string& directory, const std::function<void(int file)>& visit) {
  std::error_code error;  // files come and go
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory, error)) {
    if (entry.path().extension() != ".sst") continue;
    const int file = open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    visit(file);
    close(file);
  }
}

void ReadToEnd(int file) {
  std::vector<char> buffer(1 << 20);
  while (read(file, buffer.data(), buffer.size()) > 0) {
  }
}

// Takes the table files below a directory out of the page cache, over and over, as if there were no memory for them.
class Evictor {
 public:
  explicit Evictor(std::string directory) : directory_(std::move(directory)), thread_([this] { Run(); }) {}
  ~Evictor() {
    stop_ = true;
    thread_.join();
  }

 private:
  void Run() const {
    while (!stop_) {
      ForEachTable(directory_, [](int file) { posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED); });
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  const std::string directory_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

struct Kind {
  size_t depth;
  size_t clients;
  bool cached;
  double seconds = 0, cpu_seconds = 0;
  uint64_t queries = 0, scans = 0;
  std::vector<double> latencies_ms;

  double rate() const { return static_cast<double>(latencies_ms.size()) / seconds; }
  double scan_queries() const { return static_cast<double>(queries) / static_cast<double>(scans); }
  double cpu_us() const { return cpu_seconds * 1e6 / static_cast<double>(latencies_ms.size()); }
};

// One search, whose hits must be scored by the floats if it reranks.
absl::Status Ask(Engine& engine, const Matrix& queries, size_t i, size_t depth) {
  SearchRequest request{.collection = EngineRun::kCollection, .k = 10, .rerank = depth};
  request.queries.push_back(absl::MakeConstSpan(queries.row(i % queries.rows), queries.dims));
  auto outcome = std::make_shared<std::promise<absl::StatusOr<SearchResult>>>();  // shared: set_value may outlast get
  engine.Search(std::move(request),
                [outcome](absl::StatusOr<SearchResult> result) { outcome->set_value(std::move(result)); });
  BEBR_ASSIGN_OR_RETURN(const SearchResult result, outcome->get_future().get());
  for (const SearchHit& hit : result.hits[0]) {
    if ((hit.score_kind == ScoreKind::kExact) != (depth > 0)) return absl::InternalError("a score of the wrong kind");
  }
  return result.hits[0].size() == 10 ? absl::OkStatus() : absl::InternalError("too few hits");
}

// Clients that ask again as soon as they are answered, for some time.
absl::Status Measure(Engine& engine, const Matrix& queries, double seconds, size_t round, Kind& kind) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  Mutex mutex;
  absl::Status status;
  const EngineStats before = engine.Stats();
  const double start = NowSeconds(), cpu = OwnCpuSeconds();
  for (size_t c = 0; c < kind.clients; ++c) {
    threads.emplace_back([&, c] {
      std::vector<double> latencies;
      absl::Status mine;
      for (size_t i = 0; mine.ok() && !stop; ++i) {
        const double begun = NowSeconds();
        mine = Ask(engine, queries, Mix(c + round * 1000) + i, kind.depth);
        latencies.push_back((NowSeconds() - begun) * 1e3);
      }
      MutexLock lock(&mutex);
      status.Update(mine);
      kind.latencies_ms.insert(kind.latencies_ms.end(), latencies.begin(), latencies.end());
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  kind.seconds += NowSeconds() - start;
  kind.cpu_seconds += OwnCpuSeconds() - cpu;
  kind.queries += engine.Stats().queries - before.queries;
  kind.scans += engine.Stats().scans - before.scans;
  return status;
}

// Fills the collection, and waits until all of it is in table files and these are sorted.
absl::Status FillAndSettle(EngineRun& run, const Options& options) {
  const Matrix rows = RandomRows(std::min(options.documents, kRows), options.dims, 2);
  BEBR_RETURN_IF_ERROR(
      run.Write(0, options.documents, options.dims, [&](size_t i) { return rows.row(i % rows.rows); }));
  BEBR_RETURN_IF_ERROR(run.engine().CreateSnapshot(EngineRun::kCollection, "filled").status());
  BEBR_RETURN_IF_ERROR(run.engine().DeleteSnapshot(EngineRun::kCollection, "filled"));
  while (run.engine().Stats().storage.pending_compaction_bytes > 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  return absl::OkStatus();
}

// The kinds take turns, since the machine's speed wanders. What is timed of the first round is thrown away.
absl::Status MeasureAll(EngineRun& run, const std::string& directory, const Options& options,
                        std::vector<Kind>& kinds) {
  const Matrix queries = RandomRows(kQueries, options.dims, 3);
  for (size_t round = 0; round <= options.rounds; ++round) {
    for (Kind& kind : kinds) {
      if (kind.cached) ForEachTable(directory, ReadToEnd);
      const std::unique_ptr<Evictor> evictor = kind.cached ? nullptr : std::make_unique<Evictor>(directory);
      Kind warm_up = kind;
      Kind& measured = round == 0 ? warm_up : kind;
      BEBR_RETURN_IF_ERROR(Measure(run.engine(), queries, options.seconds, round, measured));
    }
  }
  return absl::OkStatus();
}

absl::Status Run(const Options& options) {
  const WorkDirectory work;
  const std::string directory = options.data.empty() ? work.path() + "/data" : options.data;
  BEBR_ASSIGN_OR_RETURN(const auto run, EngineRun::Open(directory));
  if (!run->Info().ok()) {
    BEBR_ASSIGN_OR_RETURN(const std::string model, RandomProjection(options.shape, options.query_levels, options.dims));
    BEBR_RETURN_IF_ERROR(run->Create(model, FloatStorage::kFloat16));
    BEBR_RETURN_IF_ERROR(FillAndSettle(*run, options));
  }
  std::vector<Kind> kinds;
  for (const size_t clients : {size_t{1}, options.clients}) {
    kinds.push_back({0, clients, true});
    kinds.push_back({options.depth, clients, true});
    kinds.push_back({options.depth, clients, false});
  }
  BEBR_RETURN_IF_ERROR(MeasureAll(*run, directory, options, kinds));
  nlohmann::json json = {{"benchmark", "rerank"},
                         {"machine", DescribeMachine()},
                         {"code", options.shape},
                         {"documents", options.documents},
                         {"float_dims", options.dims}};
  std::printf("%zu documents of %u floats, f16\n", options.documents, options.dims);
  std::printf("%8s %8s %-12s %11s %7s %16s %9s %9s\n", "clients", "rerank", "floats", "queries/s", "a scan",
              "cpu us a query", "p50, ms", "p99, ms");
  for (Kind& kind : kinds) {
    std::sort(kind.latencies_ms.begin(), kind.latencies_ms.end());
    const double p50 = Percentile(kind.latencies_ms, 0.5), p99 = Percentile(kind.latencies_ms, 0.99);
    std::printf("%8zu %8zu %-12s %11.0f %7.1f %16.0f %9.2f %9.2f\n", kind.clients, kind.depth,
                kind.depth == 0 ? "" : (kind.cached ? "in memory" : "on disk"), kind.rate(), kind.scan_queries(),
                kind.cpu_us(), p50, p99);
    json["rows"].push_back({{"clients", kind.clients},
                            {"rerank", kind.depth},
                            {"page_cache", kind.cached},
                            {"queries_per_s", kind.rate()},
                            {"queries_per_scan", kind.scan_queries()},
                            {"cpu_us_per_query", kind.cpu_us()},
                            {"p50_ms", p50},
                            {"p99_ms", p99}});
  }
  return WriteJson(options.json, json);
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) {
  bebr::bench::Options options;
  CLI::App app("bench_rerank: what it costs to score the best candidates again with the stored floats");
  app.add_option("--json", options.json, "write the figures to this file");
  app.add_option("--data", options.data, "a data directory: used as it is if it has been filled, and left there");
  app.add_option("--documents", options.documents)->check(CLI::Range(1000, 100000000))->capture_default_str();
  app.add_option("--depth", options.depth, "candidates that are scored again")
      ->check(CLI::Range(10, 10000))
      ->capture_default_str();
  app.add_option("--clients", options.clients, "at once, beside one alone")
      ->check(CLI::Range(2, 4096))
      ->capture_default_str();
  app.add_option("--shape", options.shape, "of the codes")->capture_default_str();
  app.add_option("--query-levels", options.query_levels, "levels of a query")->capture_default_str();
  app.add_option("--dims", options.dims, "floats of an embedding")->check(CLI::Range(1, 8192))->capture_default_str();
  app.add_option("--rounds", options.rounds, "each kind of search is measured so often")->capture_default_str();
  app.add_option("--seconds", options.seconds, "of each round")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = bebr::bench::Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_rerank: %s\n", status.ToString().c_str());
  return 1;
}
