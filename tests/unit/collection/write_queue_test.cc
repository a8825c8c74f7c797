#include "index/collection/write_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/disk_faults.h"
#include "tests/support/temporary_directory.h"

namespace bebr {
namespace {

constexpr uint32_t kShards = 2;

class WriteQueueTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(CollectionStore::Create(directory_.path() + "/store", kShards, MakeStoreCache(1 << 20)).ok());
    Open();
  }
  void Open() {
    queue_.reset();
    shards_.reset();
    auto shards = ShardSet::Open(directory_.path() + "/store", kShards,
                                 {.spaces = {{0, *ParseCodeSpec("32x1")}}, .versions = {{0, 0}}},
                                 MakeStoreCache(1 << 20, 64 << 20), &pool_, &counters_);
    ASSERT_TRUE(shards.ok()) << shards.status();
    shards_ = *std::move(shards);
    queue_ = std::make_unique<WriteQueue>(shards_.get(), &committers_, &counters_.waits);
  }

  using Done = absl::AnyInvocable<void(absl::StatusOr<MutationResult>)>;
  // A write of one document with a code of `word`.
  std::shared_ptr<WriteQueue::Write> MakeWrite(const std::string& id, uint32_t word, Done done) {
    struct Kept {
      std::string id;
      std::vector<uint32_t> words;
      Attributes attributes;
    };
    auto kept = std::make_shared<Kept>(Kept{id, {word}, {}});
    auto write = std::make_shared<WriteQueue::Write>(kShards, kept, std::move(done));
    Mutation& mutation = write->Add(shards_->ShardOf(id));
    mutation.id = kept->id;
    mutation.attributes = &kept->attributes;
    mutation.codes.push_back({.space = 0, .version = 0, .words = kept->words});
    return write;
  }
  uint64_t documents() const {
    uint64_t documents = 0;
    const auto view = shards_->view();
    for (const auto& shard : view->shards) documents += shard->documents;
    return documents;
  }

  // The attribute "number" of the document that was written last; those of single writes apart, of all.
  int64_t NumberOfAll() const {
    int64_t highest = -1;
    const auto view = shards_->view();
    for (const auto& shard : view->shards) {
      for (const SegmentView& segment : shard->segments) {
        for (uint32_t row = 0; row < segment.rows; ++row) {
          if (segment.deleted != nullptr && segment.deleted->test(row)) continue;
          highest = std::max(highest, segment.segment->attributes().Integer("number", row).value_or(-1));
        }
      }
    }
    return highest;
  }

  uint64_t commits() const {
    const auto counts = counters_.commits.counts().counts;
    return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  }

  testing::TemporaryDirectory directory_;
  ThreadPool pool_{1}, committers_{5};
  CommitCounters counters_;
  std::shared_ptr<ShardSet> shards_;
  std::unique_ptr<WriteQueue> queue_;
};

TEST_F(WriteQueueTest, WritesTakeEffectInTheirOrderHoweverTheyGetReady) {
  std::vector<int> order;  // one thread at a time commits
  std::promise<void> last;
  std::vector<std::shared_ptr<WriteQueue::Write>> writes;
  for (int i = 0; i < 3; ++i) {
    writes.push_back(MakeWrite("a", static_cast<uint32_t>(i), [&, i](const auto& result) {
      EXPECT_TRUE(result.ok());
      order.push_back(i);
      if (i == 2) last.set_value();
    }));
    queue_->Enqueue(writes.back());
  }
  queue_->MarkReady(writes[2]);
  queue_->MarkReady(writes[1]);
  std::future<void> done = last.get_future();
  EXPECT_EQ(done.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  queue_->MarkReady(writes[0]);
  done.wait();
  EXPECT_THAT(order, ::testing::ElementsAre(0, 1, 2));
}

// Whatever waits at once, no batch is larger than some tens of documents can be.
TEST_F(WriteQueueTest, UpdatesOfManyDocumentsAreGroupsOfTheirOwn) {
  const std::string id = "a";
  const AttributeChange change;
  const auto commits_of = [&](size_t documents) {
    const uint64_t before = commits();
    std::promise<void> last;
    std::vector<std::shared_ptr<WriteQueue::Write>> writes;
    for (int i = 0; i < 3; ++i) {
      writes.push_back(std::make_shared<WriteQueue::Write>(kShards, nullptr, [&, i](const auto& result) {
        EXPECT_TRUE(result.ok());
        if (i == 2) last.set_value();
      }));
      for (size_t d = 0; d < documents; ++d) {
        Mutation& mutation = writes.back()->Add(shards_->ShardOf(id));
        mutation.kind = MutationKind::kUpdate;
        mutation.id = id;
        mutation.change = &change;
      }
      queue_->Enqueue(writes.back());
    }
    for (int i = 2; i >= 0; --i) queue_->MarkReady(writes[static_cast<size_t>(i)]);
    last.get_future().wait();
    return commits() - before;
  };
  EXPECT_EQ(commits_of(1), 1u);
  EXPECT_EQ(commits_of(32), 2u);
  EXPECT_EQ(commits_of(1000), 3u);
}

TEST_F(WriteQueueTest, NothingIsCommittedWhileATaskRunsAlone) {
  std::promise<void> written;
  std::future<void> done = written.get_future();
  const absl::Status status = queue_->RunAlone([&] {
    const auto write = MakeWrite("a", 1, [&](const auto&) { written.set_value(); });
    queue_->Enqueue(write);
    queue_->MarkReady(write);
    EXPECT_EQ(done.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
    EXPECT_EQ(documents(), 0u);
    return absl::CancelledError("said by the task");
  });
  EXPECT_EQ(status.message(), "said by the task");
  done.wait();
  EXPECT_EQ(documents(), 1u);
}

// Large writes, whose commits overlap, small ones, updates, which do not, and tasks, all mixed.
TEST_F(WriteQueueTest, OrderHoldsWhileCommitsOverlap) {
  constexpr int kWrites = 600;
  struct Kept {
    std::vector<std::string> ids;
    std::vector<std::vector<uint32_t>> words;
    Attributes attributes;
    AttributeChange change;
  };
  std::atomic<int> answered{0};
  std::promise<void> last;
  for (int i = 0; i < kWrites; ++i) {
    auto kept = std::make_shared<Kept>();
    kept->attributes["number"] = int64_t{i};
    kept->change.set["number"] = int64_t{i};
    auto write =
        std::make_shared<WriteQueue::Write>(kShards, kept, [&, i](const absl::StatusOr<MutationResult>& result) {
          EXPECT_TRUE(result.ok()) << result.status();
          EXPECT_EQ(answered.fetch_add(1), i);
          if (i == kWrites - 1) last.set_value();
        });
    const int documents = i % 7 == 3 ? 1 : 150;
    for (int d = 0; d < documents; ++d) {
      kept->ids.push_back(absl::StrCat(d));
      kept->words.push_back({static_cast<uint32_t>(i)});
    }
    for (int d = 0; d < documents; ++d) {
      Mutation& mutation = write->Add(shards_->ShardOf(kept->ids[d]));
      mutation.id = kept->ids[d];
      mutation.attributes = &kept->attributes;
      if (i % 5 == 4) {
        mutation.kind = MutationKind::kUpdate;
        mutation.change = &kept->change;
      } else {
        mutation.codes.push_back({.space = 0, .version = 0, .words = kept->words[d]});
      }
    }
    queue_->Enqueue(write);
    queue_->MarkReady(write);
    if (i % 50 != 49) continue;
    // The view is of whole writes, and nothing moves.
    EXPECT_TRUE(queue_
                    ->RunAlone([&] {
                      const int before = answered;
                      EXPECT_EQ(NumberOfAll(), before - 1);
                      EXPECT_EQ(answered, before);
                      return absl::OkStatus();
                    })
                    .ok());
  }
  last.get_future().wait();
  EXPECT_EQ(NumberOfAll(), kWrites - 1);
  Open();
  EXPECT_EQ(NumberOfAll(), kWrites - 1);
  EXPECT_EQ(documents(), 150u);
}

// While a log is synced.
class HeldSyncTest : public WriteQueueTest {
 protected:
  HeldSyncTest() {
    testing::ObserveSyncs([](int) {
      while (held_) std::this_thread::yield();
    });
  }
  ~HeldSyncTest() override {
    held_ = false;
    queue_.reset();
    testing::ObserveSyncs(nullptr);
  }
  void SetUp() override {
    WriteQueueTest::SetUp();
    held_ = true;
  }
  void Send(std::vector<std::string> ids) {
    ++sent_;
    auto kept = std::make_shared<std::pair<std::vector<std::string>, Attributes>>(std::move(ids), Attributes());
    auto write = std::make_shared<WriteQueue::Write>(kShards, kept, [this](const auto& result) {
      EXPECT_TRUE(result.ok());
      answered_.fetch_add(1);
    });
    for (const std::string& id : kept->first) {
      Mutation& mutation = write->Add(shards_->ShardOf(id));
      mutation.id = id;
      mutation.attributes = &kept->second;
    }
    queue_->Enqueue(write);
    queue_->MarkReady(write);
  }
  // Writes whose commit has begun.
  uint64_t begun() const {
    const auto counts = counters_.waits.counts().counts;
    return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  }
  void Finish() {
    EXPECT_EQ(answered_, 0);
    held_ = false;
    while (answered_ != sent_) std::this_thread::yield();
  }

  static std::atomic<bool> held_;
  int sent_ = 0;
  std::atomic<int> answered_{0};
};
std::atomic<bool> HeldSyncTest::held_{false};

TEST_F(HeldSyncTest, SmallWritesWaitForEachOtherAndShareTheNextOne) {
  Send({"first"});
  while (begun() != 1) std::this_thread::yield();
  for (int i = 0; i < 64; ++i) Send({absl::StrCat(i)});
  EXPECT_EQ(begun(), 1u);
  Finish();
  EXPECT_EQ(commits(), 2u);
}

TEST_F(HeldSyncTest, ALargeOneIsMadeMeanwhile) {
  Send({"first"});
  while (begun() != 1) std::this_thread::yield();
  std::vector<std::string> many;
  for (int i = 0; i < 300; ++i) many.push_back(absl::StrCat(i));
  Send(many);
  while (begun() != 2) std::this_thread::yield();
  EXPECT_EQ(documents(), 0u);
  Finish();
  EXPECT_EQ(documents(), 301u);
}

TEST_F(WriteQueueTest, EverythingReadyIsCommittedBeforeItEnds) {
  std::atomic<int> answered{0};
  for (int i = 0; i < 100; ++i) {
    const auto write = MakeWrite(absl::StrCat(i), 1, [&](const auto& result) {
      EXPECT_TRUE(result.ok());
      answered.fetch_add(1);
    });
    queue_->Enqueue(write);
    queue_->MarkReady(write);
  }
  queue_.reset();
  EXPECT_EQ(answered, 100);
  Open();
  EXPECT_EQ(documents(), 100u);
}

}  // namespace
}  // namespace bebr
