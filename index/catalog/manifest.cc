#include "index/catalog/manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/base/file.h"
#include "index/base/status_macros.h"
#include "index/binarizer/open_binarizer.h"
#include "index/catalog/auto_record.h"
#include "index/catalog/checked_json.h"
#include "index/catalog/json_numbers.h"
#include "index/catalog/manifest_check.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

using nlohmann::json;
constexpr size_t kMaxNameBytes = 128;
constexpr const char* kManifestFile = "/manifest.json";

json ToJson(const Version& version) {
  json object = {{"number", version.number},
                 {"name", version.name},
                 {"space", version.space},
                 {"embedding", version.embedding},
                 {"retired", version.retired}};
  if (version.binarizer != nullptr) object["model_checksum"] = version.binarizer->checksum();
  if (const auto& was = version.was; was.has_value()) {
    object["was"] = {{"input_dims", was->input_dims},
                     {"query_levels", was->query_levels},
                     {"code", was->code},
                     {"bits", was->bits},
                     {"metric", ToString(was->metric)},
                     {"checksum", was->checksum},
                     {"words", was->words}};
  }
  if (version.backfilling) object["backfill"] = {{"documents_per_s", version.backfill_documents_per_s}};
  if (const auto& check = version.check; check.has_value()) {
    object["check"] = {{"checked_unix_us", check->checked_unix_us},
                       {"against", check->against},
                       {"queries", check->queries},
                       {"k", check->k},
                       {"recall", check->recall},
                       {"against_recall", check->against_recall},
                       {"overlap", check->overlap},
                       {"documents", check->documents},
                       {"against_documents", check->against_documents},
                       {"score_error", check->score_error},
                       {"score_error_p99", check->score_error_p99}};
  }
  return object;
}

absl::StatusOr<VersionCheck> ParseCheck(const json& object) {
  VersionCheck check;
  BEBR_ASSIGN_OR_RETURN(check.checked_unix_us, Time(object, "checked_unix_us"));
  check.against = object.at("against");
  BEBR_ASSIGN_OR_RETURN(check.queries, Number<uint32_t>(object, "queries"));
  BEBR_ASSIGN_OR_RETURN(check.k, Number<uint32_t>(object, "k"));
  check.recall = object.at("recall");
  check.against_recall = object.at("against_recall");
  check.overlap = object.at("overlap");
  BEBR_ASSIGN_OR_RETURN(check.documents, Number<uint64_t>(object, "documents"));
  BEBR_ASSIGN_OR_RETURN(check.against_documents, Number<uint64_t>(object, "against_documents"));
  if (object.contains("score_error")) {  // files of earlier servers have none
    check.score_error = object.at("score_error");
    check.score_error_p99 = object.at("score_error_p99");
  }
  return check;
}

absl::StatusOr<Version> ParseVersion(const json& object) {
  Version version;
  BEBR_ASSIGN_OR_RETURN(version.number, Number<uint32_t>(object, "number"));
  version.name = object.at("name");
  BEBR_ASSIGN_OR_RETURN(version.space, Number<uint32_t>(object, "space"));
  version.embedding = version.number;  // files of earlier servers have none
  if (object.contains("embedding")) {
    BEBR_ASSIGN_OR_RETURN(version.embedding, Number<uint32_t>(object, "embedding"));
  }
  version.retired = object.at("retired");
  if (object.contains("model_checksum")) {
    BEBR_ASSIGN_OR_RETURN(version.model_checksum, Number<uint32_t>(object, "model_checksum"));
  }
  if (object.contains("was")) {
    const json& was = object.at("was");
    BEBR_ASSIGN_OR_RETURN(const Metric metric, MetricNamedIn(was));
    version.was = ModelDescription{.input_dims = was.at("input_dims"),
                                   .query_levels = was.at("query_levels"),
                                   .code = was.at("code"),
                                   .bits = was.at("bits"),
                                   .metric = metric,
                                   .checksum = was.at("checksum"),
                                   .words = was.at("words")};
  }
  if (object.contains("backfill")) {
    version.backfilling = true;
    BEBR_ASSIGN_OR_RETURN(version.backfill_documents_per_s, Number<uint64_t>(object.at("backfill"), "documents_per_s"));
  }
  if (object.contains("check")) {
    BEBR_ASSIGN_OR_RETURN(version.check, ParseCheck(object.at("check")));
  }
  return version;
}

absl::StatusOr<Space> ParseSpace(const json& object) {
  Space space;
  BEBR_ASSIGN_OR_RETURN(space.number, Number<uint32_t>(object, "number"));
  std::vector<Band> bands;
  for (const json& entry : object.at("bands")) {
    Band& band = bands.emplace_back();
    BEBR_ASSIGN_OR_RETURN(band.dims, Number<uint32_t>(entry, "dims"));
    BEBR_ASSIGN_OR_RETURN(band.levels, Number<uint32_t>(entry, "levels"));
    band.weight = entry.at("weight");
    band.trellis = entry.value("trellis", false);
  }
  uint32_t groups = 1;
  if (object.contains("groups")) {
    BEBR_ASSIGN_OR_RETURN(groups, Number<uint32_t>(object, "groups"));
  }
  const absl::StatusOr<CodeSpec> spec = CodeSpec::Create(std::move(bands), groups);
  if (!spec.ok()) return absl::DataLossError(spec.status().message());
  space.spec = *spec;
  return space;
}

std::string ToJson(const CollectionManifest& manifest) {
  json spaces = json::array();
  for (const Space& space : manifest.spaces) {
    json bands = json::array();
    for (const Band& band : space.spec.bands()) {
      bands.push_back({{"dims", band.dims}, {"levels", band.levels}, {"weight", band.weight}});
      if (band.trellis) bands.back()["trellis"] = true;
    }
    json entry = {{"number", space.number}, {"bands", bands}};
    if (space.spec.groups() > 1) entry["groups"] = space.spec.groups();
    spaces.push_back(std::move(entry));
  }
  json versions = json::array();
  for (const Version& version : manifest.versions) versions.push_back(ToJson(version));
  json object = {{"format", manifest.attributes.empty() ? manifest.format : kNewestManifestFormat},
                 {"name", manifest.name},
                 {"created_unix_us", manifest.created_unix_us},
                 {"store_floats", std::string(ToString(manifest.store_floats))},
                 {"shards", manifest.shards},
                 {"expected_documents", manifest.expected_documents},
                 {"default_rerank", manifest.default_rerank},
                 {"default_version", manifest.default_version},
                 {"previous_default", manifest.previous_default},
                 {"next_space", manifest.next_space},
                 {"spaces", spaces},
                 {"versions", versions}};
  for (const auto& [name, rule] : manifest.attributes) {
    object["attributes"][name] = {{"kind", static_cast<int>(rule.kind)}, {"storage", static_cast<int>(rule.storage)}};
  }
  if (const auto& mark = manifest.mark; mark.has_value()) {
    object["generation"] = mark->generation;
    object["sequence"] = mark->sequence;
    if (!mark->identity.empty()) object["identity"] = mark->identity;
  }
  if (manifest.auto_record.has_value()) object["auto_binarizer"] = ToJson(*manifest.auto_record);
  return WriteCheckedJson(std::move(object));
}

absl::StatusOr<AttributeSchema> ParseSchema(const json& object) {
  AttributeSchema schema;
  for (const auto& [name, entry] : object.items()) {
    BEBR_ASSIGN_OR_RETURN(const uint32_t kind, Number<uint32_t>(entry, "kind"));
    BEBR_ASSIGN_OR_RETURN(const uint32_t storage, Number<uint32_t>(entry, "storage"));
    if (kind > static_cast<uint32_t>(AttributeKind::kTimestamp) ||
        storage > static_cast<uint32_t>(AttributeStorage::kStored)) {
      return absl::DataLossError(
          absl::StrFormat("attributes[\"%s\"] is of kind %d and storage %d", name, kind, storage));
    }
    schema[name] = {static_cast<AttributeKind>(kind), static_cast<AttributeStorage>(storage)};
  }
  if (const absl::Status valid = ValidateSchema(schema); !valid.ok()) return absl::DataLossError(valid.message());
  return schema;
}

// Files of earlier servers have none.
absl::StatusOr<std::optional<StoreMark>> ParseMark(const json& object) {
  if (!object.contains("generation")) return std::nullopt;
  StoreMark mark;
  BEBR_ASSIGN_OR_RETURN(mark.generation, Number<uint64_t>(object, "generation"));
  BEBR_ASSIGN_OR_RETURN(mark.sequence, Number<uint64_t>(object, "sequence"));
  mark.identity = object.value("identity", "");
  return mark;
}

absl::StatusOr<FloatStorage> ParseFloatStorage(const std::string& text) {
  for (const FloatStorage storage : {FloatStorage::kNone, FloatStorage::kFloat16, FloatStorage::kFloat32}) {
    if (text == ToString(storage)) return storage;
  }
  return absl::DataLossError(absl::StrFormat("store_floats is '%s'", text));
}

absl::StatusOr<CollectionManifest> FromJson(const std::string& text) {
  // nlohmann::json throws on malformed text and wrong types; both mean that the file is not what was written.
  try {
    json object = json::parse(text);
    BEBR_RETURN_IF_ERROR(CheckFormat(object, kNewestManifestFormat));
    CollectionManifest manifest;
    manifest.format = object.at("format");
    BEBR_RETURN_IF_ERROR(CheckJson(object, manifest.format >= 2));
    manifest.name = object.at("name");
    BEBR_ASSIGN_OR_RETURN(manifest.created_unix_us, Time(object, "created_unix_us"));
    BEBR_ASSIGN_OR_RETURN(manifest.store_floats, ParseFloatStorage(object.at("store_floats")));
    BEBR_ASSIGN_OR_RETURN(manifest.shards, Number<uint32_t>(object, "shards"));
    BEBR_ASSIGN_OR_RETURN(manifest.mark, ParseMark(object));
    if (object.contains("expected_documents")) {  // files of earlier servers have none
      BEBR_ASSIGN_OR_RETURN(manifest.expected_documents, Number<uint64_t>(object, "expected_documents"));
    }
    if (object.contains("default_rerank")) {
      BEBR_ASSIGN_OR_RETURN(manifest.default_rerank, Number<uint32_t>(object, "default_rerank"));
    }
    if (object.contains("attributes")) {
      BEBR_ASSIGN_OR_RETURN(manifest.attributes, ParseSchema(object.at("attributes")));
    }
    if (object.contains("auto_binarizer")) {
      BEBR_ASSIGN_OR_RETURN(manifest.auto_record, ParseAutoRecord(object.at("auto_binarizer")));
    }
    manifest.default_version = object.at("default_version");
    manifest.previous_default = object.value("previous_default", "");
    BEBR_ASSIGN_OR_RETURN(manifest.next_space, Number<uint32_t>(object, "next_space"));
    for (const json& entry : object.at("spaces")) {
      BEBR_ASSIGN_OR_RETURN(Space space, ParseSpace(entry));
      manifest.spaces.push_back(std::move(space));
    }
    for (const json& entry : object.at("versions")) {
      BEBR_ASSIGN_OR_RETURN(Version version, ParseVersion(entry));
      manifest.versions.push_back(std::move(version));
    }
    return manifest;
  } catch (const json::exception& error) {
    return absl::DataLossError(error.what());
  }
}

// A file that must be there.
absl::StatusOr<std::string> ReadNeeded(const std::string& path) {
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(path));
  if (!there) return absl::DataLossError(absl::StrFormat("%s is missing", path));
  return ReadDataFile(path);
}

}  // namespace

std::string NewIdentity(std::string_view name) {
  thread_local absl::BitGen random;
  return absl::StrFormat("%s/%016x", name, absl::Uniform<uint64_t>(random));
}

std::string ModelPath(const std::string& directory, uint32_t version) {
  return absl::StrFormat("%s/models/%d.safetensors", directory, version);
}

ModelDescription DescribeModel(const Binarizer& binarizer) {
  return {.input_dims = binarizer.input_dims(),
          .query_levels = binarizer.query_levels(),
          .code = binarizer.spec().ToString(),
          .bits = binarizer.spec().bits(),
          .metric = binarizer.metric(),
          .checksum = binarizer.checksum(),
          .words = binarizer.description()};
}

absl::StatusOr<CollectionManifest> ReadManifest(const std::string& directory) {
  const std::string path = absl::StrCat(directory, kManifestFile);
  BEBR_ASSIGN_OR_RETURN(const std::string text, ReadNeeded(path));
  absl::StatusOr<CollectionManifest> manifest = FromJson(text);
  if (!manifest.ok()) return WithPath(manifest.status(), path);
  if (const absl::Status valid = CheckManifest(*manifest); !valid.ok()) return WithPath(valid, path);
  for (Version& version : manifest->versions) {
    if (version.retired) continue;
    const std::string model_path = ModelPath(directory, version.number);
    BEBR_ASSIGN_OR_RETURN(std::string model, ReadNeeded(model_path));
    auto binarizer = OpenBinarizer(std::move(model));
    if (!binarizer.ok()) return WithPath(absl::DataLossError(binarizer.status().message()), model_path);
    if (const absl::Status valid = CheckModel(*manifest, version, **binarizer); !valid.ok())
      return WithPath(valid, model_path);
    version.binarizer = *std::move(binarizer);
  }
  return manifest;
}

absl::Status WriteManifest(const std::string& directory, const CollectionManifest& manifest, bool synced) {
  const std::string path = absl::StrCat(directory, kManifestFile);
  return synced ? WriteFileAtomically(path, ToJson(manifest)) : WriteFileUnsynced(path, ToJson(manifest));
}

absl::StatusOr<const Version*> CollectionManifest::FindVersion(std::string_view version_name) const {
  const std::string_view wanted = version_name.empty() ? std::string_view(default_version) : version_name;
  std::vector<std::string> known;
  for (const Version& version : versions) {
    if (version.retired) continue;
    if (version.name == wanted) return &version;
    known.push_back(version.name);
  }
  return absl::NotFoundError(
      absl::StrFormat("collection \"%s\" has no version \"%s\"; it has: %s", name, wanted, absl::StrJoin(known, ", ")));
}

const Version* CollectionManifest::VersionByNumber(uint32_t number) const {
  return number < versions.size() ? &versions[number] : nullptr;
}

std::vector<const Version*> CollectionManifest::VersionsOfEmbedding(uint32_t embedding) const {
  std::vector<const Version*> found;
  for (const Version& version : versions) {
    if (!version.retired && version.embedding == embedding) found.push_back(&version);
  }
  return found;
}

const Space* CollectionManifest::FindSpace(uint32_t number) const {
  for (const Space& space : spaces) {
    if (space.number == number) return &space;
  }
  return nullptr;
}

absl::Status ValidateName(std::string_view field, std::string_view name) {
  const auto allowed = [](char c) { return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-'; };
  if (name.empty() || name.size() > kMaxNameBytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s has %d bytes; a name has 1 to %d", field, name.size(), kMaxNameBytes));
  }
  if (!absl::ascii_isalnum(name.front()) || !std::all_of(name.begin(), name.end(), allowed)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s is \"%s\"; a name is made of a-z A-Z 0-9 _ . - and begins with a letter or digit", field,
                        absl::CHexEscape({name.data(), name.size()})));
  }
  return absl::OkStatus();
}

}  // namespace bebr
