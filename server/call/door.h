// The one way in for calls of all methods.
#ifndef BEBR_SERVER_CALL_DOOR_H_
#define BEBR_SERVER_CALL_DOOR_H_

#include <grpcpp/generic/async_generic_service.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/call/method.h"
#include "server/call/rpc_context.h"

namespace bebr {

// The Door is where every call comes in, those of methods that nobody knows too. It looks at the call's metadata alone:
// whose key is this, and has it the method's role? Only then a Call is made, which reads what the client sends.
//
// Refused callers cost little: nothing that they send is read, and beyond some refusals a second from one address their
// calls are answered with RESOURCE_EXHAUSTED and not logged.
//
// Thread safety: all methods may be called from any thread.
class Door final : public grpc::CallbackGenericService {
 public:
  // `rpc` must outlive it. `limits` are those of the messages' repeated fields.
  Door(RpcContext& rpc, std::vector<Method> methods, const FieldLimits& limits);

  // The method of a path, "/bebr.v1.SearchService/Search"; null if there is none.
  const Method* Find(const std::string& path) const;
  // Whether a caller with this key would be let in to a call of the method. UNAUTHENTICATED or PERMISSION_DENIED.
  // Whose key it is; anybody's where the method needs none.
  absl::StatusOr<Identity> MayCall(const Method& method, std::string_view key) const;

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override;

 private:
  // Whether the caller is let in, with what `start` needs for it.
  absl::Status Admit(CallStart& start);

  RpcContext& rpc_;
  absl::flat_hash_map<std::string, Method> methods_;  // by path; fixed after construction
  Method unknown_;                                    // stands for all others
};

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_DOOR_H_
