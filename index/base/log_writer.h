// Writing the log without making anybody wait for it.
#ifndef BEBR_INDEX_BASE_LOG_WRITER_H_
#define BEBR_INDEX_BASE_LOG_WRITER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "index/base/mutex.h"

namespace bebr {

// A LogWriter writes lines to a file descriptor on a thread of its own, so that nobody waits for a pipe that is not
// read or a disk that does not answer. What would make more than `max_queued_bytes` wait is dropped and counted. Lines
// of the audit have as much room of their own: other lines, however many, push none of them out.
//
// Thread safety: all methods may be called from any thread.
class LogWriter {
 public:
  // `fd` stays the caller's and must outlive it.
  LogWriter(int fd, size_t max_queued_bytes);
  // Gives up what is not yet written.
  ~LogWriter();

  enum class Kind { kOther, kAudit };
  void Write(std::string line, Kind kind = Kind::kOther);
  // Lines that were not written, because too much waited or the descriptor took them not.
  uint64_t dropped() const;
  // Returns when all lines are written, or after `most`.
  void Flush(absl::Duration most);

 private:
  void Run();
  // False if the line could not be written.
  bool WriteOut(const std::string& line);

  const int fd_;
  const size_t max_queued_bytes_;
  mutable Mutex mutex_;
  CondVar changed_;
  struct Line {
    std::string text;
    Kind kind;
  };
  std::deque<Line> lines_ ABSL_GUARDED_BY(mutex_);                // the first may be being written
  std::array<size_t, 2> queued_bytes_ ABSL_GUARDED_BY(mutex_){};  // by Kind
  uint64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_LOG_WRITER_H_
