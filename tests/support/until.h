// Waiting for what a test is about to see.
#ifndef BEBR_TESTS_SUPPORT_UNTIL_H_
#define BEBR_TESTS_SUPPORT_UNTIL_H_

#include <chrono>
#include <thread>

namespace bebr::testing {

// What a machine may take that has much else to do, for what yields to all else too: no bound on anything, since who
// waits goes on as soon as it can.
inline constexpr std::chrono::minutes kPatience{5};

// Waits until `is_so()`, asking every `pause`; false if it is not so after kPatience.
template <typename Condition>
bool Until(const Condition& is_so, std::chrono::milliseconds pause = std::chrono::milliseconds(10)) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    if (is_so()) return true;
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace bebr::testing

#endif  // BEBR_TESTS_SUPPORT_UNTIL_H_
