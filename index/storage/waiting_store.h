// A store whose disk takes nothing when it is opened.
#ifndef BEBR_INDEX_STORAGE_WAITING_STORE_H_
#define BEBR_INDEX_STORAGE_WAITING_STORE_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/storage/collection_store.h"

namespace bebr {

// A WaitingStore is open for reading alone, since its disk took nothing when it was opened (it was full, or mounted
// read-only), until Recover could open it for writes: from then on it is that store. Nothing is written meanwhile, so
// both hold the same, and what was read from the first, views too, is true of the second.
//
// Thread safety, errors: see CollectionStore. Until then health() is why it could not be opened when that was last
// tried, and nothing that writes is.
class WaitingStore final : public CollectionStore {
 public:
  using Opener = absl::AnyInvocable<absl::StatusOr<std::unique_ptr<CollectionStore>>()>;

  // `readable` is the store without writes, `open` tries to open it with them.
  WaitingStore(std::string path, std::unique_ptr<CollectionStore> readable, Opener open);

  uint64_t sequence() const override { return now()->sequence(); }
  absl::StatusOr<absl::Duration> Commit(Batch batch, uint64_t sequence) override {
    return now()->Commit(std::move(batch), sequence);
  }
  absl::StatusOr<absl::Duration> CommitInSteps(Batch batch, uint64_t sequence,
                                               absl::FunctionRef<void()> logged) override {
    return now()->CommitInSteps(std::move(batch), sequence, logged);
  }
  std::shared_ptr<const View> MakeView() override;
  StoreMark mark() const override { return now()->mark(); }
  absl::Status SetGeneration(uint64_t generation) override { return now()->SetGeneration(generation); }
  absl::Status SetIdentity(std::string_view identity) override { return now()->SetIdentity(identity); }
  std::string layout() const override { return now()->layout(); }
  absl::Status SetLayout(std::string_view name) override { return now()->SetLayout(name); }
  std::vector<Table> Tables() const override { return now()->Tables(); }
  absl::Status CheckTable(const Table& table) const override { return now()->CheckTable(table); }
  absl::Status health() const override;
  absl::Status Recover() override;
  void Leave() override { now()->Leave(); }

  absl::StatusOr<std::vector<std::optional<std::string>>> GetFloats(const View* view, uint32_t embedding,
                                                                    uint32_t shard,
                                                                    absl::Span<const std::string_view> ids) override;
  absl::StatusOr<std::vector<std::optional<std::string>>> GetDocuments(const View* view, uint32_t shard,
                                                                       absl::Span<const std::string_view> ids,
                                                                       bool fill_cache) override;
  absl::StatusOr<std::vector<std::optional<std::string>>> GetCodes(const View* view, uint32_t space, uint32_t shard,
                                                                   absl::Span<const std::string_view> ids) override;
  absl::StatusOr<std::string> GetApplied(const View* view) override;
  absl::Status VisitDocuments(const View* view, uint32_t shard, absl::Span<const uint32_t> spaces,
                              absl::Span<const uint32_t> embeddings, const Visitor& visit) override;
  absl::Status VisitFloats(const View* view, uint32_t embedding, uint32_t shard, const FloatVisitor& visit) override;

  void AddStats(StorageStats& stats) const override { now()->AddStats(stats); }
  absl::StatusOr<std::vector<uint32_t>> StoredSpaces() override { return now()->StoredSpaces(); }
  absl::StatusOr<std::vector<uint32_t>> StoredEmbeddings() override { return now()->StoredEmbeddings(); }
  absl::Status CompactSpace(uint32_t space) override {
    return IfWritable([&](auto& s) { return s.CompactSpace(space); });
  }
  absl::Status CompactFloats(uint32_t embedding) override {
    return IfWritable([&](auto& store) { return store.CompactFloats(embedding); });
  }
  void EndCompactions() override { now()->EndCompactions(); }
  absl::Status Flush() override {
    return IfWritable([](auto& store) { return store.Flush(); });
  }
  absl::Status Checkpoint(const std::string& path) override {
    return IfWritable([&](auto& store) { return store.Checkpoint(path); });
  }

 private:
  // What the views of the time without writes are since there are some: the first view of the second store.
  struct Meaning {
    std::shared_ptr<const View> view;
  };
  class EarlyView;
  // The store, and the view, that a read through `view` is to go to.
  struct Target {
    std::shared_ptr<CollectionStore> store;
    const View* view;
  };
  Target Resolve(const View* view) const;
  std::shared_ptr<CollectionStore> now() const {
    MutexLock lock(&mutex_);
    return now_;
  }
  template <typename Do>
  absl::Status IfWritable(const Do& call) {
    const auto [store, writable] = State();
    return writable ? call(*store) : health();
  }
  std::pair<std::shared_ptr<CollectionStore>, bool> State() const {
    MutexLock lock(&mutex_);
    return {now_, writable_};
  }
  absl::Status OpenForWrites() ABSL_EXCLUSIVE_LOCKS_REQUIRED(recover_mutex_);

  const std::string path_;
  Mutex recover_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // one attempt at a time
  Opener open_ ABSL_GUARDED_BY(recover_mutex_);
  SteadyTime next_attempt_ ABSL_GUARDED_BY(recover_mutex_);
  mutable Mutex mutex_;
  std::shared_ptr<CollectionStore> now_ ABSL_GUARDED_BY(mutex_);
  bool writable_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status problem_ ABSL_GUARDED_BY(mutex_);              // why it is not
  std::shared_ptr<Meaning> meaning_ ABSL_GUARDED_BY(mutex_);  // null once writable: then the views alone hold it
};

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_WAITING_STORE_H_
