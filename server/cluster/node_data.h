// What a data directory holds of a cluster.
#ifndef BEBR_SERVER_CLUSTER_NODE_DATA_H_
#define BEBR_SERVER_CLUSTER_NODE_DATA_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "index/types/cluster.h"

namespace bebr {

// Holds the data directory of a node to its name and slots, for ever: the file cluster.json in it says which they are,
// and is written for a node's first start. FAILED_PRECONDITION if they are others now: documents would not be where the
// gateway looks for them. `self` is null for a server that is no node. Likewise if the directory has collections of the
// other kind of server.
absl::Status CheckNodeData(const std::string& data_dir, const NodePlace* self);

// FAILED_PRECONDITION if the directory is that of a node without some of these slots. A server by itself has all.
absl::Status CheckNodeHas(const std::string& data_dir, uint32_t first_slot, uint32_t last_slot);

}  // namespace bebr

#endif  // BEBR_SERVER_CLUSTER_NODE_DATA_H_
