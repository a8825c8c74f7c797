// What a gateway does for the members of a cluster with a log.
#ifndef BEBR_INDEX_CLUSTER_CLUSTER_MEMBERS_H_
#define BEBR_INDEX_CLUSTER_CLUSTER_MEMBERS_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/cluster/log_head.h"
#include "index/cluster/placement_log.h"
#include "index/cluster/replica_set.h"
#include "index/log/log.h"
#include "index/types/membership.h"

namespace bebr {

// How a gateway is to keep its members.
struct MembersOptions {
  OpenLog open_placement;     // null: members stay as they are
  OpenLog open_log;           // the cluster's, to be trimmed
  std::vector<Member> first;  // the placement of a new cluster, and until the log has told another one
  MakeReplicaNode make_node;
  uint64_t log_bytes = 0;                            // beyond it the log is not kept for single members; 0: it is
  absl::Duration interval = absl::Seconds(1);        // between looks at the placement
  absl::Duration trim_interval = absl::Seconds(10);  // and at the log
  absl::Duration drain = absl::Seconds(5);           // a member is draining for so long: others must have seen it
  // One that serves and has not answered for so long is drained, where as many others of its share serve and have come
  // up as `first` has; 0: never.
  absl::Duration replace_after;
  uint64_t margin = 256;  // positions that are kept beyond what all members have
};

// ClusterMembers keep the ReplicaSets up with the placement, which they change where its time has come: a member that
// joins and has come up with the log serves, one that has drained is none any more. All gateways do so, and none needs
// the others: what one has done the next finds done. They also let go of the log's oldest parts.
//
// Where a member is dead for long and a spare, one more than the share began with, serves, it is drained
// (replace_after).
//
// What is let go of. What every member has kept (ReplicaState::kept), as it said last; one that has not said yet needs
// all. Where the log has more than `log_bytes`, what two members that serve and answer of every share have kept, or the
// one that a share has: others are filled anew. Nothing else, whatever the placement says: so no share loses its last
// replica, and where one dies that others would be filled from, another one needs nothing.
//
// Ownership: the sets are borrowed; Stop must be called before they end. Thread safety: all methods may be called from
// any thread.
class ClusterMembers final : public Membership {
 public:
  ClusterMembers(MembersOptions options, std::vector<ReplicaSet*> sets);
  ~ClusterMembers() override { Stop(); }
  void Stop();

  uint64_t revision();                             // of the placement, as it is known here
  uint64_t replaced() const { return replaced_; }  // members, by this gateway
  std::string held();                              // as LogReport
  absl::StatusOr<uint64_t> Join(const NodePlace& place) override;
  absl::StatusOr<uint64_t> Drain(std::string_view node) override;

 private:
  void Run();
  // Once.
  void Look();
  absl::Status FollowPlacement();
  void TakeOver(Placement placement);
  absl::Status FinishJoins(const Placement& placement);
  absl::Status FinishDrains(const Placement& placement);
  absl::Status DrainDead(const Placement& placement);
  // Whether so many others of its share serve, and have come up with the log, that it is not needed.
  bool IsReplaced(const Placement& placement, const Member& dead) const;
  absl::Status TrimLog();
  // Who needs the log, and what is needed of it.
  struct Needs {
    uint64_t needed = 0;  // what is after it somebody needs,
    std::string holder;   // and who
    uint64_t safe = 0;    // what is after it a share needs, if one more of its replicas is lost,
    std::string why;      // and which
  };
  Needs NeedsNow() const;
  // FAILED_PRECONDITION if this is to be the address of a member that is at another one, and it does not answer there.
  absl::Status CheckMove(const NodePlace& to);
  // The revision of what a change has made.
  absl::StatusOr<uint64_t> Change(absl::FunctionRef<absl::Status(Placement&)> change);
  std::vector<MemberReport> Reports() const;
  // Changes a problem that the log is told of once.
  void Note(std::string& noted, std::string_view what, const absl::Status& status);

  const MembersOptions options_;
  const std::vector<ReplicaSet*> sets_;
  PlacementLog placement_log_;
  std::unique_ptr<Log> log_;                          // of the thread
  std::map<std::string, SteadyTime> draining_since_;  // of the thread: by name, as this gateway has seen it
  std::map<std::string, SteadyTime> missing_since_;   // likewise
  std::atomic<uint64_t> replaced_{0};
  SteadyTime looked_at_log_ = -absl::InfiniteDuration();
  std::string placement_problem_, trim_problem_;  // of the thread

  bool older_ = false;  // of the thread: so was the placement that was read last
  Mutex taking_over_ ABSL_ACQUIRED_BEFORE(mutex_);
  Mutex mutex_;
  CondVar changed_;
  Placement placement_ ABSL_GUARDED_BY(mutex_);
  std::string held_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_CLUSTER_MEMBERS_H_
