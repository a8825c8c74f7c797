// The few rows of a filter, and the blocks that hold their codes.
#ifndef BEBR_INDEX_SEARCH_PICKED_ROWS_H_
#define BEBR_INDEX_SEARCH_PICKED_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "index/search/block_run.h"
#include "index/search/scan_target.h"

namespace bebr {

// PickedRows goes through some rows of a part by runs of the blocks that hold them:
//
//   picked.Take(target, part, rows);
//   while (picked.Next(32)) {
//     ... score picked.run(), then picked.ForEach([&](uint32_t lane, uint32_t row) { ... });
//   }
//
// Not thread-safe; made to be used again and again.
class PickedRows {
 public:
  // Begins with other rows, ascending. Those without a code, or in none of these groups, are left out.
  void Take(const ScanTarget& target, uint32_t part, absl::Span<const uint16_t> rows, GroupSet groups);
  // Copies the next blocks side by side, at most `most`; false: there are none left.
  bool Next(size_t most);
  const BlockRun& run() const { return run_; }
  // Live documents of the run's blocks, whether they were asked for or not.
  uint64_t documents() const;
  // Calls visit(lane of the run, row) for each of the rows that the run holds.
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    for (size_t i = begin_; i < end_; ++i)
      visit((places_[i].block - first_block_) * simd::kBlockRows + places_[i].lane, places_[i].row);
  }

 private:
  struct Place {
    uint32_t block = 0;  // its position in the part, then its number in positions_
    uint16_t lane = 0;
    uint16_t row = 0;
  };

  const ScanTarget* target_ = nullptr;
  uint32_t part_ = 0;
  std::vector<Place> places_;        // by block
  std::vector<uint32_t> positions_;  // of the blocks
  BlockCopies copies_;
  BlockRun run_;
  uint32_t first_block_ = 0;
  uint32_t next_block_ = 0;
  size_t begin_ = 0;  // of the run's places
  size_t end_ = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_PICKED_ROWS_H_
