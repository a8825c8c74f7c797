#include "server/net/http_deadlines.h"

#include <sys/socket.h>

#include "absl/time/time.h"

namespace bebr {
namespace {

constexpr absl::Duration kLookInterval = absl::Seconds(1);

}  // namespace

HttpDeadlines::~HttpDeadlines() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  stop_.NotifyAll();
  thread_.join();
}

void HttpDeadlines::Notify(void* self, MHD_Connection* connection, void**, MHD_ConnectionNotificationCode code) {
  auto* deadlines = static_cast<HttpDeadlines*>(self);
  const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  MutexLock lock(&deadlines->mutex_);
  if (code == MHD_CONNECTION_NOTIFY_CLOSED || info == nullptr) {
    deadlines->open_.erase(connection);
  } else {
    deadlines->open_[connection] = {info->connect_fd, SteadyNow() + kHead};
  }
}

void HttpDeadlines::Set(MHD_Connection* connection, SteadyTime deadline) {
  MutexLock lock(&mutex_);
  if (const auto found = open_.find(connection); found != open_.end()) found->second.deadline = deadline;
}

void HttpDeadlines::Run() {
  MutexLock lock(&mutex_);
  while (!stopping_) {
    const SteadyTime now = SteadyNow();
    // With the lock: the daemon tells of the end of a connection before it closes the socket.
    for (auto& [connection, open] : open_) {
      if (open.deadline > now) continue;
      open.deadline = absl::InfiniteDuration();
      shutdown(open.fd, SHUT_RDWR);  // which the daemon takes for the client's end
    }
    stop_.WaitFor(&mutex_, kLookInterval);
  }
}

}  // namespace bebr
