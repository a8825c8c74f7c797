#include "index/collection.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "index/base/float16.h"
#include "index/base/retry.h"
#include "index/base/stable_hash.h"
#include "index/base/status_macros.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

constexpr size_t kEncodeRows = 128;  // documents a thread encodes at a time
// Squares of values up to this add up, over kMaxCodeDims dims, within a float.
constexpr float kMaxAbsValue = 1e15f;

absl::Status CheckVector(std::string_view field, absl::Span<const float> values, const Version& version,
                         float max_abs) {
  if (values.size() != version.binarizer->input_dims()) {
    return absl::InvalidArgumentError(absl::StrFormat("%s has %d values; version \"%s\" takes %d", field, values.size(),
                                                      version.name, version.binarizer->input_dims()));
  }
  uint32_t largest = 0;  // magnitudes of floats are ordered like their bits
  for (const float value : values) largest = std::max(largest, std::bit_cast<uint32_t>(value) & 0x7FFFFFFFu);
  if (largest <= std::bit_cast<uint32_t>(max_abs)) return absl::OkStatus();
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%s: value %d is %f; NaN and infinity are refused", field, i, values[i]));
    }
    if (std::fabs(values[i]) > max_abs) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%s: value %d is %g; magnitudes up to %g are accepted here", field, i, values[i], max_abs));
    }
  }
  return absl::OkStatus();
}

// The versions that encode an embedding which came for `source`: of all that take it, one for each space, `source` in
// its own and otherwise the newest.
std::vector<const Version*> Encoders(const CollectionManifest& manifest, const Version& source) {
  std::vector<const Version*> encoders = {&source};
  const std::vector<const Version*> takers = manifest.VersionsOfEmbedding(source.embedding);
  for (auto taker = takers.rbegin(); taker != takers.rend(); ++taker) {
    if (std::none_of(encoders.begin(), encoders.end(), [&](const Version* e) { return e->space == (*taker)->space; }))
      encoders.push_back(*taker);
  }
  return encoders;
}

std::string ShardPath(const std::string& collection, size_t shard) {
  return absl::StrFormat("%s/shard-%03d", collection, shard);
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
  if (version.binarizer == nullptr) return info;
  const Binarizer& binarizer = *version.binarizer;
  info.input_dims = binarizer.input_dims();
  info.query_levels = binarizer.query_levels();
  info.code = binarizer.spec().ToString();
  info.bits = binarizer.spec().bits();
  info.metric = binarizer.metric();
  info.model_checksum = binarizer.checksum();
  info.model = binarizer.description();
  return info;
}

}  // namespace

absl::Status CheckEmbedding(std::string_view field, absl::Span<const float> values, const Version& version) {
  return CheckVector(field, values, version, kMaxAbsValue);
}

// An upsert between its check and its end: the request and, once encoded, what the shards borrow.
struct Collection::Encoded {
  // Embeddings that came for `source`, encoded by `version`, which takes the same ones.
  struct VersionPart {
    const Version* source = nullptr;
    const Version* version = nullptr;
    std::vector<uint32_t> documents;       // positions in the request
    std::vector<const float*> embeddings;  // borrowed from the caller
    std::vector<uint32_t> words;
    std::vector<CodeFactors> factors;
    std::string floats;      // as stored, if this part is the one that stores them
    size_t float_bytes = 0;  // of one embedding
  };
  UpsertRequest request;
  std::shared_ptr<const CollectionManifest> manifest;
  std::vector<VersionPart> parts;
  uint64_t input_bytes = 0;
};

// A write in turn: mutations by shard, filled before it is ready.
struct Collection::Write {
  std::vector<std::vector<Mutation>> by_shard;
  std::shared_ptr<const void> owner;
  bool ready = false;
  absl::AnyInvocable<void(absl::StatusOr<MutationResult>)> done;

  Mutex mutex;
  size_t pending ABSL_GUARDED_BY(mutex) = 0;
  absl::Status status ABSL_GUARDED_BY(mutex);
  MutationResult result ABSL_GUARDED_BY(mutex);
};

absl::StatusOr<std::shared_ptr<Collection>> Collection::Open(CollectionManifest manifest, std::string path,
                                                             EngineShared* shared) {
  Shard::Contents contents{.stores_floats = manifest.store_floats != FloatStorage::kNone};
  for (const Space& space : manifest.spaces) contents.spaces.emplace(space.number, space.spec);
  for (const Version& version : manifest.versions) {
    if (!version.retired) contents.versions.emplace(version.number, version.embedding);
  }
  const uint32_t shard_count = manifest.shards;
  std::shared_ptr<Collection> collection(new Collection(std::move(manifest), std::move(path), shared));
  std::vector<absl::StatusOr<std::unique_ptr<Shard>>> opened(shard_count);
  shared->pool.ParallelFor(shard_count, [&](size_t i) {
    opened[i] = Shard::Open(ShardPath(collection->path_, i), shared->cache, contents);
  });
  for (auto& shard : opened) {
    BEBR_RETURN_IF_ERROR(shard.status());
    collection->shards_.push_back(*std::move(shard));
  }
  return collection;
}

Collection::Collection(CollectionManifest manifest, std::string path, EngineShared* shared)
    : path_(std::move(path)),
      shared_(shared),
      manifest_(std::make_shared<const CollectionManifest>(std::move(manifest))) {}

std::shared_ptr<const CollectionManifest> Collection::manifest() const {
  MutexLock lock(&manifest_mutex_);
  return manifest_;
}

uint32_t Collection::ShardOf(std::string_view id) const {
  return static_cast<uint32_t>((static_cast<unsigned __int128>(StableHash(id)) * shards_.size()) >> 64);
}

absl::StatusOr<std::unique_ptr<Collection::Encoded>> Collection::Check(UpsertRequest request) const {
  auto encoded = std::make_unique<Encoded>();
  encoded->manifest = manifest();
  if (request.documents.empty() || request.documents.size() > kMaxDocumentsPerRequest) {
    return absl::InvalidArgumentError(absl::StrFormat("documents has %d entries; a request has 1 to %d",
                                                      request.documents.size(), kMaxDocumentsPerRequest));
  }
  encoded->request = std::move(request);
  for (size_t i = 0; i < encoded->request.documents.size(); ++i) BEBR_RETURN_IF_ERROR(CheckDocument(i, *encoded));
  return encoded;
}

absl::Status Collection::CheckDocument(size_t index, Encoded& encoded) const {
  const CollectionManifest& manifest = *encoded.manifest;
  const float max_abs = manifest.store_floats == FloatStorage::kFloat16 ? kFloat16Max : kMaxAbsValue;
  const DocumentInput& document = encoded.request.documents[index];
  const std::string field = absl::StrFormat("documents[%d]", index);
  BEBR_RETURN_IF_ERROR(ValidateId(field + ".id", document.id));
  BEBR_RETURN_IF_ERROR(ValidateAttributes(field + ".attributes", document.attributes));
  if (encoded.request.mode == UpsertMode::kMerge && !document.attributes.empty()) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s.attributes is not empty; a merge adds embeddings and leaves the attributes as they are", field));
  }
  if (document.embeddings.empty()) {
    return absl::InvalidArgumentError(absl::StrFormat("%s.embeddings is empty; a document needs at least one", field));
  }
  absl::InlinedVector<const Version*, 2> seen;
  for (size_t e = 0; e < document.embeddings.size(); ++e) {
    const EmbeddingInput& embedding = document.embeddings[e];
    BEBR_ASSIGN_OR_RETURN(const Version* source, manifest.FindVersion(embedding.version));
    BEBR_RETURN_IF_ERROR(
        CheckVector(absl::StrFormat("%s.embeddings[%d]", field, e), embedding.values, *source, max_abs));
    for (const Version* other : seen) {
      if (other == source) {
        return absl::InvalidArgumentError(
            absl::StrFormat("%s has two embeddings of version \"%s\"", field, source->name));
      }
      if (other->embedding == source->embedding) {
        return absl::InvalidArgumentError(absl::StrFormat(
            "%s has an embedding of version \"%s\" and one of \"%s\", which take the same embeddings; send one", field,
            other->name, source->name));
      }
    }
    seen.push_back(source);
    for (const Version* version : Encoders(manifest, *source)) {
      auto part = std::find_if(encoded.parts.begin(), encoded.parts.end(),
                               [&](const auto& p) { return p.source == source && p.version == version; });
      if (part == encoded.parts.end()) {
        encoded.parts.push_back({.source = source, .version = version});
        part = encoded.parts.end() - 1;
      }
      part->documents.push_back(static_cast<uint32_t>(index));
      part->embeddings.push_back(embedding.values.data());
    }
    encoded.input_bytes += embedding.values.size() * sizeof(float);
  }
  return absl::OkStatus();
}

void Collection::Encode(Encoded& encoded) const {
  const FloatStorage storage = encoded.manifest->store_floats;
  for (Encoded::VersionPart& part : encoded.parts) {
    const Binarizer& binarizer = *part.version->binarizer;
    const size_t rows = part.documents.size(), dims = binarizer.input_dims(), words = binarizer.spec().code_words();
    part.words.resize(rows * words);
    part.factors.resize(rows);
    if (storage != FloatStorage::kNone && part.version == part.source) {
      part.float_bytes = dims * (storage == FloatStorage::kFloat16 ? sizeof(uint16_t) : sizeof(float));
    }
    part.floats.resize(rows * part.float_bytes);
    shared_->pool.ParallelFor((rows + kEncodeRows - 1) / kEncodeRows, [&](size_t chunk) {
      const absl::Time start = absl::Now();
      const size_t begin = chunk * kEncodeRows, count = std::min(kEncodeRows, rows - begin);
      std::vector<float> matrix(count * dims);
      for (size_t r = 0; r < count; ++r) std::copy_n(part.embeddings[begin + r], dims, matrix.data() + r * dims);
      char* floats = part.floats.data() + begin * part.float_bytes;
      if (storage == FloatStorage::kFloat16) {
        // The code is that of the floats as they are stored, so that encoding them again gives it again.
        std::vector<uint16_t> halves(matrix.size());
        FloatToHalf(matrix.data(), matrix.size(), halves.data());
        HalfToFloat(halves.data(), halves.size(), matrix.data());
        if (part.float_bytes > 0) std::memcpy(floats, halves.data(), halves.size() * sizeof(uint16_t));
      } else if (part.float_bytes > 0) {
        std::memcpy(floats, matrix.data(), matrix.size() * sizeof(float));
      }
      binarizer.EncodeDocuments(matrix.data(), count, part.words.data() + begin * words, part.factors.data() + begin);
      shared_->encode_us.fetch_add(static_cast<uint64_t>(absl::ToInt64Microseconds(absl::Now() - start)),
                                   std::memory_order_relaxed);
    });
  }
}

void Collection::Upsert(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done) {
  auto checked = Check(std::move(request));
  if (!checked.ok()) return done(checked.status());
  std::shared_ptr<Encoded> encoded = *std::move(checked);
  const uint64_t bytes = encoded->input_bytes;
  const uint64_t queued = shared_->queued_upsert_bytes.fetch_add(bytes, std::memory_order_relaxed);
  // A single request larger than the whole queue is let in when it is alone, or it never would be.
  if (queued > 0 && queued + bytes > shared_->max_queued_upsert_bytes) {
    shared_->queued_upsert_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    shared_->refused_upserts.fetch_add(1, std::memory_order_relaxed);
    return done(
        TryAgainLater(absl::StrFormat("%d bytes of floats wait to be written and the limit is %d; try again later",
                                      queued, shared_->max_queued_upsert_bytes)));
  }
  auto write = std::make_shared<Write>();
  // Runs, and is destroyed, on a shard's own thread, so it must not hold the collection: its end would wait for that
  // thread.
  write->done = [shared = shared_, bytes, done = std::move(done)](absl::StatusOr<MutationResult> result) mutable {
    shared->queued_upsert_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    if (!result.ok()) return done(result.status());
    shared->documents_upserted.fetch_add(result->documents, std::memory_order_relaxed);
    done(UpsertResult{result->documents, result->created, std::move(result->unknown_ids)});
  };
  write->by_shard.resize(shards_.size());
  write->owner = encoded;
  Enqueue(write);
  shared_->pool.Submit([this, self = shared_from_this(), encoded, write] {
    Encode(*encoded);
    for (Mutation& mutation : MakeMutations(*encoded)) {
      write->by_shard[ShardOf(mutation.id)].push_back(std::move(mutation));
    }
    MarkReady(write);
  });
}

std::vector<Mutation> Collection::MakeMutations(const Encoded& encoded) const {
  const CollectionManifest& manifest = *encoded.manifest;
  std::vector<Mutation> mutations(encoded.request.documents.size());
  for (size_t i = 0; i < mutations.size(); ++i) {
    const DocumentInput& document = encoded.request.documents[i];
    mutations[i].kind = encoded.request.mode == UpsertMode::kMerge ? MutationKind::kMerge : MutationKind::kReplace;
    mutations[i].id = document.id;
    mutations[i].attributes = &document.attributes;
  }
  // Of several codes for one space the default version's stays, else the newest version's.
  const auto rank = [&](uint32_t number) {
    return std::pair(manifest.versions[number].name == manifest.default_version, number);
  };
  for (const Encoded::VersionPart& part : encoded.parts) {
    const size_t words = part.version->binarizer->spec().code_words();
    for (size_t r = 0; r < part.documents.size(); ++r) {
      Mutation& mutation = mutations[part.documents[r]];
      const RowCode code{part.version->space, static_cast<uint8_t>(part.version->number), part.factors[r],
                         absl::MakeConstSpan(part.words.data() + r * words, words)};
      auto same = std::find_if(mutation.codes.begin(), mutation.codes.end(),
                               [&](const RowCode& other) { return other.space == code.space; });
      if (same == mutation.codes.end()) {
        mutation.codes.push_back(code);
      } else if (rank(code.version) > rank(same->version)) {
        *same = code;
      }
      if (part.float_bytes > 0) {
        mutation.floats.push_back(
            {part.source->embedding, std::string_view(part.floats).substr(r * part.float_bytes, part.float_bytes)});
      }
    }
  }
  return mutations;
}

void Collection::Delete(std::vector<std::string> ids, absl::AnyInvocable<void(absl::StatusOr<uint64_t>)> done) {
  if (ids.empty() || ids.size() > kMaxDocumentsPerRequest) {
    return done(absl::InvalidArgumentError(
        absl::StrFormat("ids has %d entries; a request has 1 to %d", ids.size(), kMaxDocumentsPerRequest)));
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    if (absl::Status status = ValidateId(absl::StrFormat("ids[%d]", i), ids[i]); !status.ok()) return done(status);
  }
  auto owner = std::make_shared<const std::vector<std::string>>(std::move(ids));
  auto write = std::make_shared<Write>();
  write->done = [shared = shared_, done = std::move(done)](absl::StatusOr<MutationResult> result) mutable {
    if (!result.ok()) return done(result.status());
    shared->documents_deleted.fetch_add(result->documents, std::memory_order_relaxed);
    done(result->documents);
  };
  write->by_shard.resize(shards_.size());
  for (const std::string& id : *owner) {
    Mutation& mutation = write->by_shard[ShardOf(id)].emplace_back();
    mutation.kind = MutationKind::kDelete;
    mutation.id = id;
  }
  write->owner = owner;
  Enqueue(write);
  MarkReady(write);
}

void Collection::Enqueue(std::shared_ptr<Write> write) {
  MutexLock lock(&order_mutex_);
  order_.push_back(std::move(write));
}

void Collection::MarkReady(const std::shared_ptr<Write>& write) {
  MutexLock lock(&order_mutex_);
  write->ready = true;
  while (!order_.empty() && order_.front()->ready) {
    SendToShards(order_.front());
    order_.pop_front();
  }
}

void Collection::SendToShards(const std::shared_ptr<Write>& write) {
  {
    MutexLock lock(&write->mutex);
    for (const auto& list : write->by_shard) write->pending += list.empty() ? 0 : 1;
  }
  for (size_t s = 0; s < shards_.size(); ++s) {
    if (write->by_shard[s].empty()) continue;
    const auto shard_done = [write](absl::StatusOr<MutationResult> result) {
      absl::StatusOr<MutationResult> outcome;
      {
        MutexLock lock(&write->mutex);
        if (result.ok()) {
          write->result.documents += result->documents;
          write->result.created += result->created;
          for (std::string& id : result->unknown_ids) write->result.unknown_ids.push_back(std::move(id));
        } else {
          write->status.Update(result.status());
        }
        if (--write->pending > 0) return;
        outcome = write->status.ok() ? absl::StatusOr<MutationResult>(std::move(write->result)) : write->status;
      }
      write->done(std::move(outcome));
    };
    shards_[s]->Submit({std::move(write->by_shard[s]), write->owner, shard_done});
  }
}

absl::StatusOr<std::vector<Document>> Collection::Get(absl::Span<const std::string> ids, bool with_embeddings) const {
  if (ids.empty() || ids.size() > kMaxDocumentsPerRequest) {
    return absl::InvalidArgumentError(
        absl::StrFormat("ids has %d entries; a request has 1 to %d", ids.size(), kMaxDocumentsPerRequest));
  }
  const auto manifest = this->manifest();
  std::vector<std::vector<size_t>> by_shard(shards_.size());
  for (size_t i = 0; i < ids.size(); ++i) by_shard[ShardOf(ids[i])].push_back(i);
  std::vector<std::optional<Document>> found(ids.size());
  for (size_t s = 0; s < shards_.size(); ++s) {
    if (by_shard[s].empty()) continue;
    std::vector<std::string_view> shard_ids;
    for (const size_t i : by_shard[s]) shard_ids.push_back(ids[i]);
    const auto view = shards_[s]->snapshot()->store;
    BEBR_ASSIGN_OR_RETURN(const auto documents, shards_[s]->store().GetDocuments(view.get(), shard_ids));
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
      BEBR_ASSIGN_OR_RETURN(const auto floats, shards_[s]->store().GetFloats(view.get(), version.embedding, shard_ids));
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

absl::StatusOr<std::unique_ptr<SearchJob>> Collection::PrepareSearch(SearchRequest request) const {
  auto job = std::make_unique<SearchJob>();
  job->manifest = manifest();
  BEBR_ASSIGN_OR_RETURN(const Version* version, job->manifest->FindVersion(request.version));
  if (request.queries.empty() || request.queries.size() > kMaxQueriesPerRequest) {
    return absl::InvalidArgumentError(absl::StrFormat("queries has %d entries; a request has 1 to %d",
                                                      request.queries.size(), kMaxQueriesPerRequest));
  }
  if (request.k == 0 || request.k > kMaxK) {
    return absl::InvalidArgumentError(absl::StrFormat("k is %d; it is 1 to %d", request.k, kMaxK));
  }
  if (request.rerank > 0) {
    if (request.rerank < request.k || request.rerank > kMaxRerank) {
      return absl::InvalidArgumentError(
          absl::StrFormat("rerank is %d; it is 0 or from k (%d) to %d", request.rerank, request.k, kMaxRerank));
    }
    if (job->manifest->store_floats == FloatStorage::kNone) {
      return absl::FailedPreconditionError(
          absl::StrFormat("collection \"%s\" stores no floats, so there is nothing to rerank with; create it with "
                          "store_floats f16 or f32",
                          job->manifest->name));
    }
  }
  if (request.first_levels > kMaxLevels) {
    return absl::InvalidArgumentError(
        absl::StrFormat("first_levels is %d; codes have at most %d levels", request.first_levels, kMaxLevels));
  }
  if (request.candidates > 0) {
    const size_t least = std::max(request.k, request.rerank);
    if (request.first_levels == 0) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "candidates is %d without first_levels; set the levels by which they are chosen", request.candidates));
    }
    if (request.candidates < least || request.candidates > kMaxCandidates) {
      return absl::InvalidArgumentError(
          absl::StrFormat("candidates is %d; it is 0 or from the larger of k and rerank (%d) to %d", request.candidates,
                          least, kMaxCandidates));
    }
  }
  if (request.min_score.has_value() && !std::isfinite(*request.min_score)) {
    return absl::InvalidArgumentError(absl::StrFormat("min_score is %f; it must be finite", *request.min_score));
  }
  for (size_t i = 0; i < request.queries.size(); ++i) {
    BEBR_RETURN_IF_ERROR(CheckEmbedding(absl::StrFormat("queries[%d]", i), request.queries[i], *version));
  }
  if (request.filter.size() > kMaxFilterBytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("filter has %d bytes; the limit is %d", request.filter.size(), kMaxFilterBytes));
  }
  if (!request.filter.empty()) {
    BEBR_ASSIGN_OR_RETURN(job->filter, Filter::Parse(request.filter));
  }
  job->version = *version;
  job->shards = shards_;
  job->request = std::move(request);
  return job;
}

uint64_t Collection::documents() const {
  uint64_t documents = 0;
  for (const auto& shard : shards_) documents += shard->snapshot()->documents;
  return documents;
}

uint64_t Collection::DocumentsInSpace(uint32_t space) const {
  const auto manifest = this->manifest();
  uint64_t documents = 0;
  for (const auto& shard : shards_) {
    for (const auto& [number, count] : shard->counts().codes) {
      const Version* version = manifest->VersionByNumber(number);
      if (version != nullptr && version->space == space) documents += count;
    }
  }
  return documents;
}

uint64_t Collection::DocumentsWithEmbedding(uint32_t embedding) const {
  uint64_t documents = 0;
  for (const auto& shard : shards_) {
    const auto counts = shard->counts();
    const auto it = counts.embeddings.find(embedding);
    if (it != counts.embeddings.end()) documents += it->second;
  }
  return documents;
}

CollectionInfo Collection::Info() const {
  const auto manifest = this->manifest();
  CollectionInfo info;
  info.name = manifest->name;
  info.default_version = manifest->default_version;
  info.previous_default = manifest->previous_default;
  info.store_floats = manifest->store_floats;
  info.shards = manifest->shards;
  info.created = absl::FromUnixMicros(manifest->created_unix_us);
  info.expected_documents = manifest->expected_documents;
  Shard::Counts counts;
  for (const auto& shard : shards_) {
    const auto snapshot = shard->snapshot();
    info.documents += snapshot->documents;
    info.deleted_rows += snapshot->deleted_rows;
    info.sequence += snapshot->sequence;
    const Shard::Memory memory = shard->memory();
    info.memory.codes += memory.codes;
    info.memory.ids += memory.ids;
    info.memory.attributes += memory.attributes;
    const Shard::Counts of_shard = shard->counts();
    for (const auto& [number, count] : of_shard.codes) counts.codes[number] += count;
    for (const auto& [number, count] : of_shard.embeddings) counts.embeddings[number] += count;
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
  info.disk_bytes = DirectoryBytes(path_);
  return info;
}

void Collection::AddVersion(CollectionManifest manifest) {
  const Version& version = manifest.versions.back();
  const CodeSpec& spec = manifest.FindSpace(version.space)->spec;
  for (const auto& shard : shards_) shard->AddVersion(version.number, version.embedding, version.space, spec);
  ReplaceManifest(std::move(manifest));
}

void Collection::ReplaceManifest(CollectionManifest manifest) {
  MutexLock lock(&manifest_mutex_);
  manifest_ = std::make_shared<const CollectionManifest>(std::move(manifest));
}

absl::Status Collection::DropVersion(const Version& version) {
  const auto manifest = this->manifest();
  std::optional<uint32_t> space, embedding;
  if (manifest->FindSpace(version.space) == nullptr) space = version.space;
  if (manifest->VersionsOfEmbedding(version.embedding).empty()) embedding = version.embedding;
  for (const auto& shard : shards_) BEBR_RETURN_IF_ERROR(shard->DropVersion(version.number, space, embedding));
  return absl::OkStatus();
}

absl::Status Collection::Checkpoint(const std::string& path) const {
  for (const auto& shard : shards_) BEBR_RETURN_IF_ERROR(shard->store().Flush());
  std::vector<std::unique_ptr<Shard::Pause>> pauses;
  for (const auto& shard : shards_) pauses.push_back(std::make_unique<Shard::Pause>(*shard));
  for (size_t i = 0; i < shards_.size(); ++i) {
    BEBR_RETURN_IF_ERROR(shards_[i]->store().Checkpoint(ShardPath(path, i)));
  }
  return absl::OkStatus();
}

}  // namespace bebr
