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
constexpr const char* kAliasesFile = "/aliases.json";

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

absl::StatusOr<AliasList> ReadAliases(const std::string& data_dir, uint64_t generation) {
  const std::string path = data_dir + kAliasesFile;
  AliasList list;
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(path));
  if (there) {
    BEBR_RETURN_IF_ERROR(
        ReadCheckedJson(path, kAliasesFormat, false, [&](const json& object) { return Parse(object, list); }));
  }
  // A file without a number is one of an earlier server.
  const bool older = there ? list.generation != 0 && list.generation < generation : generation > 0;
  if (older) {
    return absl::DataLossError(
        absl::StrFormat("%s is %s: it was changed %d times. Put the newest one back; or remove %s/catalog.json, if the "
                        "aliases are to be what they are now",
                        path, there ? absl::StrFormat("an older copy, of generation %d", list.generation) : "missing",
                        generation, data_dir));
  }
  list.generation = std::max(list.generation, generation);
  return list;
}

absl::Status WriteAliases(const std::string& data_dir, const AliasList& list) {
  json names = json::object();
  for (const auto& [alias, collection] : list.aliases) names[alias] = collection;
  return WriteFileAtomically(
      data_dir + kAliasesFile,
      WriteCheckedJson({{"format", kAliasesFormat}, {"aliases", names}, {"generation", list.generation}}));
}

}  // namespace bebr
