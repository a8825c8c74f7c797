#include "index/shard/shard_set.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/clock.h"
#include "index/base/logging.h"
#include "index/base/stable_hash.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

// Fewer mutations than this are not worth waking other threads for.
constexpr size_t kParallelMutations = 256;

// Bytes of what these mutations write, about: floats are most of it.
size_t EstimateBytes(absl::Span<const Mutation> mutations) {
  constexpr size_t kOtherBytes = 96;  // of keys, but for ids, lengths, a few attributes
  size_t bytes = 0;
  for (const Mutation& mutation : mutations) {
    bytes += 3 * mutation.id.size() + kOtherBytes;
    for (const RowCode& code : mutation.codes) bytes += code.words.size() * sizeof(uint32_t);
    for (const Mutation::Floats& floats : mutation.floats) bytes += floats.bytes.size();
  }
  return bytes;
}

void Add(MutationResult part, MutationResult& sum) {
  sum.documents += part.documents;
  sum.created += part.created;
  std::move(part.unknown_ids.begin(), part.unknown_ids.end(), std::back_inserter(sum.unknown_ids));
  std::move(part.skipped_ids.begin(), part.skipped_ids.end(), std::back_inserter(sum.skipped_ids));
}

}  // namespace

absl::StatusOr<std::shared_ptr<ShardSet>> ShardSet::Open(const std::string& path, uint32_t shards,
                                                         ShardContents contents, std::shared_ptr<StoreCache> cache,
                                                         ThreadPool* pool, CommitCounters* counters) {
  BEBR_ASSIGN_OR_RETURN(auto store, CollectionStore::Open(path, shards, std::move(cache)));
  if (contents.mark.has_value()) {
    BEBR_RETURN_IF_ERROR(CheckMark(path, *contents.mark, store->mark()));
  }
  std::shared_ptr<ShardSet> set(new ShardSet(path, std::move(store), std::move(contents), pool, counters));
  BEBR_RETURN_IF_ERROR(set->DropUnused());
  if (const absl::Status status = set->Load(shards); !status.ok()) {
    return absl::Status(status.code(), absl::StrFormat("storage at %s: %s", path, status.message()));
  }
  set->PublishAll();
  return set;
}

ShardSet::~ShardSet() {
  counters_->memory_bytes.fetch_sub(static_cast<int64_t>(memory_bytes()), std::memory_order_relaxed);
}

absl::Status ShardSet::DropUnused() {
  if (!store_->health().ok()) return absl::OkStatus();  // nothing can be written: the next start drops it
  BEBR_ASSIGN_OR_RETURN(std::vector<uint32_t> spaces, store_->StoredSpaces());
  BEBR_ASSIGN_OR_RETURN(std::vector<uint32_t> embeddings, store_->StoredEmbeddings());
  std::erase_if(spaces, [&](uint32_t space) { return contents_.spaces.contains(space); });
  std::erase_if(embeddings, [&](uint32_t embedding) { return contents_.InUse(embedding); });
  if (spaces.empty() && embeddings.empty()) return absl::OkStatus();
  LogInfo("storage at {}: dropping {} spaces and {} embeddings of retired versions", path_, spaces.size(),
          embeddings.size());
  CollectionStore::Batch batch;
  for (const uint32_t space : spaces) batch.DeleteAllCodes(space);
  for (const uint32_t embedding : embeddings) batch.DeleteAllFloats(embedding);
  BEBR_RETURN_IF_ERROR(store_->Commit(std::move(batch), store_->sequence() + 1).status());
  return store_->Flush();  // the disk space is given back in the background
}

absl::Status ShardSet::Load(uint32_t shards) {
  for (uint32_t s = 0; s < shards; ++s) shards_.push_back(MakeShard(s));
  std::vector<absl::Status> outcomes(shards);
  std::atomic<uint32_t> from_layout{0};
  pool_->ParallelFor(shards, [&](size_t s) {
    if (LoadLayout(s)) {
      ++from_layout;
    } else {
      outcomes[s] = shards_[s]->Load();
    }
  });
  for (const absl::Status& outcome : outcomes) BEBR_RETURN_IF_ERROR(outcome);
  if (from_layout == shards) layout_sequence_ = store_->sequence();
  return absl::OkStatus();
}

uint32_t ShardSet::ShardOf(std::string_view id) const {
  return static_cast<uint32_t>((static_cast<unsigned __int128>(StableHash(id)) * shards_.size()) >> 64);
}

std::shared_ptr<const CollectionView> ShardSet::view() const {
  MutexLock lock(&view_mutex_);
  return view_;
}

std::vector<RowInView> ShardSet::Locate(const CollectionView& view, absl::Span<const std::string_view> ids) const {
  std::vector<std::vector<std::string_view>> of_shard(size());
  std::vector<std::vector<size_t>> places(size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const uint32_t shard = ShardOf(ids[i]);
    of_shard[shard].push_back(ids[i]);
    places[shard].push_back(i);
  }
  std::vector<RowInView> rows(ids.size());
  for (size_t s = 0; s < size(); ++s) {
    if (of_shard[s].empty()) continue;
    const std::vector<RowInView> found = shards_[s]->Locate(*view.shards[s], of_shard[s]);
    for (size_t i = 0; i < found.size(); ++i) rows[places[s][i]] = found[i];
  }
  return rows;
}

void ShardSet::ForEachShard(size_t mutations, const std::function<void(size_t)>& body) {
  if (mutations >= kParallelMutations) return pool_->ParallelFor(shards_.size(), body);
  for (size_t s = 0; s < shards_.size(); ++s) body(s);
}

absl::StatusOr<std::vector<absl::Status>> ShardSet::Resolve(std::vector<Shard::Group>& groups) {
  std::vector<absl::Status> refused(groups[0].size());
  for (;;) {
    std::vector<uint64_t> updated_bytes(refused.size());
    for (size_t s = 0; s < shards_.size(); ++s) {
      BEBR_RETURN_IF_ERROR(shards_[s]->Resolve(groups[s], updated_bytes, refused));
    }
    bool fewer = false;
    for (size_t r = 0; r < refused.size(); ++r) {
      if (refused[r].ok()) continue;
      for (Shard::Group& group : groups) {
        fewer = fewer || !group[r].empty();
        group[r] = {};
      }
    }
    if (!fewer) return refused;
    // What is left is decided anew: it may have built on what was refused.
  }
}

bool ShardSet::ResolvesPlainAlone() const {
  return std::all_of(shards_.begin(), shards_.end(), [](const auto& shard) { return shard->ResolvesPlainAlone(); });
}

absl::StatusOr<std::vector<MutationResult>> ShardSet::Commit(absl::Span<Mutations* const> group,
                                                             std::string_view applied) {
  CommitOrder order([] {});
  CommitTurn turn(&order);
  return Commit(group, turn, applied);
}

absl::StatusOr<std::vector<MutationResult>> ShardSet::Commit(absl::Span<Mutations* const> group, CommitTurn& turn,
                                                             std::string_view applied) {
  const SteadyTime start = SteadyNow();
  absl::Duration waited;
  const auto begin = [&](CommitStep step) {
    const SteadyTime since = SteadyNow();
    turn.Begin(step);
    waited += SteadyNow() - since;
  };
  std::vector<Shard::Group> groups(shards_.size());
  for (Mutations* mutations : group) {
    for (size_t s = 0; s < shards_.size(); ++s) groups[s].push_back(absl::MakeSpan(mutations->by_shard[s]));
  }
  BEBR_ASSIGN_OR_RETURN(const std::vector<absl::Status> refused, Resolve(groups));
  size_t count = 0;
  CollectionStore::Batch batch = MakeBatch(groups, &count);
  if (!applied.empty()) batch.PutApplied(applied);
  const uint64_t sequence = last_number_ = std::max(last_number_, store_->sequence()) + count;
  begin(CommitStep::kLog);
  const absl::StatusOr<absl::Duration> synced =
      store_->CommitInSteps(std::move(batch), sequence, [&] { begin(CommitStep::kStore); });
  begin(CommitStep::kStore);
  const auto stored = store_->MakeView();  // before what the next commit writes can be seen
  CountCommit(SteadyNow() - start - waited, synced);
  if (!synced.ok()) return synced.status();
  turn.Begin(CommitStep::kApply);
  const SteadyTime applying = SteadyNow();
  std::vector<bool> changed(shards_.size());
  std::vector<MutationResult> results = Apply(groups, count, changed);
  Publish(changed, stored, sequence);
  for (size_t r = 0; r < results.size(); ++r) results[r].refused = refused[r];
  counters_->apply_us.fetch_add(static_cast<uint64_t>(MicrosSince(applying)), std::memory_order_relaxed);
  return results;
}

CollectionStore::Batch ShardSet::MakeBatch(const std::vector<Shard::Group>& groups, size_t* count) const {
  size_t bytes = 0;
  for (const Shard::Group& requests : groups) {
    for (const absl::Span<Mutation> mutations : requests) {
      *count += mutations.size();
      bytes += EstimateBytes(mutations);
    }
  }
  CollectionStore::Batch batch(bytes);
  for (size_t s = 0; s < shards_.size(); ++s) shards_[s]->AddToBatch(groups[s], batch);
  return batch;
}

void ShardSet::CountCommit(absl::Duration took, const absl::StatusOr<absl::Duration>& synced) {
  counters_->commit_us.fetch_add(static_cast<uint64_t>(absl::ToInt64Microseconds(took)), std::memory_order_relaxed);
  counters_->commits.Add(took);
  if (synced.ok()) return counters_->syncs.Add(*synced);
  if (absl::IsNotFound(synced.status())) return;  // the collection was dropped meanwhile: no fault of the disk
  counters_->failed_commits.fetch_add(1, std::memory_order_relaxed);
  LogError("a write failed and had no effect: {}", synced.status().ToString());
}

std::vector<MutationResult> ShardSet::Apply(const std::vector<Shard::Group>& groups, size_t mutations,
                                            std::vector<bool>& changed) {
  std::vector<std::vector<MutationResult>> by_shard(shards_.size());
  ForEachShard(mutations, [&](size_t s) { by_shard[s] = shards_[s]->Apply(groups[s]); });
  std::vector<MutationResult> results(by_shard[0].size());
  for (size_t s = 0; s < shards_.size(); ++s) {
    for (size_t r = 0; r < results.size(); ++r) {
      changed[s] = changed[s] || !groups[s][r].empty();
      Add(std::move(by_shard[s][r]), results[r]);
    }
  }
  return results;
}

void ShardSet::Publish(const std::vector<bool>& changed, std::shared_ptr<const CollectionStore::View> store,
                       uint64_t sequence) {
  std::shared_ptr<const CollectionView> before = view();
  auto next = std::make_shared<CollectionView>();
  for (size_t s = 0; s < shards_.size(); ++s) {
    next->shards.push_back(changed[s] ? shards_[s]->MakeView() : before->shards[s]);
  }
  next->store = std::move(store);
  next->sequence = sequence;
  const std::shared_ptr<const CollectionView> published = std::move(next);
  {
    MutexLock lock(&view_mutex_);
    view_ = published;
  }
  before.reset();  // outside the lock: its memory may be much
  uint64_t memory = 0;
  for (const auto& shard : published->shards) memory += shard->memory().total();
  counters_->memory_bytes.fetch_add(static_cast<int64_t>(memory) - static_cast<int64_t>(memory_bytes()),
                                    std::memory_order_relaxed);
  memory_bytes_.store(memory, std::memory_order_relaxed);
}

absl::Status ShardSet::CheckCodes(const Mutation& mutation) const {
  for (auto code = mutation.codes.begin(); code != mutation.codes.end(); ++code) {
    BEBR_RETURN_IF_ERROR(
        contents_.CheckCode(mutation.id, code->space, code->version, code->factors.group, code->words.size()));
    const auto same = [&](const RowCode& other) { return other.space == code->space; };
    if (std::none_of(mutation.codes.begin(), code, same)) continue;
    return absl::DataLossError(absl::StrFormat("document \"%s\" has two codes in space %d", mutation.id, code->space));
  }
  return absl::OkStatus();
}

void ShardSet::AddVersion(uint32_t version, uint32_t embedding, uint32_t space, const CodeSpec& spec) {
  contents_.versions.emplace(version, embedding);
  contents_.spaces.emplace(space, spec);
}

absl::Status ShardSet::DropVersion(uint32_t version, std::optional<uint32_t> space, std::optional<uint32_t> embedding) {
  CollectionStore::Batch batch;
  if (space.has_value()) batch.DeleteAllCodes(*space);
  if (embedding.has_value()) batch.DeleteAllFloats(*embedding);
  BEBR_RETURN_IF_ERROR(store_->Commit(std::move(batch), store_->sequence() + 1).status());
  contents_.versions.erase(version);
  if (space.has_value()) contents_.spaces.erase(*space);
  for (const auto& shard : shards_) shard->Drop(space, embedding);
  PublishAll();  // also lets go of the old view, which would keep it all on disk
  return absl::OkStatus();
}

absl::Status ShardSet::DropFloats(uint32_t embedding) {
  contents_.stores_floats = false;
  // No version has this number: of versions nothing is forgotten.
  return DropVersion(std::numeric_limits<uint32_t>::max(), std::nullopt, embedding);
}

absl::Status ShardSet::Compact(std::optional<uint32_t> space, std::optional<uint32_t> embedding) {
  BEBR_RETURN_IF_ERROR(store_->Flush());  // ends the log that still holds what was dropped
  if (space.has_value()) BEBR_RETURN_IF_ERROR(store_->CompactSpace(*space));
  return embedding.has_value() ? store_->CompactFloats(*embedding) : absl::OkStatus();
}

}  // namespace bebr
