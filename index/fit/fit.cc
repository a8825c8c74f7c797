#include "index/fit/fit.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/base/thread_pool.h"
#include "index/fit/few_rows.h"
#include "index/fit/group_search.h"
#include "index/fit/shape_search.h"
#include "index/fit/start_model.h"
#include "index/fit/validation.h"

namespace bebr {
namespace {

constexpr uint32_t kQueryLevels = kMaxQueryLevels;
constexpr size_t kHeldOut = 500;
constexpr size_t kQuickQueries = 300;
constexpr size_t kQuickDocuments = 4000;
constexpr size_t kDocuments = 8000;  // among which the finalists look for neighbours
constexpr size_t kMostBits = 8192;
constexpr size_t kFewDims = 1024;  // of which all components are soon found

// Components that a shape of `bits` may use, and groups may keep: all of them where the budget is not known yet.
size_t ComponentsFor(size_t dims, size_t bits) {
  return bits == 0 || dims <= kFewDims ? dims : std::min(dims, std::max(bits, kFewDims));
}

// Borrows all of them.
ShapeSearch SearchFor(const CorpusStatistics& statistics, const FitRequest& request, const Validator& validator,
                      const Continues& continues) {
  ShapeSearch search;
  search.make_model = [&](const LevelPlan& shape) {
    return StartModel(statistics, shape, kQueryLevels, request.seed, continues);
  };
  search.tried = [&](const LevelPlan&, double, bool) { return continues(); };
  search.variances = statistics.variances;
  search.dims = statistics.dims;
  search.max_levels = kMaxPlanLevels;
  search.code = request.code;
  if (!AreFew(request.rows)) return search;
  search.among_others = [&](const LevelPlan& shape) {
    const auto fit = [&](const Matrix& part) -> absl::StatusOr<Model> {
      BEBR_ASSIGN_OR_RETURN(const CorpusStatistics of_part,
                            MeasureCorpus(part, request.metric, shape.dims(), request.seed, /*threads=*/1, continues));
      return StartModel(of_part, shape, kQueryLevels, request.seed, continues);
    };
    return RecallAmongOthers(request.rows, validator, fit);
  };
  return search;
}

absl::StatusOr<LevelPlan> PickShape(const ShapeSearch& search, const FitRequest& request, const Validator& validator,
                                    FittedModel& fitted) {
  const Validator quick = validator.Smaller(kQuickQueries, kQuickDocuments);
  if (request.bits != 0) return ShapeForBits(search, request.bits, validator, quick);
  absl::StatusOr<LevelPlan> shape = ShapeForRecall(search, request.recall, validator, quick);
  if (!absl::IsInvalidArgument(shape.status())) return shape;
  fitted.reached = false;
  const size_t most = std::min(search.dims * kMaxLevels, kMostBits) / 32 * 32;
  return ShapeForBits(search, std::max<size_t>(most, 64), validator, quick);
}

// The most levels that divide `bits` into at least `dims` whole words; 1 if none do.
uint32_t EvenLevels(uint32_t dims, size_t bits) {
  for (uint32_t levels = kMaxLevels; levels > 1; --levels) {
    if (bits % (32 * levels) == 0 && bits / levels >= dims) return levels;
  }
  return 1;
}

}  // namespace

absl::StatusOr<FittedModel> FitStart(FitRequest request) {
  ThreadPool nobody(0);  // the caller works alone
  FittedModel fitted;
  const size_t held_out = std::min(kHeldOut, request.rows.rows / 10);
  if (held_out == 0) {
    return absl::InvalidArgumentError(absl::StrFormat("%d rows are too few to fit to", request.rows.rows));
  }
  Matrix queries = SplitRows(request.rows, held_out, request.seed);
  fitted.rows = request.rows.rows;
  bool stop = false;  // once it is: a fit that has left something out is not taken up again
  const Continues continues = [&] {
    stop = stop || (request.cancelled != nullptr && request.cancelled());
    return stop ? absl::CancelledError("the fit is no longer wanted") : absl::OkStatus();
  };
  BEBR_ASSIGN_OR_RETURN(
      const CorpusStatistics statistics,
      MeasureCorpus(request.rows, request.metric, ComponentsFor(request.rows.dims, request.bits), request.seed,
                    /*threads=*/1, continues));
  const Validator validator(EvenlySpaced(request.rows, kDocuments), std::move(queries), request.metric, nobody,
                            continues);
  const ShapeSearch search = SearchFor(statistics, request, validator, continues);
  BEBR_RETURN_IF_ERROR(continues());
  BEBR_ASSIGN_OR_RETURN(const LevelPlan shape, PickShape(search, request, validator, fitted));
  BEBR_ASSIGN_OR_RETURN(fitted.model, search.make_model(shape));
  const GroupSearch groups{.rows = request.rows,
                           .queries = validator.queries(),
                           .corpus = statistics,
                           .shape = shape,
                           .without = fitted.model,
                           .query_levels = kQueryLevels,
                           .seed = request.seed,
                           .continues = continues};
  BEBR_ASSIGN_OR_RETURN(std::optional<Model> grouped, StartWithGroups(groups, nobody));
  if (grouped.has_value()) fitted.model = *std::move(grouped);
  BEBR_ASSIGN_OR_RETURN(const HeldOutRecall recall, validator.Measure(fitted.model));
  fitted.recall_at_10 = recall.at_10;
  return fitted;
}

absl::StatusOr<Model> DataFreeModel(uint32_t dims, Metric metric, size_t bits, uint64_t seed) {
  const uint32_t levels = EvenLevels(dims, bits);
  BEBR_ASSIGN_OR_RETURN(const CodeSpec shape, CodeSpec::Create({{static_cast<uint32_t>(bits / levels), levels, 1.0f}}));
  return RotationModel(dims, metric, shape, kQueryLevels, seed);
}

absl::StatusOr<Model> SignsModel(uint32_t bits) {
  constexpr uint32_t kLeastBits = 8, kMostBits = 4096;
  if (bits < kLeastBits || bits > kMostBits) {
    return absl::InvalidArgumentError(
        absl::StrFormat("codes of %d bits: they have %d to %d", bits, kLeastBits, kMostBits));
  }
  Model model;
  model.input_dims = bits;
  BEBR_ASSIGN_OR_RETURN(model.spec, CodeSpec::Create({{bits, 1, 1.0f}}));
  model.query_levels = 1;
  model.mean.assign(bits, 0.0f);
  model.project.linear.weight.assign(size_t{bits} * bits, 0.0f);
  for (size_t i = 0; i < bits; ++i) model.project.linear.weight[i * bits + i] = 1.0f;
  model.project.linear.bias.assign(bits, 0.0f);
  model.trained = "signs of embeddings, for codes that were made elsewhere";
  return model;
}

}  // namespace bebr
