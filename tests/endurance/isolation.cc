// What collections with faults cost another one: one whose disk takes 3 s for a sync, one whose disk is full and one
// whose files are damaged, all of them called and the metrics scraped all the while.
//
//   isolation [--seconds S]
//
// For S seconds in all (60) a collection is searched and written in turns of a few seconds: beside the others, and
// alone. Then too the metrics are scraped, and as many calls are refused, of a collection that does not exist: they
// take time of processors, which is no fault's. Prints the median and the 99th percentile of its searches and of its
// upserts in both, their ratio, and the server's processors. The exit code is 1 if one of the 99th percentiles is more
// than twice what it was alone, or a call failed. It says something on a machine that does nothing else.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/client.h"
#include "index/base/clock.h"
#include "index/base/status_macros.h"
#include "tests/integration/programs.h"
#include "tests/integration/server_process.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

constexpr size_t kDims = 64;
constexpr size_t kDocuments = 20000;
constexpr size_t kBatch = 20;
constexpr double kMostRatio = 2;
constexpr absl::Duration kTurn = absl::Seconds(3);
constexpr absl::Duration kPause = absl::Milliseconds(50);  // of those that only disturb

enum Turn { kAlone = 0, kBeside = 1, kBetween = 2 };

v1::UpsertRequest MakeUpsert(const std::string& collection, size_t first, size_t count) {
  v1::UpsertRequest request;
  request.set_collection(collection);
  const auto vectors = RandomVectors(count, kDims, first);
  for (size_t i = 0; i < count; ++i) {
    v1::Document& document = *request.add_documents();
    document.set_id(absl::StrCat((first + i) % kDocuments));
    document.add_embeddings()->mutable_vector()->mutable_values()->Add(vectors[i].begin(), vectors[i].end());
  }
  return request;
}

v1::SearchRequest MakeSearch(const std::string& collection, uint64_t seed) {
  v1::SearchRequest request;
  request.set_collection(collection);
  const std::vector<float> query = RandomVectors(1, kDims, seed)[0];
  request.mutable_query()->mutable_values()->Add(query.begin(), query.end());
  request.mutable_options()->set_k(10);
  return request;
}

// Milliseconds of the calls of one kind, by the turn in which they began and ended.
class Latencies {
 public:
  // Calls until `stop`; false if a call fails.
  bool Measure(const std::atomic<Turn>& turn, const std::atomic<bool>& stop,
               const std::function<absl::Status(uint64_t)>& call) {
    for (uint64_t i = 0; !stop; ++i) {
      const Turn before = turn;
      const SteadyTime start = SteadyNow();
      if (const absl::Status status = call(i); !status.ok()) {
        std::printf("FAIL %s\n", status.ToString().c_str());
        return false;
      }
      if (before == turn && before != kBetween) ms_[before].push_back(absl::ToDoubleMilliseconds(SteadyNow() - start));
    }
    return true;
  }
  // Whether the 99th percentile is as it may be.
  bool Print(const char* what) {
    double p99[2] = {};
    for (const Turn turn : {kAlone, kBeside}) {
      std::vector<double>& ms = ms_[turn];
      if (ms.empty()) return false;
      std::sort(ms.begin(), ms.end());
      p99[turn] = ms[ms.size() * 99 / 100];
      std::printf("%-9s %-7s %8zu calls  p50 %8.3f ms  p99 %8.3f ms\n", what, turn == kAlone ? "alone" : "beside",
                  ms.size(), ms[ms.size() / 2], p99[turn]);
    }
    const double ratio = p99[kBeside] / p99[kAlone];
    std::printf("%-9s p99 beside / alone: %.2f, at most %.1f\n", what, ratio, kMostRatio);
    return ratio <= kMostRatio;
  }

 private:
  std::array<std::vector<double>, 2> ms_;
};

absl::Status MakeCollection(Client& client, const std::string& name) {
  const std::string model = RandomModelFile(kDims, *ParseCodeSpec("128x2"), 4, 1);
  v1::CollectionConfig config;
  config.set_name(name);
  config.set_store_floats(v1::FLOAT_STORAGE_F16);
  BEBR_RETURN_IF_ERROR(client.CreateCollection(config, model).status());
  for (size_t first = 0; first < kDocuments; first += 1000) {
    BEBR_RETURN_IF_ERROR(client.Upsert(MakeUpsert(name, first, 1000)).status());
  }
  return absl::OkStatus();
}

// Makes the collections, of which one cannot be opened any more.
absl::Status Prepare(const std::string& data_dir) {
  ServerProcess server(data_dir);
  Client client({.server = server.address(), .deadline = absl::Minutes(2)});
  for (const char* name : {"good", "slow", "full", "damaged"}) BEBR_RETURN_IF_ERROR(MakeCollection(client, name));
  server.Signal(SIGTERM);
  if (const int code = server.Wait(); code != 0)
    return absl::InternalError(absl::StrCat("the server ended with ", code));
  std::filesystem::remove(data_dir + "/collections/damaged/manifest.json");
  return absl::OkStatus();
}

// Seconds that the process has had of processors.
double ProcessorSeconds(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::vector<std::string> fields = absl::StrSplit(text.substr(text.rfind(')') + 1), ' ');
  double user = 0, system = 0;
  if (fields.size() < 14 || !absl::SimpleAtod(fields[12], &user) || !absl::SimpleAtod(fields[13], &system)) return 0;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// Calls again and again, in both turns, a collection that has the fault or, alone, none that there is.
std::thread Disturb(const std::atomic<Turn>& turn, const std::atomic<bool>& stop,
                    std::function<void(const std::string& collection, uint64_t)> call, std::string faulty) {
  return std::thread([&turn, &stop, call = std::move(call), faulty = std::move(faulty)] {
    for (uint64_t i = 0; !stop; ++i) {
      if (turn != kBetween) call(turn == kBeside ? faulty : "none", i);
      absl::SleepFor(kPause);
    }
  });
}

bool Run(absl::Duration time) {
  const TemporaryDirectory directory;
  const std::string data_dir = directory.path() + "/data", faults = directory.path() + "/faults";
  if (const absl::Status status = Prepare(data_dir); !status.ok()) {
    std::printf("FAIL %s\n", status.ToString().c_str());
    return false;
  }
  ServerProcess server(data_dir, {},
                       {{"LD_PRELOAD", std::string(BEBR_PROGRAMS) + "/tests/libslow_sync.so"},
                        {"SLOW_SYNC_MS", "3000"},
                        {"SLOW_SYNC_WHILE", faults},
                        {"SLOW_SYNC_IN", "/collections/slow/"},
                        {"FULL_DISK_IN", "/collections/full/"}});
  std::atomic<Turn> turn{kBetween};
  std::atomic<bool> stop{false}, answered{true};
  const auto client = [&] { return Client({.server = server.address(), .deadline = absl::Minutes(1)}); };
  Latencies searches, upserts;
  std::thread searching([&] {
    Client of = client();
    const auto search = [&](uint64_t i) { return of.Search(MakeSearch("good", i)).status(); };
    if (!searches.Measure(turn, stop, search)) answered = false;
  });
  std::thread writing([&] {
    Client of = client();
    const auto upsert = [&](uint64_t i) { return of.Upsert(MakeUpsert("good", i * kBatch, kBatch)).status(); };
    if (!upserts.Measure(turn, stop, upsert)) answered = false;
  });
  // The outcome of these is as it is.
  Client slow = client(), full = client(), damaged = client();
  const auto upsert_by = [](Client& by) {
    return [&by](const std::string& of, uint64_t i) { (void)by.Upsert(MakeUpsert(of, i, kBatch)); };
  };
  const auto search = [&](const std::string& of, uint64_t i) { (void)damaged.Search(MakeSearch(of, i)); };
  const auto scrape = [&](const std::string&, uint64_t) { server.HttpGet("/metrics"); };
  std::thread others[] = {Disturb(turn, stop, upsert_by(slow), "slow"), Disturb(turn, stop, upsert_by(full), "full"),
                          Disturb(turn, stop, search, "damaged"), Disturb(turn, stop, scrape, "")};
  double processors[2] = {};
  const auto take = [&](Turn of) {
    processors[of] -= ProcessorSeconds(server.pid());
    turn = of;
    absl::SleepFor(kTurn);
    turn = kBetween;
    processors[of] += ProcessorSeconds(server.pid());
  };
  for (const SteadyTime begin = SteadyNow(); SteadyNow() - begin < time;) {
    take(kAlone);
    std::ofstream(faults) << "";
    take(kBeside);
    std::filesystem::remove(faults);
    absl::SleepFor(kTurn / 3);  // what waited is done
  }
  stop = true;
  searching.join();
  writing.join();
  for (std::thread& thread : others) thread.join();
  std::printf("processors of the server: alone %.2f s, beside %.2f s\n", processors[kAlone], processors[kBeside]);
  const bool searched = searches.Print("searches"), written = upserts.Print("upserts");
  return answered && searched && written;
}

}  // namespace
}  // namespace bebr::testing

int main(int argc, char** argv) {
  int seconds = 60;
  const bool known = argc == 1 || (argc == 3 && std::string(argv[1]) == "--seconds" &&
                                   absl::SimpleAtoi(argv[2], &seconds) && seconds > 0);
  if (!known) {
    std::fprintf(stderr, "isolation [--seconds S]; see tests/README.md\n");
    return 2;
  }
  return bebr::testing::Run(absl::Seconds(seconds)) ? 0 : 1;
}
