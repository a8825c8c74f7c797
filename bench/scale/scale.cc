// bench_scale: that the cost of a scan grows linearly with the documents, and that their memory is what the formula
// says. Straight through the engine, with short floats, random codes and no stored floats: a scan knows no difference,
// and filling is ten times faster than through a server.
#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/support/engine_run.h"
#include "bench/support/machine.h"
#include "bench/support/server_process.h"
#include "index/base/status_macros.h"

namespace bebr::bench {
namespace {

constexpr size_t kBatch = 64;
constexpr size_t kSingles = 50;
constexpr size_t kBatches = 8;

struct Options {
  std::string json;
  std::string shape = "256x2";
  uint32_t query_levels = 4;
  uint32_t dims = 16;
  std::vector<size_t> sizes = {100000, 1000000, 10000000};
};

// Mean length of the decimal numbers 0 .. count - 1, which are the ids.
double MeanIdBytes(size_t count) {
  double bytes = 0;
  for (size_t begin = 0, length = 1; begin < count; ++length) {
    const size_t end = std::min(count, static_cast<size_t>(std::pow(10, length) + 0.5));
    bytes += static_cast<double>((end - begin) * length);
    begin = end;
  }
  return bytes / static_cast<double>(count);
}

struct Measured {
  double open_s = 0, resident_bytes = 0, rocksdb_bytes = 0, estimate_bytes = 0;
  double one_query_ms = 0, batch_ms = 0, code_bytes = 0;

  // Of what the formula is about: all but RocksDB's cache and buffers, which have limits of their own.
  double resident_to_formula() const { return (resident_bytes - rocksdb_bytes) / estimate_bytes; }
};

// Opens what was written and measures it; what filling left in the process's memory is given back before.
absl::StatusOr<Measured> Measure(const std::string& data_dir, size_t documents, uint32_t dims) {
  malloc_trim(0);
  Measured measured;
  const auto before = static_cast<double>(ResidentBytes(getpid()));
  const double start = NowSeconds();
  BEBR_ASSIGN_OR_RETURN(const auto run, EngineRun::Open(data_dir));
  measured.open_s = NowSeconds() - start;
  const Matrix singles = RandomRows(kSingles, dims, 3), batches = RandomRows(kBatches * kBatch, dims, 4);
  BEBR_ASSIGN_OR_RETURN(const auto one, run->Search(singles, 1, {.k = 10}));
  BEBR_ASSIGN_OR_RETURN(const auto many, run->Search(batches, kBatch, {.k = 10}));
  malloc_trim(0);
  const StorageStats storage = run->engine().Stats().storage;
  measured.rocksdb_bytes = static_cast<double>(storage.cache_bytes + storage.write_buffer_bytes);
  measured.resident_bytes = static_cast<double>(ResidentBytes(getpid())) - before;
  measured.one_query_ms = Percentile(one.latencies_ms, 0.5);
  measured.batch_ms = Percentile(many.latencies_ms, 0.5);
  measured.code_bytes = static_cast<double>(one.bytes_scanned) / kSingles;
  BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, run->Info());
  if (info.documents != documents) return absl::InternalError(absl::StrCat("there are ", info.documents, " documents"));
  BEBR_ASSIGN_OR_RETURN(const MemoryUse estimate,
                        run->engine().EstimateMemory(EngineRun::kCollection, documents, MeanIdBytes(documents)));
  measured.estimate_bytes = static_cast<double>(estimate.total);
  return measured;
}

absl::Status Run(const Options& options) {
  const WorkDirectory work;
  const std::string data_dir = work.path() + "/data";
  BEBR_ASSIGN_OR_RETURN(const std::string model, RandomProjection(options.shape, options.query_levels, options.dims));
  const Matrix rows = RandomRows(100003, options.dims, 2);
  std::printf("codes of %s, floats of %u values, none stored\n", options.shape.c_str(), options.dims);
  std::printf("%10s %9s %8s %12s %12s %9s %10s %12s %8s\n", "documents", "docs/s in", "open, s", "RSS, bytes",
              "formula", "RSS/form.", "one, ms", "64, ms", "GB/s");
  nlohmann::json list = nlohmann::json::array();
  size_t held = 0;
  for (const size_t size : options.sizes) {
    double write_s = 0;
    {
      BEBR_ASSIGN_OR_RETURN(const auto run, EngineRun::Open(data_dir));
      if (held == 0) BEBR_RETURN_IF_ERROR(run->Create(model, FloatStorage::kNone));
      const double start = NowSeconds();
      BEBR_RETURN_IF_ERROR(
          run->Write(held, size - held, options.dims, [&](size_t i) { return rows.row(i % rows.rows); }));
      write_s = NowSeconds() - start;
    }
    BEBR_ASSIGN_OR_RETURN(const Measured m, Measure(data_dir, size, options.dims));
    const auto documents = static_cast<double>(size);
    list.push_back({{"documents", size},
                    {"documents_per_s", static_cast<double>(size - held) / write_s},
                    {"open_s", m.open_s},
                    {"resident_bytes", m.resident_bytes},
                    {"formula_bytes", m.estimate_bytes},
                    {"rocksdb_bytes", m.rocksdb_bytes},
                    {"resident_to_formula", m.resident_to_formula()},
                    {"one_query_ms", m.one_query_ms},
                    {"one_query_ns_per_document", m.one_query_ms * 1e6 / documents},
                    {"one_query_gb_per_s", m.code_bytes / m.one_query_ms / 1e6},
                    {"batch_ms", m.batch_ms},
                    {"batch_queries_per_s", kBatch * 1e3 / m.batch_ms},
                    {"batch_ns_per_document_and_query", m.batch_ms * 1e6 / documents / kBatch}});
    std::printf("%10zu %9.0f %8.2f %12.0f %12.0f %9.3f %10.3f %12.2f %8.1f\n", size,
                list.back()["documents_per_s"].get<double>(), m.open_s, m.resident_bytes, m.estimate_bytes,
                m.resident_to_formula(), m.one_query_ms, m.batch_ms, m.code_bytes / m.one_query_ms / 1e6);
    std::fflush(stdout);
    held = size;
  }
  return WriteJson(options.json, {{"machine", DescribeMachine()},
                                  {"code", options.shape},
                                  {"query_levels", options.query_levels},
                                  {"float_dims", options.dims},
                                  {"rows", list}});
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) {
  bebr::bench::Options options;
  CLI::App app("bench_scale: scan cost and memory against the number of documents");
  app.add_option("--json", options.json, "write the figures to this file");
  app.add_option("--shape", options.shape, "of the codes")->capture_default_str();
  app.add_option("--query-levels", options.query_levels, "levels of a query")->capture_default_str();
  app.add_option("--dims", options.dims, "floats of an embedding")->capture_default_str();
  app.add_option("--sizes", options.sizes, "numbers of documents, ascending")->delimiter(',');
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = bebr::bench::Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_scale: %s\n", status.ToString().c_str());
  return 1;
}
