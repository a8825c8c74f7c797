#include "server/cluster/search_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <utility>

namespace bebr {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::Le;

class SearchQueueTest : public ::testing::Test {
 protected:
  QueuedSearch Search(size_t k, size_t queries = 1, size_t floats = 8) {
    QueuedSearch search;
    search.request.collection = "c";
    search.request.k = k;
    search.request.queries.assign(queries, absl::MakeConstSpan(floats_).subspan(0, floats));
    return search;
  }
  // How many searches each call had since the last time.
  std::vector<size_t> Calls() { return std::exchange(calls_, {}); }
  void EndOne() {
    ASSERT_FALSE(ended_.empty());
    const std::function<void()> ended = std::move(ended_.front());
    ended_.erase(ended_.begin());
    ended();
  }

  const std::vector<float> floats_ = std::vector<float>(1 << 20);
  std::vector<size_t> calls_;
  std::vector<std::function<void()>> ended_;
  SearchQueue queue_{[this](SearchQueue::Group together, std::function<void()> ended) {
    calls_.push_back(together.size());
    ended_.push_back(std::move(ended));
  }};
};

TEST_F(SearchQueueTest, SearchesThatAskForTheSameGoTogether) {
  for (int i = 0; i < 8; ++i) queue_.Add(Search(10));
  EXPECT_THAT(Calls(), ElementsAre(1, 1));
  EndOne();
  EXPECT_THAT(Calls(), ElementsAre(6));
  EndOne();
  // Where nothing is on its way nobody waits.
  EndOne();
  queue_.Add(Search(10));
  EXPECT_THAT(Calls(), ElementsAre(1));
}

// Clients that have another search once one is answered: half of them are searched for while the others are answered.
TEST_F(SearchQueueTest, CallsHaveHalfOfTheClients) {
  constexpr size_t kClients = 64;
  for (size_t i = 0; i < kClients; ++i) queue_.Add(Search(10));
  std::deque<size_t> on_their_way;
  for (int i = 0; i < 100; ++i) {
    for (const size_t size : Calls()) on_their_way.push_back(size);
    EndOne();
    for (const size_t size : Calls()) on_their_way.push_back(size);
    for (; on_their_way.front() > 0; --on_their_way.front()) queue_.Add(Search(10));
    on_their_way.pop_front();
    if (i < 50) continue;
    EXPECT_THAT(on_their_way, Each(AllOf(Ge(24), Le(36))));
  }
}

// Those that were about are forgotten, so that a few wait for nobody.
TEST_F(SearchQueueTest, AFewHaveACallEach) {
  for (int i = 0; i < 100; ++i) queue_.Add(Search(10));
  while (!ended_.empty()) EndOne();
  for (int i = 0; i < 50; ++i) {
    queue_.Add(Search(10));
    EndOne();
  }
  Calls();
  for (int i = 0; i < 2; ++i) queue_.Add(Search(10));
  EXPECT_THAT(Calls(), ElementsAre(1, 1));
}

TEST_F(SearchQueueTest, WhatAsksForOtherThingsWaitsForNothing) {
  const auto queue = [&](auto change) {
    for (int i = 0; i < 3; ++i) {
      QueuedSearch search = Search(10);
      change(search);
      queue_.Add(std::move(search));
    }
  };
  queue([](QueuedSearch&) {});
  queue([](QueuedSearch& search) { search.request.k = 20; });
  queue([](QueuedSearch& search) { search.request.filter = "n = 1"; });
  queue([&](QueuedSearch& search) { search.request.queries[0] = absl::MakeConstSpan(floats_).subspan(0, 7); });
  queue([](QueuedSearch& search) { search.demand.position = 7; });
  EXPECT_THAT(Calls(), ElementsAre(1, 1, 1, 1, 1, 1, 1, 1, 1, 1));
  while (!ended_.empty()) EndOne();
  EXPECT_THAT(Calls(), ElementsAre(1, 1, 1, 1, 1));
  // These go at once, however many they are.
  queue([](QueuedSearch& search) { search.request.view_token = "v"; });
  queue([](QueuedSearch& search) { search.request.keep_view = absl::Seconds(1); });
  queue([](QueuedSearch& search) { search.request.rerank = 10000; });
  queue([](QueuedSearch& search) { search.request.explain = true; });
  queue([&](QueuedSearch& search) { search.request.queries[0] = floats_; });
  queue([&](QueuedSearch& search) { search.request.filter.assign(SearchQueue::kMostKindBytes, ' '); });
  EXPECT_THAT(Calls(), ElementsAre(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1));
}

TEST_F(SearchQueueTest, DeadlinesThatLieFarApartAreOfDifferentCalls) {
  const SteadyTime now = SteadyNow();
  for (const absl::Duration own : {absl::Seconds(1), absl::Seconds(1), absl::Seconds(9), absl::Milliseconds(1050),
                                   absl::InfiniteDuration(), absl::Seconds(1)}) {
    QueuedSearch search = Search(10);
    search.request.deadline = now + own;
    queue_.Add(std::move(search));
  }
  EXPECT_THAT(Calls(), ElementsAre(1, 1));
  QueuedSearch hurried = Search(10);
  hurried.demand.deadline = now + absl::Seconds(2);
  queue_.Add(std::move(hurried));
  while (!ended_.empty()) EndOne();
  EXPECT_THAT(Calls(), ElementsAre(1, 2, 1, 1));
}

TEST_F(SearchQueueTest, ACallHasSoMuchAtMost) {
  for (int i = 0; i < 2; ++i) queue_.Add(Search(10));
  for (int i = 0; i < 3; ++i) queue_.Add(Search(10, 30));
  Calls();
  queue_.Add(Search(10, 1000));  // goes by itself
  EXPECT_THAT(Calls(), ElementsAre(1));
  while (!ended_.empty()) EndOne();
  EXPECT_THAT(Calls(), ElementsAre(2, 1));
  for (int i = 0; i < 40; ++i) queue_.Add(Search(1000));
  while (!ended_.empty()) EndOne();
  EXPECT_THAT(Calls(), ElementsAre(1, 1, 8, 8, 8, 8, 6));
}

TEST_F(SearchQueueTest, NoneWaitsForANodeThatHangs) {
  for (int i = 0; i < 2; ++i) queue_.Add(Search(10));
  Calls();
  for (int i = 0; i < 3; ++i) {
    QueuedSearch old = Search(10);
    old.since = SteadyNow() - SearchQueue::kLongestWait;
    queue_.Add(std::move(old));
  }
  queue_.Add(Search(20));
  EXPECT_THAT(Calls(), ElementsAre(1));
  queue_.Tick();
  EXPECT_THAT(Calls(), ElementsAre(3));
  queue_.Tick();
  EXPECT_THAT(Calls(), IsEmpty());
  queue_.Add(Search(10));
  // A call beyond the usual ones ends, and none takes its place until there are fewer.
  EndOne();
  EXPECT_THAT(Calls(), IsEmpty());
  while (!ended_.empty()) EndOne();
  EXPECT_THAT(Calls(), ElementsAre(1));
}

}  // namespace
}  // namespace bebr
