// The option cluster_nodes.
#ifndef BEBR_SERVER_CONFIG_CLUSTER_NODES_H_
#define BEBR_SERVER_CONFIG_CLUSTER_NODES_H_

#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/types/cluster.h"

namespace bebr {

// Of "a=10.0.0.1:7700,b=10.0.0.2:7700": names and addresses of nodes, which share the slots evenly in this order. Where
// they do not, each says which it holds: "a=10.0.0.1:7700/0-767,b=10.0.0.2:7700/768-1023". INVALID_ARGUMENT says what
// is wrong: names that are none or the same, addresses without a port, slots that nobody holds or two do; but with
// `replicas` nodes may have the same slots, if they have all of them in common.
absl::StatusOr<std::vector<NodePlace>> ParseClusterNodes(std::string_view text, bool replicas = false);

// INVALID_ARGUMENT unless it has a name and slots that a node may have, and an address or none yet.
absl::Status CheckNodePlace(const NodePlace& place);

// The node of that name; none: there is no such node.
std::optional<NodePlace> FindNode(const std::vector<NodePlace>& nodes, std::string_view name);

}  // namespace bebr

#endif  // BEBR_SERVER_CONFIG_CLUSTER_NODES_H_
