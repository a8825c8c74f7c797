#include "index/storage/shard_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/support/temporary_directory.h"

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;
namespace fs = std::filesystem;

class ShardStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    store_.reset();
    auto store = ShardStore::Open(path(), MakeStoreCache(1 << 20, 1 << 20));
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  std::string path() const { return directory_.path() + "/shard"; }
  void Commit(ShardStore::Batch batch) {
    const absl::Status status = store_->Commit(std::move(batch), store_->sequence() + 1);
    ASSERT_TRUE(status.ok()) << status;
  }
  // A document with one code of one word, and floats, in space and embedding 0.
  void Put(const std::string& id, uint32_t word) {
    ShardStore::Batch batch;
    batch.PutDocument(id, "attributes of " + id);
    batch.PutCode(0, id, {.version = 1, .scale = 0.5f, .offset = 2, .words = std::vector<uint32_t>{word}});
    batch.PutFloats(0, id, "floats of " + id);
    Commit(std::move(batch));
  }
  // What VisitDocuments shows: for each document its id, then for each space the code's word or -, then its marks.
  std::vector<std::string> Documents(ShardStore& store, std::vector<uint32_t> spaces,
                                     std::vector<uint32_t> embeddings = {}) {
    std::vector<std::string> seen;
    const absl::Status status = store.VisitDocuments(
        spaces, embeddings, [&](std::string_view id, std::string_view attributes, auto codes, auto marks) {
          std::string line(id);
          EXPECT_EQ(attributes, "attributes of " + line);
          for (const auto& code : codes) line += code.has_value() ? " " + std::to_string(code->words.at(0)) : " -";
          for (const uint32_t mark : marks) line += " m" + std::to_string(mark);
          seen.push_back(line);
          return absl::OkStatus();
        });
    EXPECT_TRUE(status.ok()) << status;
    return seen;
  }
  std::vector<std::string> Documents(std::vector<uint32_t> spaces, std::vector<uint32_t> embeddings = {}) {
    return Documents(*store_, std::move(spaces), std::move(embeddings));
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<ShardStore> store_;
};

TEST_F(ShardStoreTest, KeepsWhatWasCommittedAndItsSequence) {
  EXPECT_EQ(store_->sequence(), 0u);
  EXPECT_THAT(Documents({0}), IsEmpty());
  Put("b", 2);
  Put("a", 1);
  EXPECT_EQ(store_->sequence(), 2u);
  for (int round = 0; round < 3; ++round) {
    EXPECT_THAT(Documents({0}), ElementsAre("a 1", "b 2"));
    EXPECT_EQ(store_->sequence(), 2u);
    const std::vector<std::string_view> ids = {"b", "nobody", "a"};
    EXPECT_THAT(*store_->GetDocuments(nullptr, ids), ElementsAre(Optional(std::string("attributes of b")), std::nullopt,
                                                                 Optional(std::string("attributes of a"))));
    EXPECT_THAT(*store_->GetFloats(nullptr, 0, ids),
                ElementsAre(Optional(std::string("floats of b")), std::nullopt, Optional(std::string("floats of a"))));
    EXPECT_THAT(*store_->GetFloats(nullptr, 1, ids), ElementsAre(std::nullopt, std::nullopt, std::nullopt));
    if (round == 1) {
      ASSERT_TRUE(store_->Flush().ok());
    }
    Open();
  }
}

TEST_F(ShardStoreTest, ABatchReplacesAndDeletes) {
  Put("a", 1);
  Put("b", 2);
  ShardStore::Batch batch;
  EXPECT_GT(batch.bytes(), 0u);
  const size_t empty = batch.bytes();
  batch.PutCode(0, "a", {.version = 3, .words = std::vector<uint32_t>{7}});
  batch.PutCode(5, "a", {.version = 4, .words = std::vector<uint32_t>{8}});
  batch.DeleteDocument("b");
  batch.DeleteCode(0, "b");
  batch.DeleteFloats(0, "b");
  EXPECT_GT(batch.bytes(), empty);
  Commit(std::move(batch));
  EXPECT_THAT(Documents({0, 5, 6}), ElementsAre("a 7 8 -"));
  EXPECT_THAT(*store_->GetFloats(nullptr, 0, std::vector<std::string_view>{"b"}), ElementsAre(std::nullopt));
}

TEST_F(ShardStoreTest, ADocumentWithoutACodeIsVisitedAndACodeWithoutADocumentIsNot) {
  ShardStore::Batch batch;
  batch.PutDocument("a", "attributes of a");
  batch.PutDocument("c", "attributes of c");
  batch.PutCode(0, "b", {.words = std::vector<uint32_t>{2}});
  batch.PutCode(0, "c", {.words = std::vector<uint32_t>{3}});
  Commit(std::move(batch));
  EXPECT_THAT(Documents({0}), ElementsAre("a -", "c 3"));
  EXPECT_THAT(Documents({}), ElementsAre("a", "c"));
}

TEST_F(ShardStoreTest, MarksStandBesideTheCodes) {
  Put("a", 1);
  Put("b", 2);
  ShardStore::Batch batch;
  batch.PutMark(0, "a");
  batch.PutMark(2, "a");
  batch.PutMark(2, "b");
  Commit(std::move(batch));
  EXPECT_THAT(Documents({0}, {0, 1, 2}), ElementsAre("a 1 m0 m2", "b 2 m2"));
  EXPECT_THAT(*store_->StoredSpaces(), ElementsAre(0));  // a mark is no space
  ShardStore::Batch without;
  without.DeleteMark(2, "a");
  Commit(std::move(without));
  EXPECT_THAT(Documents({0}, {0, 1, 2}), ElementsAre("a 1 m0", "b 2 m2"));
}

TEST_F(ShardStoreTest, SpacesAndEmbeddingsAreDroppedWhole) {
  ShardStore::Batch batch;
  for (const std::string id : {"a", "b"}) {
    batch.PutDocument(id, "attributes of " + id);
    for (uint32_t number : {0, 1, 255, 256}) {
      batch.PutCode(number, id, {.words = std::vector<uint32_t>{number}});
      batch.PutFloats(number, id, id);
      batch.PutMark(number, id);
    }
  }
  Commit(std::move(batch));
  EXPECT_THAT(*store_->StoredSpaces(), ElementsAre(0, 1, 255, 256));
  EXPECT_THAT(*store_->StoredEmbeddings(), ElementsAre(0, 1, 255, 256));
  ShardStore::Batch drop;
  drop.DeleteAllCodes(255);
  drop.DeleteAllFloats(1);
  Commit(std::move(drop));
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(*store_->StoredSpaces(), ElementsAre(0, 1, 256));
    EXPECT_THAT(*store_->StoredEmbeddings(), ElementsAre(0, 255, 256));
    EXPECT_THAT(Documents({0, 1, 255, 256}, {0, 1, 255}), ElementsAre("a 0 1 - 256 m0 m255", "b 0 1 - 256 m0 m255"));
    ASSERT_TRUE(store_->CompactSpace(255).ok());
    ASSERT_TRUE(store_->CompactFloats(1).ok());
    Open();
  }
}

TEST_F(ShardStoreTest, AViewSeesNoLaterWrite) {
  Put("a", 1);
  const std::shared_ptr<const ShardStore::View> view = store_->MakeView();
  ShardStore::Batch batch;
  batch.PutDocument("a", "new");
  batch.PutFloats(0, "a", "new");
  batch.PutFloats(0, "b", "new");
  Commit(std::move(batch));
  const std::vector<std::string_view> ids = {"a", "b"};
  EXPECT_THAT(*store_->GetFloats(view.get(), 0, ids), ElementsAre(Optional(std::string("floats of a")), std::nullopt));
  EXPECT_THAT(*store_->GetDocuments(view.get(), ids),
              ElementsAre(Optional(std::string("attributes of a")), std::nullopt));
  EXPECT_THAT(*store_->GetFloats(nullptr, 0, ids),
              ElementsAre(Optional(std::string("new")), Optional(std::string("new"))));
  std::map<std::string, std::string> floats;
  ASSERT_TRUE(store_
                  ->VisitFloats(view.get(), 0,
                                [&](std::string_view id, std::string_view bytes) {
                                  floats.emplace(id, bytes);
                                  return absl::OkStatus();
                                })
                  .ok());
  EXPECT_THAT(floats, ElementsAre(std::pair("a", "floats of a")));
}

TEST_F(ShardStoreTest, VisitingStopsAtTheFirstError) {
  Put("a", 1);
  Put("b", 2);
  size_t seen = 0;
  const auto fail = [&seen] {
    ++seen;
    return absl::CancelledError("enough");
  };
  EXPECT_EQ(store_->VisitDocuments({}, {}, [&](auto, auto, auto, auto) { return fail(); }).message(), "enough");
  const auto view = store_->MakeView();
  EXPECT_EQ(store_->VisitFloats(view.get(), 0, [&](auto, auto) { return fail(); }).message(), "enough");
  EXPECT_EQ(seen, 2u);
}

TEST_F(ShardStoreTest, ACheckpointIsAStoreOfItsOwn) {
  Put("a", 1);
  ASSERT_TRUE(store_->Flush().ok());
  Put("b", 2);  // still in the log
  const std::string copy = directory_.path() + "/copy";
  ASSERT_TRUE(store_->Checkpoint(copy).ok());
  EXPECT_FALSE(store_->Checkpoint(copy).ok());  // it is there
  Put("c", 3);
  auto opened = ShardStore::Open(copy, MakeStoreCache(1 << 20));
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_THAT(Documents(**opened, {0}), ElementsAre("a 1", "b 2"));
  EXPECT_EQ((*opened)->sequence(), 2u);
  EXPECT_THAT(Documents({0}), ElementsAre("a 1", "b 2", "c 3"));
}

TEST_F(ShardStoreTest, AStoreIsOpenOnceAndDamageIsSaid) {
  Put("a", 1);
  EXPECT_EQ(ShardStore::Open(path(), MakeStoreCache(1 << 20)).status().code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(store_->Flush().ok());
  store_.reset();
  for (const auto& entry : fs::directory_iterator(path())) {
    if (entry.path().extension() == ".sst") fs::resize_file(entry.path(), fs::file_size(entry.path()) / 2);
  }
  const auto damaged = ShardStore::Open(path(), MakeStoreCache(1 << 20));
  EXPECT_EQ(damaged.status().code(), absl::StatusCode::kDataLoss) << damaged.status();
}

TEST_F(ShardStoreTest, CountsWhatItDoes) {
  const auto cache = MakeStoreCache(1 << 20);
  auto store = *ShardStore::Open(directory_.path() + "/counted", cache);
  const StorageStats before = SharedStats(*cache);
  ShardStore::Batch batch;
  batch.PutFloats(0, "a", std::string(10000, 'x'));
  ASSERT_TRUE(store->Commit(std::move(batch), 1).ok());
  ASSERT_TRUE(store->Flush().ok());
  StorageStats after = SharedStats(*cache);
  EXPECT_GE(after.wal_bytes, before.wal_bytes + 10000);
  EXPECT_GE(after.wal_syncs, before.wal_syncs + 1);
  EXPECT_GE(after.flushed_bytes, before.flushed_bytes + 10000);
  store->AddStats(after);
  EXPECT_GE(after.file_bytes, 10000u);
}

}  // namespace
}  // namespace bebr
