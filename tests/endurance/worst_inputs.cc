// For every limit of what a caller may send the worst input that it allows: time, memory and the next start are
// bounded.
//
//   worst_inputs [--seconds S]
//
// Each row is one call, or a few of a kind, on an engine of its own: seconds, megabytes of memory that it took at most
// beside the request, and seconds of the next start. The exit code is 1 if a call fails, takes more than S seconds (20;
// 0: any time will do), or a gigabyte.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "index/base/clock.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "tests/support/engine_calls.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

constexpr uint32_t kDims = 16;
constexpr size_t kDocuments = 30000;
constexpr double kMostMegabytes = 1024;

double Seconds(SteadyTime begin) { return absl::ToDoubleSeconds(SteadyNow() - begin); }

// Kilobytes of a line of /proc/self/status.
double StatusKb(const std::string& name) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(name + ":")) return std::stod(line.substr(name.size() + 1));
  }
  return 0;
}
void ResetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

// One engine over a directory of its own, with a collection "c".
class Subject {
 public:
  explicit Subject(CollectionConfig config = {}, std::string model = "") {
    config.name = "c";
    if (config.store_floats == FloatStorage::kNone) config.store_floats = FloatStorage::kFloat16;
    if (model.empty()) model = RandomModelFile(kDims, *ParseCodeSpec("64x2"), 4, 1);
    status_ = Start();
    if (status_.ok()) status_ = engine_->CreateCollection(config, model);
  }
  Engine& engine() { return *engine_; }
  absl::Status status() const { return status_; }
  // Starts again.
  absl::Status Open() {
    BEBR_RETURN_IF_ERROR(Start());
    return engine_->GetCollection("c").status();
  }

 private:
  absl::Status Start() {
    engine_.reset();
    BEBR_ASSIGN_OR_RETURN(engine_, Engine::Open({.data_dir = directory_.path(), .threads = 2}));
    return absl::OkStatus();
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  absl::Status status_;
};

// Runs calls and prints what they cost.
class Table {
 public:
  explicit Table(double most_seconds) : most_seconds_(most_seconds) {
    std::printf("%-60s %8s %8s %8s\n", "input", "s", "MB", "start s");
  }
  void Run(const std::string& what, Subject& subject, const std::function<absl::Status()>& call, bool restarts = true) {
    ResetPeak();
    const double before = StatusKb("VmRSS");
    SteadyTime begin = SteadyNow();
    const absl::Status status = subject.status().ok() ? call() : subject.status();
    const double seconds = Seconds(begin), megabytes = (StatusKb("VmHWM") - before) / 1024;
    begin = SteadyNow();
    const absl::Status opened = restarts && status.ok() ? subject.Open() : absl::OkStatus();
    const double start = Seconds(begin);
    const bool slow = most_seconds_ > 0 && std::max(seconds, start) > most_seconds_;
    const bool good = status.ok() && opened.ok() && !slow && megabytes <= kMostMegabytes;
    good_ = good_ && good;
    std::printf("%-60s %8.2f %8.0f %8.2f %s%s\n", what.c_str(), seconds, megabytes, start, good ? "" : "FAIL ",
                status.ok() ? "" : status.ToString().c_str());
    std::fflush(stdout);
  }
  bool good() const { return good_; }

 private:
  const double most_seconds_;
  bool good_ = true;
};

// Documents of one request, with the vectors that they borrow.
struct Documents {
  std::vector<std::vector<float>> vectors;
  UpsertRequest request{.collection = "c"};
};
Documents MakeDocuments(size_t count, uint32_t dims, const std::function<void(size_t, DocumentInput&)>& edit) {
  Documents documents{.vectors = RandomVectors(count, dims, 3)};
  for (size_t i = 0; i < count; ++i) {
    documents.request.documents.push_back(
        {.id = absl::StrCat("d", i), .embeddings = {{.values = documents.vectors[i]}}});
    edit(i, documents.request.documents.back());
  }
  return documents;
}

std::string Padded(const std::string& text, size_t bytes) { return text + std::string(bytes - text.size(), 'x'); }

void RunUpsert(Table& table, const std::string& what, size_t count,
               const std::function<void(size_t, DocumentInput&)>& edit) {
  Subject subject;
  const Documents documents = MakeDocuments(count, kDims, edit);
  table.Run(what, subject, [&] { return UpsertAndWait(subject.engine(), documents.request).status(); });
}

void RunUpserts(Table& table) {
  RunUpsert(table, "10,000 ids of 512 bytes", 10000,
            [](size_t i, DocumentInput& d) { d.id = Padded(absl::StrCat(i, "-"), kMaxIdBytes); });
  RunUpsert(table, "one document 10,000 times", 10000, [](size_t, DocumentInput& d) { d.id = "same"; });
  RunUpsert(table, "64 attributes of 1,000 names of 128 bytes, 5,000 documents", 5000, [](size_t i, DocumentInput& d) {
    for (size_t a = 0; a < kMaxAttributes; ++a) {
      const size_t name = (i * kMaxAttributes + a) % 1000;
      d.attributes[Padded(absl::StrCat("name", name, "-"), kMaxAttributeNameBytes)] = static_cast<int64_t>(i);
    }
  });
  RunUpsert(table, "16 KiB of different indexed texts, 2,000 documents", 2000, [](size_t i, DocumentInput& d) {
    for (size_t a = 0; a < 60; ++a) d.attributes[absl::StrCat("a", a)] = Padded(absl::StrCat(i, "-", a, "-"), 250);
  });
  RunUpsert(table, "lists of 1,000 different values, 2,000 documents", 2000, [](size_t i, DocumentInput& d) {
    AttributeList list;
    for (size_t v = 0; v < 1000; ++v) list.emplace_back(static_cast<int64_t>(i * 1000 + v));
    d.attributes["list"] = std::move(list);
  });
  RunUpsert(table, "60 documents with 1 MiB of attributes", 60, [](size_t i, DocumentInput& d) {
    d.attributes["text"] = std::string(kMaxAttributesBytes - 100, static_cast<char>('a' + i % 26));
  });
  Subject wide({}, RandomModelFile(8192, *ParseCodeSpec("1024x4+7168x1"), 6, 1));
  const Documents documents = MakeDocuments(1500, 8192, [](size_t, DocumentInput&) {});
  table.Run("1,500 vectors of 8,192 floats, codes of 8,192 dims", wide,
            [&] { return UpsertAndWait(wide.engine(), documents.request).status(); });
}

void RunCollections(Table& table) {
  CollectionConfig config{.shards = kMaxShards};
  for (size_t i = 0; i < kMaxAttributeRules; ++i) {
    config.attributes[Padded(absl::StrCat("rule", i, "-"), kMaxAttributeNameBytes)] = {.kind = AttributeKind::kInt};
  }
  Subject many(config);
  const Documents documents = MakeDocuments(10000, kDims, [](size_t, DocumentInput&) {});
  table.Run("256 shards and 256 rules, 10,000 documents", many,
            [&] { return UpsertAndWait(many.engine(), documents.request).status(); });
  Subject versions;
  const std::string model = RandomModelFile(kDims, *ParseCodeSpec("8x1"), 1, 2);
  table.Run("254 versions of a space each", versions, [&] {
    for (uint32_t i = 1; i < kMaxVersions; ++i) {
      BEBR_RETURN_IF_ERROR(versions.engine().AddVersion(
          "c", {.name = Padded(absl::StrCat("v", i), 128), .same_embeddings_as = "v1"}, model));
    }
    return absl::OkStatus();
  });
  const Documents some = MakeDocuments(1000, kDims, [](size_t, DocumentInput&) {});
  table.Run("1,000 documents for 254 versions", versions,
            [&] { return UpsertAndWait(versions.engine(), some.request).status(); });
}

// A collection that is searched.
Documents MakeSearched(size_t begin) {
  return MakeDocuments(kDocuments / 3, kDims, [begin](size_t i, DocumentInput& d) {
    const size_t n = begin + i;
    d.id = absl::StrCat("d", n);
    d.attributes = {{"n", static_cast<int64_t>(n)},
                    {"text", Padded(absl::StrCat(n * 7919 % kDocuments, "-"), kMaxIndexedTextBytes)},
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
      {"filter with 10,000 values",
       absl::StrCat("n IN (", Repeat(10000, ",", [](size_t i) { return absl::StrCat(i); }), ")")},
  };
  for (const auto& [what, filter] : filters) {
    table.Run(
        what, subject, [&] { return subject.engine().Count("c", filter).status(); }, false);
  }
}

void RunSearches(Table& table, Subject& subject) {
  const auto vectors = RandomVectors(kMaxQueriesPerRequest, kDims, 9);
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

bool Run(double most_seconds) {
  Table table(most_seconds);
  RunUpserts(table);
  RunCollections(table);
  Subject subject;
  for (size_t begin = 0; begin < kDocuments && subject.status().ok(); begin += kDocuments / 3) {
    const Documents documents = MakeSearched(begin);
    table.Run("10,000 documents to search", subject,
              [&] { return UpsertAndWait(subject.engine(), documents.request).status(); });
  }
  RunFilters(table, subject);
  RunSearches(table, subject);
  table.Run("all documents updated by a filter", subject, [&] { return ChangeAll(subject.engine()); });
  table.Run("all documents deleted by a filter", subject, [&] { return DeleteAll(subject.engine()); });
  return table.good();
}

}  // namespace
}  // namespace bebr::testing

int main(int argc, char** argv) {
  double seconds = 20;
  if (argc != 1 && (argc != 3 || std::string(argv[1]) != "--seconds" || !absl::SimpleAtod(argv[2], &seconds))) {
    std::fprintf(stderr, "worst_inputs [--seconds S]; see tests/README.md\n");
    return 2;
  }
  return bebr::testing::Run(seconds) ? 0 : 1;
}
