// A server under everything at once for as long as asked: what it takes of memory, disk, descriptors and threads, and
// what searches take of time, must stay what it was.
//
//   soak [--minutes M] [--seed S] [--data_dir DIR]
//
// Prints a line of figures a few times a minute. At the end the server gets SIGTERM under load, and the next one over
// the same directory must have what was acknowledged. The exit code is 1 if a call failed, something grew or was lost;
// runs of less than five minutes say nothing of growth.
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/endurance/mixed_load.h"
#include "tests/support/temporary_directory.h"

namespace bebr::testing {
namespace {

struct Arguments {
  double minutes = 30;
  int64_t seed = 1;
  std::string data_dir;
};

// Small buffers are full soon: what grows afterwards grows for good.
const std::vector<std::string> kFlags = {"--write_buffer_bytes", "8388608", "--block_cache_bytes", "8388608"};

int Fail(const std::vector<std::string>& reasons) {
  for (const std::string& reason : reasons) std::printf("FAIL %s\n", reason.c_str());
  return reasons.empty() ? 0 : 1;
}

// Runs the load for its time; the figures meanwhile.
std::vector<Figures> Watch(const ServerProcess& server, const std::string& data_dir, double minutes, MixedLoad& load) {
  // Fewer than 20 figures tell nothing of growth: of five minutes there are so many.
  const absl::Duration time = absl::Minutes(1) * minutes;
  const absl::Duration interval = std::clamp(time / 120, absl::Seconds(15), absl::Minutes(1));
  std::printf("%s\n", Heading().c_str());
  std::vector<Figures> all;
  const SteadyTime begin = SteadyNow();
  for (absl::Duration passed; passed < time && load.Problems().empty(); passed = SteadyNow() - begin) {
    absl::SleepFor(std::min(interval, time - passed));
    Figures figures = MeasureProcess(server.pid(), data_dir);
    figures.minutes = absl::ToDoubleMinutes(SteadyNow() - begin);
    load.AddTo(figures);
    std::printf("%s\n", ToLine(figures).c_str());
    std::fflush(stdout);
    all.push_back(figures);
  }
  return all;
}

int Run(const Arguments& arguments) {
  const TemporaryDirectory directory;
  const std::string data_dir = arguments.data_dir.empty() ? directory.path() + "/data" : arguments.data_dir;
  auto server = std::make_unique<ServerProcess>(data_dir, kFlags);
  if (!server->valid()) return 1;
  const absl::Duration upgrades =
      std::clamp(absl::Minutes(1) * arguments.minutes / 40, absl::Seconds(2), absl::Minutes(1));
  MixedLoad load(server.get(), static_cast<uint64_t>(arguments.seed), upgrades);
  if (const absl::Status status = load.Start(); !status.ok()) return Fail({status.ToString()});
  const std::vector<Figures> figures = Watch(*server, data_dir, arguments.minutes, load);
  load.ExpectEnd();
  server->Signal(SIGTERM);
  std::vector<std::string> wrong = load.Problems();
  if (const int code = server->Wait(); code != 0) wrong.push_back(absl::StrCat("the server ended with ", code));
  load.Join();
  ServerProcess next(data_dir, kFlags);
  Client client({.server = next.address(), .deadline = absl::Minutes(2)});
  if (const absl::Status status = load.Check(client); !status.ok()) wrong.push_back(status.ToString());
  for (std::string& grown : Growth(figures)) wrong.push_back(std::move(grown));
  std::printf("%.1f minutes, seed %d: %s\n", arguments.minutes, static_cast<int>(arguments.seed),
              load.Summary().c_str());
  return Fail(wrong);
}

}  // namespace
}  // namespace bebr::testing

int main(int argc, char** argv) {
  bebr::testing::Arguments arguments;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--data_dir") {
      arguments.data_dir = value;
    } else if (!(name == "--minutes" && absl::SimpleAtod(value, &arguments.minutes)) &&
               !(name == "--seed" && absl::SimpleAtoi(value, &arguments.seed))) {
      std::fprintf(stderr, "%s %s is no option; see tests/README.md\n", name.c_str(), value.c_str());
      return 2;
    }
  }
  return bebr::testing::Run(arguments);
}
