#ifndef BEBR_BENCH_LOAD_LOAD_CLIENT_H_
#define BEBR_BENCH_LOAD_LOAD_CLIENT_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bebr/v1/search.pb.h"

namespace bebr::bench {

// What a run measured.
struct LoadResult {
  double wall_s = 0;
  uint64_t answered = 0;
  uint64_t refused = 0;              // RESOURCE_EXHAUSTED
  uint64_t different = 0;            // answers other than LoadOptions::expected
  double queries_in_scan = 0;        // summed over the answers
  std::vector<double> latencies_ms;  // sorted
};

// `clients` connections to `server`, each its own; the i-th query is `query(i)`. The first error but a refusal ends a
// run and is returned.
struct LoadOptions {
  std::string server;
  size_t clients = 1;
  double seconds = 10;
  std::function<const v1::SearchRequest&(size_t)> query;  // called from several threads
  // What HitsOf the i-th query's answer must be; may be empty. Called from several threads.
  std::function<const std::string&(size_t)> expected;
};

// The ids and scores of an answer, to be compared.
std::string HitsOf(const v1::SearchResponse& response);

// What happens around a round of a closed loop, while no query is in flight.
struct RoundHooks {
  std::function<void()> before;
  std::function<void()> after;
};

// Closed loop: every client sends its next query when the answer has come. The latency is that of the call. The seconds
// are shared out among `rounds`.
absl::StatusOr<LoadResult> RunClosedLoop(const LoadOptions& options, size_t rounds, const RoundHooks& hooks);

// Open loop: queries leave at a steady `rate` a second, shared out among the clients, whether or not earlier ones are
// answered. The latency counts from the moment a query should have left, so that a slow server, or a sender that falls
// behind, cannot hide.
absl::StatusOr<LoadResult> RunOpenLoop(const LoadOptions& options, double rate);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_LOAD_LOAD_CLIENT_H_
