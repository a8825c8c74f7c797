#include "index/catalog/checked_json.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/checksum.h"
#include "index/base/file.h"
#include "index/base/status_macros.h"
#include "index/catalog/json_numbers.h"

namespace bebr {
namespace {

constexpr const char* kMember = "crc32c";

std::string ChecksumOf(const nlohmann::json& object) { return absl::StrFormat("%08x", Crc32c(object.dump())); }

}  // namespace

std::string WriteCheckedJson(nlohmann::json object) {
  const std::string checksum = ChecksumOf(object);
  object[kMember] = checksum;
  return object.dump(2) + "\n";
}

absl::Status CheckJson(nlohmann::json& object, bool needed) {
  const auto stated = object.is_object() ? object.find(kMember) : object.end();
  if (stated == object.end()) return needed ? absl::DataLossError("it has no crc32c") : absl::OkStatus();
  const nlohmann::json given = std::move(*stated);
  object.erase(stated);
  const std::string computed = ChecksumOf(object);
  if (given == computed) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrFormat("its crc32c is %s, that of what it says is %s: the file is damaged", given.dump(), computed));
}

absl::Status CheckFormat(const nlohmann::json& object, uint32_t newest) {
  BEBR_ASSIGN_OR_RETURN(const uint64_t format, Number<uint64_t>(object, "format"));
  if (format >= 1 && format <= newest) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("format is %d; this server reads 1 to %d. Was it written by a newer one?", format, newest));
}

absl::Status ReadCheckedJson(const std::string& path, uint32_t newest, bool needed,
                             const std::function<absl::Status(const nlohmann::json&)>& read) {
  BEBR_ASSIGN_OR_RETURN(const std::string text, ReadDataFile(path));
  try {
    nlohmann::json object = nlohmann::json::parse(text);
    absl::Status status = CheckFormat(object, newest);
    if (status.ok()) status = CheckJson(object, needed);
    if (status.ok()) status = read(object);
    return status.ok() ? status : WithPath(status, path);
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(absl::StrFormat("%s: %s", path, error.what()));
  }
}

absl::Status WithPath(const absl::Status& status, const std::string& path) {
  return absl::Status(status.code(), absl::StrFormat("%s: %s", path, status.message()));
}

}  // namespace bebr
