// How long a client of HTTP may take for each part of a request.
#ifndef BEBR_SERVER_NET_HTTP_DEADLINES_H_
#define BEBR_SERVER_NET_HTTP_DEADLINES_H_

#include <microhttpd.h>

#include <cstddef>
#include <limits>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"

namespace bebr {

// HttpDeadlines closes the connections of libmicrohttpd that are late: its own timeout counts silence alone, and a
// client that sends, or takes, a byte now and then is never silent. It also keeps them few: beyond `most` a new one
// takes the place of another, of one that has long had no request first, then of the host that has most, then of the
// oldest. So whoever comes gets in, however many strangers hold connections, and stays for long enough to ask.
//
//   MHD_OPTION_NOTIFY_CONNECTION, &HttpDeadlines::Notify, &deadlines   // a new one has kHead for its first request
//   deadlines.Set(connection, SteadyNow() + absl::Seconds(60));        // and from then on what its owner says
//
// Ownership: it must outlive the daemons. Thread safety: all methods may be called from any thread; has one of its own.
// Cost: a lock and a look-up; each second, and for each new one beyond `most`, about 20 ns a connection.
class HttpDeadlines {
 public:
  // For the line and the headers of a request.
  static constexpr absl::Duration kHead = absl::Seconds(15);

  explicit HttpDeadlines(size_t most = std::numeric_limits<size_t>::max()) : most_(most), thread_([this] { Run(); }) {}
  ~HttpDeadlines();
  HttpDeadlines(const HttpDeadlines&) = delete;
  HttpDeadlines& operator=(const HttpDeadlines&) = delete;

  // `self` is an HttpDeadlines.
  static void Notify(void* self, MHD_Connection* connection, void**, MHD_ConnectionNotificationCode code);
  // When the connection is closed, unless it is set again before; InfiniteDuration: never. `busy`: it has a request. A
  // connection that has ended is none.
  void Set(MHD_Connection* connection, SteadyTime deadline, bool busy = true);

 private:
  struct Open {
    int fd;
    std::string host;
    SteadyTime since;  // when it came
    SteadyTime deadline;
    bool busy = false;
    bool closing = false;
  };
  void Run();
  static void Close(Open& open);
  void MakeRoom(const MHD_Connection* besides, SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t most_;
  Mutex mutex_;
  CondVar stop_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<MHD_Connection*, Open> open_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_NET_HTTP_DEADLINES_H_
