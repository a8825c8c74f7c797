// Everything at once: what a soak does to a server.
#ifndef BEBR_TESTS_ENDURANCE_MIXED_LOAD_H_
#define BEBR_TESTS_ENDURANCE_MIXED_LOAD_H_

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/client.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "tests/endurance/figures.h"
#include "tests/endurance/soak_writer.h"
#include "tests/integration/server_process.h"

namespace bebr::testing {

// A MixedLoad writes to a collection of a server, searches, counts and reads it, with and without filters, scrapes the
// metrics, and changes it as operators do: snapshots, restores, aliases, collections made and dropped, and every
// `upgrade_interval` a new version, backfilled, promoted, and the old one retired. All at the same time, a thread each.
//
// A call that fails for anything but a full queue is a problem; so is a hit that its filter excludes.
//
// Ownership: the server is borrowed. Thread safety: none, but for its own threads.
class MixedLoad {
 public:
  MixedLoad(const ServerProcess* server, uint64_t seed, absl::Duration upgrade_interval);
  ~MixedLoad();

  // Makes the collection and starts the threads.
  absl::Status Start();
  // The rest of the figures, of what was done since the last call.
  void AddTo(Figures& figures);
  // From now on the server may go: a call that it does not answer ends its thread.
  void ExpectEnd() { ending_ = true; }
  // Waits for the threads, which end with the server, or at once.
  void Join();
  // What was wrong so far.
  std::vector<std::string> Problems() const;
  // Whether each document is as it was acknowledged; after Join.
  absl::Status Check(Client& client) const;
  std::string Summary() const;

 private:
  // Whether the thread goes on after a call with this outcome.
  bool GoesOn(const std::string& what, const absl::Status& status);
  void Problem(const std::string& text);
  void Write(SoakWriter& writer);
  void Search(uint64_t seed);
  absl::Status SearchOnce(Client& client, std::mt19937_64& random);
  void Browse();
  void Administer();
  // One round: a snapshot, what is made of it, an alias, a collection of a moment.
  absl::Status AdministerOnce(int round);
  absl::Status Upgrade();
  void Scrape();

  const ServerProcess& server_;
  const uint64_t seed_;
  const absl::Duration upgrade_interval_;
  Client client_;
  std::vector<SoakWriter> writers_;
  std::vector<std::thread> threads_;
  std::atomic<bool> ending_{false}, stopping_{false};
  std::atomic<uint64_t> searches_{0}, writes_{0}, refused_{0}, rounds_{0}, upgrades_{0}, scrapes_{0};
  uint64_t searches_before_ = 0, writes_before_ = 0;
  SteadyTime figures_taken_;
  std::string version_ = "v0";
  mutable Mutex mutex_;
  std::vector<double> latencies_ms_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> problems_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bebr::testing

#endif  // BEBR_TESTS_ENDURANCE_MIXED_LOAD_H_
