#include "index/storage/waiting_store.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/logging.h"
#include "index/base/status_macros.h"

namespace bebr {
namespace {

// An attempt reads the store's logs: a long one is followed by a longer rest.
constexpr int kRestsPerAttempt = 10;

}  // namespace

class WaitingStore::EarlyView final : public View {
 public:
  explicit EarlyView(std::shared_ptr<const Meaning> meaning) : meaning_(std::move(meaning)) {}
  const View* later() const { return meaning_->view.get(); }

 private:
  const std::shared_ptr<const Meaning> meaning_;
};

WaitingStore::WaitingStore(std::string path, std::unique_ptr<CollectionStore> readable, Opener open)
    : path_(std::move(path)),
      open_(std::move(open)),
      now_(std::move(readable)),
      problem_(now_->health()),
      meaning_(std::make_shared<Meaning>()) {}

absl::Status WaitingStore::health() const {
  MutexLock lock(&mutex_);
  return writable_ ? now_->health() : problem_;
}

std::shared_ptr<const CollectionStore::View> WaitingStore::MakeView() {
  MutexLock lock(&mutex_);
  if (writable_) return now_->MakeView();
  return std::make_shared<EarlyView>(meaning_);
}

WaitingStore::Target WaitingStore::Resolve(const View* view) const {
  const auto* early = dynamic_cast<const EarlyView*>(view);
  MutexLock lock(&mutex_);
  return {now_, early == nullptr ? view : early->later()};
}

absl::Status WaitingStore::Recover() {
  MutexLock lock(&recover_mutex_);
  const auto [store, writable] = State();
  if (writable) return store->Recover();
  const SteadyTime begun = SteadyNow();
  if (begun < next_attempt_) return health();
  const absl::Status status = OpenForWrites();
  if (status.ok()) {
    LogInfo("storage at {}: it takes writes now", path_);
    return status;
  }
  const SteadyTime end = SteadyNow();
  next_attempt_ = end + kRestsPerAttempt * (end - begun);
  MutexLock inner(&mutex_);
  problem_ = status;
  return status;
}

absl::Status WaitingStore::OpenForWrites() {
  const std::shared_ptr<CollectionStore> readable = now();
  BEBR_ASSIGN_OR_RETURN(std::shared_ptr<CollectionStore> store, open_());
  const StoreMark before = readable->mark(), after = store->mark();
  if (before.identity != after.identity || before.sequence != after.sequence || before.generation != after.generation) {
    return absl::DataLossError(absl::StrFormat(
        "storage at %s is in use, and another store was put into its place: put its own back, or restart the server",
        path_));
  }
  std::shared_ptr<const View> first = store->MakeView();
  std::shared_ptr<Meaning> meaning;  // let go of without the lock
  MutexLock lock(&mutex_);
  meaning_->view = std::move(first);
  now_ = std::move(store);
  writable_ = true;
  meaning = std::move(meaning_);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::optional<std::string>>> WaitingStore::GetFloats(
    const View* view, uint32_t embedding, uint32_t shard, absl::Span<const std::string_view> ids) {
  const Target target = Resolve(view);
  return target.store->GetFloats(target.view, embedding, shard, ids);
}

absl::StatusOr<std::vector<std::optional<std::string>>> WaitingStore::GetDocuments(
    const View* view, uint32_t shard, absl::Span<const std::string_view> ids, bool fill_cache) {
  const Target target = Resolve(view);
  return target.store->GetDocuments(target.view, shard, ids, fill_cache);
}

absl::StatusOr<std::vector<std::optional<std::string>>> WaitingStore::GetCodes(const View* view, uint32_t space,
                                                                               uint32_t shard,
                                                                               absl::Span<const std::string_view> ids) {
  const Target target = Resolve(view);
  return target.store->GetCodes(target.view, space, shard, ids);
}

absl::StatusOr<std::string> WaitingStore::GetApplied(const View* view) {
  const Target target = Resolve(view);
  return target.store->GetApplied(target.view);
}

absl::Status WaitingStore::VisitDocuments(const View* view, uint32_t shard, absl::Span<const uint32_t> spaces,
                                          absl::Span<const uint32_t> embeddings, const Visitor& visit) {
  const Target target = Resolve(view);
  return target.store->VisitDocuments(target.view, shard, spaces, embeddings, visit);
}

absl::Status WaitingStore::VisitFloats(const View* view, uint32_t embedding, uint32_t shard,
                                       const FloatVisitor& visit) {
  const Target target = Resolve(view);
  return target.store->VisitFloats(target.view, embedding, shard, visit);
}

}  // namespace bebr
