// Codes that were lost on disk, made again.
#ifndef BEBR_INDEX_COLLECTION_REPAIR_H_
#define BEBR_INDEX_COLLECTION_REPAIR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/types/repair.h"

namespace bebr {

// What Engine's RepairCollection does.
//
// How. The store is copied, document by document, into a new one beside it: of each document its attributes and floats
// as they are, its codes as they are where they can be read, else encoded again of its floats, by the newest version of
// the space that takes them; marks follow from both. What stands in a damaged table is read as an error and never as
// something older. The new store takes the place of the old one, which is renamed, in two steps; a crash between them
// leaves a collection that cannot be opened, and the next repair goes on from there and reports what the first did. The
// report stays beside the damaged store, as damaged-N.txt.
absl::StatusOr<RepairReport> Repair(const std::string& data_dir, const std::string& name, bool accept_loss);

// Removes what a repair that was interrupted has left beside the store of a collection that can be opened: from the
// next write on it is old, and must never take the store's place. The report of one that lacked nothing else is kept.
// An error leaves some of it.
absl::Status RemoveUnfinishedRepair(const std::string& directory);

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_REPAIR_H_
