#include "server/config/cluster_nodes.h"

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

bool IsName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxNodeNameBytes || !absl::ascii_isalnum(name[0])) return false;
  for (const char c : name) {
    if (!absl::ascii_isalnum(c) && c != '_' && c != '.' && c != '-') return false;
  }
  return true;
}

bool IsAddress(absl::string_view address) {
  const size_t colon = address.rfind(':');
  uint32_t port = 0;
  return colon != absl::string_view::npos && colon > 0 && absl::SimpleAtoi(address.substr(colon + 1), &port) &&
         port >= 1 && port <= 65535;
}

absl::Status Wrong(absl::string_view node, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrFormat(
      "cluster_nodes has \"%s\", %s; a node is NAME=HOST:PORT or NAME=HOST:PORT/FIRST-LAST", node, why));
}

// Without its slots where `slots` stays false.
absl::StatusOr<NodePlace> ParseNode(absl::string_view text, bool& slots) {
  const std::vector<absl::string_view> named = absl::StrSplit(text, absl::MaxSplits('=', 1));
  if (named.size() != 2 || !IsName(named[0]))
    return Wrong(text, "whose name is not 1 to 64 bytes of a-z A-Z 0-9 _ . -, the first a letter or digit");
  const std::vector<absl::string_view> placed = absl::StrSplit(named[1], absl::MaxSplits('/', 1));
  if (!IsAddress(placed[0])) return Wrong(text, "whose address has no port from 1 to 65535");
  NodePlace place{.name = std::string(named[0]), .address = std::string(placed[0])};
  if (placed.size() < 2) return place;
  slots = true;
  const std::vector<absl::string_view> range = absl::StrSplit(placed[1], '-');
  if (range.size() != 2 || !absl::SimpleAtoi(range[0], &place.first_slot) ||
      !absl::SimpleAtoi(range[1], &place.last_slot) || place.first_slot > place.last_slot ||
      place.last_slot >= kClusterSlots) {
    return Wrong(text, absl::StrFormat("whose slots are not two numbers from 0 to %d", kClusterSlots - 1));
  }
  return place;
}

bool HoldTheSame(const NodePlace& a, const NodePlace& b) {
  return a.first_slot == b.first_slot && a.last_slot == b.last_slot;
}

absl::Status CheckSlots(const std::vector<NodePlace>& nodes, bool replicas) {
  std::vector<const NodePlace*> holder(kClusterSlots);
  for (const NodePlace& node : nodes) {
    for (uint32_t slot = node.first_slot; slot <= node.last_slot; ++slot) {
      if (holder[slot] != nullptr && !(replicas && HoldTheSame(*holder[slot], node))) {
        return absl::InvalidArgumentError(
            absl::StrFormat("cluster_nodes has slot %d on node \"%s\" and on node \"%s\"%s", slot, holder[slot]->name,
                            node.name, replicas ? ", whose other slots are not the same" : ""));
      }
      holder[slot] = &node;
    }
  }
  for (uint32_t slot = 0; slot < kClusterSlots; ++slot) {
    if (holder[slot] == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrFormat("cluster_nodes has slot %d on no node; together they hold 0 to %d", slot, kClusterSlots - 1));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<NodePlace>> ParseClusterNodes(std::string_view text, bool replicas) {
  const std::vector<std::string> parts = absl::StrSplit(std::string(text), ',');
  if (parts.size() > kMaxClusterNodes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("cluster_nodes has %d nodes; the limit is %d", parts.size(), kMaxClusterNodes));
  }
  std::vector<NodePlace> nodes;
  size_t with_slots = 0;
  for (const std::string& part : parts) {
    bool slots = false;
    BEBR_ASSIGN_OR_RETURN(NodePlace place, ParseNode(absl::StripAsciiWhitespace(part), slots));
    if (FindNode(nodes, place.name).has_value()) return Wrong(part, "whose name is another node's too");
    for (const NodePlace& other : nodes) {
      if (other.address == place.address) return Wrong(part, "whose address is another node's too");
    }
    with_slots += slots ? 1 : 0;
    nodes.push_back(std::move(place));
  }
  if (with_slots != 0 && with_slots != nodes.size())
    return absl::InvalidArgumentError("cluster_nodes has slots for some nodes only; give them for all, or for none");
  for (size_t i = 0; i < nodes.size() && with_slots == 0; ++i) {
    nodes[i].first_slot = static_cast<uint32_t>(kClusterSlots * i / nodes.size());
    nodes[i].last_slot = static_cast<uint32_t>(kClusterSlots * (i + 1) / nodes.size()) - 1;
  }
  BEBR_RETURN_IF_ERROR(CheckSlots(nodes, replicas));
  return nodes;
}

absl::Status CheckNodePlace(const NodePlace& place) {
  if (!IsName(place.name)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("name is \"%s\"; a node's has 1 to %d bytes of a-z A-Z 0-9 _ . -, the first a letter or digit",
                        place.name.substr(0, kMaxNodeNameBytes), kMaxNodeNameBytes));
  }
  if (!place.address.empty() && !IsAddress(place.address)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("address is \"%s\"; it is HOST:PORT, with a port from 1 to 65535", place.address));
  }
  if (place.first_slot <= place.last_slot && place.last_slot < kClusterSlots) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("first_slot is %d and last_slot %d; they are from 0 to %d, in order", place.first_slot,
                      place.last_slot, kClusterSlots - 1));
}

std::optional<NodePlace> FindNode(const std::vector<NodePlace>& nodes, std::string_view name) {
  for (const NodePlace& node : nodes) {
    if (node.name == name) return node;
  }
  return std::nullopt;
}

}  // namespace bebr
