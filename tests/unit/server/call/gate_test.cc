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

}  // namespace
}  // namespace bebr
