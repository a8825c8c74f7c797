#include "index/search/scan_filters.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "index/search/column_test.h"

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

// Whether each of a unit's blocks has a row: as most have of a filter that leaves many.
bool AllBlocks(const uint64_t* rows) {
  std::array<uint16_t, kUnitBlocks> blocks;
  static_assert(simd::kBlockRows == 16);
  std::memcpy(blocks.data(), rows, sizeof(blocks));
  uint16_t none = 0;
  for (const uint16_t block : blocks) none |= static_cast<uint16_t>(block == 0);
  return none == 0;
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
  const size_t parts = target_.parts().size();
  rows_.resize(groups_.size());
  many_.resize(parts);
  std::vector<uint32_t> filtered;  // groups whose rows are not known yet
  for (uint32_t group = 0; group < groups_.size(); ++group) {
    const ScanQuery& first = queries[groups_[group].queries.front()];
    if (first.filter == nullptr) continue;
    if (first.rows != nullptr) {
      rows_[group] = std::move(*first.rows);
    } else {
      rows_[group].resize(parts);
      filtered.push_back(group);
    }
  }
  const std::vector<Filter::TextAnswers> texts = CompareTexts(filtered, queries, pool);
  const auto evaluate = [&](size_t i, size_t /*slot*/) {
    EvaluatePart(filtered, i, texts, queries);
    for (uint32_t group = 0; group < groups_.size(); ++group) {
      if (Few(group, static_cast<uint32_t>(i)) == nullptr) many_[i].push_back(group);
    }
  };
  if (!filtered.empty()) return pool.ParallelFor(parts, evaluate);
  for (size_t i = 0; i < parts; ++i) evaluate(i, 0);  // nothing that is worth waking somebody
}

// A segment's columns are read for all filters while they are in the caches; those that are but ranges read some of its
// rows after the other.
void ScanFilters::EvaluatePart(absl::Span<const uint32_t> groups, size_t number,
                               absl::Span<const Filter::TextAnswers> texts, absl::Span<const ScanQuery> queries) {
  const ScanTarget::Part& part = target_.parts()[number];
  const AttributeDictionary& dictionary = *target_.shard(part.shard).dictionary;
  const AttributeColumns::Map& columns = *part.view->attributes;
  const uint32_t rows = part.view->rows;
  std::vector<std::pair<RowSet*, std::vector<ColumnRanges>>> in_tiles;
  for (const uint32_t group : groups) {
    SelectedRows& selected = rows_[group][number];
    selected.few = Stopped(group, queries);  // then none
    if (selected.few) continue;
    const Filter& filter = *groups_[group].filter;
    std::optional<Filter::Ids> of_part;
    if (const auto* located = queries[groups_[group].queries.front()].ids; located != nullptr)
      of_part.emplace(Filter::Ids{*part.view->segment, *located});
    const Filter::Ids* ids = of_part.has_value() ? &*of_part : nullptr;
    if (auto few = filter.SelectFew(columns, dictionary, texts[part.shard], rows, ids)) {
      selected = *std::move(few);
    } else if (auto ranges = filter.AsRanges(columns, dictionary)) {
      selected.set.resize((rows + 63) / 64);
      in_tiles.emplace_back(&selected.set, *std::move(ranges));
    } else {
      selected.set = filter.SelectAll(columns, dictionary, texts[part.shard], rows, ids);
    }
  }
  for (uint32_t word = 0; word * 64 < rows; word += kTileWords) {
    for (const auto& [set, ranges] : in_tiles) TestTile(ranges, rows, word, *set);
  }
}

std::vector<ScanFilters::Picking> ScanFilters::Pickings() const {
  constexpr size_t kRows = 256;  // or some more
  std::vector<Picking> pickings;
  for (uint32_t group = 0; group < groups_.size(); ++group) {
    size_t rows = 0;
    for (uint32_t part = 0; part < target_.parts().size(); ++part) {
      const std::vector<uint16_t>* few = Few(group, part);
      if (few == nullptr || few->empty()) continue;
      if (rows == 0) pickings.push_back({group, {}});
      pickings.back().parts.push_back(part);
      rows += few->size();
      if (rows >= kRows) rows = 0;
    }
  }
  return pickings;
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
  if (unit.size() == kUnitBlocks && AllBlocks(rows.data() + unit.begin / kWordBlocks)) {
    blocks.AddFirst(kUnitBlocks);
    return blocks;
  }
  for (uint32_t begin = 0; begin < unit.size(); begin += 64) {
    const uint32_t end = std::min(begin + 64, unit.size());
    uint64_t bits = 0;  // a register, while the blocks of a word are gathered
    for (uint32_t block = begin; block < end; block += kWordBlocks)
      bits |= LanesWithBits(rows[(unit.begin + block) / kWordBlocks]) << (block - begin);
    blocks.AddBits(begin, bits);
  }
  return blocks;
}

}  // namespace bebr
