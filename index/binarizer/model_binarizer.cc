#include "index/binarizer/model_binarizer.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "index/base/checksum.h"

namespace bebr {
namespace {

std::string Describe(const Model& model) {
  return absl::StrCat(
      model.architecture == "median" ? "median thresholds" : "residual binarizer", ", ", model.embedding_dims(), "-d ",
      model.translation.has_value() ? absl::StrCat("translated to ", model.input_dims, "-d ") : "",
      std::string(ToString(model.metric)), " -> ", model.levels().ToString(), " (", model.spec.bits(), " bits)",
      model.spec.groups() > 1 ? absl::StrCat(" in ", model.spec.groups(), " groups") : "", ", queries with ",
      model.query_levels, " levels", model.quantizer == Quantizer::kFitted ? ", fitted to every row" : "",
      model.hidden.empty() ? ", linear" : absl::StrCat(", hidden ", absl::StrJoin(model.hidden, ",")),
      model.query_hidden.empty() ? "" : absl::StrCat(", queries' hidden ", absl::StrJoin(model.query_hidden, ",")));
}

uint32_t GroupsChecksum(const Model& model) {
  if (model.spec.groups() == 1) return 0;
  uint32_t checksum = Crc32c(absl::StrCat(model.levels().ToString(), ",", model.input_dims, ",", model.reduced_dims));
  const auto add = [&](const std::vector<float>& values) {
    checksum = Crc32c({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)}, checksum);
  };
  add(model.mean);
  add(model.reduce);
  for (const GroupParameters& group : model.groups) {
    add(group.mean);
    add(model.bases[group.basis].band_weights);
    add(model.bases[group.basis].project);
  }
  return checksum;
}

}  // namespace

ModelBinarizer::ModelBinarizer(const Model& model, uint32_t checksum)
    : spec_(model.spec),
      input_dims_(model.embedding_dims()),
      query_levels_(model.query_levels),
      metric_(model.metric),
      checksum_(checksum),
      groups_checksum_(GroupsChecksum(model)),
      description_(Describe(model)),
      mean_(model.translation.has_value() ? model.translation->mean : model.mean),
      query_length_(model) {}

}  // namespace bebr
