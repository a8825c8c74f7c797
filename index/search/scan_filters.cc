#include "index/search/scan_filters.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"

namespace bebr {
namespace {

constexpr uint64_t kMostFilterBits = uint64_t{64} << 23;

// Of each 16 bits of a word a bit: whether one of them is set.
uint64_t LanesWithBits(uint64_t word) {
  constexpr uint64_t kLow = 0x7FFF7FFF7FFF7FFF;
  const uint64_t any = (((word & kLow) + kLow) | word) & ~kLow;  // in the highest bit of each 16
  // Bits 0, 16, 32, 48 come to 48, 49, 50, 51, and no two sums carry.
  return ((any >> 15) * ((uint64_t{1} << 48) | (uint64_t{1} << 33) | (uint64_t{1} << 18) | (uint64_t{1} << 3))) >> 48 &
         15;
}

}  // namespace

size_t MostFilters(const CollectionView& view) {
  uint64_t rows = 1;
  for (const auto& shard : view.shards) {
    for (const SegmentView& segment : shard->segments) rows += segment.rows;
  }
  return std::max<size_t>(1, kMostFilterBits / rows);
}

ScanFilters::ScanFilters(const ScanTarget& target, absl::Span<const ScanQuery> queries) : target_(target) {
  absl::flat_hash_map<const Filter*, uint32_t> numbers;
  for (uint32_t q = 0; q < queries.size(); ++q) {
    const auto [found, added] = numbers.try_emplace(queries[q].filter, static_cast<uint32_t>(groups_.size()));
    if (added) groups_.push_back({queries[q].filter, {}});
    groups_[found->second].queries.push_back(q);
    group_of_.push_back(found->second);
  }
}

bool ScanFilters::Stopped(uint32_t group, absl::Span<const ScanQuery> queries) const {
  const SteadyTime now = SteadyNow();
  return std::all_of(groups_[group].queries.begin(), groups_[group].queries.end(),
                     [&](uint32_t q) { return queries[q].stopped != nullptr && queries[q].stopped(now); });
}

std::vector<Filter::TextAnswers> ScanFilters::CompareTexts(absl::Span<const uint32_t> groups,
                                                           absl::Span<const ScanQuery> queries, FairPool& pool) const {
  absl::flat_hash_map<const Filter::Node*, std::vector<uint32_t>> groups_of;
  for (const uint32_t group : groups) {
    for (const Filter::Node* test : groups_[group].filter->TextTests()) groups_of[test].push_back(group);
  }
  struct Comparison {
    const Filter::Node* test;
    uint32_t shard;
    std::vector<uint64_t>* answer;
  };
  std::vector<Comparison> comparisons;
  std::vector<Filter::TextAnswers> texts(target_.shard_count());
  for (uint32_t shard = 0; shard < texts.size(); ++shard) {
    for (const auto& [test, of] : groups_of) texts[shard].try_emplace(test);
    for (auto& [test, answer] : texts[shard]) comparisons.push_back({test, shard, &answer});
  }
  pool.ParallelFor(comparisons.size(), [&](size_t i, size_t) {
    const Comparison& comparison = comparisons[i];
    const std::vector<uint32_t>& of = groups_of.find(comparison.test)->second;
    const auto stopped = [&] {
      return std::all_of(of.begin(), of.end(), [&](uint32_t group) { return Stopped(group, queries); });
    };
    if (stopped()) return;
    *comparison.answer = Filter::CompareText(*comparison.test, *target_.shard(comparison.shard).dictionary, stopped);
  });
  return texts;
}

void ScanFilters::Evaluate(absl::Span<const ScanQuery> queries, FairPool& pool) {
  std::vector<uint32_t> filtered;  // groups
  for (uint32_t group = 0; group < groups_.size(); ++group) {
    if (groups_[group].filter != nullptr) filtered.push_back(group);
  }
  const size_t parts = target_.parts().size();
  rows_.resize(groups_.size());
  many_.resize(parts);
  for (const uint32_t group : filtered) rows_[group].resize(parts);
  const std::vector<Filter::TextAnswers> texts = CompareTexts(filtered, queries, pool);
  // A segment's columns are read for all filters, one after the other, while they are in the caches.
  pool.ParallelFor(parts, [&](size_t i, size_t) {
    const ScanTarget::Part& part = target_.parts()[i];
    const AttributeDictionary& dictionary = *target_.shard(part.shard).dictionary;
    for (const uint32_t group : filtered) {
      if (Stopped(group, queries)) {
        rows_[group][i].few = true;  // none
        continue;
      }
      rows_[group][i] = groups_[group].filter->Select(*part.view->attributes, dictionary, texts[part.shard],
                                                      part.view->rows, part.view->segment.get());
    }
    for (uint32_t group = 0; group < groups_.size(); ++group) {
      if (Few(group, static_cast<uint32_t>(i)) == nullptr) many_[i].push_back(group);
    }
  });
}

// The rows of a block lie anywhere.
BlockSet ScanFilters::GroupedBlocksLeft(size_t group, const ScanUnit& unit) const {
  BlockSet blocks;
  const ScanTarget::Part& part = target_.parts()[unit.part];
  const RowSet& rows = rows_[group][unit.part].set;
  const ScanTarget::Part::Stretch* stretch = &part.StretchAt(unit.begin);
  for (uint32_t block = 0; block < unit.size(); ++block) {
    const uint32_t position = unit.begin + block;
    while (position >= stretch->end) ++stretch;
    for (uint32_t lane = 0; lane < simd::kBlockRows; ++lane) {
      const uint32_t row = part.RowAt(*stretch, position, lane);
      if (row == ScanTarget::Part::kNoRow || ((rows[row / 64] >> (row % 64)) & 1) == 0) continue;
      blocks.Add(block);
      break;
    }
  }
  return blocks;
}

BlockSet ScanFilters::Blocks(size_t group, const ScanUnit& unit) const {
  BlockSet blocks;
  if (groups_[group].filter == nullptr) {
    blocks.AddFirst(unit.size());
    return blocks;
  }
  if (target_.parts()[unit.part].space->column->grouped()) return GroupedBlocksLeft(group, unit);
  static_assert(simd::kBlockRows == 16);
  constexpr uint32_t kWordBlocks = 64 / simd::kBlockRows;
  const RowSet& rows = rows_[group][unit.part].set;
  for (uint32_t block = 0; block < unit.size(); block += kWordBlocks) {
    blocks.AddBits(block, LanesWithBits(rows[(unit.begin + block) / kWordBlocks]));
  }
  return blocks;
}

}  // namespace bebr
