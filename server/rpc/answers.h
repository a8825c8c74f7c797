// What several handlers answer with.
#ifndef BEBR_SERVER_RPC_ANSWERS_H_
#define BEBR_SERVER_RPC_ANSWERS_H_

#include <google/protobuf/message.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "bebr/v1/collections.pb.h"
#include "server/call/rpc_context.h"

namespace bebr {

// Fills in what the collection is now.
absl::Status Describe(const RpcContext& rpc, const std::string& collection, v1::Collection* out);

// RESOURCE_EXHAUSTED if `message` is larger than the server may send. `advice` says what to do.
absl::Status CheckSize(const RpcContext& rpc, const google::protobuf::Message& message, std::string_view advice);

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_ANSWERS_H_
