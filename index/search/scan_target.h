// What a scan reads: the segments of a view, and queries as the kernels take them.
#ifndef BEBR_INDEX_SEARCH_SCAN_TARGET_H_
#define BEBR_INDEX_SEARCH_SCAN_TARGET_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "index/base/aligned_buffer.h"
#include "index/base/fair_pool.h"
#include "index/code/code_spec.h"
#include "index/segment/segment.h"
#include "index/shard/shard_set.h"
#include "index/simd/kernels.h"

namespace bebr {

// A row of a scan and its score. `segment` numbers the segments of the scan.
struct Candidate {
  float score = 0;
  uint32_t segment = 0;
  uint32_t row = 0;
};

// The segments of a scan: those of all shards in a view of a collection, in one list, with what one space has in them.
//
// Holds the view, so everything it points to stays as it is. Immutable; thread-safe.
class ScanTarget {
 public:
  struct Part {
    const SegmentView* view = nullptr;
    const SegmentView::SpaceView* space = nullptr;
    uint32_t shard = 0;

    // Blocks that lie side by side and hold codes of one group. A part's stretches follow each other in the order in
    // which they are scanned, the groups one after the other; a block's number in that order is its position.
    struct Stretch {
      uint32_t begin = 0;  // position of the first block
      uint32_t end = 0;    // after the last
      uint32_t block = 0;  // of the column, the first
      uint32_t group = 0;
      uint32_t places = 0;  // that are taken
      const std::byte* data = nullptr;
    };
    std::vector<Stretch> stretches;

    uint32_t block_count() const { return stretches.empty() ? 0 : stretches.back().end; }
    const Stretch& StretchAt(uint32_t position) const;
    // The position of the block with a row's code; without groups also if it has none.
    uint32_t PositionOf(uint32_t row) const;
    // The row of lane `lane` of the blocks from a position of the stretch on, or kNoRow if there is none.
    static constexpr uint32_t kNoRow = ~0u;
    uint32_t RowAt(const Stretch& stretch, uint32_t position, uint32_t lane) const {
      const uint32_t at = (position - stretch.begin) * simd::kBlockRows + lane;
      const uint32_t place = stretch.block * simd::kBlockRows + at;
      return at < stretch.places && space->column->holds(place) ? space->column->row(place) : kNoRow;
    }
    // True if the row belongs to the collection and has a code in the space.
    bool live(uint32_t row) const {
      return row < view->rows && space->column->has(row) && (view->deleted == nullptr || !view->deleted->test(row));
    }
    // How many rows of the blocks at positions begin..end - 1 are.
    uint64_t LiveRows(uint32_t begin, uint32_t end) const;

   private:
    friend class ScanTarget;
    void AddStretches();
    void AddChunk(uint32_t chunk);
    void AddStretch(uint32_t block, uint32_t group, uint32_t places);
    void CountDead();
    uint64_t LiveRowsBetween(uint32_t first, uint32_t last) const;

    std::vector<uint32_t> chunk_positions_;  // with groups: of each chunk's first block
    std::vector<uint8_t> dead_;              // with groups, of each block the places without a live row; empty: none
  };

  ScanTarget(std::shared_ptr<const CollectionView> collection_view, uint32_t space);

  const std::vector<Part>& parts() const { return parts_; }
  size_t shard_count() const { return view_->shards.size(); }
  const ShardView& shard(uint32_t shard) const { return *view_->shards[shard]; }
  const CollectionView& view() const { return *view_; }
  const CollectionStore::View* store_view() const { return view_->store.get(); }
  std::string_view id(const Candidate& candidate) const {
    return parts_[candidate.segment].view->segment->id(candidate.row);
  }
  uint64_t live_rows() const { return live_rows_; }
  // Of documents that have a code in the space, those of each of its groups.
  std::vector<uint64_t> LiveRowsByGroup(uint32_t groups) const;

  // The total order of results: score descending, then id ascending.
  bool Better(const Candidate& a, const Candidate& b) const {
    if (a.score != b.score) return a.score > b.score;
    // Sorting compares candidates with themselves too, and an id is far away in memory.
    return (a.segment != b.segment || a.row != b.row) && id(a) < id(b);
  }

 private:
  std::shared_ptr<const CollectionView> view_;
  std::vector<Part> parts_;
  uint64_t live_rows_ = 0;
};

// Queries as the kernels take them, all of one shape.
class PreparedQueries {
 public:
  // `planes`, `weights`, `offsets` as Binarizer::EncodeQueries writes them, of `count` queries. `shape` is
  // MakeShape's, or that with levels left out. `wanted`: of each query the groups for which it is prepared; empty: all.
  // The pool's threads share the groups.
  PreparedQueries(const CodeSpec& spec, const simd::CodeShape& shape, size_t count, const uint32_t* planes,
                  const float* weights, const float* offsets, FairPool& pool, absl::Span<const GroupSet> wanted = {});
  const simd::CodeShape& shape() const { return shape_; }
  const simd::KernelTable& kernels() const { return kernels_; }  // that they are prepared for
  // Query i for documents of a group.
  const void* of(uint32_t group, size_t i) const { return pointers_[group * count_ + i]; }
  // Of a block, what scoring it reads.
  size_t block_bytes() const;

 private:
  simd::CodeShape shape_;
  const simd::KernelTable& kernels_;
  const size_t count_;
  AlignedBuffer<std::byte> buffer_;
  std::vector<const void*> pointers_;  // group by group
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_SCAN_TARGET_H_
