#include "index/log_engine.h"

#include <set>
#include <utility>

#include "index/base/status_macros.h"
#include "index/engine_impl.h"
#include "index/replica/digest.h"
#include "index/replica/log_record.h"

namespace bebr {

void LogEngineImpl::Prepare(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<PreparedMutations>)> done) {
  auto collection = registry().Find(request.collection);
  if (!collection.ok()) return done(collection.status());
  if (absl::Status status = CheckRoom(); !status.ok()) return done(status);
  // It lives until the last of its calls has ended.
  (*collection)->Prepare(std::move(request), [collection = *collection, done = std::move(done)](auto result) mutable {
    done(std::move(result));
  });
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
  BEBR_ASSIGN_OR_RETURN(auto results, found->Apply(std::move(requests), applied));
  for (const MutationResult& result : results)
    shared().documents_upserted.fetch_add(result.documents, std::memory_order_relaxed);
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

absl::StatusOr<CollectionDigest> LogEngineImpl::Digest(std::string_view collection) {
  BEBR_ASSIGN_OR_RETURN(const auto found, registry().Find(collection));
  const auto manifest = found->manifest();
  const auto view = found->shards()->view();
  std::vector<uint32_t> spaces;
  for (const Space& space : manifest->spaces) spaces.push_back(space.number);
  std::set<uint32_t> taken;
  for (const Version& version : manifest->versions) {
    if (!version.retired) taken.insert(version.embedding);
  }
  const std::vector<uint32_t> embeddings(taken.begin(), taken.end());
  CollectionStore& store = found->shards()->store();
  BEBR_ASSIGN_OR_RETURN(const std::string applied, store.GetApplied(view->store.get()));
  BEBR_ASSIGN_OR_RETURN(const LogPlace place, DecodePlace(applied));
  ShardDigest all;
  for (uint32_t shard = 0; shard < found->shards()->size(); ++shard) {
    BEBR_ASSIGN_OR_RETURN(const ShardDigest digest, DigestShard(store, *view->store, shard, spaces, embeddings));
    all.documents += digest.documents;
    all.low += digest.low;
    all.high += digest.high + (all.low < digest.low ? 1 : 0);
  }
  return CollectionDigest{.position = place.position, .documents = all.documents, .digest = ToText(all)};
}

}  // namespace bebr
