#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cli/command.h"
#include "client/cli/progress.h"
#include "index/base/status_macros.h"
#include "index/dataset/vector_file.h"
#include "index/exact/exact_search.h"
#include "index/types/search.h"

namespace bebr {
namespace {

constexpr uint32_t kMostClients = 1024;
constexpr absl::Duration kPauseAfterError = absl::Milliseconds(10);

using Clock = std::chrono::steady_clock;

struct Options {
  std::string name;
  std::string queries_file;
  uint32_t clients = 8;
  double seconds = 10;
  uint32_t k = 10;
  std::optional<uint32_t> rerank;
  ProbeOptions probe;
  std::string filter;
  std::string version;
  size_t sample = 100;
};

v1::SearchRequest RequestFor(const Options& options, const Matrix& queries, size_t row) {
  v1::SearchRequest request;
  request.set_collection(options.name);
  request.mutable_options()->set_k(options.k);
  request.mutable_options()->set_version(options.version);
  request.mutable_options()->set_filter(options.filter);
  options.probe.Set(*request.mutable_options());
  if (options.rerank.has_value()) request.mutable_options()->set_rerank(*options.rerank);
  SetVector(queries.row(row), queries.dims, request.mutable_query());
  return request;
}

// What one client saw, or all of them.
struct Seen {
  std::vector<double> times_ms;  // of searches that were answered
  double scanned_share = 0;      // of these, the sum
  uint64_t errors = 0;
  absl::Status first_error;
};

// Searches, one after another, until `end`; `next` is shared by all clients.
Seen SearchUntil(Clock::time_point end, Client client, const Options& options, const Matrix& queries,
                 std::atomic<size_t>& next) {
  Seen seen;
  while (Clock::now() < end) {
    const v1::SearchRequest request = RequestFor(options, queries, next++ % queries.rows);
    const auto start = Clock::now();
    const auto response = client.Search(request);
    if (response.ok()) {
      seen.scanned_share += response->scanned_share();
      seen.times_ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
      continue;
    }
    if (seen.errors++ == 0) seen.first_error = response.status();
    absl::SleepFor(kPauseAfterError);
  }
  return seen;
}

// All clients at the same time; the times sorted.
Seen Load(const Command& command, const Options& options, const Matrix& queries) {
  std::atomic<size_t> next = 0;
  std::vector<Seen> parts(options.clients);
  std::vector<std::thread> threads;
  const auto end =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds));
  for (Seen& part : parts) {
    threads.emplace_back([&] { part = SearchUntil(end, command.Connect(), options, queries, next); });
  }
  for (std::thread& thread : threads) thread.join();
  Seen all;
  for (const Seen& part : parts) {
    all.times_ms.insert(all.times_ms.end(), part.times_ms.begin(), part.times_ms.end());
    if (all.errors == 0) all.first_error = part.first_error;
    all.errors += part.errors;
    all.scanned_share += part.scanned_share;
  }
  std::sort(all.times_ms.begin(), all.times_ms.end());
  return all;
}

// Rows of the queries that recall is counted for, spread over the file.
Matrix Sample(const Matrix& queries, size_t count) {
  Matrix sample;
  sample.rows = std::min(count, queries.rows);
  sample.dims = queries.dims;
  for (size_t i = 0; i < sample.rows; ++i) {
    const float* row = queries.row(i * queries.rows / sample.rows);
    sample.values.insert(sample.values.end(), row, row + queries.dims);
  }
  return sample;
}

// Shows `best` the floats of all documents that the filter lets through, as the server keeps them.
absl::Status ShowDocuments(Client& client, const Options& options, const v1::Collection& collection,
                           const v1::Version& version, Metric metric, const Origin& origin, Progress& progress,
                           ExactBest<std::string>& best) {
  std::vector<float> moved;
  const auto names = SameEmbeddings(collection, version);
  v1::ScrollRequest request;
  request.set_collection(options.name);
  request.set_filter(options.filter);
  request.set_with_embeddings(true);
  for (uint64_t read = 0;;) {
    BEBR_ASSIGN_OR_RETURN(const auto page, client.Scroll(request));
    for (const v1::Document& document : page.documents()) {
      for (const v1::Embedding& embedding : document.embeddings()) {
        if (!names.contains(embedding.version())) continue;
        const float* row = origin.Move(embedding.vector().values().data(), 1, moved);
        const ExactTerm term = TermOf(metric, row, version.input_dims());
        best.Add(row, 1, &term, [&](size_t) { return document.id(); });
      }
    }
    progress.Set(read += static_cast<uint64_t>(page.documents_size()));
    if (page.next_page_token().empty()) {
      progress.End(read);
      return absl::OkStatus();
    }
    request.set_page_token(page.next_page_token());
  }
}

// The share of the exact k nearest that searches find, on average over the sample's queries that have any.
absl::StatusOr<double> MeasureRecall(const Command& command, const Options& options, const v1::Collection& collection,
                                     const v1::Version& version, const Matrix& sample) {
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(const Metric metric, MetricOf(version));
  const Origin origin(metric, sample.values.data(), sample.rows, sample.dims);
  std::vector<float> moved;
  const ExactQueries exact(origin.Move(sample.values.data(), sample.rows, moved), sample.rows, sample.dims);
  ExactBest<std::string> best(exact, options.k);
  Progress progress("exact", "documents", collection.documents(), command.json);
  BEBR_RETURN_IF_ERROR(ShowDocuments(client, options, collection, version, metric, origin, progress, best));
  double sum = 0;
  size_t counted = 0;
  for (size_t q = 0; q < sample.rows; ++q) {
    const auto nearest = best.Take(q);
    if (nearest.empty()) continue;
    BEBR_ASSIGN_OR_RETURN(const auto response, client.Search(RequestFor(options, sample, q)));
    absl::flat_hash_set<std::string> found;
    for (const v1::SearchHit& hit : response.hits()) found.insert(hit.id());
    const auto hits =
        std::count_if(nearest.begin(), nearest.end(), [&](const auto& entry) { return found.contains(entry.id); });
    sum += static_cast<double>(hits) / static_cast<double>(nearest.size());
    ++counted;
  }
  if (counted == 0) {
    return absl::NotFoundError(
        absl::StrFormat("no document %shas stored floats of version \"%s\" to count recall with; "
                        "--sample 0 measures the rest",
                        options.filter.empty() ? "" : "that the filter lets through ", version.name()));
  }
  return sum / static_cast<double>(counted);
}

double Percentile(const std::vector<double>& sorted, double share) {
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(share * static_cast<double>(sorted.size())))];
}

absl::Status CheckArguments(const Options& options) {
  if (!(options.seconds > 0)) {
    return UsageError(absl::StrFormat("--seconds %g: must be more than 0", options.seconds));
  }
  return absl::OkStatus();
}

absl::Status Check(const Options& options, const Matrix& queries, const v1::Version& version) {
  if (queries.rows == 0) {
    return absl::InvalidArgumentError(absl::StrFormat("\"%s\" has no queries", options.queries_file));
  }
  if (queries.dims != version.input_dims()) {
    return absl::InvalidArgumentError(absl::StrFormat("\"%s\" has vectors of %d dimensions, version \"%s\" takes %d",
                                                      options.queries_file, queries.dims, version.name(),
                                                      version.input_dims()));
  }
  return absl::OkStatus();
}

absl::StatusOr<nlohmann::ordered_json> Bench(const Command& command, const Options& options) {
  BEBR_RETURN_IF_ERROR(CheckArguments(options));
  BEBR_ASSIGN_OR_RETURN(const Matrix queries, ReadVectors(options.queries_file));
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(const v1::Collection collection, client.GetCollection(options.name));
  BEBR_ASSIGN_OR_RETURN(const v1::Version version, FindVersion(collection, options.version));
  BEBR_RETURN_IF_ERROR(Check(options, queries, version));
  nlohmann::ordered_json json{{"documents", collection.documents()}, {"clients", options.clients}, {"k", options.k}};
  if (options.sample != 0 && collection.store_floats() != v1::FLOAT_STORAGE_NONE) {
    const Matrix sample = Sample(queries, options.sample);
    BEBR_ASSIGN_OR_RETURN(json["recall"], MeasureRecall(command, options, collection, version, sample));
    json["recall_queries"] = sample.rows;
  }
  const auto start = Clock::now();
  const Seen seen = Load(command, options, queries);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (seen.times_ms.empty()) {
    return seen.errors != 0 ? seen.first_error
                            : absl::DeadlineExceededError("no search was answered; take more --seconds");
  }
  json["seconds"] = seconds;
  json["queries"] = seen.times_ms.size();
  json["queries_per_s"] = static_cast<double>(seen.times_ms.size()) / seconds;
  json["p50_ms"] = Percentile(seen.times_ms, 0.50);
  json["p99_ms"] = Percentile(seen.times_ms, 0.99);
  if (options.probe.any()) json["scanned_share"] = seen.scanned_share / static_cast<double>(seen.times_ms.size());
  json["errors"] = seen.errors;
  if (seen.errors != 0) json["first_error"] = std::string(seen.first_error.message());
  return json;
}

absl::Status Run(const Command& command, const Options& options) {
  BEBR_ASSIGN_OR_RETURN(const auto json, Bench(command, options));
  if (command.json) {
    PrintJson(json);
    return absl::OkStatus();
  }
  for (const auto& [name, value] : json.items()) {
    if (value.is_number_float()) {
      std::printf("%-16s %.4f\n", name.c_str(), value.get<double>());
    } else {
      std::printf("%-16s %s\n", name.c_str(), value.dump().c_str());
    }
  }
  if (!json.contains("recall") && options.sample != 0) {
    std::printf("%-16s not measured, since the collection stores no floats; `bebr eval` takes them from a file\n",
                "recall");
  }
  return absl::OkStatus();
}

}  // namespace

void AddBench(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(
      app, command, "bench",
      "measure a server with your own queries: so many clients search, one query at a time each, for so long; before "
      "that, recall of some queries is counted against exact float search over the documents that the server stores "
      "and the filter lets through, which reads all of their floats once",
      "bebr bench papers --queries queries.npy --clients 16 --seconds 30 -k 10 --filter 'year >= 2020'",
      [&command, options] { return Run(command, *options); });
  verb->add_option("name", options->name, "name of the collection")->required();
  verb->add_option("--queries", options->queries_file, "file of query vectors")->required();
  verb->add_option("--clients", options->clients, "searches at a time")
      ->check(WholeNumber(1, kMostClients))
      ->capture_default_str();
  verb->add_option("--seconds", options->seconds, "how long they search")->capture_default_str();
  verb->add_option("-k", options->k, "results a query")->check(WholeNumber(1, kMaxK))->capture_default_str();
  verb->add_option("--rerank", options->rerank, "candidates scored again; what the collection does without it")
      ->check(WholeNumber(0, kMaxRerank));
  AddProbe(verb, options->probe);
  verb->add_option("--filter", options->filter, "only documents with such attributes");
  verb->add_option("--version", options->version, "version of the queries; the collection's default without it");
  verb->add_option("--sample", options->sample, "queries that recall is counted for; 0: none")
      ->check(WholeNumber())
      ->capture_default_str();
}

}  // namespace bebr
