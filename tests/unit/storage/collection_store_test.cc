#include "index/storage/collection_store.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "index/storage/format.h"
#include "tests/support/temporary_directory.h"

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
namespace fs = std::filesystem;

constexpr uint32_t kShards = 2;

size_t LogsIn(const std::string& path) {
  size_t logs = 0;
  for (const auto& entry : fs::directory_iterator(path)) logs += entry.path().extension() == ".log" ? 1 : 0;
  return logs;
}

class CollectionStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = CollectionStore::Create(path(), kShards, MakeStoreCache(1 << 20, 1 << 20));
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  void Open() {
    store_.reset();
    auto store = CollectionStore::Open(path(), kShards, MakeStoreCache(1 << 20, 1 << 20));
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  std::string path() const { return directory_.path() + "/store"; }
  void Commit(CollectionStore::Batch batch) {
    const absl::Status status = store_->Commit(std::move(batch), store_->sequence() + 1).status();
    ASSERT_TRUE(status.ok()) << status;
  }
  // A document with one code of one word, and floats, in space and embedding 0.
  void Put(const std::string& id, uint32_t word) {
    CollectionStore::Batch batch;
    batch.PutDocument(0, id, "attributes of " + id);
    batch.PutCode(0, 0, id, {.version = 1, .scale = 0.5f, .offset = 2, .words = std::vector<uint32_t>{word}});
    batch.PutFloats(0, 0, id, "floats of " + id);
    Commit(std::move(batch));
  }
  // What VisitDocuments shows: for each document its id, then for each space the code's word or -, then its marks.
  std::vector<std::string> Documents(CollectionStore& store, std::vector<uint32_t> spaces,
                                     std::vector<uint32_t> embeddings = {}, uint32_t shard = 0) {
    std::vector<std::string> seen;
    const absl::Status status =
        store.VisitDocuments(nullptr, shard, spaces, embeddings,
                             [&](std::string_view id, std::string_view attributes, auto codes, auto marks) {
                               std::string line(id);
                               EXPECT_EQ(attributes, "attributes of " + line);
                               for (const auto& code : codes)
                                 line += code.has_value() ? " " + std::to_string(code->words.at(0)) : " -";
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
  std::unique_ptr<CollectionStore> store_;
};

TEST_F(CollectionStoreTest, KeepsWhatWasCommittedAndItsSequence) {
  EXPECT_EQ(store_->sequence(), 0u);
  EXPECT_THAT(Documents({0}), IsEmpty());
  Put("b", 2);
  Put("a", 1);
  EXPECT_EQ(store_->sequence(), 2u);
  for (int round = 0; round < 3; ++round) {
    EXPECT_THAT(Documents({0}), ElementsAre("a 1", "b 2"));
    EXPECT_EQ(store_->sequence(), 2u);
    const std::vector<std::string_view> ids = {"b", "nobody", "a"};
    EXPECT_THAT(
        *store_->GetDocuments(nullptr, 0, ids, true),
        ElementsAre(Optional(std::string("attributes of b")), std::nullopt, Optional(std::string("attributes of a"))));
    EXPECT_THAT(*store_->GetFloats(nullptr, 0, 0, ids),
                ElementsAre(Optional(std::string("floats of b")), std::nullopt, Optional(std::string("floats of a"))));
    EXPECT_THAT(*store_->GetFloats(nullptr, 1, 0, ids), ElementsAre(std::nullopt, std::nullopt, std::nullopt));
    if (round == 1) {
      ASSERT_TRUE(store_->Flush().ok());
    }
    Open();
  }
}

TEST_F(CollectionStoreTest, GetsTheFormatThatABatchNeeds) {
  for (const uint32_t needed : {kNewestStoreFormat, kStoreFormatVersion, kNewestStoreFormat + 1}) {
    ASSERT_NO_FATAL_FAILURE(Open());
    CollectionStore::Batch batch;
    batch.PutDocument(0, "a", "attributes of a");
    batch.NeedFormat(needed);
    Commit(std::move(batch));
  }
  store_.reset();
  const absl::Status newer = CollectionStore::Open(path(), kShards, MakeStoreCache(1 << 20, 1 << 20)).status();
  EXPECT_EQ(newer.code(), absl::StatusCode::kFailedPrecondition) << newer;
  EXPECT_THAT(std::string(newer.message()), ::testing::HasSubstr("has format 4; this server reads 2 to 3"));
}

TEST_F(CollectionStoreTest, ABatchReplacesAndDeletes) {
  Put("a", 1);
  Put("b", 2);
  CollectionStore::Batch batch;
  EXPECT_GT(batch.bytes(), 0u);
  const size_t empty = batch.bytes();
  batch.PutCode(0, 0, "a", {.version = 3, .words = std::vector<uint32_t>{7}});
  batch.PutCode(5, 0, "a", {.version = 4, .words = std::vector<uint32_t>{8}});
  batch.DeleteDocument(0, "b");
  batch.DeleteCode(0, 0, "b");
  batch.DeleteFloats(0, 0, "b");
  EXPECT_GT(batch.bytes(), empty);
  Commit(std::move(batch));
  EXPECT_THAT(Documents({0, 5, 6}), ElementsAre("a 7 8 -"));
  EXPECT_THAT(*store_->GetFloats(nullptr, 0, 0, std::vector<std::string_view>{"b"}), ElementsAre(std::nullopt));
}

TEST_F(CollectionStoreTest, AShardIsARangeOfEverything) {
  Put("a", 1);
  CollectionStore::Batch batch;
  batch.PutDocument(1, "a", "attributes of a");
  batch.PutDocument(1, "b", "attributes of b");
  batch.PutCode(0, 1, "a", {.words = std::vector<uint32_t>{2}});
  batch.PutFloats(0, 1, "b", "floats of b");
  batch.PutMark(3, 1, "b");
  Commit(std::move(batch));
  EXPECT_THAT(Documents(*store_, {0}, {3}), ElementsAre("a 1"));
  EXPECT_THAT(Documents(*store_, {0}, {3}, 1), ElementsAre("a 2", "b - m3"));
  const std::vector<std::string_view> ids = {"a", "b"};
  EXPECT_THAT(*store_->GetFloats(nullptr, 0, 1, ids), ElementsAre(std::nullopt, Optional(std::string("floats of b"))));
  CollectionStore::Batch without;
  without.DeleteDocument(1, "a");
  without.DeleteCode(0, 1, "a");
  Commit(std::move(without));
  EXPECT_THAT(Documents(*store_, {0}), ElementsAre("a 1"));
  EXPECT_THAT(Documents(*store_, {0}, {}, 1), ElementsAre("b -"));
}

TEST_F(CollectionStoreTest, IsMadeOnce) {
  EXPECT_FALSE(CollectionStore::Create(path(), kShards, MakeStoreCache(1 << 20)).ok());
  store_.reset();
  EXPECT_FALSE(CollectionStore::Create(path(), kShards, MakeStoreCache(1 << 20)).ok());
  const auto missing = CollectionStore::Open(path() + "-nowhere", kShards, MakeStoreCache(1 << 20));
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kDataLoss) << missing.status();
}

TEST_F(CollectionStoreTest, AnotherNumberOfShardsIsDataLoss) {
  store_.reset();
  const auto opened = CollectionStore::Open(path(), kShards + 1, MakeStoreCache(1 << 20));
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss) << opened.status();
}

TEST_F(CollectionStoreTest, ADocumentWithoutACodeIsVisitedAndACodeWithoutADocumentIsNot) {
  CollectionStore::Batch batch;
  batch.PutDocument(0, "a", "attributes of a");
  batch.PutDocument(0, "c", "attributes of c");
  batch.PutCode(0, 0, "b", {.words = std::vector<uint32_t>{2}});
  batch.PutCode(0, 0, "c", {.words = std::vector<uint32_t>{3}});
  Commit(std::move(batch));
  EXPECT_THAT(Documents({0}), ElementsAre("a -", "c 3"));
  EXPECT_THAT(Documents({}), ElementsAre("a", "c"));
}

TEST_F(CollectionStoreTest, MarksStandBesideTheCodes) {
  Put("a", 1);
  Put("b", 2);
  CollectionStore::Batch batch;
  batch.PutMark(0, 0, "a");
  batch.PutMark(2, 0, "a");
  batch.PutMark(2, 0, "b");
  Commit(std::move(batch));
  EXPECT_THAT(Documents({0}, {0, 1, 2}), ElementsAre("a 1 m0 m2", "b 2 m2"));
  EXPECT_THAT(*store_->StoredSpaces(), ElementsAre(0));  // a mark is no space
  CollectionStore::Batch without;
  without.DeleteMark(2, 0, "a");
  Commit(std::move(without));
  EXPECT_THAT(Documents({0}, {0, 1, 2}), ElementsAre("a 1 m0", "b 2 m2"));
}

TEST_F(CollectionStoreTest, SpacesAndEmbeddingsAreDroppedWhole) {
  CollectionStore::Batch batch;
  for (const std::string id : {"a", "b"}) {
    batch.PutDocument(0, id, "attributes of " + id);
    for (uint32_t number : {0, 1, 255, 256}) {
      batch.PutCode(number, 0, id, {.words = std::vector<uint32_t>{number}});
      batch.PutFloats(number, 0, id, id);
      batch.PutMark(number, 0, id);
    }
  }
  Commit(std::move(batch));
  EXPECT_THAT(*store_->StoredSpaces(), ElementsAre(0, 1, 255, 256));
  EXPECT_THAT(*store_->StoredEmbeddings(), ElementsAre(0, 1, 255, 256));
  CollectionStore::Batch drop;
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

// So that a process that ends need not wait for them; the next one does what is left.
TEST_F(CollectionStoreTest, CompactionsEndWhenTheyAreToldTo) {
  Put("a", 1);
  store_->EndCompactions();
  EXPECT_TRUE(absl::IsCancelled(store_->CompactFloats(0))) << store_->CompactFloats(0);
  EXPECT_TRUE(absl::IsCancelled(store_->CompactSpace(0)));
  Put("b", 2);
  ASSERT_TRUE(store_->Flush().ok());
  Open();
  EXPECT_TRUE(store_->CompactFloats(0).ok());
  EXPECT_TRUE(store_->CompactSpace(0).ok());
}

// Also after the end of the process, and where other numbers lie on both sides.
TEST_F(CollectionStoreTest, WhatIsDroppedIsGivenBackInTheBackground) {
  constexpr int kDocuments = 20000;
  const std::string floats(100, 'f');
  const std::vector<uint32_t> words(25);
  CollectionStore::Batch batch;
  for (int i = 0; i < kDocuments; ++i) {
    for (uint32_t number = 0; number < 3; ++number) {
      batch.PutFloats(number, 0, std::to_string(i), floats);
      batch.PutCode(number, 0, std::to_string(i), {.words = words});
    }
  }
  Commit(std::move(batch));
  ASSERT_TRUE(store_->Flush().ok());
  const auto bytes = [&] {
    StorageStats stats;
    store_->AddStats(stats);
    return stats.file_bytes;
  };
  const uint64_t before = bytes();
  store_->EndCompactions();
  CollectionStore::Batch drop;
  drop.DeleteAllCodes(1);
  drop.DeleteAllFloats(1);
  Commit(std::move(drop));
  Open();
  ASSERT_TRUE(store_->Flush().ok());
  for (int i = 0; i < 6000 && bytes() > before * 3 / 4; ++i) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_LT(bytes(), before * 3 / 4);
  EXPECT_THAT(*store_->StoredSpaces(), ElementsAre(0, 2));
  EXPECT_THAT(*store_->StoredEmbeddings(), ElementsAre(0, 2));
}

TEST_F(CollectionStoreTest, AViewSeesNoLaterWrite) {
  Put("a", 1);
  const std::shared_ptr<const CollectionStore::View> view = store_->MakeView();
  CollectionStore::Batch batch;
  batch.PutDocument(0, "a", "new");
  batch.PutFloats(0, 0, "a", "new");
  batch.PutFloats(0, 0, "b", "new");
  Commit(std::move(batch));
  const std::vector<std::string_view> ids = {"a", "b"};
  EXPECT_THAT(*store_->GetFloats(view.get(), 0, 0, ids),
              ElementsAre(Optional(std::string("floats of a")), std::nullopt));
  EXPECT_THAT(*store_->GetDocuments(view.get(), 0, ids, true),
              ElementsAre(Optional(std::string("attributes of a")), std::nullopt));
  EXPECT_THAT(*store_->GetFloats(nullptr, 0, 0, ids),
              ElementsAre(Optional(std::string("new")), Optional(std::string("new"))));
  std::map<std::string, std::string> floats;
  ASSERT_TRUE(store_
                  ->VisitFloats(view.get(), 0, 0,
                                [&](std::string_view id, std::string_view bytes) {
                                  floats.emplace(id, bytes);
                                  return absl::OkStatus();
                                })
                  .ok());
  EXPECT_THAT(floats, ElementsAre(std::pair("a", "floats of a")));
}

TEST_F(CollectionStoreTest, VisitingStopsAtTheFirstError) {
  Put("a", 1);
  Put("b", 2);
  size_t seen = 0;
  const auto fail = [&seen] {
    ++seen;
    return absl::CancelledError("enough");
  };
  EXPECT_EQ(store_->VisitDocuments(nullptr, 0, {}, {}, [&](auto, auto, auto, auto) { return fail(); }).message(),
            "enough");
  const auto view = store_->MakeView();
  EXPECT_EQ(store_->VisitFloats(view.get(), 0, 0, [&](auto, auto) { return fail(); }).message(), "enough");
  EXPECT_EQ(seen, 2u);
}

TEST_F(CollectionStoreTest, ACheckpointIsAStoreOfItsOwn) {
  Put("a", 1);
  ASSERT_TRUE(store_->Flush().ok());
  Put("b", 2);  // still in the log
  const std::string copy = directory_.path() + "/copy";
  ASSERT_TRUE(store_->Checkpoint(copy).ok());
  EXPECT_FALSE(store_->Checkpoint(copy).ok());  // it is there
  Put("c", 3);
  auto opened = CollectionStore::Open(copy, kShards, MakeStoreCache(1 << 20));
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_THAT(Documents(**opened, {0}), ElementsAre("a 1", "b 2"));
  EXPECT_EQ((*opened)->sequence(), 2u);
  EXPECT_THAT(Documents({0}), ElementsAre("a 1", "b 2", "c 3"));
}

TEST_F(CollectionStoreTest, AStoreIsOpenOnceAndDamageIsSaid) {
  Put("a", 1);
  EXPECT_EQ(CollectionStore::Open(path(), kShards, MakeStoreCache(1 << 20)).status().code(),
            absl::StatusCode::kUnavailable);
  ASSERT_TRUE(store_->Flush().ok());
  store_.reset();
  for (const auto& entry : fs::directory_iterator(path())) {
    if (entry.path().extension() == ".sst") fs::resize_file(entry.path(), fs::file_size(entry.path()) / 2);
  }
  const auto damaged = CollectionStore::Open(path(), kShards, MakeStoreCache(1 << 20));
  EXPECT_EQ(damaged.status().code(), absl::StatusCode::kDataLoss) << damaged.status();
}

TEST_F(CollectionStoreTest, CountsWhatItDoes) {
  const auto cache = MakeStoreCache(1 << 20);
  auto store = *CollectionStore::Create(directory_.path() + "/counted", kShards, cache);
  const StorageStats before = SharedStats(*cache);
  CollectionStore::Batch batch;
  batch.PutFloats(0, 0, "a", std::string(10000, 'x'));
  ASSERT_TRUE(store->Commit(std::move(batch), 1).ok());
  ASSERT_TRUE(store->Flush().ok());
  StorageStats after = SharedStats(*cache);
  EXPECT_GE(after.wal_bytes, before.wal_bytes + 10000);
  EXPECT_GE(after.wal_syncs, before.wal_syncs + 1);
  EXPECT_GE(after.flushed_bytes, before.flushed_bytes + 10000);
  store->AddStats(after);
  EXPECT_GE(after.file_bytes, 10000u);
}

// Nothing of a commit can be read before `logged` returns, and the next one may be called from then on.
TEST_F(CollectionStoreTest, CommitsFollowEachOtherInSteps) {
  const std::string_view ids[] = {"a", "b"};
  const auto found = [&](const CollectionStore::View* view) {
    const auto documents = store_->GetDocuments(view, 0, ids, true);
    return (*documents)[0].value_or("-") + (*documents)[1].value_or("-");
  };
  const auto commit = [&](const std::string& id, uint64_t sequence, absl::FunctionRef<void()> logged) {
    CollectionStore::Batch batch(100);
    batch.PutDocument(0, id, id);
    const auto synced = store_->CommitInSteps(std::move(batch), sequence, logged);
    ASSERT_TRUE(synced.ok()) << synced.status();
    EXPECT_GT(*synced, absl::ZeroDuration());
  };
  std::thread second;
  std::promise<void> seen;
  commit("a", 1, [&] {
    EXPECT_EQ(found(nullptr), "--");
    second = std::thread([&] { commit("b", 2, [&] { seen.get_future().wait(); }); });
  });
  EXPECT_EQ(store_->sequence(), 1u);
  EXPECT_EQ(found(nullptr), "a-");
  auto view = store_->MakeView();
  seen.set_value();
  second.join();
  EXPECT_EQ(store_->sequence(), 2u);
  EXPECT_EQ(found(nullptr), "ab");
  EXPECT_EQ(found(view.get()), "a-");
  view.reset();
  Open();
  EXPECT_EQ(store_->sequence(), 2u);
  EXPECT_EQ(found(nullptr), "ab");
}

#if defined(__x86_64__)
// RocksDB's own is a table's, where the processor has an instruction.
TEST(RocksChecksumTest, RocksDbComputesChecksumsByOurFunction) {
  void* const found = dlsym(RTLD_DEFAULT, "_ZN7rocksdb6crc32c6ExtendEjPKcm");
  ASSERT_NE(found, nullptr);
  Dl_info info;
  ASSERT_NE(dladdr(found, &info), 0);
  EXPECT_THAT(info.dli_fname, ::testing::Not(::testing::HasSubstr("librocksdb")));
  const auto extend = reinterpret_cast<uint32_t (*)(uint32_t, const char*, size_t)>(found);
  EXPECT_EQ(extend(0, "123456789", 9), 0xE3069283u);  // the check value of CRC-32C
  EXPECT_EQ(extend(extend(0, "1234", 4), "56789", 5), 0xE3069283u);
}
#endif

// Each start begins a log and keeps those before it: what they hold is written to table files when there are many.
TEST_F(CollectionStoreTest, StartsLeaveFewLogs) {
  std::vector<std::string> expected;
  size_t most = 0;
  for (uint32_t start = 10; start < 60; ++start) {
    if (start % 3 == 0 && start < 40) {  // later ones write nothing
      Put("d" + std::to_string(start), start);
      expected.push_back("d" + std::to_string(start) + " " + std::to_string(start));
    }
    Open();
    most = std::max(most, LogsIn(path()));
    EXPECT_THAT(Documents(*store_, {0}), ElementsAreArray(expected));
  }
  EXPECT_GT(most, 5u);
  EXPECT_LE(most, 10u);  // those that it found, its own, and the new one, until the old ones are removed
  EXPECT_EQ(store_->sequence(), expected.size());
}

TEST_F(CollectionStoreTest, KeepsItsIdentity) {
  EXPECT_EQ(store_->mark().identity, "");  // of an earlier server, say
  ASSERT_TRUE(store_->SetIdentity("c/1").ok());
  Open();
  EXPECT_EQ(store_->mark().identity, "c/1");
  const std::string other = directory_.path() + "/other", copy = directory_.path() + "/copy";
  const auto made = CollectionStore::Create(other, kShards, MakeStoreCache(1 << 20), "d/2");
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ((*made)->mark().identity, "d/2");
  ASSERT_TRUE((*made)->Checkpoint(copy).ok());
  EXPECT_EQ((*CollectionStore::Open(copy, kShards, MakeStoreCache(1 << 20)))->mark().identity, "d/2");
  // A manifest without one says nothing of it.
  const StoreMark without, of_c{.identity = "c/1"}, of_d{.identity = "d/2"};
  EXPECT_TRUE(CheckMark("p", without, of_c).ok());
  EXPECT_TRUE(CheckMark("p", of_c, of_c).ok());
  for (const StoreMark& store : {of_d, without}) {
    const absl::Status status = CheckMark("p", of_c, store);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr("its identity is \"" + store.identity + "\""));
    EXPECT_THAT(std::string(status.message()), HasSubstr("that of the manifest \"c/1\""));
  }
}

// What still comes to a collection that is being dropped is told so, whatever has become of its files.
TEST_F(CollectionStoreTest, OfADroppedCollectionNothingIsThere) {
  Put("a", 1);
  ASSERT_TRUE(store_->Flush().ok());
  store_->Leave();
  fs::rename(path(), directory_.path() + "/aside");
  CollectionStore::Batch batch;
  batch.PutDocument(0, "b", "attributes of b");
  const std::vector<absl::Status> statuses = {store_->Commit(std::move(batch), 2).status(),
                                              store_->health(),
                                              store_->SetGeneration(7),
                                              store_->Flush(),
                                              store_->Checkpoint(directory_.path() + "/checkpoint"),
                                              store_->Recover()};
  for (const absl::Status& status : statuses) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
    EXPECT_EQ(status.message(), "the collection has just been dropped");
  }
  EXPECT_THAT(Documents(*store_, {0}), ElementsAre("a 1"));  // of what is open all the same
}

// A directory that goes from under an open store, or is exchanged: nothing is acknowledged that the next start would
// not find, and nothing is written to the other one. All goes on when it is back.
TEST_F(CollectionStoreTest, NothingIsWrittenToADirectoryThatIsNotInItsPlace) {
  Put("a", 1);
  const std::string aside = directory_.path() + "/aside", copy = directory_.path() + "/copy";
  const auto write = [&] {
    CollectionStore::Batch batch;
    batch.PutDocument(0, "b", "attributes of b");
    return store_->Commit(std::move(batch), store_->sequence() + 1).status();
  };
  const auto files = [](const std::string& path) {
    std::map<std::string, uintmax_t> sizes;
    for (const auto& entry : fs::directory_iterator(path)) sizes[entry.path().filename()] = entry.file_size();
    return sizes;
  };
  fs::copy(path(), copy, fs::copy_options::recursive);
  fs::rename(path(), aside);
  for (const char* what : {"was removed or renamed", "another directory was put into its place"}) {
    const absl::Status status = write();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(what));
    EXPECT_EQ(store_->health(), status);
    EXPECT_FALSE(store_->Recover().ok());
    EXPECT_THAT(Documents(*store_, {0}), ElementsAre("a 1"));
    if (!fs::exists(path())) fs::rename(copy, path());
  }
  const auto before = files(path());
  fs::rename(path(), copy);
  fs::rename(aside, path());
  EXPECT_TRUE(store_->health().ok());
  ASSERT_TRUE(write().ok());
  Open();
  EXPECT_THAT(Documents(*store_, {0}), ElementsAre("a 1", "b -"));
  // At the end, too.
  fs::rename(path(), aside);
  fs::rename(copy, path());
  store_.reset();
  EXPECT_EQ(files(path()), before);
}

}  // namespace
}  // namespace bebr
