// The record of a collection's own binarizers, to and from the manifest.
#ifndef BEBR_INDEX_CATALOG_AUTO_RECORD_H_
#define BEBR_INDEX_CATALOG_AUTO_RECORD_H_

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "index/catalog/manifest.h"

namespace bebr {

nlohmann::json ToJson(const AutoRecord& record);
// DATA_LOSS for what ToJson does not write; throws json::exception for missing keys and wrong types.
absl::StatusOr<AutoRecord> ParseAutoRecord(const nlohmann::json& object);

}  // namespace bebr

#endif  // BEBR_INDEX_CATALOG_AUTO_RECORD_H_
