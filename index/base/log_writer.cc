#include "index/base/log_writer.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "index/base/clock.h"

namespace bebr {
namespace {

// A pipe that poll() says can be written to takes so many bytes without making the writer wait.
constexpr size_t kPieceBytes = 4096;
constexpr int kLookMillis = 200;

}  // namespace

LogWriter::LogWriter(int fd, size_t max_queued_bytes)
    : fd_(fd), max_queued_bytes_(max_queued_bytes), thread_([this] { Run(); }) {}

LogWriter::~LogWriter() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void LogWriter::Write(std::string line, Kind kind) {
  {
    MutexLock lock(&mutex_);
    size_t& queued_bytes = queued_bytes_[static_cast<size_t>(kind)];
    if (queued_bytes + line.size() > max_queued_bytes_) {
      ++dropped_;
      return;
    }
    queued_bytes += line.size();
    lines_.push_back({std::move(line), kind});
  }
  changed_.NotifyAll();
}

uint64_t LogWriter::dropped() const {
  MutexLock lock(&mutex_);
  return dropped_;
}

void LogWriter::Flush(absl::Duration most) {
  const SteadyTime end = SteadyNow() + most;
  MutexLock lock(&mutex_);
  for (absl::Duration left = most; !lines_.empty() && left > absl::ZeroDuration(); left = end - SteadyNow()) {
    changed_.WaitFor(&mutex_, std::min(left, most));
  }
}

void LogWriter::Run() {
  for (;;) {
    const std::string* line = nullptr;
    {
      MutexLock lock(&mutex_);
      while (lines_.empty() && !stopping_) changed_.Wait(&mutex_);
      if (stopping_) return;
      line = &lines_.front().text;  // stays where it is: others only append
    }
    const bool written = WriteOut(*line);
    {
      MutexLock lock(&mutex_);
      queued_bytes_[static_cast<size_t>(lines_.front().kind)] -= lines_.front().text.size();
      lines_.pop_front();
      dropped_ += written ? 0 : 1;
    }
    changed_.NotifyAll();
  }
}

bool LogWriter::WriteOut(const std::string& line) {
  for (std::string_view rest = line; !rest.empty();) {
    pollfd polled{fd_, POLLOUT, 0};
    const int ready = poll(&polled, 1, kLookMillis);
    if (ready <= 0) {
      MutexLock lock(&mutex_);
      if (stopping_) return false;
      continue;
    }
    const ssize_t written = write(fd_, rest.data(), std::min(rest.size(), kPieceBytes));
    if (written > 0) {
      rest.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR && errno != EAGAIN) {
      return false;
    }
  }
  return true;
}

}  // namespace bebr
