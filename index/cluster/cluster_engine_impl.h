// The class behind cluster_engine.h; its methods are in the files that are named here.
#ifndef BEBR_INDEX_CLUSTER_CLUSTER_ENGINE_IMPL_H_
#define BEBR_INDEX_CLUSTER_CLUSTER_ENGINE_IMPL_H_

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "index/base/fair_pool.h"
#include "index/base/mutex.h"
#include "index/base/thread_pool.h"
#include "index/cluster/cluster_engine.h"
#include "index/cluster/node.h"
#include "index/cluster/write_order.h"
#include "index/gateway_engine.h"

namespace bebr {

// What one node has of an upsert.
struct Share {
  size_t node = 0;
  UpsertRequest request;
  std::vector<size_t> numbers;  // that its documents have in the whole request
  absl::StatusOr<UpsertResult> outcome = absl::UnknownError("");
  std::vector<absl::Status> problems;  // that the caller has found with its documents

  void KeepProblems() {
    for (DocumentInput& document : request.documents) problems.push_back(document.problem);
  }
};

// Of a node's error whether an answer that may be partial does without the node.
inline bool SaysNothing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsInternal(status) ||
         absl::IsDataLoss(status) || absl::IsUnknown(status);
}

// What MakeClusterEngine makes: its comment says how it works.
class ClusterEngine : public GatewayEngine {
 public:
  explicit ClusterEngine(std::vector<ClusterMember> members);
  ~ClusterEngine() override;

  void SetLimits(const EngineOptions&) override {}

  // cluster_admin.cc
  absl::Status CreateCollection(const CollectionConfig& config, std::string_view model_file) override;
  absl::Status DeleteCollection(std::string_view name) override;
  absl::StatusOr<CollectionInfo> GetCollection(std::string_view name) override;
  absl::Status AddVersion(std::string_view collection, const VersionConfig& config,
                          std::string_view model_file) override;
  absl::Status PromoteVersion(std::string_view collection, std::string_view version, std::string_view expected_default,
                              bool force) override;
  absl::Status RetireVersion(std::string_view collection, std::string_view version) override;
  absl::Status StartBackfill(std::string_view collection, std::string_view version, uint64_t documents_per_s) override;
  absl::Status StopBackfill(std::string_view collection, std::string_view version) override;
  absl::StatusOr<VersionCheck> CheckVersion(std::string_view collection, const CheckRequest& request) override;
  absl::Status SetAlias(std::string_view alias, std::string_view collection,
                        std::optional<std::string_view> expected) override;
  absl::Status DeleteAlias(std::string_view alias) override;
  absl::StatusOr<SnapshotInfo> CreateSnapshot(std::string_view collection, std::string_view name) override;
  absl::StatusOr<std::vector<SnapshotInfo>> ListSnapshots(std::string_view collection) override;
  std::map<std::string, absl::Time> NewestSnapshots() override { return {}; }
  absl::Status RestoreSnapshot(std::string_view collection, std::string_view name,
                               std::string_view new_collection) override;
  absl::Status DeleteSnapshot(std::string_view collection, std::string_view name) override;
  absl::StatusOr<MemoryUse> EstimateMemory(std::string_view collection, uint64_t documents, double id_bytes,
                                           const AttributeLoad& attributes) override;

  // cluster_engine.cc: from what the nodes said last.
  std::vector<std::string> ListCollections() override;
  std::vector<UnavailableCollection> UnavailableCollections() override;
  std::vector<ReadOnlyCollection> ReadOnlyCollections() override;
  std::vector<DamagedCollection> DamagedCollections() override;
  std::vector<Alias> ListAliases() override;
  std::string Resolve(std::string_view name) override;
  EngineStats Stats() override;
  absl::Status Ready() override;
  ClusterReport Report() override;
  absl::StatusOr<std::vector<ShareComparison>> Verify(const std::string& collection,
                                                      std::shared_ptr<std::atomic<bool>> cancelled) override;

  // cluster_upsert.cc
  void Upsert(UpsertRequest request, absl::AnyInvocable<void(absl::StatusOr<UpsertResult>)> done) override;

  // cluster_changes.cc
  void Delete(std::string_view collection, std::vector<std::string> ids,
              absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) override;
  void DeleteByFilter(const FilteredDeletion& request,
                      absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) override;
  void UpdateAttributes(AttributeUpdate update, absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done) override;

  // cluster_search.cc
  void Search(SearchRequest request, absl::AnyInvocable<void(absl::StatusOr<SearchResult>)> done) override;

  // cluster_read.cc
  absl::StatusOr<std::vector<Document>> Get(std::string_view collection, absl::Span<const std::string> ids,
                                            bool with_embeddings) override;
  absl::StatusOr<Page> Scroll(const PageRequest& request) override;
  absl::StatusOr<CountResult> Count(const CountRequest& request) override;
  absl::StatusOr<FacetResult> Facets(const FacetRequest& request) override;
  absl::StatusOr<std::vector<float>> Recommend(const ExampleRequest& request) override;
  void ReleaseView(const std::string& view_token) override;

 protected:
  // Of several nodes' errors the one to return: what is wrong with the request before what is wrong with a node, which
  // is then named. OK if there is none.
  absl::Status FirstError(absl::Span<const absl::Status> of_nodes) const { return FirstError({}, of_nodes); }
  // The same of these nodes, which were asked alone; none: of all.
  absl::Status FirstError(absl::Span<const size_t> nodes, absl::Span<const absl::Status> outcomes) const;
  // The error, naming the node.
  absl::Status OfNode(size_t node, const absl::Status& error) const;

  // What `call` returns for every node, called at the same time; or the error.
  template <typename Result>
  absl::StatusOr<std::vector<Result>> FromAll(const std::function<absl::StatusOr<Result>(Engine&)>& call) {
    std::vector<absl::StatusOr<Result>> answers(members_.size(), absl::UnknownError(""));
    ForEach([&](size_t node) {
      const absl::Status hung = Hung(node);
      answers[node] = hung.ok() ? call(members_[node].node->engine()) : hung;
    });
    std::vector<absl::Status> errors;
    for (const auto& answer : answers) errors.push_back(answer.status());
    if (absl::Status error = FirstError(errors); !error.ok()) return error;
    std::vector<Result> results;
    for (auto& answer : answers) results.push_back(*std::move(answer));
    return results;
  }
  // Calls body(0) to body(nodes - 1) at the same time; returns when all calls have.
  void ForEach(const std::function<void(size_t)>& body);

  size_t NodeOf(std::string_view id) const;
  // The numbers of the ids that each node has.
  std::vector<std::vector<size_t>> Split(absl::Span<const std::string> ids) const;
  // What each node has of an upsert.
  std::vector<Share> SharesOf(UpsertRequest request) const;
  // What is to be said of the filter of such a change, or why it is refused, as one engine would.
  absl::StatusOr<std::vector<std::string>> CheckFiltered(const CountRequest& request, size_t limit);
  absl::Status CheckChangeOf(std::string_view collection, AttributeChange change);
  // Asks the nodes how they are, at the same time.
  void Look();
  // Whether a node that follows a log has found that empty.
  bool IsNew();
  // Of nodes that follow a log: up to where aliases are known here, and what came of a change of one there.
  uint64_t Seen();
  void NoteAlias(uint64_t position, const std::string& alias, std::optional<std::string> collection);
  // Runs work on a thread of detached_, where the end waits for it; or says that too much waits there.
  absl::Status Detach(absl::AnyInvocable<void()> work);

  // With its name and address as they are now.
  NodePlace PlaceOf(size_t node) const;

  const std::vector<ClusterMember> members_;
  WriteOrder order_;

 private:
  // Of these documents those that are there, and that the page's filter selects, in no order, with what it asks for of
  // each. With `partial` without those of nodes that do not answer, or are not in the view.
  absl::StatusOr<std::vector<PageDocument>> Find(const PageRequest& page, const std::vector<std::string>& ids,
                                                 bool partial);
  // Puts a query in place of examples.
  absl::Status ResolveLike(SearchRequest& request, absl::AnyInvocable<void(absl::StatusOr<SearchResult>)>& done);
  // As Recommend; of a kept view, if there is one.
  absl::StatusOr<std::vector<float>> QueryOfExamples(const ExampleRequest& request, const PageRequest& seen,
                                                     bool partial);
  // As Get, with embeddings, of a kept view.
  absl::StatusOr<std::vector<Document>> GetSeen(const PageRequest& seen, const std::vector<std::string>& ids);
  // The collection as a node has it: of some, with `partial`, one that answers.
  absl::StatusOr<CollectionInfo> InfoOf(std::string_view name, bool partial);
  // FAILED_PRECONDITION of a view that some nodes are not in, since they did not answer when it was kept.
  absl::Status CheckWhole(const std::vector<std::string>& tokens) const;
  // A view of all nodes has a token of each, in one: of every node its own (none where it is empty), and the other way.
  std::vector<std::string> TokensOf(std::string_view token) const;
  static std::string JoinTokens(const std::vector<std::string>& tokens);

  // How a node answered last.
  absl::Status StateOf(size_t node);
  // UNAVAILABLE if it hung when it was asked last, so that calls without a deadline need not wait for it.
  absl::Status Hung(size_t node);

  // Changes something on every node: on none if one does not answer. `enough` is the error that says that the node has
  // it already: it is one only if all nodes say so. `what` is what the error then tells of: "collection \"c\"".
  // One change at a time. Where some nodes had it already `created_in` is the collection that must then be the same on
  // all of them; empty: none.
  absl::Status OnEvery(std::string_view what, absl::StatusCode enough,
                       const std::function<absl::Status(size_t node)>& change, std::vector<size_t> order = {},
                       std::string_view created_in = "");
  // Or why what OnEvery is to change stays as it is.
  absl::Status AllAnswer(std::string_view what);
  // Of a write to these nodes: what is to be said where some have failed.
  absl::Status WriteError(absl::Span<const size_t> nodes, absl::Span<const absl::Status> outcomes) const;

  using BeginChange =
      std::function<void(Engine&, std::vector<std::string>, absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)>)>;
  using BeginFiltered = std::function<void(Engine&, absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)>)>;
  // A change of the documents with these ids, by a call of each node that has some of them, with those.
  void ChangeByIds(std::vector<std::string> ids, const BeginChange& begin,
                   absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done);
  // A change of the documents that a filter selects, by a call of every node, once they have been counted.
  // Of attributes the change is checked first.
  void ChangeByFilter(const CountRequest& selected, size_t limit, BeginFiltered begin,
                      absl::AnyInvocable<void(absl::StatusOr<ChangeResult>)> done,
                      std::optional<AttributeChange> change = std::nullopt);
  void KeepLooking();
  // Whether aliases are to be taken from this node, which is the furthest of those that answer.
  bool MayTell(const ReplicaState& replica) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  class UpsertCall;
  class ChangeCall;
  class SearchCall;
  class FusedCall;

  std::array<uint8_t, kClusterSlots> member_of_slot_{};
  Mutex changing_;  // held while something changes on every node

  Mutex mutex_;
  CondVar changed_;
  std::vector<absl::StatusOr<NodeState>> states_ ABSL_GUARDED_BY(mutex_);  // by node, as it answered last
  std::map<std::string, std::string> aliases_ ABSL_GUARDED_BY(mutex_);
  uint64_t seen_ ABSL_GUARDED_BY(mutex_) = 0;                     // the log's position as of which aliases_ are
  int behind_ ABSL_GUARDED_BY(mutex_) = 0;                        // so often the log itself ended before it
  std::vector<std::string> collections_ ABSL_GUARDED_BY(mutex_);  // that some node has
  bool knows_ ABSL_GUARDED_BY(mutex_) = false;                    // has known the collections
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread watch_;
  FairPool callers_;  // of ForEach
  std::atomic<size_t> waiting_{0};
  ThreadPool detached_;  // the last member: its end runs what waits, which uses the others
};

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_CLUSTER_ENGINE_IMPL_H_
