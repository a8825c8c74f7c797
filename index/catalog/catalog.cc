#include "index/catalog/catalog.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "index/base/file.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

using nlohmann::json;
constexpr int kManifestFormat = 1;
constexpr size_t kMaxNameBytes = 128;
constexpr const char* kManifestFile = "/manifest.json";

std::string ModelPath(const std::string& directory, uint32_t version) {
  return absl::StrFormat("%s/models/%d.safetensors", directory, version);
}

json ToJson(const Version& version) {
  json object = {{"number", version.number},
                 {"name", version.name},
                 {"space", version.space},
                 {"embedding", version.embedding},
                 {"retired", version.retired}};
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
                       {"against_documents", check->against_documents}};
  }
  return object;
}

// Throws json::exception, as the caller expects.
Version ParseVersion(const json& object) {
  Version version;
  version.number = object.at("number");
  version.name = object.at("name");
  version.space = object.at("space");
  version.embedding = object.value("embedding", version.number);  // files of earlier servers have none
  version.retired = object.at("retired");
  if (object.contains("backfill")) {
    version.backfilling = true;
    version.backfill_documents_per_s = object.at("backfill").at("documents_per_s");
  }
  if (object.contains("check")) {
    const json& check = object.at("check");
    version.check = VersionCheck{.checked_unix_us = check.at("checked_unix_us"),
                                 .against = check.at("against"),
                                 .queries = check.at("queries"),
                                 .k = check.at("k"),
                                 .recall = check.at("recall"),
                                 .against_recall = check.at("against_recall"),
                                 .overlap = check.at("overlap"),
                                 .documents = check.at("documents"),
                                 .against_documents = check.at("against_documents")};
  }
  return version;
}

std::string ToJson(const CollectionManifest& manifest) {
  json spaces = json::array();
  for (const Space& space : manifest.spaces) {
    json bands = json::array();
    for (const Band& band : space.spec.bands()) {
      bands.push_back({{"dims", band.dims}, {"levels", band.levels}, {"weight", band.weight}});
    }
    spaces.push_back({{"number", space.number}, {"bands", bands}});
  }
  json versions = json::array();
  for (const Version& version : manifest.versions) versions.push_back(ToJson(version));
  const json object = {{"format", kManifestFormat},
                       {"name", manifest.name},
                       {"created_unix_us", manifest.created_unix_us},
                       {"store_floats", std::string(ToString(manifest.store_floats))},
                       {"shards", manifest.shards},
                       {"expected_documents", manifest.expected_documents},
                       {"default_version", manifest.default_version},
                       {"previous_default", manifest.previous_default},
                       {"next_space", manifest.next_space},
                       {"spaces", spaces},
                       {"versions", versions}};
  return object.dump(2) + "\n";
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
    const json object = json::parse(text);
    if (object.at("format") != kManifestFormat) {
      return absl::FailedPreconditionError(
          absl::StrFormat("format is %s; this server reads %d", object.at("format").dump(), kManifestFormat));
    }
    CollectionManifest manifest;
    manifest.name = object.at("name");
    manifest.created_unix_us = object.at("created_unix_us");
    BEBR_ASSIGN_OR_RETURN(manifest.store_floats, ParseFloatStorage(object.at("store_floats")));
    manifest.shards = object.at("shards");
    manifest.expected_documents = object.value("expected_documents", uint64_t{0});  // files of earlier servers: none
    manifest.default_version = object.at("default_version");
    manifest.previous_default = object.value("previous_default", "");
    manifest.next_space = object.at("next_space");
    for (const json& entry : object.at("spaces")) {
      std::vector<Band> bands;
      for (const json& band : entry.at("bands"))
        bands.push_back({band.at("dims"), band.at("levels"), band.at("weight")});
      BEBR_ASSIGN_OR_RETURN(CodeSpec spec, CodeSpec::Create(std::move(bands)));
      manifest.spaces.push_back({entry.at("number"), std::move(spec)});
    }
    for (const json& entry : object.at("versions")) manifest.versions.push_back(ParseVersion(entry));
    return manifest;
  } catch (const json::exception& error) {
    return absl::DataLossError(error.what());
  }
}

// Whether all that the manifest says fits together. Files are written whole, so what does not was changed by somebody.
absl::Status Validate(const CollectionManifest& manifest) {
  const auto wrong = [](const std::string& what) { return absl::DataLossError(what); };
  if (const absl::Status name = ValidateName("name", manifest.name); !name.ok())
    return wrong(std::string(name.message()));
  if (manifest.shards < 1 || manifest.shards > kMaxShards) {
    return wrong(absl::StrFormat("shards is %d; it is 1 to %d", manifest.shards, kMaxShards));
  }
  for (const Space& space : manifest.spaces) {
    if (space.number >= manifest.next_space || manifest.FindSpace(space.number) != &space) {
      return wrong(absl::StrFormat("space %d is not below next_space, %d, or is there twice", space.number,
                                   manifest.next_space));
    }
  }
  for (size_t v = 0; v < manifest.versions.size(); ++v) {
    const Version& version = manifest.versions[v];
    if (version.number != v) return wrong(absl::StrFormat("version number %d stands in place %d", version.number, v));
    const Version* first = manifest.VersionByNumber(version.embedding);
    if (version.embedding > v || first->embedding != version.embedding) {
      return wrong(
          absl::StrFormat("version \"%s\" takes the embeddings of version number %d, which has none of its own",
                          version.name, version.embedding));
    }
    if (!version.retired && manifest.FindSpace(version.space) == nullptr) {
      return wrong(absl::StrFormat("version \"%s\" is of space %d, which is not there", version.name, version.space));
    }
  }
  if (!manifest.FindVersion("").ok()) {
    return wrong(absl::StrFormat("default_version is \"%s\", which is no version in use", manifest.default_version));
  }
  return absl::OkStatus();
}

// A file that must be there.
absl::StatusOr<std::string> ReadNeeded(const std::string& path) {
  if (!FileExists(path)) return absl::DataLossError(absl::StrFormat("%s is missing", path));
  return ReadFile(path);
}

absl::Status Annotate(const absl::Status& status, const std::string& path) {
  return absl::Status(status.code(), absl::StrFormat("%s: %s", path, status.message()));
}

}  // namespace

absl::StatusOr<CollectionManifest> ReadManifest(const std::string& directory) {
  const std::string path = absl::StrCat(directory, kManifestFile);
  BEBR_ASSIGN_OR_RETURN(const std::string text, ReadNeeded(path));
  absl::StatusOr<CollectionManifest> manifest = FromJson(text);
  if (!manifest.ok()) return Annotate(manifest.status(), path);
  if (const absl::Status valid = Validate(*manifest); !valid.ok()) return Annotate(valid, path);
  for (Version& version : manifest->versions) {
    if (version.retired) continue;
    const std::string model_path = ModelPath(directory, version.number);
    BEBR_ASSIGN_OR_RETURN(const std::string model, ReadNeeded(model_path));
    auto binarizer = Binarizer::Parse(model);
    if (!binarizer.ok()) return Annotate(absl::DataLossError(binarizer.status().message()), model_path);
    if (!((*binarizer)->spec() == manifest->FindSpace(version.space)->spec)) {
      return Annotate(absl::DataLossError("it is not the model of its version: its code has another shape"),
                      model_path);
    }
    version.binarizer = *std::move(binarizer);
  }
  return manifest;
}

absl::Status WriteManifest(const std::string& directory, const CollectionManifest& manifest) {
  return WriteFileAtomically(absl::StrCat(directory, kManifestFile), ToJson(manifest));
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

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(std::string data_dir) {
  std::unique_ptr<Catalog> catalog(new Catalog(data_dir));
  BEBR_RETURN_IF_ERROR(CreateDirectories(catalog->root_));
  BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectories(catalog->root_));
  for (const std::string& name : names) {
    if (!name.starts_with('.')) continue;
    LogInfo("removing what an interrupted operation left: {}", name);
    BEBR_RETURN_IF_ERROR(RemoveAll(absl::StrCat(catalog->root_, "/", name)));
  }
  return catalog;
}

std::string Catalog::CollectionPath(std::string_view name) const { return absl::StrFormat("%s/%s", root_, name); }

absl::StatusOr<std::vector<std::string>> Catalog::Names() const {
  BEBR_ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirectories(root_));
  const auto stray = [&](const std::string& name) {
    const std::string path = CollectionPath(name);
    const auto directories = ListDirectories(path);
    const auto files = ListFiles(path);
    const bool empty = directories.ok() && files.ok() && directories->empty() && files->empty();
    if (ValidateName("name", name).ok() && !empty) return false;
    LogWarning("{} is no collection and is passed over", path);
    return true;
  };
  std::erase_if(names, stray);
  return names;
}

absl::StatusOr<CollectionManifest> Catalog::Load(std::string_view name) const {
  const std::string path = CollectionPath(name);
  BEBR_ASSIGN_OR_RETURN(CollectionManifest manifest, ReadManifest(path));
  if (manifest.name == name) return manifest;
  return absl::DataLossError(
      absl::StrFormat("%s%s is the manifest of collection \"%s\"", path, kManifestFile, manifest.name));
}

absl::Status Catalog::Create(const CollectionManifest& manifest, std::string_view model_file) {
  const std::string building = absl::StrCat(root_, "/.creating-", manifest.name);
  BEBR_RETURN_IF_ERROR(RemoveAll(building));
  BEBR_RETURN_IF_ERROR(CreateDirectories(absl::StrCat(building, "/models")));
  BEBR_RETURN_IF_ERROR(WriteFileAtomically(ModelPath(building, manifest.versions.back().number), model_file));
  BEBR_RETURN_IF_ERROR(WriteManifest(building, manifest));
  return RenameDirectory(building, CollectionPath(manifest.name));
}

absl::Status Catalog::Update(const CollectionManifest& manifest, std::string_view model_file) {
  const std::string directory = CollectionPath(manifest.name);
  if (!model_file.empty()) {
    BEBR_RETURN_IF_ERROR(WriteFileAtomically(ModelPath(directory, manifest.versions.back().number), model_file));
  }
  BEBR_RETURN_IF_ERROR(WriteManifest(directory, manifest));
  for (const Version& version : manifest.versions) {
    if (version.retired) BEBR_RETURN_IF_ERROR(RemoveAll(ModelPath(directory, version.number)));
  }
  return absl::OkStatus();
}

absl::Status Catalog::Remove(std::string_view name) {
  const std::string deleted = absl::StrFormat("%s/.deleted-%s", root_, name);
  BEBR_RETURN_IF_ERROR(RemoveAll(deleted));
  BEBR_RETURN_IF_ERROR(RenameDirectory(CollectionPath(name), deleted));
  return RemoveAll(deleted);
}

absl::Status Catalog::Restore(const CollectionManifest& manifest, const std::string& from) {
  const std::string building = absl::StrCat(root_, "/.creating-", manifest.name);
  BEBR_RETURN_IF_ERROR(RemoveAll(building));
  BEBR_RETURN_IF_ERROR(CopyDirectory(from, building, ".sst"));
  BEBR_RETURN_IF_ERROR(WriteManifest(building, manifest));
  return RenameDirectory(building, CollectionPath(manifest.name));
}

absl::StatusOr<std::map<std::string, std::string, std::less<>>> Catalog::LoadAliases() const {
  std::map<std::string, std::string, std::less<>> aliases;
  if (!FileExists(aliases_file_)) return aliases;
  BEBR_ASSIGN_OR_RETURN(const std::string text, ReadFile(aliases_file_));
  try {
    const json object = json::parse(text);
    if (object.at("format") != kManifestFormat) {
      return absl::FailedPreconditionError(absl::StrFormat("%s: format is %s; this server reads %d", aliases_file_,
                                                           object.at("format").dump(), kManifestFormat));
    }
    for (const auto& [alias, collection] : object.at("aliases").items()) aliases.emplace(alias, collection);
  } catch (const json::exception& error) {
    return absl::DataLossError(absl::StrFormat("%s: %s", aliases_file_, error.what()));
  }
  return aliases;
}

absl::Status Catalog::SaveAliases(const std::map<std::string, std::string, std::less<>>& aliases) {
  json names = json::object();
  for (const auto& [alias, collection] : aliases) names[alias] = collection;
  return WriteFileAtomically(aliases_file_, json{{"format", kManifestFormat}, {"aliases", names}}.dump(2) + "\n");
}

}  // namespace bebr
