#ifndef BEBR_INDEX_COLLECTION_H_
#define BEBR_INDEX_COLLECTION_H_

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "index/base/mutex.h"
#include "index/base/thread_pool.h"
#include "index/catalog/catalog.h"
#include "index/engine.h"
#include "index/search/scheduler.h"
#include "index/shard/shard.h"

namespace bebr {

// What the collections of an engine share.
struct EngineShared {
  EngineShared(size_t threads, uint64_t max_queued_upsert_bytes)
      : max_queued_upsert_bytes(max_queued_upsert_bytes), pool(threads) {}

  const uint64_t max_queued_upsert_bytes;
  std::shared_ptr<StoreCache> cache;
  std::atomic<uint64_t> queued_upsert_bytes{0};
  std::atomic<uint64_t> encode_us{0};
  std::atomic<uint64_t> documents_upserted{0};
  std::atomic<uint64_t> documents_deleted{0};
  std::atomic<uint64_t> documents_reencoded{0};
  std::atomic<uint64_t> refused_upserts{0};
  std::atomic<uint64_t> refused_memory{0};
  std::atomic<uint64_t> refused_disk{0};
  ThreadPool pool;  // encodes documents, opens shards; the last member, since its end runs what still waits
};

// INVALID_ARGUMENT, naming `field`, unless `values` are an embedding that `version` takes: its length, all finite and
// of magnitudes that can be added up.
absl::Status CheckEmbedding(std::string_view field, absl::Span<const float> values, const Version& version);

// A Collection is an open collection: its manifest, its shards, and the way of a write from floats to shards.
//
// Writes take effect in the order of the calls: embeddings are encoded in parallel, but what is encoded is handed to
// the shards in turn. Thread safety: all methods may be called from any thread; Update is called by the engine under
// its lock. Lives until the last call and the last search that uses it have ended (shared_ptr).
class Collection : public std::enable_shared_from_this<Collection> {
 public:
  static absl::StatusOr<std::shared_ptr<Collection>> Open(CollectionManifest manifest, std::string path,
                                                          EngineShared* shared);

  std::shared_ptr<const CollectionManifest> manifest() const;
  const std::vector<std::shared_ptr<Shard>>& shards() const { return shards_; }

  void Upsert(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done);
  void Delete(std::vector<std::string> ids, absl::AnyInvocable<void(absl::StatusOr<uint64_t>)> done);
  absl::StatusOr<std::vector<Document>> Get(absl::Span<const std::string> ids, bool with_embeddings) const;
  // A checked search, ready for the scheduler, or why it is refused.
  absl::StatusOr<std::unique_ptr<SearchJob>> PrepareSearch(SearchRequest request) const;

  // What Engine::GetCollection says, but for the backfills.
  CollectionInfo Info() const;
  uint64_t documents() const;
  // Documents with a code in `space`, and documents with floats of `embedding`.
  uint64_t DocumentsInSpace(uint32_t space) const;
  uint64_t DocumentsWithEmbedding(uint32_t embedding) const;

  // Makes the manifest's last version known to the shards, then replaces the manifest.
  void AddVersion(CollectionManifest manifest);
  void ReplaceManifest(CollectionManifest manifest);
  // Drops what `version`, which the manifest calls retired, leaves behind: codes of a space without other versions, and
  // floats that no other version takes.
  absl::Status DropVersion(const Version& version);
  // Makes `path`/shard-NNN checkpoints of the shards as they all are at one moment, for which writes wait. Every
  // acknowledged write is in it; of one that is under way, each document is in it wholly or not at all.
  absl::Status Checkpoint(const std::string& path) const;
  EngineShared& shared() const { return *shared_; }

 private:
  struct Write;
  struct Encoded;

  Collection(CollectionManifest manifest, std::string path, EngineShared* shared);

  absl::StatusOr<std::unique_ptr<Encoded>> Check(UpsertRequest request) const;
  absl::Status CheckDocument(size_t index, Encoded& encoded) const;
  void Encode(Encoded& encoded) const;
  std::vector<Mutation> MakeMutations(const Encoded& encoded) const;
  void Enqueue(std::shared_ptr<Write> write);
  // Hands writes to the shards that are ready and have none before them that is not.
  void MarkReady(const std::shared_ptr<Write>& write);
  void SendToShards(const std::shared_ptr<Write>& write);
  uint32_t ShardOf(std::string_view id) const;

  const std::string path_;
  EngineShared* const shared_;
  std::vector<std::shared_ptr<Shard>> shards_;

  mutable Mutex manifest_mutex_;
  std::shared_ptr<const CollectionManifest> manifest_ ABSL_GUARDED_BY(manifest_mutex_);

  Mutex order_mutex_;
  std::deque<std::shared_ptr<Write>> order_ ABSL_GUARDED_BY(order_mutex_);
};

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_H_
