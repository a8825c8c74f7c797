// Logs in the memory of one process, for tests and as the obvious way to what other logs do.
#ifndef BEBR_INDEX_LOG_MEMORY_LOG_H_
#define BEBR_INDEX_LOG_MEMORY_LOG_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "index/base/mutex.h"
#include "index/log/log.h"

namespace bebr {

// MemoryLogs are gone with the process, and durable as long as it lives. Thread safety: as Logs.
class MemoryLogs : public Logs {
 public:
  class Contents;  // of a log; it and its readers share them

  MemoryLogs();
  ~MemoryLogs() override;
  absl::Status Create(std::string_view name) override;
  absl::StatusOr<std::unique_ptr<Log>> Open(std::string_view name) override;
  absl::Status Drop(std::string_view name) override;
  absl::StatusOr<std::vector<std::string>> Names() override;

  // As an engine that falls back to an older state: appends beyond `position` were never made.
  void LoseBeyond(std::string_view name, uint64_t position);

 private:
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<Contents>, std::less<>> logs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bebr

#endif  // BEBR_INDEX_LOG_MEMORY_LOG_H_
