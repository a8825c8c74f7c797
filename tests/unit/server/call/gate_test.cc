#include "server/call/gate.h"

#include <gtest/gtest.h>

#include <thread>
#include <utility>

namespace bebr {
namespace {

TEST(Gate, LetsInUntilItIsClosedAndWaitsForThoseInside) {
  Gate gate;
  EXPECT_TRUE(gate.AwaitEmpty(absl::ZeroDuration()));
  Gate::Pass first = gate.Enter();
  ASSERT_TRUE(first.entered());
  Gate::Pass moved = std::move(first);
  EXPECT_FALSE(first.entered());  // NOLINT: a pass that was moved is none
  gate.Close();
  EXPECT_TRUE(gate.closed());
  EXPECT_FALSE(gate.Enter().entered());
  EXPECT_FALSE(gate.AwaitEmpty(absl::Milliseconds(1)));
  std::thread leaving([pass = std::move(moved)]() mutable { pass = Gate::Pass(); });
  EXPECT_TRUE(gate.AwaitEmpty(absl::InfiniteDuration()));
  leaving.join();
}

TEST(Gate, KnowsWhoIsInsideAndHurries) {
  Gate gate;
  Gate::Pass one = gate.Enter("a"), two = gate.Enter("a"), three = gate.Enter("b");
  EXPECT_TRUE(gate.Inside("a"));
  EXPECT_FALSE(gate.Inside("c"));
  one = std::move(three);  // b's is a's now, and a's first one goes with `three`
  EXPECT_TRUE(gate.Inside("a"));
  three = Gate::Pass();
  EXPECT_TRUE(gate.Inside("a"));
  two = Gate::Pass();
  EXPECT_FALSE(gate.Inside("a"));
  EXPECT_TRUE(gate.Inside("b"));
  EXPECT_EQ(gate.refused(), 0u);
  gate.Close();
  EXPECT_FALSE(gate.Enter("c").entered());
  EXPECT_EQ(gate.refused(), 1u);
  std::thread impatient([&gate] { gate.Hurry(); });
  EXPECT_FALSE(gate.AwaitEmpty(absl::InfiniteDuration()));
  EXPECT_TRUE(gate.hurried());
  impatient.join();
}

}  // namespace
}  // namespace bebr
