// The API as JSON over HTTP.
#ifndef BEBR_SERVER_HTTP_GATEWAY_H_
#define BEBR_SERVER_HTTP_GATEWAY_H_

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/call/door.h"
#include "server/call/rpc_context.h"

namespace bebr {

// The Gateway serves every unary method of the API over HTTP/1.1, by the Connect protocol: POST /bebr.v1.SearchService/
// Search with a JSON body, answered with JSON. It knows no method by itself: a request becomes a call of the server's
// own gRPC side (http_call.h).
//
// Whether a caller may go on is decided when the headers are there: bodies of strangers are not read. Web pages of
// other origins than http_allowed_origins are refused. With tls_cert_file it speaks TLS, and takes new files into use
// by itself.
//
// Thread safety: none needed; it has threads of its own. Drain and the destructor on one thread.
class Gateway {
 public:
  // Listens on http_listen of rpc.config. `rpc` and `door` must outlive it; `channel` is the server's own; `times`
  // gives the text of /console/times, how long calls took, from any thread. UNAVAILABLE if the address cannot be
  // listened on, INVALID_ARGUMENT for TLS files that are not what they should be.
  static absl::StatusOr<std::unique_ptr<Gateway>> Start(RpcContext& rpc, const Door& door,
                                                        const std::shared_ptr<grpc::Channel>& channel,
                                                        std::function<std::string()> times);
  // Waits for the calls in progress, and some seconds for clients to take their answers.
  virtual ~Gateway() = default;

  // Takes no new connections and no new calls.
  virtual void Drain() = 0;
  // Whether no call is in progress.
  virtual bool idle() const = 0;
  virtual int port() const = 0;
};

}  // namespace bebr

#endif  // BEBR_SERVER_HTTP_GATEWAY_H_
