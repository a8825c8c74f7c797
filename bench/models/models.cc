// bench_models: what a model's codes cost where they are used. Each model has a collection of the same documents in one
// real server, which many clients search without rerank, model after model in each of several rounds: recall, bytes and
// queries a second beside each other. BEBR_SIMD chooses the table of kernels, as it does for any server.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "bench/load/load_client.h"
#include "bench/support/engine_run.h"
#include "bench/support/ingestion.h"
#include "bench/support/machine.h"
#include "bench/support/server_process.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"
#include "index/dataset/vector_file.h"
#include "index/exact/neighbors.h"

namespace bebr::bench {
namespace {

constexpr size_t kNearest = 10;
constexpr uint64_t kSeed = 11;

struct Options {
  std::string json, docs, queries;
  std::vector<std::string> models;
  size_t query_count = 500;
  size_t documents = 1000000;
  float noise = 0.5f;
  std::vector<size_t> clients = {1, 64};
  size_t rounds = 5;
  double seconds = 3;
};

struct Model {
  std::string name;  // of its collection
  v1::Version version;
  std::vector<v1::SearchRequest> queries;
  std::vector<std::string> hits;  // of each query, as a single client got them
  double recall = 0;
};

absl::StatusOr<Model> Prepare(const Options& options, ServerProcess& server, size_t number, const Matrix& documents,
                              const Matrix& queries, const std::vector<uint32_t>& exact) {
  Model model{.name = absl::StrCat("model-", number), .version = {}, .queries = {}, .hits = {}};
  v1::CollectionConfig config;
  config.set_name(model.name);
  BEBR_RETURN_IF_ERROR(CreateCollection(server.channel(), config, options.models[number]));
  const IngestOptions ingest{.collection = model.name, .documents = documents.rows, .dims = documents.dims};
  BEBR_RETURN_IF_ERROR(Ingest(server.channel(), ingest, [&](size_t i) { return documents.row(i); }));
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, GetCollection(server.channel(), model.name));
  model.version = collection.versions(0);
  std::vector<std::vector<uint32_t>> found(queries.rows);
  for (size_t i = 0; i < queries.rows; ++i) {
    v1::SearchRequest& request = model.queries.emplace_back();
    request.set_collection(model.name);
    request.mutable_query()->mutable_values()->Add(queries.row(i), queries.row(i) + queries.dims);
    request.mutable_options()->set_k(kNearest);
    BEBR_ASSIGN_OR_RETURN(const v1::SearchResponse response, Search(server.channel(), request));
    model.hits.push_back(HitsOf(response));
    for (const auto& hit : response.hits()) {
      if (!absl::SimpleAtoi(hit.id().substr(DocumentId(0).size() - 1), &found[i].emplace_back())) {
        return absl::InternalError("a hit that nobody wrote: " + hit.id());
      }
    }
  }
  model.recall = MeanRecall(exact, kNearest, found, kNearest);
  return model;
}

struct Measured {
  std::vector<double> rates, cpu_us;  // of each round
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return Percentile(values, 0.5);
}

absl::Status MeasureRound(const Options& options, ServerProcess& server, const Model& model, size_t clients,
                          Measured& measured) {
  const LoadOptions load{
      .server = server.address(),
      .clients = clients,
      .seconds = options.seconds,
      .query = [&](size_t i) -> const v1::SearchRequest& { return model.queries[i % model.queries.size()]; },
      .expected = [&](size_t i) -> const std::string& { return model.hits[i % model.hits.size()]; }};
  double cpu = 0;
  const RoundHooks hooks{.before = [&] { cpu -= ProcessCpuSeconds(server.pid()); },
                         .after = [&] { cpu += ProcessCpuSeconds(server.pid()); }};
  BEBR_ASSIGN_OR_RETURN(const LoadResult result, RunClosedLoop(load, 1, hooks));
  if (result.different > 0) {
    return absl::InternalError(absl::StrCat(result.different, " answers of ", clients, " clients of ", model.name,
                                            " differ from those of a single client"));
  }
  const auto answered = static_cast<double>(std::max<uint64_t>(result.answered, 1));
  measured.rates.push_back(answered / result.wall_s);
  measured.cpu_us.push_back(cpu * 1e6 / answered);
  return absl::OkStatus();
}

absl::Status Run(const Options& options) {
  const WorkDirectory work;
  BEBR_ASSIGN_OR_RETURN(const Matrix real, ReadVectors(options.docs));
  Matrix documents{options.documents, real.dims, std::vector<float>(options.documents * real.dims)};
  Mixture(real, options.noise, kSeed).FillRows(0, documents.rows, 0, documents, nullptr);
  BEBR_ASSIGN_OR_RETURN(const Matrix queries, ReadVectors(options.queries, options.query_count));
  const std::vector<uint32_t> exact =
      ExactNeighbors(documents, queries, kNearest, Metric::kCosine, AvailableProcessors());
  BEBR_ASSIGN_OR_RETURN(const auto server, ServerProcess::Start(work.path() + "/data"));
  std::vector<Model> models;
  for (size_t i = 0; i < options.models.size(); ++i) {
    BEBR_ASSIGN_OR_RETURN(models.emplace_back(), Prepare(options, *server, i, documents, queries, exact));
  }
  std::printf("%7s  %-36s %5s %10s %10s %12s %12s %16s\n", "clients", "code", "bits", "recall@10", "queries/s",
              "to the first", "server us", "to the first");
  nlohmann::json rows = nlohmann::json::array();
  for (const size_t clients : options.clients) {
    std::vector<Measured> measured(models.size());
    for (size_t round = 0; round < options.rounds; ++round) {
      for (size_t i = 0; i < models.size(); ++i) {
        BEBR_RETURN_IF_ERROR(MeasureRound(options, *server, models[i], clients, measured[i]));
      }
    }
    for (size_t i = 0; i < models.size(); ++i) {
      std::vector<double> faster, dearer;  // of each round, to the first model
      for (size_t round = 0; round < options.rounds; ++round) {
        faster.push_back(measured[i].rates[round] / measured[0].rates[round]);
        dearer.push_back(measured[i].cpu_us[round] / measured[0].cpu_us[round]);
      }
      const auto& row =
          rows.emplace_back(nlohmann::json{{"clients", clients},
                                           {"model", std::filesystem::path(options.models[i]).stem().string()},
                                           {"code", models[i].version.code()},
                                           {"bits", models[i].version.bits()},
                                           {"query_levels", models[i].version.query_levels()},
                                           {"recall_at_10", models[i].recall},
                                           {"queries_per_s", Median(measured[i].rates)},
                                           {"rate_to_first", Median(faster)},
                                           {"server_cpu_us_per_query", Median(measured[i].cpu_us)},
                                           {"cpu_to_first", Median(dearer)}});
      std::printf("%7zu  %-36s %5u %10.4f %10.0f %12.2f %12.0f %16.2f\n", clients, models[i].version.code().c_str(),
                  models[i].version.bits(), models[i].recall, row["queries_per_s"].get<double>(),
                  row["rate_to_first"].get<double>(), row["server_cpu_us_per_query"].get<double>(),
                  row["cpu_to_first"].get<double>());
      std::fflush(stdout);
    }
  }
  std::printf("every answer was compared: all are those that a single client got\n");
  BEBR_RETURN_IF_ERROR(WriteJson(options.json, {{"documents", options.documents},
                                                {"float_dims", documents.dims},
                                                {"rounds", options.rounds},
                                                {"seconds", options.seconds},
                                                {"rows", rows},
                                                {"machine", DescribeMachine()}}));
  return server->Stop();
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as the server
  bebr::bench::Options options;
  CLI::App app("bench_models: recall and queries/s of models beside each other, through the whole server");
  app.add_option("models", options.models, "model files; the first is what the others are compared with")->required();
  app.add_option("--json", options.json, "write the figures to this file");
  app.add_option("--docs", options.docs, "file of document vectors; rows beyond it are mixtures of its rows")
      ->required();
  app.add_option("--queries", options.queries, "file of query vectors")->required();
  app.add_option("--query-count", options.query_count, "only the first queries")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--documents", options.documents, "documents in each collection")
      ->check(CLI::Range(1000, 100000000))
      ->capture_default_str();
  app.add_option("--noise", options.noise, "of the rows beyond the file's, as a share of each coordinate's deviation")
      ->capture_default_str();
  app.add_option("--clients", options.clients, "numbers of clients")->capture_default_str();
  app.add_option("--rounds", options.rounds, "of each number of clients")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "of each model in a round")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = bebr::bench::Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_models: %s\n", status.ToString().c_str());
  return 1;
}
