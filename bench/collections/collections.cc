// bench_collections: what many small collections cost a server: disk, memory, threads, descriptors, and the time to
// make them, to open them after a stop and to stop. Every collection answers a search before and after.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/support/ingestion.h"
#include "bench/support/machine.h"
#include "bench/support/server_process.h"
#include "index/base/status_macros.h"
#include "index/dataset/vector_file.h"

namespace bebr::bench {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string json;
  size_t collections = 1000;
  size_t documents = 20;  // of each
  size_t dims = 64;
  uint32_t shards = 1;
  size_t clients = 8;  // that make collections at the same time
};

std::string NameOf(size_t i) { return absl::StrFormat("tenant%05d", i); }

// The figure of a line "KEY: FIGURE" of /proc/PID/status.
uint64_t ProcessFigure(int pid, const std::string& key) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key + ":")) return std::stoull(line.substr(key.size() + 1));
  }
  return 0;
}

size_t Descriptors(int pid) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(absl::StrCat("/proc/", pid, "/fd"))) ++count;
  return count;
}

// What du says.
uint64_t DiskBytes(const std::string& directory) {
  uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    struct stat file;
    if (lstat(entry.path().c_str(), &file) == 0) bytes += static_cast<uint64_t>(file.st_blocks) * 512;
  }
  return bytes;
}

// Calls body(i) for 0 .. count - 1 on some threads; the first error.
absl::Status ForEach(size_t count, size_t threads, const std::function<absl::Status(size_t)>& body) {
  std::atomic<size_t> next{0};
  std::vector<absl::Status> outcomes(threads);
  std::vector<std::thread> workers;
  for (size_t t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      for (size_t i; outcomes[t].ok() && (i = next.fetch_add(1)) < count;) outcomes[t] = body(i);
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (const absl::Status& outcome : outcomes) BEBR_RETURN_IF_ERROR(outcome);
  return absl::OkStatus();
}

absl::Status CheckAll(ServerProcess& server, const Options& options, const Matrix& data) {
  return ForEach(options.collections, options.clients, [&](size_t i) -> absl::Status {
    v1::SearchRequest request;
    request.set_collection(NameOf(i));
    request.mutable_query()->mutable_values()->Add(data.row(0), data.row(0) + data.dims);
    request.mutable_options()->set_k(static_cast<uint32_t>(options.documents));
    BEBR_ASSIGN_OR_RETURN(const v1::SearchResponse response, Search(server.channel(), request));
    if (static_cast<size_t>(response.hits_size()) == options.documents) return absl::OkStatus();
    return absl::DataLossError(
        absl::StrFormat("%s has %d documents of %d", NameOf(i), response.hits_size(), options.documents));
  });
}

absl::Status Run(const Options& options) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  Matrix data{std::max<size_t>(options.documents, 256), options.dims, {}};
  data.values.resize(data.rows * data.dims);
  for (float& value : data.values) value = normal(random);
  const WorkDirectory work;
  const std::string data_dir = work.path() + "/data", model = work.path() + "/model.safetensors";
  BEBR_RETURN_IF_ERROR(WriteNpy(work.path() + "/data.npy", data));
  BEBR_RETURN_IF_ERROR(RunProgram({Sibling("bebr-train"), "--input", work.path() + "/data.npy", "--shape", "128x1",
                                   "--steps", "0", "--output", model}));
  BEBR_ASSIGN_OR_RETURN(std::unique_ptr<ServerProcess> server, ServerProcess::Start(data_dir));
  double start = NowSeconds();
  BEBR_RETURN_IF_ERROR(ForEach(options.collections, options.clients, [&](size_t i) -> absl::Status {
    v1::CollectionConfig config;
    config.set_name(NameOf(i));
    config.set_shards(options.shards);
    BEBR_RETURN_IF_ERROR(CreateCollection(server->channel(), config, model));
    const IngestOptions ingest = {.collection = config.name(),
                                  .documents = options.documents,
                                  .dims = options.dims,
                                  .streams = 1,
                                  .progress = false};
    return Ingest(server->channel(), ingest, [&](size_t row) { return data.row(row % data.rows); });
  }));
  const double made_s = NowSeconds() - start;
  BEBR_RETURN_IF_ERROR(CheckAll(*server, options, data));
  const auto disk_bytes = DiskBytes(data_dir);
  const auto resident_bytes = ResidentBytes(server->pid());
  const auto threads = ProcessFigure(server->pid(), "Threads");
  const auto descriptors = Descriptors(server->pid());
  start = NowSeconds();
  BEBR_RETURN_IF_ERROR(server->Stop());
  const double stop_s = NowSeconds() - start;
  BEBR_ASSIGN_OR_RETURN(server, ServerProcess::Start(data_dir));
  const double open_s = server->start_s(), open_cpu_s = ProcessCpuSeconds(server->pid());
  BEBR_RETURN_IF_ERROR(CheckAll(*server, options, data));
  const nlohmann::json json = {{"collections", options.collections},
                               {"documents", options.documents},
                               {"shards", options.shards},
                               {"made_s", made_s},
                               {"disk_bytes", disk_bytes},
                               {"resident_bytes", resident_bytes},
                               {"threads", threads},
                               {"descriptors", descriptors},
                               {"stop_s", stop_s},
                               {"open_s", open_s},
                               {"open_cpu_s", open_cpu_s},
                               {"open_resident_bytes", ResidentBytes(server->pid())},
                               {"open_threads", ProcessFigure(server->pid(), "Threads")},
                               {"machine", DescribeMachine()}};
  BEBR_RETURN_IF_ERROR(server->Stop());
  std::printf("%zu collections of %zu documents, %u shards each; all answer before and after a restart\n",
              options.collections, options.documents, options.shards);
  std::printf("  disk (du)   %8.0f MB    memory %6.0f MB    threads %4llu    descriptors %6zu\n",
              static_cast<double>(disk_bytes) / 1e6, static_cast<double>(resident_bytes) / 1e6,
              static_cast<unsigned long long>(threads), descriptors);
  std::printf("  made in     %8.1f s     stopped in %5.1f s    opened in %5.1f s (%.1f s of processor time)\n", made_s,
              stop_s, open_s, open_cpu_s);
  return WriteJson(options.json, json);
}

int Main(int argc, char** argv) {
  CLI::App app("What many small collections cost.");
  Options options;
  app.add_option("--json", options.json, "Write the figures as JSON to this file");
  app.add_option("--collections", options.collections)->capture_default_str()->check(CLI::Range(1, 100000));
  app.add_option("--documents", options.documents, "Of each")->capture_default_str()->check(CLI::Range(1, 10000));
  app.add_option("--dims", options.dims, "Floats a document")->capture_default_str()->check(CLI::Range(8, 8192));
  app.add_option("--shards", options.shards, "Of each")->capture_default_str()->check(CLI::Range(1, 256));
  app.add_option("--clients", options.clients, "That work at once")->capture_default_str()->check(CLI::Range(1, 64));
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_collections: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) { return bebr::bench::Main(argc, argv); }
