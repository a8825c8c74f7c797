#include <utility>

#include "absl/strings/str_cat.h"
#include "index/base/status_macros.h"
#include "index/binarizer/model_parts.h"
#include "index/binarizer/safetensors.h"
#include "index/binarizer/spans.h"

namespace bebr {
namespace {

// Parts of a tensor of all groups, or of all bases, as theirs.
template <typename Part>
absl::Status Give(absl::StatusOr<std::vector<std::vector<float>>> values, std::vector<Part>& parts,
                  std::vector<float> Part::*member) {
  BEBR_RETURN_IF_ERROR(values.status());
  for (size_t i = 0; i < parts.size(); ++i) parts[i].*member = std::move((*values)[i]);
  return absl::OkStatus();
}

template <typename Part>
std::vector<float> Joined(const std::vector<Part>& parts, std::vector<float> Part::*member) {
  std::vector<float> values;
  for (const Part& part : parts) values.insert(values.end(), (part.*member).begin(), (part.*member).end());
  return values;
}

// Which basis each group has.
absl::Status ReadBasisNumbers(ModelReader& reader, Model& model) {
  if (!model.byte_bases) {
    for (uint32_t g = 0; g < model.groups.size(); ++g) model.groups[g].basis = g;
    return absl::OkStatus();
  }
  BEBR_ASSIGN_OR_RETURN(const std::vector<float> bases,
                        reader.Take("groups.basis", {model.groups.size()}, TensorType::kI8));
  for (size_t g = 0; g < bases.size(); ++g) {
    if (bases[g] < 0.0f || bases[g] >= static_cast<float>(model.bases.size())) {
      return InvalidModel(absl::StrCat("tensor 'groups.basis' holds ", bases[g], "; there are ", model.bases.size(),
                                       " bases, from 0 on"));
    }
    model.groups[g].basis = static_cast<uint32_t>(bases[g]);
  }
  return absl::OkStatus();
}

// Bytes, of which the projections are made.
absl::Status ReadSpans(ModelReader& reader, Model& model) {
  const LevelPlan plan = model.levels();
  const size_t r = model.reduced_dims, bases = model.bases.size();
  BEBR_RETURN_IF_ERROR(CheckSpanSizes(model));
  BEBR_ASSIGN_OR_RETURN(model.rotation, reader.Take("rotation", {RotationBytes(plan)}, TensorType::kI8));
  BEBR_ASSIGN_OR_RETURN(auto leads, reader.TakeParts("groups.leads", {bases, r}, TensorType::kI8));
  BEBR_ASSIGN_OR_RETURN(auto bytes, reader.TakeParts("groups.spans", {bases, SpanBytes(plan, r)}, TensorType::kI8));
  BEBR_ASSIGN_OR_RETURN(auto scales, reader.TakeParts("groups.spans.scale", {bases, plan.runs().size()}));
  for (size_t b = 0; b < bases; ++b) {
    model.bases[b].spans = {std::move(leads[b]), std::move(bytes[b]), std::move(scales[b])};
  }
  BEBR_RETURN_IF_ERROR(CheckSpans(model));
  const std::vector<RunTurn> turns = RunTurns(plan, model.rotation);
  for (BasisParameters& basis : model.bases) basis.project = FromSpans(plan, r, turns, basis.spans, basis.band_weights);
  return absl::OkStatus();
}

void WriteSpans(const Model& model, SafetensorsFile& file) {
  const LevelPlan plan = model.levels();
  const size_t r = model.reduced_dims, bases = model.bases.size();
  SafetensorsFile::Tensor leads{{bases, r}, {}, TensorType::kI8},
      bytes{{bases, SpanBytes(plan, r)}, {}, TensorType::kI8}, scales{{bases, plan.runs().size()}, {}};
  const auto add = [](SafetensorsFile::Tensor& tensor, const std::vector<float>& values) {
    tensor.values.insert(tensor.values.end(), values.begin(), values.end());
  };
  for (const BasisParameters& basis : model.bases) {
    add(leads, basis.spans.leads);
    add(bytes, basis.spans.bytes);
    add(scales, basis.spans.scales);
  }
  file.tensors()["rotation"] = {{model.rotation.size()}, model.rotation, TensorType::kI8};
  file.tensors()["groups.leads"] = std::move(leads);
  file.tensors()["groups.spans"] = std::move(bytes);
  file.tensors()["groups.spans.scale"] = std::move(scales);
}

}  // namespace

absl::Status ReadGroups(ModelReader& reader, bool spans, bool may_spread, Model& model) {
  const size_t n = model.input_dims, m = model.components(), r = model.reduced_dims, bases = model.bases.size();
  BEBR_ASSIGN_OR_RETURN(model.reduce, reader.Take("reduce", {r, n}, TensorType::kF16));
  if (may_spread && reader.Has("spread")) {
    BEBR_ASSIGN_OR_RETURN(model.spread, reader.Take("spread", {r}));
  }
  BEBR_RETURN_IF_ERROR(
      Give(reader.TakeParts("groups.mean", {model.groups.size(), n}), model.groups, &GroupParameters::mean));
  BEBR_RETURN_IF_ERROR(ReadBasisNumbers(reader, model));
  BEBR_RETURN_IF_ERROR(Give(reader.TakeParts("groups.band_weights", {bases, model.spec.bands().size()}), model.bases,
                            &BasisParameters::band_weights));
  if (spans) return ReadSpans(reader, model);
  return Give(model.byte_bases ? reader.TakeByteRows("groups.project", {bases, m, r})
                               : reader.TakeParts("groups.project", {bases, m, r}, TensorType::kF16),
              model.bases, &BasisParameters::project);
}

void WriteGroups(const Model& model, SafetensorsFile& file) {
  const size_t n = model.input_dims, m = model.components(), r = model.reduced_dims;
  const size_t groups = model.groups.size(), bases = model.bases.size();
  file.metadata()["groups"] = absl::StrCat(groups);
  file.metadata()["reduced_dims"] = absl::StrCat(r);
  file.tensors()["reduce"] = {{r, n}, model.reduce, TensorType::kF16};
  file.tensors()["groups.mean"] = {{groups, n}, Joined(model.groups, &GroupParameters::mean)};
  file.tensors()["groups.band_weights"] = {{bases, model.spec.bands().size()},
                                           Joined(model.bases, &BasisParameters::band_weights)};
  if (!model.spread.empty()) file.tensors()["spread"] = {{r}, model.spread};
  if (!model.byte_bases) {
    file.tensors()["groups.project"] = {
        {bases, m, r}, Joined(model.bases, &BasisParameters::project), TensorType::kF16};
    return;
  }
  file.metadata()["bases"] = absl::StrCat(bases);
  if (model.rotation.empty()) {
    WriteByteRows(file, "groups.project", {bases, m, r}, Joined(model.bases, &BasisParameters::project));
  } else {
    WriteSpans(model, file);
  }
  SafetensorsFile::Tensor basis{{groups}, {}, TensorType::kI8};
  for (const GroupParameters& group : model.groups) basis.values.push_back(static_cast<float>(group.basis));
  file.tensors()["groups.basis"] = std::move(basis);
}

}  // namespace bebr
