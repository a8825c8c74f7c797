// The rows that the filters of a scan leave.
#ifndef BEBR_INDEX_SEARCH_SCAN_FILTERS_H_
#define BEBR_INDEX_SEARCH_SCAN_FILTERS_H_

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "index/base/thread_pool.h"
#include "index/search/filter.h"
#include "index/search/scan.h"

namespace bebr {

inline constexpr uint32_t kUnitBlocks = 128;  // blocks a thread takes at a time

// Blocks of a part; `begin` is a multiple of kUnitBlocks.
struct ScanUnit {
  uint32_t part = 0;
  uint32_t begin = 0;
  uint32_t end = 0;
  uint32_t size() const { return end - begin; }
};

// Some of the blocks of a unit, numbered from its begin.
class BlockSet {
 public:
  void Add(uint32_t block) { words_[block / 64] |= uint64_t{1} << (block % 64); }
  void AddFirst(uint32_t count) {
    for (uint32_t block = 0; block < count; ++block) Add(block);
  }
  void AddAll(const BlockSet& other) {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
  }
  uint32_t count() const { return static_cast<uint32_t>(std::popcount(words_[0]) + std::popcount(words_[1])); }
  // The first block from `block` on that is in the set, or, with `in` false, is not; kUnitBlocks if there is none.
  uint32_t Next(uint32_t block, bool in) const {
    while (block < kUnitBlocks) {
      const uint64_t rest = (in ? words_[block / 64] : ~words_[block / 64]) >> (block % 64);
      if (rest != 0) return block + static_cast<uint32_t>(std::countr_zero(rest));
      block = (block / 64 + 1) * 64;
    }
    return kUnitBlocks;
  }

 private:
  static_assert(kUnitBlocks == 128);
  std::array<uint64_t, kUnitBlocks / 64> words_{};
};

// The filters of a scan's queries, each evaluated once on all segments, and which queries have which.
//
// Cost: a bit a row and filter. Thread safety: immutable once evaluated.
class ScanFilters {
 public:
  // A filter and the queries that have it: the same object, or all that have none.
  struct Group {
    const Filter* filter = nullptr;
    std::vector<uint32_t> queries;
  };

  ScanFilters(const ScanTarget& target, absl::Span<const ScanQuery> queries);
  // Before the blocks: the comparisons with the strings of every shard, then with the rows of every part.
  void Evaluate(ThreadPool& pool);

  const std::vector<Group>& groups() const { return groups_; }
  // The blocks of a unit in which a group's filter leaves a row.
  BlockSet Blocks(size_t group, const ScanUnit& unit) const;
  // Whether the filter of a query leaves the row.
  bool Leaves(uint32_t query, uint32_t part, uint32_t row) const {
    const uint32_t group = group_of_[query];
    return groups_[group].filter == nullptr || ((row_sets_[group][part][row / 64] >> (row % 64)) & 1) != 0;
  }

 private:
  const ScanTarget& target_;
  std::vector<Group> groups_;
  std::vector<uint32_t> group_of_;             // by query
  std::vector<std::vector<RowSet>> row_sets_;  // by group and part; empty without a filter
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_SCAN_FILTERS_H_
