// What the mutations of a group do, each given those before it: the half of a shard's writes that changes nothing yet.
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/checksum.h"
#include "index/base/status_macros.h"
#include "index/shard/shard.h"

namespace bebr {
namespace {

template <typename List, typename Value>
bool Contains(const List& list, const Value& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool WritesSpace(const Mutation& mutation, uint32_t space) {
  return std::any_of(mutation.codes.begin(), mutation.codes.end(),
                     [space](const RowCode& code) { return code.space == space; });
}

// Whether the mutation takes a document that exists, or none.
bool IsForExisting(const Mutation& mutation) {
  return mutation.kind == MutationKind::kMerge || mutation.kind == MutationKind::kUpdate;
}

std::optional<int64_t> IntegerOf(const Attributes& attributes, std::string_view name) {
  const auto it = attributes.find(name);
  if (it == attributes.end()) return std::nullopt;
  const auto* number = std::get_if<int64_t>(&it->second);
  return number == nullptr ? std::nullopt : std::optional<int64_t>(*number);
}

// Attributes that an update of them writes again, at most: documents may have a megabyte of them.
constexpr uint64_t kMaxUpdatedBytes = uint64_t{64} << 20;
constexpr size_t kReadAtATime = 32;

absl::Status CheckUpdated(uint64_t bytes) {
  if (bytes <= kMaxUpdatedBytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrFormat(
      "the documents to update have, with the change, %d bytes of attributes or more; the limit of one update is %d. "
      "Update fewer at a time",
      bytes, kMaxUpdatedBytes));
}

// What a change adds to a document, at most.
uint64_t AddedBytes(const AttributeChange& change) {
  uint64_t bytes = 0;
  for (const auto& [name, value] : change.set) bytes += name.size() + ValueBytes(value);
  return bytes;
}

}  // namespace

Shard::Held Shard::Find(std::string_view id) const {
  Held held;
  const auto it = rows_.find(id);
  if (it == rows_.end()) return held;
  held.exists = true;
  held.segment = slots_[*it / kSegmentRows].segment.get();
  held.row = *it % kSegmentRows;
  for (const Segment::SpaceColumn& space : held.segment->spaces()) {
    if (space.column->has(held.row)) held.codes.emplace_back(space.space, space.column->version(held.row));
  }
  const std::vector<uint32_t>& marks = mark_sets_[held.segment->marks(held.row)];
  held.marks.assign(marks.begin(), marks.end());
  return held;
}

bool Shard::MayHoldOthers() const {
  if (contents_.from_log || mark_sets_.size() > 1) return true;
  return std::any_of(contents_.versions.begin(), contents_.versions.end(),
                     [&](const auto& version) { return version.second != contents_.versions.begin()->second; });
}

bool Shard::NeedsHeld(const Mutation& mutation) const {
  return IsForExisting(mutation) || mutation.only_if_absent || mutation.newer_by != nullptr ||
         (mutation.kind == MutationKind::kReplace && MayHoldOthers());
}

absl::StatusOr<Shard::StoredAttributes> Shard::ReadUpdated(const Group& group, std::vector<uint64_t>& updated_bytes,
                                                           std::vector<absl::Status>& refused) const {
  StoredAttributes stored;
  for (size_t request = 0; request < group.size(); ++request) {
    std::vector<std::string_view> ids;
    const AttributeChange* change = nullptr;  // all of a request make the same
    for (const Mutation& mutation : group[request]) {
      if (mutation.kind != MutationKind::kUpdate || !rows_.contains(mutation.id)) continue;
      ids.push_back(mutation.id);
      change = mutation.change;
    }
    if (ids.empty()) continue;
    uint64_t& bytes = updated_bytes[request];
    bytes += ids.size() * AddedBytes(*change);
    refused[request].Update(CheckUpdated(bytes));
    for (size_t begin = 0; begin < ids.size() && refused[request].ok(); begin += kReadAtATime) {
      const auto some = absl::MakeConstSpan(ids).subspan(begin, kReadAtATime);
      BEBR_ASSIGN_OR_RETURN(auto documents, store_->GetDocuments(nullptr, number_, some, /*fill_cache=*/true));
      for (size_t i = 0; i < some.size(); ++i) {
        if (!documents[i].has_value()) continue;
        bytes += documents[i]->size();
        stored[some[i]] = *std::move(documents[i]);
      }
      refused[request].Update(CheckUpdated(bytes));
    }
  }
  return stored;
}

absl::StatusOr<Shard::StoredFloats> Shard::ReadExpected(const Group& group) const {
  std::map<uint32_t, std::vector<std::string_view>> ids;  // by embedding
  for (const absl::Span<Mutation> mutations : group) {
    for (const Mutation& mutation : mutations) {
      if (mutation.expected_floats.has_value()) ids[mutation.expected_floats->embedding].push_back(mutation.id);
    }
  }
  StoredFloats stored;
  for (const auto& [embedding, of_embedding] : ids) {
    for (size_t begin = 0; begin < of_embedding.size(); begin += kReadAtATime) {
      const auto some = absl::MakeConstSpan(of_embedding).subspan(begin, kReadAtATime);
      BEBR_ASSIGN_OR_RETURN(const auto floats, store_->GetFloats(nullptr, embedding, number_, some));
      for (size_t i = 0; i < some.size(); ++i) {
        if (floats[i].has_value()) stored[{some[i], embedding}] = Crc32c(*floats[i]);
      }
    }
  }
  return stored;
}

absl::Status Shard::Resolve(const Group& group, std::vector<uint64_t>& updated_bytes,
                            std::vector<absl::Status>& refused) const {
  BEBR_ASSIGN_OR_RETURN(const StoredAttributes stored, ReadUpdated(group, updated_bytes, refused));
  BEBR_ASSIGN_OR_RETURN(const StoredFloats stored_floats, ReadExpected(group));
  // What mutations in the group find was written by those before them or stands in the segments.
  absl::flat_hash_map<std::string_view, Held> changed;
  const bool reads = std::any_of(group.begin(), group.end(), [this](absl::Span<const Mutation> mutations) {
    return std::any_of(mutations.begin(), mutations.end(), [this](const Mutation& m) { return NeedsHeld(m); });
  });
  for (size_t request = 0; request < group.size(); ++request) {
    for (Mutation& mutation : group[request]) {
      if (!refused[request].ok()) break;  // what it would write is not even made
      ForgetRetired(mutation);
      if (!reads && !contents_.from_log && mutation.floats.size() <= 1) continue;  // the usual case: nothing to mark
      Held held;
      if (NeedsHeld(mutation)) {
        const auto it = changed.find(mutation.id);
        held = it != changed.end() ? it->second : Find(mutation.id);
      }
      mutation.applies = FindsFloats(stored_floats, mutation, held);
      if (mutation.applies) refused[request].Update(ResolveOne(stored, mutation, held));
      if (reads && mutation.applies) changed[mutation.id] = std::move(held);
    }
  }
  return absl::OkStatus();
}

bool Shard::FindsFloats(const StoredFloats& stored, const Mutation& mutation, const Held& held) const {
  if (!mutation.expected_floats.has_value()) return true;
  const auto [embedding, crc32c] = *mutation.expected_floats;
  if (const auto it = held.floats.find(embedding); it != held.floats.end()) return Crc32c(it->second) == crc32c;
  const auto it = stored.find({mutation.id, embedding});
  return held.keeps_floats && it != stored.end() && it->second == crc32c;
}

void Shard::ForgetRetired(Mutation& mutation) const {
  // A version that was retired after the document was encoded takes nothing more.
  const auto unused = [&](const RowCode& code) { return !contents_.spaces.contains(code.space); };
  mutation.codes.erase(std::remove_if(mutation.codes.begin(), mutation.codes.end(), unused), mutation.codes.end());
  const auto dropped = [&](const Mutation::Floats& floats) { return !contents_.InUse(floats.embedding); };
  mutation.floats.erase(std::remove_if(mutation.floats.begin(), mutation.floats.end(), dropped), mutation.floats.end());
}

absl::InlinedVector<uint32_t, 2> Shard::EmbeddingsOf(const Held& held) const {
  absl::InlinedVector<uint32_t, 2> embeddings;
  for (const auto& [space, version] : held.codes) {
    const auto it = contents_.versions.find(version);
    if (it != contents_.versions.end()) embeddings.push_back(it->second);
  }
  return embeddings;
}

bool Shard::Passes(Mutation& mutation, const Held& held) const {
  if (IsForExisting(mutation)) {
    const bool expected =
        mutation.expected_segment == nullptr ||
        (!held.changed && held.segment == mutation.expected_segment && held.row == mutation.expected_row);
    return !held.exists || !expected;
  }
  if (!held.exists) return false;
  mutation.skipped = mutation.only_if_absent;
  if (mutation.newer_by != nullptr) {
    const auto old = held.attributes != nullptr ? IntegerOf(*held.attributes, *mutation.newer_by)
                                                : held.segment->attributes().Integer(*mutation.newer_by, held.row);
    const auto fresh = IntegerOf(*mutation.attributes, *mutation.newer_by);
    mutation.skipped = mutation.skipped || (old.has_value() && fresh.has_value() && *old >= *fresh);
  }
  return mutation.skipped;
}

void Shard::DropOutdated(Mutation& mutation, Held& held) const {
  // A backfill gives one more code to an embedding that has others.
  if (mutation.adds_codes()) return;
  absl::InlinedVector<uint32_t, 2> written;
  for (const RowCode& code : mutation.codes) {
    const auto it = contents_.versions.find(code.version);
    if (it != contents_.versions.end()) written.push_back(it->second);
  }
  const auto outdated = [&](const std::pair<uint32_t, uint32_t>& code) {
    const auto it = contents_.versions.find(code.second);
    return it != contents_.versions.end() && Contains(written, it->second) && !WritesSpace(mutation, code.first);
  };
  for (const auto& code : held.codes) {
    if (outdated(code)) mutation.dropped.push_back(code.first);
  }
  held.codes.erase(std::remove_if(held.codes.begin(), held.codes.end(), outdated), held.codes.end());
}

absl::Status Shard::ChangeAttributes(const StoredAttributes& stored, Mutation& mutation, Held& held) const {
  auto attributes = std::make_shared<Attributes>();
  const AttributeChange& change = *mutation.change;
  if (!change.clear) {
    if (held.attributes != nullptr) {
      *attributes = *held.attributes;
    } else if (const auto it = stored.find(mutation.id); it != stored.end()) {
      BEBR_ASSIGN_OR_RETURN(*attributes, DecodeAttributes(it->second));
    }
  }
  for (const std::string& name : change.remove) attributes->erase(name);
  for (const auto& [name, value] : change.set) attributes->insert_or_assign(name, value);
  BEBR_RETURN_IF_ERROR(ValidateAttributes(absl::StrFormat("document \"%s\" with the change", mutation.id), *attributes,
                                          *contents_.attributes));
  mutation.attributes_after = std::move(attributes);
  held.attributes = mutation.attributes_after.get();
  return absl::OkStatus();
}

void Shard::KeepOf(Mutation& mutation, Held& held) const {
  mutation.keeps = held.exists && (IsForExisting(mutation) || mutation.kind == MutationKind::kReplace) &&
                   (mutation.kind != MutationKind::kReplace || MayHoldOthers());
  if (!mutation.keeps) {
    held.codes.clear();
    held.marks.clear();
    held.floats.clear();
    held.keeps_floats = false;
  }
  for (const Mutation::Floats& floats : mutation.floats) held.floats[floats.embedding] = floats.bytes;
}

absl::Status Shard::ResolveOne(const StoredAttributes& stored, Mutation& mutation, Held& held) const {
  mutation.skipped = mutation.keeps = false;
  mutation.dropped.clear();
  mutation.marks.clear();
  mutation.applies = !Passes(mutation, held);
  if (!mutation.applies) return absl::OkStatus();
  KeepOf(mutation, held);
  if (mutation.kind == MutationKind::kUpdate) {
    BEBR_RETURN_IF_ERROR(ChangeAttributes(stored, mutation, held));
  } else if (mutation.kind != MutationKind::kMerge) {
    held.attributes = mutation.attributes;
  }
  absl::InlinedVector<uint32_t, 2> all = EmbeddingsOf(held);
  all.insert(all.end(), held.marks.begin(), held.marks.end());
  for (const Mutation::Floats& floats : mutation.floats) all.push_back(floats.embedding);
  if (mutation.keeps) DropOutdated(mutation, held);
  for (const RowCode& code : mutation.codes) {
    const auto it =
        std::find_if(held.codes.begin(), held.codes.end(), [&](const auto& c) { return c.first == code.space; });
    if (it != held.codes.end()) {
      it->second = code.version;
    } else {
      held.codes.emplace_back(code.space, code.version);
    }
  }
  held.exists = mutation.kind != MutationKind::kDelete;
  held.changed = true;
  ResolveMarks(mutation, held, all);
  return absl::OkStatus();
}

void Shard::ResolveMarks(Mutation& mutation, Held& held, const absl::InlinedVector<uint32_t, 2>& all) const {
  held.marks.clear();
  if (!contents_.stores_floats) return;
  const auto told = EmbeddingsOf(held);
  for (const uint32_t embedding : all) {
    if (contents_.InUse(embedding) && !Contains(told, embedding)) held.marks.push_back(embedding);
  }
  std::sort(held.marks.begin(), held.marks.end());
  held.marks.erase(std::unique(held.marks.begin(), held.marks.end()), held.marks.end());
  mutation.marks = held.marks;
}

void Shard::AddToBatch(const Group& group, CollectionStore::Batch& batch) const {
  std::vector<const Mutation*> ordered;
  for (const absl::Span<Mutation> mutations : group) {
    for (const Mutation& mutation : mutations) {
      if (mutation.applies) ordered.push_back(&mutation);
    }
  }
  // RocksDB inserts keys that come in order in less time. What is done to one document stays in its order.
  std::stable_sort(ordered.begin(), ordered.end(), [](const Mutation* a, const Mutation* b) { return a->id < b->id; });
  for (const Mutation* mutation : ordered) AddOne(*mutation, batch);
}

void Shard::AddAttributes(const Mutation& mutation, CollectionStore::Batch& batch) const {
  if (mutation.kind == MutationKind::kMerge) return;
  const Attributes& attributes =
      mutation.kind == MutationKind::kUpdate ? *mutation.attributes_after : *mutation.attributes;
  batch.PutDocument(number_, mutation.id, EncodeAttributes(attributes));
  batch.NeedFormat(FormatOf(attributes));
}

void Shard::AddOne(const Mutation& mutation, CollectionStore::Batch& batch) const {
  // Of a document that is replaced or deleted nothing stays but what the new one overwrites; with one version there is
  // nothing else.
  for (const auto& [space, spec] : contents_.spaces) {
    if (WritesSpace(mutation, space) || (mutation.keeps && !Contains(mutation.dropped, space))) continue;
    batch.DeleteCode(space, number_, mutation.id);
  }
  const bool may_have_marks = contents_.from_log || contents_.versions.size() > 1 || mark_sets_.size() > 1;
  for (const auto& [version, embedding] : contents_.versions) {
    const bool written = std::any_of(mutation.floats.begin(), mutation.floats.end(),
                                     [e = embedding](const auto& floats) { return floats.embedding == e; });
    if (!written && !mutation.keeps) batch.DeleteFloats(embedding, number_, mutation.id);
    if (!may_have_marks) continue;
    if (std::binary_search(mutation.marks.begin(), mutation.marks.end(), embedding)) {
      batch.PutMark(embedding, number_, mutation.id);
    } else {
      batch.DeleteMark(embedding, number_, mutation.id);
    }
  }
  if (mutation.kind == MutationKind::kDelete) return batch.DeleteDocument(number_, mutation.id);
  AddAttributes(mutation, batch);
  for (const RowCode& code : mutation.codes) {
    batch.PutCode(code.space, number_, mutation.id,
                  {code.version, code.factors.scale, code.factors.offset, code.words, code.factors.group});
  }
  for (const Mutation::Floats& floats : mutation.floats)
    batch.PutFloats(floats.embedding, number_, mutation.id, floats.bytes);
}

}  // namespace bebr
