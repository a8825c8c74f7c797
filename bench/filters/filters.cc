// bench_filters: what a search costs whose filter leaves half of the documents, a tenth, a hundredth or a thousandth,
// by the kinds of comparisons, or names so many documents by their ids, one query at a time. Straight through the
// engine, with short floats and random codes: a scan knows no difference. No two lists are alike.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "bench/support/engine_run.h"
#include "bench/support/machine.h"
#include "bench/support/server_process.h"
#include "index/base/status_macros.h"

namespace bebr::bench {
namespace {

constexpr size_t kQueries = 20;    // of a round: few, so that all filters see the same machine
constexpr int64_t kShares = 1000;  // a document has one of so many numbers
constexpr int64_t kLeft[] = {500, 100, 10, 1};
constexpr size_t kIds[] = {1, 100, 10000};

struct Options {
  std::string json;
  std::string shape = "256x2";
  uint32_t query_levels = 4;
  uint32_t dims = 16;
  size_t documents = 1000000;
  size_t k = 10;
  size_t rounds = 25;
};

// Whether the filters that leave so many of a thousand leave a document: if its number is below. Independent of what
// other shares leave.
int64_t NumberOf(size_t document, int64_t left) {
  return static_cast<int64_t>(Mix(document * 7 + static_cast<size_t>(left)) % kShares);
}
bool IsLeft(size_t document, int64_t left) { return NumberOf(document, left) < left; }

Attributes AttributesOf(size_t document) {
  Attributes attributes;
  AttributeList tags = {absl::StrCat("document ", document), absl::StrCat("word ", Mix(document) % 5000)};
  for (const int64_t left : kLeft) {
    const bool is_left = IsLeft(document, left);
    attributes[absl::StrCat("text", left)] = std::string(is_left ? "left" : "other");
    attributes[absl::StrCat("number", left)] = NumberOf(document, left);
    if (is_left) tags.push_back(absl::StrCat("left", left));
  }
  attributes["tags"] = std::move(tags);
  return attributes;
}

struct Kind {
  std::string name;
  int64_t left = kShares;  // of a thousand
  std::string filter;
  std::set<size_t> ids = {};  // or these documents
  std::vector<double> latencies_ms = {};
};

std::vector<Kind> Kinds(size_t documents) {
  std::vector<Kind> kinds = {{.name = "no filter"}};
  for (const int64_t left : kLeft) {
    kinds.push_back({"=", left, absl::StrCat("text", left, " = \"left\"")});
    kinds.push_back({"BETWEEN", left, absl::StrCat("number", left, " BETWEEN 0 AND ", left - 1)});
    kinds.push_back({"CONTAINS", left, absl::StrCat("tags CONTAINS \"left", left, "\"")});
    kinds.push_back({"CONTAINS ANY", left, absl::StrCat("tags CONTAINS ANY (\"left", left, "\", \"none\")")});
  }
  for (const size_t count : kIds) {
    std::set<size_t> ids;
    for (size_t i = 0; ids.size() < std::min(count, documents / 2); ++i) ids.insert(Mix(i) % documents);
    kinds.push_back(
        {.name = "id IN", .filter = absl::StrCat("id IN (\"", absl::StrJoin(ids, "\", \""), "\")"), .ids = ids});
  }
  return kinds;
}

// Every document found must satisfy the filter, and as many be found as there are.
absl::Status Check(const Options& options, const Kind& kind, const EngineRun::Answers& answers) {
  for (const auto& found : answers.found) {
    const size_t least = options.documents < 100 * kShares ? 0
                         : kind.ids.empty()                ? options.k
                                                           : std::min(options.k, kind.ids.size());
    if (found.size() < least) return absl::InternalError(absl::StrCat(found.size(), " found for ", kind.filter));
    for (const uint32_t document : found) {
      if ((kind.left < kShares && !IsLeft(document, kind.left)) || (!kind.ids.empty() && !kind.ids.contains(document)))
        return absl::InternalError(absl::StrCat("found ", document, " for ", kind.filter));
    }
  }
  return absl::OkStatus();
}

// The kinds take turns, since the machine's speed wanders.
absl::Status Measure(EngineRun& run, const Options& options, std::vector<Kind>& kinds) {
  const Matrix queries = RandomRows(kQueries, options.dims, 3);
  for (size_t round = 0; round < options.rounds; ++round) {
    for (Kind& kind : kinds) {
      const SearchRequest request{.collection = EngineRun::kCollection, .k = options.k, .filter = kind.filter};
      BEBR_ASSIGN_OR_RETURN(const EngineRun::Answers answers, run.Search(queries, 1, request));
      BEBR_RETURN_IF_ERROR(Check(options, kind, answers));
      kind.latencies_ms.insert(kind.latencies_ms.end(), answers.latencies_ms.begin(), answers.latencies_ms.end());
    }
  }
  for (Kind& kind : kinds) std::sort(kind.latencies_ms.begin(), kind.latencies_ms.end());
  return absl::OkStatus();
}

absl::Status Run(const Options& options) {
  const WorkDirectory work;
  BEBR_ASSIGN_OR_RETURN(const auto run, EngineRun::Open(work.path() + "/data"));
  BEBR_ASSIGN_OR_RETURN(const std::string model, RandomProjection(options.shape, options.query_levels, options.dims));
  BEBR_RETURN_IF_ERROR(run->Create(model, FloatStorage::kNone));
  BEBR_RETURN_IF_ERROR(Fill(run->engine(), EngineRun::kCollection, options.documents,
                            RandomRows(100003, options.dims, 2), AttributesOf));
  BEBR_ASSIGN_OR_RETURN(const CollectionInfo before, run->Info());
  std::vector<Kind> kinds = Kinds(options.documents);
  BEBR_RETURN_IF_ERROR(Measure(*run, options, kinds));
  BEBR_ASSIGN_OR_RETURN(const CollectionInfo after, run->Info());
  const double bytes = static_cast<double>(after.memory.attributes - before.memory.attributes);
  nlohmann::json json = {{"benchmark", "filters"},
                         {"machine", DescribeMachine()},
                         {"code", options.shape},
                         {"documents", options.documents},
                         {"index_bytes_per_document", bytes / static_cast<double>(options.documents)}};
  const double unfiltered = Percentile(kinds[0].latencies_ms, 0.5);
  std::printf("%zu documents, indexes of %.1f bytes each\n", options.documents,
              bytes / static_cast<double>(options.documents));
  std::printf("%-14s %8s %9s %9s %14s\n", "filter", "leaves", "p50, ms", "p99, ms", "to unfiltered");
  for (const Kind& kind : kinds) {
    const double p50 = Percentile(kind.latencies_ms, 0.5), p99 = Percentile(kind.latencies_ms, 0.99);
    if (!kind.ids.empty()) {
      std::printf("%-14s %8zu %9.3f %9.3f %14.3f\n", kind.name.c_str(), kind.ids.size(), p50, p99, p50 / unfiltered);
      json["ids"].push_back(
          {{"ids", kind.ids.size()}, {"p50_ms", p50}, {"p99_ms", p99}, {"to_unfiltered", p50 / unfiltered}});
      continue;
    }
    const double leaves = static_cast<double>(kind.left) / kShares;
    std::printf("%-14s %7.1f%% %9.3f %9.3f %14.3f\n", kind.name.c_str(), 100 * leaves, p50, p99, p50 / unfiltered);
    json["rows"].push_back({{"filter", kind.name},
                            {"leaves", leaves},
                            {"p50_ms", p50},
                            {"p99_ms", p99},
                            {"to_unfiltered", p50 / unfiltered}});
  }
  return WriteJson(options.json, json);
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) {
  bebr::bench::Options options;
  CLI::App app(
      "bench_filters: one query at a time, with filters that leave half of the documents to a thousandth, or name 1 to "
      "10,000 by their ids");
  app.add_option("--json", options.json, "write the figures to this file");
  app.add_option("--documents", options.documents, "of the collection")
      ->check(CLI::Range(1000, 100000000))
      ->capture_default_str();
  app.add_option("-k", options.k, "results of a query")->check(CLI::Range(1, 10000))->capture_default_str();
  app.add_option("--shape", options.shape, "of the codes")->capture_default_str();
  app.add_option("--query-levels", options.query_levels, "levels of a query")->capture_default_str();
  app.add_option("--dims", options.dims, "floats of an embedding")->capture_default_str();
  app.add_option("--rounds", options.rounds, "each filter is asked so often, with 20 queries")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = bebr::bench::Run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_filters: %s\n", status.ToString().c_str());
  return 1;
}
