// The scan of all codes of a space for the best few of each query.
#ifndef BEBR_INDEX_SEARCH_SCAN_H_
#define BEBR_INDEX_SEARCH_SCAN_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "index/base/aligned_buffer.h"
#include "index/base/clock.h"
#include "index/base/thread_pool.h"
#include "index/code/code_spec.h"
#include "index/search/filter.h"
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

// What one query of a scan asks for.
struct ScanQuery {
  size_t k = 1;
  float min_score = -std::numeric_limits<float>::infinity();
  const Filter* filter = nullptr;  // null: all documents. Evaluated once for all queries that have the same object
  // Polled between runs of blocks, with the time; once true the query is scanned no further and its candidates mean
  // nothing. May be null.
  std::function<bool(SteadyTime now)> stopped;
};

// What a scan has read.
struct ScanCounts {
  // Live documents in the blocks in which the query's filter leaves any: whatever other queries there are.
  std::vector<uint64_t> documents_of_query;
  uint64_t documents = 0;  // the sum
  uint64_t bytes = 0;      // code bytes read
};

// The first pass of a level-progressive scan: all documents are scored by the first levels of their codes alone.
struct FirstPass {
  const PreparedQueries& prepared;  // of the same queries, in a shape with levels left out
  // The best so many by that score are scored with all levels, and the best k of these are the result; at least k. 0:
  // the shape gives bounds, and those whose bound reaches the best k so far are scored with all levels, which gives
  // exactly the result of a scan of all levels.
  size_t candidates = 0;
};

// Scores every live document for every query and returns each query's best k, best first. All queries share one pass
// over the codes, each beside its filter: the blocks of the target are shared out over `threads` threads of the pool
// and the caller's. `first` may be null. The result depends on target, queries and first->candidates alone.
std::vector<std::vector<Candidate>> Scan(const ScanTarget& target, const PreparedQueries& prepared,
                                         const FirstPass* first, absl::Span<const ScanQuery> queries, ThreadPool& pool,
                                         size_t threads, ScanCounts* counts);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_SCAN_H_
