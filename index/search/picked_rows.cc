#include "index/search/picked_rows.h"

#include <algorithm>

namespace bebr {

void PickedRows::Take(const ScanTarget& target, uint32_t part, absl::Span<const uint16_t> rows, GroupSet groups) {
  target_ = &target;
  part_ = part;
  places_.clear();
  positions_.clear();
  next_block_ = 0;
  end_ = 0;
  const ScanTarget::Part& from = target.parts()[part];
  const CodeColumn& column = *from.space->column;
  for (const uint16_t row : rows) {
    __builtin_prefetch(column.presence() + row);  // what documents() and whoever takes the rows look at
    if (column.grouped() && !column.has(row)) continue;
    if ((OneGroup(column.group_of(column.place(row) / simd::kBlockRows)) & groups) == 0) continue;
    places_.push_back({from.PositionOf(row), static_cast<uint16_t>(column.place(row) % simd::kBlockRows), row});
  }
  if (column.grouped()) {
    std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) { return a.block < b.block; });
  }
  for (Place& place : places_) {
    if (positions_.empty() || positions_.back() != place.block) positions_.push_back(place.block);
    place.block = static_cast<uint32_t>(positions_.size() - 1);
  }
}

bool PickedRows::Next(size_t most) {
  if (next_block_ == positions_.size()) return false;
  run_ = copies_.Copy(*target_, part_, absl::MakeConstSpan(positions_).subspan(next_block_), most);
  first_block_ = next_block_;
  next_block_ += run_.count;
  begin_ = end_;
  while (end_ < places_.size() && places_[end_].block < next_block_) ++end_;
  return true;
}

uint64_t PickedRows::documents() const {
  uint64_t documents = 0;
  for (uint32_t block = first_block_; block < next_block_; ++block)
    documents += target_->parts()[part_].LiveRows(positions_[block], positions_[block] + 1);
  return documents;
}

}  // namespace bebr
