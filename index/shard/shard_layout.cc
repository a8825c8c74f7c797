// Shards in layout files (index/segment/FORMAT.md).
#include <algorithm>
#include <bit>
#include <limits>
#include <memory>

#include "index/shard/shard.h"

namespace bebr {
namespace {

constexpr uint32_t kMostCounts = 1 << 16;  // versions, embeddings, sets of marks
constexpr uint32_t kMostSlots = std::numeric_limits<uint32_t>::max() / kSegmentRows;
// Of a text and of an id, with their lengths.
constexpr size_t kLeastTextBytes = sizeof(uint32_t), kLeastIdBytes = sizeof(uint16_t) + 1;

// Whether so many of the rows, and none after them, are in the set.
bool Has(const DeletionSet& set, uint32_t deleted, uint32_t rows) {
  uint32_t count = 0;
  for (const uint64_t word : set.words) count += static_cast<uint32_t>(std::popcount(word));
  if (count != deleted) return false;
  for (uint32_t row = rows; row < kSegmentRows; ++row) {
    if (set.test(row)) return false;
  }
  return true;
}

void SaveCounts(LayoutWriter& out, const std::map<uint32_t, int64_t>& counts) {
  out.Put(static_cast<uint32_t>(counts.size()));
  for (const auto& [number, count] : counts) {
    out.Put(number);
    out.Put(count);
  }
}

void LoadCountsInto(LayoutReader& in, std::map<uint32_t, int64_t>& counts) {
  const auto size = in.TakeCount<uint32_t>(kMostCounts, sizeof(uint32_t) + sizeof(int64_t));
  for (uint32_t i = 0; i < size && in.ok(); ++i) {
    const auto number = in.Take<uint32_t>();
    counts[number] = in.Take<int64_t>();
  }
}

}  // namespace

void Shard::Save(LayoutWriter& out) const {
  SaveCounts(out, codes_by_version_);
  SaveCounts(out, documents_by_embedding_);
  out.Put(static_cast<uint32_t>(mark_sets_.size()));
  for (const std::vector<uint32_t>& marks : mark_sets_) {
    out.Put(static_cast<uint32_t>(marks.size()));
    out.PutArray(marks.data(), marks.size());
  }
  const uint32_t texts = dictionary_->size();
  out.Put(texts);
  out.Put(static_cast<uint64_t>(rows_.size()));
  out.Put(static_cast<uint32_t>(slots_.size()));
  out.Put(tail_slot_);
  for (const Slot& slot : slots_) {
    out.Put(static_cast<uint8_t>(slot.segment != nullptr));
    if (slot.segment == nullptr) continue;
    slot.segment->Save(out);
    out.Put(slot.deleted_rows);
    if (slot.deleted_rows > 0) out.PutArray(slot.deleted->words.data(), slot.deleted->words.size());
  }
  dictionary_->Save(out, texts);
}

absl::Status Shard::LoadLayout(LayoutReader& in) {
  LoadCounts(in);
  std::vector<uint32_t> held(in.TakeCount<uint32_t>(std::numeric_limits<uint32_t>::max() / 2, kLeastTextBytes));
  const auto rows = in.TakeCount<uint64_t>(uint64_t{kMostSlots} * kSegmentRows, kLeastIdBytes);
  const auto slots = in.TakeCount<uint32_t>(kMostSlots, sizeof(uint8_t));
  tail_slot_ = in.Take<int64_t>();
  if (tail_slot_ < -1 || tail_slot_ >= slots) in.Fail("its last segment is none");
  if (!in.ok()) return in.status();
  slots_.resize(slots);
  rows_.reserve(rows);
  for (uint32_t number = 0; number < slots && in.ok(); ++number) LoadSlot(in, number, held);
  if (in.ok()) dictionary_->Load(in, held);
  if (rows_.size() != rows) in.Fail("it has other rows than it says");
  if (tail_slot_ >= 0 && slots_[tail_slot_].segment == nullptr) in.Fail("its last segment is missing");
  return in.Finish();
}

void Shard::LoadCounts(LayoutReader& in) {
  LoadCountsInto(in, codes_by_version_);
  LoadCountsInto(in, documents_by_embedding_);
  mark_sets_.clear();
  const auto sets = in.TakeCount<uint32_t>(kMostCounts, sizeof(uint32_t));
  if (sets == 0) in.Fail("it has no set of marks");
  for (uint32_t i = 0; i < sets && in.ok(); ++i) {
    mark_sets_.emplace_back(in.TakeCount<uint32_t>(kMostCounts, sizeof(uint32_t)));
    in.TakeArray(mark_sets_.back().data(), mark_sets_.back().size());
  }
}

void Shard::LoadSlot(LayoutReader& in, uint32_t number, std::vector<uint32_t>& held) {
  Slot& slot = slots_[number];
  if (in.Take<uint8_t>() == 0) return free_slots_.push_back(number);
  slot.segment = Segment::Load(in, dictionary_, contents_.attributes, contents_.spaces, held);
  slot.deleted_rows = in.Take<uint32_t>();
  if (slot.deleted_rows > 0) {
    slot.deleted = std::make_unique<DeletionSet>();
    in.TakeArray(slot.deleted->words.data(), slot.deleted->words.size());
    if (!Has(*slot.deleted, slot.deleted_rows, slot.segment->rows())) in.Fail("it has other deleted rows than it says");
  }
  for (uint32_t row = 0; row < slot.segment->rows() && in.ok(); ++row) {
    if (slot.segment->marks(row) >= mark_sets_.size()) in.Fail("a row has marks that there are not");
    if (slot.deleted != nullptr && slot.deleted->test(row)) {
      slot.segment->attributes().Forget(row);
      continue;
    }
    if (!rows_.insert(number * kSegmentRows + row).second) in.Fail("a document is there twice");
  }
}

}  // namespace bebr
