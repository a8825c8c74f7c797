#include <algorithm>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "index/base/status_macros.h"
#include "tests/endurance/worst_table.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

// A collection that is searched.
Documents MakeSearched(size_t begin) {
  return MakeDocuments(kSearchedDocuments / 3, kWorstDims, [begin](size_t i, DocumentInput& d) {
    const size_t n = begin + i;
    d.id = absl::StrCat("d", n);
    d.attributes = {{"n", static_cast<int64_t>(n)},
                    {"text", Padded(absl::StrCat(n * 7919 % kSearchedDocuments, "-"), kMaxIndexedTextBytes)},
                    {"list", AttributeList{static_cast<int64_t>(n % 1000), absl::StrCat("v", n)}}};
  });
}

std::string Repeat(size_t count, const std::string& between, const std::function<std::string(size_t)>& part) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < count; ++i) parts.push_back(part(i));
  return absl::StrJoin(parts, between);
}

void RunFilters(Table& table, Subject& subject) {
  const auto text = [](size_t i) { return absl::StrCat("'", Padded(absl::StrCat(i, "-"), 200), "'"); };
  const std::vector<std::pair<std::string, std::string>> filters = {
      {"filter nested 60 deep", std::string(60, '(') + "n = 1" + std::string(60, ')')},
      {"filter of NOTs, 60 deep", Repeat(60, " ", [](size_t) { return "NOT"; }) + " n = 1"},
      {"filter of 1,000 comparisons of numbers",
       Repeat(1000, " OR ", [](size_t i) { return absl::StrCat("n = ", i); })},
      {"filter of 250 comparisons of long texts",
       Repeat(250, " OR ", [&](size_t i) { return absl::StrCat("text = ", text(i)); })},
      {"filter of 64 orders of texts",
       Repeat(64, " OR ", [&](size_t i) { return absl::StrCat("text > ", text(i * 400)); })},
      {"filter of 1,000 CONTAINS", Repeat(1000, " OR ", [](size_t i) { return absl::StrCat("list CONTAINS ", i); })},
      {"filter of 64 beginnings of texts",
       Repeat(64, " OR ", [&](size_t i) { return absl::StrCat("text STARTS WITH ", text(i * 400)); })},
      {"filter for 8,000 values in lists",
       absl::StrCat("list CONTAINS ANY (", Repeat(8000, ",", [](size_t i) { return absl::StrCat(i); }), ")")},
      {"filter with 10,000 values",
       absl::StrCat("n IN (", Repeat(10000, ",", [](size_t i) { return absl::StrCat(i); }), ")")},
  };
  for (const auto& [what, filter] : filters) {
    table.Run(
        what, subject, [&] { return subject.engine().Count("c", filter).status(); }, false);
  }
}

void RunSearches(Table& table, Subject& subject) {
  const auto vectors = RandomVectors(kMaxQueriesPerRequest, kWorstDims, 9);
  const auto search = [&](const std::string& what, size_t queries, const std::function<void(SearchRequest&)>& edit) {
    SearchRequest request{.collection = "c"};
    for (size_t i = 0; i < queries; ++i) request.queries.emplace_back(vectors[i]);
    edit(request);
    table.Run(
        what, subject, [&] { return SearchAndWait(subject.engine(), request).status(); }, false);
  };
  std::vector<std::string> ids;
  for (size_t i = 0; i < 10000; ++i) ids.push_back(absl::StrCat("d", i * 2));
  search("50 queries, k and rerank 10,000", 50, [](SearchRequest& r) { r.k = r.rerank = kMaxK; });
  search("1,024 queries, k 488", 1024, [](SearchRequest& r) { r.k = 488; });
  search("10,000 documents left out", 1, [&](SearchRequest& r) { r.exclude_ids = ids; });
  search("1,000 examples", 0, [&](SearchRequest& r) {
    r.like = ExampleRequest{.collection = "c", .positive_ids = {ids.begin(), ids.begin() + kMaxExamples}};
  });
  search("1,000 vectors as examples", 0, [&](SearchRequest& r) {
    r.like = ExampleRequest{.collection = "c"};
    for (size_t i = 0; i < kMaxExamples; ++i) r.like->positives.emplace_back(vectors[i]);
  });
  search("50 queries, 10,000 candidates by the first level, explained", 50, [](SearchRequest& r) {
    r.k = r.candidates = kMaxCandidates;
    r.first_levels = 1;
    r.explain = true;
  });
  search("1,000 queries, page at 9,990", 1000, [](SearchRequest& r) { r.offset = kMaxK - r.k; });
  search("100 groups of 100", 1, [](SearchRequest& r) {
    r.group_by = "n";
    r.k = r.group_size = 100;
  });
  search("10,000 groups of one, of texts", 1, [](SearchRequest& r) {
    r.group_by = "text";
    r.k = kMaxK;
  });
  search("16 lists of 10,000 ids fused", 1, [&](SearchRequest& r) {
    r.fusion = Fusion::kReciprocalRank;
    r.k = kMaxK;
    r.lists.assign(kMaxRankedLists, {.ids = ids});
  });
  table.Run(
      "10,000 facets", subject,
      [&] { return subject.engine().Facets({.collection = "c", .attribute = "text", .limit = kMaxFacets}).status(); },
      false);
  table.Run(
      "a page of 10,000 documents", subject,
      [&] {
        return subject.engine()
            .Scroll({.collection = "c",
                     .limit = kMaxPageDocuments,
                     .with_attributes = true,
                     .with_embeddings = true,
                     .with_codes = true})
            .status();
      },
      false);
}

// Two versions of the same embeddings, each compared with exact neighbours.
void RunCheck(Table& table, Subject& subject) {
  const auto vectors = RandomVectors(kMaxCheckQueries, kWorstDims, 9);
  CheckRequest request{.version = "v2", .k = kMaxCheckK};
  for (const auto& vector : vectors) request.queries.emplace_back(vector);
  request.against_queries = request.queries;
  table.Run(
      "a check of two versions by 1,000 queries, k 100", subject,
      [&]() -> absl::Status {
        const std::string model = RandomModelFile(kWorstDims, *ParseCodeSpec("64x2"), 4, 2);
        BEBR_RETURN_IF_ERROR(subject.engine().AddVersion("c", {.name = "v2", .same_embeddings_as = "v1"}, model));
        return subject.engine().CheckVersion("c", request).status();
      },
      false);
}

absl::Status ChangeAll(Engine& engine) {
  std::promise<absl::Status> done;
  engine.UpdateAttributes({.collection = "c", .filter = "n >= 0", .change = {.set = {{"new", int64_t{1}}}}},
                          [&](const auto& result) { done.set_value(result.status()); });
  return done.get_future().get();
}

absl::Status DeleteAll(Engine& engine) {
  std::promise<absl::Status> done;
  engine.DeleteByFilter({.collection = "c", .filter = "n >= 0"},
                        [&](const auto& result) { done.set_value(result.status()); });
  return done.get_future().get();
}

}  // namespace

void RunSearched(Table& table) {
  Subject subject;
  for (size_t begin = 0; begin < kSearchedDocuments && subject.status().ok(); begin += kSearchedDocuments / 3) {
    const Documents documents = MakeSearched(begin);
    table.Run("10,000 documents to search", subject,
              [&] { return UpsertAndWait(subject.engine(), documents.request).status(); });
  }
  RunFilters(table, subject);
  RunSearches(table, subject);
  RunCheck(table, subject);
  table.Run("all documents updated by a filter", subject, [&] { return ChangeAll(subject.engine()); });
  table.Run("all documents deleted by a filter", subject, [&] { return DeleteAll(subject.engine()); });
}

}  // namespace bebr::testing
