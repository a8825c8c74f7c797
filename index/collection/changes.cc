// Writes that send no embeddings: deletions, and changes of attributes.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/collection/collection.h"

namespace bebr {
namespace {

// What the mutations of a write borrow.
struct Change {
  std::vector<std::string> ids;
  std::optional<AttributeChange> attributes;  // nullopt: a deletion
  std::vector<std::string> warnings;

  Mutation Of(const std::string& id) const {
    Mutation mutation;
    mutation.kind = attributes.has_value() ? MutationKind::kUpdate : MutationKind::kDelete;
    mutation.id = id;
    if (attributes.has_value()) mutation.change = &*attributes;
    return mutation;
  }
};

absl::Status CheckIds(const std::vector<std::string>& ids) {
  BEBR_RETURN_IF_ERROR(ValidateCount("ids", ids.size(), kMaxDocumentsPerRequest));
  for (size_t i = 0; i < ids.size(); ++i) BEBR_RETURN_IF_ERROR(ValidateId(absl::StrFormat("ids[%d]", i), ids[i]));
  return absl::OkStatus();
}

}  // namespace

void Collection::Delete(std::vector<std::string> ids, absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) {
  if (absl::Status status = CheckIds(ids); !status.ok()) return done(status);
  auto change = std::make_shared<Change>(Change{.ids = std::move(ids)});
  auto finish = [shared = shared_, done = std::move(done)](absl::StatusOr<MutationResult> result) mutable {
    if (!result.ok()) return done(result.status());
    shared->documents_deleted.fetch_add(result->documents, std::memory_order_relaxed);
    done(ChangeResult{.documents = result->documents, .timings = result->timings});
  };
  auto write = std::make_shared<WriteQueue::Write>(shards_->size(), change, std::move(finish));
  for (const std::string& id : change->ids) write->Add(shards_->ShardOf(id), change->Of(id));
  writes_.Enqueue(write);
  writes_.MarkReady(write);
}

void Collection::Update(std::vector<std::string> ids, AttributeChange attributes,
                        absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) {
  if (absl::Status status = CheckIds(ids); !status.ok()) return done(status);
  auto fresh = names_.Admit(attributes.set);
  if (!fresh.ok()) return done(fresh.status());
  auto change = std::make_shared<Change>(Change{.ids = std::move(ids), .attributes = std::move(attributes)});
  auto finish = [names = &names_, fresh = *std::move(fresh),
                 done = std::move(done)](absl::StatusOr<MutationResult> result) mutable {
    names->Done(fresh);
    if (!result.ok()) return done(result.status());
    done(ChangeResult{
        .documents = result->documents, .unknown_ids = std::move(result->unknown_ids), .timings = result->timings});
  };
  auto write = std::make_shared<WriteQueue::Write>(shards_->size(), change, std::move(finish));
  for (const std::string& id : change->ids) write->Add(shards_->ShardOf(id), change->Of(id));
  writes_.Enqueue(write);
  writes_.MarkReady(write);
}

void Collection::ChangeSelected(Selector select, std::optional<AttributeChange> attributes,
                                absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) {
  AttributeNames::Fresh fresh;
  if (attributes.has_value()) {
    auto admitted = names_.Admit(attributes->set);
    if (!admitted.ok()) return done(admitted.status());
    fresh = *std::move(admitted);
  }
  auto change = std::make_shared<Change>(Change{.attributes = std::move(attributes)});
  auto finish = [this, change, fresh = std::move(fresh),
                 done = std::move(done)](absl::StatusOr<MutationResult> result) mutable {
    names_.Done(fresh);  // which outlive the queue of writes, as all of the collection's members before it
    if (!result.ok()) return done(result.status());
    if (!change->attributes.has_value())
      shared_->documents_deleted.fetch_add(result->documents, std::memory_order_relaxed);
    done(ChangeResult{
        .documents = result->documents, .warnings = std::move(change->warnings), .timings = result->timings});
  };
  auto write = std::make_shared<WriteQueue::Write>(shards_->size(), change, std::move(finish));
  write->FillInTurn([this, change, select = std::move(select)](Mutations& mutations) mutable -> absl::Status {
    BEBR_ASSIGN_OR_RETURN(Selected selected, select(*shards_, shards_->view()));
    change->ids = std::move(selected.ids);
    change->warnings = std::move(selected.warnings);
    for (const std::string& id : change->ids) mutations.by_shard[shards_->ShardOf(id)].push_back(change->Of(id));
    return absl::OkStatus();
  });
  writes_.Enqueue(write);
  writes_.MarkReady(write);
}

}  // namespace bebr
