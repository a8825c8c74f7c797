// JSON files that carry a checksum of what they say.
#ifndef BEBR_INDEX_CATALOG_CHECKED_JSON_H_
#define BEBR_INDEX_CATALOG_CHECKED_JSON_H_

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"

namespace bebr {

// The text of a JSON object for people, with a member "crc32c" of the CRC-32C of what else it says: of its shortest
// text, whose members are in the order of their names. So it may be laid out anew, but not changed.
std::string WriteCheckedJson(nlohmann::json object);

// DATA_LOSS if the object, as it was read, says something else than what was written. Takes the member away. One
// without it passes unless it is `needed`: earlier servers wrote none.
absl::Status CheckJson(nlohmann::json& object, bool needed);

// FAILED_PRECONDITION unless "format" is 1 to `newest`, the newest format of such a file that this server knows; it
// reads all older ones. Throws json::exception if it is missing.
absl::Status CheckFormat(const nlohmann::json& object, uint32_t newest);

// Passes the object of the file at `path` to `read`, without its checksum, after these two checks. DATA_LOSS if it is
// no such object; errors name the path, and no exception leaves it.
absl::Status ReadCheckedJson(const std::string& path, uint32_t newest, bool needed,
                             const std::function<absl::Status(const nlohmann::json&)>& read);

// The error with the file that it is about.
absl::Status WithPath(const absl::Status& status, const std::string& path);

}  // namespace bebr

#endif  // BEBR_INDEX_CATALOG_CHECKED_JSON_H_
