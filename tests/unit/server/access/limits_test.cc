#include "server/access/limits.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bebr {
namespace {

TEST(HostOfPeer, IsWhatStandsBeforeThePort) {
  EXPECT_EQ(HostOfPeer("ipv4:10.0.0.1:4711"), "ipv4:10.0.0.1");
  EXPECT_EQ(HostOfPeer("ipv6:%5B::1%5D:4711"), "ipv6:%5B::1%5D");
  EXPECT_EQ(HostOfPeer(""), "");
}

TEST(NetOfPeer, IsAHostOrTheNetOfAnIpv6Address) {
  EXPECT_EQ(NetOfPeer("ipv4:10.0.0.1:4711"), "ipv4:10.0.0.1");
  EXPECT_EQ(NetOfPeer("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:4711"), "ipv6:2001:db8:1:2::/64");
  EXPECT_EQ(NetOfPeer("ipv6:%5B2001:db8:1:2::9%5D:1"), NetOfPeer("ipv6:%5B2001:db8:1:2:ffff::%5D:2"));
  EXPECT_EQ(NetOfPeer("ipv6:%5Bfe80::1%253%5D:4711"), "ipv6:fe80::/64");
  EXPECT_EQ(NetOfPeer("unix:"), "unix");
  EXPECT_EQ(NetOfPeer(""), "");
}

TEST(RefusalLimits, AreOfAHost) {
  RefusalLimits limits;
  int taken = 0;
  for (int port = 0; port < 1000; ++port) taken += limits.Take("ipv4:10.0.0.1:" + std::to_string(port)) ? 1 : 0;
  EXPECT_GE(taken, 100);
  EXPECT_LT(taken, 1000);
}

TEST(KeylessCalls, AreBoundedByHostAndInAll) {
  KeylessCalls calls;
  std::vector<KeylessCalls::Slot> slots;
  for (uint32_t i = 0; i < KeylessCalls::kMostOfHost; ++i) {
    slots.push_back(calls.Enter("ipv4:10.0.0.1:" + std::to_string(i)));
    EXPECT_TRUE(slots.back().entered());
  }
  EXPECT_FALSE(calls.Enter("ipv4:10.0.0.1:9").entered());
  slots.pop_back();
  slots.push_back(calls.Enter("ipv4:10.0.0.1:9"));  // a place that was given back, and only once
  EXPECT_TRUE(slots.back().entered());
  EXPECT_FALSE(calls.Enter("ipv4:10.0.0.1:10").entered());
  size_t others = 0;
  for (int host = 0; host < 5000; ++host) {
    slots.push_back(calls.Enter("ipv4:10.1." + std::to_string(host) + ".1:1"));
    others += slots.back().entered() ? 1 : 0;
  }
  EXPECT_EQ(others, KeylessCalls::kMost - KeylessCalls::kMostOfHost);
  EXPECT_TRUE(calls.Enter("ipv4:10.0.0.1:11", /*lasts=*/true).entered());  // which are counted apart
  slots.clear();
  EXPECT_TRUE(calls.Enter("ipv4:10.0.0.1:11").entered());
}

}  // namespace
}  // namespace bebr
