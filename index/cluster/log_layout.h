// For which shares of the slots a log is.
#ifndef BEBR_INDEX_CLUSTER_LOG_LAYOUT_H_
#define BEBR_INDEX_CLUSTER_LOG_LAYOUT_H_

#include <vector>

#include "absl/status/status.h"
#include "index/log/log.h"
#include "index/types/cluster.h"

namespace bebr {

// A log has a share's changes under the share's first slot, so with other shares documents would not be found in it.
// The shares of the first who asks are kept beside the log, as the name of an empty one; FAILED_PRECONDITION for
// others.
absl::Status ClaimLayout(Logs& logs, const std::vector<NodePlace>& nodes);

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_LOG_LAYOUT_H_
