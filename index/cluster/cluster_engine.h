// One engine made of those of several nodes.
#ifndef BEBR_INDEX_CLUSTER_CLUSTER_ENGINE_H_
#define BEBR_INDEX_CLUSTER_CLUSTER_ENGINE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "index/cluster/node.h"
#include "index/gateway_engine.h"
#include "index/types/cluster.h"

namespace bebr {

// A node and what it holds.
struct ClusterMember {
  NodePlace place;
  std::unique_ptr<ClusterNode> node;
};

// An Engine over the nodes of a cluster, each of which holds the documents of its slots: answers are those of one
// engine with all documents, id for id and score for score.
//
// How. A call about documents goes to the nodes of their slots, every other call to all nodes at the same time. Each
// node answers its part (`part` of the requests) and merge.h makes one answer of the parts. What changes a collection,
// its versions or an alias goes to one node after the other, once all have been found to answer.
//
// Promises. Of a request that writes to several nodes all documents are checked before any is written; it is atomic on
// each node, and not over nodes: an error says where it was written. A search sees each node at one moment of that
// node's. Writes of one document take effect in the order in which they came.
//
// Not carried, and refused by name with UNIMPLEMENTED: see Refusal in cluster_read.cc and cluster_admin.cc.
//
// Errors: those of the nodes. UNAVAILABLE names a node that does not answer: there is no answer without it. Cost beside
// the nodes': a thread a node for calls that block. What the collections and aliases are called, and how the nodes are,
// is asked once a second, and known from before when a call needs it.
//
// `members` have all slots, each once.
std::unique_ptr<GatewayEngine> MakeClusterEngine(std::vector<ClusterMember> members);

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_CLUSTER_ENGINE_H_
