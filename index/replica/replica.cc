#include "index/replica/replica.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/replica/log_record.h"

namespace bebr {
namespace {

bool HasUpdate(const std::vector<Mutation>& mutations) {
  return std::any_of(mutations.begin(), mutations.end(),
                     [](const Mutation& mutation) { return mutation.kind == MutationKind::kUpdate; });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Replica>> Replica::Open(Log* log, ShardSet* shards, std::vector<uint32_t> held) {
  for (const uint32_t shard : held) {
    if (shard < shards->size()) continue;
    return absl::InvalidArgumentError(
        absl::StrFormat("a replica is to hold shard %d of a collection of %d", shard, shards->size()));
  }
  BEBR_ASSIGN_OR_RETURN(const std::string applied, shards->store().GetApplied(shards->view()->store.get()));
  BEBR_ASSIGN_OR_RETURN(const LogPlace place, DecodePlace(applied));
  return std::unique_ptr<Replica>(new Replica(log, shards, std::move(held), place));
}

absl::StatusOr<bool> Replica::ApplyNext(size_t max_bytes) {
  BEBR_ASSIGN_OR_RETURN(LogPage page, log_->Read(place_, held_, max_bytes));
  Group group;
  size_t next = 0;
  for (const LogPlace& place : page.places) {
    Group append{.requests = {}, .place = place};
    bool updates = false;
    for (; next < page.entries.size() && page.entries[next].position == place.position; ++next) {
      auto request = RequestOf(std::move(page.entries[next]));
      if (!request.ok()) {
        return absl::Status(request.status().code(),
                            absl::StrFormat("position %d of the log: %s", place.position, request.status().message()));
      }
      for (const auto& mutations : (*request)->by_shard) updates = updates || HasUpdate(mutations);
      append.requests.push_back(*std::move(request));
    }
    // The limit on what an update reads is of documents as they are before the group: so it is one alone.
    if (updates) BEBR_RETURN_IF_ERROR(Commit(group));
    std::move(append.requests.begin(), append.requests.end(), std::back_inserter(group.requests));
    group.place = append.place;
    if (updates) BEBR_RETURN_IF_ERROR(Commit(group));
  }
  BEBR_RETURN_IF_ERROR(Commit(group));
  return !page.places.empty();
}

absl::Status Replica::Commit(Group& group) {
  if (group.place.position == 0) return absl::OkStatus();
  std::vector<Mutations*> requests;
  for (const auto& request : group.requests) requests.push_back(request.get());
  // Also where nothing was for these shards: else they would ask for it again after a start.
  BEBR_RETURN_IF_ERROR(shards_->Commit(requests, EncodePlace(group.place)).status());
  place_ = group.place;
  group = {};
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Mutations>> Replica::RequestOf(LogEntry entry) const {
  BEBR_ASSIGN_OR_RETURN(auto read, DecodeLogRecord(std::move(entry.bytes)));
  if (read->revision > revision_) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "it was encoded by revision %d of the manifest, and revision %d is here", read->revision, revision_));
  }
  for (const Mutation& mutation : read->mutations) {
    if (shards_->ShardOf(mutation.id) != entry.shard) {
      return absl::DataLossError(absl::StrFormat("document \"%s\" is of shard %d, and the record of shard %d",
                                                 mutation.id, shards_->ShardOf(mutation.id), entry.shard));
    }
    BEBR_RETURN_IF_ERROR(shards_->CheckCodes(mutation));
  }
  auto request = std::make_unique<Mutations>(shards_->size());
  request->by_shard[entry.shard] = std::move(read->mutations);
  request->owner = std::move(read);
  return request;
}

}  // namespace bebr
