// What all collections of an engine have in common.
#ifndef BEBR_INDEX_COLLECTION_ENGINE_SHARED_H_
#define BEBR_INDEX_COLLECTION_ENGINE_SHARED_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "index/base/clock.h"
#include "index/base/thread_pool.h"
#include "index/collection/kept_views.h"
#include "index/shard/commit_counters.h"
#include "index/storage/collection_store.h"

namespace bebr {

// What the collections of an engine share: threads, RocksDB's cache, the bound of queued writes, and counters that only
// grow. Thread safety: as of its members; `cache` is set before the first collection is opened.
struct EngineShared {
  // So many commits can wait for the disk at the same time before one of them holds up other collections: of each
  // collection one, or up to four where much is written to it.
  static constexpr size_t kCommitThreads = 96;

  EngineShared(size_t threads, uint64_t most_queued_upsert_bytes, bool from_log)
      : from_log(from_log), max_queued_upsert_bytes(most_queued_upsert_bytes), pool(threads) {}

  const bool from_log;  // a log changes the collections, and nothing else (ShardContents::from_log)
  std::atomic<uint64_t> max_queued_upsert_bytes;
  std::shared_ptr<StoreCache> cache;
  std::atomic<uint64_t> queued_upsert_bytes{0};
  std::atomic<uint64_t> encode_us{0};
  std::atomic<uint64_t> documents_upserted{0};
  std::atomic<uint64_t> documents_deleted{0};
  std::atomic<uint64_t> documents_reencoded{0};
  std::atomic<uint64_t> refused_upserts{0};
  std::atomic<bool> ending{false};  // nobody is to wait for a compaction any more
  // When the engine's end is to be over; none: soon. Set before it begins.
  std::optional<SteadyTime> end_by;
  CommitCounters commits;
  KeptViews kept_views;
  ThreadPool committers{kCommitThreads};  // of all collections' write queues
  ThreadPool pool;  // encodes documents, loads shards; the last member, since its end runs what still waits
};

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_ENGINE_SHARED_H_
