// The rows that the filters of a scan leave.
#ifndef BEBR_INDEX_SEARCH_SCAN_FILTERS_H_
#define BEBR_INDEX_SEARCH_SCAN_FILTERS_H_

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "index/base/fair_pool.h"
#include "index/search/filter.h"
#include "index/search/scan.h"

namespace bebr {

inline constexpr uint32_t kUnitBlocks = 128;  // blocks a thread takes at a time

// Blocks of a part, by position; without groups `begin` is a multiple of kUnitBlocks.
struct ScanUnit {
  uint32_t part = 0;
  uint32_t begin = 0;
  uint32_t end = 0;
  GroupSet groups = kAllGroups;  // of these at most
  uint32_t size() const { return end - begin; }
};

// Some of the blocks of a unit, numbered from its begin.
class BlockSet {
 public:
  void Add(uint32_t block) { words_[block / 64] |= uint64_t{1} << (block % 64); }
  void AddFirst(uint32_t count) {
    for (uint32_t begin = 0; begin < count; begin += 64)
      words_[begin / 64] |= count - begin >= 64 ? ~uint64_t{0} : (uint64_t{1} << (count - begin)) - 1;
  }
  // Bit i stands for block + i; all of them lie in one word.
  void AddBits(uint32_t block, uint64_t bits) { words_[block / 64] |= bits << (block % 64); }
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

// How many different filters the queries of a scan may have: all together a bit a row each, 64 MiB.
size_t MostFilters(const CollectionView& view);

// The filters of a scan's queries, each evaluated once on all segments, and which queries have which.
//
// Cost: a bit a row and filter, or two bytes a row that it leaves if these are few. Thread safety: immutable once
// evaluated.
class ScanFilters {
 public:
  // A filter and the queries that have it: the same object, or all that have none.
  struct Group {
    const Filter* filter = nullptr;
    std::vector<uint32_t> queries;
  };

  ScanFilters(const ScanTarget& target, absl::Span<const ScanQuery> queries);
  // Before the blocks: the comparisons with the strings of every shard, then with the rows of every part. A filter
  // whose queries, which are those of the constructor, have all stopped leaves no row.
  void Evaluate(absl::Span<const ScanQuery> queries, FairPool& pool);

  const std::vector<Group>& groups() const { return groups_; }
  // The rows of a part that a group's filter leaves, ascending, where they are few; else null.
  const std::vector<uint16_t>* Few(size_t group, uint32_t part) const {
    return groups_[group].filter != nullptr && rows_[group][part].few ? &rows_[group][part].numbers : nullptr;
  }
  // Parts in which a group's filter leaves few rows, as many as a thread takes at a time.
  struct Picking {
    uint32_t group;
    std::vector<uint32_t> parts;
  };
  std::vector<Picking> Pickings() const;
  // The groups of which a part's rows are not few.
  const std::vector<uint32_t>& many(uint32_t part) const { return many_[part]; }
  // The blocks of a unit in which a group's filter leaves a row, and whether the filter of a query leaves one: of parts
  // where the group's rows are not few.
  BlockSet Blocks(size_t group, const ScanUnit& unit) const;
  bool Leaves(uint32_t query, uint32_t part, uint32_t row) const {
    const uint32_t group = group_of_[query];
    return groups_[group].filter == nullptr || ((rows_[group][part].set[row / 64] >> (row % 64)) & 1) != 0;
  }

 private:
  // The answers of every shard's strings to these groups' comparisons with them, each made once whichever groups share
  // it.
  std::vector<Filter::TextAnswers> CompareTexts(absl::Span<const uint32_t> groups, absl::Span<const ScanQuery> queries,
                                                FairPool& pool) const;
  // The rows of one part, for these groups.
  void EvaluatePart(absl::Span<const uint32_t> groups, size_t number, absl::Span<const Filter::TextAnswers> texts,
                    absl::Span<const ScanQuery> queries);
  BlockSet GroupedBlocksLeft(size_t group, const ScanUnit& unit) const;
  // Whether all queries of a group have stopped, which they never take back.
  bool Stopped(uint32_t group, absl::Span<const ScanQuery> queries) const;

  const ScanTarget& target_;
  std::vector<Group> groups_;
  std::vector<uint32_t> group_of_;               // by query
  std::vector<std::vector<SelectedRows>> rows_;  // by group and part; empty without a filter
  std::vector<std::vector<uint32_t>> many_;      // by part
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_SCAN_FILTERS_H_
