// Every call to the file system fails once, and from then on: each operation of the engine, each of its calls, one
// trial a call, in processes of their own. After each the operation has succeeded or returned an error, all of it is
// there or nothing, another collection is served, and the next start finds what was acknowledged.
//
//   fault_sweep [--every N] [--seed S] [--jobs N] [--scenario NAME] [--fault NAME] [--call N]
//
// A trial that fails prints the line that repeats it.
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/shard/shard_set.h"
#include "tests/fault/scenarios.h"
#include "tests/support/disk_faults.h"

namespace bebr::testing {
namespace {

namespace fs = std::filesystem;

struct Fault {
  const char* name;
  DiskFault fault;
};
const Fault kFaults[] = {
    {"changing_once", {.calls = kChangingCalls, .count = 1}},
    {"changing", {.calls = kChangingCalls}},
    {"full", {.calls = kWriteCall | kOpenCall | kMakeCall, .error = ENOSPC}},
    {"reading_once", {.calls = kReadCall | kLookCall, .count = 1}},
    {"reading", {.calls = kReadCall | kLookCall}},
};

struct Outcome {
  std::string text;  // what the process said
  std::string end;   // empty: it ended as it should
};

// Runs `body`, which returns what to say, in a process of its own, for two minutes at most.
Outcome Fork(const std::function<std::string()>& body) {
  int pipes[2];
  if (pipe(pipes) != 0) std::abort();
  const pid_t pid = fork();
  if (pid == 0) {
    close(pipes[0]);
    const std::string text = body();
    for (size_t at = 0; at < text.size();) {
      const ssize_t written = write(pipes[1], text.data() + at, text.size() - at);
      if (written <= 0) _exit(9);
      at += static_cast<size_t>(written);
    }
    _exit(0);
  }
  close(pipes[1]);
  Outcome outcome;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd ready{.fd = pipes[0], .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || poll(&ready, 1, static_cast<int>(left.count())) == 0) {
      kill(pid, SIGKILL);
      outcome.end = "it hung; ";
      break;
    }
    char buffer[4096];
    const ssize_t got = read(pipes[0], buffer, sizeof(buffer));
    if (got <= 0) break;
    outcome.text.append(buffer, static_cast<size_t>(got));
  }
  close(pipes[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) absl::StrAppend(&outcome.end, "signal ", WTERMSIG(status));
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) absl::StrAppend(&outcome.end, "exit code ", WEXITSTATUS(status));
  return outcome;
}

// An error that a disk's fault may end in.
bool IsClean(const absl::Status& status) {
  return status.ok() || absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
}

class Sweep {
 public:
  explicit Sweep(std::string directory) : directory_(std::move(directory)) {}

  bool Prepare() {
    const Outcome outcome = Fork([&] { return testing::Prepare(directory_ + "/base").ToString(); });
    if (outcome.text != "OK")
      std::fprintf(stderr, "cannot prepare: %s %s\n", outcome.text.c_str(), outcome.end.c_str());
    return outcome.text == "OK";
  }

  // Learns what a scenario does where nothing fails, and how many calls each fault can hit.
  bool Learn(const Scenario& scenario) {
    before_ = after_ = before_gone_on_ = after_gone_on_ = "";
    for (const auto& [run, go_on, description] :
         {std::tuple(false, false, &before_), std::tuple(true, false, &after_),
          std::tuple(false, true, &before_gone_on_), std::tuple(true, true, &after_gone_on_)}) {
      Copy();
      const Outcome outcome = Fork([&, run = run, go_on = go_on] {
        auto engine = OpenEngine(trial());
        if (run && scenario.run != nullptr) {
          if (const absl::Status status = scenario.run(*engine); !status.ok()) return status.ToString();
        }
        if (*engine == nullptr) engine = OpenEngine(trial());
        if (const absl::Status status = go_on ? GoOn(**engine) : absl::OkStatus(); !status.ok())
          return status.ToString();
        engine->reset();
        engine = OpenEngine(trial());
        return Describe(**engine);
      });
      *description = outcome.text;
      if (!outcome.end.empty() || outcome.text.find("unavailable") != std::string::npos) return false;
    }
    return true;
  }

  int64_t CountCalls(const Scenario& scenario, const DiskFault& fault) {
    Copy();
    DiskFault none = fault;
    none.count = 0;
    const Outcome outcome = Fork([&] {
      Trial(scenario, none, false);
      return absl::StrCat(MatchingDiskCalls());
    });
    int64_t calls = 0;
    return absl::SimpleAtoi(outcome.text, &calls) ? calls : 0;
  }

  // One trial; empty, or what was wrong.
  std::string Try(const Scenario& scenario, const DiskFault& fault, bool crash) {
    Copy();
    const Outcome first = Fork([&] { return Trial(scenario, fault, !crash); });
    if (!first.end.empty()) return absl::StrCat("the process ended: ", first.end, "\n", first.text);
    if (first.text != "done" && first.text != "refused") return first.text;
    const bool done = first.text == "done";
    const std::string &before = crash ? before_ : before_gone_on_, &after = crash ? after_ : after_gone_on_;
    const Outcome second = Fork([&] {
      auto engine = OpenEngine(trial());
      if (!engine.ok()) return absl::StrCat("the next start: ", engine.status().ToString());
      const std::string found = Describe(**engine);
      if (found == after || (!done && found == before)) return std::string();
      return absl::StrCat("after the next start, the operation was ", first.text, ":\n", found, "\nexpected:\n", after,
                          done ? "" : absl::StrCat("\nor:\n", before));
    });
    return second.end.empty() ? second.text : absl::StrCat("the next start ended: ", second.end);
  }

  std::string trial() const { return directory_ + "/trial"; }

 private:
  void Copy() const {
    fs::remove_all(trial());
    fs::copy(directory_ + "/base", trial(), fs::copy_options::recursive);
  }

  // Runs the scenario under the fault. "done", "refused", or what was wrong.
  std::string Trial(const Scenario& scenario, DiskFault fault, bool go_on) const {
    fault.path_part = "/trial";
    if (scenario.run == nullptr) SetDiskFault(fault);
    auto engine = OpenEngine(trial());
    if (scenario.run == nullptr && !engine.ok()) {
      ClearDiskFault();
      if (!IsClean(engine.status())) return absl::StrCat("no clean error: ", engine.status().ToString());
      engine = OpenEngine(trial());
    }
    if (!engine.ok()) return absl::StrCat("cannot be opened: ", engine.status().ToString());
    std::unique_ptr<Engine> owner = *std::move(engine);
    absl::Status status;
    if (scenario.run != nullptr) {
      SetDiskFault(fault);
      status = scenario.run(owner);
    }
    const std::string found = Judge(owner.get(), status, scenario);
    if (found != "done" && found != "refused") return found;
    if (!go_on) return found;  // and no destructor runs: what is in memory is lost
    if (owner == nullptr || !owner->UnavailableCollections().empty()) {
      owner.reset();
      engine = OpenEngine(trial());
      if (!engine.ok()) return absl::StrCat("cannot be opened again: ", engine.status().ToString());
      owner = *std::move(engine);
    }
    const absl::Status gone_on = GoOn(*owner);
    if (!gone_on.ok()) return absl::StrCat("when the fault had passed: ", gone_on.ToString());
    owner.reset();
    return found;
  }

  std::string Judge(Engine* engine, const absl::Status& status, const Scenario& scenario) const {
    const bool opening = scenario.run == nullptr;
    if (!IsClean(status)) return absl::StrCat("no clean error: ", status.ToString());
    if (engine != nullptr) {
      if (!opening && !ServesBeside(*engine)) return "the collection beside it is not served";
      ClearDiskFault();
      for (const UnavailableCollection& one : engine->UnavailableCollections()) {
        // Else it is what could not be removed.
        const bool known = one.name == "b" || (one.name == "a" && scenario.name != "drop");
        if (!opening && known) return absl::StrCat("unavailable: ", one.name, ": ", one.reason);
        if (one.reason.find("is missing") != std::string::npos || one.reason.find("damaged") != std::string::npos) {
          return absl::StrCat("a fault passes for damage: ", one.reason);
        }
      }
      // What could not be opened or read is tried again later, and removed again if it was just made.
      const bool whole = !opening && engine->UnavailableCollections().empty();
      const std::string now = whole ? Describe(*engine) : before_;
      if (now != after_ && (status.ok() || now != before_) && !before_.empty()) {
        return absl::StrCat(status.ToString(), ", and now:\n", now, "\nexpected:\n", after_,
                            status.ok() ? "" : absl::StrCat("\nor:\n", before_));
      }
    }
    ClearDiskFault();
    return status.ok() ? "done" : "refused";
  }

  const std::string directory_;
  std::string before_, after_, before_gone_on_, after_gone_on_;
};

struct Arguments {
  int64_t every = 1, seed = 0, call = -1, jobs = 4;
  std::string scenario, fault;
};

// What job `job` of all does.
int RunJob(const Arguments& arguments, int64_t job) {
  const fs::path root = fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path();
  std::string directory = (root / "bebr-sweep-XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) return 2;
  Sweep sweep(directory);
  if (!sweep.Prepare()) return 2;
  int64_t trials = 0, failures = 0, number = arguments.seed;
  for (const Scenario& scenario : Scenarios()) {
    if (!arguments.scenario.empty() && scenario.name != arguments.scenario) continue;
    if (!sweep.Learn(scenario)) {
      std::fprintf(stderr, "%s fails without a fault\n", scenario.name.c_str());
      return 2;
    }
    for (const Fault& one : kFaults) {
      if (!arguments.fault.empty() && one.name != arguments.fault) continue;
      const int64_t calls = sweep.CountCalls(scenario, one.fault);
      int64_t tried = 0;
      for (int64_t call = 0; call < calls; ++call, ++number) {
        if (arguments.call >= 0 ? call != arguments.call
                                : number % (arguments.every * arguments.jobs) != job * arguments.every)
          continue;
        DiskFault fault = one.fault;
        fault.skip = call;
        ++tried;
        const std::string wrong = sweep.Try(scenario, fault, call % 2 == 1);
        if (wrong.empty()) continue;
        ++failures;
        std::printf("FAIL fault_sweep --scenario %s --fault %s --call %d\n%s\n", scenario.name.c_str(), one.name,
                    static_cast<int>(call), wrong.c_str());
      }
      trials += tried;
      if (tried > 0) {
        std::printf("%-16s %-14s %4d calls, %4d trials\n", scenario.name.c_str(), one.name, static_cast<int>(calls),
                    static_cast<int>(tried));
      }
      std::fflush(stdout);
    }
  }
  std::printf("%d trials, %d failed\n", static_cast<int>(trials), static_cast<int>(failures));
  std::fflush(stdout);  // a job ends without its end of a program
  fs::remove_all(directory);
  return failures == 0 ? 0 : 1;
}

int Run(const Arguments& arguments) {
  if (arguments.call >= 0 || arguments.jobs == 1) return RunJob(arguments, 0);
  std::vector<pid_t> jobs;
  for (int64_t job = 0; job < arguments.jobs; ++job) {
    const pid_t pid = fork();
    if (pid == 0) _exit(RunJob(arguments, job));
    jobs.push_back(pid);
  }
  int result = 0;
  for (const pid_t pid : jobs) {
    int status = 0;
    waitpid(pid, &status, 0);
    if (status != 0) result = 1;
  }
  return result;
}

}  // namespace
}  // namespace bebr::testing

int main(int argc, char** argv) {
  bebr::ShardSet::LeastLayoutDocuments() = 0;  // layout files are written and read
  bebr::testing::Arguments arguments;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    const std::map<std::string, int64_t*> numbers = {{"--every", &arguments.every},
                                                     {"--seed", &arguments.seed},
                                                     {"--call", &arguments.call},
                                                     {"--jobs", &arguments.jobs}};
    if (const auto number = numbers.find(name); number != numbers.end()) {
      if (!absl::SimpleAtoi(value, number->second)) return 2;
    } else {
      (name == "--scenario" ? arguments.scenario : arguments.fault) = value;
    }
  }
  bebr::InitLogging("error");
  if (std::getenv("BEBR_LOG") == nullptr) bebr::SetLogLevel("error");
  return bebr::testing::Run(arguments);
}
