#include "index/types/search.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "index/base/status_macros.h"
#include "index/dataset/vector_file.h"

namespace bebr {
namespace {

constexpr size_t kBatchQueries = 256;
constexpr size_t kMostFused = 1024;

struct Options {
  std::string name;
  std::string queries_file;
  std::vector<size_t> rows;
  uint32_t k = 10;
  std::string version;
  std::optional<uint32_t> rerank;
  uint32_t first_levels = 0;
  uint32_t candidates = 0;
  ProbeOptions probe;
  std::string filter;
  std::optional<float> min_score;
  bool attributes = false;
  std::vector<std::string> like, unlike, exclude;
  uint32_t offset = 0;
  std::string fuse;
  std::vector<float> weights, its_cuts;
  std::string group_by;
  uint32_t group_size = 0;
  uint32_t keep_view = 0;
  std::string view;
  bool strict = false;
  bool allow_partial = false;
  bool explain = false;
  uint32_t model_checksum = 0;
};

// The rows asked for, or all of the file.
absl::StatusOr<std::vector<size_t>> ChooseRows(const Options& options, const Matrix& queries) {
  std::vector<size_t> rows = options.rows;
  if (rows.empty()) {
    for (size_t i = 0; i < queries.rows; ++i) rows.push_back(i);
  }
  for (const size_t row : rows) {
    if (row < queries.rows) continue;
    return UsageError(
        absl::StrFormat("--row %d: \"%s\" has %d rows, counted from 0", row, options.queries_file, queries.rows));
  }
  return rows;
}

std::string GroupOf(const v1::SearchHit& hit) { return ToJson(hit)["group"].dump(); }

const char* KindOf(const v1::SearchHit& hit) {
  switch (hit.score_kind()) {
    case v1::SCORE_KIND_EXACT:
      return "exact    ";
    case v1::SCORE_KIND_FUSED:
      return "fused    ";
    default:
      return "estimated";
  }
}

// As JSON has it: "very_high"; empty where there is none.
std::string LabelOf(const v1::SearchHit& hit) {
  return hit.its_label() == v1::ITS_LABEL_UNSPECIFIED ? "" : ToJson(hit)["its_label"].get<std::string>();
}

// `offset` is that of the first hit.
void PrintHits(const std::string& query, uint32_t offset,
               const google::protobuf::RepeatedPtrField<v1::SearchHit>& hits) {
  std::printf("query %s\n", query.c_str());
  uint32_t rank = offset;
  std::string group;
  for (const v1::SearchHit& hit : hits) {
    const auto attributes = ToJson(hit)["attributes"];
    if (hit.has_group() && (rank == offset || GroupOf(hit) != group)) {
      group = GroupOf(hit);
      std::printf("  group %s\n", group.c_str());
    }
    std::printf("%4u  %-24s  %10.6f %s  its %.3f %-11s  %s%s%s\n", ++rank, IdText(hit.id()).c_str(), hit.score(),
                KindOf(hit), hit.its(), LabelOf(hit).c_str(), hit.version().c_str(), attributes.empty() ? "" : "  ",
                attributes.empty() ? "" : attributes.dump().c_str());
    if (hit.has_explanation()) std::printf("      %s\n", ToJson(hit.explanation()).dump().c_str());
  }
  if (hits.empty()) std::printf("      nothing found\n");
}

v1::SearchOptions SearchOptionsOf(const Options& options) {
  v1::SearchOptions search;
  search.set_k(options.k);
  search.set_version(options.version);
  if (options.rerank.has_value()) search.set_rerank(*options.rerank);
  search.set_first_levels(options.first_levels);
  search.set_candidates(options.candidates);
  options.probe.Set(search);
  search.set_filter(options.filter);
  search.set_strict(options.strict);
  search.set_allow_partial(options.allow_partial);
  search.set_with_attributes(options.attributes);
  search.set_offset(options.offset);
  search.set_explain(options.explain);
  search.set_group_by(options.group_by);
  search.set_group_size(options.group_size);
  search.set_keep_view_s(options.keep_view);
  search.set_view_token(options.view);
  search.set_model_checksum(options.model_checksum);
  *search.mutable_its_cuts() = {options.its_cuts.begin(), options.its_cuts.end()};
  for (const std::string& id : options.exclude) search.add_exclude_ids(id);
  if (options.min_score.has_value()) search.set_min_score(*options.min_score);
  if (options.fuse == "max") search.set_fusion(v1::FUSION_MAX);
  if (options.fuse == "mean") search.set_fusion(v1::FUSION_MEAN);
  if (options.fuse == "rrf" || options.fuse == "reciprocal_rank") search.set_fusion(v1::FUSION_RECIPROCAL_RANK);
  return search;
}

// Standard output has the hits alone.
void ShowView(const std::string& token) {
  if (!token.empty()) std::fprintf(stderr, "bebr: the view is kept; further pages of it: --view %s\n", token.c_str());
}

void ShowScanned(const Options& options, float share) {
  if (options.probe.any()) std::fprintf(stderr, "bebr: scored %.1f%% of the documents\n", 100.0 * share);
}

template <typename Response>
void AddFacts(const Options& options, const Response& response, nlohmann::ordered_json& json) {
  if (options.probe.any()) json["scanned_share"] = response.scanned_share();
  if (!response.view_token().empty()) json["view_token"] = response.view_token();
  if (response.has_coverage()) json["coverage"] = ToJson(response)["coverage"];
  if (response.may_be_stale()) json["may_be_stale"] = true;
}

template <typename Response>
void ShowRest(const Response& response) {
  ShowView(response.view_token());
  const v1::Coverage& coverage = response.coverage();
  if (coverage.answered() == coverage.nodes()) return;
  std::fprintf(stderr, "bebr: only %u of %u nodes answered, with %llu documents\n", coverage.answered(),
               coverage.nodes(), static_cast<unsigned long long>(coverage.documents()));
}

absl::Status RunLike(const Command& command, const Options& options) {
  v1::SearchRequest request;
  request.set_collection(options.name);
  *request.mutable_options() = SearchOptionsOf(options);
  for (const std::string& id : options.like) request.mutable_like()->add_positive_ids(id);
  for (const std::string& id : options.unlike) request.mutable_like()->add_negative_ids(id);
  Client client = command.Connect();
  BEBR_ASSIGN_OR_RETURN(const auto response, client.Search(request));
  PrintWarnings(response.warnings());
  ShowRest(response);
  if (command.json) {
    nlohmann::ordered_json json{{"hits", ToJson(response)["hits"]}, {"timings", ToJson(response.timings())}};
    AddFacts(options, response, json);
    PrintJson(json);
  } else {
    ShowScanned(options, response.scanned_share());
    PrintHits("like " + absl::StrJoin(options.like, ", "), options.offset, response.hits());
  }
  return absl::OkStatus();
}

absl::Status Run(const Command& command, const Options& options) {
  if (options.queries_file.empty()) return RunLike(command, options);
  BEBR_ASSIGN_OR_RETURN(const Matrix queries, ReadVectors(options.queries_file));
  BEBR_ASSIGN_OR_RETURN(const auto rows, ChooseRows(options, queries));
  if (!options.fuse.empty() && rows.size() > kMostFused) {
    return absl::InvalidArgumentError(
        absl::StrFormat("--fuse: there are %d queries; at most %d become one list", rows.size(), kMostFused));
  }
  const size_t batch = options.fuse.empty() ? kBatchQueries : kMostFused;
  Client client = command.Connect();
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  std::string view = options.view;  // that all batches see, if one is kept
  for (size_t begin = 0; begin < rows.size(); begin += batch) {
    const size_t count = std::min(batch, rows.size() - begin);
    v1::BatchSearchRequest request;
    request.set_collection(options.name);
    *request.mutable_options() = SearchOptionsOf(options);
    for (size_t i = 0; i < count; ++i) SetVector(queries.row(rows[begin + i]), queries.dims, request.add_queries());
    if (!view.empty()) request.mutable_options()->set_view_token(view);
    for (const float weight : options.weights) request.add_weights(weight);
    BEBR_ASSIGN_OR_RETURN(const auto response, client.BatchSearch(request));
    if (!response.view_token().empty()) view = response.view_token();
    if (begin == 0) {
      PrintWarnings(response.warnings());
      ShowRest(response);
    }
    if (!command.json) ShowScanned(options, response.scanned_share());
    for (int i = 0; i < response.results_size(); ++i) {
      if (command.json) {
        list.push_back({{"row", rows[begin + i]},
                        {"hits", ToJson(response.results(i))["hits"]},
                        {"timings", ToJson(response.timings())}});
        AddFacts(options, response, list.back());
      } else {
        PrintHits(options.fuse.empty() ? absl::StrCat(rows[begin + i]) : options.fuse + " of all", options.offset,
                  response.results(i).hits());
      }
    }
  }
  if (command.json) PrintJson(list);
  return absl::OkStatus();
}

// What is done to the list of hits.
void AddListOptions(CLI::App* verb, Options* options) {
  verb->add_option("--exclude", options->exclude, "an id that is no hit; may be given several times")
      ->allow_extra_args(false);
  verb->add_option("--offset", options->offset, "pass over so many of the best, for the next page")
      ->check(WholeNumber(0, kMaxK));
  verb->add_option("--fuse,--fusion", options->fuse,
                   "one list for all queries: max, mean or rrf (also reciprocal_rank)")
      ->check(CLI::IsMember({"max", "mean", "rrf", "reciprocal_rank"}))
      ->excludes("--like");
  verb->add_option("--min-score", options->min_score, "leave out results with a lower score");
  verb->add_option("--its-cuts", options->its_cuts,
                   "where the labels of ITS begin, from close_match to very_low: six numbers with commas between, each "
                   "less than the one before; else 0.894, 0.632, 0.447, 0.316, 0.224, 0.1")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb->add_flag("--explain", options->explain, "show where each estimated score comes from");
  verb->add_flag("--allow-partial", options->allow_partial,
                 "of a gateway: leave out nodes that do not answer, and say how many did");
  verb->add_option("--weight,--weights", options->weights,
                   "with --fuse: how much a query counts; given once for each, in their order")
      ->allow_extra_args(false)
      ->needs("--fuse");
  verb->add_option("--group-by", options->group_by,
                   "the best results of each value of this attribute; -k is then the number of values");
  verb->add_option("--group-size", options->group_size, "with --group-by: results of each value, 1 to 100; else 1")
      ->check(WholeNumber(1, kMaxGroupSize))
      ->needs("--group-by");
  verb->add_option("--keep-view", options->keep_view,
                   "keep what this search sees for so many seconds, at most 600, and print its token")
      ->check(WholeNumber(0, absl::ToInt64Seconds(kMaxKeepView)));
  verb->add_option("--view", options->view,
                   "token of a view that is kept: with --offset, pages that neither repeat nor miss a document while "
                   "others write");
}

}  // namespace

void AddSearch(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      AddVerb(app, command, "search", "find the documents nearest to queries",
              "bebr search papers --queries queries.npy --row 0 -k 10 --rerank 100 --filter 'year >= 2020'",
              [&command, options] { return Run(command, *options); });
  verb->callback([&command, options] {
    if (options->queries_file.empty() && options->like.empty()) throw CLI::RequiredError("--queries or --like");
    command.run = [&command, options] { return Run(command, *options); };
  });
  verb->add_option("name", options->name, "name of the collection")->required();
  verb->add_option("--queries", options->queries_file, "file of query vectors, of the forms that import reads");
  verb->add_option("--like", options->like,
                   "instead of queries: the id of a document that hits should resemble; may be given several times")
      ->allow_extra_args(false)
      ->excludes("--queries");
  verb->add_option("--unlike", options->unlike, "with --like: the id of a document that they should not resemble")
      ->allow_extra_args(false)
      ->needs("--like");
  AddListOptions(verb, options.get());
  AddStrict(verb, options->strict);
  verb->add_option("--row", options->rows, "only this row, counted from 0; may be given several times")
      ->check(WholeNumber())
      ->needs("--queries")
      ->allow_extra_args(false);
  verb->add_option("-k", options->k, "results a query, 1 to 10,000")
      ->check(WholeNumber(1, kMaxK))
      ->capture_default_str();
  verb->add_option("--version", options->version, "version of the queries; the collection's default without it");
  verb->add_option(
          "--rerank", options->rerank,
          "candidates to score again with the stored floats; 0: none. Without it as many as the collection does")
      ->check(WholeNumber(0, kMaxRerank));
  AddProgressive(verb, options->first_levels, options->candidates);
  AddProbe(verb, options->probe);
  verb->add_option("--filter", options->filter,
                   "only documents with such attributes, e.g. 'section = \"libs\" AND size < 1000'");
  verb->add_option("--model-checksum", options->model_checksum,
                   "refuse to answer unless this is the version's model_checksum (bebr version list --json)")
      ->check(WholeNumber());
  verb->add_flag("--attributes,--with-attributes", options->attributes, "show the attributes");
}

}  // namespace bebr
