// Writes of a ClusterEngine that send no embeddings: deletions, and changes of attributes.
#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "index/base/status_macros.h"
#include "index/cluster/cluster_engine_impl.h"
#include "index/cluster/merge.h"
#include "index/request/filtered_write.h"
#include "index/search/filter.h"

namespace bebr {
namespace {

using Done = absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)>;

// Whether they are no ids of one request. One node, which gets them all, then says why, and none writes.
bool AreWrong(const std::vector<std::string>& ids) {
  return !ValidateCount("ids", ids.size(), kMaxDocumentsPerRequest).ok() ||
         std::any_of(ids.begin(), ids.end(), [](const std::string& id) { return !ValidateId("id", id).ok(); });
}

}  // namespace

// A change under way on some nodes. Lives as long as one of their calls.
class ClusterEngine::ChangeCall : public std::enable_shared_from_this<ChangeCall> {
 public:
  ChangeCall(const ClusterEngine& cluster, std::vector<size_t> nodes, std::vector<std::string> warnings, Done done)
      : cluster_(cluster),
        nodes_(std::move(nodes)),
        outcomes_(nodes_.size(), absl::UnknownError("")),
        warnings_(std::move(warnings)),
        done_(std::move(done)),
        left_(nodes_.size()) {}

  // begin(engine, node, done) makes the call.
  void Start(const std::function<void(Engine&, size_t, Done)>& begin) {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      begin(cluster_.members_[nodes_[i]].node->engine(), nodes_[i],
            [self = shared_from_this(), i](absl::StatusOr<ChangeResult> outcome) {
              self->outcomes_[i] = std::move(outcome);
              if (self->left_.fetch_sub(1) == 1) self->done_(self->Answer());
            });
    }
  }

 private:
  absl::StatusOr<ChangeResult> Answer() {
    std::vector<absl::Status> errors;
    for (const auto& outcome : outcomes_) errors.push_back(outcome.status());
    BEBR_RETURN_IF_ERROR(cluster_.WriteError(nodes_, errors));
    ChangeResult all{.warnings = std::move(warnings_)};
    for (auto& part : outcomes_) {
      all.documents += part->documents;
      all.unknown_ids.insert(all.unknown_ids.end(), part->unknown_ids.begin(), part->unknown_ids.end());
      all.timings.queue_us = std::max(all.timings.queue_us, part->timings.queue_us);
      all.timings.commit_us = std::max(all.timings.commit_us, part->timings.commit_us);
    }
    return all;
  }

  const ClusterEngine& cluster_;
  const std::vector<size_t> nodes_;
  std::vector<absl::StatusOr<ChangeResult>> outcomes_;  // each written by one node's answer
  std::vector<std::string> warnings_;
  Done done_;
  std::atomic<size_t> left_;
};

void ClusterEngine::ChangeByIds(std::vector<std::string> ids, const BeginChange& begin, Done done) {
  std::vector<std::vector<std::string>> asked(members_.size());
  std::vector<size_t> nodes;
  if (AreWrong(ids)) {
    nodes.push_back(0);
    asked[0] = std::move(ids);
  } else {
    const std::vector<std::vector<size_t>> of_node = Split(ids);
    for (size_t node = 0; node < members_.size(); ++node) {
      for (const size_t i : of_node[node]) asked[node].push_back(std::move(ids[i]));
      if (!asked[node].empty()) nodes.push_back(node);
    }
  }
  std::make_shared<ChangeCall>(*this, std::move(nodes), std::vector<std::string>(), std::move(done))
      ->Start(
          [&](Engine& engine, size_t node, Done ended) { begin(engine, std::move(asked[node]), std::move(ended)); });
}

absl::StatusOr<std::vector<std::string>> ClusterEngine::CheckFiltered(const CountRequest& request, size_t limit) {
  CountRequest part = request;
  part.part = true;
  BEBR_ASSIGN_OR_RETURN(const std::vector<CountResult> parts,
                        FromAll<CountResult>([&](Engine& engine) { return engine.Count(part); }));
  uint64_t documents = 0;
  FilterFacts facts;
  for (const CountResult& counted : parts) {
    documents += counted.documents;
    AddFacts(counted.filter_facts, facts);
  }
  BEBR_ASSIGN_OR_RETURN(const auto filter, Filter::Parse(request.filter));
  Filter::Warnings warnings = filter->Unknown(facts);
  BEBR_RETURN_IF_ERROR(CheckSelected(warnings.unknown, documents, limit));
  warnings.unknown.insert(warnings.unknown.end(), warnings.stored.begin(), warnings.stored.end());
  return std::move(warnings.unknown);
}

absl::Status ClusterEngine::CheckChangeOf(std::string_view collection, AttributeChange change) {
  BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, GetCollection(collection));
  return CheckChange(info.attributes, change);
}

void ClusterEngine::ChangeByFilter(const CountRequest& selected, size_t limit, BeginFiltered begin, Done done,
                                   std::optional<AttributeChange> change) {
  // It waits for the nodes, which the caller may not.
  auto held = std::make_shared<Done>(std::move(done));
  const absl::Status full = Detach([this, selected, limit, begin = std::move(begin), held, change = std::move(change)] {
    const absl::Status wrong = change.has_value() ? CheckChangeOf(selected.collection, *change) : absl::OkStatus();
    if (!wrong.ok()) return (*held)(wrong);
    auto warnings = CheckFiltered(selected, limit);
    if (!warnings.ok()) return (*held)(warnings.status());
    std::vector<size_t> nodes(members_.size());
    for (size_t node = 0; node < nodes.size(); ++node) nodes[node] = node;
    std::make_shared<ChangeCall>(*this, std::move(nodes), *std::move(warnings), std::move(*held))
        ->Start([&](Engine& engine, size_t, Done ended) { begin(engine, std::move(ended)); });
  });
  if (!full.ok()) (*held)(full);
}

void ClusterEngine::Delete(std::string_view collection, std::vector<std::string> ids, Done done) {
  ChangeByIds(
      std::move(ids),
      [collection](Engine& engine, std::vector<std::string> asked, Done ended) {
        engine.Delete(collection, std::move(asked), std::move(ended));
      },
      std::move(done));
}

void ClusterEngine::DeleteByFilter(const FilteredDeletion& request, Done done) {
  FilteredDeletion part = request;
  part.part = true;
  // Without a filter one node says what there is to say.
  if (request.filter.empty()) return members_[0].node->engine().DeleteByFilter(part, std::move(done));
  ChangeByFilter(
      {.collection = request.collection,
       .filter = request.filter,
       .deadline = request.deadline,
       .cancelled = request.cancelled},
      kMaxFilteredDeletions, [part](Engine& engine, Done ended) { engine.DeleteByFilter(part, std::move(ended)); },
      std::move(done));
}

void ClusterEngine::UpdateAttributes(AttributeUpdate update, Done done) {
  update.part = true;
  if (update.filter.empty() || !update.ids.empty()) {
    std::vector<std::string> ids = update.ids;
    return ChangeByIds(
        std::move(ids),
        [&update](Engine& engine, std::vector<std::string> asked, Done ended) {
          AttributeUpdate part = update;
          part.ids = std::move(asked);
          engine.UpdateAttributes(std::move(part), std::move(ended));
        },
        std::move(done));
  }
  ChangeByFilter(
      {.collection = update.collection,
       .filter = update.filter,
       .deadline = update.deadline,
       .cancelled = update.cancelled},
      kMaxFilteredUpdates, [update](Engine& engine, Done ended) { engine.UpdateAttributes(update, std::move(ended)); },
      std::move(done), update.change);
}

}  // namespace bebr
