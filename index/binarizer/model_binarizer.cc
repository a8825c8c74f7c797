#include "index/binarizer/model_binarizer.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace bebr {
namespace {

std::string Describe(const Model& model) {
  return absl::StrCat(
      model.architecture == "median" ? "median thresholds" : "residual binarizer", ", ", model.input_dims, "-d ",
      std::string(ToString(model.metric)), " -> ", model.levels().ToString(), " (", model.spec.bits(), " bits)",
      model.spec.groups() > 1 ? absl::StrCat(" in ", model.spec.groups(), " groups") : "", ", queries with ",
      model.query_levels, " levels", model.quantizer == Quantizer::kFitted ? ", fitted to every row" : "",
      model.hidden.empty() ? ", linear" : absl::StrCat(", hidden ", absl::StrJoin(model.hidden, ",")),
      model.query_hidden.empty() ? "" : absl::StrCat(", queries' hidden ", absl::StrJoin(model.query_hidden, ",")));
}

}  // namespace

ModelBinarizer::ModelBinarizer(const Model& model, uint32_t checksum)
    : spec_(model.spec),
      input_dims_(model.input_dims),
      query_levels_(model.query_levels),
      metric_(model.metric),
      checksum_(checksum),
      description_(Describe(model)),
      mean_(model.mean),
      query_length_(model) {}

}  // namespace bebr
