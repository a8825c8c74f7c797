// The methods of a node of a cluster.
#ifndef BEBR_SERVER_RPC_NODE_METHODS_H_
#define BEBR_SERVER_RPC_NODE_METHODS_H_

#include <vector>

#include "index/types/cluster.h"
#include "server/call/method.h"

namespace bebr {

// Those of proto/bebr/node/v1 for the node `self`, made of `methods`, all others of the server.
std::vector<Method> NodeMethods(const NodePlace& self, const std::vector<Method>& methods);

// Makes of the API's methods those of a node, which by itself takes no writes and changes no collections: these would
// be on one node only. Reads and snapshots are of the node's own documents.
void RefuseWrites(const NodePlace& self, std::vector<Method>& methods);

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_NODE_METHODS_H_
