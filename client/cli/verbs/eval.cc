#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "client/cli/import_source.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"
#include "index/dataset/evaluation.h"
#include "index/dataset/vector_file.h"
#include "index/types/search.h"

namespace bebr {
namespace {

constexpr size_t kBatchQueries = 64;
constexpr size_t kExact = 10;              // of the float neighbours that recall counts
constexpr size_t kDeepest = 100;           // recall_at_100
constexpr uint32_t kUnknown = UINT32_MAX;  // row number of a document that is not in the file

struct Options {
  std::string name;
  std::string queries_file;
  std::string docs_file;
  std::string ids_file;
  std::string qrels_file;
  std::string query_ids_file;
  uint32_t k = 10;
  std::optional<uint32_t> rerank;  // else the collection's
  uint32_t first_levels = 0;
  uint32_t candidates = 0;
  ProbeOptions probe;
  std::string version;
  size_t limit = 0;
};

// Prints each once.
class Warnings {
 public:
  void Print(const google::protobuf::RepeatedPtrField<std::string>& warnings) {
    google::protobuf::RepeatedPtrField<std::string> fresh;
    for (const std::string& warning : warnings) {
      if (told_.insert(warning).second) *fresh.Add() = warning;
    }
    PrintWarnings(fresh);
  }

 private:
  absl::flat_hash_set<std::string> told_;
};

// What is read and computed before the server is measured.
struct Inputs {
  Matrix docs;
  Matrix queries;
  std::vector<std::string> ids;
  absl::flat_hash_map<std::string, uint32_t> rows;  // by id
  std::vector<uint32_t> exact;                      // queries.rows * exact_k row numbers
  size_t exact_k = 0;
  Qrels qrels;
  std::vector<std::string> query_ids;  // empty without qrels
  v1::Version version;
  uint32_t default_rerank = 0;
};

// The ids found for each query.
using Found = std::vector<std::vector<std::string>>;

v1::SearchOptions SearchOptionsOf(const Options& options, size_t k, uint32_t rerank) {
  v1::SearchOptions search;
  search.set_k(static_cast<uint32_t>(k));
  search.set_version(options.version);
  search.set_rerank(rerank);
  search.set_first_levels(options.first_levels);
  search.set_candidates(options.candidates);
  options.probe.Set(search);
  return search;
}

// Recall counts for nothing where the files are not what the collection holds.
absl::Status CheckIds(Client& client, const Options& options, const Inputs& in, uint64_t documents) {
  constexpr size_t kSample = 1000;
  v1::GetRequest request;
  request.set_collection(options.name);
  const size_t step = std::max<size_t>(1, in.ids.size() / kSample);
  for (size_t i = 0; i < in.ids.size(); i += step) request.add_ids(in.ids[i]);
  BEBR_ASSIGN_OR_RETURN(const auto found, client.Get(request));
  const int missing = request.ids_size() - found.documents_size();
  if (missing > 0) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%d of %d ids taken from %s are not in collection \"%s\", so recall would be that of other documents; --docs "
        "and --ids are the files that were imported (without --ids a document's id is that of its row in a .jsonl "
        "file, "
        "else the row's number)",
        missing, request.ids_size(), options.ids_file.empty() ? "the rows of --docs" : options.ids_file, options.name));
  }
  if (documents != in.ids.size()) {
    std::fprintf(stderr,
                 "bebr: warning: collection \"%s\" has %s documents, \"%s\" %s: what is found of the others counts as "
                 "wrong\n",
                 options.name.c_str(), WithCommas(documents).c_str(), options.docs_file.c_str(),
                 WithCommas(in.ids.size()).c_str());
  }
  return absl::OkStatus();
}

// Vectors and ids as an import of the files has them.
absl::Status ReadDocuments(const Options& options, Inputs& in) {
  constexpr size_t kRowsAtATime = 4096;
  BEBR_ASSIGN_OR_RETURN(const auto source, ImportSource::Open({.vectors = options.docs_file,
                                                               .ids = options.ids_file,
                                                               .attributes = "",
                                                               .documents = "",
                                                               .no_attributes = true}));
  in.docs = {.rows = source->end(), .dims = source->dims(), .values = {}};
  in.docs.values.reserve(in.docs.rows * in.docs.dims);
  ImportSource::Rows rows;
  while (in.ids.size() < in.docs.rows) {
    BEBR_RETURN_IF_ERROR(source->Read(kRowsAtATime, &rows));
    in.docs.values.insert(in.docs.values.end(), rows.values.begin(), rows.values.end());
    in.ids.insert(in.ids.end(), rows.ids.begin(), rows.ids.end());
  }
  return absl::OkStatus();
}

absl::StatusOr<Inputs> Prepare(Client& client, const Options& options) {
  Inputs in;
  BEBR_ASSIGN_OR_RETURN(in.queries, ReadVectors(options.queries_file, options.limit));
  BEBR_RETURN_IF_ERROR(ReadDocuments(options, in));
  if (in.queries.rows == 0 || in.docs.rows == 0)
    return absl::InvalidArgumentError("there are no queries or no documents in the files");
  if (in.queries.dims != in.docs.dims) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the queries have %d dimensions, the documents %d", in.queries.dims, in.docs.dims));
  }
  for (size_t i = 0; i < in.ids.size(); ++i) in.rows.emplace(in.ids[i], static_cast<uint32_t>(i));
  if (!options.qrels_file.empty()) {
    BEBR_ASSIGN_OR_RETURN(in.qrels, ReadQrels(InBeirFolder(options.qrels_file, kBeirQrels)));
    BEBR_ASSIGN_OR_RETURN(in.query_ids, ReadIds(InBeirFolder(options.query_ids_file, kBeirQueries)));
    if (in.query_ids.size() < in.queries.rows) {
      return absl::InvalidArgumentError(absl::StrFormat("\"%s\" has %d ids for %d queries", options.query_ids_file,
                                                        in.query_ids.size(), in.queries.rows));
    }
  }
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, client.GetCollection(options.name));
  BEBR_ASSIGN_OR_RETURN(in.version, FindVersion(collection, options.version));
  if (options.rerank.value_or(0) != 0 && collection.store_floats() == v1::FLOAT_STORAGE_NONE) {
    return absl::FailedPreconditionError(
        absl::StrFormat("collection \"%s\" stores no floats, so there is no --rerank", options.name));
  }
  BEBR_RETURN_IF_ERROR(CheckIds(client, options, in, collection.documents()));
  in.default_rerank = collection.default_rerank();
  in.exact_k = std::min(kExact, in.docs.rows);
  BEBR_ASSIGN_OR_RETURN(const Metric metric, MetricOf(in.version));
  in.exact = ExactNeighbors(in.docs, in.queries, in.exact_k, metric, AvailableProcessors());
  return in;
}

// `scanned_share` is that of the mean query.
absl::StatusOr<Found> SearchAll(Client& client, const Options& options, const Matrix& queries, size_t k,
                                uint32_t rerank, Warnings& warnings, double* scanned_share = nullptr) {
  Found found;
  for (size_t begin = 0; begin < queries.rows; begin += kBatchQueries) {
    v1::BatchSearchRequest request;
    request.set_collection(options.name);
    *request.mutable_options() = SearchOptionsOf(options, k, rerank);
    for (size_t i = begin; i < std::min(begin + kBatchQueries, queries.rows); ++i) {
      SetVector(queries.row(i), queries.dims, request.add_queries());
    }
    BEBR_ASSIGN_OR_RETURN(const auto response, client.BatchSearch(request));
    warnings.Print(response.warnings());
    if (scanned_share != nullptr)
      *scanned_share += response.scanned_share() * request.queries_size() / static_cast<double>(queries.rows);
    for (const auto& result : response.results()) {
      auto& ids = found.emplace_back();
      for (const v1::SearchHit& hit : result.hits()) ids.push_back(hit.id());
    }
  }
  return found;
}

// One query at a time, as a lone client would: milliseconds each, sorted.
absl::StatusOr<std::vector<double>> MeasureLatency(Client& client, const Options& options, const Matrix& queries,
                                                   uint32_t rerank) {
  std::vector<double> times;
  for (size_t i = 0; i < queries.rows; ++i) {
    v1::SearchRequest request;
    request.set_collection(options.name);
    *request.mutable_options() = SearchOptionsOf(options, options.k, rerank);
    SetVector(queries.row(i), queries.dims, request.mutable_query());
    const auto start = std::chrono::steady_clock::now();
    BEBR_RETURN_IF_ERROR(client.Search(request).status());
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  return times;
}

double Percentile(const std::vector<double>& sorted, double share) {
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(share * static_cast<double>(sorted.size())))];
}

double MeanRecall(const Inputs& in, const Found& found, size_t depth) {
  double sum = 0;
  for (size_t q = 0; q < found.size(); ++q) {
    std::vector<uint32_t> rows;
    for (const std::string& id : found[q]) {
      const auto row = in.rows.find(id);
      rows.push_back(row == in.rows.end() ? kUnknown : row->second);
    }
    sum += Recall(in.exact.data() + q * in.exact_k, in.exact_k, rows.data(), rows.size(), depth);
  }
  return sum / static_cast<double>(found.size());
}

// Over the queries that have judgements.
double MeanNdcg(const Inputs& in, const Found& found) {
  double sum = 0;
  size_t judged = 0;
  for (size_t q = 0; q < found.size(); ++q) {
    const auto judgements = in.qrels.find(in.query_ids[q]);
    if (judgements == in.qrels.end()) continue;
    ++judged;
    sum += Ndcg(judgements->second, {found[q].begin(), found[q].end()}, kExact);
  }
  return judged == 0 ? 0 : sum / static_cast<double>(judged);
}

Found ExactIds(const Inputs& in) {
  Found found(in.queries.rows);
  for (size_t q = 0; q < found.size(); ++q) {
    for (size_t i = 0; i < in.exact_k; ++i) found[q].push_back(in.ids[in.exact[q * in.exact_k + i]]);
  }
  return found;
}

absl::StatusOr<nlohmann::ordered_json> Evaluate(Client& client, const Options& options) {
  BEBR_ASSIGN_OR_RETURN(const Inputs in, Prepare(client, options));
  const uint32_t rerank = options.rerank.value_or(in.default_rerank);
  const size_t depth = std::max<size_t>(options.k, kDeepest);
  const auto start = std::chrono::steady_clock::now();
  double scanned_share = 0;
  Warnings warnings;
  BEBR_ASSIGN_OR_RETURN(const Found plain, SearchAll(client, options, in.queries, depth, 0, warnings, &scanned_share));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  nlohmann::ordered_json json{{"queries", in.queries.rows},
                              {"k", options.k},
                              {"recall_at_10", MeanRecall(in, plain, 10)},
                              {"recall_at_50", MeanRecall(in, plain, 50)},
                              {"recall_at_100", MeanRecall(in, plain, 100)}};
  if (!in.query_ids.empty()) {
    json["ndcg_at_10"] = MeanNdcg(in, plain);
    json["ndcg_at_10_float"] = MeanNdcg(in, ExactIds(in));
  }
  if (rerank != 0) {
    BEBR_ASSIGN_OR_RETURN(const Found reranked,
                          SearchAll(client, options, in.queries, kExact, std::max<uint32_t>(rerank, kExact), warnings));
    json["rerank"] = rerank;
    json["recall_at_10_reranked"] = MeanRecall(in, reranked, 10);
    if (!in.query_ids.empty()) json["ndcg_at_10_reranked"] = MeanNdcg(in, reranked);
  }
  BEBR_ASSIGN_OR_RETURN(const auto times, MeasureLatency(client, options, in.queries, rerank));
  if (options.first_levels != 0) {
    json["first_levels"] = options.first_levels;
    json["candidates"] = options.candidates;
  }
  if (options.probe.any()) json["scanned_share"] = scanned_share;
  json["bits_per_document"] = in.version.bits();
  json["queries_per_s"] = static_cast<double>(in.queries.rows) / seconds;
  json["p50_ms"] = Percentile(times, 0.50);
  json["p99_ms"] = Percentile(times, 0.99);
  return json;
}

absl::Status Run(const Command& command, const Options& options) {
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(const auto json, Evaluate(client, options));
  if (command.json) {
    PrintJson(json);
    return absl::OkStatus();
  }
  for (const auto& [name, value] : json.items()) {
    if (value.is_number_float()) {
      std::printf("%-22s %.4f\n", name.c_str(), value.get<double>());
    } else {
      std::printf("%-22s %s\n", name.c_str(), value.dump().c_str());
    }
  }
  return absl::OkStatus();
}

}  // namespace

void AddEval(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(
      app, command, "eval",
      "measure a collection against exact float search: recall_at_N is the share of the 10 exact neighbours that is "
      "among the first N results by the codes alone, recall_at_10_reranked that after a rerank; queries_per_s is of "
      "batches of 64, p50_ms and p99_ms of one query at a time",
      "bebr eval papers --queries queries.npy --docs docs.npy --ids ids.txt --rerank 100",
      [&command, options] { return Run(command, *options); });
  verb->add_option("name", options->name, "name of the collection")->required();
  verb->add_option("--queries", options->queries_file, "file of query vectors")->required();
  verb->add_option("--docs", options->docs_file, "file of the vectors that were imported")->required();
  verb->add_option(
      "--ids", options->ids_file,
      "ids of the documents, one a line, or a BEIR folder; without it those of the rows (.jsonl), or row numbers");
  CLI::Option* qrels = verb->add_option("--qrels", options->qrels_file,
                                        "judgements: query id, document id and gain, tab-separated; or a BEIR folder");
  CLI::Option* query_ids =
      verb->add_option("--query-ids", options->query_ids_file, "ids of the queries, one a line; or a BEIR folder");
  qrels->needs(query_ids);
  query_ids->needs(qrels);
  verb->add_option("-k", options->k, "results of the queries that are timed")
      ->check(WholeNumber(1, kMaxK))
      ->capture_default_str();
  verb->add_option(
          "--rerank", options->rerank,
          "also measure with so many candidates scored again; the collection's default_rerank without it, 0: none")
      ->check(WholeNumber(0, kMaxRerank));
  AddProgressive(verb, options->first_levels, options->candidates);
  AddProbe(verb, options->probe);
  verb->add_option("--version", options->version, "version of the queries; the collection's default without it");
  verb->add_option("--limit", options->limit, "only the first queries; 0: all")->check(WholeNumber());
}

}  // namespace bebr
