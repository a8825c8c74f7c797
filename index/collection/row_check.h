// Rows in memory against what is stored of them.
#ifndef BEBR_INDEX_COLLECTION_ROW_CHECK_H_
#define BEBR_INDEX_COLLECTION_ROW_CHECK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/shard/shard_set.h"

namespace bebr {

// Some rows of a segment, as a view has them.
struct CheckedRows {
  std::shared_ptr<const CollectionView> view;
  uint32_t shard = 0;
  const SegmentView* segment = nullptr;  // the view's
  absl::Span<const uint32_t> rows;       // in use
};

// What is wrong with them.
struct RowDifferences {
  // For documents with a code in memory that is not the stored one: writes that give them this, unless they were
  // written meanwhile. `owner` keeps what the writes borrow.
  std::vector<Mutation> mutations;
  std::shared_ptr<const void> owner;
  // Ids of rows with a code of which nothing is stored: the id, or what says that there is a code, is wrong.
  std::vector<std::string> unknown;
  uint64_t bytes = 0;  // of memory, compared
};

// Compares ids and codes of the rows (level bits, factors, version, group) with the codes that the view's store has
// under these ids. DATA_LOSS if what is stored is damaged. Cost: reads the stored codes.
absl::StatusOr<RowDifferences> CompareRows(CollectionStore& store, const CheckedRows& checked);

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_ROW_CHECK_H_
