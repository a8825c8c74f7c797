#include "index/train/training_run.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"
#include "index/binarizer/encoder.h"
#include "index/fit/few_rows.h"
#include "index/fit/group_search.h"
#include "index/fit/shape_search.h"
#include "index/fit/start_model.h"
#include "index/train/code_disagreement.h"
#include "index/train/row_lengths.h"
#include "index/train/torch_model.h"
#include "index/train/torch_translation.h"

namespace bebr {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kHeldOutQueries = 2000;
constexpr size_t kSearchQueries = 1000;  // of the shape search
constexpr size_t kSearchDocuments = 30000;
constexpr double kMostLengths = 1000.0;  // of the median row's, for metrics that lengths count in
constexpr size_t kLeastPairs = 10000;    // fewer are learnt by heart: measured on the queries of three text sets
constexpr size_t kFewRows = 10000;       // of which a held-out recall says too much
constexpr double kClearly = 0.02;        // recall@10, which training hardly ever gains: it starts from groups then
constexpr size_t kExpectedDocuments = 1000000;  // that share the bytes of a model, unless there are more

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// That a shape may have: more than a band's only where queries are fitted.
uint32_t MostLevels(const TrainOptions& options) {
  const bool fine = options.query_levels > kMaxLevels && options.method == Method::kResidual &&
                    (options.steps == 0 || options.residual_form == ResidualForm::kCode);
  return fine ? kMaxPlanLevels : std::min(options.query_levels, kMaxLevels);
}

// Whether models are such as trellis codes need.
bool TakesTrellis(const TrainOptions& options) {
  return options.query_levels > kMaxLevels && options.method == Method::kResidual &&
         (options.residual_form == ResidualForm::kCode || options.steps == 0);
}

absl::Status CheckOptions(const TrainOptions& options, const Matrix& documents, const Matrix& queries) {
  if (documents.dims == 0 || documents.dims > kMaxInputDims) {
    return absl::InvalidArgumentError(
        absl::StrCat("the embeddings have ", documents.dims, " dims; the limit is 1..", kMaxInputDims));
  }
  if (documents.rows < 2) {
    return absl::InvalidArgumentError(absl::StrCat("the input has ", documents.rows, " rows; at least 2 are needed"));
  }
  if (queries.rows != 0 && queries.dims != documents.dims) {
    return absl::InvalidArgumentError(
        absl::StrCat("the queries have ", queries.dims, " dims, the input has ", documents.dims));
  }
  if (options.query_levels < 1 || options.query_levels > kMaxQueryLevels) {
    return absl::InvalidArgumentError(
        absl::StrCat("query levels are ", options.query_levels, "; they must be in 1..", kMaxQueryLevels));
  }
  if (options.shape.has_value() && options.shape->max_levels() > MostLevels(options)) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape ", options.shape->ToString(), " stores ", options.shape->max_levels(), " levels; with ",
                     options.query_levels, " query levels and these blocks the most are ", MostLevels(options)));
  }
  const bool trellis = options.shape.has_value() ? options.shape->trellis() : options.code == CodeKind::kTrellis;
  if (trellis && !TakesTrellis(options)) {
    return absl::InvalidArgumentError(absl::StrCat("trellis codes need query levels above ", kMaxLevels,
                                                   " and neither medians nor the paper's blocks"));
  }
  for (const Matrix* matrix : {&documents, &queries}) {
    for (size_t i = 0; i < matrix->values.size(); ++i) {
      if (!std::isfinite(matrix->values[i])) {
        return absl::InvalidArgumentError(absl::StrCat(matrix == &documents ? "input" : "queries", " row ",
                                                       i / matrix->dims, " holds ", matrix->values[i],
                                                       "; values must be finite"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPairs(const Matrix& queries, const QueryPairs& pairs) {
  if (queries.rows != 0 || pairs.queries.rows == 0) return absl::OkStatus();
  return absl::InvalidArgumentError("pairs need held-out queries (--queries) beside them");
}

void KeepFromHere(const TrainOptions& options) {
  if (options.keeps != nullptr) *options.keeps = true;
}

bool IsInterrupted(const TrainOptions& options) { return options.interrupted != nullptr && *options.interrupted; }

absl::Status StartInterrupted() { return absl::CancelledError("interrupted before training began: nothing is kept"); }

// Asked by all work before training: whether to go on with it. Once the search is over, it is.
Continues UntilInterrupted(const TrainOptions& options, const bool& searches) {
  return [&] { return searches && IsInterrupted(options) ? StartInterrupted() : absl::OkStatus(); };
}

absl::StatusOr<Model> BuildStart(const TrainOptions& options, const CorpusStatistics& statistics,
                                 const Matrix& documents, const LevelPlan& shape, const Continues& continues) {
  const uint32_t recurrent_levels = std::min(options.query_levels, kMaxLevels);
  if (options.method == Method::kMedian) {
    BEBR_ASSIGN_OR_RETURN(const CodeSpec spec,
                          CodeSpec::Create(shape.Bands(std::vector<float>(shape.runs().size(), 1.0f))));
    return MedianModel(statistics, documents, spec, recurrent_levels, options.seed);
  }
  // The paper's blocks are a recursion.
  const bool recurrent = options.residual_form == ResidualForm::kInput && options.steps != 0;
  return StartModel(statistics, shape, recurrent ? recurrent_levels : options.query_levels, options.seed, continues);
}

// The start of these rows.
absl::StatusOr<Model> StartOf(const TrainOptions& options, const Matrix& rows, const LevelPlan& shape,
                              const ThreadPool& pool, const Continues& continues) {
  BEBR_ASSIGN_OR_RETURN(const CorpusStatistics statistics,
                        MeasureCorpus(rows, options.metric, shape.dims(), options.seed, pool.size(), continues));
  return BuildStart(options, statistics, rows, shape, continues);
}

// Whether more may be tried, of a run that began then.
std::function<bool()> TimeLeft(const TrainOptions& options, Clock::time_point begin) {
  return [&options, begin] { return options.time_limit <= 0.0 || SecondsSince(begin) < options.time_limit; };
}

// The search for the shape that the options ask for, which tells of what it tries.
ShapeSearch SearchFor(const TrainOptions& options, const CorpusStatistics& statistics, const Matrix& documents,
                      Clock::time_point begin, const Continues& continues, TrainResult& result) {
  ShapeSearch search;
  search.has_time = TimeLeft(options, begin);
  search.make_model = [&](const LevelPlan& shape) {
    return BuildStart(options, statistics, documents, shape, continues);
  };
  search.tried = [&](const LevelPlan& shape, double recall, bool all_queries) {
    result.tried.push_back({shape.ToString(), shape.bits(), recall, all_queries});
    if (options.progress) {
      std::fprintf(stderr, "  %5u bits  %-30s recall@10 %.4f%s\n", shape.bits(), shape.ToString().c_str(), recall,
                   all_queries ? " on all held-out queries" : "");
    }
    return continues();
  };
  search.variances = statistics.variances;
  search.dims = statistics.dims;
  search.max_levels = options.method == Method::kMedian ? 1 : MostLevels(options);
  search.code = TakesTrellis(options) ? options.code : CodeKind::kLevels;
  return search;
}

absl::StatusOr<LevelPlan> FindShape(const TrainOptions& options, const CorpusStatistics& statistics,
                                    const Matrix& documents, const Validator& validator, Clock::time_point begin,
                                    const Continues& continues, TrainResult& result) {
  if (options.shape.has_value()) return *options.shape;
  const Validator quick = validator.Smaller(kSearchQueries, kSearchDocuments);
  ShapeSearch search = SearchFor(options, statistics, documents, begin, continues, result);
  if (AreFew(documents)) {
    search.among_others = [&](const LevelPlan& shape) {
      const auto fit = [&](const Matrix& part) { return StartOf(options, part, shape, validator.pool(), continues); };
      return RecallAmongOthers(documents, validator, fit);
    };
  }
  return options.target_recall > 0.0 ? ShapeForRecall(search, options.target_recall, validator, quick)
                                     : ShapeForBits(search, options.bits, validator, quick);
}

// At most what is measured; nothing where the rows are too few even for that, or where it is interrupted: the model is
// there already.
std::optional<double> AmongMany(const TrainOptions& options, const Matrix& documents, const LevelPlan& shape,
                                const HeldOutRecall& measured, ThreadPool& pool) {
  const bool searches = true;
  const Continues continues = UntilInterrupted(options, searches);
  const auto fit = [&](const Matrix& part) { return StartOf(options, part, shape, pool, continues); };
  const absl::StatusOr<double> recall = RecallAmongMany(documents, options.metric, fit, pool);
  return recall.ok() ? std::optional<double>(std::min(*recall, measured.at_10)) : std::nullopt;
}

// Splits queries off where there are none, and warns where there is little to learn from.
Matrix HoldOut(const TrainOptions& options, Matrix& documents, TrainResult& result) {
  const size_t count = std::min(kHeldOutQueries, documents.rows / 10);
  if (count > 0) return SplitRows(documents, count, options.seed);
  result.warnings.emplace_back("too few rows to hold any out: the model is validated on its own training rows");
  return documents;
}

void WarnOfFewRows(const Matrix& documents, TrainResult& result) {
  if (documents.rows >= documents.dims) return;
  result.warnings.push_back(absl::StrCat("the input has ", documents.rows, " rows for ", documents.dims,
                                         " dims: the model will know little"));
}

size_t UseThreads(const TrainOptions& options) {
  const size_t threads = options.threads == 0 ? AvailableProcessors() : options.threads;
  at::set_num_threads(static_cast<int>(threads));
  return threads;
}

absl::StatusOr<CorpusStatistics> MeasureRows(const TrainOptions& options, const RowStream& rows, size_t components,
                                             size_t threads, const Continues& continues, TrainResult& result) {
  const Clock::time_point begin = Clock::now();
  if (options.progress) std::fprintf(stderr, "  %zu rows of %zu floats are measured\n", rows.rows(), rows.dims());
  BEBR_ASSIGN_OR_RETURN(CorpusStatistics statistics,
                        MeasureCorpus(rows, options.metric, components, options.seed, threads, continues));
  result.fit_rows = rows.rows();
  result.fit_s = SecondsSince(begin);
  return statistics;
}

// Trains from `start`, whose recall is result.kept, and keeps what is better.
absl::Status Improve(const TrainOptions& options, const Model& start, const Matrix& documents, const QueryPairs& pairs,
                     const Validator& validator, const OlderVersion* older, TrainResult& result) {
  if (options.method != Method::kResidual) return absl::OkStatus();
  KeepFromHere(options);
  BEBR_ASSIGN_OR_RETURN(TrainingOutcome outcome,
                        Trainer::Run(options, start, result.kept, documents, pairs, validator, older));
  result.steps = outcome.steps;
  result.curve = std::move(outcome.curve);
  result.trained_kept = outcome.improved;
  if (!outcome.improved) return absl::OkStatus();
  result.model = std::move(outcome.model);
  result.model.trained = absl::StrCat("trained, ", result.steps, " steps, seed ", options.seed,
                                      older == nullptr ? "" : ", compatible with an older version");
  result.kept = std::move(outcome.recall);
  return absl::OkStatus();
}

void PrintGroups(const TriedGroups& tried) {
  std::fprintf(stderr,
               "  %2u groups, %2u projections, %4zu dims kept, model %.1f bits a document  %-30s recall@10 %.4f\n",
               tried.groups, tried.bases, tried.reduced_dims, tried.model_bits, tried.shape.ToString().c_str(),
               tried.recall_at_10);
}

// The start with groups, if the options ask for some and they pay; sets result.grouped.
absl::StatusOr<std::optional<Model>> TryGroups(const TrainOptions& options, const CorpusStatistics& statistics,
                                               const Matrix& documents, const RowStream& all,
                                               const Validator& validator, Clock::time_point begin,
                                               const Continues& continues, TrainResult& result) {
  if (options.groups <= 1) return std::optional<Model>();
  if (result.model.quantizer != Quantizer::kFitted) {
    return absl::InvalidArgumentError(absl::StrCat("groups need query levels above ", kMaxLevels,
                                                   " and neither medians nor the paper's blocks; leave --groups out"));
  }
  const GroupSearch search{.rows = documents,
                           .queries = validator.queries(),
                           .corpus = statistics,
                           .shape = result.model.levels(),
                           .without = result.model,
                           .query_levels = options.query_levels,
                           .most = options.groups,
                           .expected_documents = std::max(result.rows, kExpectedDocuments),
                           .seed = options.seed,
                           .all = &all,
                           .continues = continues,
                           .has_time = TimeLeft(options, begin),
                           .tried = [&](const TriedGroups& tried) {
                             if (options.progress) PrintGroups(tried);
                           }};
  BEBR_ASSIGN_OR_RETURN(std::optional<Model> grouped, StartWithGroups(search, validator.pool()));
  if (grouped.has_value()) {
    BEBR_ASSIGN_OR_RETURN(result.grouped, validator.Measure(*grouped));
  } else {
    result.warnings.emplace_back("groups do not pay: the model has none");
  }
  return grouped;
}

// Takes the start with groups if its recall is above that of what there is.
void KeepBetter(Model grouped, TrainResult& result) {
  if (result.grouped.at_10 <= result.kept.at_10) return;
  result.model = std::move(grouped);
  result.kept = result.grouped;
  result.trained_kept = false;
}

// Whether training follows; warns of what cannot be done with trellis codes.
bool IsTrained(const TrainOptions& options, const LevelPlan& shape, TrainResult& result) {
  if (options.steps == 0) return false;
  if (!shape.trellis() && !result.model.spec.trellis()) return true;
  result.warnings.emplace_back("trellis codes are not trained: the model is the start; --code levels trains levels");
  return false;
}

absl::Status CheckOlder(const Model& older, Metric metric) {
  if (metric != older.metric) {
    return absl::InvalidArgumentError(absl::StrCat("the metric is ", std::string(ToString(metric)),
                                                   ", that of the model to be compatible with ",
                                                   std::string(ToString(older.metric))));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TrainResult> Train(const TrainOptions& options, Matrix documents, Matrix queries, QueryPairs pairs,
                                  const RowStream* all) {
  const Clock::time_point begin = Clock::now();
  BEBR_RETURN_IF_ERROR(CheckOptions(options, documents, queries));
  if (all == nullptr) BEBR_RETURN_IF_ERROR(CheckLengths(documents, options.metric));
  ThreadPool pool(UseThreads(options));
  TrainResult result{.rows = all == nullptr ? documents.rows : all->rows()};
  WarnOfFewRows(documents, result);
  BEBR_RETURN_IF_ERROR(CheckPairs(queries, pairs));
  if (queries.rows == 0) queries = HoldOut(options, documents, result);
  result.held_out_queries = queries.rows;
  bool searches = true;
  const Continues continues = UntilInterrupted(options, searches);
  const Validator validator(documents, std::move(queries), options.metric, pool, continues);
  result.recall_documents = validator.documents().rows;
  const size_t components = options.shape.has_value() && options.groups <= 1 ? options.shape->dims() : documents.dims;
  const MatrixRows held(documents, options.fit_rows == 0 ? kMaxFitRows : options.fit_rows);
  const RowStream& fitted = all == nullptr ? held : *all;
  BEBR_ASSIGN_OR_RETURN(const CorpusStatistics statistics,
                        MeasureRows(options, fitted, components, pool.size(), continues, result));
  BEBR_ASSIGN_OR_RETURN(const LevelPlan shape,
                        FindShape(options, statistics, documents, validator, begin, continues, result));
  BEBR_ASSIGN_OR_RETURN(result.model, BuildStart(options, statistics, documents, shape, continues));
  BEBR_ASSIGN_OR_RETURN(result.start, validator.Measure(result.model));
  result.kept = result.start;
  BEBR_ASSIGN_OR_RETURN(std::optional<Model> grouped,
                        TryGroups(options, statistics, documents, fitted, validator, begin, continues, result));
  result.start_s = SecondsSince(begin);
  BEBR_RETURN_IF_ERROR(continues());
  searches = false;
  const bool from_groups = grouped.has_value() && result.grouped.at_10 > result.start.at_10 + kClearly;
  if (from_groups) KeepBetter(*grouped, result);
  if (IsTrained(options, shape, result)) {
    const Model start =
        from_groups ? *grouped : ToTrainable(result.model, options.residual_form, options.hidden, options.seed);
    BEBR_RETURN_IF_ERROR(Improve(options, start, documents, pairs, validator, nullptr, result));
  }
  BEBR_ASSIGN_OR_RETURN(result.bits_that_differ, CodeDisagreement(result.model, validator.queries()));
  if (grouped.has_value() && !from_groups) KeepBetter(*std::move(grouped), result);
  if (documents.rows < kFewRows) result.among_many = AmongMany(options, documents, shape, result.start, pool);
  result.total_s = SecondsSince(begin);
  return result;
}

absl::StatusOr<TrainResult> TrainCompatible(const TrainOptions& options, OlderVersion older, Matrix documents,
                                            Matrix queries) {
  const Clock::time_point begin = Clock::now();
  BEBR_RETURN_IF_ERROR(CheckOptions(options, documents, queries));
  BEBR_RETURN_IF_ERROR(CheckLengths(documents, options.metric));
  BEBR_RETURN_IF_ERROR(CheckOlder(older.model, options.metric));
  BEBR_RETURN_IF_ERROR(CheckPaired(older, documents));
  ThreadPool pool(UseThreads(options));
  TrainResult result{.rows = documents.rows};
  WarnOfFewRows(documents, result);
  Matrix queries_old;
  if (queries.rows == 0) {
    queries = HoldOut(options, documents, result);
    TrainResult ignored;
    queries_old = HoldOut(options, older.documents, ignored);  // the same rows
  }
  result.held_out_queries = queries.rows;
  BEBR_ASSIGN_OR_RETURN(const std::unique_ptr<const Binarizer> old_encoder, MakeBinarizer(older.model, 0));
  BEBR_ASSIGN_OR_RETURN(result.model, CompatibleStart(older, documents));
  Validator validator(documents, std::move(queries), options.metric, pool);
  validator.MeasureAlsoOn(*old_encoder, older.documents);
  result.recall_documents = validator.documents().rows;
  BEBR_ASSIGN_OR_RETURN(result.start, validator.Measure(result.model));
  result.kept = result.start;
  result.start_s = SecondsSince(begin);
  const auto with_hidden = result.model.translation.has_value() ? WithTranslationHidden : WithHidden;
  const Model start = with_hidden(result.model, options.hidden, options.query_hidden, options.seed);
  BEBR_RETURN_IF_ERROR(Improve(options, start, documents, {}, validator, &older, result));
  if (result.trained_kept) {
    BEBR_ASSIGN_OR_RETURN(Model balanced, BalanceVersions(result.model, older, validator));
    BEBR_ASSIGN_OR_RETURN(HeldOutRecall recall, validator.Measure(balanced));
    if (recall.at_10 >= result.start.at_10) result.model = std::move(balanced), result.kept = std::move(recall);
  }
  BEBR_ASSIGN_OR_RETURN(result.compatibility, MeasureCompatibility(result.model, older, queries_old, validator));
  BEBR_ASSIGN_OR_RETURN(result.bits_that_differ, CodeDisagreement(result.model, validator.queries()));
  result.total_s = SecondsSince(begin);
  return result;
}

}  // namespace bebr
