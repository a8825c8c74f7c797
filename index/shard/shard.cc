#include "index/shard/shard.h"

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/logging.h"
#include "index/base/stable_hash.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

constexpr size_t kMaxGroupMutations = 16384;
// A segment is rewritten once more than 1 / kReclaimShare of its rows are deleted: at most that share of memory is lost
// to deleted rows, for kReclaimShare - 1 rows copied per row replaced.
constexpr uint32_t kReclaimShare = 5;

int64_t MicrosSince(absl::Time start) { return absl::ToInt64Microseconds(absl::Now() - start); }

}  // namespace

size_t Shard::IdHash::operator()(uint32_t row) const { return StableHash(shard->id(row)); }
size_t Shard::IdHash::operator()(std::string_view id) const { return StableHash(id); }
bool Shard::IdEqual::operator()(uint32_t row, std::string_view id) const { return shard->id(row) == id; }

absl::StatusOr<std::unique_ptr<Shard>> Shard::Open(std::string path, std::shared_ptr<StoreCache> cache,
                                                   std::map<uint32_t, CodeSpec> spaces,
                                                   std::vector<uint32_t> versions) {
  BEBR_ASSIGN_OR_RETURN(auto store, ShardStore::Open(path, std::move(cache)));
  std::unique_ptr<Shard> shard(new Shard(std::move(path), std::move(store), std::move(spaces), std::move(versions)));
  {
    MutexLock lock(&shard->apply_mutex_);
    BEBR_RETURN_IF_ERROR(shard->Load());
    shard->Publish();
  }
  shard->committer_ = std::thread([s = shard.get()] { s->Run(); });
  return shard;
}

Shard::Shard(std::string path, std::unique_ptr<ShardStore> store, std::map<uint32_t, CodeSpec> spaces,
             std::vector<uint32_t> versions)
    : path_(std::move(path)),
      store_(std::move(store)),
      spaces_(std::move(spaces)),
      versions_(std::move(versions)),
      rows_(0, IdHash{this}, IdEqual{this}) {}

Shard::~Shard() {
  {
    MutexLock lock(&queue_mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  if (committer_.joinable()) committer_.join();
}

absl::Status Shard::Load() {
  std::vector<uint32_t> numbers;
  for (const auto& [number, spec] : spaces_) numbers.push_back(number);
  const auto visit = [&](std::string_view id, std::string_view bytes,
                         absl::Span<const std::optional<StoredCode>> codes) -> absl::Status {
    BEBR_ASSIGN_OR_RETURN(const Attributes attributes, DecodeAttributes(bytes));
    const uint32_t slot = TailSlot();
    Segment& segment = *slots_[slot].segment;
    const uint32_t row = segment.Append(id, attributes, dictionary_);
    for (size_t s = 0; s < numbers.size(); ++s) {
      if (!codes[s].has_value()) continue;
      const CodeSpec& spec = spaces_.at(numbers[s]);
      if (codes[s]->words.size() != spec.code_words()) {
        return absl::DataLossError(
            absl::StrFormat("storage at %s: the code of document \"%s\" has %d words; its space has %d", path_, id,
                            codes[s]->words.size(), spec.code_words()));
      }
      segment.SetCode(
          row,
          {numbers[s], static_cast<uint8_t>(codes[s]->version), {codes[s]->scale, codes[s]->offset}, codes[s]->words},
          spec);
    }
    InsertRow(slot * kSegmentRows + row);
    return absl::OkStatus();
  };
  return store_->VisitDocuments(numbers, visit);
}

void Shard::Submit(Mutations mutations) {
  {
    MutexLock lock(&queue_mutex_);
    queue_.push_back(std::move(mutations));
  }
  wake_.NotifyOne();
}

void Shard::Run() {
  for (;;) {
    std::vector<Mutations> group;
    {
      MutexLock lock(&queue_mutex_);
      while (!stopping_ && queue_.empty()) wake_.Wait(&queue_mutex_);
      if (queue_.empty()) return;
      for (size_t count = 0; !queue_.empty() && count < kMaxGroupMutations;) {
        count += queue_.front().list.size();
        group.push_back(std::move(queue_.front()));
        queue_.pop_front();
      }
    }
    CommitGroup(group);
  }
}

void Shard::CommitGroup(std::vector<Mutations>& group) {
  std::vector<MutationResult> results;
  absl::Status status;
  {
    MutexLock lock(&apply_mutex_);
    size_t count = 0;
    for (const Mutations& mutations : group) count += mutations.list.size();
    const absl::Time start = absl::Now();
    status = store_->Commit(BuildBatch(group), store_->sequence() + count);
    stats_.commit_us += MicrosSince(start);
    if (status.ok()) {
      const absl::Time applying = absl::Now();
      for (const Mutations& mutations : group) results.push_back(Apply(mutations));
      Reclaim();
      Publish();
      ++stats_.commits;
      stats_.apply_us += MicrosSince(applying);
    }
  }
  if (!status.ok()) LogError("a write failed and had no effect: {}", status.ToString());
  for (size_t i = 0; i < group.size(); ++i) {
    if (status.ok()) {
      group[i].done(results[i]);
    } else {
      group[i].done(status);
    }
  }
}

ShardStore::Batch Shard::BuildBatch(const std::vector<Mutations>& group) {
  ShardStore::Batch batch;
  for (const Mutations& mutations : group) {
    for (const Mutation& mutation : mutations.list) {
      // What the document had before goes first, so that a replaced document keeps nothing of its old self. With one
      // version and one space there is nothing that the new one does not overwrite.
      for (const auto& [space, spec] : spaces_) {
        const bool kept = std::any_of(mutation.codes.begin(), mutation.codes.end(),
                                      [&](const RowCode& c) { return c.space == space; });
        if (!kept) batch.DeleteCode(space, mutation.id);
      }
      for (const uint32_t version : versions_) {
        const bool kept = std::any_of(mutation.floats.begin(), mutation.floats.end(),
                                      [&](const auto& f) { return f.version == version; });
        if (!kept) batch.DeleteFloats(version, mutation.id);
      }
      if (mutation.attributes == nullptr) {
        batch.DeleteDocument(mutation.id);
        continue;
      }
      batch.PutDocument(mutation.id, EncodeAttributes(*mutation.attributes));
      for (const RowCode& code : mutation.codes) {
        batch.PutCode(code.space, mutation.id, {code.version, code.factors.scale, code.factors.offset, code.words});
      }
      for (const Mutation::Floats& floats : mutation.floats) batch.PutFloats(floats.version, mutation.id, floats.bytes);
    }
  }
  return batch;
}

MutationResult Shard::Apply(const Mutations& mutations) {
  MutationResult result;
  for (const Mutation& mutation : mutations.list) {
    const bool existed = EraseRow(mutation.id);
    if (mutation.attributes == nullptr) {
      result.documents += existed ? 1 : 0;
      continue;
    }
    const uint32_t slot = TailSlot();
    Segment& segment = *slots_[slot].segment;
    const uint32_t row = segment.Append(mutation.id, *mutation.attributes, dictionary_);
    for (const RowCode& code : mutation.codes) {
      // A space that was dropped after the document was encoded takes no more codes.
      if (const auto spec = spaces_.find(code.space); spec != spaces_.end()) segment.SetCode(row, code, spec->second);
    }
    InsertRow(slot * kSegmentRows + row);
    ++result.documents;
    result.created += existed ? 0 : 1;
  }
  return result;
}

bool Shard::EraseRow(std::string_view id) {
  const auto it = rows_.find(id);
  if (it == rows_.end()) return false;
  const uint32_t row = *it;
  rows_.erase(it);
  MarkDeleted(row);
  return true;
}

void Shard::MarkDeleted(uint32_t row) {
  Slot& slot = slots_[row / kSegmentRows];
  CountVersions(*slot.segment, row % kSegmentRows, -1);
  if (slot.deleted == nullptr) slot.deleted = std::make_unique<DeletionSet>();
  slot.deleted->set(row % kSegmentRows);
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
  slots_[tail_slot_].segment = std::make_shared<Segment>();
  return static_cast<uint32_t>(tail_slot_);
}

void Shard::InsertRow(uint32_t row) {
  rows_.insert(row);
  CountVersions(*slots_[row / kSegmentRows].segment, row % kSegmentRows, 1);
}

void Shard::CountVersions(const Segment& segment, uint32_t row, int64_t change) {
  for (const Segment::SpaceColumn& space : segment.spaces()) {
    if (space.column->has(row)) documents_by_version_[space.column->version(row)] += change;
  }
}

void Shard::Reclaim() {
  for (uint32_t s = 0; s < slots_.size(); ++s) {
    if (slots_[s].segment == nullptr || slots_[s].deleted_rows == 0) continue;
    const bool is_tail = static_cast<int64_t>(s) == tail_slot_;
    const uint32_t rows = slots_[s].segment->rows();
    // The tail is rewritten only when it is large enough to matter; a full one like any other.
    if (is_tail && rows < kSegmentRows / 4) continue;
    if (uint64_t{slots_[s].deleted_rows} * kReclaimShare <= rows) continue;
    if (is_tail) tail_slot_ = -1;
    const std::shared_ptr<Segment> old = slots_[s].segment;
    for (uint32_t row = 0; row < rows; ++row) {
      if (slots_[s].deleted->test(row)) continue;
      const uint32_t slot = TailSlot();
      const uint32_t moved = slots_[slot].segment->AppendCopy(*old, row);
      rows_.erase(s * kSegmentRows + row);
      rows_.insert(slot * kSegmentRows + moved);
      ++stats_.rewritten_rows;
    }
    slots_[s] = Slot();
    free_slots_.push_back(s);
  }
}

void Shard::Publish() {
  auto snapshot = std::make_shared<ShardSnapshot>();
  snapshot->sequence = store_->sequence();
  snapshot->store = store_->MakeView();
  snapshot->dictionary = &dictionary_;
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
      SegmentView::SpaceView space_view{space.space, space.column, nullptr};
      if (view.rows % simd::kBlockRows != 0) {
        auto block = std::make_shared<AlignedBuffer<std::byte>>(space.column->block_bytes());
        std::copy_n(space.column->block(view.rows / simd::kBlockRows), block->size(), block->data());
        space_view.open_block = std::move(block);
      }
      view.spaces.push_back(std::move(space_view));
    }
    snapshot->documents += view.rows - view.deleted_rows;
    snapshot->deleted_rows += view.deleted_rows;
    snapshot->segments.push_back(std::move(view));
  }
  const Memory memory = MemoryLocked();
  memory_bytes_.store(memory.codes + memory.ids + memory.attributes, std::memory_order_relaxed);
  MutexLock lock(&snapshot_mutex_);
  snapshot_ = std::move(snapshot);
}

std::shared_ptr<const ShardSnapshot> Shard::snapshot() const {
  MutexLock lock(&snapshot_mutex_);
  return snapshot_;
}

Shard::Stats Shard::stats() const {
  MutexLock lock(&apply_mutex_);
  return stats_;
}

Shard::Memory Shard::memory() const {
  MutexLock lock(&apply_mutex_);
  return MemoryLocked();
}

Shard::Memory Shard::MemoryLocked() const {
  Memory memory;
  for (const Slot& slot : slots_) {
    if (slot.segment == nullptr) continue;
    memory.codes += slot.segment->code_bytes();
    memory.ids += slot.segment->id_bytes();
    memory.attributes += slot.segment->attributes().memory_bytes(slot.segment->rows());
  }
  memory.ids += rows_.capacity() * (sizeof(uint32_t) + 1);
  memory.attributes += dictionary_.memory_bytes();
  return memory;
}

std::map<uint32_t, uint64_t> Shard::DocumentsByVersion() const {
  MutexLock lock(&apply_mutex_);
  std::map<uint32_t, uint64_t> counts;
  for (const auto& [version, count] : documents_by_version_) {
    if (count > 0) counts[version] = static_cast<uint64_t>(count);
  }
  return counts;
}

void Shard::AddSpace(uint32_t space, const CodeSpec& spec) {
  MutexLock lock(&apply_mutex_);
  spaces_.emplace(space, spec);
}

void Shard::AddVersion(uint32_t version) {
  MutexLock lock(&apply_mutex_);
  if (std::find(versions_.begin(), versions_.end(), version) == versions_.end()) versions_.push_back(version);
}

absl::Status Shard::DropSpace(uint32_t space) {
  MutexLock lock(&apply_mutex_);
  ShardStore::Batch batch;
  batch.DeleteAllCodes(space);
  BEBR_RETURN_IF_ERROR(store_->Commit(std::move(batch), store_->sequence() + 1));
  spaces_.erase(space);
  for (Slot& slot : slots_) {
    if (slot.segment != nullptr) slot.segment->DropSpace(space);
  }
  documents_by_version_.clear();
  for (const uint32_t row : rows_) CountVersions(*slots_[row / kSegmentRows].segment, row % kSegmentRows, 1);
  Publish();
  return store_->Compact();
}

absl::Status Shard::DropVersion(uint32_t version) {
  MutexLock lock(&apply_mutex_);
  ShardStore::Batch batch;
  batch.DeleteAllFloats(version);
  BEBR_RETURN_IF_ERROR(store_->Commit(std::move(batch), store_->sequence() + 1));
  std::erase(versions_, version);
  return store_->Compact();
}

}  // namespace bebr
