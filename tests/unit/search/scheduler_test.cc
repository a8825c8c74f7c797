#include "index/search/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "tests/support/test_models.h"
#include "tests/support/test_shards.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;
using testing::RandomModelFile;
using testing::RandomVectors;
using testing::ReferenceCollection;
using testing::TestShards;

constexpr uint32_t kDims = 12;
constexpr size_t kDocuments = 200;
using Outcome = std::future<absl::StatusOr<SearchResult>>;

class SchedulerTest : public ::testing::Test {
 protected:
  SchedulerTest() : model_(RandomModelFile(kDims, *ParseCodeSpec("40x2"), 4, 1)), shards_(model_, 2) {
    const auto vectors = RandomVectors(kDocuments, kDims, 2);
    for (size_t i = 0; i < kDocuments; ++i) {
      shards_.Put(absl::StrCat("d", i), vectors[i], {{"n", static_cast<int64_t>(i)}, {"text", std::string(50, 'x')}});
    }
    auto manifest = std::make_shared<CollectionManifest>();
    manifest->name = "c";
    manifest->store_floats = FloatStorage::kFloat32;
    manifest->default_version = "v1";
    manifest->spaces.push_back({0, shards_.binarizer().spec()});
    manifest->versions.push_back({.name = "v1", .binarizer = *Binarizer::Parse(model_)});
    manifest_ = std::move(manifest);
  }

  std::unique_ptr<SearchJob> Job(SearchRequest request, Outcome* outcome) const {
    auto prepared = PrepareSearch(std::move(request), manifest_, shards_.shards());
    EXPECT_TRUE(prepared.ok()) << prepared.status();
    std::unique_ptr<SearchJob> job = *std::move(prepared);
    auto promise = std::make_shared<std::promise<absl::StatusOr<SearchResult>>>();  // set_value may outlast get
    *outcome = promise->get_future();
    job->done = [promise](absl::StatusOr<SearchResult> result) { promise->set_value(std::move(result)); };
    return job;
  }
  absl::StatusOr<SearchResult> Run(Scheduler& scheduler, SearchRequest request) const {
    Outcome outcome;
    scheduler.Submit(Job(std::move(request), &outcome));
    return outcome.get();
  }
  static void ExpectHits(const std::vector<SearchHit>& hits, const std::vector<ReferenceCollection::Hit>& expected) {
    ASSERT_EQ(hits.size(), expected.size());
    for (size_t i = 0; i < hits.size(); ++i) {
      EXPECT_EQ(hits[i].id, expected[i].id) << i;
      EXPECT_EQ(hits[i].score, expected[i].score) << i;
    }
  }

  const std::string model_;
  TestShards shards_;
  std::shared_ptr<const CollectionManifest> manifest_;
  const std::vector<std::vector<float>> queries_ = RandomVectors(64, kDims, 3);
};

TEST_F(SchedulerTest, AnswersEveryQueryOfARequest) {
  Scheduler scheduler(2, 1000);
  const auto result =
      Run(scheduler, {.queries = {queries_[0], queries_[1], queries_[2]}, .k = 7, .with_attributes = true});
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->hits.size(), 3u);
  EXPECT_EQ(result->documents_scanned, kDocuments);
  EXPECT_GE(result->timings.queries_in_scan, 3u);
  for (size_t q = 0; q < 3; ++q) {
    ExpectHits(result->hits[q], shards_.reference().Search(queries_[q], 7));
    for (const SearchHit& hit : result->hits[q]) {
      EXPECT_EQ(hit.version, "v1");
      EXPECT_EQ(hit.score_kind, ScoreKind::kEstimated);
      EXPECT_TRUE(hit.its >= 0 && hit.its <= 1);
      EXPECT_EQ(absl::StrCat("d", std::get<int64_t>(hit.attributes.at("n"))), hit.id);
    }
  }
  EXPECT_EQ(scheduler.counters().queries, 3u);
  EXPECT_EQ(scheduler.counters().scans, 1u);
  EXPECT_EQ(scheduler.counters().documents_scanned, 3 * kDocuments);
  EXPECT_EQ(scheduler.queued_queries(), 0u);
}

TEST_F(SchedulerTest, KeepsRequestsApart) {
  Scheduler scheduler(2, 1000);
  std::vector<std::thread> clients;
  for (size_t client = 0; client < 4; ++client) {
    clients.emplace_back([&, client] {
      for (size_t i = client; i < queries_.size(); i += 4) {
        // Some can share a scan, some cannot.
        const bool filtered = i % 3 == 0;
        const size_t k = 1 + i % 9;
        const auto result = Run(scheduler, {.queries = {queries_[i]}, .k = k, .filter = filtered ? "n < 100" : ""});
        ASSERT_TRUE(result.ok()) << result.status();
        const auto accept = [&](const Attributes& a) { return !filtered || std::get<int64_t>(a.at("n")) < 100; };
        ExpectHits(result->hits[0], shards_.reference().Search(queries_[i], k, accept));
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(scheduler.counters().queries, queries_.size());
  EXPECT_LE(scheduler.counters().scans, queries_.size());
}

TEST_F(SchedulerTest, SearchesWithDifferentFiltersShareAScan) {
  Scheduler scheduler(2, 1000);
  std::vector<Outcome> outcomes(20);
  // The first searches keep the scheduler busy, so that the others are there together.
  std::vector<std::span<const float>> many(queries_.begin(), queries_.end());
  std::vector<Outcome> busy(3);
  for (Outcome& outcome : busy) scheduler.Submit(Job({.queries = {many.begin(), many.end()}}, &outcome));
  for (int i = 0; i < 20; ++i)
    scheduler.Submit(Job({.queries = {queries_[i]}, .filter = absl::StrCat("n = ", i)}, &outcomes[i]));
  for (int i = 0; i < 20; ++i) {
    const auto result = outcomes[i].get();
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->hits[0].size(), 1u);
    EXPECT_EQ(result->hits[0][0].id, absl::StrCat("d", i));
    EXPECT_TRUE(result->warnings.empty());
  }
  const auto unknown = Run(scheduler, {.queries = {queries_[0]}, .filter = "nothing = 1"});
  ASSERT_TRUE(unknown.ok());
  EXPECT_EQ(unknown->warnings.size(), 1u);
}

TEST_F(SchedulerTest, RerankedAnswersAreCutByTheirExactScores) {
  Scheduler scheduler(1, 1000);
  const auto exact = shards_.reference().SearchExact(queries_[0], 10);
  const auto result = Run(scheduler, {.queries = {queries_[0]}, .k = 10, .rerank = kDocuments});
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->hits[0].size(), 10u);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(result->hits[0][i].id, exact[i].id);
    EXPECT_EQ(result->hits[0][i].score_kind, ScoreKind::kExact);
  }
  EXPECT_GT(result->timings.rerank_us, 0);
  const float least = (exact[3].score + exact[4].score) / 2;
  const auto cut = Run(scheduler, {.queries = {queries_[0]}, .k = 10, .rerank = kDocuments, .min_score = least});
  ASSERT_TRUE(cut.ok()) << cut.status();
  EXPECT_EQ(cut->hits[0].size(), 4u);
}

// A reader that takes its time with a long list holds up nobody else.
TEST_F(SchedulerTest, LongListsDelayNoShortOnes) {
  Scheduler scheduler(1, 1000);
  std::promise<void> begun, release;
  std::vector<std::unique_ptr<SearchJob>> jobs;
  for (int i = 0; i < 5; ++i) {
    Outcome unused;
    jobs.push_back(Job({.queries = {queries_[i]}, .k = 5000}, &unused));
    jobs.back()->done = [&begun, gate = i == 0 ? std::make_shared<std::shared_future<void>>(release.get_future())
                                               : nullptr](const absl::StatusOr<SearchResult>&) {
      if (gate == nullptr) return;
      begun.set_value();
      gate->wait();
    };
  }
  for (auto& job : jobs) scheduler.Submit(std::move(job));
  begun.get_future().wait();
  for (int i = 0; i < 20; ++i) {
    const auto result = Run(scheduler, {.queries = {queries_[i]}, .k = 3, .rerank = 10});
    ASSERT_TRUE(result.ok()) << result.status();
  }
  release.set_value();
}

// Several collections at once, every kind of search among them: each answer is that of a search alone.
TEST_F(SchedulerTest, AnswersAreTheSameUnderEveryLoad) {
  std::vector<std::shared_ptr<const CollectionManifest>> manifests;
  for (int i = 0; i < 6; ++i) manifests.push_back(std::make_shared<CollectionManifest>(*manifest_));
  const auto request = [&](size_t i) {
    SearchRequest request{.queries = {queries_[i % queries_.size()]}, .k = i % 11 == 0 ? 2000 : 1 + i % 20};
    if (i % 2 == 1) request.filter = absl::StrCat("n >= ", i % 7 * 10, " AND n < ", i % 7 * 10 + (i % 4 == 1 ? 5 : 90));
    if (i % 5 == 2) request.rerank = request.k + 10;
    if (i % 6 == 3) request.first_levels = 1;
    if (i % 12 == 3) request.candidates = request.k + 30;
    for (size_t q = 1; q < i % 3; ++q) request.queries.push_back(queries_[(i + q) % queries_.size()]);
    return request;
  };
  constexpr size_t kRequests = 132;
  std::vector<SearchResult> alone;
  for (size_t i = 0; i < kRequests; ++i) {
    Scheduler scheduler(1, 1000);
    const auto result = Run(scheduler, request(i));
    ASSERT_TRUE(result.ok()) << result.status();
    alone.push_back(*result);
  }
  for (const size_t threads : {1, 2, 5}) {
    // Some of the searches are small: all of few queries, or those whose filter leaves few rows, or most of both.
    const SmallLimits small{threads == 5 ? 2 * kDocuments : 0, 64, threads == 2 ? 0 : size_t{1} << 20};
    Scheduler scheduler(threads, 100000, small);
    std::vector<std::thread> clients;
    for (size_t client = 0; client < 8; ++client) {
      clients.emplace_back([&, client] {
        std::vector<Outcome> outcomes(kRequests);
        for (size_t i = 0; i < kRequests; ++i) {
          std::unique_ptr<SearchJob> job = Job(request(i), &outcomes[i]);
          job->manifest = manifests[(i + client) % manifests.size()];
          (i + client) % 3 == 0 ? scheduler.Submit(std::move(job)) : scheduler.Serve(std::move(job));
        }
        for (size_t i = 0; i < kRequests; ++i) {
          const auto result = outcomes[i].get();
          ASSERT_TRUE(result.ok()) << result.status();
          ASSERT_EQ(result->hits.size(), alone[i].hits.size());
          EXPECT_EQ(result->documents_scanned, alone[i].documents_scanned);
          for (size_t q = 0; q < result->hits.size(); ++q) {
            ASSERT_EQ(result->hits[q].size(), alone[i].hits[q].size()) << i;
            for (size_t h = 0; h < result->hits[q].size(); ++h) {
              EXPECT_EQ(result->hits[q][h].id, alone[i].hits[q][h].id) << i;
              EXPECT_EQ(result->hits[q][h].score, alone[i].hits[q][h].score) << i;
            }
          }
        }
      });
    }
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(scheduler.queued_queries(), 0u);
  }
}

// On the thread that came with them, where nothing else is at work; the answer is there when Serve returns.
TEST_F(SchedulerTest, SmallSearchesWaitForNobody) {
  Scheduler scheduler(1, 1000, {kDocuments, 64});
  const auto at_once = [&](SearchRequest request) {
    Outcome outcome;
    scheduler.Serve(Job(std::move(request), &outcome));
    const bool there = outcome.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    EXPECT_TRUE(outcome.get().ok());
    return there;
  };
  EXPECT_TRUE(at_once({.queries = {queries_[0]}}));
  EXPECT_TRUE(at_once({.queries = {queries_[0]}, .filter = "n >= 0"}));
  EXPECT_TRUE(at_once({.queries = {queries_[0], queries_[1]}, .filter = "n BETWEEN 10 AND 19"}));
  // Beside a scan that does not end.
  std::promise<void> begun, release;
  Outcome unused;
  std::unique_ptr<SearchJob> slow = Job({.queries = {queries_.begin(), queries_.end()}}, &unused);
  slow->done = [&](const absl::StatusOr<SearchResult>&) {
    begun.set_value();
    release.get_future().wait();
  };
  scheduler.Submit(std::move(slow));
  begun.get_future().wait();
  EXPECT_TRUE(at_once({.queries = {queries_[0]}}));
  release.set_value();
  EXPECT_EQ(scheduler.queued_queries(), 0u);
  EXPECT_EQ(scheduler.counters().queries, 5u + queries_.size());
  // What is refused, and what nobody waits for.
  Scheduler narrow(1, 1, {kDocuments, 64});
  Outcome refused, cancelled;
  narrow.Serve(Job({.queries = {queries_[0], queries_[1]}}, &refused));
  EXPECT_EQ(refused.get().status().code(), absl::StatusCode::kResourceExhausted);
  narrow.Serve(Job({.queries = {queries_[0]}, .cancelled = std::make_shared<std::atomic<bool>>(true)}, &cancelled));
  EXPECT_EQ(cancelled.get().status().code(), absl::StatusCode::kCancelled);
}

// More come than run: they are left to those that run, whoever comes first and however each ends.
TEST_F(SchedulerTest, SmallSearchesThatWaitAreRunByOthers) {
  for (int round = 0; round < 20; ++round) {
    std::vector<Outcome> outcomes(240);
    {
      Scheduler scheduler(2, 100000, {kDocuments, 64, /*model_bytes=*/0});
      std::vector<std::thread> clients;
      for (size_t client = 0; client < 6; ++client) {
        clients.emplace_back([&, client] {
          for (size_t i = client; i < outcomes.size(); i += 6) {
            SearchRequest request{.queries = {queries_[i % queries_.size()]}, .k = 1 + i % 5};
            if (i % 4 == 1) request.filter = absl::StrCat("n = ", i % kDocuments);
            if (i % 4 == 2) request.rerank = 10;
            request.with_attributes = i % 7 == 3;
            scheduler.Serve(Job(std::move(request), &outcomes[i]));
          }
        });
      }
      for (std::thread& client : clients) client.join();
      for (Outcome& outcome : outcomes) outcome.wait();
    }
    for (size_t i = 0; i < outcomes.size(); ++i) {
      const auto result = outcomes[i].get();
      ASSERT_TRUE(result.ok()) << result.status();
      if (i % 4 == 1) {
        ASSERT_EQ(result->hits[0].size(), 1u);
        EXPECT_EQ(result->hits[0][0].id, absl::StrCat("d", i % kDocuments));
      } else if (i % 4 != 2) {
        ExpectHits(result->hits[0], shards_.reference().Search(queries_[i % queries_.size()], 1 + i % 5));
      }
    }
  }
}

// What a filter costs is bounded before it is looked up where a search came in: by its size, by what is indexed, and by
// who waits for it.
TEST_F(SchedulerTest, SearchesThatCostMuchAreNotSmall) {
  std::map<std::string, std::pair<std::vector<float>, Attributes>> more;
  const auto vectors = RandomVectors(4000, kDims, 4);
  for (size_t i = 0; i < vectors.size(); ++i)
    more[absl::StrCat("more", i)] = {vectors[i], {{"n", static_cast<int64_t>(1000 + i)}, {"text", std::string("y")}}};
  shards_.PutAll(more);
  ThreadPool pool(1);
  SmallSearches picked({0, 64}, 1, pool, [](auto) {}), any({100000, 64}, 1, pool, [](auto) {});
  const auto is_small = [&](SmallSearches& searches, std::string filter, bool cancelled = false) {
    Outcome unused;
    return searches.IsSmall(*Job({.queries = {queries_[0]},
                                  .filter = std::move(filter),
                                  .cancelled = std::make_shared<std::atomic<bool>>(cancelled)},
                                 &unused));
  };
  const std::string few = R"(n = 7 AND text != "z")";
  EXPECT_FALSE(is_small(picked, few));  // nothing is indexed yet,
  EXPECT_TRUE(is_small(any, few));      // which is all the same where all rows are few
  Scheduler scheduler(2, 1000);
  ASSERT_TRUE(Run(scheduler, {.queries = {queries_[0]}, .filter = few}).ok());
  EXPECT_TRUE(is_small(picked, few));
  EXPECT_TRUE(is_small(picked, "n = 7 AND n CONTAINS 1"));  // no list: nothing to be indexed
  EXPECT_FALSE(is_small(picked, few, /*cancelled=*/true));
  EXPECT_FALSE(is_small(picked, "n >= 0"));
  std::string many = "n = 7 AND NOT n IN (0";
  for (int i = 0; i < 64; ++i) absl::StrAppend(&many, ", ", 100000 + i);
  for (const std::string& costly : {many + ")", std::string(R"(n = 7 AND text STARTS WITH "x")")}) {
    EXPECT_FALSE(is_small(picked, costly)) << costly;
    EXPECT_FALSE(is_small(any, costly)) << costly;
    const auto result = Run(scheduler, {.queries = {queries_[0]}, .filter = costly});
    ASSERT_TRUE(result.ok() && result->hits[0].size() == 1) << result.status();
    EXPECT_EQ(result->hits[0][0].id, "d7");
  }
}

// Until others have read floats, whose codes take all that codes may.
TEST_F(SchedulerTest, SmallSearchesThatReadTheStoreWaitForRoom) {
  Scheduler scheduler(2, 1000, {kDocuments, 64});
  std::promise<void> begun, release;
  Outcome unused, waiting, other;
  std::unique_ptr<SearchJob> slow = Job({.queries = {queries_[0]}, .rerank = 10}, &unused);
  slow->query_memory = Scheduler::kMostCodes;
  slow->done = [&](const absl::StatusOr<SearchResult>&) {
    begun.set_value();
    release.get_future().wait();
  };
  scheduler.Serve(std::move(slow));
  begun.get_future().wait();
  scheduler.Serve(Job({.queries = {queries_[1]}, .rerank = 10}, &waiting));
  EXPECT_EQ(scheduler.queued_queries(), 1u);
  scheduler.Serve(Job({.queries = {queries_[2]}}, &other));
  EXPECT_EQ(other.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  release.set_value();
  EXPECT_TRUE(waiting.get().ok());
}

// Those that come at the same time all find nobody waiting; but only so many may wait for room then.
TEST_F(SchedulerTest, SmallSearchesThatWaitForRoomAreNoMoreThanMayWait) {
  constexpr size_t kMost = 1, kClients = 4;
  for (int round = 0; round < 20; ++round) {
    Scheduler scheduler(2, kMost, {kDocuments, 64});
    std::promise<void> begun, release;
    Outcome unused;
    std::unique_ptr<SearchJob> slow = Job({.queries = {queries_[0]}, .rerank = 10}, &unused);
    slow->query_memory = Scheduler::kMostCodes;
    slow->done = [&](const absl::StatusOr<SearchResult>&) {
      begun.set_value();
      release.get_future().wait();
    };
    scheduler.Serve(std::move(slow));
    begun.get_future().wait();
    std::vector<Outcome> outcomes(kClients);
    std::vector<std::thread> clients;
    std::atomic<size_t> ready = 0;
    for (Outcome& outcome : outcomes) {
      clients.emplace_back([&, job = Job({.queries = {queries_[1]}, .rerank = 10}, &outcome)]() mutable {
        for (++ready; ready < kClients;) continue;
        scheduler.Serve(std::move(job));
      });
    }
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(scheduler.queued_queries(), kMost);
    release.set_value();
    size_t refused = 0;
    for (Outcome& outcome : outcomes) {
      const absl::Status status = outcome.get().status();
      EXPECT_TRUE(status.ok() || absl::IsResourceExhausted(status)) << status;
      refused += status.ok() ? 0 : 1;
    }
    EXPECT_EQ(refused, kClients - kMost);
    EXPECT_EQ(scheduler.counters().refused_queries, refused);
  }
}

// They count among those that wait, and are answered, but no longer run.
TEST_F(SchedulerTest, SmallSearchesThatWaitAtTheEndAreUnavailable) {
  auto* scheduler = new Scheduler(1, /*max_queued_queries=*/1, {kDocuments, 64, /*model_bytes=*/0});
  std::promise<void> begun, release;
  Outcome unused, waiting;
  std::unique_ptr<SearchJob> slow = Job({.queries = {queries_[0]}}, &unused);
  slow->done = [&](const absl::StatusOr<SearchResult>&) {
    begun.set_value();
    release.get_future().wait();
  };
  std::thread client([&] { scheduler->Serve(std::move(slow)); });
  begun.get_future().wait();
  scheduler->Serve(Job({.queries = {queries_[1]}}, &waiting));
  Outcome refused;
  scheduler->Submit(Job({.queries = {queries_[2]}}, &refused));
  EXPECT_EQ(refused.get().status().code(), absl::StatusCode::kResourceExhausted);
  std::thread end([&] { delete scheduler; });  // waits for the client
  for (absl::Status status; !absl::IsUnavailable(status);) {
    Outcome outcome;
    scheduler->Submit(Job({.queries = {queries_[2]}}, &outcome));
    status = outcome.get().status();
  }
  release.set_value();
  client.join();
  end.join();
  EXPECT_TRUE(absl::IsUnavailable(waiting.get().status()));
}

TEST_F(SchedulerTest, ScansForManyQueriesInPartsOfOneView) {
  Scheduler scheduler(2, 1000);
  const auto vectors = RandomVectors(200, kDims, 7);
  SearchRequest request{.queries = {vectors.begin(), vectors.end()}, .k = 5, .offset = 2, .filter = "n < 150"};
  int parts = 0;
  // Asked once a part: what is written meanwhile is in no part.
  request.take_memory = [&](uint64_t) {
    for (int i = 0; parts == 0 && i < 20; ++i) shards_.Put(absl::StrCat("later", i), vectors[180 + i], {{"n", 1}});
    ++parts;
    return absl::OkStatus();
  };
  std::vector<std::vector<SearchHit>> alone;
  uint64_t documents = 0;
  for (const auto& vector : vectors) {
    const auto one = Run(scheduler, {.queries = {vector}, .k = 5, .offset = 2, .filter = "n < 150"});
    ASSERT_TRUE(one.ok()) << one.status();
    alone.push_back(one->hits[0]);
    documents = one->documents_scanned;
  }
  const auto result = Run(scheduler, request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(parts, 4);
  EXPECT_EQ(result->timings.queries_in_scan, 64u);
  EXPECT_EQ(result->documents_scanned, documents);
  ASSERT_EQ(result->hits.size(), vectors.size());
  for (size_t q = 0; q < vectors.size(); ++q) {
    ASSERT_EQ(result->hits[q].size(), 5u);
    for (size_t h = 0; h < 5; ++h) {
      EXPECT_EQ(result->hits[q][h].id, alone[q][h].id) << q;
      EXPECT_EQ(result->hits[q][h].score, alone[q][h].score) << q;
    }
  }
  // An error of a part is the answer, and ends the search.
  int asked = 0;
  request.take_memory = [&](uint64_t) {
    return ++asked < 2 ? absl::OkStatus() : absl::ResourceExhaustedError("too much");
  };
  EXPECT_EQ(Run(scheduler, request).status().message(), "too much");
  EXPECT_EQ(asked, 2);
}

TEST_F(SchedulerTest, RefusesMoreThanMayWait) {
  Scheduler scheduler(1, 2);
  const auto refused = Run(scheduler, {.queries = {queries_[0], queries_[1], queries_[2]}});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("3 queries"));
  EXPECT_EQ(scheduler.counters().refused_queries, 3u);
  EXPECT_TRUE(Run(scheduler, {.queries = {queries_[0], queries_[1]}}).ok());
}

TEST_F(SchedulerTest, AsksForMemoryBeforeItTakesIt) {
  Scheduler scheduler(2, 1000);
  Mutex mutex;
  std::vector<uint64_t> asked;
  uint64_t most = uint64_t{1} << 40;
  SearchRequest request{.queries = {queries_[0], queries_[1]}, .k = 50, .explain = true};
  request.take_memory = [&](uint64_t bytes) {
    MutexLock lock(&mutex);
    asked.push_back(bytes);
    return bytes <= most ? absl::OkStatus() : absl::ResourceExhaustedError("too much");
  };
  ASSERT_TRUE(Run(scheduler, request).ok());
  ASSERT_EQ(asked.size(), 1u);  // for all hits, at once
  EXPECT_GE(asked[0], 2 * 50 * (sizeof(SearchHit) + sizeof(Explanation) + sizeof(BandExplanation)));
  // For as many as there are, whatever k is.
  request.k = 5000;
  ASSERT_TRUE(Run(scheduler, request).ok());
  EXPECT_EQ(asked[1], asked[0] / 50 * kDocuments);
  request.with_attributes = true;
  ASSERT_TRUE(Run(scheduler, request).ok());
  EXPECT_GT(asked.size(), 3u);
  for (size_t i = 3; i < asked.size(); ++i) EXPECT_LT(asked[i], asked[2]);  // some hits' attributes at a time
  // The first refusal is the answer.
  asked.clear();
  most = 1000;
  EXPECT_EQ(Run(scheduler, request).status().message(), "too much");
  EXPECT_EQ(asked.size(), 1u);
}

TEST_F(SchedulerTest, SearchesThatStopLeaveTheOthersOfTheirFilterAlone) {
  Scheduler scheduler(2, 1000);
  // Stopped once the scan has begun: those that have stopped before never get there.
  SearchRequest stopping{.queries = {queries_[0]}, .filter = "n >= 0"};
  stopping.cancelled = std::make_shared<std::atomic<bool>>(false);
  std::vector<std::span<const float>> many(queries_.begin(), queries_.end());
  for (int round = 0; round < 20; ++round) {
    std::vector<Outcome> busy(3);
    for (Outcome& outcome : busy) scheduler.Submit(Job({.queries = {many.begin(), many.end()}}, &outcome));
    *stopping.cancelled = false;
    Outcome stopped, other;
    scheduler.Submit(Job(stopping, &stopped));
    scheduler.Submit(Job({.queries = {queries_[1]}, .k = 5, .filter = "n >= 0"}, &other));
    *stopping.cancelled = true;
    const auto answer = stopped.get();
    EXPECT_TRUE(answer.ok() || absl::IsCancelled(answer.status())) << answer.status();
    const auto result = other.get();
    ASSERT_TRUE(result.ok()) << result.status();
    ExpectHits(result->hits[0], shards_.reference().Search(queries_[1], 5));
  }
}

TEST_F(SchedulerTest, RefusesAnswersThatAreTooLarge) {
  Scheduler scheduler(2, 1000);
  SearchRequest request{.queries = {queries_[0], queries_[1]}, .k = 100, .max_result_bytes = 2 * 100 * (4 + 16 + 5)};
  EXPECT_TRUE(Run(scheduler, request).ok());
  request.with_attributes = true;
  EXPECT_EQ(Run(scheduler, request).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(SchedulerTest, EndsSearchesThatNobodyWaitsFor) {
  Scheduler scheduler(1, 1000);
  auto cancelled = std::make_shared<std::atomic<bool>>(true);
  EXPECT_EQ(Run(scheduler, {.queries = {queries_[0]}, .cancelled = cancelled}).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(Run(scheduler, {.queries = {queries_[0]}, .deadline = SteadyNow() - absl::Seconds(1)}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  cancelled->store(false);
  EXPECT_TRUE(
      Run(scheduler, {.queries = {queries_[0]}, .deadline = SteadyNow() + absl::Hours(1), .cancelled = cancelled})
          .ok());
}

TEST_F(SchedulerTest, AnswersEverybodyWhenItEnds) {
  std::vector<Outcome> outcomes(201);
  const auto many = RandomVectors(900, kDims, 7);
  {
    Scheduler scheduler(2, 2000);
    scheduler.Submit(Job({.queries = {many.begin(), many.end()}}, &outcomes[200]));
    for (size_t i = 0; i < 200; ++i) {
      scheduler.Submit(Job({.queries = {queries_[i % queries_.size()]}}, &outcomes[i]));
    }
  }
  for (Outcome& outcome : outcomes) {
    ASSERT_EQ(outcome.wait_for(std::chrono::seconds(0)), std::future_status::ready);
    const auto result = outcome.get();
    EXPECT_TRUE(result.ok() || result.status().code() == absl::StatusCode::kUnavailable) << result.status();
  }
}

}  // namespace
}  // namespace bebr
