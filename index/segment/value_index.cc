#include "index/segment/value_index.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

namespace bebr {
namespace {

constexpr uint32_t kManyRows = 1024;   // behind the runs: sorted at once,
constexpr uint32_t kFewRows = 64;      // never,
constexpr uint64_t kSortedAfter = 32;  // or after so many look-ups that went through them
constexpr uint64_t kSignBit = uint64_t{1} << 63;

}  // namespace

uint64_t OrderKey(AttributeType type, uint64_t value) {
  switch (type) {
    case AttributeType::kInt:
    case AttributeType::kTimestamp:
      return value ^ kSignBit;
    case AttributeType::kDouble:  // its bits: sign and magnitude
      return (value & kSignBit) != 0 ? ~value : value | kSignBit;
    default:
      return value;
  }
}

AttributeScalar NumberOf(AttributeType type, uint64_t value) {
  switch (type) {
    case AttributeType::kDouble:
      return std::bit_cast<double>(value) + 0.0;  // one zero
    case AttributeType::kBool:
      return value != 0;
    case AttributeType::kTimestamp:
      return Timestamp{static_cast<int64_t>(value)};
    default:
      return static_cast<int64_t>(value);
  }
}

std::shared_ptr<const ValueIndex::Run> ValueIndex::Sort(const ColumnRows& column, uint32_t begin, uint32_t end) {
  auto run = std::make_shared<Run>();
  run->begin = begin;
  run->end = end;
  std::array<std::vector<std::pair<uint64_t, uint16_t>>, kTypes> by_type;  // key, row
  for (uint32_t row = begin; row < end; ++row) {
    const AttributeType type = column.types[row];
    if (type == AttributeType::kAbsent || type >= AttributeType::kList) continue;
    by_type[static_cast<size_t>(type)].emplace_back(OrderKey(type, column.values[row]), static_cast<uint16_t>(row));
  }
  size_t present = 0;
  for (const auto& rows : by_type) present += rows.size();
  run->order.reserve(present);
  for (size_t type = 0; type < kTypes; ++type) {
    std::sort(by_type[type].begin(), by_type[type].end());
    for (const auto& [key, row] : by_type[type]) {
      if (run->order.size() % kFenceRows == 0) run->fences.push_back(key);
      run->order.push_back(row);
    }
    run->type_end[type] = static_cast<uint32_t>(run->order.size());
  }
  return run;
}

std::shared_ptr<const ValueIndex::Runs> ValueIndex::RunsOf(const ColumnRows& column) const {
  MutexLock lock(&mutex_);
  uint32_t begin = runs_ == nullptr ? 0 : runs_->back()->end;
  const uint32_t end = column.count;
  if (end < begin + kFewRows) return runs_;
  looked_through_ += end - begin;
  if (end - begin < kManyRows && looked_through_ < kSortedAfter * (end - begin)) return runs_;
  looked_through_ = 0;
  Runs runs = runs_ == nullptr ? Runs() : *runs_;
  while (!runs.empty() && runs.back()->end - runs.back()->begin < 2 * (end - begin)) {
    begin = runs.back()->begin;
    runs.pop_back();
  }
  runs.push_back(Sort(column, begin, end));
  uint64_t bytes = 0;
  for (const auto& run : runs) bytes += run->order.size() * sizeof(uint16_t) + run->fences.size() * sizeof(uint64_t);
  bytes_.store(bytes, std::memory_order_relaxed);
  runs_ = std::make_shared<const Runs>(std::move(runs));
  return runs_;
}

uint32_t ValueIndex::FirstFrom(const Run& run, const ColumnRows& column, AttributeType type, uint32_t begin,
                               uint32_t end, uint64_t least) {
  // Between two fences: the last one that is below, or the begin, and the first one that is not, or the end.
  const auto first_fence = run.fences.begin() + (begin + kFenceRows - 1) / kFenceRows;
  const auto end_fence = run.fences.begin() + (end + kFenceRows - 1) / kFenceRows;
  const auto fence = std::lower_bound(first_fence, end_fence, least);
  const auto number = static_cast<uint32_t>(fence - run.fences.begin());
  const auto from = run.order.begin() + (fence == first_fence ? begin : (number - 1) * kFenceRows);
  const auto to = run.order.begin() + (fence == end_fence ? end : number * kFenceRows);
  const auto found =
      std::partition_point(from, to, [&](uint16_t row) { return OrderKey(type, column.values[row]) < least; });
  return static_cast<uint32_t>(found - run.order.begin());
}

bool ValueIndex::FindInRun(const Run& run, const ColumnRows& column, const KeyRange& range, size_t most,
                           std::vector<uint16_t>& found) {
  const auto type = static_cast<size_t>(range.type);
  const auto key = [&](uint16_t row) { return OrderKey(range.type, column.values[row]); };
  const auto section_end = run.order.begin() + run.type_end[type];
  const auto first =
      run.order.begin() + FirstFrom(run, column, range.type, run.type_end[type - 1], run.type_end[type], range.least);
  // Whether there are too many is seen by the one after the last that there may be.
  const auto room = static_cast<ptrdiff_t>(most - found.size());
  if (section_end - first > room && key(first[room]) <= range.most) return false;
  const auto last = std::partition_point(first, first + std::min(room, section_end - first),
                                         [&](uint16_t row) { return key(row) <= range.most; });
  // Runs may reach beyond the rows of an older view.
  if (run.end <= column.count) {
    found.insert(found.end(), first, last);
  } else {
    std::copy_if(first, last, std::back_inserter(found), [&](uint16_t row) { return row < column.count; });
  }
  return true;
}

bool ValueIndex::Find(const ColumnRows& column, absl::Span<const KeyRange> ranges, size_t most,
                      std::vector<uint16_t>& found) const {
  found.clear();
  if (ranges.empty()) return true;
  const std::shared_ptr<const Runs> runs = RunsOf(column);
  uint32_t looked_up = 0;
  if (runs != nullptr) {
    for (const auto& run : *runs) {
      if (run->begin >= column.count) break;
      looked_up = run->end;
      for (const KeyRange& range : ranges) {
        if (!FindInRun(*run, column, range, most, found)) return false;
      }
    }
  }
  for (const KeyRange& range : ranges) {
    for (uint32_t row = looked_up; row < column.count; ++row) {
      if (column.types[row] != range.type) continue;
      const uint64_t key = OrderKey(range.type, column.values[row]);
      if (key >= range.least && key <= range.most) found.push_back(static_cast<uint16_t>(row));
    }
    if (found.size() > most) return false;
  }
  std::sort(found.begin(), found.end());
  return true;
}

}  // namespace bebr
