#include "index/catalog/auto_record.h"

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/catalog/json_numbers.h"

namespace bebr {
namespace {

using nlohmann::json;

absl::StatusOr<AutoBinarizerConfig> ParseConfig(const json& object) {
  AutoBinarizerConfig config;
  BEBR_ASSIGN_OR_RETURN(config.dims, Number<uint32_t>(object, "dims"));
  BEBR_ASSIGN_OR_RETURN(config.bits, Number<uint32_t>(object, "bits"));
  config.recall = object.at("recall");
  BEBR_ASSIGN_OR_RETURN(config.metric, MetricNamedIn(object));
  if (config.dims < 2 || config.dims > kMaxAutoDims || config.bits > kMaxAutoBits || config.bits % 32 != 0) {
    return absl::DataLossError(
        absl::StrFormat("auto_binarizer has %d dims and %d bits, which none has", config.dims, config.bits));
  }
  if (!(config.recall >= 0.0 && config.recall < 1.0)) {
    return absl::DataLossError(
        absl::StrFormat("the recall of auto_binarizer is %g; it is 0 or more and below 1", config.recall));
  }
  return config;
}

}  // namespace

json ToJson(const AutoRecord& record) {
  json events = json::array();
  for (const AutoEvent& event : record.events) events.push_back({{"unix_us", event.unix_us}, {"text", event.text}});
  return {{"dims", record.config.dims},
          {"bits", record.config.bits},
          {"recall", record.config.recall},
          {"metric", ToString(record.config.metric)},
          {"keeps_floats", record.keeps_floats},
          {"measures_rerank", record.measures_rerank},
          {"version", record.version},
          {"candidate", record.candidate},
          {"outgoing", record.outgoing},
          {"final", record.final},
          {"dropping_floats", record.dropping_floats},
          {"fitted_documents", record.fitted_documents},
          {"fitted_rows", record.fitted_rows},
          {"measured_documents", record.measured_documents},
          {"measured_recall", record.recall},
          {"recall_goal", record.recall_goal},
          {"fits", record.fits},
          {"promotions", record.promotions},
          {"events", events}};
}

absl::StatusOr<AutoRecord> ParseAutoRecord(const json& object) {
  AutoRecord record;
  BEBR_ASSIGN_OR_RETURN(record.config, ParseConfig(object));
  record.keeps_floats = object.at("keeps_floats");
  record.measures_rerank = object.at("measures_rerank");
  record.version = object.at("version");
  record.candidate = object.at("candidate");
  record.outgoing = object.at("outgoing");
  record.final = object.at("final");
  record.dropping_floats = object.at("dropping_floats");
  BEBR_ASSIGN_OR_RETURN(record.fitted_documents, Number<uint64_t>(object, "fitted_documents"));
  BEBR_ASSIGN_OR_RETURN(record.fitted_rows, Number<uint64_t>(object, "fitted_rows"));
  BEBR_ASSIGN_OR_RETURN(record.measured_documents, Number<uint64_t>(object, "measured_documents"));
  record.recall = object.at("measured_recall");
  record.recall_goal = object.at("recall_goal");
  BEBR_ASSIGN_OR_RETURN(record.fits, Number<uint32_t>(object, "fits"));
  BEBR_ASSIGN_OR_RETURN(record.promotions, Number<uint32_t>(object, "promotions"));
  for (const json& entry : object.at("events")) {
    AutoEvent& event = record.events.emplace_back();
    BEBR_ASSIGN_OR_RETURN(event.unix_us, Time(entry, "unix_us"));
    event.text = entry.at("text");
  }
  return record;
}

}  // namespace bebr
