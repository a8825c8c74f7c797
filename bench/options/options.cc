// bench_options: what the options of a search cost beside a plain one, one query at a time, straight through the
// engine: filters by what they leave, groups, examples, facets, lists from elsewhere. Of embeddings and attributes from
// files, or of made ones.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/support/engine_run.h"
#include "bench/support/machine.h"
#include "bench/support/server_process.h"
#include "index/base/status_macros.h"

namespace bebr::bench {
namespace {

constexpr size_t kQueries = 20;  // of a round: few, so that all options see the same machine
constexpr double kShares[] = {0.5, 0.1, 0.01, 0.001};
constexpr size_t kMadeRows = 60000;
constexpr size_t kMadeDims = 256;

struct Options {
  std::string json;
  std::string docs, attributes, queries;
  std::string text = "section", number = "installed_kib";
  std::string shape = "128x4";
  uint32_t query_levels = 4;
  size_t documents = 0;
  size_t k = 10;
  size_t rounds = 25;
  std::string only;
};

// What the collection is made of.
struct Data {
  Matrix docs, queries;
  std::vector<Attributes> attributes;  // of each row
};

absl::StatusOr<std::vector<Attributes>> ReadAttributes(const Options& options) {
  std::ifstream file(options.attributes);
  std::vector<Attributes> all;
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains(options.text) || !json.contains(options.number))
      return absl::InvalidArgumentError(absl::StrCat("line ", all.size() + 1, " of ", options.attributes, " has no \"",
                                                     options.text, "\" and \"", options.number, "\""));
    all.push_back(
        {{options.text, json[options.text].get<std::string>()}, {options.number, json[options.number].get<int64_t>()}});
  }
  return all;
}

// A value that few documents have is a group of its own: half of them have the first one, half of the others the next.
Attributes MadeAttributes(const Options& options, size_t row) {
  const uint64_t random = Mix(row);
  return {{options.text, absl::StrCat("text ", random == 0 ? 48 : __builtin_ctzll(random))},
          {options.number, static_cast<int64_t>(Mix(row + (size_t{1} << 32)) % 1000000)}};
}

absl::StatusOr<Data> Load(const Options& options) {
  Data data;
  if (options.docs.empty()) {
    data.docs = RandomRows(kMadeRows, kMadeDims, 2);
    data.queries = RandomRows(kQueries, kMadeDims, 3);
    for (size_t i = 0; i < kMadeRows; ++i) data.attributes.push_back(MadeAttributes(options, i));
    return data;
  }
  BEBR_ASSIGN_OR_RETURN(data.docs, ReadVectors(options.docs));
  BEBR_ASSIGN_OR_RETURN(data.queries, ReadVectors(options.queries, kQueries));
  BEBR_ASSIGN_OR_RETURN(data.attributes, ReadAttributes(options));
  if (data.attributes.size() == data.docs.rows) return data;
  return absl::InvalidArgumentError(
      absl::StrCat(data.docs.rows, " embeddings and ", data.attributes.size(), " lines of attributes"));
}

struct Kind {
  std::string name;
  double leaves = 1;  // share of the documents
  std::function<absl::Status(size_t query)> call;
  std::vector<double> latencies_ms;
};

class Bench {
 public:
  Bench(const Options& options, Data data, EngineRun& run) : options_(options), data_(std::move(data)), run_(run) {}

  size_t documents() const { return options_.documents > 0 ? options_.documents : data_.docs.rows; }
  absl::Status Fill();
  std::vector<Kind> Kinds();

 private:
  using Change = std::function<void(SearchRequest&)>;

  // A search with an option, or of examples instead of a query.
  Kind Search(std::string name, const Change& change) {
    return {.name = std::move(name), .call = [this, change](size_t query) {
              SearchRequest request{.collection = EngineRun::kCollection, .k = options_.k};
              request.queries.push_back(absl::MakeConstSpan(data_.queries.row(query), data_.queries.dims));
              change(request);
              return Ask(std::move(request));
            }};
  }
  Kind Like(std::string name, size_t positive, size_t negative);
  Kind Facets(std::string name, const std::string& filter);
  // Beside lists of so many ids from elsewhere.
  Kind Lists(std::string name, size_t lists, size_t ids);
  void AddFilters(std::vector<Kind>& kinds);
  absl::Status Ask(SearchRequest request);

  const Options& options_;
  const Data data_;
  EngineRun& run_;
};

absl::Status Bench::Fill() {
  return bench::Fill(run_.engine(), EngineRun::kCollection, documents(), data_.docs,
                     [this](size_t i) { return data_.attributes[i % data_.attributes.size()]; });
}

absl::Status Bench::Ask(SearchRequest request) {
  auto outcome = std::make_shared<std::promise<absl::StatusOr<SearchResult>>>();  // shared: set_value may outlast get
  run_.engine().Search(std::move(request),
                       [outcome](absl::StatusOr<SearchResult> result) { outcome->set_value(std::move(result)); });
  BEBR_ASSIGN_OR_RETURN(const SearchResult result, outcome->get_future().get());
  return result.hits.front().empty() ? absl::InternalError("nothing was found") : absl::OkStatus();
}

Kind Bench::Like(std::string name, size_t positive, size_t negative) {
  return Search(std::move(name), [this, positive, negative](SearchRequest& request) {
    ExampleRequest like;
    const size_t first = Mix(request.queries.front().data() - data_.queries.row(0));
    for (size_t i = 0; i < positive + negative; ++i) {
      (i < positive ? like.positive_ids : like.negative_ids).push_back(absl::StrCat((first + i) % documents()));
    }
    request.queries.clear();
    request.like = std::move(like);
  });
}

Kind Bench::Facets(std::string name, const std::string& filter) {
  return {.name = std::move(name), .call = [this, filter](size_t) {
            return run_.engine()
                .Facets({.collection = EngineRun::kCollection, .filter = filter, .attribute = options_.text})
                .status();
          }};
}

Kind Bench::Lists(std::string name, size_t lists, size_t ids) {
  return Search(std::move(name), [this, lists, ids](SearchRequest& request) {
    request.fusion = Fusion::kReciprocalRank;
    request.lists.resize(lists);
    for (size_t i = 0; i < lists * ids; ++i) request.lists[i / ids].ids.push_back(absl::StrCat(Mix(i) % documents()));
  });
}

// Of each share: the numbers from one on, and the text that nearest so many documents have.
void Bench::AddFilters(std::vector<Kind>& kinds) {
  std::vector<int64_t> numbers;
  std::map<std::string, size_t> texts;
  for (const Attributes& attributes : data_.attributes) {
    numbers.push_back(std::get<int64_t>(attributes.at(options_.number)));
    ++texts[std::get<std::string>(attributes.at(options_.text))];
  }
  std::sort(numbers.begin(), numbers.end());
  const auto rows = static_cast<double>(numbers.size());
  const auto add = [&](std::string name, double leaves, std::string filter) {
    kinds.push_back(Search(std::move(name), [filter = std::move(filter)](SearchRequest& r) { r.filter = filter; }));
    kinds.back().leaves = leaves;
  };
  for (const double share : kShares) {
    const int64_t least = numbers[static_cast<size_t>((1 - share) * rows)];
    const auto left = numbers.end() - std::lower_bound(numbers.begin(), numbers.end(), least);
    add(absl::StrCat("filter number, ", 100 * share, "%"), static_cast<double>(left) / rows,
        absl::StrCat(options_.number, " >= ", least));
    const auto nearest = std::min_element(texts.begin(), texts.end(), [&](const auto& a, const auto& b) {
      const auto off = [&](const auto& text) { return std::abs(static_cast<double>(text.second) - share * rows); };
      return off(a) < off(b);
    });
    add(absl::StrCat("filter text, ", 100 * share, "%"), static_cast<double>(nearest->second) / rows,
        absl::StrCat(options_.text, " = \"", nearest->first, "\""));
  }
}

std::vector<Kind> Bench::Kinds() {
  std::vector<Kind> kinds;
  kinds.push_back(Search("plain", [](SearchRequest&) {}));
  AddFilters(kinds);
  const auto group = [&](size_t size, size_t rerank) {
    return [this, size, rerank](SearchRequest& request) {
      request.group_by = options_.text;
      request.group_size = size;
      request.rerank = rerank;
    };
  };
  kinds.push_back(Search("groups, 1 of each", group(1, 0)));
  kinds.push_back(Search("groups, 3 of each", group(3, 0)));
  kinds.push_back(Search("rerank 100", [](SearchRequest& request) { request.rerank = 100; }));
  kinds.push_back(Search("rerank 100, groups", group(1, 100)));
  kinds.push_back(Like("like 1 document", 1, 0));
  kinds.push_back(Like("like 3, unlike 1", 3, 1));
  kinds.push_back(Facets("facets", ""));
  kinds.push_back(Facets("facets, filter", absl::StrCat(options_.number, " >= 1000")));
  kinds.push_back(Search("exclude 100 ids", [](SearchRequest& request) {
    for (size_t i = 0; i < 100; ++i) request.exclude_ids.push_back(absl::StrCat(i));
  }));
  kinds.push_back(Lists("a list of 100 ids", 1, 100));
  kinds.push_back(Lists("16 lists of 10,000 ids", 16, 10000));
  return kinds;
}

// The kinds take turns, since the machine's speed wanders.
absl::Status Measure(const Options& options, std::vector<Kind>& kinds) {
  for (size_t round = 0; round <= options.rounds; ++round) {
    for (Kind& kind : kinds) {
      for (size_t query = 0; query < kQueries; ++query) {
        const double start = NowSeconds();
        BEBR_RETURN_IF_ERROR(kind.call(query));
        if (round > 0) kind.latencies_ms.push_back((NowSeconds() - start) * 1e3);  // the first one warms up
      }
    }
  }
  for (Kind& kind : kinds) std::sort(kind.latencies_ms.begin(), kind.latencies_ms.end());
  return absl::OkStatus();
}

absl::Status Run(const Options& options) {
  const WorkDirectory work;
  BEBR_ASSIGN_OR_RETURN(Data data, Load(options));
  const auto dims = static_cast<uint32_t>(data.docs.dims);
  BEBR_ASSIGN_OR_RETURN(const auto run, EngineRun::Open(work.path() + "/data"));
  BEBR_ASSIGN_OR_RETURN(const std::string model, RandomProjection(options.shape, options.query_levels, dims));
  BEBR_RETURN_IF_ERROR(run->Create(model, FloatStorage::kFloat16));
  Bench bench(options, std::move(data), *run);
  BEBR_RETURN_IF_ERROR(bench.Fill());
  std::vector<Kind> kinds = bench.Kinds();
  std::erase_if(kinds, [&](const Kind& kind) {
    return kind.name != "plain" && kind.name.find(options.only) == std::string::npos;
  });
  BEBR_RETURN_IF_ERROR(Measure(options, kinds));
  nlohmann::json json = {{"benchmark", "options"}, {"machine", DescribeMachine()}, {"code", options.shape},
                         {"dims", dims},           {"data", options.docs},         {"documents", bench.documents()}};
  const double plain = Percentile(kinds[0].latencies_ms, 0.5);
  std::printf("%zu documents of %s\n%-24s %8s %9s %9s %9s\n", bench.documents(), options.shape.c_str(), "search",
              "leaves", "p50, ms", "p99, ms", "to plain");
  for (const Kind& kind : kinds) {
    const double p50 = Percentile(kind.latencies_ms, 0.5), p99 = Percentile(kind.latencies_ms, 0.99);
    std::printf("%-24s %7.2f%% %9.3f %9.3f %9.2f\n", kind.name.c_str(), 100 * kind.leaves, p50, p99, p50 / plain);
    json["rows"].push_back(
        {{"search", kind.name}, {"leaves", kind.leaves}, {"p50_ms", p50}, {"p99_ms", p99}, {"to_plain", p50 / plain}});
  }
  return WriteJson(options.json, json);
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) {
  bebr::bench::Options options;
  CLI::App app("bench_options: filters, groups, examples, facets and lists beside a plain search, one query at a time");
  app.add_option("--json", options.json, "write the figures to this file");
  auto* docs = app.add_option("--docs", options.docs, "embeddings of the documents; else made ones");
  auto* lines = app.add_option("--attributes", options.attributes, "a line of JSON for each");
  auto* queries = app.add_option("--queries", options.queries, "embeddings of queries");
  docs->needs(lines)->needs(queries);
  app.add_option("--text", options.text, "attribute to group by and to compare")->capture_default_str();
  app.add_option("--number", options.number, "attribute to filter by")->capture_default_str();
  app.add_option("--documents", options.documents, "of the collection: the rows over and over; 0: each once")
      ->check(CLI::Range(0, 100000000));
  app.add_option("-k", options.k, "results of a query")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--shape", options.shape, "of the codes")->capture_default_str();
  app.add_option("--query-levels", options.query_levels, "levels of a query")->capture_default_str();
  app.add_option("--rounds", options.rounds, "each search is asked so often, of 20 queries")->capture_default_str();
  app.add_option("--only", options.only, "besides plain searches only those whose name has this");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = bebr::bench::Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_options: %s\n", status.ToString().c_str());
  return 1;
}
