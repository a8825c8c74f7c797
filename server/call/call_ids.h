// What identifies a call, and the key that it shows.
#ifndef BEBR_SERVER_CALL_CALL_IDS_H_
#define BEBR_SERVER_CALL_CALL_IDS_H_

#include <grpcpp/support/string_ref.h>

#include <map>
#include <string>
#include <string_view>

namespace bebr {

// The metadata that a client sends with a call.
using CallMetadata = std::multimap<grpc::string_ref, grpc::string_ref>;

// What identifies a call in logs and to the services around it. `request_id` is the metadata x-request-id,
// `traceparent` that of the W3C's Trace Context; what the client does not send, or sends malformed, is made up. Both
// are returned in the initial metadata.
struct CallIds {
  std::string request_id;
  std::string traceparent;
  bool traced_by_client = false;  // traceparent is the client's

  // The 32 hexadecimal digits of traceparent.
  std::string_view trace_id() const { return std::string_view(traceparent).substr(3, 32); }
};

CallIds ReadCallIds(const CallMetadata& metadata);

// The metadata with which the server's HTTP side says whose call it passes on: RpcContext::peer_secret and the peer.
inline constexpr const char* kPeerMetadata = "bebr-peer";
// 32 random hexadecimal digits and a space.
std::string MakePeerSecret();
// The peer that kPeerMetadata names; empty if it is not there or does not begin with `secret`. Borrowed.
std::string_view PassedOnPeer(const CallMetadata& metadata, std::string_view secret);

// The key of "authorization: Bearer KEY", the word in any case; empty: none. Borrowed from the metadata.
std::string_view BearerKey(const CallMetadata& metadata);

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_CALL_IDS_H_
