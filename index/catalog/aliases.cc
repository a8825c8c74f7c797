#include "index/catalog/aliases.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "index/base/file.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"
#include "index/catalog/checked_json.h"
#include "index/catalog/json_numbers.h"
#include "index/catalog/manifest.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

using nlohmann::json;
constexpr uint32_t kAliasesFormat = 1;
constexpr uint32_t kCatalogFormat = 1;
constexpr const char* kAliasesFile = "/aliases.json";
constexpr const char* kCatalogFile = "/catalog.json";
constexpr const char* kAliasesKey = "aliases_generation";

// Passes the object of a JSON file to `read`, without its checksum; no exception leaves it.
absl::Status ReadChecked(const std::string& path, uint32_t newest, bool needed,
                         const std::function<absl::Status(const json&)>& read) {
  BEBR_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  try {
    json object = json::parse(text);
    absl::Status status = CheckFormat(object, newest);
    if (status.ok()) status = CheckJson(object, needed);
    if (status.ok()) status = read(object);
    return status.ok() ? status : WithPath(status, path);
  } catch (const json::exception& error) {
    return absl::DataLossError(absl::StrFormat("%s: %s", path, error.what()));
  }
}

// The generation that the aliases had at least; 0 if it is not known.
absl::StatusOr<uint64_t> ReadGeneration(const std::string& data_dir) {
  const std::string path = data_dir + kCatalogFile;
  uint64_t generation = 0;
  const absl::StatusOr<bool> there = FileExists(path);
  if (there.ok() && !*there) return generation;
  absl::Status status = ReadChecked(path, kCatalogFormat, true, [&](const json& object) {
    const absl::StatusOr<uint64_t> number = Number<uint64_t>(object, kAliasesKey);
    if (number.ok()) generation = *number;
    return number.status();
  });
  if (status.ok()) return generation;
  if (absl::IsFailedPrecondition(status)) return status;  // of a newer release
  // Nothing is lost with it but the comparison.
  LogWarning("{}; whether the aliases are an older copy is not known", std::string(status.message()));
  return 0;
}

absl::Status Parse(const json& object, AliasList& list) {
  if (!object.at("aliases").is_object()) return absl::DataLossError("aliases is no object");
  for (const auto& [alias, collection] : object.at("aliases").items()) {
    if (!ValidateName("alias", alias).ok()) return absl::DataLossError(absl::StrFormat("\"%s\" is no alias", alias));
    list.aliases.emplace(alias, collection);
  }
  if (!object.contains("generation")) return absl::OkStatus();
  BEBR_ASSIGN_OR_RETURN(list.generation, Number<uint64_t>(object, "generation"));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<AliasList> ReadAliases(const std::string& data_dir) {
  const std::string path = data_dir + kAliasesFile;
  AliasList list;
  BEBR_ASSIGN_OR_RETURN(const uint64_t generation, ReadGeneration(data_dir));
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(path));
  if (there) {
    BEBR_RETURN_IF_ERROR(
        ReadChecked(path, kAliasesFormat, false, [&](const json& object) { return Parse(object, list); }));
  }
  // A file without a number is one of an earlier server.
  const bool older = there ? list.generation != 0 && list.generation < generation : generation > 0;
  if (older) {
    return absl::DataLossError(
        absl::StrFormat("%s is %s: it was changed %d times. Put the newest one back; or remove %s%s, if the aliases "
                        "are to be what they "
                        "are now",
                        path, there ? absl::StrFormat("an older copy, of generation %d", list.generation) : "missing",
                        generation, data_dir, kCatalogFile));
  }
  list.generation = std::max(list.generation, generation);
  return list;
}

absl::Status WriteAliases(const std::string& data_dir, const AliasList& list) {
  json names = json::object();
  for (const auto& [alias, collection] : list.aliases) names[alias] = collection;
  BEBR_RETURN_IF_ERROR(WriteFileAtomically(
      data_dir + kAliasesFile,
      WriteCheckedJson({{"format", kAliasesFormat}, {"aliases", names}, {"generation", list.generation}})));
  // They are newer than it says, then, which is no damage; the next change tries again.
  const absl::Status noted = WriteFileAtomically(
      data_dir + kCatalogFile, WriteCheckedJson({{"format", kCatalogFormat}, {kAliasesKey, list.generation}}));
  if (!noted.ok()) LogWarning("the aliases were changed; how often is not noted: {}", noted.ToString());
  return absl::OkStatus();
}

}  // namespace bebr
