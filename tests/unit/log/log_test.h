// What every log must do: one suite for all of them.
#ifndef BEBR_TESTS_UNIT_LOG_LOG_TEST_H_
#define BEBR_TESTS_UNIT_LOG_LOG_TEST_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "index/log/log.h"

namespace bebr {

// An engine for logs as the suite needs it.
class LogEngine {
 public:
  virtual ~LogEngine() = default;
  // A process of its own, as it were: it shares no connection and no lock with others.
  virtual std::unique_ptr<Logs> Connect() = 0;
  // Appends beyond `position` were never made, as after a restore of an older state.
  virtual void LoseBeyond(const std::string& log, uint64_t position) = 0;
};

// A name for the printer of tests, and how to make the engine; it is made once for all tests.
struct LogEngineCase {
  std::string name;
  std::function<LogEngine&()> engine;
};

class LogTest : public ::testing::TestWithParam<LogEngineCase> {
 protected:
  void SetUp() override;
  std::unique_ptr<Log> Open();

  LogEngine& engine() { return GetParam().engine(); }
  std::string name_;  // of a log of this test's own, which is there
  std::unique_ptr<Logs> logs_;
  std::unique_ptr<Log> log_;
};

// The next append of a writer: a record a shard.
LogPlace MustAppend(Log& log, LogWriter& writer, const std::vector<LogRecord>& records);
// All that follows `after` in `shards`, as "position/shard:bytes", in pages of `max_bytes`.
std::vector<std::string> ReadAll(Log& log, LogPlace after, const std::vector<uint32_t>& shards,
                                 size_t max_bytes = 1 << 20, LogPlace* end = nullptr);

}  // namespace bebr

#endif  // BEBR_TESTS_UNIT_LOG_LOG_TEST_H_
