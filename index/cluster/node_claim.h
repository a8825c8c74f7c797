// Two servers that have the name of one node.
#ifndef BEBR_INDEX_CLUSTER_NODE_CLAIM_H_
#define BEBR_INDEX_CLUSTER_NODE_CLAIM_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/cluster/log_head.h"
#include "index/log/log.h"

namespace bebr {

// The name of the log that has the claims (index/replica/FORMAT.md).
inline constexpr std::string_view kNodesLogName = "nodes";

// A record of it.
struct Claim {
  std::string node;
  std::string server;  // random, of the process
  std::string where;   // for people
  uint64_t since = 0;  // the position of the process's first claim; 0: this is it
};
std::string EncodeClaim(const Claim& claim);
absl::StatusOr<Claim> DecodeClaim(std::string_view text);

// A NodeClaim says in the cluster's database, once, that a process has begun as a node. One that has begun before and
// still runs sees that, and says so too: so the later one knows. It says it again now and then, and goes on when nobody
// answers any more. A server that is started again, or in the place of one that has ended, is answered by nobody.
//
// Thread safety: all methods may be called from any thread; they wait for the log.
class NodeClaim {
 public:
  // `where` tells people which server it is. One that is refused asks again after `again`.
  NodeClaim(OpenLog open, std::string node, std::string where, absl::Duration again = absl::Seconds(10));
  // ALREADY_EXISTS if another server has begun before as this node, and runs. To be called every few seconds: only
  // then others are answered. A log that cannot be asked changes nothing.
  absl::Status Check();
  // Says which server has begun later as this node, and was told of this one; empty: none asks any more.
  std::string Later();

 private:
  absl::Status Update() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Say() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Hear() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const OpenLog open_;
  const std::string node_, where_, server_;
  const absl::Duration again_;
  const uint32_t shard_;
  Mutex mutex_;
  std::unique_ptr<Log> log_ ABSL_GUARDED_BY(mutex_);
  std::optional<LogWriter> writer_ ABSL_GUARDED_BY(mutex_);
  LogPlace heard_up_to_ ABSL_GUARDED_BY(mutex_);
  uint64_t since_ ABSL_GUARDED_BY(mutex_) = 0;  // 0: nothing is said yet
  SteadyTime said_ ABSL_GUARDED_BY(mutex_);
  bool owes_ ABSL_GUARDED_BY(mutex_) = false;            // an answer to what others said, until it is in the log
  std::optional<Claim> before_ ABSL_GUARDED_BY(mutex_);  // who has begun before, when it was heard last
  SteadyTime heard_ ABSL_GUARDED_BY(mutex_);
  std::string later_ ABSL_GUARDED_BY(mutex_);  // where the one is that has begun later, when it was heard last
  SteadyTime heard_later_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> told_ ABSL_GUARDED_BY(mutex_);  // servers that were told of
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_NODE_CLAIM_H_
