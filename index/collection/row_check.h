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
  // For documents with a code or attributes in memory that are not the stored ones: writes that give them these, unless
  // they were written meanwhile. `owner` keeps what the writes borrow.
  std::vector<Mutation> mutations;
  std::shared_ptr<const void> owner;
  // Ids of rows of which nothing is stored, or no code: the id, or what says that there is a code, is wrong.
  std::vector<std::string> unknown;
  uint64_t bytes = 0;           // of memory, compared
  uint64_t document_bytes = 0;  // of attributes, read for that
};

// Compares ids, codes (level bits, factors, version, group) and attributes of the rows with what the view's store has
// under these ids. DATA_LOSS if what is stored is damaged. Cost: reads the stored codes and attributes, up to a
// megabyte a row.
absl::StatusOr<RowDifferences> CompareRows(CollectionStore& store, const CheckedRows& checked);

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_ROW_CHECK_H_
