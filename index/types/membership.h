// Which nodes are a cluster, and how they do.
#ifndef BEBR_INDEX_TYPES_MEMBERSHIP_H_
#define BEBR_INDEX_TYPES_MEMBERSHIP_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "index/types/cluster.h"
#include "index/types/replication.h"

namespace bebr {

// What a member does in its cluster.
enum class MemberState : uint8_t {
  kJoining = 1,   // is filled, and not read from
  kServing = 2,   // is read from
  kDraining = 3,  // is not read from any more, and about to be no member
};

// A node that is one of a cluster's.
struct Member {
  NodePlace place;
  MemberState state = MemberState::kServing;
  // Each server takes the address from its own configuration, where that names the node: so it is until somebody says
  // another one.
  bool configured = false;
};

// Who is a member, by first slot and then name.
struct Placement {
  uint64_t revision = 0;  // grows with each change
  std::vector<Member> members;
};

// A member as it was when it was asked last.
struct MemberReport {
  Member member;
  bool answers = false;
  ReplicaState replica;  // what it said last; its problem is also why it does not answer
};

// Who changes the members of a cluster with a log: what proto/bebr/v1/cluster.proto says of the calls of these names.
// Thread safety: all methods may be called from any thread; they wait for the log.
class Membership {
 public:
  virtual ~Membership() = default;
  // The placement's new revision.
  virtual absl::StatusOr<uint64_t> Join(const NodePlace& place) = 0;
  virtual absl::StatusOr<uint64_t> Drain(std::string_view node) = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_MEMBERSHIP_H_
