// What the server knows of a method before it is called.
#ifndef BEBR_SERVER_CALL_METHOD_H_
#define BEBR_SERVER_CALL_METHOD_H_

#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/async_generic_service.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "server/access/auth.h"
#include "server/access/limits.h"
#include "server/call/gate.h"
#include "server/call/wire_schema.h"
#include "server/metrics/metrics.h"
#include "server/metrics/use_metrics.h"

namespace bebr {

class Call;
struct CallStart;
struct RpcContext;

// How the door (server/call/door.h) treats one method: what it takes to be let in, and which call is then made.
struct Method {
  std::string path;          // "/bebr.v1.SearchService/Search"
  std::optional<Role> role;  // what the caller's key must have; none: callers need no key
  const google::protobuf::Descriptor* request = nullptr;
  const google::protobuf::Descriptor* response = nullptr;
  bool client_streams = false;
  bool server_streams = false;
  bool while_stopping = false;  // its calls are let in while the server stops, too, which waits for none of them
  bool audited = false;         // its calls are in the audit, whatever comes of them; refused calls of any method are
  // Makes the call of a caller who may; it owns itself.
  std::function<Call*(CallStart)> make;

  // Of the door.
  CallKind kind = CallKind::kOther;
  Metrics::Method* counters = nullptr;
  std::shared_ptr<const WireSchema> schema = nullptr;

  // "Search"
  std::string_view name() const { return std::string_view(path).substr(path.rfind('/') + 1); }
};

// What a call begins with. Borrowed but for the identity; what is borrowed outlives the call.
struct CallStart {
  RpcContext& rpc;
  const Method& method;
  grpc::GenericCallbackServerContext& context;
  std::string peer;
  Identity identity;
  KeylessCalls::Slot slot;  // of callers without a key
  Gate::Pass pass;          // of those that are let in
  bool charged = false;     // its first message was taken off the key's rates already, over HTTP
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_METHOD_H_
