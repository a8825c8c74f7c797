// Calls of a ReplicaSet that wait for their answer.
#include <algorithm>
#include <future>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "index/base/status_macros.h"
#include "index/cluster/replica_set.h"
#include "index/cluster/replica_tries.h"

namespace bebr {

template <typename Result>
absl::StatusOr<Result> ReplicaSet::Try(Replica& replica, uint64_t position, SteadyTime deadline,
                                       const std::function<absl::StatusOr<Result>(Engine&)>& call) {
  const auto once = [&]() -> absl::StatusOr<Result> {
    BEBR_ASSIGN_OR_RETURN(Engine * engine, replica.node->EngineAt(position, deadline));
    return call(*engine);
  };
  absl::StatusOr<Result> result = once();
  if (!absl::IsAborted(result.status())) return result;
  auto reached = std::make_shared<std::promise<absl::Status>>();  // shared: set_value may outlast get
  replica.node->Await(position, deadline, [reached](absl::Status status) { reached->set_value(std::move(status)); });
  BEBR_RETURN_IF_ERROR(reached->get_future().get());
  return once();
}

template <typename Result>
absl::StatusOr<Result> ReplicaSet::Read(SteadyTime deadline, bool* stale,
                                        const std::function<absl::StatusOr<Result>(Engine&)>& call,
                                        std::string* which) {
  const SteadyTime end = EndOf(deadline);
  const uint64_t applied = MostApplied();  // before the log is asked
  LogHead::Answer head = head_->Wait();
  const bool went_back = head.known && head.position < applied;
  if (went_back && stale == nullptr) return WentBack(applied, head.position);
  head.known &= !went_back;
  Errors errors;
  const auto try_all = [&](uint64_t position, SteadyTime until) -> std::optional<absl::StatusOr<Result>> {
    const Replicas order = Order(position);
    const SteadyTime begun = SteadyNow();
    for (size_t tried = 0; tried == 0 || SteadyNow() < until; ++tried) {
      Replica& replica = *order[tried % order.size()];
      const size_t pass = tried / order.size();
      if (pass > 1 && SteadyNow() > begun + kFirstTry + kPatience) break;
      if (pass > 1 && tried % order.size() == 0) absl::SleepFor(kBetweenPasses);
      const bool first = pass == 0 && order.size() > 1;
      auto result = Try(replica, position, first ? SteadyNow() + FirstTry(until - SteadyNow()) : until, call);
      if (result.ok()) {
        Succeeded(replica, position);
        if (which != nullptr) *which = replica.place.name;
        return result;
      }
      absl::Status failed = result.status();
      if (!IsOfReplica(replica, position, failed)) return absl::StatusOr<Result>(failed);
      errors.Add(replica.place.name, std::move(failed));
    }
    return std::nullopt;
  };
  const SteadyTime now = SteadyNow();
  if (head.known) {
    auto fresh = try_all(head.position, stale == nullptr ? end : now + kShareOfFresh * (end - now));
    if (fresh.has_value()) return *std::move(fresh);
  }
  if (stale == nullptr && !head.known)
    return absl::UnavailableError("the log cannot be asked where it ends, so nobody knows what is newest");
  if (stale == nullptr) return absl::UnavailableError(errors.All().message());
  *stale = true;
  auto found = try_all(0, end);
  return found.has_value() ? *std::move(found) : absl::StatusOr<Result>(errors.All());
}

absl::StatusOr<CollectionInfo> ReplicaSet::GetCollection(std::string_view name) {
  bool stale = false;  // it is how the collection was a moment ago in any case
  return Read<CollectionInfo>(absl::InfiniteDuration(), &stale,
                              [&](Engine& engine) { return engine.GetCollection(name); });
}

absl::StatusOr<std::vector<Document>> ReplicaSet::Get(std::string_view collection, absl::Span<const std::string> ids,
                                                      bool with_embeddings) {
  return Read<std::vector<Document>>(absl::InfiniteDuration(), nullptr,
                                     [&](Engine& engine) { return engine.Get(collection, ids, with_embeddings); });
}

absl::StatusOr<Page> ReplicaSet::Scroll(const PageRequest& request) {
  PageRequest own = request;
  if (!request.view_token.empty()) {
    BEBR_ASSIGN_OR_RETURN(const auto view, OfView(request.view_token));
    own.view_token = view.second;
    auto page = Try<Page>(*view.first, 0, EndOf(request.deadline), [&](Engine& engine) { return engine.Scroll(own); });
    if (page.ok()) page->view_token = JoinView(view.first->place.name, page->view_token);
    return page;
  }
  bool stale = false;
  std::string which;
  BEBR_ASSIGN_OR_RETURN(Page page,
                        Read<Page>(
                            request.deadline, &stale, [&](Engine& engine) { return engine.Scroll(own); }, &which));
  page.view_token = JoinView(which, page.view_token);
  if (stale) MarkStale(page);
  return page;
}

absl::StatusOr<CountResult> ReplicaSet::Count(const CountRequest& request) {
  bool stale = false;
  BEBR_ASSIGN_OR_RETURN(CountResult result, Read<CountResult>(request.deadline, &stale,
                                                              [&](Engine& engine) { return engine.Count(request); }));
  if (stale) MarkStale(result);
  return result;
}

absl::StatusOr<FacetResult> ReplicaSet::Facets(const FacetRequest& request) {
  bool stale = false;
  BEBR_ASSIGN_OR_RETURN(FacetResult result, Read<FacetResult>(request.deadline, &stale,
                                                              [&](Engine& engine) { return engine.Facets(request); }));
  if (stale) MarkStale(result);
  return result;
}

absl::StatusOr<MemoryUse> ReplicaSet::EstimateMemory(std::string_view collection, uint64_t documents, double id_bytes,
                                                     const AttributeLoad& attributes) {
  bool stale = false;
  return Read<MemoryUse>(absl::InfiniteDuration(), &stale, [&](Engine& engine) {
    return engine.EstimateMemory(collection, documents, id_bytes, attributes);
  });
}

}  // namespace bebr
