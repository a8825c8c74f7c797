// Writes of a collection that a log changes: prepared by one replica, for the log, and applied by all of them.
#include <memory>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/retry.h"
#include "index/base/status_macros.h"
#include "index/collection/collection.h"
#include "index/collection/prepared_upsert.h"

namespace bebr {

void Collection::Prepare(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<PreparedMutations>)> done) {
  auto checked = PreparedUpsert::Create(std::move(request), manifest());
  if (!checked.ok()) return done(checked.status());
  std::shared_ptr<PreparedUpsert> prepared = *std::move(checked);
  auto fresh = names_.Admit(prepared->documents());
  if (!fresh.ok()) return done(fresh.status());
  names_.Done(*fresh);  // they are others' to know once the log has them
  if (prepared->check_only()) return done(PreparedMutations());
  const uint64_t bytes = prepared->input_bytes();
  const uint64_t queued = shared_->queued_upsert_bytes.fetch_add(bytes, std::memory_order_relaxed);
  const uint64_t most = shared_->max_queued_upsert_bytes.load(std::memory_order_relaxed);
  if (queued > 0 && queued + bytes > most) {
    shared_->queued_upsert_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    shared_->refused_upserts.fetch_add(1, std::memory_order_relaxed);
    return done(TryAgainLater(absl::StrFormat(
        "%d bytes of documents wait to be encoded and the limit is %d; try again later", queued, most)));
  }
  shared_->pool.Submit([shared = shared_, prepared, bytes, done = std::move(done)]() mutable {
    prepared->Encode(shared->pool, shared->encode_us);
    PreparedMutations result{.request = {prepared->Mutations(), prepared}, .problems = prepared->problems()};
    shared->queued_upsert_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    done(std::move(result));
  });
}

absl::Status Collection::CheckNames(const AttributeChange& change) {
  BEBR_ASSIGN_OR_RETURN(const auto fresh, names_.Admit(change.set));
  names_.Done(fresh);  // they are others' to know once the log has them
  return absl::OkStatus();
}

absl::StatusOr<std::string> Collection::Applied() const {
  const auto view = shards_->view();
  return shards_->store().GetApplied(view->store.get());
}

absl::StatusOr<std::vector<MutationResult>> Collection::Apply(std::vector<LoggedRequest> requests,
                                                              std::string_view applied) {
  std::vector<std::unique_ptr<Mutations>> by_shard;
  std::vector<Mutations*> group;
  for (LoggedRequest& request : requests) {
    auto mutations = std::make_unique<Mutations>(shards_->size());
    mutations->owner = std::move(request.owner);
    for (Mutation& mutation : request.mutations) {
      BEBR_RETURN_IF_ERROR(shards_->CheckCodes(mutation));
      const uint32_t shard = shards_->ShardOf(mutation.id);
      mutations->by_shard[shard].push_back(std::move(mutation));
    }
    group.push_back(mutations.get());
    by_shard.push_back(std::move(mutations));
  }
  absl::StatusOr<std::vector<MutationResult>> results = absl::UnknownError("");
  BEBR_RETURN_IF_ERROR(writes_.RunAlone([&] {
    results = shards_->Commit(group, applied);
    return results.status();
  }));
  return results;
}

absl::StatusOr<MutationResult> Collection::ApplyToSelected(Selector select, std::optional<AttributeChange> change,
                                                           std::string_view applied) {
  auto selected = select(*shards_, shards_->view());
  if (!selected.ok()) {
    MutationResult result;
    result.refused = selected.status();
    return result;
  }
  struct Owned {
    std::vector<std::string> ids;
    std::optional<AttributeChange> change;
  };
  auto owned = std::make_shared<Owned>(Owned{std::move(selected->ids), std::move(change)});
  LoggedRequest request{.mutations = {}, .owner = owned};
  for (const std::string& id : owned->ids) {
    Mutation& mutation = request.mutations.emplace_back();
    mutation.kind = owned->change.has_value() ? MutationKind::kUpdate : MutationKind::kDelete;
    mutation.id = id;
    if (owned->change.has_value()) mutation.change = &*owned->change;
  }
  std::vector<LoggedRequest> requests;
  requests.push_back(std::move(request));
  BEBR_ASSIGN_OR_RETURN(auto results, Apply(std::move(requests), applied));
  return std::move(results[0]);
}

}  // namespace bebr
