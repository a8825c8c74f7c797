// What gateways and nodes must agree on, and show each other in the metadata of every call between them.
#ifndef BEBR_SERVER_CALL_NODE_PROTOCOL_H_
#define BEBR_SERVER_CALL_NODE_PROTOCOL_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "index/types/cluster.h"

namespace bebr {

// Raised with every change of proto/bebr/node/v1, of what its messages mean, or of what makes merged answers exact:
// keys, facts, slots.
inline constexpr int kNodeProtocol = 4;

inline constexpr const char* kProtocolMetadata = "bebr-node-protocol";
inline constexpr const char* kNodeMetadata = "bebr-node";
inline constexpr const char* kSlotsMetadata = "bebr-node-slots";
inline constexpr const char* kPositionMetadata = "bebr-node-position";
inline constexpr const char* kLogMetadata = "bebr-node-log";

// "0-511"
inline std::string SlotsText(const NodePlace& place) { return absl::StrCat(place.first_slot, "-", place.last_slot); }

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_NODE_PROTOCOL_H_
