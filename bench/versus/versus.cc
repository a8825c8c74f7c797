// bench_versus: this engine against hnswlib on the floats, both in this process and on all processors, at growing
// numbers of documents: the file's own rows, and beyond them noisy mixtures of these.
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
#include "bench/versus/hnsw_peer.h"
#include "index/base/file.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"
#include "index/dataset/evaluation.h"

namespace bebr::bench {
namespace {

constexpr size_t kNearest = 10;
constexpr size_t kBatch = 64;
constexpr size_t kTrainRows = 50000;
constexpr size_t kProbeRerank = 50;  // of searches of the nearest groups

struct Options {
  std::string json;
  std::string docs = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz";
  std::string queries = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz";
  std::string model;
  size_t bits = 512;
  size_t groups = 1;
  size_t query_count = 500;
  std::vector<size_t> sizes = {0};  // 0: the rows of the file
  float noise = 0.5f;
  size_t m = 16;
  size_t ef_construction = 200;
  std::vector<size_t> efs = {10, 20, 40, 80, 160, 320, 640};
  std::vector<size_t> reranks = {0, 20, 50, 100, 200};
  std::vector<float> probes;
  size_t replace_rounds = 3;
};

// Both sides hold the same rows; `documents` has room for the largest size.
struct Contest {
  const Options& options;
  Matrix documents;
  Matrix queries;
  std::unique_ptr<EngineRun> ours;
  std::unique_ptr<HnswPeer> hnsw;  // may be null
  size_t threads = AvailableProcessors();
  size_t rows = 0;
  double our_write_s = 0, hnsw_write_s = 0;
  double hnsw_bytes = 0;  // growth of this process while rows were added

  const float* row(size_t i) const { return documents.row(i); }
};

void Normalize(float* row, size_t dims) {
  double square = 0;
  for (size_t d = 0; d < dims; ++d) square += double{row[d]} * row[d];
  const float scale = square > 0 ? static_cast<float>(1 / std::sqrt(square)) : 0;
  for (size_t d = 0; d < dims; ++d) row[d] *= scale;
}

// Rows [from, to) of the mixture with `seed`, of unit length.
void FillRows(const Matrix& real, const Options& options, uint64_t seed, size_t from, size_t to, size_t stride_seed,
              Matrix& documents) {
  Mixture(real, options.noise, seed).FillRows(from, to, stride_seed, documents, Normalize);
}

absl::StatusOr<std::string> MakeModel(const Options& options, const Matrix& real, const std::string& directory) {
  std::string model = options.model;
  if (model.empty()) {
    Matrix sample{std::min(real.rows, kTrainRows), real.dims, {}};
    sample.values.assign(real.values.begin(), real.values.begin() + static_cast<ptrdiff_t>(sample.rows * sample.dims));
    BEBR_RETURN_IF_ERROR(WriteNpy(directory + "/sample.npy", sample));
    model = directory + "/model.safetensors";
    BEBR_RETURN_IF_ERROR(
        RunProgram({Sibling("bebr-train"), "--input", directory + "/sample.npy", "--bits", absl::StrCat(options.bits),
                    "--groups", absl::StrCat(options.groups), "--steps", "0", "--output", model}));
  }
  return ReadFile(model);
}

absl::Status Grow(Contest& contest, size_t rows) {
  const auto row = [&](size_t i) { return contest.row(i); };
  double start = NowSeconds();
  BEBR_RETURN_IF_ERROR(contest.ours->Write(contest.rows, rows - contest.rows, contest.documents.dims, row));
  contest.our_write_s += NowSeconds() - start;
  if (contest.hnsw != nullptr) {
    const uint64_t before = ResidentBytes(getpid());
    start = NowSeconds();
    contest.hnsw->Add(contest.rows, rows - contest.rows, contest.threads, row);
    contest.hnsw_write_s += NowSeconds() - start;
    contest.hnsw_bytes += static_cast<double>(ResidentBytes(getpid())) - static_cast<double>(before);
  }
  contest.rows = rows;
  return absl::OkStatus();
}

// Of the queries, the exact nearest among the first contest.rows documents, or among those with i % 100 == percent.
std::vector<uint32_t> Exact(const Contest& contest, int percent = -1) {
  Matrix docs{0, contest.documents.dims, {}};
  std::vector<uint32_t> numbers;
  for (size_t i = 0; i < contest.rows; ++i) {
    if (percent >= 0 && i % 100 != static_cast<size_t>(percent)) continue;
    docs.values.insert(docs.values.end(), contest.row(i), contest.row(i) + docs.dims);
    numbers.push_back(static_cast<uint32_t>(i));
  }
  docs.rows = numbers.size();
  std::vector<uint32_t> exact = ExactNeighbors(docs, contest.queries, kNearest, Metric::kInnerProduct, contest.threads);
  for (uint32_t& row : exact) row = numbers[row];
  return exact;
}

nlohmann::json RowOf(const Contest& contest, const std::string& method, size_t width, double recall, double seconds,
                     double p50_ms) {
  return {{"method", method},
          {"documents", contest.rows},
          {"width", width},
          {"recall_at_10", recall},
          {"queries_per_s", static_cast<double>(contest.queries.rows) / seconds},
          {"one_query_p50_ms", p50_ms}};
}

absl::StatusOr<nlohmann::json> MeasureOurs(Contest& contest, size_t rerank, float probe,
                                           const std::vector<uint32_t>& exact) {
  const SearchRequest request{.k = kNearest, .rerank = rerank, .probe = probe};
  BEBR_ASSIGN_OR_RETURN(const auto batches, contest.ours->Search(contest.queries, kBatch, request));
  BEBR_ASSIGN_OR_RETURN(const auto single, contest.ours->Search(contest.queries, 1, request));
  nlohmann::json row = RowOf(contest, "bebr", rerank, MeanRecall(exact, kNearest, batches.found, kNearest),
                             batches.seconds, Percentile(single.latencies_ms, 0.5));
  if (probe > 0) {
    row["probe"] = probe;
    row["scanned_share"] = batches.scanned_share;
    if (probe < 1 && batches.scanned_share == 1)
      return absl::FailedPreconditionError(absl::StrCat(
          "a probe of ", probe, " scanned all documents: the model has too few groups; take --groups 64 or more rows"));
  }
  return row;
}

nlohmann::json MeasureHnsw(Contest& contest, size_t ef, const std::vector<uint32_t>& exact) {
  const auto all = contest.hnsw->Search(contest.queries, kNearest, ef, contest.threads);
  const auto single = contest.hnsw->Search(contest.queries, kNearest, ef, 1);
  return RowOf(contest, "hnswlib", ef, MeanRecall(exact, kNearest, all.found, kNearest), all.seconds,
               Percentile(single.latencies_ms, 0.5));
}

// HNSW's queries/s at a recall, between its two nearest measurements; 0 if it did not reach it.
double HnswRateAt(const nlohmann::json& rows, size_t documents, double recall) {
  double below_recall = 0, below_rate = 0, rate = 0;
  for (const auto& row : rows) {
    if (row["method"] != "hnswlib" || row["documents"] != documents) continue;
    const double r = row["recall_at_10"], q = row["queries_per_s"];
    if (r >= recall) {
      if (below_rate == 0) return std::max(rate, q);
      const double share = r > below_recall ? (recall - below_recall) / (r - below_recall) : 1;
      return std::exp(std::log(below_rate) * (1 - share) + std::log(q) * share);
    }
    below_recall = r;
    below_rate = q;
  }
  return rate;
}

// One query in a hundred documents' filter: ours applies it to the scan, hnswlib 0.6 has none, so that its results are
// filtered afterwards, from ten nearest on average.
absl::StatusOr<nlohmann::json> MeasureFilter(Contest& contest) {
  constexpr int kPercent = 7;
  constexpr size_t kDeep = 1000;
  const std::vector<uint32_t> exact = Exact(contest, kPercent);
  const SearchRequest request{.k = kNearest, .rerank = 50, .filter = absl::StrCat("percent = ", kPercent)};
  BEBR_ASSIGN_OR_RETURN(const auto ours, contest.ours->Search(contest.queries, kBatch, request));
  const auto queries = static_cast<double>(contest.queries.rows);
  nlohmann::json json = {{"documents", contest.rows},
                         {"bebr_recall_at_10", MeanRecall(exact, kNearest, ours.found, kNearest)},
                         {"bebr_queries_per_s", queries / ours.seconds}};
  if (contest.hnsw == nullptr) return json;
  auto deep = contest.hnsw->Search(contest.queries, kDeep, kDeep, contest.threads);
  for (auto& found : deep.found) std::erase_if(found, [](uint32_t row) { return row % 100 != kPercent; });
  json["hnswlib_recall_at_10"] = MeanRecall(exact, kNearest, deep.found, kNearest);
  json["hnswlib_queries_per_s"] = queries / deep.seconds;
  return json;
}

// Replaces a tenth of the documents by other ones, several times over.
absl::StatusOr<nlohmann::json> MeasureReplacing(Contest& contest, const Matrix& real) {
  nlohmann::json rounds = nlohmann::json::array();
  for (size_t round = 0; round < contest.options.replace_rounds; ++round) {
    const size_t tenth = contest.rows / 10, first = round * tenth;
    FillRows(real, contest.options, 100 + round, first, first + tenth, real.rows, contest.documents);
    const auto row = [&](size_t i) { return contest.row(i); };
    double start = NowSeconds();
    BEBR_RETURN_IF_ERROR(contest.ours->Write(first, tenth, real.dims, row));
    const double our_s = NowSeconds() - start;
    const std::vector<uint32_t> exact = Exact(contest);
    BEBR_ASSIGN_OR_RETURN(const auto ours,
                          contest.ours->Search(contest.queries, kBatch, {.k = kNearest, .rerank = 50}));
    nlohmann::json json = {{"documents", contest.rows},
                           {"replaced", (round + 1) * tenth},
                           {"bebr_recall_at_10", MeanRecall(exact, kNearest, ours.found, kNearest)},
                           {"bebr_documents_per_s", static_cast<double>(tenth) / our_s}};
    if (contest.hnsw != nullptr) {
      start = NowSeconds();
      contest.hnsw->Add(first, tenth, contest.threads, row);
      json["hnswlib_documents_per_s"] = static_cast<double>(tenth) / (NowSeconds() - start);
      json["hnswlib_recall_at_10"] = MeanRecall(
          exact, kNearest, contest.hnsw->Search(contest.queries, kNearest, 160, contest.threads).found, kNearest);
      json["hnswlib_ef"] = 160;
    }
    rounds.push_back(std::move(json));
  }
  return rounds;
}

void PrintRow(const nlohmann::json& row) {
  std::printf("%-9s %9zu %6zu %10.4f %11.0f %10.3f %7.3f", row["method"].get<std::string>().c_str(),
              row["documents"].get<size_t>(), row["width"].get<size_t>(), row["recall_at_10"].get<double>(),
              row["queries_per_s"].get<double>(), row["one_query_p50_ms"].get<double>(),
              row.value("scanned_share", 1.0));
  if (row.contains("ratio")) {
    if (row["ratio"].is_null()) {
      std::printf("  hnswlib did not reach this recall");
    } else {
      std::printf("  %.2f times hnswlib at this recall", row["ratio"].get<double>());
    }
  }
  std::printf("\n");
  std::fflush(stdout);
}

// Beside hnswlib's rate at its recall.
absl::Status AddOurs(Contest& contest, size_t rerank, float probe, const std::vector<uint32_t>& exact,
                     nlohmann::json& rows) {
  BEBR_ASSIGN_OR_RETURN(nlohmann::json row, MeasureOurs(contest, rerank, probe, exact));
  if (contest.hnsw != nullptr) {
    const double rate = HnswRateAt(rows, contest.rows, row["recall_at_10"]);
    row["ratio"] = rate > 0 ? nlohmann::json(row["queries_per_s"].get<double>() / rate) : nlohmann::json();
  }
  rows.push_back(std::move(row));
  PrintRow(rows.back());
  return absl::OkStatus();
}

absl::Status MeasureSize(Contest& contest, size_t rows, nlohmann::json& json) {
  BEBR_RETURN_IF_ERROR(Grow(contest, rows));
  const std::vector<uint32_t> exact = Exact(contest);
  nlohmann::json& list = json["rows"];
  if (contest.hnsw != nullptr) {
    for (const size_t ef : contest.options.efs) {
      list.push_back(MeasureHnsw(contest, ef, exact));
      PrintRow(list.back());
    }
  }
  for (const size_t rerank : contest.options.reranks) BEBR_RETURN_IF_ERROR(AddOurs(contest, rerank, 0, exact, list));
  for (const float probe : contest.options.probes)
    BEBR_RETURN_IF_ERROR(AddOurs(contest, kProbeRerank, probe, exact, list));
  BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, contest.ours->Info());
  const auto documents = static_cast<double>(rows);
  nlohmann::json size = {{"documents", rows},
                         {"bebr_memory_bytes_per_document", static_cast<double>(info.memory.total) / documents},
                         {"bebr_disk_bytes_per_document", static_cast<double>(info.disk_bytes) / documents},
                         {"bebr_seconds_to_searchable", contest.our_write_s}};
  if (contest.hnsw != nullptr) {
    size["hnswlib_memory_bytes_per_document"] = contest.hnsw_bytes / documents;
    size["hnswlib_seconds_to_searchable"] = contest.hnsw_write_s;
  }
  BEBR_ASSIGN_OR_RETURN(size["filter"], MeasureFilter(contest));
  std::printf("%s\n", size.dump().c_str());
  json["sizes"].push_back(std::move(size));
  return absl::OkStatus();
}

absl::Status Run(Options options) {
  const WorkDirectory work;
  BEBR_ASSIGN_OR_RETURN(Matrix real, ReadVectors(options.docs));
  Contest contest{.options = options};
  BEBR_ASSIGN_OR_RETURN(contest.queries, ReadVectors(options.queries, options.query_count));
  if (contest.queries.dims != real.dims) return absl::InvalidArgumentError("documents and queries differ in dims");
  for (size_t& size : options.sizes) size = size == 0 ? real.rows : size;
  std::sort(options.sizes.begin(), options.sizes.end());
  for (size_t i = 0; i < contest.queries.rows; ++i) Normalize(contest.queries.row(i), real.dims);
  for (size_t i = 0; i < real.rows; ++i) Normalize(real.row(i), real.dims);
  contest.documents = {options.sizes.back(), real.dims, std::vector<float>(options.sizes.back() * real.dims)};
  FillRows(real, options, 1, 0, contest.documents.rows, 0, contest.documents);
  double start = NowSeconds();
  BEBR_ASSIGN_OR_RETURN(const std::string model, MakeModel(options, real, work.path()));
  const double train_s = NowSeconds() - start;
  BEBR_ASSIGN_OR_RETURN(contest.ours, EngineRun::Open(work.path() + "/data"));
  BEBR_RETURN_IF_ERROR(contest.ours->Create(model, FloatStorage::kFloat16));
  contest.hnsw = MakeHnswPeer({real.dims, options.sizes.back(), options.m, options.ef_construction});
  if (contest.hnsw == nullptr) std::printf("no peer: built without hnswlib (libhnswlib-dev)\n");
  BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, contest.ours->Info());
  std::printf(
      "%zu dims, codes %s (%u bits), floats kept as f16; hnswlib M %zu, ef_construction %zu; %zu threads each\n",
      real.dims, info.versions[0].code.c_str(), info.versions[0].bits, options.m, options.ef_construction,
      contest.threads);
  std::printf("%-9s %9s %6s %10s %11s %10s %7s\n", "", "documents", "width", "recall@10", "queries/s", "one, ms",
              "scanned");
  nlohmann::json json = {{"machine", DescribeMachine()},
                         {"real_rows", real.rows},
                         {"noise", options.noise},
                         {"float_dims", real.dims},
                         {"code", info.versions[0].code},
                         {"bits", info.versions[0].bits},
                         {"train_s", train_s},
                         {"m", options.m},
                         {"ef_construction", options.ef_construction},
                         {"threads", contest.threads},
                         {"queries", contest.queries.rows},
                         {"rows", nlohmann::json::array()},
                         {"sizes", nlohmann::json::array()},
                         {"replacing", nlohmann::json::array()}};
  for (const size_t rows : options.sizes) {
    BEBR_RETURN_IF_ERROR(MeasureSize(contest, rows, json));
    BEBR_RETURN_IF_ERROR(WriteJson(options.json, json));  // the next size may take long
  }
  BEBR_ASSIGN_OR_RETURN(json["replacing"], MeasureReplacing(contest, real));
  std::printf("%s\n", json["replacing"].dump().c_str());
  return WriteJson(options.json, json);
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) {
  bebr::bench::Options options;
  CLI::App app("bench_versus: this engine against hnswlib on the floats");
  app.add_option("--json", options.json, "write the figures to this file");
  app.add_option("--docs", options.docs, "file of document vectors")->capture_default_str();
  app.add_option("--queries", options.queries, "file of query vectors")->capture_default_str();
  app.add_option("--model", options.model, "a model file; without it one is fitted to the documents");
  app.add_option("--bits", options.bits, "bits of a code")->capture_default_str();
  app.add_option("--groups", options.groups, "of the fitted model, as many of these as pay (64 with --probes)")
      ->check(CLI::Range(1, 64));
  app.add_option("--query-count", options.query_count, "only the first queries")->capture_default_str();
  app.add_option("--sizes", options.sizes, "numbers of documents; 0: the rows of the file")->delimiter(',');
  app.add_option("--noise", options.noise, "of the rows beyond the file's, as a share of each coordinate's deviation")
      ->capture_default_str();
  app.add_option("--m", options.m, "hnswlib's M")->capture_default_str();
  app.add_option("--ef-construction", options.ef_construction, "hnswlib's ef_construction")->capture_default_str();
  app.add_option("--efs", options.efs, "hnswlib's search widths, ascending")->delimiter(',');
  app.add_option("--reranks", options.reranks, "candidates that are scored again")->delimiter(',');
  app.add_option("--probes", options.probes,
                 "also searches of the nearest groups that have these shares of the documents, with a rerank of 50")
      ->delimiter(',');
  app.add_option("--replace-rounds", options.replace_rounds, "how often a tenth of the documents is replaced")
      ->check(CLI::Range(0, 10))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (!options.probes.empty() && app.count("--groups") == 0) options.groups = 64;
  const absl::Status status = bebr::bench::Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_versus: %s\n", status.ToString().c_str());
  return 1;
}
