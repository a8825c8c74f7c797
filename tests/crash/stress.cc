// A process that writes to a data directory is killed again and again, also while it opens it, and every process that
// follows must find what was acknowledged, and of everything else all or nothing.
//
//   stress [--cycles N] [--seed S] [--most_ms N] [--power 1] [--dir DIR]
//
// With --power 1 each kill is a power cut as well: what was not synced is dropped or torn, names too. The seed decides
// what is done and when it is killed. Where something is wrong the directory is kept, and its name printed.
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <string>

#include "absl/debugging/failure_signal_handler.h"
#include "absl/debugging/symbolize.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "index/base/logging.h"
#include "tests/crash/expected_state.h"
#include "tests/crash/power.h"
#include "tests/crash/stress_child.h"

namespace bebr::testing {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

struct Arguments {
  int64_t cycles = 20, seed = 1, most_ms = 400, power = 0;
  std::string directory;
};

class Stress {
 public:
  explicit Stress(const Arguments& arguments)
      : arguments_(arguments), random_(static_cast<uint64_t>(arguments.seed)), data_(arguments.directory + "/data") {
    fs::create_directories(data_);
  }

  // Empty, or what was wrong.
  std::string Cycle(int64_t number) {
    const uint64_t seed = static_cast<uint64_t>(arguments_.seed) * 1000003 + static_cast<uint64_t>(number);
    int pipes[2];
    if (pipe(pipes) != 0) return "no pipe";
    const bool in_order = random_() % 10 == 0;
    const int run_ms = static_cast<int>(10 + random_() % static_cast<uint64_t>(arguments_.most_ms));
    if (arguments_.power != 0) RecordSyncs(data_, record());
    const pid_t pid = fork();
    if (pid == 0) {
      close(pipes[0]);
      _exit(
          RunChild({.data_dir = data_, .seed = seed, .output = pipes[1], .run_ms = in_order ? run_ms : 0}, expected_));
    }
    close(pipes[1]);
    // One of four is killed while it opens the directory, or right after.
    const bool opening = !in_order && random_() % 4 == 0;
    const Milliseconds wait(opening ? static_cast<int>(random_() % 60) : run_ms);
    const std::string wrong = Watch(pid, pipes[0], opening, in_order, wait);
    close(pipes[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    expected_.End();
    if (!wrong.empty()) return wrong;
    if (in_order && status != 0) return absl::StrCat("the process ended with ", status);
    if (!in_order && (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)) {
      return absl::StrCat("the process ended by itself: ", status);
    }
    if (arguments_.power == 0) return "";
    CutPower(data_, record(), arguments_.directory + "/left", random_());
    fs::remove_all(data_);
    fs::rename(arguments_.directory + "/left", data_);
    return "";
  }

  std::string Summary() const {
    return absl::StrCat(acknowledged_, " writes acknowledged, ", administered_, " administrative operations, ", opened_,
                        " starts, ", restored_, " snapshots restored");
  }

 private:
  std::string record() const { return arguments_.directory + "/synced"; }

  // Takes the lines of the process, and kills it at its time: `wait` after its start, or after it was open.
  std::string Watch(pid_t pid, int input, bool opening, bool in_order, Milliseconds wait) {
    constexpr auto kMost = std::chrono::minutes(2);  // for a start, or an end in order
    bool killed = false;
    Clock::time_point end = Clock::now() + (opening ? wait : kMost);
    std::string text, wrong;
    for (;;) {
      const auto left = std::chrono::ceil<Milliseconds>(end - Clock::now()).count();
      pollfd ready{.fd = input, .events = POLLIN, .revents = 0};
      if (!killed && (left <= 0 || poll(&ready, 1, static_cast<int>(left)) == 0)) {
        if (!opening && (in_order || !open_)) wrong = "it hung";
        kill(pid, SIGKILL);
        killed = true;
      }
      char buffer[1 << 16];
      const ssize_t got = read(input, buffer, sizeof(buffer));
      if (got <= 0) break;
      text.append(buffer, static_cast<size_t>(got));
      size_t at = 0;
      for (size_t next = 0; (next = text.find('\n', at)) != std::string::npos; at = next + 1) {
        const std::string line = text.substr(at, next - at);
        Count(line);
        if (wrong.empty()) wrong = expected_.Take(line);
        if (line == "open" && !opening) end = Clock::now() + (in_order ? kMost : wait);
      }
      text.erase(0, at);
    }
    open_ = false;
    return wrong;
  }

  void Count(const std::string& line) {
    acknowledged_ += line.starts_with("done ") ? 1 : 0;
    administered_ += line == "admin_done" ? 1 : 0;
    restored_ += line.starts_with("restored ") ? 1 : 0;
    if (line != "open") return;
    ++opened_;
    open_ = true;
  }

  const Arguments arguments_;
  std::mt19937_64 random_;
  const std::string data_;
  ExpectedState expected_;
  bool open_ = false;
  int64_t acknowledged_ = 0, administered_ = 0, opened_ = 0, restored_ = 0;
};

int Run(Arguments arguments) {
  if (arguments.directory.empty()) {
    const fs::path root = fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path();
    arguments.directory = (root / "bebr-stress-XXXXXX").string();
    if (mkdtemp(arguments.directory.data()) == nullptr) return 2;
  }
  Stress stress(arguments);
  for (int64_t cycle = 0; cycle < arguments.cycles; ++cycle) {
    const std::string wrong = stress.Cycle(cycle);
    if (wrong.empty()) continue;
    std::printf("FAIL stress --seed %d --power %d, cycle %d, in %s:\n%s\n", static_cast<int>(arguments.seed),
                static_cast<int>(arguments.power), static_cast<int>(cycle), arguments.directory.c_str(), wrong.c_str());
    return 1;
  }
  std::printf("%d cycles, seed %d: %s\n", static_cast<int>(arguments.cycles), static_cast<int>(arguments.seed),
              stress.Summary().c_str());
  fs::remove_all(arguments.directory);
  return 0;
}

}  // namespace
}  // namespace bebr::testing

int main(int argc, char** argv) {
  bebr::testing::Arguments arguments;
  const std::map<std::string, int64_t*> numbers = {{"--cycles", &arguments.cycles},
                                                   {"--seed", &arguments.seed},
                                                   {"--most_ms", &arguments.most_ms},
                                                   {"--power", &arguments.power}};
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--dir") {
      arguments.directory = value;
    } else if (!numbers.contains(name) || !absl::SimpleAtoi(value, numbers.at(name))) {
      std::fprintf(stderr, "%s %s is no option; see tests/README.md\n", name.c_str(), value.c_str());
      return 2;
    }
  }
  absl::InitializeSymbolizer(argv[0]);
  absl::InstallFailureSignalHandler({});  // a process that ends by itself says where
  bebr::InitLogging("error");
  return bebr::testing::Run(arguments);
}
