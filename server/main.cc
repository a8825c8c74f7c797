// bebr-server: reads its configuration, serves until SIGTERM or SIGINT, drains, exits.
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "index/base/logging.h"
#include "index/base/program.h"
#include "index/base/thread_pool.h"
#include "index/cut_snapshot.h"
#include "index/engine.h"
#include "server/build_info.h"
#include "server/cluster/node_data.h"
#include "server/config/config.h"
#include "server/net/grpc_log.h"
#include "server/server.h"

namespace {

constexpr absl::Duration kFlushTime = absl::Seconds(1);
constexpr int kExitSignalled = 128;  // and the signal, as shells have it

bebr::Environment ReadEnvironment() {
  bebr::Environment environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos) environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

// Sent to the main thread when the server is drained.
int DrainedSignal() { return SIGRTMIN; }

// Drains. SIGTERM or SIGINT again cuts off the calls in flight; once more ends the process at once.
void Drain(const sigset_t& signals, bebr::Server& server) {
  std::thread drain([&server, waiting = pthread_self()] {
    server.Drain();
    pthread_kill(waiting, DrainedSignal());
  });
  for (int stops = 1;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal == DrainedSignal()) break;
    if (signal == SIGHUP) {
      bebr::LogInfo("SIGHUP: the server is stopping, nothing is read again");
    } else if (++stops == 2) {
      bebr::LogInfo("signal {} again: calls in flight are cut off", signal);
      server.Hurry();
    } else {
      // Not by the signal itself, to which the first process of a container is deaf.
      bebr::LogInfo("signal {} once more: ended at once", signal);
      bebr::FlushLog(kFlushTime);
      _exit(kExitSignalled + signal);
    }
  }
  drain.join();
}

// SIGHUP reads configuration and keys again; SIGTERM and SIGINT end it.
void ServeUntilSignal(const sigset_t& signals, const std::vector<std::string>& arguments, bebr::Server& server) {
  for (;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal == DrainedSignal()) continue;  // somebody else's
    if (signal != SIGHUP) {
      bebr::LogInfo("signal {}: draining", signal);
      return Drain(signals, server);
    }
    const auto command = bebr::ParseServerConfig(arguments, ReadEnvironment());
    server.Reload(command.ok() ? absl::StatusOr<bebr::ServerConfig>(command->config) : command.status());
  }
}

// Connections and data files need more descriptors than the low limit that most programs start with.
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// glibc gives threads that allocate at the same time an arena each, up to eight a processor, and what was freed in one
// serves only the threads that have it: on 32 processors, answers that nobody took held 445 MiB at a limit of 32 MiB,
// with eight arenas 224 MiB. With fewer than one a processor threads wait for each other. Whoever wants another number
// says so in the environment.
void BoundAllocatorArenas() {
  constexpr size_t kLeastArenas = 8;
  const size_t arenas = std::max(kLeastArenas, bebr::AvailableProcessors());
  if (std::getenv("MALLOC_ARENA_MAX") == nullptr) mallopt(M_ARENA_MAX, static_cast<int>(arenas));
}

// Abseil's mutexes, which gRPC uses, look for deadlocks where the library was built without NDEBUG, as Debian's is:
// with one lock of the whole process for each lock and unlock.
void LockWithoutLookingForCycles() { absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore); }

// Prints what is damaged, and what is not; the exit status.
int Verify(const bebr::ServerConfig& config) {
  bool whole = true;
  size_t directories = 0;
  const auto report = [&](const std::string& directory, const absl::Status& status) {
    whole = whole && status.ok();
    ++directories;
    std::printf("%s: %s\n", directory.c_str(), status.ok() ? "whole" : std::string(status.message()).c_str());
  };
  const absl::Status status = bebr::VerifyDataDirectory(config.data_dir, config.snapshot_dir, report);
  if (!status.ok()) std::fprintf(stderr, "bebr-server: %s\n", std::string(status.message()).c_str());
  if (status.ok() && directories == 0) std::printf("%s: 0 collections\n", config.data_dir.c_str());
  return bebr::EndOutput("bebr-server", status.ok() && whole ? bebr::kExitDone : bebr::kExitFailed);
}

// Prints what was damaged and what became of it; the exit status.
int Repair(const bebr::ServerCommand& command) {
  const auto report = bebr::RepairCollection(command.config.data_dir, command.repair, command.accept_loss);
  if (!report.ok()) {
    std::fprintf(stderr, "bebr-server: %s is not repaired: %s\n", command.repair.c_str(),
                 std::string(report.status().message()).c_str());
    return bebr::kExitFailed;
  }
  if (report->text.empty()) std::printf("%s is whole; nothing was changed\n", command.repair.c_str());
  if (report->resumed) std::printf("a repair of %s that was interrupted is finished:\n", command.repair.c_str());
  std::fputs(report->text.c_str(), stdout);
  return bebr::EndOutput("bebr-server", bebr::kExitDone);
}

// Prints what was made; the exit status.
int Cut(const bebr::ServerCommand& command) {
  const std::vector<std::string> name = absl::StrSplit(command.cut, '/'),
                                 slots = absl::StrSplit(command.cut_slots, '-');
  bebr::SnapshotCut cut{
      .data_dir = command.config.data_dir, .snapshot_dir = command.config.snapshot_dir, .into = command.cut_into};
  const bool right =
      name.size() == 2 && slots.size() == 2 && absl::SimpleAtoi(slots[0], &cut.first_slot) &&
      absl::SimpleAtoi(slots[1], &cut.last_slot) && !cut.into.empty() &&
      (command.cut_position.empty() || (absl::SimpleAtoi(command.cut_position, &cut.position) && cut.position > 0));
  if (!right) {
    std::fputs(
        "bebr-server: --cut wants NAME/SNAPSHOT, --cut_slots FIRST-LAST, and --cut_into DIR; --cut_position is a "
        "number from 1\n",
        stderr);
    return bebr::kExitUsage;
  }
  cut.collection = name[0];
  cut.snapshot = name[1];
  const absl::Status has = bebr::CheckNodeHas(cut.data_dir, cut.first_slot, cut.last_slot);
  const auto made = has.ok() ? bebr::CutSnapshot(cut) : has;
  if (!made.ok()) {
    std::fprintf(stderr, "bebr-server: nothing is cut: %s\n", std::string(made.status().message()).c_str());
    return absl::IsInvalidArgument(made.status()) ? bebr::kExitUsage : bebr::kExitFailed;
  }
  std::printf("%s/%s/%s: %llu documents of slots %u-%u\n", cut.into.c_str(), name[0].c_str(), name[1].c_str(),
              static_cast<unsigned long long>(made->documents), cut.first_slot, cut.last_slot);
  return bebr::EndOutput("bebr-server", bebr::kExitDone);
}

}  // namespace

int main(int argc, char** argv) {
  LockWithoutLookingForCycles();
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const auto command = bebr::ParseServerConfig(arguments, ReadEnvironment());
  if (!command.ok()) {
    std::fprintf(stderr, "bebr-server cannot start:\n%s\n", std::string(command.status().message()).c_str());
    return bebr::kExitUsage;
  }
  if (command->help || command->version || command->print_config) {
    const std::string text = command->help      ? bebr::ServerHelp()
                             : command->version ? std::string("bebr-server ") + bebr::kBuildVersion + "\n"
                                                : bebr::PrintServerConfig(command->config);
    std::fputs(text.c_str(), stdout);
    return bebr::EndOutput("bebr-server", bebr::kExitDone);
  }
  bebr::InitLogging(command->config.log_level, command->config.log_format == "json");
  if (command->verify) return Verify(command->config);
  if (!command->repair.empty()) return Repair(*command);
  if (!command->cut.empty()) return Cut(*command);
  RaiseFileLimit();
  BoundAllocatorArenas();
  // Before any thread starts, that of the log too, so that all inherit it and only sigwait sees these signals.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, DrainedSignal()}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  bebr::WriteLogInBackground();
  bebr::LogGrpcLines();

  auto server = bebr::Server::Start(command->config);
  if (!server.ok()) {
    bebr::LogError("cannot start: {}", std::string(server.status().message()));
    bebr::FlushLog(kFlushTime);
    // Of files that the configuration names.
    return absl::IsInvalidArgument(server.status()) ? bebr::kExitUsage : bebr::kExitFailed;
  }
  ServeUntilSignal(signals, arguments, **server);
  bebr::LogInfo("stopped");
  bebr::FlushLog(kFlushTime);
  return bebr::kExitDone;
}
