#include "index/fit/group_search.h"

#include <algorithm>
#include <utility>

#include "index/base/status_macros.h"
#include "index/fit/groups.h"
#include "index/fit/validation.h"

namespace bebr {
namespace {

constexpr uint32_t kCounts[] = {8, 16, 32, 64};
constexpr size_t kLeastRows = 4000;
constexpr size_t kRowsPerGroup = 200;
constexpr size_t kHeldOutRows = 8000;
constexpr double kModelShare = 0.07;   // of a code's bits
constexpr size_t kMoreQueries = 2000;  // beside those that are given
constexpr double kLeastGain = 0.002;   // of recall@10 by twice as many groups
constexpr double kLeastSigmas = 2.0;

// Bits a document, of a model of `count` groups: F16 but for the means.
double ModelBits(const GroupSearch& search, size_t count, size_t reduced) {
  const size_t n = search.corpus.dims;
  const size_t bytes = 2 * (reduced * n + count * reduced * search.shape.dims()) + 4 * count * n;
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(search.expected_documents);
}

absl::StatusOr<Model> Fit(const GroupSearch& search, const Matrix& rows, uint32_t count) {
  const size_t reduced = ReducedDims(search.corpus, search.shape.dims());
  BEBR_ASSIGN_OR_RETURN(const GroupStatistics groups,
                        MeasureGroups(rows, search.corpus, count, reduced, search.shape.dims(), search.seed));
  return GroupedStartModel(search.corpus, groups, search.shape, search.query_levels, search.seed);
}

// The counts that are worth a trial, rising.
std::vector<uint32_t> Counts(const GroupSearch& search) {
  std::vector<uint32_t> counts;
  const size_t reduced = ReducedDims(search.corpus, search.shape.dims());
  if (search.rows.rows < kLeastRows || search.shape.dims() > reduced) return counts;
  for (const uint32_t count : kCounts) {
    if (count > search.most || count * kRowsPerGroup > search.rows.rows) continue;
    if (ModelBits(search, count, reduced) <= kModelShare * search.shape.bits()) counts.push_back(count);
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

// How many groups are best, 1 for none.
absl::StatusOr<uint32_t> BestCount(const GroupSearch& search, const std::vector<uint32_t>& counts, ThreadPool& pool) {
  Matrix fitted = search.rows;
  Matrix queries = QueriesFrom(search, fitted);
  const Matrix unseen = SplitRows(fitted, std::min(kHeldOutRows, fitted.rows / 4), search.seed + 1);
  const Validator validator(unseen, std::move(queries), search.corpus.metric, pool);
  BEBR_ASSIGN_OR_RETURN(const HeldOutRecall without, validator.Measure(search.without));
  uint32_t best = 1;
  double of_best = without.at_10, price = 0.0;
  for (const uint32_t count : counts) {
    if (search.continues) BEBR_RETURN_IF_ERROR(search.continues());
    const absl::StatusOr<Model> model = Fit(search, fitted, count);
    if (absl::IsInvalidArgument(model.status())) break;  // the rows do not fall into groups
    BEBR_RETURN_IF_ERROR(model.status());
    BEBR_ASSIGN_OR_RETURN(const HeldOutRecall recall, validator.Measure(*model));
    price += kLeastGain;
    if (recall.at_10 - price <= of_best || PairedGain(recall, without) < kLeastSigmas) continue;
    best = count;
    of_best = recall.at_10 - price;
  }
  return best;
}

}  // namespace

absl::StatusOr<std::optional<Model>> StartWithGroups(const GroupSearch& search, ThreadPool& pool) {
  const std::vector<uint32_t> counts = Counts(search);
  if (counts.empty()) return std::optional<Model>();
  BEBR_ASSIGN_OR_RETURN(const uint32_t count, BestCount(search, counts, pool));
  if (count == 1) return std::optional<Model>();
  if (search.continues) BEBR_RETURN_IF_ERROR(search.continues());
  absl::StatusOr<Model> model = Fit(search, search.rows, count);
  if (absl::IsInvalidArgument(model.status())) return std::optional<Model>();  // the rows do not fall into groups
  BEBR_RETURN_IF_ERROR(model.status());
  return std::optional<Model>(*std::move(model));
}

}  // namespace bebr
