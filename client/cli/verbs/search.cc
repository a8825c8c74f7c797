#include <algorithm>
#include <memory>
#include <optional>

#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "index/base/status_macros.h"
#include "index/dataset/vector_file.h"

namespace bebr {
namespace {

constexpr size_t kBatchQueries = 256;

struct Options {
  std::string name;
  std::string queries_file;
  std::vector<size_t> rows;
  uint32_t k = 10;
  std::string version;
  std::optional<uint32_t> rerank;
  uint32_t first_levels = 0;
  uint32_t candidates = 0;
  std::string filter;
  std::optional<float> min_score;
  bool attributes = false;
};

// The rows asked for, or all of the file.
absl::StatusOr<std::vector<size_t>> ChooseRows(const Options& options, const Matrix& queries) {
  std::vector<size_t> rows = options.rows;
  if (rows.empty()) {
    for (size_t i = 0; i < queries.rows; ++i) rows.push_back(i);
  }
  for (const size_t row : rows) {
    if (row < queries.rows) continue;
    return absl::InvalidArgumentError(
        absl::StrFormat("--row %d: \"%s\" has %d rows, counted from 0", row, options.queries_file, queries.rows));
  }
  return rows;
}

void PrintHits(size_t row, const v1::BatchSearchResponse::Result& result) {
  std::printf("query %zu\n", row);
  int rank = 0;
  for (const v1::SearchHit& hit : result.hits()) {
    const auto attributes = ToJson(hit)["attributes"];
    std::printf("%4d  %-24s  %10.6f %s  its %.3f  %s%s%s\n", ++rank, hit.id().c_str(), hit.score(),
                hit.score_kind() == v1::SCORE_KIND_EXACT ? "exact    " : "estimated", hit.its(), hit.version().c_str(),
                attributes.empty() ? "" : "  ", attributes.empty() ? "" : attributes.dump().c_str());
  }
  if (rank == 0) std::printf("      nothing found\n");
}

absl::Status Run(const Command& command, const Options& options) {
  BEBR_ASSIGN_OR_RETURN(const Matrix queries, ReadVectors(options.queries_file));
  BEBR_ASSIGN_OR_RETURN(const auto rows, ChooseRows(options, queries));
  Client client = command.Connect();
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (size_t begin = 0; begin < rows.size(); begin += kBatchQueries) {
    const size_t count = std::min(kBatchQueries, rows.size() - begin);
    v1::BatchSearchRequest request;
    request.set_collection(options.name);
    v1::SearchOptions* search = request.mutable_options();
    search->set_k(options.k);
    search->set_version(options.version);
    if (options.rerank.has_value()) search->set_rerank(*options.rerank);
    search->set_first_levels(options.first_levels);
    search->set_candidates(options.candidates);
    search->set_filter(options.filter);
    search->set_with_attributes(options.attributes);
    if (options.min_score.has_value()) search->set_min_score(*options.min_score);
    for (size_t i = 0; i < count; ++i) SetVector(queries.row(rows[begin + i]), queries.dims, request.add_queries());
    BEBR_ASSIGN_OR_RETURN(const auto response, client.BatchSearch(request));
    for (int i = 0; i < response.results_size(); ++i) {
      if (command.json) {
        list.push_back({{"row", rows[begin + i]},
                        {"hits", ToJson(response.results(i))["hits"]},
                        {"timings", ToJson(response.timings())}});
      } else {
        PrintHits(rows[begin + i], response.results(i));
      }
    }
  }
  if (command.json) PrintJson(list);
  return absl::OkStatus();
}

}  // namespace

void AddSearch(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      AddVerb(app, command, "search", "find the documents nearest to queries",
              "bebr search papers --queries queries.npy --row 0 -k 10 --rerank 100 --filter 'year >= 2020'",
              [&command, options] { return Run(command, *options); });
  verb->add_option("name", options->name, "name of the collection")->required();
  verb->add_option("--queries", options->queries_file, "file of query vectors, of the forms that import reads")
      ->required();
  verb->add_option("--row", options->rows, "only this row, counted from 0; may be given several times")
      ->check(WholeNumber())
      ->allow_extra_args(false);
  verb->add_option("-k", options->k, "results a query, 1 to 10,000")->check(WholeNumber())->capture_default_str();
  verb->add_option("--version", options->version, "version of the queries; the collection's default without it");
  verb->add_option(
          "--rerank", options->rerank,
          "candidates to score again with the stored floats; 0: none. Without it as many as the collection does "
          "by default")
      ->check(WholeNumber());
  AddProgressive(verb, options->first_levels, options->candidates);
  verb->add_option("--filter", options->filter,
                   "only documents with such attributes, e.g. 'section = \"libs\" AND size < 1000'");
  verb->add_option("--min-score", options->min_score, "leave out results with a lower score");
  verb->add_flag("--attributes", options->attributes, "show the attributes");
}

}  // namespace bebr
