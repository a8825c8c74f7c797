// bench_progressive: level-progressive search against a scan of all levels, on real codes: bytes read, queries/s and
// how much of the answer the first levels find.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/support/engine_run.h"
#include "bench/support/machine.h"
#include "bench/support/server_process.h"
#include "index/base/file.h"
#include "index/base/status_macros.h"
#include "index/code/code_spec.h"
#include "index/dataset/vector_file.h"

namespace bebr::bench {
namespace {

constexpr size_t kNearest = 10;

struct Options {
  std::string json;
  std::string docs = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz";
  std::string queries = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz";
  std::vector<std::string> shapes = {"256x2", "128x4"};
  size_t documents = 1000000;
  size_t query_count = 256;
  float noise = 0.5f;
  std::vector<size_t> candidates = {0, 100, 300, 1000, 3000};
};

absl::StatusOr<std::string> Train(const std::string& shape, const std::string& directory) {
  const std::string model = absl::StrCat(directory, "/", shape, ".safetensors");
  BEBR_RETURN_IF_ERROR(RunProgram({Sibling("bebr-train"), "--input", directory + "/sample.npy", "--shape", shape,
                                   "--steps", "0", "--output", model}));
  return ReadFile(model);
}

// Everything of one code shape.
absl::Status MeasureShape(const Options& options, const std::string& shape, const Matrix& real, const Matrix& queries,
                          const std::string& directory, nlohmann::json& rows) {
  BEBR_ASSIGN_OR_RETURN(const std::string model, Train(shape, directory));
  BEBR_ASSIGN_OR_RETURN(const auto run, EngineRun::Open(absl::StrCat(directory, "/data-", shape)));
  BEBR_RETURN_IF_ERROR(run->Create(model, FloatStorage::kNone));
  const Mixture mixture(real, options.noise, 1);
  constexpr size_t kPart = 50000;
  std::vector<float> part(kPart * real.dims);
  for (size_t first = 0; first < options.documents; first += kPart) {
    const size_t count = std::min(kPart, options.documents - first);
    for (size_t i = 0; i < count; ++i) mixture.Fill(first + i, part.data() + i * real.dims);
    BEBR_RETURN_IF_ERROR(
        run->Write(first, count, real.dims, [&](size_t i) { return part.data() + (i - first) * real.dims; }));
  }
  BEBR_ASSIGN_OR_RETURN(const auto full, run->Search(queries, queries.rows, {.k = kNearest}));
  std::vector<uint32_t> expected;
  for (const auto& found : full.found) expected.insert(expected.end(), found.begin(), found.end());
  BEBR_ASSIGN_OR_RETURN(const CodeSpec spec, ParseCodeSpec(shape));
  for (uint32_t first_levels = 0; first_levels < spec.max_levels(); ++first_levels) {
    for (const size_t candidates : first_levels == 0 ? std::vector<size_t>{0} : options.candidates) {
      const SearchRequest request{.k = kNearest, .first_levels = first_levels, .candidates = candidates};
      BEBR_ASSIGN_OR_RETURN(const auto batches, run->Search(queries, 64, request));
      BEBR_ASSIGN_OR_RETURN(const auto single, run->Search(queries, 1, request));
      const auto count = static_cast<double>(queries.rows);
      rows.push_back({{"code", shape},
                      {"documents", options.documents},
                      {"first_levels", first_levels},
                      {"candidates", candidates},
                      {"queries_per_s", count / batches.seconds},
                      {"one_query_p50_ms", Percentile(single.latencies_ms, 0.5)},
                      {"bytes_per_document_one_query",
                       static_cast<double>(single.bytes_scanned) / count / static_cast<double>(options.documents)},
                      {"same_top_10", MeanRecall(expected, kNearest, batches.found, kNearest)}});
      const auto& row = rows.back();
      std::printf("%-20s %6u %10zu %10.0f %10.2f %10.1f %12.4f\n", shape.c_str(), first_levels, candidates,
                  row["queries_per_s"].get<double>(), row["one_query_p50_ms"].get<double>(),
                  row["bytes_per_document_one_query"].get<double>(), row["same_top_10"].get<double>());
      std::fflush(stdout);
    }
  }
  return absl::OkStatus();
}

absl::Status Run(const Options& options) {
  const WorkDirectory work;
  BEBR_ASSIGN_OR_RETURN(const Matrix real, ReadVectors(options.docs));
  BEBR_ASSIGN_OR_RETURN(const Matrix queries, ReadVectors(options.queries, options.query_count));
  if (queries.dims != real.dims) return absl::InvalidArgumentError("documents and queries differ in dims");
  BEBR_RETURN_IF_ERROR(WriteNpy(work.path() + "/sample.npy", real));
  std::printf("%zu documents, the first %zu from the file, the others noisy mixtures of these; k = %zu\n",
              options.documents, std::min(options.documents, real.rows), kNearest);
  std::printf("%-20s %6s %10s %10s %10s %10s %12s\n", "code", "first", "candidates", "queries/s", "one, ms",
              "bytes/doc", "same top 10");
  nlohmann::json json = {{"machine", DescribeMachine()}, {"rows", nlohmann::json::array()}};
  for (const std::string& shape : options.shapes) {
    BEBR_RETURN_IF_ERROR(MeasureShape(options, shape, real, queries, work.path(), json["rows"]));
  }
  return WriteJson(options.json, json);
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) {
  bebr::bench::Options options;
  CLI::App app("bench_progressive: scans by the first levels against scans by all");
  app.add_option("--json", options.json, "write the figures to this file");
  app.add_option("--docs", options.docs, "file of document vectors")->capture_default_str();
  app.add_option("--queries", options.queries, "file of query vectors")->capture_default_str();
  app.add_option("--shapes", options.shapes, "code shapes")->delimiter(',');
  app.add_option("--documents", options.documents, "beyond the file's rows: noisy mixtures of these")
      ->capture_default_str();
  app.add_option("--query-count", options.query_count, "only the first queries")->capture_default_str();
  app.add_option("--noise", options.noise, "of the mixtures")->capture_default_str();
  app.add_option("--candidates", options.candidates, "documents scored by all levels; 0: by bounds, exactly")
      ->delimiter(',');
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = bebr::bench::Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_progressive: %s\n", status.ToString().c_str());
  return 1;
}
