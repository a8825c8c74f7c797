#include "server/cluster/remote_node.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bebr/node/v1/node.grpc.pb.h"
#include "index/base/mutex.h"
#include "server/call/node_protocol.h"

namespace bebr {
namespace {

using ::testing::ElementsAre;

// A node that has applied the log up to a position. The hit of a query is named by its first float; -1 is refused.
class FakeNode final : public node::v1::NodeService::Service {
 public:
  grpc::Status Search(grpc::ServerContext* context, const node::v1::SearchRequest* request,
                      node::v1::SearchResponse* response) override {
    uint64_t position = 0;
    for (const auto& [name, text] : context->client_metadata()) {
      if (name == kPositionMetadata) position = std::stoull(std::string(text.data(), text.size()));
    }
    bool refused = false;
    response->add_versions("v");
    for (const auto& query : request->queries()) {
      refused = refused || query.values(0) < 0;
      response->add_results()->add_hits()->set_id(absl::StrCat(query.values(0)));
    }
    MutexLock lock(&mutex_);
    calls_.emplace_back(request->queries_size(), position);
    changed_.NotifyAll();
    while (closed_ && !context->IsCancelled()) changed_.WaitFor(&mutex_, absl::Milliseconds(1));
    if (context->IsCancelled()) return {grpc::StatusCode::CANCELLED, "gone"};
    if (refused) return {grpc::StatusCode::INVALID_ARGUMENT, "queries[0] is negative"};
    if (position > applied_) return {grpc::StatusCode::ABORTED, absl::StrCat("applied up to ", applied_)};
    return grpc::Status::OK;
  }

  void AwaitCalls(size_t count) {
    MutexLock lock(&mutex_);
    while (calls_.size() < count) changed_.Wait(&mutex_);
  }
  void Open() {
    MutexLock lock(&mutex_);
    closed_ = false;
    changed_.NotifyAll();
  }
  void Apply(uint64_t position) {
    MutexLock lock(&mutex_);
    applied_ = position;
  }
  // The queries of each call, and the position that it demanded.
  std::vector<std::pair<int, uint64_t>> Calls() {
    MutexLock lock(&mutex_);
    return calls_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::pair<int, uint64_t>> calls_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = true;
  uint64_t applied_ ABSL_GUARDED_BY(mutex_) = 0;
};

class RemoteNodeTest : public ::testing::Test {
 protected:
  RemoteNodeTest() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&fake_);
    server_ = builder.BuildAndStart();
    const NodePlace place{.name = "a", .address = absl::StrCat("127.0.0.1:", port), .last_slot = 1023};
    remote_ = MakeRemoteNode(place, {.channel = grpc::InsecureChannelCredentials(), .timeout = absl::Seconds(60)},
                             &canceller_, &metrics_);
  }

  using Found = std::future<absl::StatusOr<SearchResult>>;
  Found Search(const std::vector<float>& query, uint64_t position = 0,
               std::shared_ptr<std::atomic<bool>> cancelled = nullptr, SteadyTime deadline = absl::InfiniteDuration()) {
    auto promise = std::make_shared<std::promise<absl::StatusOr<SearchResult>>>();
    SearchRequest request{.collection = "c", .queries = {query}, .part = true, .deadline = deadline};
    request.cancelled = std::move(cancelled);
    auto engine = remote_->EngineAt(position, absl::InfiniteDuration());
    EXPECT_TRUE(engine.ok());
    (*engine)->Search(std::move(request), [promise](auto found) { promise->set_value(std::move(found)); });
    return promise->get_future();
  }
  // Two searches, each a call of its own that waits for Open, so that what follows waits for them.
  std::vector<Found> Occupy() {
    std::vector<Found> found;
    for (const float q : {0.0f, 0.0f}) found.push_back(Search(queries_[static_cast<size_t>(q)], kLow));
    fake_.AwaitCalls(2);
    return found;
  }
  static std::string IdOf(Found& found) {
    const auto result = found.get();
    if (!result.ok()) return std::string(result.status().message());
    return result->hits.size() == 1 && result->hits[0].size() == 1 ? result->hits[0][0].id : "not one";
  }

  static constexpr uint64_t kLow = 5;
  const std::vector<std::vector<float>> queries_ = {{0}, {1}, {2}, {3}, {4}, {-1}};
  FakeNode fake_;
  std::unique_ptr<grpc::Server> server_;
  Canceller canceller_;
  Metrics metrics_;
  std::unique_ptr<ReplicaNode> remote_;
};

TEST_F(RemoteNodeTest, SearchesThatWaitShareACallAndHaveTheirOwnAnswers) {
  fake_.Apply(9);
  std::vector<Found> found = Occupy();
  for (const size_t q : {1, 2, 3}) found.push_back(Search(queries_[q], kLow + q));
  fake_.Open();
  std::vector<std::string> ids;
  for (Found& one : found) ids.push_back(IdOf(one));
  EXPECT_THAT(ids, ElementsAre("0", "0", "1", "2", "3"));
  // A call demands what the furthest of its searches does.
  EXPECT_LE(fake_.Calls().size(), 5u);
  EXPECT_EQ(fake_.Calls().back().second, kLow + 3);
}

TEST_F(RemoteNodeTest, APositionThatIsNotReachedIsTheErrorOfWhoDemandsIt) {
  fake_.Apply(kLow + 2);
  std::vector<Found> found = Occupy();
  for (const size_t q : {3, 1, 4, 2}) found.push_back(Search(queries_[q], kLow + q));
  fake_.Open();
  EXPECT_TRUE(absl::IsAborted(found[2].get().status()));
  EXPECT_EQ(IdOf(found[3]), "1");
  EXPECT_TRUE(absl::IsAborted(found[4].get().status()));
  EXPECT_EQ(IdOf(found[5]), "2");
}

TEST_F(RemoteNodeTest, AnErrorOfOneSearchIsNotTheOthers) {
  fake_.Apply(9);
  std::vector<Found> found = Occupy();
  for (const size_t q : {1, 5, 2}) found.push_back(Search(queries_[q], kLow));
  fake_.Open();
  EXPECT_EQ(IdOf(found[2]), "1");
  EXPECT_EQ(IdOf(found[3]), "queries[0] is negative");
  EXPECT_EQ(IdOf(found[4]), "2");
}

TEST_F(RemoteNodeTest, WhoHasGoneEndsACallThatNobodyElseWaitsFor) {
  fake_.Apply(9);
  std::vector<Found> found = Occupy();
  // Two in one call, which goes once they have waited long enough; again where it went between them.
  std::vector<std::shared_ptr<std::atomic<bool>>> gone(2);
  do {
    found.resize(2);
    const size_t before = fake_.Calls().size();
    for (auto& flag : gone) {
      flag = std::make_shared<std::atomic<bool>>(false);
      found.push_back(Search(queries_[1], kLow, flag));
    }
    fake_.AwaitCalls(before + 1);
  } while (fake_.Calls().back().first != 2);
  *gone[0] = true;
  found.push_back(Search(queries_[2], kLow, gone[0]));
  EXPECT_TRUE(absl::IsCancelled(found[4].get().status()));
  EXPECT_EQ(found[2].wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  *gone[1] = true;
  EXPECT_TRUE(absl::IsCancelled(found[2].get().status()));
  EXPECT_TRUE(absl::IsCancelled(found[3].get().status()));
  fake_.Open();
  EXPECT_EQ(IdOf(found[0]), "0");
}

TEST_F(RemoteNodeTest, ADeadlineHoldsWhileASearchWaits) {
  fake_.Apply(9);
  std::vector<Found> found = Occupy();
  found.push_back(Search(queries_[1], kLow, nullptr, SteadyNow() + absl::Milliseconds(50)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(found[2].get().status()));
  fake_.Open();
  EXPECT_EQ(IdOf(found[1]), "0");
}

}  // namespace
}  // namespace bebr
