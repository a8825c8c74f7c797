#include "bench/support/server_process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "bebr/v1/collections.grpc.pb.h"
#include "bench/support/machine.h"
#include "index/base/status_macros.h"

namespace bebr::bench {
namespace {

constexpr double kStartLimitSeconds = 300;  // a large collection is rebuilt before the first answer
constexpr double kStopLimitSeconds = 120;

absl::StatusOr<int> FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  const bool ok = fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  const int error = errno;
  if (fd >= 0) close(fd);
  if (!ok) return absl::ErrnoToStatus(error, "cannot find a free port");
  return ntohs(address.sin_port);
}

absl::StatusOr<int> Spawn(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "cannot start a process");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // it must not outlive a benchmark that is killed
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  return pid;
}

}  // namespace

std::string Sibling(const std::string& name) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

absl::Status RunProgram(const std::vector<std::string>& arguments) {
  BEBR_ASSIGN_OR_RETURN(const int pid, Spawn(arguments));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrFormat("%s failed (status %d)", absl::StrJoin(arguments, " "), status));
}

absl::StatusOr<std::unique_ptr<ServerProcess>> ServerProcess::Start(const std::string& data_dir,
                                                                    const std::vector<std::string>& flags) {
  std::unique_ptr<ServerProcess> server(new ServerProcess());
  BEBR_ASSIGN_OR_RETURN(const int port, FreePort());
  server->address_ = absl::StrCat("127.0.0.1:", port);
  std::vector<std::string> arguments = {Sibling("bebr-server"), "--listen", server->address_, "--metrics_listen", "",
                                        "--data_dir",           data_dir,   "--log_level",    "warning"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  const double start = NowSeconds();
  BEBR_ASSIGN_OR_RETURN(server->pid_, Spawn(arguments));
  BEBR_RETURN_IF_ERROR(server->WaitUntilServing());
  server->start_s_ = NowSeconds() - start;
  return server;
}

absl::Status ServerProcess::WaitUntilServing() {
  const double limit = NowSeconds() + kStartLimitSeconds;
  while (NowSeconds() < limit) {
    if (Ended(false)) return absl::InternalError(absl::StrCat("bebr-server ended at its start, status ", exit_status_));
    // A channel that found nobody looks again after seconds, whatever its arguments say.
    grpc::ChannelArguments options;
    options.SetMaxReceiveMessageSize(-1);
    options.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel_ = grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), options);
    const auto stub = v1::CollectionService::NewStub(channel_);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    v1::ListCollectionsResponse response;
    if (stub->ListCollections(&context, v1::ListCollectionsRequest(), &response).ok()) return absl::OkStatus();
    absl::SleepFor(absl::Milliseconds(5));
  }
  return absl::DeadlineExceededError(absl::StrFormat("bebr-server did not answer within %.0f s", kStartLimitSeconds));
}

bool ServerProcess::Ended(bool wait) {
  if (pid_ < 0) return true;
  int got;
  while ((got = waitpid(pid_, &exit_status_, wait ? 0 : WNOHANG)) < 0 && errno == EINTR) {
  }
  if (got == 0) return false;
  pid_ = -1;
  return true;
}

absl::Status ServerProcess::Stop() {
  if (pid_ < 0) return absl::OkStatus();
  kill(pid_, SIGTERM);
  for (const double limit = NowSeconds() + kStopLimitSeconds; !Ended(false);) {
    if (NowSeconds() > limit) {
      return absl::DeadlineExceededError(absl::StrFormat("bebr-server did not stop within %.0f s", kStopLimitSeconds));
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
  if (exit_status_ == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("bebr-server stopped with status ", exit_status_));
}

void ServerProcess::Kill() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  Ended(true);
}

ServerProcess::~ServerProcess() { Kill(); }

WorkDirectory::WorkDirectory() {
  const char* base = getenv("TMPDIR");
  std::string name = absl::StrCat(base != nullptr && base[0] != '\0' ? base : "/var/tmp", "/bebr-bench-XXXXXX");
  if (mkdtemp(name.data()) == nullptr) {
    std::perror(name.c_str());
    std::exit(1);
  }
  path_ = name;
}

WorkDirectory::~WorkDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace bebr::bench
