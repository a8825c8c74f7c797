// What a scan reads: the segments of a view, and queries as the kernels take them.
#ifndef BEBR_INDEX_SEARCH_SCAN_TARGET_H_
#define BEBR_INDEX_SEARCH_SCAN_TARGET_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "index/base/aligned_buffer.h"
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

    uint32_t block_count() const { return (view->rows + simd::kBlockRows - 1) / simd::kBlockRows; }
    uint32_t full_blocks() const { return view->rows / simd::kBlockRows; }
    const std::byte* block(uint32_t block) const {
      return block < full_blocks() ? space->column->block(block) : space->open_block->data();
    }
    // True if the row belongs to the collection and has a code in the space.
    bool live(uint32_t row) const {
      return row < view->rows && space->column->has(row) && (view->deleted == nullptr || !view->deleted->test(row));
    }
    // How many rows of blocks begin..end - 1 are.
    uint64_t LiveRows(uint32_t begin, uint32_t end) const;
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
  // `planes`, `weights`, `offsets` as Binarizer::EncodeQueries writes them, `count` rows. `shape` is MakeShape's, or
  // that with levels left out.
  PreparedQueries(const CodeSpec& spec, const simd::CodeShape& shape, size_t count, const uint32_t* planes,
                  const float* weights, const float* offsets);
  const simd::CodeShape& shape() const { return shape_; }
  const simd::KernelTable& kernels() const { return kernels_; }  // that they are prepared for
  size_t size() const { return pointers_.size(); }
  const void* operator[](size_t i) const { return pointers_[i]; }
  // Of a block, what scoring it reads.
  size_t block_bytes() const;

 private:
  simd::CodeShape shape_;
  const simd::KernelTable& kernels_;
  AlignedBuffer<std::byte> buffer_;
  std::vector<const void*> pointers_;
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_SCAN_TARGET_H_
