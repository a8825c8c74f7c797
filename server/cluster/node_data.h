// What a data directory holds of a cluster.
#ifndef BEBR_SERVER_CLUSTER_NODE_DATA_H_
#define BEBR_SERVER_CLUSTER_NODE_DATA_H_

#include <string>

#include "absl/status/status.h"
#include "index/types/cluster.h"

namespace bebr {

// Holds the data directory of a node to its name and slots, for ever: the file cluster.json in it says which they are,
// and is written for a node's first start. FAILED_PRECONDITION if they are others now: documents would not be where the
// gateway looks for them. `self` is null for a server that is no node. Likewise if the directory has collections of the
// other kind of server.
absl::Status CheckNodeData(const std::string& data_dir, const NodePlace* self);

}  // namespace bebr

#endif  // BEBR_SERVER_CLUSTER_NODE_DATA_H_
