// Errors that pass by waiting, and how long to wait.
#ifndef BEBR_INDEX_BASE_RETRY_H_
#define BEBR_INDEX_BASE_RETRY_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace bebr {

// RESOURCE_EXHAUSTED of a kind that passes by waiting, as a full queue's does: with the time after which the caller
// should try again, and double it when that was too soon. Without one a RESOURCE_EXHAUSTED needs something done.
absl::Status TryAgainLater(std::string_view message, absl::Duration after = absl::Milliseconds(100));

// The time given to TryAgainLater; zero if there is none.
absl::Duration RetryDelayOf(const absl::Status& status);

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_RETRY_H_
