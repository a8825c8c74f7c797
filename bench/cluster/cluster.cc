// bench_cluster: what a gateway over nodes costs beside one server, on this machine's processors: the same documents
// and queries, in turns of about a second. Every answer is compared with one server's.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "bench/load/load_client.h"
#include "bench/support/engine_run.h"
#include "bench/support/ingestion.h"
#include "bench/support/machine.h"
#include "bench/support/server_process.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"

namespace bebr::bench {
namespace {

constexpr char kCollection[] = "bench";
constexpr size_t kQueries = 500;

struct Options {
  std::string json;
  size_t documents = 1000000;
  size_t dims = 256;
  std::string code = "256x2";
  uint32_t query_levels = 4;
  uint32_t k = 10;
  uint32_t rerank = 0;
  size_t nodes = 2;
  std::vector<size_t> clients = {1, 8, 64};
  double seconds = 20;
  size_t rounds = 20;
};

// Who answers: one server, or a gateway and the nodes behind it.
struct System {
  std::vector<std::unique_ptr<ServerProcess>> servers;  // the one that clients speak to last

  const ServerProcess& door() const { return *servers.back(); }
  double CpuOfDoor() const { return ProcessCpuSeconds(door().pid()); }
  double CpuOfOthers() const {
    double sum = 0;
    for (size_t i = 0; i + 1 < servers.size(); ++i) sum += ProcessCpuSeconds(servers[i]->pid());
    return sum;
  }
};

absl::StatusOr<System> StartCluster(const std::string& directory, size_t nodes) {
  System system;
  // Nodes look at the names and shares alone: their addresses are not known before they have started.
  std::vector<std::string> unknown, known;
  for (size_t i = 0; i < nodes; ++i) unknown.push_back(absl::StrCat("n", i, "=127.0.0.1:", 1 + i));
  for (size_t i = 0; i < nodes; ++i) {
    BEBR_ASSIGN_OR_RETURN(auto node, ServerProcess::Start(absl::StrCat(directory, "/n", i),
                                                          {"--cluster_nodes", absl::StrJoin(unknown, ","),
                                                           "--cluster_self", absl::StrCat("n", i)}));
    known.push_back(absl::StrCat("n", i, "=", node->address()));
    system.servers.push_back(std::move(node));
  }
  BEBR_ASSIGN_OR_RETURN(auto gateway,
                        ServerProcess::Start(directory + "/gateway", {"--cluster_nodes", absl::StrJoin(known, ",")}));
  system.servers.push_back(std::move(gateway));
  return system;
}

absl::Status Fill(const Options& options, const System& system, const std::string& model, const Matrix& rows) {
  v1::CollectionConfig config;
  config.set_name(kCollection);
  config.set_store_floats(options.rerank == 0 ? v1::FLOAT_STORAGE_NONE : v1::FLOAT_STORAGE_F16);
  BEBR_RETURN_IF_ERROR(CreateCollection(system.door().channel(), config, model));
  const IngestOptions ingest{.collection = kCollection, .documents = options.documents, .dims = options.dims};
  // Rows that come again are told apart by what is added to their first float.
  return Ingest(system.door().channel(), ingest, [&](size_t i) {
    thread_local std::vector<float> row;
    row.assign(rows.row(i % rows.rows), rows.row(i % rows.rows) + rows.dims);
    row[0] += static_cast<float>(i / rows.rows);
    return static_cast<const float*>(row.data());
  });
}

// What was measured of a system, over all its turns.
struct Measured {
  double wall_s = 0, door_cpu_s = 0, others_cpu_s = 0;
  uint64_t answered = 0, different = 0, refused = 0;
  std::vector<double> latencies_ms;

  double rate() const { return static_cast<double>(answered) / wall_s; }
  nlohmann::json ToJson() {
    std::sort(latencies_ms.begin(), latencies_ms.end());
    const auto micros = [&](double seconds) { return seconds * 1e6 / static_cast<double>(latencies_ms.size()); };
    return {{"queries_per_s", rate()},
            {"p50_ms", Percentile(latencies_ms, 0.50)},
            {"p99_ms", Percentile(latencies_ms, 0.99)},
            {"door_cpu_us_per_query", micros(door_cpu_s)},
            {"nodes_cpu_us_per_query", micros(others_cpu_s)},
            {"refused", refused}};
  }
};

absl::Status TakeTurn(const System& system, const LoadOptions& load, Measured& sum) {
  const RoundHooks hooks{.before =
                             [&] {
                               sum.door_cpu_s -= system.CpuOfDoor();
                               sum.others_cpu_s -= system.CpuOfOthers();
                             },
                         .after =
                             [&] {
                               sum.door_cpu_s += system.CpuOfDoor();
                               sum.others_cpu_s += system.CpuOfOthers();
                             }};
  BEBR_ASSIGN_OR_RETURN(const LoadResult turn, RunClosedLoop(load, 1, hooks));
  sum.wall_s += turn.wall_s;
  sum.answered += turn.answered;
  sum.different += turn.different;
  sum.refused += turn.refused;
  sum.latencies_ms.insert(sum.latencies_ms.end(), turn.latencies_ms.begin(), turn.latencies_ms.end());
  return absl::OkStatus();
}

struct Prepared {
  System one, cluster;
  std::vector<v1::SearchRequest> queries;
  std::vector<std::string> hits;  // of each query, as the one server gave them
};

absl::StatusOr<Prepared> Prepare(const Options& options, const WorkDirectory& work) {
  Prepared prepared;
  BEBR_ASSIGN_OR_RETURN(const std::string bytes,
                        RandomProjection(options.code, options.query_levels, static_cast<uint32_t>(options.dims)));
  const std::string model = work.path() + "/model.safetensors";
  std::ofstream(model, std::ios::binary) << bytes;
  BEBR_ASSIGN_OR_RETURN(auto one, ServerProcess::Start(work.path() + "/one"));
  prepared.one.servers.push_back(std::move(one));
  BEBR_ASSIGN_OR_RETURN(prepared.cluster, StartCluster(work.path(), options.nodes));
  const Matrix rows = RandomRows(std::min<size_t>(options.documents, 100000), options.dims, 1);
  for (const System* system : {&prepared.one, &prepared.cluster}) {
    BEBR_RETURN_IF_ERROR(Fill(options, *system, model, rows));
  }
  const Matrix queries = RandomRows(kQueries, options.dims, 2);
  for (size_t i = 0; i < queries.rows; ++i) {
    v1::SearchRequest& request = prepared.queries.emplace_back();
    request.set_collection(kCollection);
    request.mutable_query()->mutable_values()->Add(queries.row(i), queries.row(i) + options.dims);
    request.mutable_options()->set_k(options.k);
    request.mutable_options()->set_rerank(options.rerank);
    BEBR_ASSIGN_OR_RETURN(const v1::SearchResponse response, Search(prepared.one.door().channel(), request));
    prepared.hits.push_back(HitsOf(response));
  }
  return prepared;
}

absl::StatusOr<nlohmann::json> MeasureRow(const Options& options, const Prepared& prepared, size_t clients) {
  Measured one, cluster;
  for (size_t round = 0; round < options.rounds; ++round) {
    for (const bool first : {round % 2 == 0, round % 2 != 0}) {
      const System& system = first ? prepared.one : prepared.cluster;
      const LoadOptions load{
          .server = system.door().address(),
          .clients = clients,
          .seconds = options.seconds / static_cast<double>(options.rounds),
          .query = [&](size_t i) -> const v1::SearchRequest& { return prepared.queries[i % kQueries]; },
          .expected = [&](size_t i) -> const std::string& { return prepared.hits[i % kQueries]; }};
      BEBR_RETURN_IF_ERROR(TakeTurn(system, load, first ? one : cluster));
    }
  }
  if (one.different + cluster.different > 0) {
    return absl::InternalError(absl::StrCat(one.different, " answers of one server and ", cluster.different,
                                            " of the gateway differ from those of a single client"));
  }
  nlohmann::json row{{"clients", clients}, {"ratio", cluster.rate() / one.rate()}};
  row["one"] = one.ToJson();
  row["cluster"] = cluster.ToJson();
  row["cpu_ratio"] =
      (row["cluster"]["door_cpu_us_per_query"].get<double>() + row["cluster"]["nodes_cpu_us_per_query"].get<double>()) /
      row["one"]["door_cpu_us_per_query"].get<double>();
  return row;
}

void PrintRow(const nlohmann::json& row) {
  const auto of = [&](const char* system, const char* name) { return row[system][name].get<double>(); };
  std::printf("%7zu %10.0f %8.2f %8.2f %9.0f %12.0f %8.2f %8.2f %9.0f %9.0f %10.3f %10.3f\n",
              row["clients"].get<size_t>(), of("one", "queries_per_s"), of("one", "p50_ms"), of("one", "p99_ms"),
              of("one", "door_cpu_us_per_query"), of("cluster", "queries_per_s"), of("cluster", "p50_ms"),
              of("cluster", "p99_ms"), of("cluster", "door_cpu_us_per_query"), of("cluster", "nodes_cpu_us_per_query"),
              row["ratio"].get<double>(), row["cpu_ratio"].get<double>());
  std::fflush(stdout);
}

absl::Status Run(const Options& options) {
  const WorkDirectory work;
  BEBR_ASSIGN_OR_RETURN(const Prepared prepared, Prepare(options, work));
  std::printf("%zu documents of %s, %zu nodes and a gateway beside one server, %zu cores\n", options.documents,
              options.code.c_str(), options.nodes, AvailableProcessors());
  std::printf(
      "        ------------- one server ------------- ------------------- gateway and nodes ------------------ "
      "gateway / one server\n");
  std::printf("%7s %10s %8s %8s %9s %12s %8s %8s %9s %9s %10s %10s\n", "clients", "queries/s", "p50 ms", "p99 ms",
              "cpu us", "queries/s", "p50 ms", "p99 ms", "gw cpu us", "nodes'", "queries/s", "cpu time");
  nlohmann::json json{{"documents", options.documents},
                      {"code", options.code},
                      {"query_levels", options.query_levels},
                      {"k", options.k},
                      {"rerank", options.rerank},
                      {"nodes", options.nodes},
                      {"float_dims", options.dims},
                      {"machine", DescribeMachine()}};
  for (const size_t clients : options.clients) {
    BEBR_ASSIGN_OR_RETURN(auto row, MeasureRow(options, prepared, clients));
    PrintRow(row);
    json["rows"].push_back(std::move(row));
  }
  std::printf("every answer was compared: all are those of one server\n");
  return WriteJson(options.json, json);
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) {
  bebr::bench::Options options;
  CLI::App app("bench_cluster: what a gateway over nodes costs beside one server with the same documents");
  app.add_option("--json", options.json, "write the figures to this file");
  app.add_option("--documents", options.documents, "documents in the collection")
      ->check(CLI::Range(1000, 100000000))
      ->capture_default_str();
  app.add_option("--dims", options.dims, "floats of an embedding")->check(CLI::Range(8, 8192))->capture_default_str();
  app.add_option("--code", options.code, "shape of the code")->capture_default_str();
  app.add_option("--query-levels", options.query_levels, "levels of a query")
      ->check(CLI::Range(1, 4))
      ->capture_default_str();
  app.add_option("-k", options.k, "results of a query")->capture_default_str();
  app.add_option("--rerank", options.rerank, "candidates that are scored again by stored floats")
      ->capture_default_str();
  app.add_option("--nodes", options.nodes, "nodes behind the gateway")->check(CLI::Range(1, 64))->capture_default_str();
  app.add_option("--clients", options.clients, "numbers of clients")->capture_default_str();
  app.add_option("--seconds", options.seconds, "of each system and number of clients")->capture_default_str();
  app.add_option("--rounds", options.rounds, "turns that the seconds are shared out among")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = bebr::bench::Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_cluster: %s\n", status.ToString().c_str());
  return 1;
}
