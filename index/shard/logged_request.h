// Between a log and the collections that it changes.
#ifndef BEBR_INDEX_SHARD_LOGGED_REQUEST_H_
#define BEBR_INDEX_SHARD_LOGGED_REQUEST_H_

#include <memory>
#include <vector>

#include "index/shard/mutation.h"
#include "index/types/write.h"

namespace bebr {

// A request that a log holds: its mutations in their order, and what these borrow.
struct LoggedRequest {
  std::vector<Mutation> mutations;
  std::shared_ptr<const void> owner;
};

// What an upsert is to the log, and the documents of a partial one that are left out.
struct PreparedMutations {
  LoggedRequest request;
  std::vector<DocumentProblem> problems;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SHARD_LOGGED_REQUEST_H_
