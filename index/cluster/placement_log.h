// Who is a member of a cluster, in a log of its own beside the cluster's.
#ifndef BEBR_INDEX_CLUSTER_PLACEMENT_LOG_H_
#define BEBR_INDEX_CLUSTER_PLACEMENT_LOG_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/mutex.h"
#include "index/cluster/log_head.h"
#include "index/log/log.h"
#include "index/types/membership.h"

namespace bebr {

// The name of that log, and of the writer that changes it: who changes it begins to be that writer, which ends whoever
// had begun before. So a change is of the placement that it was made of, or fails.
inline constexpr std::string_view kPlacementLogName = "placement";

// A PlacementLog has a record for each change: all members as they are from then on (index/replica/FORMAT.md). Its
// position is the placement's revision. Thread safety: all methods may be called from any thread; they wait for the
// log.
class PlacementLog {
 public:
  explicit PlacementLog(OpenLog open) : open_(std::move(open)) {}

  // As it is now. Revision 0, and no members: nobody has said yet.
  absl::StatusOr<Placement> Read();
  // Changes it: `change` gets it as it is, and may be called again where somebody else was quicker. An error of it is
  // returned, and nothing is changed.
  absl::StatusOr<Placement> Change(absl::FunctionRef<absl::Status(Placement&)> change);

 private:
  absl::Status Update() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One attempt; ABORTED: somebody else has changed it meanwhile.
  absl::Status TryChange(absl::FunctionRef<absl::Status(Placement&)> change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const OpenLog open_;
  Mutex mutex_;
  std::unique_ptr<Log> log_ ABSL_GUARDED_BY(mutex_);
  LogPlace place_ ABSL_GUARDED_BY(mutex_);
  Placement placement_ ABSL_GUARDED_BY(mutex_);
};

// Takes the addresses of members that are to have them so from a server's own configuration.
void UseConfigured(const std::vector<Member>& own, Placement& placement);

// What a record says, and the other way. DATA_LOSS, FAILED_PRECONDITION: it is none, or of a later release.
std::string EncodePlacement(const Placement& placement);
absl::StatusOr<Placement> DecodePlacement(std::string_view text);

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_PLACEMENT_LOG_H_
