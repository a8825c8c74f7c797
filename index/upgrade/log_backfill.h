// Backfills of a collection that a log changes: what the log is to say.
#ifndef BEBR_INDEX_UPGRADE_LOG_BACKFILL_H_
#define BEBR_INDEX_UPGRADE_LOG_BACKFILL_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "index/collection/collection.h"

namespace bebr {

// A part of a backfill.
struct CodesOfStored {
  LoggedRequest
      request;  // a kMerge for each document that has floats of the version, on condition that it still has these
  std::string last_id;  // of those that were looked at; empty: there are no more
};

// Codes of a version, made of stored floats, for the `most` documents whose ids are the first after `after` among those
// that have no code which the version wrote. Writes nothing. A call looks at all rows in memory: so `most` is to be
// thousands.
absl::StatusOr<CodesOfStored> EncodeStored(const Collection& collection, std::string_view version,
                                           std::string_view after, size_t most);

}  // namespace bebr

#endif  // BEBR_INDEX_UPGRADE_LOG_BACKFILL_H_
