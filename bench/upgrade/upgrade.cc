// bench/run upgrade: what an upgrade of the embedding model costs and gains without re-indexing. Two embeddings of the
// same documents and queries, labels or relevance judgements to tell what is right, and the systems that an operator
// goes through: the old version, the new one on the old one's codes, on half of each, on its own, in its own space.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/support/machine.h"
#include "index/base/status_macros.h"
#include "index/binarizer/encoder.h"
#include "index/dataset/evaluation.h"
#include "index/fit/code_search.h"
#include "index/train/training_run.h"

namespace bebr::bench {
namespace {

constexpr size_t kK = 10;

struct Flags {
  std::string old_docs, new_docs, old_queries, new_queries, doc_labels, query_labels, qrels, ids, query_ids, json;
  std::string shape = "48x4", name = "upgrade";
  size_t bits = 0;
  uint32_t groups = 1;
  size_t limit = 10000;
  int64_t steps = -1, compatible_steps = -1;
  uint64_t seed = 1;
  CodeKind code = CodeKind::kLevels;
};

const std::map<std::string, CodeKind> kCodes = {
    {"levels", CodeKind::kLevels}, {"trellis", CodeKind::kTrellis}, {"auto", CodeKind::kAuto}};

// What makes a result right: the same label as the query's, or a judgement.
struct Truth {
  std::vector<std::string> doc_labels, query_labels, ids, query_ids;
  Qrels qrels;
};

struct Data {
  Matrix old_docs, new_docs, old_queries, new_queries;
  Truth truth;
};

absl::StatusOr<Data> Load(const Flags& flags) {
  Data data;
  BEBR_ASSIGN_OR_RETURN(data.old_docs, ReadVectors(flags.old_docs));
  BEBR_ASSIGN_OR_RETURN(data.new_docs, ReadVectors(flags.new_docs));
  BEBR_ASSIGN_OR_RETURN(data.old_queries, ReadVectors(flags.old_queries, flags.limit));
  BEBR_ASSIGN_OR_RETURN(data.new_queries, ReadVectors(flags.new_queries, flags.limit));
  if (data.old_docs.rows != data.new_docs.rows || data.old_queries.rows != data.new_queries.rows) {
    return absl::InvalidArgumentError(absl::StrCat("old and new files must hold the same rows: ", data.old_docs.rows,
                                                   " and ", data.new_docs.rows, " documents, ", data.old_queries.rows,
                                                   " and ", data.new_queries.rows, " queries"));
  }
  if (!flags.qrels.empty()) {
    BEBR_ASSIGN_OR_RETURN(data.truth.qrels, ReadQrels(flags.qrels));
    BEBR_ASSIGN_OR_RETURN(data.truth.ids, ReadIds(flags.ids));
    BEBR_ASSIGN_OR_RETURN(data.truth.query_ids, ReadIds(flags.query_ids));
  } else {
    BEBR_ASSIGN_OR_RETURN(data.truth.doc_labels, ReadIds(flags.doc_labels));
    BEBR_ASSIGN_OR_RETURN(data.truth.query_labels, ReadIds(flags.query_labels));
  }
  const Truth& truth = data.truth;
  const std::vector<std::string>& docs = flags.qrels.empty() ? truth.doc_labels : truth.ids;
  const std::vector<std::string>& queries = flags.qrels.empty() ? truth.query_labels : truth.query_ids;
  if (docs.size() != data.new_docs.rows || queries.size() < data.new_queries.rows) {
    return absl::InvalidArgumentError(absl::StrCat(docs.size(), " lines for ", data.new_docs.rows, " documents, ",
                                                   queries.size(), " for ", data.new_queries.rows, " queries"));
  }
  return data;
}

// Precision among the first ten by label, or nDCG of the first ten by judgement.
double Quality(const Truth& truth, const std::vector<uint32_t>& found) {
  const size_t queries = found.size() / kK;
  double sum = 0.0;
  size_t judged = 0;
  for (size_t q = 0; q < queries; ++q) {
    const uint32_t* rows = found.data() + q * kK;
    if (truth.qrels.empty()) {
      for (size_t i = 0; i < kK; ++i) sum += truth.doc_labels[rows[i]] == truth.query_labels[q] ? 1.0 / kK : 0.0;
      ++judged;
      continue;
    }
    const auto judgements = truth.qrels.find(truth.query_ids[q]);
    if (judgements == truth.qrels.end()) continue;
    std::vector<std::string_view> ranked;
    for (size_t i = 0; i < kK; ++i) ranked.push_back(truth.ids[rows[i]]);
    sum += Ndcg(judgements->second, ranked, kK);
    ++judged;
  }
  return judged > 0 ? sum / static_cast<double>(judged) : 0.0;
}

class Upgrade {
 public:
  Upgrade(const Flags& flags, const Data& data, ThreadPool& pool) : flags_(flags), data_(data), pool_(pool) {}

  absl::StatusOr<nlohmann::json> Run() {
    Add("float, old version", ExactNeighbors(data_.old_docs, data_.old_queries, kK, Metric::kCosine, pool_.size()));
    Add("float, new version", ExactNeighbors(data_.new_docs, data_.new_queries, kK, Metric::kCosine, pool_.size()));
    TrainOptions options;
    options.seed = flags_.seed;
    options.steps = flags_.steps;
    options.groups = flags_.groups;
    options.bits = flags_.bits;
    options.code = flags_.code;
    if (flags_.bits == 0) {
      BEBR_ASSIGN_OR_RETURN(options.shape, LevelPlan::Parse(flags_.shape));
    }
    BEBR_ASSIGN_OR_RETURN(const TrainResult old_version, Train(options, data_.old_docs, {}));
    BEBR_ASSIGN_OR_RETURN(const TrainResult own, Train(options, data_.new_docs, {}));
    options.shape.reset();
    options.groups = 1;
    options.bits = 0;
    if (flags_.compatible_steps >= 0) options.steps = flags_.compatible_steps;
    BEBR_ASSIGN_OR_RETURN(const TrainResult compatible,
                          TrainCompatible(options, {old_version.model, data_.old_docs}, data_.new_docs, {}));
    BEBR_ASSIGN_OR_RETURN(const auto old_encoder, MakeBinarizer(old_version.model, 0));
    BEBR_ASSIGN_OR_RETURN(const auto own_encoder, MakeBinarizer(own.model, 0));
    BEBR_ASSIGN_OR_RETURN(const auto new_encoder, MakeBinarizer(compatible.model, 0));
    const CodeSpec& of_old = old_encoder->spec();
    code_ = absl::StrCat(old_version.model.levels().ToString(),
                         of_old.groups() > 1 ? absl::StrCat(" in ", of_old.groups(), " groups") : "");
    std::printf("the old version's code: %s\n", code_.c_str());
    const CodeSearch old_codes(*old_encoder, data_.old_docs, pool_);
    Add("old queries on old codes (before the upgrade)", old_codes.Search(data_.old_queries, kK));
    if (own_encoder->spec().ToString() == of_old.ToString() && own_encoder->spec().groups() == of_old.groups())
      Add("new queries on old codes, unrelated binarizers", old_codes.Search(*own_encoder, data_.new_queries, kK));
    Add("new queries on old codes, compatible (nothing re-indexed)",
        old_codes.Search(*new_encoder, data_.new_queries, kK));
    CodeSearch codes(*new_encoder, data_.new_docs, pool_);
    Add("new queries on new codes, compatible (all re-indexed)", codes.Search(data_.new_queries, kK));
    codes.Recode(*old_encoder, data_.old_docs, 2);
    Add("new queries on half old, half new codes, compatible", codes.Search(data_.new_queries, kK));
    Add("old queries on half old, half new codes, compatible", codes.Search(*old_encoder, data_.old_queries, kK));
    const CodeSearch own_codes(*own_encoder, data_.new_docs, pool_);
    Add("new queries on new codes, a space of their own", own_codes.Search(data_.new_queries, kK));
    return rows_;
  }
  const std::string& code() const { return code_; }

 private:
  void Add(const std::string& system, const std::vector<uint32_t>& found) {
    const double quality = Quality(data_.truth, found);
    const char* measure = data_.truth.qrels.empty() ? "precision_at_10" : "ndcg_at_10";
    rows_.push_back({{"dataset", flags_.name}, {"system", system}, {measure, quality}});
    std::printf("%-60s %s %.4f\n", system.c_str(), measure, quality);
    std::fflush(stdout);
  }

  const Flags& flags_;
  const Data& data_;
  ThreadPool& pool_;
  std::string code_;
  nlohmann::json rows_ = nlohmann::json::array();
};

absl::Status RunAll(const Flags& flags) {
  ThreadPool pool(AvailableProcessors());
  BEBR_ASSIGN_OR_RETURN(const Data data, Load(flags));
  Upgrade upgrade(flags, data, pool);
  BEBR_ASSIGN_OR_RETURN(const nlohmann::json rows, upgrade.Run());
  return WriteJson(flags.json, {{"benchmark", "upgrade"},
                                {"machine", DescribeMachine()},
                                {"shape", upgrade.code()},
                                {"documents", data.new_docs.rows},
                                {"queries", data.new_queries.rows},
                                {"rows", rows}});
}

int Main(int argc, char** argv) {
  CLI::App app("An upgrade of the embedding model without re-indexing, system by system.");
  Flags flags;
  app.add_option("--old-docs", flags.old_docs, "Old version's embeddings of the documents")->required();
  app.add_option("--new-docs", flags.new_docs, "New version's, row for row")->required();
  app.add_option("--old-queries", flags.old_queries, "Old version's embeddings of the queries")->required();
  app.add_option("--new-queries", flags.new_queries, "New version's, row for row")->required();
  auto* doc_labels = app.add_option("--doc-labels", flags.doc_labels, "A label a document, one a line");
  doc_labels->needs(app.add_option("--query-labels", flags.query_labels, "A label a query, one a line"));
  auto* qrels = app.add_option("--qrels", flags.qrels, "Relevance judgements instead of labels (needs both id files)");
  qrels->needs(app.add_option("--ids", flags.ids, "Document ids, one a line"));
  qrels->needs(app.add_option("--query-ids", flags.query_ids, "Query ids, one a line"));
  app.add_option("--shape", flags.shape, "The space's code shape")->capture_default_str();
  app.add_option("--bits", flags.bits, "Instead of a shape: bits a document, whose shape is searched");
  app.add_option_function<std::string>(
         "--code", [&flags](const std::string& name) { flags.code = kCodes.at(name); },
         "Of a shape that is searched, as bebr-train takes it: levels (default), trellis or auto")
      ->check(CLI::IsMember(kCodes));
  app.add_option("--groups", flags.groups, "Groups of each space, at most")->capture_default_str();
  app.add_option("--name", flags.name, "The data set's name in the table")->capture_default_str();
  app.add_option("--limit", flags.limit, "Queries at most")->capture_default_str();
  app.add_option("--steps", flags.steps, "Training steps (default: the trainer's)");
  app.add_option("--compatible-steps", flags.compatible_steps, "Those of the compatible binarizer (default: --steps)");
  app.add_option("--seed", flags.seed)->capture_default_str();
  app.add_option("--json", flags.json, "Write the rows as JSON");
  CLI11_PARSE(app, argc, argv);
  if (flags.qrels.empty() && flags.doc_labels.empty()) {
    std::fprintf(stderr, "bench_upgrade: give --doc-labels with --query-labels, or --qrels\n");
    return 1;
  }
  if (const absl::Status status = RunAll(flags); !status.ok()) {
    std::fprintf(stderr, "bench_upgrade: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace bebr::bench

int main(int argc, char** argv) { return bebr::bench::Main(argc, argv); }
