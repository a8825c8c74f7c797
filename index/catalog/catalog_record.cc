#include "index/catalog/catalog_record.h"

#include <nlohmann/json.hpp>

#include "index/base/file.h"
#include "index/base/status_macros.h"
#include "index/catalog/checked_json.h"
#include "index/catalog/json_numbers.h"
#include "index/catalog/manifest.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

using nlohmann::json;
constexpr uint32_t kCatalogFormat = 1;
constexpr const char* kCatalogFile = "/catalog.json";
constexpr const char* kAliasesKey = "aliases_generation";
constexpr const char* kCollectionsKey = "collections";
constexpr const char* kIdentitiesKey = "identities";

absl::Status Parse(const json& object, CatalogRecord& record) {
  BEBR_ASSIGN_OR_RETURN(record.aliases_generation, Number<uint64_t>(object, kAliasesKey));
  if (!object.contains(kCollectionsKey)) return absl::OkStatus();
  record.collections.emplace();
  for (const json& name : object.at(kCollectionsKey)) {
    BEBR_RETURN_IF_ERROR(ValidateName("collection", name.get<std::string>()).ok()
                             ? absl::OkStatus()
                             : absl::DataLossError("collections has a name that is none"));
    record.collections->insert(name.get<std::string>());
  }
  if (object.contains(kIdentitiesKey)) object.at(kIdentitiesKey).get_to(record.identities);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CatalogRecord> ReadCatalogRecord(const std::string& data_dir) {
  const std::string path = data_dir + kCatalogFile;
  CatalogRecord record;
  BEBR_ASSIGN_OR_RETURN(const bool there, FileExists(path));
  if (!there) return record;
  BEBR_RETURN_IF_ERROR(
      ReadCheckedJson(path, kCatalogFormat, true, [&](const json& object) { return Parse(object, record); }));
  return record;
}

absl::Status WriteCatalogRecord(const std::string& data_dir, const CatalogRecord& record) {
  json object = {{"format", kCatalogFormat}, {kAliasesKey, record.aliases_generation}};
  if (record.collections.has_value()) object[kCollectionsKey] = *record.collections;
  if (!record.identities.empty()) object[kIdentitiesKey] = record.identities;
  return WriteFileAtomically(data_dir + kCatalogFile, WriteCheckedJson(std::move(object)));
}

}  // namespace bebr
