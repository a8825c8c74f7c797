#include "index/collection/write_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
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

  uint64_t commits() const {
    const auto counts = counters_.commits.counts().counts;
    return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  }

  testing::TemporaryDirectory directory_;
  ThreadPool pool_{1}, committers_{2};
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
