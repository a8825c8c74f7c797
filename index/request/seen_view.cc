#include "index/request/seen_view.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/types/search.h"

namespace bebr {

absl::StatusOr<SeenView> See(const Collection& collection, std::string_view token, std::string_view owner,
                             absl::Duration keep) {
  if (keep < absl::ZeroDuration() || keep > kMaxKeepView) {
    return absl::InvalidArgumentError(absl::StrFormat("keep_view_s is %d; it is 0 to %d", absl::ToInt64Seconds(keep),
                                                      absl::ToInt64Seconds(kMaxKeepView)));
  }
  KeptViews& views = collection.shared().kept_views;
  SeenView seen;
  if (!token.empty()) {
    BEBR_ASSIGN_OR_RETURN(seen.pinned, views.Find(token, collection.shards().get(), keep));
    seen.kept = true;
    if (keep > absl::ZeroDuration()) seen.token = token;
    return seen;
  }
  if (keep == absl::ZeroDuration()) {
    seen.pinned = collection.Now();
    return seen;
  }
  seen.kept = seen.fresh = true;
  for (;;) {
    const uint64_t forgotten = collection.forgotten();
    seen.pinned = collection.Now();
    BEBR_ASSIGN_OR_RETURN(seen.token, views.Keep(seen.pinned, owner, keep));
    // Views may have been forgotten while this one was not among them yet.
    if (!collection.dropped() && collection.forgotten() == forgotten) return seen;
    views.Release(seen.token);
    if (collection.dropped()) {
      return absl::NotFoundError(
          absl::StrFormat("collection \"%s\" has just been dropped", seen.pinned.manifest->name));
    }
  }
}

void Unsee(const Collection& collection, const SeenView& seen) {
  if (seen.fresh) collection.shared().kept_views.Release(seen.token);
}

absl::Status NewerThanView(const Collection& collection, const SeenView& seen, const std::vector<std::string>& versions,
                           absl::Status status) {
  if (!seen.kept) return status;
  for (const std::string& version : versions) {
    if (seen.pinned.manifest->FindVersion(version).ok() || !collection.manifest()->FindVersion(version).ok()) continue;
    return absl::FailedPreconditionError(
        absl::StrFormat("version \"%s\" is newer than the view of view_token; begin again without it", version));
  }
  return status;
}

}  // namespace bebr
