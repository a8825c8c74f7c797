// What several handlers answer with.
#ifndef BEBR_SERVER_RPC_ANSWERS_H_
#define BEBR_SERVER_RPC_ANSWERS_H_

#include <google/protobuf/message.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "bebr/v1/collections.pb.h"
#include "bebr/v1/documents.pb.h"
#include "index/engine.h"
#include "server/call/call.h"
#include "server/call/rpc_context.h"

namespace bebr {

// Fills in what the collection is now.
absl::Status Describe(const RpcContext& rpc, const std::string& collection, v1::Collection* out);

// Adds documents, and what they take to the memory of the call's answer: an error once that is too much.
absl::Status AddDocuments(const Call& call, std::vector<Document>&& documents, v1::GetResponse& out);

// RESOURCE_EXHAUSTED if `message` is larger than the server may send. `advice` says what to do.
absl::Status CheckSize(const RpcContext& rpc, const google::protobuf::Message& message, std::string_view advice);

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_ANSWERS_H_
