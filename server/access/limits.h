// Rates: so much a second.
#ifndef BEBR_SERVER_ACCESS_LIMITS_H_
#define BEBR_SERVER_ACCESS_LIMITS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "index/base/token_bucket.h"

namespace bebr {

// The host of gRPC's name for a peer: "ipv4:10.0.0.1" of "ipv4:10.0.0.1:4711".
std::string_view HostOfPeer(std::string_view peer);
// What one caller has of addresses: the host, or of an IPv6 address the network of 64 bits, "ipv6:2001:db8::/64".
std::string NetOfPeer(std::string_view peer);

// How many refused calls a host (NetOfPeer) may have each second before they are no longer worth a line of the log.
// Hosts share a fixed number of buckets by hash, so that many of them take no memory.
//
// Thread safety: Take may be called from any thread.
class RefusalLimits {
 public:
  static constexpr double kPerSecond = 100;

  RefusalLimits();
  // Whether a refusal of this peer (as gRPC names it) is within the rate of its host.
  bool Take(std::string_view peer);

 private:
  static constexpr size_t kBuckets = 1024;
  std::vector<std::unique_ptr<TokenBucket>> buckets_;
};

// The calls in progress whose callers need no key, such as health checks: bounded in all, and by host, where hosts
// share counters by hash. Calls that last, which watch, are counted apart from those that ask: they take no room from
// these.
//
// Thread safety: all methods may be called from any thread. It must outlive its slots.
class KeylessCalls {
 public:
  static constexpr uint32_t kMost = 1024;
  static constexpr uint32_t kMostOfHost = 64;

  // Of one kind.
  struct Counts {
    static constexpr size_t kBuckets = 1024;
    void Leave(size_t bucket);
    std::atomic<uint32_t> calls{0};
    std::array<std::atomic<uint32_t>, kBuckets> of_host{};
  };
  // A call's place, given back by its destructor.
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept : calls_(std::exchange(other.calls_, nullptr)), bucket_(other.bucket_) {}
    Slot& operator=(Slot&& other) noexcept {
      std::swap(calls_, other.calls_);
      std::swap(bucket_, other.bucket_);
      return *this;
    }
    ~Slot() {
      if (calls_ != nullptr) calls_->Leave(bucket_);
    }
    bool entered() const { return calls_ != nullptr; }

   private:
    friend class KeylessCalls;
    Slot(Counts* calls, size_t bucket) : calls_(calls), bucket_(bucket) {}
    Counts* calls_ = nullptr;
    size_t bucket_ = 0;
  };

  // A slot that is not entered() if there are too many.
  Slot Enter(std::string_view peer, bool lasts = false);

 private:
  Counts asking_, lasting_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_ACCESS_LIMITS_H_
