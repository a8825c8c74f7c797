#include "index/fit/group_search.h"

#include <algorithm>
#include <utility>

#include "index/base/status_macros.h"
#include "index/fit/groups.h"
#include "index/fit/shapes.h"
#include "index/fit/validation.h"

namespace bebr {
namespace {

constexpr uint32_t kCounts[] = {8, 16, 32, 64};
constexpr size_t kLeastRows = 4000;
constexpr size_t kRowsPerGroup = 200;
constexpr size_t kHeldOutRows = 8000;
constexpr double kModelShare = 0.07;   // of a code's bits
constexpr size_t kMoreQueries = 2000;  // beside those that are given
constexpr double kLeastGain = 0.001;   // of recall@10 by twice as many groups
constexpr double kLeastSigmas = 2.0;
// What a code of twice as many words must find of what is not found: shapes of the same bits are padded by more or
// less.
constexpr double kWordPrice = 0.2;

// Bits a document, of a model of `count` groups whose codes have `dims` components: F16 but for the means.
double ModelBits(const GroupSearch& search, size_t count, size_t dims, size_t reduced) {
  const size_t n = search.corpus.dims;
  const size_t bytes = 2 * (reduced * n + count * reduced * dims) + 4 * count * n;
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(search.expected_documents);
}

bool IsSmall(const GroupSearch& search, size_t count, size_t dims, size_t reduced) {
  return ModelBits(search, count, dims, reduced) <= kModelShare * search.shape.bits();
}

double Words(const LevelPlan& shape) {
  double words = 0.0;
  for (const LevelPlan::Run& run : shape.runs()) words += CodeSpec::PlaneWords(run.dims) * run.levels;
  return words;
}

size_t Reduced(const GroupSearch& search) { return ReducedDims(search.corpus, search.shape.dims()); }

template <typename Rows>
absl::StatusOr<GroupStatistics> MeasureFor(const GroupSearch& search, const Rows& rows, uint32_t count) {
  const size_t reduced = Reduced(search);
  return MeasureGroups(rows, search.corpus, count, reduced, reduced, search.seed);
}

absl::StatusOr<Model> ModelOf(const GroupSearch& search, const GroupStatistics& groups, const LevelPlan& shape) {
  return GroupedStartModel(search.corpus, groups, shape, search.query_levels, search.seed);
}

// The counts that are worth a trial, rising.
std::vector<uint32_t> Counts(const GroupSearch& search) {
  std::vector<uint32_t> counts;
  const size_t reduced = Reduced(search);
  if (search.rows.rows < kLeastRows || search.shape.dims() > reduced) return counts;
  for (const uint32_t count : kCounts) {
    if (count > search.most || count * kRowsPerGroup > search.rows.rows) continue;
    if (IsSmall(search, count, search.shape.dims(), reduced)) counts.push_back(count);
  }
  return counts;
}

// The given queries and some of the rows, which are taken out.
Matrix QueriesFrom(const GroupSearch& search, Matrix& rows) {
  Matrix queries = SplitRows(rows, std::min(kMoreQueries, rows.rows / 10), search.seed);
  queries.rows += search.queries.rows;
  queries.values.insert(queries.values.end(), search.queries.values.begin(), search.queries.values.end());
  return queries;
}

// Shapes of the same bits that suit what the groups leave of the variances.
std::vector<LevelPlan> ShapesFor(const GroupSearch& search, const GroupStatistics& groups, uint32_t count) {
  const size_t reduced = groups.reduced_dims;
  std::vector<double> variances(reduced, 0.0);
  size_t rows = 0;
  for (const CorpusStatistics& of_group : groups.of_group) {
    rows += of_group.rows;
    for (size_t i = 0; i < reduced; ++i) variances[i] += static_cast<double>(of_group.rows) * of_group.variances[i];
  }
  for (double& variance : variances) variance /= static_cast<double>(rows);
  const auto shapes = CandidateShapes(variances, reduced, search.shape.bits(), kMaxPlanLevels, search.shape.trellis());
  std::vector<LevelPlan> suitable;
  for (const LevelPlan& shape : shapes.ok() ? *shapes : std::vector<LevelPlan>()) {
    const bool even = shape.runs().size() == 1;  // what has no use for principal components was found wanting before
    if (even || shape.dims() > reduced || shape == search.shape || !IsSmall(search, count, shape.dims(), reduced))
      continue;
    suitable.push_back(shape);
  }
  return suitable;
}

// Groups fitted to a part of the rows, measured on the others.
class Trials {
 public:
  Trials(const GroupSearch& search, ThreadPool& pool) : Trials(search, search.rows, pool) {}

  // How many groups are best, 1 for none.
  absl::StatusOr<uint32_t> BestCount(const std::vector<uint32_t>& counts) {
    BEBR_ASSIGN_OR_RETURN(const HeldOutRecall without, validator_.Measure(search_.without));
    uint32_t best = 1;
    double of_best = without.at_10, price = 0.0;
    for (const uint32_t count : counts) {
      const absl::StatusOr<GroupStatistics> groups = Measure(count);
      if (absl::IsInvalidArgument(groups.status())) break;  // the rows do not fall into groups
      BEBR_RETURN_IF_ERROR(groups.status());
      BEBR_ASSIGN_OR_RETURN(const HeldOutRecall recall, MeasureShape(*groups, search_.shape));
      price += kLeastGain;
      if (recall.at_10 - price <= of_best || PairedGain(recall, without) < kLeastSigmas) continue;
      best = count;
      of_best = recall.at_10 - price;
    }
    return best;
  }

  // The shape for so many groups: another than the one without groups where it finds more.
  absl::StatusOr<LevelPlan> BestShape(uint32_t count) {
    BEBR_ASSIGN_OR_RETURN(const GroupStatistics groups, Measure(count));
    BEBR_ASSIGN_OR_RETURN(const HeldOutRecall given, MeasureShape(groups, search_.shape));
    const double word_price = kWordPrice * (1.0 - given.at_10) / Words(search_.shape);
    LevelPlan best = search_.shape;
    double of_best = given.at_10 - word_price * Words(best);
    for (const LevelPlan& shape : ShapesFor(search_, groups, count)) {
      BEBR_ASSIGN_OR_RETURN(const HeldOutRecall recall, MeasureShape(groups, shape));
      const double value = recall.at_10 - word_price * Words(shape);
      if (value <= of_best) continue;
      best = shape;
      of_best = value;
    }
    return best;
  }

 private:
  Trials(const GroupSearch& search, Matrix rows, ThreadPool& pool)
      : search_(search), fitted_(std::move(rows)), validator_(MakeValidator(search, fitted_, pool)) {}

  static Validator MakeValidator(const GroupSearch& search, Matrix& rows, ThreadPool& pool) {
    Matrix queries = QueriesFrom(search, rows);
    const Matrix unseen = SplitRows(rows, std::min(kHeldOutRows, rows.rows / 4), search.seed + 1);
    return Validator(unseen, std::move(queries), search.corpus.metric, pool);
  }

  absl::StatusOr<GroupStatistics> Measure(uint32_t count) const {
    if (search_.continues) BEBR_RETURN_IF_ERROR(search_.continues());
    return MeasureFor(search_, fitted_, count);
  }

  absl::StatusOr<HeldOutRecall> MeasureShape(const GroupStatistics& groups, const LevelPlan& shape) const {
    if (search_.continues) BEBR_RETURN_IF_ERROR(search_.continues());
    BEBR_ASSIGN_OR_RETURN(const Model model, ModelOf(search_, groups, shape));
    return validator_.Measure(model);
  }

  const GroupSearch& search_;
  Matrix fitted_;
  Validator validator_;
};

}  // namespace

absl::StatusOr<std::optional<Model>> StartWithGroups(const GroupSearch& search, ThreadPool& pool) {
  const std::vector<uint32_t> counts = Counts(search);
  if (counts.empty()) return std::optional<Model>();
  uint32_t count = 1;
  LevelPlan shape = search.shape;
  {
    Trials trials(search, pool);  // holds rows of its own: gone before all of them are fitted
    BEBR_ASSIGN_OR_RETURN(count, trials.BestCount(counts));
    if (count == 1) return std::optional<Model>();
    BEBR_ASSIGN_OR_RETURN(shape, trials.BestShape(count));
  }
  if (search.continues) BEBR_RETURN_IF_ERROR(search.continues());
  const absl::StatusOr<GroupStatistics> groups =
      search.all == nullptr ? MeasureFor(search, search.rows, count) : MeasureFor(search, *search.all, count);
  if (absl::IsInvalidArgument(groups.status())) return std::optional<Model>();  // the rows do not fall into groups
  BEBR_RETURN_IF_ERROR(groups.status());
  BEBR_ASSIGN_OR_RETURN(Model model, ModelOf(search, *groups, shape));
  return std::optional<Model>(std::move(model));
}

}  // namespace bebr
