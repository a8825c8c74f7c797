#include "server/access/limits.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "index/base/clock.h"

namespace bebr {

std::string_view HostOfPeer(std::string_view peer) { return peer.substr(0, peer.rfind(':')); }

std::string NetOfPeer(std::string_view peer) {
  constexpr std::string_view kV6 = "ipv6:%5B";
  constexpr size_t kNetBytes = 8;
  const std::string_view host = HostOfPeer(peer);
  in6_addr address{};
  std::string text(host.substr(0, kV6.size()) == kV6 ? host.substr(kV6.size()) : "");
  text.resize(std::min(text.size(), text.find('%')));  // of the zone, or of the bracket
  if (inet_pton(AF_INET6, text.c_str(), &address) != 1) return std::string(host);
  std::memset(&address.s6_addr[kNetBytes], 0, sizeof(address.s6_addr) - kNetBytes);
  char net[INET6_ADDRSTRLEN] = "";
  inet_ntop(AF_INET6, &address, net, sizeof(net));
  return absl::StrCat("ipv6:", net, "/64");
}

RefusalLimits::RefusalLimits() {
  for (size_t i = 0; i < kBuckets; ++i) buckets_.push_back(std::make_unique<TokenBucket>(kPerSecond));
}

bool RefusalLimits::Take(std::string_view peer) {
  const size_t bucket = absl::HashOf(NetOfPeer(peer)) % kBuckets;
  return buckets_[bucket]->Take(1, SteadyNow()) == absl::ZeroDuration();
}

KeylessCalls::Slot KeylessCalls::Enter(std::string_view peer, bool lasts) {
  Counts& counts = lasts ? lasting_ : asking_;
  const size_t bucket = absl::HashOf(NetOfPeer(peer)) % Counts::kBuckets;
  Slot slot(&counts, bucket);  // leaves again where it is one too many
  const uint32_t calls = ++counts.calls, of_host = ++counts.of_host[bucket];
  if (calls > kMost || of_host > kMostOfHost) return Slot();
  return slot;
}

void KeylessCalls::Counts::Leave(size_t bucket) {
  --calls;
  --of_host[bucket];
}

}  // namespace bebr
