// Where a view has documents: the id table, which is of the present, as readers of views use it.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "index/shard/shard.h"

namespace bebr {
namespace {

constexpr size_t kLooksAtATime = 512;  // between which writers get their turn

// Rows of a view that were live in it and are not in its segment any more.
struct Gone {
  const SegmentView* segment;
  std::unique_ptr<const DeletionSet> now;  // null: all of them
};

using Wanted = absl::flat_hash_map<std::string_view, size_t>;

void FindAmong(const Gone& gone, const Wanted& wanted, std::vector<RowInView>& out) {
  const SegmentView& view = *gone.segment;
  for (uint32_t begin = 0; begin < view.rows; begin += 64) {
    uint64_t rows = gone.now == nullptr ? ~uint64_t{0} : gone.now->words[begin / 64];
    if (view.deleted != nullptr) rows &= ~view.deleted->words[begin / 64];
    for (; rows != 0; rows &= rows - 1) {
      const uint32_t row = begin + static_cast<uint32_t>(std::countr_zero(rows));
      if (row >= view.rows) break;
      const auto it = wanted.find(view.segment->id(row));
      if (it != wanted.end()) out[it->second] = {&view, row};
    }
  }
}

}  // namespace

std::vector<RowInView> Shard::Locate(const ShardView& view, absl::Span<const std::string_view> ids) const {
  absl::flat_hash_map<const Segment*, const SegmentView*> segments;
  for (const SegmentView& segment : view.segments) segments[segment.segment.get()] = &segment;
  std::vector<RowInView> out(ids.size());
  Wanted missing;
  for (size_t begin = 0; begin < ids.size(); begin += kLooksAtATime) {
    MutexLock lock(&rows_mutex_);
    for (size_t i = begin; i < std::min(ids.size(), begin + kLooksAtATime); ++i) {
      const auto it = rows_.find(ids[i]);
      // A row that is there now was there for the view, if it had come by then.
      const auto segment = it == rows_.end() ? segments.end() : segments.find(slots_[*it / kSegmentRows].segment.get());
      if (segment != segments.end() && *it % kSegmentRows < segment->second->rows) {
        out[i] = {segment->second, *it % kSegmentRows};
      } else {
        missing.emplace(ids[i], i);
      }
    }
  }
  if (missing.empty()) return out;
  // What the view has of them has been replaced, deleted or moved since: these rows are gone from now on.
  std::vector<Gone> gone;
  {
    MutexLock lock(&rows_mutex_);
    for (const Slot& slot : slots_) {
      const auto segment = segments.find(slot.segment.get());
      if (segment == segments.end()) continue;
      if (slot.deleted_rows > segment->second->deleted_rows)
        gone.push_back({segment->second, std::make_unique<const DeletionSet>(*slot.deleted)});
      segments.erase(segment);
    }
  }
  for (const auto& [segment, of_view] : segments) gone.push_back({of_view, nullptr});
  for (const Gone& rows : gone) FindAmong(rows, missing, out);
  return out;
}

}  // namespace bebr
