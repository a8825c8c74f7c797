#ifndef BEBR_BENCH_SUPPORT_SERVER_PROCESS_H_
#define BEBR_BENCH_SUPPORT_SERVER_PROCESS_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bebr::bench {

// The path of a program beside this one, e.g. Sibling("bebr-server").
std::string Sibling(const std::string& name);
// Runs a program to its end with its output on standard error; an error names it and its exit status.
absl::Status RunProgram(const std::vector<std::string>& arguments);

// A ServerProcess is a bebr-server of its own on a free loopback port, over a data directory that stays when it ends.
//
// Ownership: the process ends with this object (SIGKILL if it was not stopped before). Thread safety: none, but the
// channel may be used from any thread.
class ServerProcess {
 public:
  // Returns once the server answers. `flags` are further options of bebr-server.
  static absl::StatusOr<std::unique_ptr<ServerProcess>> Start(const std::string& data_dir,
                                                              const std::vector<std::string>& flags = {});
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  int pid() const { return pid_; }
  const std::string& address() const { return address_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  // Seconds from the start of the process to the first answer.
  double start_s() const { return start_s_; }

  // SIGTERM, then waits for the end; an error if it took more than two minutes or the exit status was not 0.
  absl::Status Stop();
  // SIGKILL.
  void Kill();

 private:
  ServerProcess() = default;
  absl::Status WaitUntilServing();
  // Whether the process has ended; takes its exit status.
  bool Ended(bool wait);

  int pid_ = -1;
  int exit_status_ = 0;
  std::string address_;
  std::shared_ptr<grpc::Channel> channel_;
  double start_s_ = 0;
};

// A directory that is removed with everything in it. It lies under $TMPDIR or /var/tmp: /tmp is often held in memory,
// where a sync costs nothing.
class WorkDirectory {
 public:
  WorkDirectory();
  ~WorkDirectory();
  WorkDirectory(const WorkDirectory&) = delete;
  WorkDirectory& operator=(const WorkDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace bebr::bench

#endif  // BEBR_BENCH_SUPPORT_SERVER_PROCESS_H_
