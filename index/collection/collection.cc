#include "index/collection/collection.h"

#include <future>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/float16.h"
#include "index/base/logging.h"
#include "index/base/retry.h"
#include "index/base/status_macros.h"
#include "index/collection/prepared_upsert.h"
#include "index/collection/repair.h"
#include "index/storage/files.h"
#include "index/storage/merge_shards.h"

namespace bebr {
namespace {

ShardContents ContentsOf(const CollectionManifest& manifest, bool from_log) {
  ShardContents contents{.stores_floats = manifest.store_floats != FloatStorage::kNone,
                         .attributes = std::make_shared<const AttributeSchema>(manifest.attributes),
                         .from_log = from_log,
                         .mark = manifest.mark};
  for (const Space& space : manifest.spaces) contents.spaces.emplace(space.number, space.spec);
  for (const Version& version : manifest.versions) {
    if (!version.retired) contents.versions.emplace(version.number, version.embedding);
  }
  return contents;
}

// A collection of format 1 has a store for each shard: they become one.
absl::Status MergeStores(const std::string& path, CollectionManifest& manifest,
                         const std::shared_ptr<StoreCache>& cache) {
  if (manifest.format == 1) {
    BEBR_RETURN_IF_ERROR(MergeShardStores(path, manifest.shards, cache));
    manifest.format = kManifestFormat;
    BEBR_RETURN_IF_ERROR(WriteManifest(path, manifest));
  }
  return FinishMergingShardStores(path);
}

// A collection of an earlier server has no identity: its store gets one, and then its manifest, which a crash in
// between finds there.
absl::Status GiveIdentity(const std::string& path, CollectionManifest& manifest, CollectionStore& store) {
  if (manifest.mark.has_value() && !manifest.mark->identity.empty()) return absl::OkStatus();
  if (store.mark().identity.empty()) BEBR_RETURN_IF_ERROR(store.SetIdentity(NewIdentity(manifest.name)));
  CollectionManifest marked = manifest;
  if (!marked.mark.has_value()) marked.mark = store.mark();
  marked.mark->identity = store.mark().identity;
  BEBR_RETURN_IF_ERROR(WriteManifest(path, marked));
  manifest.mark = marked.mark;
  return absl::OkStatus();
}

// What the manifest knows of a version.
VersionInfo Describe(const CollectionManifest& manifest, const Version& version) {
  VersionInfo info;
  info.name = version.name;
  info.state = version.retired                            ? VersionState::kRetired
               : version.name == manifest.default_version ? VersionState::kDefault
               : version.backfilling                      ? VersionState::kBackfilling
                                                          : VersionState::kAdded;
  info.space = version.space;
  if (version.embedding != version.number) info.same_embeddings_as = manifest.versions[version.embedding].name;
  info.check = version.check;
  const ModelDescription model =
      version.binarizer != nullptr ? DescribeModel(*version.binarizer) : version.was.value_or(ModelDescription());
  info.input_dims = model.input_dims;
  info.query_levels = model.query_levels;
  info.code = model.code;
  info.bits = model.bits;
  info.metric = model.metric;
  info.model_checksum = model.checksum;
  info.model = model.words;
  return info;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Collection>> Collection::Open(CollectionManifest manifest, std::string path,
                                                             EngineShared* shared) {
  BEBR_RETURN_IF_ERROR(MergeStores(path, manifest, shared->cache));
  BEBR_ASSIGN_OR_RETURN(auto shards,
                        ShardSet::Open(StorePath(path), manifest.shards, ContentsOf(manifest, shared->from_log),
                                       shared->cache, &shared->pool, &shared->commits));
  if (const absl::Status given = GiveIdentity(path, manifest, shards->store()); !given.ok()) {
    LogWarning("collection {} and its store get no identity before the next start: {}", manifest.name,
               given.ToString());
  }
  if (const absl::Status removed = RemoveUnfinishedRepair(path); !removed.ok()) {
    LogWarning("collection {}: what an interrupted repair left is not removed: {}", manifest.name, removed.ToString());
  }
  return std::shared_ptr<Collection>(new Collection(std::move(manifest), std::move(path), std::move(shards), shared));
}

Collection::Collection(CollectionManifest manifest, std::string path, std::shared_ptr<ShardSet> shards,
                       EngineShared* shared)
    : path_(std::move(path)),
      shared_(shared),
      shards_(std::move(shards)),
      names_(shards_.get()),
      writes_(shards_.get(), &shared->committers, &shared->commits.waits),
      manifest_(std::make_shared<const CollectionManifest>(std::move(manifest))) {}

void Collection::SaveLayout(LayoutLimits& limits) const {
  // A restart is to mend what is damaged in memory, and to bring back the memory of deleted rows, so that the formula
  // holds: then it reads the store.
  constexpr uint64_t kDeletedShare = 20;
  uint64_t documents = 0, deleted_rows = 0;
  const auto view = shards_->view();
  for (const auto& shard : view->shards) {
    documents += shard->documents;
    deleted_rows += shard->deleted_rows;
  }
  const bool save = damage().ok() && !memory_distrusted_ && deleted_rows <= documents / kDeletedShare;
  const absl::Status saved =
      writes_.RunAlone([&] { return save ? shards_->SaveLayout(limits) : shards_->RemoveLayout(); });
  if (!saved.ok())
    LogWarning("collection {}: the next start reads all documents from the store: {}", manifest()->name,
               std::string(saved.message()));
}

std::shared_ptr<const CollectionManifest> Collection::manifest() const {
  MutexLock lock(&manifest_mutex_);
  return manifest_;
}

void Collection::Upsert(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done) {
  auto checked = PreparedUpsert::Create(std::move(request), manifest());
  if (!checked.ok()) return done(checked.status());
  if ((*checked)->check_only()) return done(UpsertResult());
  std::shared_ptr<PreparedUpsert> prepared = *std::move(checked);
  const uint64_t bytes = prepared->input_bytes();
  const uint64_t queued = shared_->queued_upsert_bytes.fetch_add(bytes, std::memory_order_relaxed);
  // A single request larger than the whole queue is let in when it is alone, or it never would be.
  const uint64_t most = shared_->max_queued_upsert_bytes.load(std::memory_order_relaxed);
  if (queued > 0 && queued + bytes > most) {
    shared_->queued_upsert_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    shared_->refused_upserts.fetch_add(1, std::memory_order_relaxed);
    return done(TryAgainLater(absl::StrFormat(
        "%d bytes of documents wait to be written and the limit is %d; try again later", queued, most)));
  }
  auto fresh = names_.Admit(prepared->documents());
  if (!fresh.ok()) {
    shared_->queued_upsert_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    return done(fresh.status());
  }
  // The names outlive the queue of writes, which runs this.
  auto finish = [shared = shared_, names = &names_, fresh = *std::move(fresh), bytes, problems = prepared->problems(),
                 done = std::move(done)](absl::StatusOr<MutationResult> result) mutable {
    names->Done(fresh);
    shared->queued_upsert_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    if (!result.ok()) return done(result.status());
    shared->documents_upserted.fetch_add(result->documents, std::memory_order_relaxed);
    done(UpsertResult{result->documents, result->created, std::move(result->unknown_ids),
                      std::move(result->skipped_ids), std::move(problems), result->timings});
  };
  auto write = std::make_shared<WriteQueue::Write>(shards_->size(), prepared, std::move(finish));
  writes_.Enqueue(write);
  shared_->pool.Submit([this, self = shared_from_this(), prepared, write] {
    prepared->Encode(shared_->pool, shared_->encode_us);
    for (Mutation& mutation : prepared->Mutations()) {
      const size_t shard = shards_->ShardOf(mutation.id);
      write->Add(shard, std::move(mutation));
    }
    writes_.MarkReady(write);
  });
}

absl::StatusOr<MutationResult> Collection::WriteAndWait(std::vector<Mutation> mutations,
                                                        std::shared_ptr<const void> owner) {
  auto outcome = std::make_shared<std::promise<absl::StatusOr<MutationResult>>>();  // shared: set_value may outlast get
  auto write = std::make_shared<WriteQueue::Write>(shards_->size(), std::move(owner),
                                                   [outcome](auto result) { outcome->set_value(std::move(result)); });
  for (Mutation& mutation : mutations) {
    const auto shard = shards_->ShardOf(mutation.id);
    write->Add(shard, std::move(mutation));
  }
  writes_.Enqueue(write);
  writes_.MarkReady(write);
  return outcome->get_future().get();
}

absl::StatusOr<std::vector<Document>> Collection::Get(const PinnedView& seen, absl::Span<const std::string> ids,
                                                      bool with_embeddings) {
  BEBR_RETURN_IF_ERROR(ValidateCount("ids", ids.size(), kMaxDocumentsPerRequest));
  const auto& [manifest, shards, view, probes] = seen;
  CollectionStore& store = shards->store();
  std::vector<std::vector<size_t>> by_shard(shards->size());
  for (size_t i = 0; i < ids.size(); ++i) by_shard[shards->ShardOf(ids[i])].push_back(i);
  std::vector<std::optional<Document>> found(ids.size());
  for (uint32_t s = 0; s < by_shard.size(); ++s) {
    if (by_shard[s].empty()) continue;
    std::vector<std::string_view> shard_ids;
    for (const size_t i : by_shard[s]) shard_ids.push_back(ids[i]);
    BEBR_ASSIGN_OR_RETURN(const auto documents,
                          store.GetDocuments(view->store.get(), s, shard_ids, /*fill_cache=*/true));
    for (size_t j = 0; j < shard_ids.size(); ++j) {
      if (!documents[j].has_value()) continue;
      Document& document = found[by_shard[s][j]].emplace();
      document.id = shard_ids[j];
      BEBR_ASSIGN_OR_RETURN(document.attributes, DecodeAttributes(*documents[j]));
    }
    if (!with_embeddings || manifest->store_floats == FloatStorage::kNone) continue;
    for (const Version& version : manifest->versions) {
      // Embeddings that several versions take are given once, under the name of the first of them.
      if (version.retired || manifest->VersionsOfEmbedding(version.embedding).front() != &version) continue;
      BEBR_ASSIGN_OR_RETURN(const auto floats, store.GetFloats(view->store.get(), version.embedding, s, shard_ids));
      for (size_t j = 0; j < shard_ids.size(); ++j) {
        if (!floats[j].has_value() || !found[by_shard[s][j]].has_value()) continue;
        StoredEmbedding& embedding = found[by_shard[s][j]]->embeddings.emplace_back();
        embedding.version = version.name;
        embedding.values.resize(version.binarizer->input_dims());
        BEBR_RETURN_IF_ERROR(ReadStoredFloats(manifest->store_floats, *floats[j], absl::MakeSpan(embedding.values)));
      }
    }
  }
  std::vector<Document> result;
  for (std::optional<Document>& document : found) {
    if (document.has_value()) result.push_back(*std::move(document));
  }
  return result;
}

uint64_t Collection::documents() const {
  uint64_t documents = 0;
  const auto view = shards_->view();  // lives as long as the loop
  for (const auto& shard : view->shards) documents += shard->documents;
  return documents;
}

uint64_t Collection::memory_bytes() const { return shards_->memory_bytes(); }

uint64_t Collection::DocumentsInSpace(uint32_t space) const {
  const auto manifest = this->manifest();
  uint64_t documents = 0;
  const auto view = shards_->view();  // lives as long as the loop
  for (const auto& shard : view->shards) {
    for (const auto& [number, count] : shard->counts.codes) {
      const Version* version = manifest->VersionByNumber(number);
      if (version != nullptr && version->space == space) documents += count;
    }
  }
  return documents;
}

uint64_t Collection::DocumentsWithEmbedding(uint32_t embedding) const {
  uint64_t documents = 0;
  const auto view = shards_->view();  // lives as long as the loop
  for (const auto& shard : view->shards) {
    const auto it = shard->counts.embeddings.find(embedding);
    if (it != shard->counts.embeddings.end()) documents += it->second;
  }
  return documents;
}

CollectionInfo Collection::Info() const {
  const auto manifest = this->manifest();
  CollectionInfo info;
  info.name = manifest->name;
  info.default_version = manifest->default_version;
  info.previous_default = manifest->previous_default;
  info.store_floats = manifest->KeepsFloats() ? manifest->store_floats : FloatStorage::kNone;
  info.default_rerank = manifest->KeepsFloats() ? manifest->default_rerank : 0;
  info.attributes = manifest->attributes;
  info.shards = manifest->shards;
  info.created = absl::FromUnixMicros(manifest->created_unix_us);
  info.expected_documents = manifest->expected_documents;
  const auto view = shards_->view();
  info.sequence = view->sequence;
  info.problem = std::string(shards_->store().health().message());
  info.damage = std::string(damage().message());
  ShardCounts counts;
  for (const auto& shard : view->shards) {
    info.documents += shard->documents;
    info.deleted_rows += shard->deleted_rows;
    const ShardMemory memory = shard->memory();
    info.memory.codes += memory.codes;
    info.memory.ids += memory.ids;
    info.memory.attributes += memory.attributes;
    for (const auto& [number, count] : shard->counts.codes) counts.codes[number] += count;
    for (const auto& [number, count] : shard->counts.embeddings) counts.embeddings[number] += count;
  }
  std::map<uint32_t, uint64_t> in_space;
  for (const Version& version : manifest->versions) in_space[version.space] += counts.codes[version.number];
  for (const Version& version : manifest->versions) {
    VersionInfo& entry = info.versions.emplace_back(Describe(*manifest, version));
    entry.documents = counts.codes[version.number];
    if (version.binarizer == nullptr) continue;
    entry.embeddings = counts.embeddings[version.embedding];
    if (entry.state == VersionState::kAdded && in_space[version.space] >= info.documents && info.documents > 0)
      entry.state = VersionState::kReady;
    info.memory.models += version.binarizer->memory_bytes();
  }
  info.memory.total = info.memory.codes + info.memory.ids + info.memory.attributes + info.memory.models;
  info.disk_bytes = SizeOf(path_).allocated_bytes;
  return info;
}

void Collection::ReplaceManifest(CollectionManifest manifest) {
  const size_t known = this->manifest()->versions.size();
  if (known < manifest.versions.size()) {
    writes_
        .RunAlone([&] {
          for (size_t v = known; v < manifest.versions.size(); ++v) {
            const Version& version = manifest.versions[v];
            const CodeSpec& spec = manifest.FindSpace(version.space)->spec;
            shards_->AddVersion(version.number, version.embedding, version.space, spec);
          }
          return absl::OkStatus();
        })
        .IgnoreError();  // it has none
  }
  MutexLock lock(&manifest_mutex_);
  manifest_ = std::make_shared<const CollectionManifest>(std::move(manifest));
}

absl::Status Collection::NoteGeneration() {
  const auto manifest = this->manifest();
  CollectionStore& store = shards_->store();
  if (!manifest->mark.has_value() || store.mark().generation == manifest->mark->generation) return absl::OkStatus();
  return writes_.RunAlone([&] { return store.SetGeneration(manifest->mark->generation); });
}

std::shared_ptr<const ProbeCurves> Collection::probes() const {
  MutexLock lock(&probes_mutex_);
  return probes_;
}

void Collection::SetProbeCurve(const Version& version, std::vector<ProbePoint> curve) {
  MutexLock lock(&probes_mutex_);
  auto curves = std::make_shared<ProbeCurves>(probes_ == nullptr ? ProbeCurves() : *probes_);
  (*curves)[version.number] = std::move(curve);
  probes_ = std::move(curves);
}

absl::Status Collection::damage() const {
  MutexLock lock(&damage_mutex_);
  return damage_;
}

void Collection::SetDamage(absl::Status damage) {
  MutexLock lock(&damage_mutex_);
  damage_ = std::move(damage);
}

void Collection::ForgetViews(bool dropped) {
  // First, so that See finds it where it keeps a view after this.
  if (dropped) {
    dropped_ = true;
    shards_->store().Leave();
  }
  ++forgotten_;
  shared_->kept_views.Forget(shards_.get());
}

absl::Status Collection::DropVersion(const Version& version) {
  const auto manifest = this->manifest();
  std::optional<uint32_t> space, embedding;
  if (manifest->FindSpace(version.space) == nullptr) space = version.space;
  if (manifest->VersionsOfEmbedding(version.embedding).empty()) embedding = version.embedding;
  BEBR_RETURN_IF_ERROR(writes_.RunAlone([&] { return shards_->DropVersion(version.number, space, embedding); }));
  return GiveBack(space, embedding);
}

absl::StatusOr<uint64_t> Collection::Checkpoint(const std::string& path) const {
  BEBR_RETURN_IF_ERROR(shards_->store().Flush());  // so that writes wait for a short one only
  uint64_t documents = 0;
  BEBR_RETURN_IF_ERROR(writes_.RunAlone([&] {
    documents = this->documents();
    return shards_->store().Checkpoint(StorePath(path));
  }));
  return documents;
}

absl::Status Collection::DropFloats(uint32_t embedding) {
  BEBR_RETURN_IF_ERROR(writes_.RunAlone([&] { return shards_->DropFloats(embedding); }));
  return GiveBack(std::nullopt, embedding);
}

absl::Status Collection::GiveBack(std::optional<uint32_t> space, std::optional<uint32_t> embedding) {
  ForgetViews();  // they would keep it all on disk
  // It is dropped all the same, and RocksDB goes on in the background once table files say so.
  if (shared_->ending) return shards_->store().Flush();
  const absl::Status status = shards_->Compact(space, embedding);
  return absl::IsCancelled(status) ? absl::OkStatus() : status;
}

}  // namespace bebr
