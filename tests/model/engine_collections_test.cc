// Many small collections: what each costs the process and the disk.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kDims = 8;
constexpr size_t kCollections = 40;

size_t EntriesOf(const char* directory) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(directory)) ++count;
  return count;
}

// What du says.
uint64_t AllocatedBytes(const std::string& directory) {
  uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    struct stat file {};
    if (lstat(entry.path().c_str(), &file) == 0) bytes += static_cast<uint64_t>(file.st_blocks) * 512;
  }
  return bytes;
}

// bench/run collections measures it with a thousand.
TEST(EngineCollectionsTest, EachCostsLittle) {
  const TemporaryDirectory directory;
  const std::string model = RandomModelFile(kDims, *ParseCodeSpec("32x1"), 2, 1);
  const auto vectors = RandomVectors(20, kDims, 2);
  std::unique_ptr<Engine> engine = *Engine::Open({.data_dir = directory.path(), .threads = 2});
  const auto add = [&](size_t number) {
    const std::string name = absl::StrCat("c", number);
    ASSERT_TRUE(engine->CreateCollection({.name = name, .version = "v1", .shards = 1}, model).ok());
    UpsertRequest request{.collection = name};
    for (size_t i = 0; i < vectors.size(); ++i) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat(i);
      document.embeddings.push_back({.values = vectors[i]});
    }
    ASSERT_TRUE(UpsertAndWait(*engine, std::move(request)).ok());
  };
  add(0);
  const size_t threads = EntriesOf("/proc/self/task"), files = EntriesOf("/proc/self/fd");
  for (size_t number = 1; number < kCollections; ++number) add(number);
  const auto expect_cheap = [&] {
    EXPECT_LE(EntriesOf("/proc/self/task"), threads + 4);  // RocksDB begins its own when it first needs them
    EXPECT_LE(EntriesOf("/proc/self/fd"), files + 8 * kCollections);
    EXPECT_LE(AllocatedBytes(directory.path()), kCollections * (2 << 20));
  };
  expect_cheap();
  engine.reset();
  engine = *Engine::Open({.data_dir = directory.path(), .threads = 2});
  ASSERT_EQ(engine->ListCollections().size(), kCollections);
  expect_cheap();
  for (size_t number = 0; number < kCollections; ++number) {
    const auto found =
        SearchAndWait(*engine, {.collection = absl::StrCat("c", number), .queries = {vectors[3]}, .k = vectors.size()});
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->hits[0].size(), vectors.size());
    const auto info = engine->GetCollection(absl::StrCat("c", number));
    ASSERT_TRUE(info.ok());
    EXPECT_GE(info->disk_bytes, 4096u);
  }
}

// Writers and readers that meet a drop are told so, and nothing of this machine; no disk is to blame.
TEST(EngineCollectionsTest, WhoMeetsADropIsToldSo) {
  const TemporaryDirectory directory;
  const std::string model = RandomModelFile(kDims, *ParseCodeSpec("32x1"), 2, 1);
  const auto vectors = RandomVectors(20, kDims, 2);
  const std::unique_ptr<Engine> engine = *Engine::Open({.data_dir = directory.path(), .threads = 2});
  std::atomic<bool> done{false};
  const auto expect_told = [&](const absl::Status& status) {
    EXPECT_TRUE(status.ok() || absl::IsNotFound(status)) << status;
    EXPECT_EQ(std::string(status.message()).find(directory.path()), std::string::npos) << status;
  };
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&, caller] {
      for (size_t i = 0; !done; ++i) {
        UpsertRequest request{.collection = "c"};
        DocumentInput& document = request.documents.emplace_back();
        document.id = absl::StrCat(caller, " ", i % 50);
        document.embeddings.push_back({.values = vectors[i % vectors.size()]});
        expect_told(UpsertAndWait(*engine, std::move(request)).status());
        const std::string ids[] = {absl::StrCat(caller, " ", i % 50)};
        expect_told(engine->Get("c", ids, /*with_embeddings=*/true).status());
      }
    });
  }
  for (int round = 0; round < 15; ++round) {
    ASSERT_TRUE(engine->CreateCollection({.name = "c", .version = "v1", .shards = 2}, model).ok());
    const uint64_t before = engine->Stats().documents_upserted;
    while (engine->Stats().documents_upserted < before + 20) std::this_thread::yield();
    ASSERT_TRUE(engine->DeleteCollection("c").ok());
  }
  done = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(engine->Stats().failed_commits, 0u);
}

}  // namespace
}  // namespace bebr::testing
