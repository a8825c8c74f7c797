#include "index/base/turns.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <thread>
#include <utility>

namespace bebr {
namespace {

// The calling thread's policy and length of a turn in ns, 0 where the kernel does not say it.
std::pair<uint64_t, uint64_t> TurnOfThread() {
  std::array<uint64_t, 6> attributes{};  // size and policy, flags, nice and priority, runtime, ...
  EXPECT_EQ(syscall(SYS_sched_getattr, 0, attributes.data(), sizeof(attributes), 0), 0);
  return {attributes[0] >> 32, attributes[3]};
}

TEST(TurnsTest, AreThoseOfTheThreadThatAsks) {
  const auto before = TurnOfThread();
  std::thread([&] {
    TakeShortTurns();
    GiveWay();
    const auto [policy, turn] = TurnOfThread();
    EXPECT_EQ(policy, before.first);
    EXPECT_LE(turn, before.second);
    EXPECT_EQ(turn == before.second, before.second == 0);  // shorter, where there are lengths
  }).join();
  EXPECT_EQ(TurnOfThread(), before);
  GiveWay();
}

}  // namespace
}  // namespace bebr
