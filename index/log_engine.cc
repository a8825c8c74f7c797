#include "index/log_engine.h"

#include <set>
#include <utility>

#include "index/base/status_macros.h"
#include "index/engine_impl.h"
#include "index/replica/digest.h"
#include "index/replica/log_record.h"

namespace bebr {
namespace {

class Seen final : public SeenCollection {
 public:
  explicit Seen(std::shared_ptr<Collection> collection)
      : collection_(std::move(collection)), view_(collection_->shards()->view()) {
    const auto manifest = collection_->manifest();
    for (const Space& space : manifest->spaces) spaces_.push_back(space.number);
    std::set<uint32_t> taken;
    for (const Version& version : manifest->versions) {
      if (!version.retired) taken.insert(version.embedding);
    }
    embeddings_.assign(taken.begin(), taken.end());
  }

  absl::StatusOr<CollectionDigest> Digest(absl::FunctionRef<absl::Status(uint64_t bytes)> go_on) const override {
    CollectionStore& store = collection_->shards()->store();
    BEBR_ASSIGN_OR_RETURN(const std::string applied, store.GetApplied(view_->store.get()));
    BEBR_ASSIGN_OR_RETURN(const LogPlace place, DecodePlace(applied));
    ShardDigest all;
    for (uint32_t shard = 0; shard < collection_->shards()->size(); ++shard) {
      BEBR_ASSIGN_OR_RETURN(const ShardDigest digest,
                            DigestShard(store, *view_->store, shard, spaces_, embeddings_, go_on));
      all.documents += digest.documents;
      all.low += digest.low;
      all.high += digest.high + (all.low < digest.low ? 1 : 0);
    }
    return CollectionDigest{.position = place.position, .documents = all.documents, .digest = ToText(all)};
  }

 private:
  const std::shared_ptr<Collection> collection_;
  const std::shared_ptr<const CollectionView> view_;
  std::vector<uint32_t> spaces_, embeddings_;
};

}  // namespace

void LogEngineImpl::Prepare(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<PreparedMutations>)> done) {
  auto collection = registry().Find(request.collection);
  if (!collection.ok()) return done(collection.status());
  if (absl::Status status = CheckRoom(); !status.ok()) return done(status);
  // It lives until the last of its calls has ended.
  (*collection)->Prepare(std::move(request), [collection = *collection, done = std::move(done)](auto result) mutable {
    done(std::move(result));
  });
}

absl::StatusOr<CodesOfStored> LogEngineImpl::PrepareBackfill(std::string_view collection, std::string_view version,
                                                             std::string_view after, size_t most_documents) {
  BEBR_ASSIGN_OR_RETURN(const auto found, registry().Find(collection));
  BEBR_RETURN_IF_ERROR(CheckRoom());
  return EncodeStored(*found, version, after, most_documents);
}

absl::Status LogEngineImpl::CheckRoomFor(std::string_view collection, const AttributeChange& change) {
  BEBR_ASSIGN_OR_RETURN(const auto found, registry().Find(collection));
  BEBR_RETURN_IF_ERROR(CheckRoom());
  return found->CheckNames(change);
}

absl::Status LogEngineImpl::CheckUpdate(std::string_view collection, AttributeChange& change) {
  BEBR_ASSIGN_OR_RETURN(const auto found, registry().Find(collection));
  return CheckChange(found->manifest()->attributes, change);
}

absl::StatusOr<std::string> LogEngineImpl::Applied(std::string_view collection) {
  BEBR_ASSIGN_OR_RETURN(const auto found, registry().Find(collection));
  return found->Applied();
}

absl::StatusOr<std::vector<MutationResult>> LogEngineImpl::Apply(std::string_view collection,
                                                                 std::vector<LoggedRequest> requests,
                                                                 std::string_view applied) {
  BEBR_ASSIGN_OR_RETURN(const auto found, registry().Find(collection));
  std::vector<bool> encoded_anew;
  for (const LoggedRequest& request : requests)
    encoded_anew.push_back(!request.mutations.empty() && request.mutations[0].adds_codes());
  BEBR_ASSIGN_OR_RETURN(auto results, found->Apply(std::move(requests), applied));
  for (size_t i = 0; i < results.size(); ++i) {
    auto& count = encoded_anew[i] ? shared().documents_reencoded : shared().documents_upserted;
    count.fetch_add(results[i].documents, std::memory_order_relaxed);
  }
  return results;
}

absl::StatusOr<MutationResult> LogEngineImpl::ApplyToSelected(std::string_view collection, const std::string& filter,
                                                              std::optional<AttributeChange> change,
                                                              std::string_view applied) {
  BEBR_ASSIGN_OR_RETURN(const auto found, registry().Find(collection));
  const size_t limit = change.has_value() ? kMaxFilteredUpdates : kMaxFilteredDeletions;
  auto select = SelectByFilter(filter, limit, /*part=*/true, absl::InfiniteDuration(), /*cancelled=*/nullptr);
  if (!select.ok()) {
    MutationResult result;
    result.refused = select.status();
    return result;
  }
  return found->ApplyToSelected(*std::move(select), std::move(change), applied);
}

absl::StatusOr<std::unique_ptr<SeenCollection>> LogEngineImpl::See(std::string_view collection) {
  BEBR_ASSIGN_OR_RETURN(auto found, registry().Find(collection));
  return std::make_unique<Seen>(std::move(found));
}

}  // namespace bebr
