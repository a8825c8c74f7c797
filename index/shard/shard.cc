#include "index/shard/shard.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "absl/strings/str_format.h"
#include "index/base/stable_hash.h"
#include "index/base/status_macros.h"
#include "index/types/collection.h"

namespace bebr {
namespace {

// A segment is rewritten once more than 1 / kReclaimShare of its rows are deleted: at most that share of memory is lost
// to deleted rows, for kReclaimShare - 1 rows copied per row replaced.
constexpr uint32_t kReclaimShare = 5;
constexpr uint64_t kReclaimAttributeBytes = 1 << 20;

}  // namespace

size_t Shard::IdHash::operator()(uint32_t row) const { return StableHash(shard->id(row)); }
size_t Shard::IdHash::operator()(std::string_view id) const { return StableHash(id); }
bool Shard::IdEqual::operator()(uint32_t row, std::string_view id) const { return shard->id(row) == id; }

bool ShardContents::InUse(uint32_t embedding) const {
  return std::any_of(versions.begin(), versions.end(),
                     [&](const auto& version) { return version.second == embedding; });
}

absl::Status ShardContents::CheckCode(std::string_view id, uint32_t space, uint32_t version, uint32_t group,
                                      size_t words) const {
  const auto it = spaces.find(space);
  if (it == spaces.end()) return absl::OkStatus();
  const CodeSpec& spec = it->second;
  if (words != spec.code_words()) {
    return absl::DataLossError(
        absl::StrFormat("the code of document \"%s\" has %d words; its space has %d", id, words, spec.code_words()));
  }
  if (version >= kMaxVersions) {
    return absl::DataLossError(absl::StrFormat("the code of document \"%s\" is of version %d", id, version));
  }
  if (group >= spec.groups()) {
    return absl::DataLossError(
        absl::StrFormat("the code of document \"%s\" is of group %d; its space has %d", id, group, spec.groups()));
  }
  return absl::OkStatus();
}

Shard::Shard(uint32_t number, CollectionStore* store, const ShardContents* contents)
    : number_(number), store_(store), contents_(*contents), rows_(0, IdHash{this}, IdEqual{this}) {}

absl::Status Shard::Load() {
  std::vector<uint32_t> numbers, embeddings;
  for (const auto& [number, spec] : contents_.spaces) numbers.push_back(number);
  for (const auto& [version, embedding] : contents_.versions) embeddings.push_back(embedding);
  std::sort(embeddings.begin(), embeddings.end());
  embeddings.erase(std::unique(embeddings.begin(), embeddings.end()), embeddings.end());
  const auto visit = [&](std::string_view id, std::string_view bytes, absl::Span<const std::optional<StoredCode>> codes,
                         absl::Span<const uint32_t> marks) -> absl::Status {
    if (id.empty() || id.size() > kMaxIdBytes) {
      return absl::DataLossError(absl::StrFormat("an id has %d bytes; the limit is %d", id.size(), kMaxIdBytes));
    }
    BEBR_ASSIGN_OR_RETURN(const Attributes attributes, DecodeAttributes(bytes));
    const uint32_t slot = TailSlot();
    Segment& segment = *slots_[slot].segment;
    const uint32_t row = segment.Append(id, attributes);
    for (size_t s = 0; s < numbers.size(); ++s) {
      if (!codes[s].has_value()) continue;
      const CodeSpec& spec = contents_.spaces.at(numbers[s]);
      BEBR_RETURN_IF_ERROR(
          contents_.CheckCode(id, numbers[s], codes[s]->version, codes[s]->group, codes[s]->words.size()));
      const CodeFactors factors{codes[s]->scale, codes[s]->offset, codes[s]->group};
      segment.SetCode(row, {numbers[s], static_cast<uint8_t>(codes[s]->version), factors, codes[s]->words}, spec);
    }
    if (!marks.empty()) segment.SetMarks(row, MarkSet(marks));
    InsertRow(slot * kSegmentRows + row);
    return absl::OkStatus();
  };
  return store_->VisitDocuments(nullptr, number_, numbers, embeddings, visit);
}

std::vector<MutationResult> Shard::Apply(const Group& group) {
  std::vector<MutationResult> results;
  MutexLock lock(&rows_mutex_);
  for (const absl::Span<Mutation> mutations : group) results.push_back(ApplyRequest(mutations));
  Reclaim();
  return results;
}

MutationResult Shard::ApplyRequest(absl::Span<const Mutation> mutations) {
  MutationResult result;
  for (const Mutation& mutation : mutations) {
    if (!mutation.applies) {
      if (mutation.skipped) {
        result.skipped_ids.emplace_back(mutation.id);
      } else if (!mutation.adds_codes()) {
        result.unknown_ids.emplace_back(mutation.id);
      }
      continue;
    }
    const std::optional<uint32_t> old = EraseRow(mutation.id);
    // Of a row that differs from what is stored (collection/row_check.h).
    if (old.has_value() && mutation.kind == MutationKind::kUpdate && mutation.expected_segment != nullptr) {
      slots_[*old / kSegmentRows].segment->attributes().Recount(*old % kSegmentRows, *mutation.attributes_after);
    }
    if (mutation.kind == MutationKind::kDelete) {
      result.documents += old.has_value() ? 1 : 0;
      continue;
    }
    AppendRow(mutation, mutation.keeps ? old : std::nullopt);
    ++result.documents;
    result.created += old.has_value() ? 0 : 1;
  }
  return result;
}

void Shard::AppendRow(const Mutation& mutation, std::optional<uint32_t> old) {
  const uint32_t slot = TailSlot();
  Segment& segment = *slots_[slot].segment;
  uint32_t row = 0;
  // A code that is copied and then written over would keep its place among those of its group.
  auto without = mutation.dropped;
  for (const RowCode& code : mutation.codes) without.push_back(code.space);
  if (mutation.kind == MutationKind::kMerge) {
    row = segment.AppendCopy(*slots_[*old / kSegmentRows].segment, *old % kSegmentRows, without);
  } else {
    const bool updates = mutation.kind == MutationKind::kUpdate;
    row = segment.Append(mutation.id, updates ? *mutation.attributes_after : *mutation.attributes);
    if (old.has_value()) {
      segment.CopyCodes(*slots_[*old / kSegmentRows].segment, *old % kSegmentRows, row, without);
    }
  }
  for (const RowCode& code : mutation.codes) segment.SetCode(row, code, contents_.spaces.at(code.space));
  if (!mutation.marks.empty() || segment.marks(row) != 0) segment.SetMarks(row, MarkSet(mutation.marks));
  InsertRow(slot * kSegmentRows + row);
}

std::optional<uint32_t> Shard::EraseRow(std::string_view id) {
  const auto it = rows_.find(id);
  if (it == rows_.end()) return std::nullopt;
  const uint32_t row = *it;
  rows_.erase(it);
  MarkDeleted(row);
  return row;
}

void Shard::MarkDeleted(uint32_t row) {
  Slot& slot = slots_[row / kSegmentRows];
  Count(*slot.segment, row % kSegmentRows, -1);
  if (slot.deleted == nullptr) slot.deleted = std::make_unique<DeletionSet>();
  slot.deleted->set(row % kSegmentRows);
  slot.segment->attributes().Forget(row % kSegmentRows);
  ++slot.deleted_rows;
  slot.published_deleted.reset();
}

uint32_t Shard::TailSlot() {
  if (tail_slot_ >= 0 && !slots_[tail_slot_].segment->full()) return static_cast<uint32_t>(tail_slot_);
  if (tail_slot_ >= 0) slots_[tail_slot_].segment->Seal();
  if (free_slots_.empty()) {
    tail_slot_ = static_cast<int64_t>(slots_.size());
    slots_.emplace_back();
  } else {
    tail_slot_ = free_slots_.back();
    free_slots_.pop_back();
  }
  slots_[tail_slot_].segment = std::make_shared<Segment>(dictionary_, contents_.attributes);
  return static_cast<uint32_t>(tail_slot_);
}

void Shard::InsertRow(uint32_t row) {
  rows_.insert(row);
  Count(*slots_[row / kSegmentRows].segment, row % kSegmentRows, 1);
}

void Shard::Count(const Segment& segment, uint32_t row, int64_t change) {
  absl::InlinedVector<uint32_t, 4> embeddings;
  const auto add = [&](uint32_t embedding) {
    if (std::find(embeddings.begin(), embeddings.end(), embedding) != embeddings.end()) return;
    embeddings.push_back(embedding);
    documents_by_embedding_[embedding] += change;
  };
  for (const Segment::SpaceColumn& space : segment.spaces()) {
    if (!space.column->has(row)) continue;
    const uint32_t version = space.column->version(row);
    codes_by_version_[version] += change;
    const auto it = contents_.versions.find(version);
    if (contents_.stores_floats && it != contents_.versions.end()) add(it->second);
  }
  for (const uint32_t embedding : mark_sets_[segment.marks(row)]) {
    if (contents_.InUse(embedding)) add(embedding);
  }
}

void Shard::CountAgain() {
  codes_by_version_.clear();
  documents_by_embedding_.clear();
  for (const uint32_t row : rows_) Count(*slots_[row / kSegmentRows].segment, row % kSegmentRows, 1);
}

uint16_t Shard::MarkSet(absl::Span<const uint32_t> marks) {
  for (size_t i = 0; i < mark_sets_.size(); ++i) {
    if (absl::MakeConstSpan(mark_sets_[i]) == marks) return static_cast<uint16_t>(i);
  }
  // Sets are as many as the steps of all upgrades together; should they ever run out, only a count is too low.
  if (mark_sets_.size() > std::numeric_limits<uint16_t>::max()) return 0;
  mark_sets_.emplace_back(marks.begin(), marks.end());
  return static_cast<uint16_t>(mark_sets_.size() - 1);
}

void Shard::ForgetMarks(uint32_t embedding) {
  bool empty = true;
  for (std::vector<uint32_t>& marks : mark_sets_) {
    std::erase(marks, embedding);
    empty = empty && marks.empty();
  }
  if (!empty) return;
  mark_sets_.assign(1, {});
  for (Slot& slot : slots_) {
    if (slot.segment != nullptr) slot.segment->ClearMarks();
  }
}

void Shard::Reclaim() {
  for (uint32_t s = 0; s < slots_.size(); ++s) {
    if (slots_[s].segment == nullptr || slots_[s].deleted_rows == 0) continue;
    const bool is_tail = static_cast<int64_t>(s) == tail_slot_;
    const uint32_t rows = slots_[s].segment->rows();
    // The tail is rewritten only when it, or what its deleted rows say, is large enough to matter, or nothing of it is
    // left; a full one like any other. Columns of names that went with their documents go however few these were.
    const AttributeColumns& attributes = slots_[s].segment->attributes();
    const uint64_t dead_bytes =
        (attributes.text_bytes() + attributes.memory_bytes(rows)) * slots_[s].deleted_rows / rows;
    const bool matters = rows >= kSegmentRows / 4 || dead_bytes >= kReclaimAttributeBytes;
    const bool mostly_deleted = uint64_t{slots_[s].deleted_rows} * kReclaimShare > rows;
    const bool worthwhile = mostly_deleted && (!is_tail || matters || slots_[s].deleted_rows == rows);
    if (!worthwhile && !attributes.MostlyUnused()) continue;
    if (is_tail) tail_slot_ = -1;
    const std::shared_ptr<Segment> old = slots_[s].segment;
    for (uint32_t row = 0; row < rows; ++row) {
      if (slots_[s].deleted->test(row)) continue;
      const uint32_t slot = TailSlot();
      const uint32_t moved = slots_[slot].segment->AppendCopy(*old, row);
      rows_.erase(s * kSegmentRows + row);
      rows_.insert(slot * kSegmentRows + moved);
    }
    slots_[s] = Slot();
    free_slots_.push_back(s);
  }
}

std::shared_ptr<const ShardView> Shard::MakeView() {
  auto shard_view = std::make_shared<ShardView>();
  shard_view->dictionary = dictionary_;
  for (Slot& slot : slots_) {
    if (slot.segment == nullptr) continue;
    if (slot.deleted_rows > 0 && slot.published_deleted == nullptr) {
      slot.published_deleted = std::make_shared<DeletionSet>(*slot.deleted);
    }
    SegmentView view;
    view.segment = slot.segment;
    view.rows = slot.segment->rows();
    view.deleted_rows = slot.deleted_rows;
    view.deleted = slot.published_deleted;
    view.attributes = slot.segment->attributes().view();
    for (const Segment::SpaceColumn& space : slot.segment->spaces()) {
      SegmentView::SpaceView space_view{space.space, space.column, view.rows, nullptr, space.column->Publish()};
      if (!space.column->grouped() && view.rows % simd::kBlockRows != 0) {
        auto block = std::make_shared<AlignedBuffer<std::byte>>(space.column->block_bytes());
        std::copy_n(space.column->block(view.rows / simd::kBlockRows), block->size(), block->data());
        space_view.open_block = std::move(block);
      }
      view.spaces.push_back(std::move(space_view));
    }
    shard_view->documents += view.rows - view.deleted_rows;
    shard_view->deleted_rows += view.deleted_rows;
    shard_view->segments.push_back(std::move(view));
  }
  shard_view->rows_memory = Memory();
  shard_view->counts = Counts();
  return shard_view;
}

ShardMemory Shard::Memory() const {
  ShardMemory memory;
  for (const Slot& slot : slots_) {
    if (slot.segment == nullptr) continue;
    memory.codes += slot.segment->code_bytes();
    memory.ids += slot.segment->id_bytes();
    memory.attributes += slot.segment->attributes().memory_bytes(slot.segment->rows());
  }
  memory.ids += rows_.capacity() * (sizeof(uint32_t) + 1);
  return memory;
}

ShardCounts Shard::Counts() const {
  ShardCounts counts;
  for (const auto& [version, count] : codes_by_version_) counts.codes[version] = static_cast<uint64_t>(count);
  for (const auto& [embedding, count] : documents_by_embedding_) {
    counts.embeddings[embedding] = static_cast<uint64_t>(count);
  }
  return counts;
}

void Shard::Drop(std::optional<uint32_t> space, std::optional<uint32_t> embedding) {
  if (space.has_value()) {
    for (Slot& slot : slots_) {
      if (slot.segment != nullptr) slot.segment->DropSpace(*space);
    }
  }
  if (embedding.has_value()) ForgetMarks(*embedding);
  CountAgain();
}

}  // namespace bebr
