#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "index/storage/collection_store.h"
#include "index/storage/files.h"
#include "tests/support/disk_faults.h"
#include "tests/support/until.h"

namespace bebr {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::Until;

class CollectionStoreFaultsTest : public ::testing::Test {
 protected:
  CollectionStoreFaultsTest()
      : path_(fs::temp_directory_path() /
              absl::StrCat("bebr-store-", getpid(), "-",
                           ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::remove_all(path_);
    auto store = CollectionStore::Create(path_, 1, MakeStoreCache(1 << 20, 70 << 20));
    EXPECT_TRUE(store.ok()) << store.status();
    if (store.ok()) store_ = *std::move(store);
  }
  ~CollectionStoreFaultsTest() override {
    testing::ClearDiskFault();
    store_.reset();
    fs::remove_all(path_);
  }

  void Open() {
    store_.reset();
    auto store = CollectionStore::Open(path_, 1, MakeStoreCache(1 << 20, 70 << 20));
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  // Writes document `id` with attributes large enough for several writes to the log.
  absl::Status Put(const std::string& id, char fill = 'x', size_t bytes = 3 << 20) {
    CollectionStore::Batch batch;
    batch.PutDocument(0, id, std::string(bytes, fill));
    return store_->Commit(std::move(batch), store_->sequence() + 1).status();
  }

  bool Has(const std::string& id, char fill = 'x') {
    const std::string_view ids[] = {id};
    const auto found = store_->GetDocuments(nullptr, 0, ids, true);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() && (*found)[0].has_value() && (*found)[0]->front() == fill;
  }

  const std::string path_;
  std::unique_ptr<CollectionStore> store_;
};

// What a fault does to one write, for each kind of call on each kind of file it may hit.
struct LogFault {
  const char* what;
  testing::DiskFault fault;
};

class LogFaultTest : public CollectionStoreFaultsTest, public ::testing::WithParamInterface<LogFault> {};

TEST_P(LogFaultTest, RefusedWritesHaveNoEffectAndTheStoreRecovers) {
  ASSERT_TRUE(Put("before").ok());
  testing::SetDiskFault(GetParam().fault);
  EXPECT_FALSE(Put("refused").ok());
  EXPECT_GT(testing::FailedDiskCalls(), 0);
  EXPECT_FALSE(store_->health().ok());
  EXPECT_FALSE(Put("refused too").ok());
  EXPECT_TRUE(Has("before"));
  EXPECT_FALSE(Has("refused"));
  if (GetParam().fault.count < 0) {
    EXPECT_FALSE(store_->Recover().ok());
    EXPECT_FALSE(store_->Recover().ok());
    EXPECT_FALSE(Put("refused too").ok());
  }

  testing::ClearDiskFault();
  Until([&] { return store_->Recover().ok(); }, std::chrono::milliseconds(100));  // RocksDB tries once a second
  ASSERT_TRUE(store_->health().ok()) << store_->health();
  EXPECT_TRUE(Put("after").ok());
  Open();
  EXPECT_TRUE(Has("before"));
  EXPECT_TRUE(Has("after"));
  EXPECT_FALSE(Has("refused"));
}

// The same where nothing is left to be written to table files: a new log must be begun all the same.
TEST_P(LogFaultTest, RecoversWithNothingInMemory) {
  ASSERT_TRUE(Put("before").ok());
  ASSERT_TRUE(store_->Flush().ok());
  testing::SetDiskFault(GetParam().fault);
  EXPECT_FALSE(Put("refused").ok());
  testing::ClearDiskFault();
  Until([&] { return store_->Recover().ok(); }, std::chrono::milliseconds(100));
  EXPECT_TRUE(Put("after").ok());
  Open();
  EXPECT_TRUE(Has("before"));
  EXPECT_TRUE(Has("after"));
  EXPECT_FALSE(Has("refused"));
}

INSTANTIATE_TEST_SUITE_P(
    Faults, LogFaultTest,
    ::testing::Values(
        LogFault{"OneWrite", {.calls = testing::kWriteCall, .path_part = ".log", .count = 1}},
        LogFault{"SecondWrite", {.calls = testing::kWriteCall, .path_part = ".log", .skip = 1, .count = 1}},
        LogFault{"EveryWrite", {.calls = testing::kWriteCall, .path_part = "/bebr-store-"}},
        LogFault{"NoSpace", {.calls = testing::kWriteCall, .path_part = "/bebr-store-", .error = ENOSPC}},
        LogFault{"Quota", {.calls = testing::kWriteCall, .path_part = "/bebr-store-", .error = EDQUOT, .count = 2}},
        LogFault{"OneSync", {.calls = testing::kSyncCall, .path_part = ".log", .count = 1}},
        LogFault{"EverySync", {.calls = testing::kSyncCall, .path_part = "/bebr-store-"}},
        LogFault{"Everything", {.calls = testing::kChangingCalls, .path_part = "/bebr-store-"}}),
    [](const auto& info) { return std::string(info.param.what); });

TEST_F(CollectionStoreFaultsTest, HealthNamesTheFileAndTheError) {
  testing::SetDiskFault({.calls = testing::kSyncCall, .path_part = ".log"});
  ASSERT_FALSE(Put("refused").ok());
  EXPECT_EQ(store_->health().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(store_->health().message()), HasSubstr(path_));
  EXPECT_THAT(std::string(store_->health().message()), HasSubstr("Input/output error"));
}

TEST_F(CollectionStoreFaultsTest, AFullDiskIsResourceExhausted) {
  testing::SetDiskFault({.calls = testing::kWriteCall, .path_part = ".log", .error = ENOSPC});
  const absl::Status status = Put("refused");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("No space left"));
}

// Closing waits for whatever RocksDB has begun to do about the error, which must come to an end.
TEST_F(CollectionStoreFaultsTest, ClosesOnAFullDisk) {
  for (int i = 0; i < 8; ++i) {
    const std::string id = absl::StrCat("kept ", i);
    ASSERT_TRUE(Put(id).ok());
    testing::SetDiskFault({.calls = testing::kWriteCall, .path_part = ".sst", .error = ENOSPC});
    const absl::Status full = store_->Flush();
    EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted) << full;
    if (i % 2 == 1) {
      EXPECT_FALSE(store_->Recover().ok());
    }
    if (i % 5 == 4) usleep(300000);
    store_.reset();
    testing::ClearDiskFault();
    Open();
    EXPECT_TRUE(Has(id));
  }
}

TEST_F(CollectionStoreFaultsTest, GoesOnWhenTheDiskHasRoomAgain) {
  ASSERT_TRUE(Put("before").ok());
  testing::SetDiskFault({.calls = testing::kWriteCall, .path_part = ".sst", .error = ENOSPC});
  EXPECT_FALSE(store_->Flush().ok());
  EXPECT_EQ(store_->health().code(), absl::StatusCode::kResourceExhausted) << store_->health();
  EXPECT_FALSE(store_->Recover().ok());
  testing::ClearDiskFault();
  Until([&] { return store_->Recover().ok(); }, std::chrono::milliseconds(100));
  EXPECT_TRUE(store_->health().ok()) << store_->health();
  EXPECT_TRUE(Put("after").ok());
  EXPECT_TRUE(store_->Flush().ok());
}

// One error of reading, wherever it comes, is told neither as damage of a table file nor as that of another file.
TEST_F(CollectionStoreFaultsTest, OneFailedReadIsNoDamage) {
  ASSERT_TRUE(Put("in a table", 'x', 100).ok());
  ASSERT_TRUE(store_->Flush().ok());
  ASSERT_TRUE(Put("in the log", 'x', 100).ok());
  const CollectionStore::Table table = store_->Tables().front();
  const std::string path = absl::StrCat(path_, "/", table.name);
  int64_t reads = 0;
  for (bool failed = true; failed; ++reads) {
    testing::SetDiskFault({.calls = testing::kReadCall, .path_part = path, .skip = reads, .count = 1});
    const absl::Status status = store_->CheckTable(table);
    EXPECT_TRUE(status.ok()) << status;
    failed = testing::FailedDiskCalls() > 0;
  }
  EXPECT_GT(reads, 2);
  testing::SetDiskFault({.calls = testing::kReadCall, .path_part = path});
  EXPECT_TRUE(absl::IsDataLoss(store_->CheckTable(table)));

  store_.reset();
  testing::ClearDiskFault();
  const std::string opened = path_ + "/opened";
  reads = 0;
  for (bool failed = true; failed; ++reads) {
    fs::remove_all(opened);
    fs::create_directory(opened);
    fs::copy(path_, opened);  // the files alone
    testing::SetDiskFault({.calls = testing::kReadCall, .path_part = opened, .skip = reads, .count = 1});
    const absl::Status first = CollectionStore::Open(opened, 1, MakeStoreCache(1 << 20)).status();
    EXPECT_FALSE(absl::IsDataLoss(first)) << first;
    failed = testing::FailedDiskCalls() > 0;
    testing::ClearDiskFault();
    const absl::Status second = CollectionStore::Open(opened, 1, MakeStoreCache(1 << 20)).status();
    EXPECT_TRUE(second.ok()) << second;
  }
  EXPECT_GT(reads, 10);
}

// The bytes that this process has in memory where its allocator puts them, changed in one bit.
size_t ChangeInMemory(const std::string& inverted) {
  std::string bytes = inverted;
  for (char& byte : bytes) byte = static_cast<char>(~byte);
  const std::string_view own = bytes;
  std::ifstream maps("/proc/self/maps");
  size_t changed = 0;
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0, end = 0;
    char rights[5] = {};
    // Larger ones are the shadows of sanitizers, the lowest of which is small and lies where no allocation does.
    constexpr uintptr_t kMostBytes = uintptr_t{1} << 30, kShadowEnds = uintptr_t{1} << 32;
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights) != 3 || std::string_view(rights) != "rw-p" ||
        end - begin > kMostBytes || end < kShadowEnds || line.find("[stack]") != std::string::npos) {
      continue;
    }
    const std::string_view region(reinterpret_cast<const char*>(begin), end - begin);
    for (size_t at = region.find(bytes); at != std::string_view::npos; at = region.find(bytes, at + 1)) {
      if (region.data() + at == own.data()) continue;
      *const_cast<char*>(region.data() + at + 20) ^= 1;
      ++changed;
    }
  }
  return changed;
}

// What memory changed before it was written to a file is refused there, and is in the log as it was.
TEST_F(CollectionStoreFaultsTest, WhatMemoryChangedIsNotWritten) {
  std::string inverted;
  for (int i = 0; i < 200; ++i) inverted.push_back(static_cast<char>(i * 7919 >> 3));
  {
    std::string bytes = inverted;
    for (char& byte : bytes) byte = static_cast<char>(~byte);
    CollectionStore::Batch batch;
    batch.PutFloats(0, 0, "id", bytes);
    ASSERT_TRUE(store_->Commit(std::move(batch), 1).ok());
  }
  ASSERT_GE(ChangeInMemory(inverted), 1u);
  const absl::Status flushed = store_->Flush();
  EXPECT_EQ(flushed.code(), absl::StatusCode::kDataLoss) << flushed;
  EXPECT_FALSE(store_->health().ok());
  EXPECT_FALSE(Put("another").ok());
  EXPECT_FALSE(store_->Recover().ok());
  Open();
  EXPECT_TRUE(store_->Flush().ok());
  const std::string_view ids[] = {"id"};
  const auto floats = store_->GetFloats(nullptr, 0, 0, ids);
  ASSERT_TRUE(floats.ok()) << floats.status();
  ASSERT_TRUE((*floats)[0].has_value());
  std::string read = *(*floats)[0];
  for (char& byte : read) byte = static_cast<char>(~byte);
  EXPECT_EQ(read, inverted);
  EXPECT_TRUE(Put("another").ok());
}

// A disk that takes nothing when a store is opened: full, mounted read-only, failing. It may still be listed, for which
// directories are opened.
constexpr uint32_t kTakesNothing = testing::kWriteCall | testing::kSyncCall | testing::kRenameCall | testing::kCutCall;

class OpenedForReadingTest : public CollectionStoreFaultsTest, public ::testing::WithParamInterface<int> {};

TEST_P(OpenedForReadingTest, ReadsAndTakesWritesLater) {
  ASSERT_TRUE(Put("flushed", 'a', 100).ok());
  ASSERT_TRUE(store_->Flush().ok());
  ASSERT_TRUE(Put("logged", 'b', 100).ok());
  ASSERT_TRUE(Put("replaced", 'c', 100).ok());
  store_.reset();
  const auto files = [&] {
    std::map<std::string, uint64_t> sizes;
    for (const auto& entry : fs::directory_iterator(path_)) sizes[entry.path().filename()] = entry.file_size();
    return sizes;
  };
  const auto before = files();
  testing::SetDiskFault({.calls = kTakesNothing, .path_part = "/bebr-store-", .error = GetParam()});
  Open();
  EXPECT_GT(testing::FailedDiskCalls(), 0);
  EXPECT_THAT(std::string(store_->health().message()), HasSubstr(std::strerror(GetParam())));
  EXPECT_EQ(store_->sequence(), 3u);
  EXPECT_TRUE(Has("flushed", 'a') && Has("logged", 'b') && Has("replaced", 'c'));
  auto view = store_->MakeView();
  EXPECT_FALSE(Put("refused").ok());
  EXPECT_FALSE(store_->SetGeneration(7).ok());
  EXPECT_FALSE(store_->Flush().ok());
  EXPECT_FALSE(store_->Checkpoint(path_ + "-copy").ok());
  EXPECT_FALSE(store_->CompactSpace(0).ok());
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(store_->Recover().ok());
  for (const auto& [name, bytes] : before) EXPECT_EQ(fs::file_size(path_ + "/" + name), bytes) << name;

  testing::ClearDiskFault();
  const absl::Time end = absl::Now() + absl::Seconds(60);
  while (!store_->Recover().ok() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(5));
  ASSERT_TRUE(store_->health().ok()) << store_->health();
  auto between = store_->MakeView();
  ASSERT_TRUE(Put("replaced", 'd', 100).ok());
  EXPECT_TRUE(Has("flushed", 'a') && Has("logged", 'b') && Has("replaced", 'd'));
  for (const auto& early : {view, between}) {  // as it was, also when that was read while nothing could be written
    const std::string_view ids[] = {"replaced"};
    const auto found = store_->GetDocuments(early.get(), 0, ids, true);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ((*found)[0], std::string(100, 'c'));
  }
  EXPECT_TRUE(store_->Flush().ok());
  // Views keep a store open: that is no disk that takes nothing.
  store_.reset();
  const absl::Status locked = CollectionStore::Open(path_, 1, MakeStoreCache(1 << 20)).status();
  EXPECT_TRUE(absl::IsUnavailable(locked)) << locked;
  view.reset();
  between.reset();
  Open();
  EXPECT_TRUE(store_->health().ok());
  EXPECT_TRUE(Has("flushed", 'a') && Has("logged", 'b') && Has("replaced", 'd') && !Has("refused"));
}

INSTANTIATE_TEST_SUITE_P(Errors, OpenedForReadingTest, ::testing::Values(ENOSPC, EROFS, EDQUOT, EIO),
                         [](const auto& error) { return strerrorname_np(error.param); });

// Every look at a file, or at the directory, fails once while the store is opened: an error, or a store that takes
// writes when the disk does.
TEST_F(CollectionStoreFaultsTest, AFailedLookWhileItIsOpenedPasses) {
  ASSERT_TRUE(Put("one", 'x', 100).ok());
  bool failed = true;
  for (int64_t look = 0; failed; ++look) {
    SCOPED_TRACE(look);
    store_.reset();
    testing::SetDiskFault({.calls = testing::kLookCall, .path_part = "/bebr-store-", .skip = look, .count = 1});
    auto store = CollectionStore::Open(path_, 1, MakeStoreCache(1 << 20));
    failed = testing::FailedDiskCalls() > 0;
    testing::ClearDiskFault();
    if (!store.ok()) store = CollectionStore::Open(path_, 1, MakeStoreCache(1 << 20));
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    const absl::Time end = absl::Now() + absl::Seconds(60);
    while (!store_->Recover().ok() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(5));
    ASSERT_TRUE(store_->health().ok()) << store_->health();
    ASSERT_TRUE(Put("one", 'x', 100).ok());
  }
}

// Another store in the place of one that waits is not taken for it.
TEST_F(CollectionStoreFaultsTest, AStoreThatWaitsTakesNoOther) {
  const std::string other = path_ + "-other";
  ASSERT_TRUE(Put("one", 'x', 100).ok());
  store_.reset();
  fs::copy(path_, other, fs::copy_options::recursive);
  Open();
  ASSERT_TRUE(Put("two", 'x', 100).ok());
  store_.reset();
  testing::SetDiskFault({.calls = kTakesNothing, .path_part = "/bebr-store-", .error = ENOSPC});
  Open();
  EXPECT_TRUE(Has("two"));
  testing::ClearDiskFault();
  fs::remove_all(path_);
  fs::rename(other, path_);
  while (absl::IsResourceExhausted(store_->Recover())) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_TRUE(absl::IsDataLoss(store_->health())) << store_->health();
  EXPECT_FALSE(Put("three").ok());
}

// A store that is built aside costs no sync by itself, and one a file and directory when it is put in its place.
TEST_F(CollectionStoreFaultsTest, BuildingCostsFewSyncs) {
  const std::string built = path_ + "/built";
  testing::SetDiskFault({.calls = testing::kSyncCall, .path_part = built, .count = 0});
  ASSERT_TRUE(CollectionStore::Build(built, 2, MakeStoreCache(1 << 20)).ok());
  EXPECT_EQ(testing::MatchingDiskCalls(), 0);
  ASSERT_TRUE(SyncTree(built).ok());
  EXPECT_GE(testing::MatchingDiskCalls(), 5);  // IDENTITY, CURRENT, MANIFEST, log, FILES
  EXPECT_LE(testing::MatchingDiskCalls(), 12);
  testing::ClearDiskFault();
  const auto store = CollectionStore::Open(built, 2, MakeStoreCache(1 << 20));
  ASSERT_TRUE(store.ok()) << store.status();
  testing::SetDiskFault({.calls = testing::kSyncCall, .path_part = built, .count = 0});
  CollectionStore::Batch batch;
  batch.PutDocument(0, "x", "y");
  EXPECT_TRUE((*store)->Commit(std::move(batch), 1).ok());
  EXPECT_GE(testing::MatchingDiskCalls(), 1);  // what is written to it later is synced
}

}  // namespace
}  // namespace bebr
