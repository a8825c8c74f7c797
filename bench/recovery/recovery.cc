// bench_recovery: how long a server takes to open what it holds, after a clean stop, which leaves layout files, and
// after SIGKILL, which leaves none; and how long the clean stop takes. The time runs from the start of the process to
// the answer to the first search, which must equal the answer before.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
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

struct Options {
  std::string json;
  std::string store_floats = "f16";
  std::string shape = "128x4";  // 512 bits
  size_t repeats = 3;           // of the clean restart; the median counts
  IngestOptions ingest;
};

// Random points about 1,000 random centres: a stand-in for embeddings where only sizes matter. Rows repeat after
// 65,536.
Matrix MakeData(size_t dims) {
  constexpr size_t kRows = 65536;
  constexpr size_t kCentres = 1000;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> centres(kCentres * dims);
  for (float& value : centres) value = normal(random);
  Matrix data{kRows, dims, std::vector<float>(kRows * dims)};
  for (size_t i = 0; i < kRows; ++i) {
    const float* centre = &centres[random() % kCentres * dims];
    for (size_t d = 0; d < dims; ++d) data.row(i)[d] = centre[d] + 0.5f * normal(random);
  }
  return data;
}

// The answers that must be the same before and after: ids and score bits of a few queries.
absl::StatusOr<std::string> Answers(const std::shared_ptr<grpc::Channel>& channel, const std::string& collection,
                                    const Matrix& data) {
  std::string answers;
  for (size_t i = 0; i < 5; ++i) {
    v1::SearchRequest request;
    request.set_collection(collection);
    request.mutable_query()->mutable_values()->Add(data.row(i * 997), data.row(i * 997) + data.dims);
    request.mutable_options()->set_k(100);
    BEBR_ASSIGN_OR_RETURN(const v1::SearchResponse response, Search(channel, request));
    for (const v1::SearchHit& hit : response.hits())
      absl::StrAppend(&answers, hit.id(), " ", absl::StrFormat("%a\n", hit.score()));
  }
  return answers;
}

struct Opened {
  double serving_s = 0;  // until the server answers at all
  double open_s = 0;     // until the first searches are answered
  double cpu_s = 0;      // processor time of the server until then
  uint64_t resident_bytes = 0;
  double stop_s = 0;  // of the clean stop before
};

// Starts the server again and checks that everything is there.
absl::StatusOr<Opened> Reopen(const std::string& data_dir, const Options& options, const Matrix& data,
                              const std::string& expected, std::unique_ptr<ServerProcess>* server) {
  const double start = NowSeconds();
  BEBR_ASSIGN_OR_RETURN(*server, ServerProcess::Start(data_dir));
  BEBR_ASSIGN_OR_RETURN(const std::string answers, Answers((*server)->channel(), options.ingest.collection, data));
  const Opened opened = {(*server)->start_s(), NowSeconds() - start, ProcessCpuSeconds((*server)->pid()),
                         ResidentBytes((*server)->pid())};
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection,
                        GetCollection((*server)->channel(), options.ingest.collection));
  if (collection.documents() != options.ingest.documents) {
    return absl::DataLossError(
        absl::StrFormat("%d documents after the restart, %d before", collection.documents(), options.ingest.documents));
  }
  if (answers != expected) return absl::DataLossError("the answers after the restart differ from those before");
  return opened;
}

absl::Status Run(Options& options) {
  const Matrix data = MakeData(options.ingest.dims);
  const WorkDirectory work;
  const std::string data_dir = work.path() + "/data", model = work.path() + "/model.safetensors";
  BEBR_RETURN_IF_ERROR(WriteNpy(work.path() + "/data.npy", data));
  BEBR_RETURN_IF_ERROR(RunProgram({Sibling("bebr-train"), "--input", work.path() + "/data.npy", "--shape",
                                   options.shape, "--steps", "0", "--output", model}));
  BEBR_ASSIGN_OR_RETURN(std::unique_ptr<ServerProcess> server, ServerProcess::Start(data_dir));
  v1::CollectionConfig config;
  config.set_name("recovery");
  config.set_store_floats(options.store_floats == "f32"   ? v1::FLOAT_STORAGE_F32
                          : options.store_floats == "f16" ? v1::FLOAT_STORAGE_F16
                                                          : v1::FLOAT_STORAGE_NONE);
  BEBR_RETURN_IF_ERROR(CreateCollection(server->channel(), config, model));
  options.ingest.collection = config.name();
  const double start = NowSeconds();
  BEBR_RETURN_IF_ERROR(Ingest(server->channel(), options.ingest, [&](size_t i) { return data.row(i % data.rows); }));
  const double ingest_s = NowSeconds() - start;
  BEBR_ASSIGN_OR_RETURN(const std::string expected, Answers(server->channel(), config.name(), data));

  server->Kill();
  BEBR_ASSIGN_OR_RETURN(const Opened killed, Reopen(data_dir, options, data, expected, &server));
  std::vector<Opened> clean_runs;
  for (size_t i = 0; i < options.repeats; ++i) {
    const double stopping = NowSeconds();
    BEBR_RETURN_IF_ERROR(server->Stop());
    const double stop_s = NowSeconds() - stopping;
    BEBR_ASSIGN_OR_RETURN(clean_runs.emplace_back(), Reopen(data_dir, options, data, expected, &server));
    clean_runs.back().stop_s = stop_s;
  }
  const double first_stop_s = clean_runs.front().stop_s;  // the others find the layout files that it wrote
  std::sort(clean_runs.begin(), clean_runs.end(), [](const Opened& a, const Opened& b) { return a.open_s < b.open_s; });
  const Opened clean = clean_runs[clean_runs.size() / 2];
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, GetCollection(server->channel(), config.name()));
  BEBR_RETURN_IF_ERROR(server->Stop());

  const double code_mb = static_cast<double>(collection.memory().codes()) / 1e6;
  const nlohmann::json json = {{"documents", options.ingest.documents},
                               {"bits", collection.versions(0).bits()},
                               {"code", collection.versions(0).code()},
                               {"float_dims", options.ingest.dims},
                               {"store_floats", options.store_floats},
                               {"shards", collection.shards()},
                               {"open_s", clean.open_s},
                               {"open_serving_s", clean.serving_s},
                               {"open_cpu_s", clean.cpu_s},
                               {"open_min_s", clean_runs.front().open_s},
                               {"open_max_s", clean_runs.back().open_s},
                               {"stop_s", first_stop_s},
                               {"open_after_kill_s", killed.open_s},
                               {"open_after_kill_cpu_s", killed.cpu_s},
                               {"code_mb_per_s", code_mb / clean.open_s},
                               {"disk_bytes", collection.disk_bytes()},
                               {"memory_formula_bytes", collection.memory().total()},
                               {"resident_bytes", clean.resident_bytes},
                               {"ingest_s", ingest_s},
                               {"machine", DescribeMachine()}};
  std::printf("%zu documents of %u bits (%s), floats stored %s, %u shards; answers equal before and after\n",
              options.ingest.documents, collection.versions(0).bits(), collection.versions(0).code().c_str(),
              options.store_floats.c_str(), collection.shards());
  std::printf("  open after a clean stop   %6.2f s   (median of %zu; %.2f s of processor time; %.0f MB of codes)\n",
              clean.open_s, options.repeats, clean.cpu_s, code_mb);
  std::printf("  open after SIGKILL        %6.2f s   (%.2f s of processor time)\n", killed.open_s, killed.cpu_s);
  std::printf("  the clean stop            %6.2f s\n", first_stop_s);
  return WriteJson(options.json, json);
}

int Main(int argc, char** argv) {
  CLI::App app("Time to open a server that holds many documents.");
  Options options;
  options.ingest.documents = 1000000;
  options.ingest.dims = 128;
  options.ingest.batch = 1000;
  options.ingest.float16 = true;
  app.add_option("--json", options.json, "Write the figures as JSON to this file");
  app.add_option("--documents", options.ingest.documents)->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--shape", options.shape, "Code shape")->capture_default_str();
  app.add_option("--repeats", options.repeats, "Clean restarts; the median counts")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  app.add_option("--dims", options.ingest.dims, "Floats a document")->capture_default_str()->check(CLI::Range(1, 8192));
  app.add_option("--store-floats", options.store_floats)
      ->capture_default_str()
      ->check(CLI::IsMember({"none", "f16", "f32"}));
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_recovery: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) { return bebr::bench::Main(argc, argv); }
