#include "index/log/memory_log.h"

#include <algorithm>

#include "tests/unit/log/log_test.h"

namespace bebr {
namespace {

// Processes that share a memory.
class SharedLogs : public Logs {
 public:
  explicit SharedLogs(MemoryLogs* logs) : logs_(logs) {}
  absl::Status Create(std::string_view name) override { return logs_->Create(name); }
  absl::StatusOr<std::unique_ptr<Log>> Open(std::string_view name) override { return logs_->Open(name); }
  absl::Status Drop(std::string_view name) override { return logs_->Drop(name); }
  absl::StatusOr<std::vector<std::string>> Names() override { return logs_->Names(); }

 private:
  MemoryLogs* logs_;
};

class MemoryEngine : public LogEngine {
 public:
  std::unique_ptr<Logs> Connect() override { return std::make_unique<SharedLogs>(&logs_); }
  void LoseBeyond(const std::string& log, uint64_t position) override { logs_.LoseBeyond(log, position); }

 private:
  MemoryLogs logs_;
};

LogEngine& Memory() {
  static auto* const engine = new MemoryEngine();
  return *engine;
}

INSTANTIATE_TEST_SUITE_P(Memory, LogTest, ::testing::Values(LogEngineCase{"memory", Memory}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace bebr
