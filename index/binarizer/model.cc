#include "index/binarizer/model.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/base/status_macros.h"
#include "index/binarizer/model_parts.h"
#include "index/binarizer/safetensors.h"

namespace bebr {
namespace {

constexpr char kFormat[] = "bebr-binarizer";
constexpr char kFormatVersion[] = "1";
constexpr char kFittedVersion[] = "2";      // with fitted quantizers, of which older programs do not know
constexpr char kGroupedVersion[] = "3";     // with groups, likewise
constexpr char kFineVersion[] = "4";        // with FineRules, with or without groups
constexpr char kTranslatedVersion[] = "5";  // with a Translation, and whatever versions 2 to 4 have
constexpr char kTrellisVersion[] = "6";     // with trellis-coded bands and FineRules, and whatever version 5 may have
constexpr char kByteVersion[] = "7";    // with groups whose bases are bytes and FineRules, and what version 6 may have
constexpr char kShapedVersion[] = "8";  // with trellis-coded runs of 4 levels or a spread, and what 6 and 7 may have
constexpr char kWideVersion[] = "9";    // with queries of more than kNarrowQueryLevels, and what 2 to 8 may have
constexpr char kSpannedVersion[] = "10";  // with bases of bytes that are told by spans, and what 9 may have

constexpr uint32_t kNarrowQueryLevels = 6;

// A byte becomes a float. So large a file of halves, which become floats as well, is a gigabyte.
constexpr uint64_t kMostByteValues = uint64_t{1} << 29;

// What a file of this version holds.
bool IsSpanned(const ModelReader& reader) { return reader.IsVersion(kSpannedVersion); }
bool IsWide(const ModelReader& reader) { return reader.IsVersion(kWideVersion) || IsSpanned(reader); }
bool IsShaped(const ModelReader& reader) { return reader.IsVersion(kShapedVersion) || IsWide(reader); }
bool IsBytes(const ModelReader& reader) {
  return reader.IsVersion(kByteVersion) || IsSpanned(reader) || (IsShaped(reader) && reader.HasText("bases"));
}
bool MayBeTrellis(const ModelReader& reader) {
  return reader.IsVersion(kTrellisVersion) || IsBytes(reader) || IsShaped(reader);
}
bool IsTranslated(const ModelReader& reader) {
  return reader.IsVersion(kTranslatedVersion) || (MayBeTrellis(reader) && reader.HasText("translation_dims"));
}
bool IsGrouped(const ModelReader& reader) {
  if (reader.IsVersion(kGroupedVersion) || IsBytes(reader)) return true;
  return (reader.IsVersion(kFineVersion) || IsTranslated(reader) || MayBeTrellis(reader)) && reader.HasText("groups");
}
bool IsFine(const ModelReader& reader) {
  if (IsWide(reader)) return reader.HasText("levels");
  return reader.IsVersion(kFineVersion) || MayBeTrellis(reader) || (IsTranslated(reader) && reader.HasText("levels"));
}

// Whether a trellis-coded run has more levels than a band.
bool HasFineTrellis(const LevelPlan& plan) {
  return std::any_of(plan.runs().begin(), plan.runs().end(),
                     [](const LevelPlan::Run& run) { return run.trellis && run.bands() > 1; });
}

// The version of the format says whether there is a quantizer.
absl::StatusOr<Quantizer> ReadQuantizer(const ModelReader& reader) {
  BEBR_ASSIGN_OR_RETURN(const std::string format, reader.Text("format"));
  BEBR_ASSIGN_OR_RETURN(const std::string version, reader.Text("format_version"));
  if (format != kFormat ||
      (version != kFormatVersion && version != kFittedVersion && version != kGroupedVersion &&
       version != kFineVersion && version != kTranslatedVersion && version != kTrellisVersion &&
       version != kByteVersion && version != kShapedVersion && version != kWideVersion && version != kSpannedVersion)) {
    return InvalidModel(absl::StrCat("it is '", format, "' version '", version, "'; this program reads '", kFormat,
                                     "' versions '", kFormatVersion, "' to '", kSpannedVersion, "'"));
  }
  if (version == kFormatVersion) return Quantizer::kRecurrent;
  BEBR_ASSIGN_OR_RETURN(const std::string quantizer, reader.Text("quantizer"));
  if (quantizer == "fitted") return Quantizer::kFitted;
  return InvalidModel(absl::StrCat("metadata 'quantizer' is '", quantizer, "'; it must be fitted"));
}

absl::StatusOr<Metric> ReadMetric(const ModelReader& reader) {
  BEBR_ASSIGN_OR_RETURN(const std::string metric, reader.Text("metric"));
  for (const Metric known : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    if (metric == ToString(known)) return known;
  }
  return InvalidModel(absl::StrCat("metadata 'metric' is '", metric, "'; it must be cosine, inner_product or l2"));
}

absl::StatusOr<std::optional<FineRules>> ReadFineRules(const ModelReader& reader, const CodeSpec& spec) {
  if (!IsFine(reader)) return std::optional<FineRules>();
  FineRules rules;
  BEBR_ASSIGN_OR_RETURN(const std::string levels, reader.Text("levels"));
  absl::StatusOr<LevelPlan> plan = LevelPlan::Parse(levels);
  if (!plan.ok()) return InvalidModel(absl::StrCat("metadata 'levels': ", plan.status().message()));
  rules.levels = *std::move(plan);
  if (HasFineTrellis(rules.levels) && !IsShaped(reader)) {
    return InvalidModel(absl::StrCat("metadata 'levels' is '", levels, "', but trellis-coded runs of more than ",
                                     kMaxTrellisLevels, " levels need format_version ", kShapedVersion));
  }
  if (spec.groups() > 1) {
    BEBR_ASSIGN_OR_RETURN(rules.tried_groups, reader.Number("tried_groups", 1, spec.groups()));
  }
  return std::optional<FineRules>(std::move(rules));
}

absl::StatusOr<std::optional<Translation>> ReadTranslation(ModelReader& reader, size_t n) {
  if (!IsTranslated(reader)) return std::optional<Translation>();
  Translation translation;
  BEBR_ASSIGN_OR_RETURN(translation.input_dims, reader.Number("translation_dims", 1, kMaxInputDims));
  const size_t k = translation.input_dims;
  BEBR_ASSIGN_OR_RETURN(translation.hidden, reader.Sizes("translation_hidden"));
  BEBR_ASSIGN_OR_RETURN(translation.row_length, reader.Length("translation_row_length"));
  BEBR_ASSIGN_OR_RETURN(const std::vector<float> constants, reader.Take("translation.constants", {2}));
  translation.document_scale = constants[0];
  translation.document_offset = constants[1];
  BEBR_ASSIGN_OR_RETURN(translation.mean, reader.Take("translation.mean", {k}));
  BEBR_ASSIGN_OR_RETURN(translation.document,
                        reader.TakeBlock("translation.document", k, n, translation.hidden, false));
  if (reader.HasText("translation_query_hidden")) {
    BEBR_ASSIGN_OR_RETURN(translation.query_hidden, reader.Sizes("translation_query_hidden"));
    BEBR_ASSIGN_OR_RETURN(translation.query,
                          reader.TakeBlock("translation.query", k, n, translation.query_hidden, false));
  }
  return std::optional<Translation>(std::move(translation));
}

void WriteTranslation(const Translation& translation, size_t n, SafetensorsFile& file) {
  const size_t k = translation.input_dims;
  file.metadata()["translation_dims"] = absl::StrCat(k);
  file.metadata()["translation_hidden"] = absl::StrJoin(translation.hidden, ",");
  if (translation.row_length > 0.0f)
    file.metadata()["translation_row_length"] = absl::StrFormat("%.9g", translation.row_length);
  file.tensors()["translation.constants"] = {{2}, {translation.document_scale, translation.document_offset}};
  file.tensors()["translation.mean"] = {{k}, translation.mean};
  WriteBlock(file, "translation.document", k, n, translation.hidden, translation.document);
  if (translation.query.linear.weight.empty()) return;
  file.metadata()["translation_query_hidden"] = absl::StrJoin(translation.query_hidden, ",");
  WriteBlock(file, "translation.query", k, n, translation.query_hidden, translation.query);
}

absl::Status CheckBytes(const Model& model) {
  const uint64_t values = uint64_t{model.components()} * model.reduced_dims * model.bases.size();
  if (!model.byte_bases || values <= kMostByteValues) return absl::OkStatus();
  return InvalidModel(absl::StrCat("its bases have ", values, " values; the limit is ", kMostByteValues));
}

uint32_t MostQueryLevels(const ModelReader& reader, const Model& model) {
  return IsWide(reader) ? kMaxQueryLevels : std::min(kNarrowQueryLevels, model.max_query_levels());
}

// The metadata that fixes every tensor's shape.
absl::StatusOr<Model> ReadHead(const ModelReader& reader) {
  Model model;
  BEBR_ASSIGN_OR_RETURN(model.quantizer, ReadQuantizer(reader));
  BEBR_ASSIGN_OR_RETURN(model.architecture, reader.Text("architecture"));
  BEBR_ASSIGN_OR_RETURN(model.metric, ReadMetric(reader));
  BEBR_ASSIGN_OR_RETURN(model.input_dims, reader.Number("input_dims", 1, kMaxInputDims));
  BEBR_ASSIGN_OR_RETURN(const std::string bands, reader.Text("bands"));
  BEBR_ASSIGN_OR_RETURN(model.spec, ParseCodeSpec(bands));
  if (model.spec.trellis() && !MayBeTrellis(reader)) {
    return InvalidModel(
        absl::StrCat("metadata 'bands' is '", bands, "', but trellis codes need format_version ", kTrellisVersion));
  }
  if (IsGrouped(reader)) {
    BEBR_ASSIGN_OR_RETURN(const uint32_t groups, reader.Number("groups", 2, kMaxGroups));
    BEBR_ASSIGN_OR_RETURN(model.spec, CodeSpec::Create(model.spec.bands(), groups));
    BEBR_ASSIGN_OR_RETURN(model.reduced_dims, reader.Number("reduced_dims", 1, model.input_dims));
    model.byte_bases = IsBytes(reader);
    uint32_t bases = groups;
    if (model.byte_bases) {
      BEBR_ASSIGN_OR_RETURN(bases, reader.Number("bases", 1, groups));
    }
    model.groups.resize(groups);
    model.bases.resize(bases);
  }
  BEBR_ASSIGN_OR_RETURN(model.fine, ReadFineRules(reader, model.spec));
  BEBR_RETURN_IF_ERROR(CheckBytes(model));
  BEBR_ASSIGN_OR_RETURN(model.query_levels,
                        reader.Number("query_levels", model.spec.max_levels(), MostQueryLevels(reader, model)));
  BEBR_ASSIGN_OR_RETURN(model.hidden, reader.Sizes("hidden"));
  if (reader.HasText("query_hidden")) {
    BEBR_ASSIGN_OR_RETURN(model.query_hidden, reader.Sizes("query_hidden"));
  }
  BEBR_ASSIGN_OR_RETURN(const std::string form, reader.Text("residual_form"));
  if (form != "code" && form != "input") {
    return InvalidModel(absl::StrCat("metadata 'residual_form' is '", form, "'; it must be code or input"));
  }
  model.residual_form = form == "code" ? ResidualForm::kCode : ResidualForm::kInput;
  BEBR_ASSIGN_OR_RETURN(model.trained, reader.Text("trained"));
  BEBR_ASSIGN_OR_RETURN(model.row_length, reader.Length("row_length"));
  return model;
}

absl::StatusOr<StepParameters> ReadStep(ModelReader& reader, const Model& model, const std::string& name) {
  const size_t n = model.input_dims, m = model.spec.dims();
  StepParameters step;
  BEBR_ASSIGN_OR_RETURN(const std::vector<float> gain, reader.Take(name + ".gain", {1}));
  step.gain = gain[0];
  BEBR_ASSIGN_OR_RETURN(step.residual, reader.TakeBlock(name + ".residual", n, m, model.step_hidden(), true));
  if (model.residual_form == ResidualForm::kInput) {
    BEBR_ASSIGN_OR_RETURN(step.reconstruct, reader.TakeBlock(name + ".reconstruct", m, n, model.hidden, false));
  } else if (reader.Has(name + ".feedback")) {
    BEBR_ASSIGN_OR_RETURN(step.feedback, reader.Take(name + ".feedback", {m, m}));
  }
  return step;
}

absl::StatusOr<FactorParameters> ReadFactors(ModelReader& reader, size_t n) {
  FactorParameters factors;
  BEBR_ASSIGN_OR_RETURN(factors.offset, reader.Take("factors.offset.weight", {n}));
  BEBR_ASSIGN_OR_RETURN(factors.squared_norm, reader.Take("factors.squared_norm.weight", {n}));
  BEBR_ASSIGN_OR_RETURN(const std::vector<float> constants, reader.Take("factors.constants", {4}));
  factors.offset_bias = constants[0];
  factors.squared_norm_bias = constants[1];
  factors.query_offset = constants[2];
  factors.query_scale = constants[3];
  return factors;
}

const char* VersionOf(const Model& model) {
  if (!model.rotation.empty()) return kSpannedVersion;
  if (model.query_levels > kNarrowQueryLevels) return kWideVersion;
  if (!model.spread.empty() || (model.fine.has_value() && HasFineTrellis(model.fine->levels))) return kShapedVersion;
  if (model.byte_bases) return kByteVersion;
  if (model.spec.trellis()) return kTrellisVersion;
  if (model.translation.has_value()) return kTranslatedVersion;
  if (model.fine.has_value()) return kFineVersion;
  if (model.spec.groups() > 1) return kGroupedVersion;
  return model.quantizer == Quantizer::kFitted ? kFittedVersion : kFormatVersion;
}

void WriteHead(const Model& model, SafetensorsFile& file) {
  file.metadata() = {{"format", kFormat},
                     {"format_version", VersionOf(model)},
                     {"architecture", model.architecture},
                     {"metric", std::string(ToString(model.metric))},
                     {"input_dims", absl::StrCat(model.input_dims)},
                     {"bands", model.spec.ToString()},
                     {"query_levels", absl::StrCat(model.query_levels)},
                     {"hidden", absl::StrJoin(model.hidden, ",")},
                     {"residual_form", model.residual_form == ResidualForm::kCode ? "code" : "input"},
                     {"trained", model.trained}};
  if (model.quantizer == Quantizer::kFitted) file.metadata().emplace("quantizer", "fitted");
  if (model.fine.has_value()) file.metadata()["levels"] = model.fine->levels.ToString();
  if (model.fine.has_value() && model.spec.groups() > 1)
    file.metadata()["tried_groups"] = absl::StrCat(model.fine->tried_groups);
  if (model.row_length > 0.0f) file.metadata()["row_length"] = absl::StrFormat("%.9g", model.row_length);
  if (!model.query_hidden.empty()) file.metadata()["query_hidden"] = absl::StrJoin(model.query_hidden, ",");
}

absl::StatusOr<Model> ReadModel(std::string_view file, uint32_t* checksum, bool frees) {
  BEBR_ASSIGN_OR_RETURN(SafetensorsView contents, SafetensorsView::Parse(file));
  const uint32_t computed = contents.Checksum("checksum");
  ModelReader reader(std::move(contents), frees);
  BEBR_ASSIGN_OR_RETURN(Model model, ReadHead(reader));
  BEBR_ASSIGN_OR_RETURN(const std::string stated, reader.Text("checksum"));
  if (stated != absl::StrFormat("%08x", computed)) {
    return InvalidModel(absl::StrCat("checksum is ", stated, ", its contents have ", absl::StrFormat("%08x", computed),
                                     ": the file is damaged"));
  }
  BEBR_ASSIGN_OR_RETURN(const std::vector<float> weights, reader.Take("band_weights", {model.spec.bands().size()}));
  std::vector<Band> bands = model.spec.bands();
  for (size_t b = 0; b < bands.size(); ++b) bands[b].weight = weights[b];
  BEBR_ASSIGN_OR_RETURN(model.spec, CodeSpec::Create(std::move(bands), model.spec.groups()));
  BEBR_ASSIGN_OR_RETURN(model.mean, reader.Take("mean", {model.input_dims}));
  BEBR_ASSIGN_OR_RETURN(model.translation, ReadTranslation(reader, model.input_dims));
  if (model.spec.groups() > 1) {
    BEBR_RETURN_IF_ERROR(ReadGroups(reader, IsSpanned(reader), IsShaped(reader), model));
  } else {
    BEBR_ASSIGN_OR_RETURN(model.project,
                          reader.TakeBlock("project", model.input_dims, model.components(), model.hidden, false));
  }
  if (reader.Has("query.weight")) {
    BEBR_ASSIGN_OR_RETURN(model.query,
                          reader.TakeBlock("query", model.input_dims, model.components(), model.query_hidden, false));
  }
  if (reader.Has("factors.constants")) {
    BEBR_ASSIGN_OR_RETURN(model.factors, ReadFactors(reader, model.input_dims));
  }
  for (uint32_t t = 1; t <= model.step_count(); ++t) {
    BEBR_ASSIGN_OR_RETURN(StepParameters step, ReadStep(reader, model, absl::StrCat("step", t)));
    model.steps.push_back(std::move(step));
  }
  BEBR_RETURN_IF_ERROR(reader.CheckNothingLeft());
  BEBR_RETURN_IF_ERROR(ValidateModel(model));
  if (checksum != nullptr) *checksum = computed;
  return model;
}

}  // namespace

absl::StatusOr<Model> ParseModel(std::string_view file, uint32_t* checksum) {
  return ReadModel(file, checksum, /*frees=*/false);
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): its pages are given back as they are read, under the view
absl::StatusOr<Model> TakeModel(std::string file, uint32_t* checksum) {
  return ReadModel(file, checksum, /*frees=*/true);
}

absl::StatusOr<std::string> SerializeModel(const Model& model) {
  BEBR_RETURN_IF_ERROR(ValidateModel(model));
  const size_t n = model.input_dims, m = model.components();
  SafetensorsFile file;
  WriteHead(model, file);
  std::vector<float> weights;
  for (const Band& band : model.spec.bands()) weights.push_back(band.weight);
  file.tensors()["band_weights"] = {{weights.size()}, weights};
  file.tensors()["mean"] = {{n}, model.mean};
  model.spec.groups() > 1 ? WriteGroups(model, file) : WriteBlock(file, "project", n, m, model.hidden, model.project);
  if (model.has_query_projection()) WriteBlock(file, "query", n, m, model.query_hidden, model.query);
  if (model.translation.has_value()) WriteTranslation(*model.translation, n, file);
  if (model.factors.has_value()) {
    const FactorParameters& factors = *model.factors;
    file.tensors()["factors.offset.weight"] = {{n}, factors.offset};
    file.tensors()["factors.squared_norm.weight"] = {{n}, factors.squared_norm};
    file.tensors()["factors.constants"] = {
        {4}, {factors.offset_bias, factors.squared_norm_bias, factors.query_offset, factors.query_scale}};
  }
  for (size_t t = 0; t < model.steps.size(); ++t) {
    const StepParameters& step = model.steps[t];
    const std::string name = absl::StrCat("step", t + 1);
    file.tensors()[name + ".gain"] = {{1}, {step.gain}};
    WriteBlock(file, name + ".residual", n, m, model.step_hidden(), step.residual);
    if (model.residual_form == ResidualForm::kInput)
      WriteBlock(file, name + ".reconstruct", m, n, model.hidden, step.reconstruct);
    if (!step.feedback.empty()) file.tensors()[name + ".feedback"] = {{m, m}, step.feedback};
  }
  file.metadata()["checksum"] = absl::StrFormat("%08x", file.Checksum("checksum"));
  return file.Serialize();
}

}  // namespace bebr
