// The methods of a node that follows a log.
#ifndef BEBR_SERVER_RPC_LOG_METHODS_H_
#define BEBR_SERVER_RPC_LOG_METHODS_H_

#include <string_view>
#include <vector>

#include "bebr/node/v1/node.pb.h"
#include "index/types/replication.h"
#include "server/call/method.h"

namespace bebr {

// Those of proto/bebr/node/v1 that only such a node has. They are called where RpcContext::follower is set.
std::vector<Method> LogMethods(std::string_view service);
bool IsLogMethod(std::string_view name);

void AddReplica(const ReplicaState& state, node::v1::GetStateResponse::Replica& out);

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_LOG_METHODS_H_
