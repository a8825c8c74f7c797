// Blocks that one call of a kernel scans.
#ifndef BEBR_INDEX_SEARCH_BLOCK_RUN_H_
#define BEBR_INDEX_SEARCH_BLOCK_RUN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "index/base/aligned_buffer.h"
#include "index/search/scan_target.h"

namespace bebr {

// Blocks of a part that lie side by side and hold codes of one group: those at positions from `begin` on, all in one
// stretch, or copies of others. Borrows what it points to.
struct BlockRun {
  uint32_t part = 0;
  uint32_t count = 0;
  uint32_t group = 0;
  const std::byte* blocks = nullptr;
  const ScanTarget::Part::Stretch* stretch = nullptr;  // of blocks in their place
  uint32_t begin = 0;
  const uint32_t* positions = nullptr;  // of copies, each one's

  // The row of a lane of the run, or Part::kNoRow.
  uint32_t RowAt(const ScanTarget::Part& part_of, uint32_t lane) const {
    if (positions == nullptr) return part_of.RowAt(*stretch, begin, lane);
    const uint32_t position = positions[lane / simd::kBlockRows];
    return part_of.RowAt(part_of.StretchAt(position), position, lane % simd::kBlockRows);
  }
};

// The blocks at positions begin..end - 1 of a part, which are in `stretch`.
BlockRun RunInPlace(const ScanTarget& target, uint32_t part, const ScanTarget::Part::Stretch& stretch, uint32_t begin,
                    uint32_t end);

// A BlockCopies copies blocks that lie apart side by side, so that one call of a kernel scans many of them: each call
// has its price, and the memory is asked for blocks while those before them are copied. Not thread-safe.
class BlockCopies {
 public:
  // Copies the first of these blocks of a part, at least one, at most `most`, and of one group. The run is good until
  // the next call; `positions` must stay as long.
  BlockRun Copy(const ScanTarget& target, uint32_t part, absl::Span<const uint32_t> positions, size_t most);

 private:
  AlignedBuffer<std::byte> buffer_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_BLOCK_RUN_H_
