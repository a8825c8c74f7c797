// The process that the stress test kills.
#ifndef BEBR_TESTS_CRASH_STRESS_CHILD_H_
#define BEBR_TESTS_CRASH_STRESS_CHILD_H_

#include <cstdint>
#include <string>

#include "tests/crash/expected_state.h"

namespace bebr::testing {

inline constexpr int kWriters = 3;

struct ChildOptions {
  std::string data_dir;
  uint64_t seed = 0;
  int output = -1;  // where the lines go
  int run_ms = 0;   // then it ends in order; 0: it runs until it is killed
};

// Opens the data directory, tells all that is in it, and then writes to it from several threads, and changes its
// collections, versions, snapshots and aliases from another, until it is killed. Every operation is told by a line
// before it is begun and another when it is acknowledged. What is wrong with an answer is told too.
//
// `expected` says where the streams go on. Returns the exit code.
int RunChild(const ChildOptions& options, ExpectedState& expected);

}  // namespace bebr::testing

#endif  // BEBR_TESTS_CRASH_STRESS_CHILD_H_
