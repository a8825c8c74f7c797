#include "index/catalog/checked_json.h"

#include "absl/strings/str_format.h"
#include "index/base/checksum.h"

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
  const nlohmann::json given = *stated;
  object.erase(stated);
  const std::string computed = ChecksumOf(object);
  if (given == computed) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrFormat("its crc32c is %s, that of what it says is %s: the file is damaged", given.dump(), computed));
}

}  // namespace bebr
