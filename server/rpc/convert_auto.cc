#include "server/rpc/convert_auto.h"

#include "absl/strings/str_format.h"
#include "server/call/hidden_paths.h"

namespace bebr {
namespace {

v1::AutoState ToProto(AutoState state) {
  switch (state) {
    case AutoState::kCollecting:
      return v1::AUTO_STATE_COLLECTING;
    case AutoState::kFitting:
      return v1::AUTO_STATE_FITTING;
    case AutoState::kBackfilling:
      return v1::AUTO_STATE_BACKFILLING;
    case AutoState::kChecking:
      return v1::AUTO_STATE_CHECKING;
    case AutoState::kFitted:
      return v1::AUTO_STATE_FITTED;
    case AutoState::kFinal:
      return v1::AUTO_STATE_FINAL;
  }
  return v1::AUTO_STATE_UNSPECIFIED;
}

}  // namespace

absl::StatusOr<AutoBinarizerConfig> ToAutoBinarizer(const v1::AutoBinarizer& config) {
  AutoBinarizerConfig result{.dims = config.dims(), .bits = config.bits(), .recall = config.recall()};
  switch (config.metric()) {
    case v1::METRIC_UNSPECIFIED:
    case v1::METRIC_COSINE:
      result.metric = Metric::kCosine;
      return result;
    case v1::METRIC_INNER_PRODUCT:
      result.metric = Metric::kInnerProduct;
      return result;
    case v1::METRIC_L2:
      result.metric = Metric::kL2;
      return result;
    default:
      return absl::InvalidArgumentError(
          absl::StrFormat("auto_binarizer.metric is %d; it is 1 (cosine), 2 (inner product) or 3 (l2)",
                          static_cast<int>(config.metric())));
  }
}

v1::Metric ToProto(Metric metric) {
  switch (metric) {
    case Metric::kCosine:
      return v1::METRIC_COSINE;
    case Metric::kInnerProduct:
      return v1::METRIC_INNER_PRODUCT;
    case Metric::kL2:
      return v1::METRIC_L2;
  }
  return v1::METRIC_UNSPECIFIED;
}

void ToProto(const AutoInfo& info, v1::AutoStatus* out) {
  out->set_state(ToProto(info.state));
  out->mutable_config()->set_dims(info.config.dims);
  out->mutable_config()->set_bits(info.config.bits);
  out->mutable_config()->set_recall(info.config.recall);
  out->mutable_config()->set_metric(ToProto(info.config.metric));
  out->set_fitted_documents(info.fitted_documents);
  out->set_next_fit_documents(info.next_fit_documents);
  out->set_recall(info.recall);
  out->set_recall_goal(info.recall_goal);
  out->set_fits(info.fits);
  out->set_promotions(info.promotions);
  for (const AutoEvent& event : info.events) {
    v1::AutoEvent* added = out->add_events();
    added->set_unix_us(event.unix_us);
    added->set_text(event.text);
  }
  out->set_error(ForCallers(info.error));
}

}  // namespace bebr
