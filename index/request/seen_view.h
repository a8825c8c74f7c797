// What a call sees of a collection: the present, or a view that is kept.
#ifndef BEBR_INDEX_REQUEST_SEEN_VIEW_H_
#define BEBR_INDEX_REQUEST_SEEN_VIEW_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "index/collection/collection.h"
#include "index/collection/kept_views.h"

namespace bebr {

// The view of a call, and what the call is to do with it.
struct SeenView {
  PinnedView pinned;
  bool kept = false;   // else it is the present
  bool fresh = false;  // kept by this call
  std::string token;   // that the answer has, or empty
};

// The view of a call with these options; it is kept from here on, if it is to be. INVALID_ARGUMENT for a time that is
// too long; FAILED_PRECONDITION and RESOURCE_EXHAUSTED as of KeptViews.
absl::StatusOr<SeenView> See(const Collection& collection, std::string_view token, std::string_view owner,
                             absl::Duration keep);
// Lets go of what See has kept for a call that then failed.
void Unsee(const Collection& collection, const SeenView& seen);

// FAILED_PRECONDITION if one of the versions is there now, but was not for the view; else `status`.
absl::Status NewerThanView(const Collection& collection, const SeenView& seen, const std::vector<std::string>& versions,
                           absl::Status status);

}  // namespace bebr

#endif  // BEBR_INDEX_REQUEST_SEEN_VIEW_H_
