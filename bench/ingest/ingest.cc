// bench_ingest: documents a second through the whole server, synced, with client and server on one machine, and where
// the time goes. Data: Fashion-MNIST (784 floats a document), repeated under new ids as often as needed. With
// --search-clients then what writes and searches take from each other: the same documents go into a second collection
// while clients search the first one.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bebr/v1/admin.grpc.pb.h"
#include "bench/ingest/beside.h"
#include "bench/support/ingestion.h"
#include "bench/support/machine.h"
#include "bench/support/server_process.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"
#include "index/dataset/vector_file.h"

namespace bebr::bench {
namespace {

struct Options {
  std::string json;
  std::string input = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz";
  std::string model;  // empty: the training-free start of `bits` bits
  size_t bits = 784;
  std::string store_floats = "f16";
  size_t search_clients = 0;
  double search_seconds = 5;
  IngestOptions ingest;
};

absl::StatusOr<v1::FloatStorage> ParseStorage(const std::string& text) {
  if (text == "none") return v1::FLOAT_STORAGE_NONE;
  if (text == "f16") return v1::FLOAT_STORAGE_F16;
  if (text == "f32") return v1::FLOAT_STORAGE_F32;
  return absl::InvalidArgumentError(absl::StrFormat("--store-floats is '%s'; it is none, f16 or f32", text));
}

absl::StatusOr<v1::GetStatsResponse> GetStats(const ServerProcess& server) {
  grpc::ClientContext context;
  v1::GetStatsResponse response;
  const grpc::Status status =
      v1::AdminService::NewStub(server.channel())->GetStats(&context, v1::GetStatsRequest(), &response);
  if (!status.ok())
    return absl::UnavailableError(absl::StrCat("reading the server's counters: ", status.error_message()));
  return response;
}

// Seconds spent on something during the measured time.
struct Stages {
  double wall = 0;
  double client_cpu = 0;
  double server_cpu = 0;
  double encode = 0;
  double commit = 0;
  double apply = 0;
};

// The document that was sent last must be there and be its own nearest neighbour, or share that place with its
// repetitions.
absl::Status CheckSearchable(const ServerProcess& server, const Options& options, const Matrix& data) {
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, GetCollection(server.channel(), options.ingest.collection));
  if (collection.documents() != options.ingest.documents) {
    return absl::InternalError(
        absl::StrFormat("the server holds %d documents, not %d", collection.documents(), options.ingest.documents));
  }
  const size_t last = options.ingest.documents - 1;
  v1::SearchRequest request;
  request.set_collection(options.ingest.collection);
  const float* row = data.row(last % data.rows);
  request.mutable_query()->mutable_values()->Add(row, row + data.dims);
  request.mutable_options()->set_k(static_cast<uint32_t>(1 + last / data.rows));
  BEBR_ASSIGN_OR_RETURN(const v1::SearchResponse response, Search(server.channel(), request));
  for (const v1::SearchHit& hit : response.hits()) {
    if (hit.id() == DocumentId(last)) return absl::OkStatus();
  }
  return absl::InternalError(absl::StrFormat("document %s is not found by its own embedding", DocumentId(last)));
}

absl::StatusOr<Stages> Measure(const ServerProcess& server, const Options& options, const Matrix& data) {
  BEBR_ASSIGN_OR_RETURN(const v1::GetStatsResponse before, GetStats(server));
  Stages stages;
  const double wall = NowSeconds(), client = OwnCpuSeconds(), process = ProcessCpuSeconds(server.pid());
  BEBR_RETURN_IF_ERROR(Ingest(server.channel(), options.ingest, [&](size_t i) { return data.row(i % data.rows); }));
  stages.wall = NowSeconds() - wall;
  stages.client_cpu = OwnCpuSeconds() - client;
  stages.server_cpu = ProcessCpuSeconds(server.pid()) - process;
  BEBR_ASSIGN_OR_RETURN(const v1::GetStatsResponse after, GetStats(server));
  stages.encode = 1e-6 * static_cast<double>(after.encode_us() - before.encode_us());
  stages.commit = 1e-6 * static_cast<double>(after.commit_us() - before.commit_us());
  stages.apply = 1e-6 * static_cast<double>(after.apply_us() - before.apply_us());
  return stages;
}

nlohmann::json Summary(const Options& options, const Matrix& data, const Stages& stages, const DiskLimits& disk,
                       const v1::Collection& collection) {
  const double capacity = stages.wall * static_cast<double>(AvailableProcessors());
  const double rate = static_cast<double>(options.ingest.documents) / stages.wall;
  const double stored = static_cast<double>(data.dims) * (options.store_floats == "f32"   ? 4
                                                          : options.store_floats == "f16" ? 2
                                                                                          : 0) +
                        options.bits / 8.0;
  return {{"documents_per_s", rate},
          {"documents", options.ingest.documents},
          {"float_dims", data.dims},
          {"bits", collection.versions(0).bits()},
          {"code", collection.versions(0).code()},
          {"store_floats", options.store_floats},
          {"shards", collection.shards()},
          {"streams", options.ingest.streams},
          {"batch", options.ingest.batch},
          {"wire", options.ingest.float16 ? "float16" : "float32"},
          {"wall_s", stages.wall},
          {"stage_seconds",
           {{"client_cpu", stages.client_cpu},
            {"server_cpu", stages.server_cpu},
            {"encode", stages.encode},
            {"rocksdb", stages.commit},
            {"scan_layout", stages.apply}}},
          {"stage_shares",
           {{"client", stages.client_cpu / capacity},
            {"server", stages.server_cpu / capacity},
            {"encode", stages.encode / capacity},
            {"rocksdb", stages.commit / capacity},
            {"scan_layout", stages.apply / capacity}}},
          {"stored_mb_per_s", rate * stored / 1e6},
          {"limits", {{"disk_write_mb_per_s", disk.write_mb_per_s}, {"disk_syncs_per_s", disk.syncs_per_s}}},
          {"share_of_disk_limit", rate * stored / 1e6 / disk.write_mb_per_s},
          {"disk_bytes", collection.disk_bytes()},
          {"machine", DescribeMachine()}};
}

void Print(const nlohmann::json& json) {
  std::printf(
      "%.0f documents/s: %zu documents of %zu floats (stored %s), %u bits (%s), synced before each acknowledgement\n",
      json["documents_per_s"].get<double>(), json["documents"].get<size_t>(), json["float_dims"].get<size_t>(),
      json["store_floats"].get<std::string>().c_str(), json["bits"].get<unsigned>(),
      json["code"].get<std::string>().c_str());
  std::printf("%-36s %10s %16s\n", "stage", "seconds", "of all cores");
  const std::pair<const char*, const char*> rows[] = {{"client", "client: processor time"},
                                                      {"server", "server: processor time"},
                                                      {"encode", "  encoding"},
                                                      {"rocksdb", "  RocksDB, with waiting for the sync"},
                                                      {"scan_layout", "  scan layout"}};
  for (const auto& [key, name] : rows) {
    const double share = json["stage_shares"][key];
    std::printf("%-36s %10.2f %15.0f%%\n", name,
                share * json["wall_s"].get<double>() * json["machine"]["cores"].get<double>(), 100 * share);
  }
  std::printf("disk: %.0f MB/s stored; this disk takes %.0f MB/s in one stream and %.0f syncs/s\n",
              json["stored_mb_per_s"].get<double>(), json["limits"]["disk_write_mb_per_s"].get<double>(),
              json["limits"]["disk_syncs_per_s"].get<double>());
}

// Searches alone, and beside the ingestion of as many documents as were measured.
absl::Status MeasureBeside(const ServerProcess& server, const Options& options, const v1::CollectionConfig& config,
                           const Matrix& data, const Stages& alone, nlohmann::json& json) {
  const SearchLoad load{server.address(), config.name(), options.search_clients};
  BEBR_ASSIGN_OR_RETURN(const double searches, SearchBeside(load, data, [&] {
                          absl::SleepFor(absl::Seconds(options.search_seconds));
                          return absl::OkStatus();
                        }));
  v1::CollectionConfig second = config;
  second.set_name("beside");
  BEBR_RETURN_IF_ERROR(CreateCollection(server.channel(), second, options.model));
  Options beside = options;
  beside.ingest.collection = second.name();
  Stages stages;
  BEBR_ASSIGN_OR_RETURN(const double searches_beside, SearchBeside(load, data, [&] {
                          auto measured = Measure(server, beside, data);
                          if (measured.ok()) stages = *measured;
                          return measured.status();
                        }));
  BEBR_RETURN_IF_ERROR(CheckSearchable(server, beside, data));
  const auto documents = static_cast<double>(options.ingest.documents);
  // All processors do nothing but encode.
  const double encoder = documents * static_cast<double>(AvailableProcessors()) / alone.encode;
  json["beside"] = {{"search_clients", options.search_clients},
                    {"searches_per_s", searches},
                    {"searches_per_s_beside_writes", searches_beside},
                    {"documents_per_s_beside_searches", documents / stages.wall},
                    {"encoder_documents_per_s", encoder}};
  std::printf(
      "%zu search clients: %.0f queries/s alone, %.0f beside writes (%.2f of it); %.0f documents/s alone, %.0f "
      "beside searches (%.2f of it); the encoder alone on all processors: %.0f\n",
      options.search_clients, searches, searches_beside, searches_beside / searches, documents / alone.wall,
      documents / stages.wall, alone.wall / stages.wall, encoder);
  return absl::OkStatus();
}

absl::Status Run(Options& options) {
  BEBR_ASSIGN_OR_RETURN(const v1::FloatStorage storage, ParseStorage(options.store_floats));
  BEBR_ASSIGN_OR_RETURN(const Matrix data, ReadVectors(options.input));
  const WorkDirectory work;
  if (options.model.empty()) {
    options.model = work.path() + "/model.safetensors";
    BEBR_RETURN_IF_ERROR(RunProgram({Sibling("bebr-train"), "--input", options.input, "--bits",
                                     absl::StrCat(options.bits), "--steps", "0", "--output", options.model}));
  }
  BEBR_ASSIGN_OR_RETURN(const DiskLimits disk, MeasureDisk(work.path()));
  BEBR_ASSIGN_OR_RETURN(const std::unique_ptr<ServerProcess> server, ServerProcess::Start(work.path() + "/data"));
  v1::CollectionConfig config;
  config.set_name("ingest");
  config.set_store_floats(storage);
  BEBR_RETURN_IF_ERROR(CreateCollection(server->channel(), config, options.model));
  options.ingest.collection = config.name();
  options.ingest.dims = data.dims;
  BEBR_ASSIGN_OR_RETURN(const Stages stages, Measure(*server, options, data));
  BEBR_RETURN_IF_ERROR(CheckSearchable(*server, options, data));
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, GetCollection(server->channel(), config.name()));
  nlohmann::json json = Summary(options, data, stages, disk, collection);
  Print(json);
  if (options.search_clients > 0) {
    BEBR_RETURN_IF_ERROR(MeasureBeside(*server, options, config, data, stages, json));
  }
  BEBR_RETURN_IF_ERROR(server->Stop());
  return WriteJson(options.json, json);
}

int Main(int argc, char** argv) {
  CLI::App app("Documents a second through the whole server.");
  Options options;
  options.ingest.documents = 200000;
  app.add_option("--json", options.json, "Write the figures as JSON to this file");
  app.add_option("--documents", options.ingest.documents)->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--input", options.input, "Embeddings; repeated under new ids as often as needed")
      ->capture_default_str();
  app.add_option("--model", options.model, "Model file (default: the training-free start of --bits bits)");
  app.add_option("--bits", options.bits)->capture_default_str();
  app.add_option("--store-floats", options.store_floats, "none, f16 or f32")->capture_default_str();
  app.add_option("--batch", options.ingest.batch, "Documents a message")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  app.add_option("--streams", options.ingest.streams)->capture_default_str()->check(CLI::Range(1, 256));
  app.add_option("--search-clients", options.search_clients,
                 "Then so many clients search, alone and while the documents go into another collection")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  app.add_option("--search-seconds", options.search_seconds, "Of the searches alone")->capture_default_str();
  app.add_flag("--float16", options.ingest.float16, "Embeddings travel as float16");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_ingest: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) { return bebr::bench::Main(argc, argv); }
