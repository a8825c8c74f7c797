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
#include "index/base/thread_pool.h"
#include "index/code/code_spec.h"
#include "index/search/filter.h"
#include "index/search/top_k.h"
#include "index/segment/segment.h"
#include "index/shard/shard.h"
#include "index/simd/kernels.h"

namespace bebr {

// The segments of a scan: consistent snapshots of all shards of a collection, in one list, with what one space has in
// them.
//
// Holds the snapshots, so everything it points to stays as it is. Immutable; thread-safe.
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
  };

  ScanTarget(std::vector<std::shared_ptr<const ShardSnapshot>> snapshots, uint32_t space);

  const std::vector<Part>& parts() const { return parts_; }
  const ShardSnapshot& snapshot(uint32_t shard) const { return *snapshots_[shard]; }
  std::string_view id(const Candidate& candidate) const {
    return parts_[candidate.segment].view->segment->id(candidate.row);
  }
  uint64_t live_rows() const { return live_rows_; }

  // The total order of results: score descending, then id ascending.
  bool Better(const Candidate& a, const Candidate& b) const {
    return a.score != b.score ? a.score > b.score : id(a) < id(b);
  }

 private:
  std::vector<std::shared_ptr<const ShardSnapshot>> snapshots_;
  std::vector<Part> parts_;
  uint64_t live_rows_ = 0;
};

// Queries as the kernels take them, all of one shape.
class PreparedQueries {
 public:
  // `planes`, `weights`, `offsets` as Binarizer::EncodeQueries writes them, `count` rows.
  PreparedQueries(const CodeSpec& spec, uint32_t query_levels, size_t count, const uint32_t* planes,
                  const float* weights, const float* offsets);
  const simd::CodeShape& shape() const { return shape_; }
  size_t size() const { return pointers_.size(); }
  const void* operator[](size_t i) const { return pointers_[i]; }

 private:
  simd::CodeShape shape_;
  AlignedBuffer<std::byte> buffer_;
  std::vector<const void*> pointers_;
};

// What one query of a scan asks for.
struct ScanQuery {
  size_t k = 1;
  float min_score = -std::numeric_limits<float>::infinity();
  // Polled between runs of blocks; once true the query is scanned no further and its candidates mean nothing. May be
  // null.
  std::function<bool()> stopped;
};

struct ScanCounts {
  uint64_t documents = 0;  // rows x queries that were scored
  uint64_t bytes = 0;      // code bytes read
};

// Scores every live document for every query and returns each query's best k, best first. All queries share one pass
// over the codes: the blocks of the target are shared out over `threads` threads of the pool and the caller's. `filter`
// may be null. The result depends on target and queries alone.
std::vector<std::vector<Candidate>> Scan(const ScanTarget& target, const PreparedQueries& prepared,
                                         absl::Span<const ScanQuery> queries, const Filter* filter, ThreadPool& pool,
                                         size_t threads, ScanCounts* counts);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_SCAN_H_
