#include "index/cluster/log_layout.h"

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

// Behind it the first slot of each share, as three hexadecimal digits.
constexpr std::string_view kPrefix = "shares from ";
static_assert(kPrefix.size() + 3 * kMaxClusterNodes <= kMaxLogNameBytes && kClusterSlots <= 0x1000);

std::string NameOf(const std::vector<NodePlace>& nodes) {
  std::set<uint32_t> shares;
  for (const NodePlace& node : nodes) shares.insert(node.first_slot);
  std::string name(kPrefix);
  for (const uint32_t share : shares) absl::StrAppendFormat(&name, "%03x", share);
  return name;
}

// "0, 512"
std::string ToText(std::string_view name) {
  std::string text;
  for (size_t at = kPrefix.size(); at + 3 <= name.size(); at += 3) {
    absl::StrAppendFormat(&text, "%s%d", text.empty() ? "" : ", ",
                          std::stoul(std::string(name.substr(at, 3)), nullptr, /*base=*/16));
  }
  return text;
}

}  // namespace

absl::Status ClaimLayout(Logs& logs, const std::vector<NodePlace>& nodes) {
  const std::string own = NameOf(nodes);
  bool claimed = false;
  // Again after it was made: somebody may have claimed another one meanwhile.
  for (int look = 0; look < 2; ++look) {
    BEBR_ASSIGN_OR_RETURN(const std::vector<std::string> names, logs.Names());
    for (const std::string& name : names) {
      if (!name.starts_with(kPrefix)) continue;
      if (name != own) {
        return absl::FailedPreconditionError(absl::StrFormat(
            "cluster_log has the log of a cluster whose shares begin at slots %s, and in cluster_nodes they begin at "
            "%s: set cluster_nodes as it was, or take a new database",
            ToText(name), ToText(own)));
      }
      claimed = true;
    }
    if (claimed) return absl::OkStatus();
    BEBR_RETURN_IF_ERROR(logs.Create(own));
  }
  return absl::InternalError("the shares of a log were kept, and are not there");
}

}  // namespace bebr
