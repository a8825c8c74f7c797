// A node in another process.
#ifndef BEBR_SERVER_CLUSTER_REMOTE_NODE_H_
#define BEBR_SERVER_CLUSTER_REMOTE_NODE_H_

#include <memory>

#include "index/cluster/node.h"
#include "index/types/cluster.h"
#include "server/cluster/channel.h"
#include "server/metrics/metrics.h"

namespace bebr {

// The node at place.address, by proto/bebr/node/v1. Deadlines and cancellation of requests are passed on; a call
// without a deadline gets that of `credentials`. Searches may share a call (SearchQueue), and are asked again where its
// error may be another one's; nothing else is sent twice. UNAVAILABLE: it cannot be reached, does not answer in that
// time, takes not our key, or is another node than `place` says. Its end waits for the calls that are on their way.
// `metrics` and `canceller` must outlive it.
std::unique_ptr<ReplicaNode> MakeRemoteNode(const NodePlace& place, const NodeCredentials& credentials,
                                            Canceller* canceller, Metrics* metrics);

}  // namespace bebr

#endif  // BEBR_SERVER_CLUSTER_REMOTE_NODE_H_
