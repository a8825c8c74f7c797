#include "index/fit/group_search.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "index/base/status_macros.h"
#include "index/binarizer/spans.h"
#include "index/fit/group_spans.h"
#include "index/fit/groups.h"
#include "index/fit/shapes.h"
#include "index/fit/validation.h"

namespace bebr {
namespace {

constexpr size_t kLeastRows = 4000;
constexpr size_t kRowsPerGroup = 60, kRowsPerBasis = 200;
constexpr uint32_t kLeastGroups = 8;
constexpr size_t kHeldOutRows = 8000;
constexpr double kModelShare = 0.07;   // of a code's bits
constexpr size_t kMoreQueries = 2000;  // beside those that are given
constexpr double kLeastGain = 0.001;   // of recall@10 by twice as many groups: queries pay for them
constexpr double kLeastSigmas = 2.0;
constexpr double kBitPrice = 0.6;  // of a model as large as the code, in parts of what is not found
// What a code of twice as many words must find of what is not found: shapes of the same bits are padded by more or
// less.
constexpr double kWordPrice = 0.2;
// Shares of the variance that the kept dims hold, rising.
constexpr double kKeptEnergies[] = {0.98, 0.993, 0.998};

// What groups are made with.
struct Plan {
  GroupCounts counts;
  size_t reduced = 0;  // dims that are kept
};

// Bits a document, of a model of such codes (FORMAT.md).
double ModelBits(const GroupSearch& search, const Plan& plan, const LevelPlan& shape) {
  const size_t n = search.corpus.dims, r = plan.reduced, bases = plan.counts.bases;
  const size_t bytes_of_bases = SpansPay(shape, r, bases)
                                    ? RotationBytes(shape) + bases * (SpanBytes(shape, r) + r + 4 * shape.runs().size())
                                    : bases * shape.dims() * (r + 4);
  const size_t bytes = 2 * r * n + bytes_of_bases + 4 * plan.counts.groups * n;
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(search.expected_documents);
}

bool IsSmall(const GroupSearch& search, const Plan& plan, const LevelPlan& shape) {
  return ModelBits(search, plan, shape) <= kModelShare * search.shape.bits();
}

// What a recall is worth beside that of other models: their bits would make longer codes, and a code of twice the bits
// leaves some two thirds as much unfound, or less.
double Worth(const GroupSearch& search, const Plan& plan, const LevelPlan& shape, double recall) {
  const double bits = ModelBits(search, plan, shape) / search.shape.bits();
  return recall - kBitPrice * (1.0 - recall) * bits -
         kLeastGain * std::log2(static_cast<double>(plan.counts.groups) / kLeastGroups);
}

double Words(const LevelPlan& shape) {
  double words = 0.0;
  for (const LevelPlan::Run& run : shape.runs()) words += CodeSpec::PlaneWords(run.dims) * run.levels;
  return words;
}

// Whole words at least: shapes for groups may have somewhat more dims.
size_t Kept(const GroupSearch& search, double energy) {
  return ReducedDims(search.corpus, (search.shape.dims() + 31) / 32 * 32, energy);
}

template <typename Rows>
absl::StatusOr<GroupStatistics> MeasureFor(const GroupSearch& search, const Rows& rows, const Plan& plan) {
  return MeasureGroups(rows, search.corpus, plan.counts, plan.reduced, plan.reduced, search.seed, search.continues);
}

absl::StatusOr<Model> ModelOf(const GroupSearch& search, const GroupStatistics& groups, const LevelPlan& shape) {
  return GroupedStartModel(search.corpus, groups, shape, search.query_levels, search.seed, search.continues);
}

// Whether it is worth a trial.
bool IsSensible(const GroupSearch& search, const Plan& plan) {
  const auto [groups, bases] = plan.counts;
  const size_t rows = search.rows.rows;
  return rows >= kLeastRows && groups >= kLeastGroups && groups <= search.most && bases >= 1 && bases <= groups &&
         groups * kRowsPerGroup <= rows && bases * kRowsPerBasis <= rows && search.shape.dims() <= plan.reduced &&
         IsSmall(search, plan, search.shape);
}

// The given queries and some of the rows, which are taken out.
Matrix QueriesFrom(const GroupSearch& search, Matrix& rows) {
  Matrix queries = SplitRows(rows, std::min(kMoreQueries, rows.rows / 10), search.seed);
  queries.rows += search.queries.rows;
  queries.values.insert(queries.values.end(), search.queries.values.begin(), search.queries.values.end());
  return queries;
}

// Shapes of the same bits that suit what the groups leave of the variances.
std::vector<LevelPlan> ShapesFor(const GroupSearch& search, const GroupStatistics& groups, const Plan& plan) {
  const size_t reduced = groups.reduced_dims;
  std::vector<double> variances(reduced, 0.0);
  size_t rows = 0;
  for (const CorpusStatistics& of_basis : groups.of_basis) {
    rows += of_basis.rows;
    for (size_t i = 0; i < reduced; ++i) variances[i] += static_cast<double>(of_basis.rows) * of_basis.variances[i];
  }
  for (double& variance : variances) variance /= static_cast<double>(rows);
  const auto shapes = CandidateShapes(variances, reduced, search.shape.bits(), kMaxPlanLevels, search.shape.trellis());
  std::vector<LevelPlan> suitable;
  for (const LevelPlan& shape : shapes.ok() ? *shapes : std::vector<LevelPlan>()) {
    const bool even = shape.runs().size() == 1;  // what has no use for principal components was found wanting before
    if (even || shape.dims() > reduced || shape == search.shape || !IsSmall(search, plan, shape)) continue;
    suitable.push_back(shape);
  }
  return suitable;
}

// Groups fitted to a part of the rows, measured on the others.
class Trials {
 public:
  Trials(const GroupSearch& search, ThreadPool& pool) : Trials(search, search.rows, pool) {}

  // The groups that are worth most, or none.
  absl::StatusOr<std::optional<Plan>> BestPlan() {
    BEBR_ASSIGN_OR_RETURN(without_, validator_.Measure(search_.without));
    of_best_ = without_.at_10;
    const size_t kept = Kept(search_, kKeptEnergies[0]);
    for (uint32_t groups = kMaxGroups; groups >= kLeastGroups && tried_.empty(); groups /= 2) {
      for (const uint32_t bases : {1u, 4u, 16u, 64u}) BEBR_RETURN_IF_ERROR(Try({{groups, bases}, kept}));
    }
    if (!best_.has_value()) return best_;
    const GroupCounts counts = best_->counts;
    for (const uint32_t bases : {counts.bases / 2, counts.bases * 2})
      BEBR_RETURN_IF_ERROR(Try({{counts.groups, bases}, kept}));
    for (uint32_t groups = best_->counts.groups / 2; groups >= best_->counts.bases; groups /= 2) {
      const double before = of_best_;
      BEBR_RETURN_IF_ERROR(Try({{groups, best_->counts.bases}, kept}));
      if (of_best_ == before) break;
    }
    for (const double energy : kKeptEnergies) {
      if (Kept(search_, energy) == best_->reduced) continue;
      const double before = of_best_;
      BEBR_RETURN_IF_ERROR(Try({best_->counts, Kept(search_, energy)}));
      if (of_best_ == before) break;
    }
    return best_;
  }

  // The shape for them: another than the one without groups where it finds more.
  absl::StatusOr<LevelPlan> BestShape(const Plan& plan) {
    BEBR_ASSIGN_OR_RETURN(const GroupStatistics groups, Measure(plan));
    BEBR_ASSIGN_OR_RETURN(const HeldOutRecall given, MeasureShape(groups, search_.shape));
    const double word_price = kWordPrice * (1.0 - given.at_10) / Words(search_.shape);
    const auto worth = [&](const LevelPlan& shape, double recall) {
      return Worth(search_, plan, shape, recall) - word_price * Words(shape);
    };
    LevelPlan best = search_.shape;
    double of_best = worth(best, given.at_10);
    for (const LevelPlan& shape : ShapesFor(search_, groups, plan)) {
      if (!HasTime()) break;
      BEBR_ASSIGN_OR_RETURN(const HeldOutRecall recall, MeasureShape(groups, shape));
      Tell(plan, shape, recall);
      if (worth(shape, recall.at_10) <= of_best) continue;
      best = shape;
      of_best = worth(shape, recall.at_10);
    }
    return best;
  }

 private:
  Trials(const GroupSearch& search, Matrix rows, ThreadPool& pool)
      : search_(search), fitted_(std::move(rows)), validator_(MakeValidator(search, fitted_, pool)) {}

  static Validator MakeValidator(const GroupSearch& search, Matrix& rows, ThreadPool& pool) {
    Matrix queries = QueriesFrom(search, rows);
    const Matrix unseen = SplitRows(rows, std::min(kHeldOutRows, rows.rows / 4), search.seed + 1);
    return Validator(unseen, std::move(queries), search.corpus.metric, pool, search.continues);
  }

  // Takes the plan where it is worth more than the best one before.
  absl::Status Try(const Plan& plan) {
    if (!IsSensible(search_, plan) || !HasTime()) return absl::OkStatus();
    const auto same = [&](const Plan& other) { return other.counts == plan.counts && other.reduced == plan.reduced; };
    if (std::any_of(tried_.begin(), tried_.end(), same)) return absl::OkStatus();
    tried_.push_back(plan);
    const absl::StatusOr<GroupStatistics> statistics = Measure(plan);
    if (absl::IsInvalidArgument(statistics.status())) return absl::OkStatus();  // the rows do not fall into groups
    BEBR_RETURN_IF_ERROR(statistics.status());
    BEBR_ASSIGN_OR_RETURN(const HeldOutRecall recall, MeasureShape(*statistics, search_.shape));
    Tell(plan, search_.shape, recall);
    const double worth = Worth(search_, plan, search_.shape, recall.at_10);
    if (worth <= of_best_ || PairedGain(recall, without_) < kLeastSigmas) return absl::OkStatus();
    best_ = plan;
    of_best_ = worth;
    return absl::OkStatus();
  }

  bool HasTime() const { return search_.has_time == nullptr || search_.has_time(); }

  void Tell(const Plan& plan, const LevelPlan& shape, const HeldOutRecall& recall) const {
    if (search_.tried == nullptr) return;
    search_.tried(
        {plan.counts.groups, plan.counts.bases, plan.reduced, shape, ModelBits(search_, plan, shape), recall.at_10});
  }

  absl::StatusOr<GroupStatistics> Measure(const Plan& plan) const {
    if (search_.continues) BEBR_RETURN_IF_ERROR(search_.continues());
    return MeasureFor(search_, fitted_, plan);
  }

  absl::StatusOr<HeldOutRecall> MeasureShape(const GroupStatistics& groups, const LevelPlan& shape) const {
    if (search_.continues) BEBR_RETURN_IF_ERROR(search_.continues());
    BEBR_ASSIGN_OR_RETURN(Model model, ModelOf(search_, groups, shape));
    model.spread.clear();  // which helps all alike, and takes time; as spans would
    return validator_.Measure(model);
  }

  const GroupSearch& search_;
  Matrix fitted_;
  Validator validator_;
  HeldOutRecall without_;
  std::vector<Plan> tried_;
  std::optional<Plan> best_;
  double of_best_ = 0.0;
};

}  // namespace

absl::StatusOr<std::optional<Model>> StartWithGroups(const GroupSearch& search, ThreadPool& pool) {
  std::optional<Plan> plan;
  LevelPlan shape = search.shape;
  if (search.rows.rows >= kLeastRows) {
    Trials trials(search, pool);  // holds rows of its own: gone before all of them are fitted
    BEBR_ASSIGN_OR_RETURN(plan, trials.BestPlan());
    if (plan.has_value()) {
      BEBR_ASSIGN_OR_RETURN(shape, trials.BestShape(*plan));
    }
  }
  if (!plan.has_value()) return std::optional<Model>();
  if (search.continues) BEBR_RETURN_IF_ERROR(search.continues());
  const absl::StatusOr<GroupStatistics> groups =
      search.all == nullptr ? MeasureFor(search, search.rows, *plan) : MeasureFor(search, *search.all, *plan);
  if (absl::IsInvalidArgument(groups.status())) return std::optional<Model>();  // the rows do not fall into groups
  BEBR_RETURN_IF_ERROR(groups.status());
  BEBR_ASSIGN_OR_RETURN(Model model, ModelOf(search, *groups, shape));
  TellBySpans(*groups, search.seed, model);
  BEBR_RETURN_IF_ERROR(Ask(search.continues));
  return std::optional<Model>(std::move(model));
}

}  // namespace bebr
