#include "index/collection/scrubber.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/disk_faults.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_models.h"

namespace bebr {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr uint32_t kDims = 8;
constexpr size_t kDocuments = 700;
constexpr absl::Duration kPatience = absl::Minutes(5);  // its thread yields to all others

class ScrubberTest : public ::testing::Test {
 protected:
  void SetUp() override {
    shared_.cache = MakeStoreCache(1 << 20);
    auto registry = Registry::Open(directory_.path(), &shared_);
    ASSERT_TRUE(registry.ok()) << registry.status();
    registry_ = *std::move(registry);
    ASSERT_TRUE(registry_->Load().ok());
  }
  // A collection with documents, in table files.
  std::shared_ptr<Collection> MakeCollection(uint32_t groups) {
    const CodeSpec spec = testing::WithGroups(*ParseCodeSpec("40x2"), groups);
    const std::string model = testing::RandomModelFile(kDims, spec, 4, 1);
    CollectionManifest manifest;
    manifest.name = absl::StrCat("groups", groups);
    manifest.shards = 2;
    manifest.default_version = "v1";
    manifest.spaces = {{0, spec}};
    manifest.next_space = 1;
    manifest.versions.push_back({.number = 0, .name = "v1", .binarizer = *Binarizer::Parse(model)});
    EXPECT_TRUE(registry_->Create(manifest, model).ok());
    auto collection = *registry_->Find(manifest.name);
    UpsertRequest request{.collection = manifest.name};
    vectors_ = testing::RandomVectors(kDocuments, kDims, 7);
    for (size_t i = 0; i < kDocuments; ++i) {
      request.documents.push_back({.id = absl::StrCat("d", i),
                                   .attributes = {{"text", absl::StrCat("t", i % 50)},
                                                  {"number", static_cast<int64_t>(i)},
                                                  {"list", AttributeList{"a", static_cast<int64_t>(i % 3)}},
                                                  {"stored", std::string(2 * kMaxIndexedTextBytes, 's')}},
                                   .embeddings = {{.values = vectors_[i]}}});
    }
    std::promise<absl::Status> written;
    collection->Upsert(std::move(request), [&](const auto& result) { written.set_value(result.status()); });
    EXPECT_TRUE(written.get_future().get().ok());
    EXPECT_TRUE(collection->shards()->store().Flush().ok());
    return collection;
  }
  // All ids with their codes as searches see them.
  static std::vector<std::string> Codes(const Collection& collection) {
    std::vector<std::string> codes;
    const auto view = collection.shards()->view();
    for (const auto& shard : view->shards) {
      for (const SegmentView& segment : shard->segments) {
        for (uint32_t row = 0; row < segment.rows; ++row) {
          if (segment.deleted != nullptr && segment.deleted->test(row)) continue;
          std::vector<uint32_t> words(segment.spaces[0].column->code_words());
          const CodeFactors factors = segment.spaces[0].Load(row, words.data());
          codes.push_back(absl::StrCat(std::string(segment.segment->id(row)), " ", factors.scale, " ", factors.group));
          for (const uint32_t word : words) absl::StrAppend(&codes.back(), " ", word);
        }
      }
    }
    std::sort(codes.begin(), codes.end());
    return codes;
  }
  // A column of the first segment of a shard, likewise.
  static AttributeColumns::Column& Column(const Collection& collection, size_t shard, const std::string& name) {
    return *collection.shards()->view()->shards[shard]->segments[0].attributes->at(name);
  }
  // All ids with their attributes as filters see them.
  static std::vector<std::string> AttributesOf(const Collection& collection) {
    std::vector<std::string> all;
    const auto view = collection.shards()->view();
    for (const auto& shard : view->shards) {
      for (const SegmentView& segment : shard->segments) {
        for (uint32_t row = 0; row < segment.rows; ++row) {
          if (segment.deleted != nullptr && segment.deleted->test(row)) continue;
          all.emplace_back(segment.segment->id(row));
          for (const auto& [name, column] : *segment.attributes) {
            const AttributeType type = column->types[row];
            const uint64_t value = column->values[row];
            const bool text = type == AttributeType::kString || type == AttributeType::kList;
            absl::StrAppend(&all.back(), " ", name, static_cast<int>(type), " ",
                            text ? shard->dictionary->Text(static_cast<uint32_t>(value)) : absl::StrCat(value));
          }
        }
      }
    }
    std::sort(all.begin(), all.end());
    return all;
  }
  // The first block of a shard, as memory that fails would change it.
  static std::byte* FirstBlock(const Collection& collection, size_t shard) {
    const auto view = collection.shards()->view();
    return const_cast<std::byte*>(view->shards[shard]->segments[0].spaces[0].column->block(0));
  }
  template <typename Condition>
  static bool Await(const Condition& condition) {
    for (const SteadyTime end = SteadyNow() + kPatience; SteadyNow() < end;) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }

  testing::TemporaryDirectory directory_;
  EngineShared shared_{2, uint64_t{1} << 30, /*from_log=*/false};
  std::unique_ptr<Registry> registry_;
  std::vector<std::vector<float>> vectors_;
};

TEST_F(ScrubberTest, CodesInMemoryAreMended) {
  const std::vector<std::shared_ptr<Collection>> collections = {MakeCollection(1), MakeCollection(3)};
  std::vector<std::vector<std::string>> before;
  for (const auto& collection : collections) {
    before.push_back(Codes(*collection));
    *FirstBlock(*collection, 0) ^= std::byte{1};     // of level 0
    FirstBlock(*collection, 1)[5] ^= std::byte{32};  // of another document
    ASSERT_NE(Codes(*collection), before.back());
  }
  Scrubber scrubber(registry_.get(), {.interval = absl::Milliseconds(50)});
  EXPECT_TRUE(Await([&] { return scrubber.counters().mended >= 4; }));
  for (size_t c = 0; c < collections.size(); ++c) {
    EXPECT_EQ(Codes(*collections[c]), before[c]);
    EXPECT_TRUE(collections[c]->damage().ok()) << collections[c]->damage();
  }
  // Nothing else is written: two more passes find all of it as it is stored.
  const uint64_t bytes = scrubber.counters().bytes;
  EXPECT_TRUE(Await([&] { return scrubber.counters().bytes > 3 * bytes; }));
  EXPECT_EQ(scrubber.counters().mended, 4u);
}

// What was mended says that this memory changes what it holds: the next start is to read the store.
TEST_F(ScrubberTest, NoLayoutFileIsWrittenOfMemoryThatWasMended) {
  ShardSet::LeastLayoutDocuments() = 0;
  const auto collection = MakeCollection(1);
  const auto has_layout = [&] {
    return std::filesystem::exists(LayoutPath(StorePath(registry_->PathOf(*collection)), 0));
  };
  LayoutLimits limits;
  collection->SaveLayout(limits);
  EXPECT_TRUE(has_layout());
  *FirstBlock(*collection, 0) ^= std::byte{1};
  const Scrubber scrubber(registry_.get(), {.interval = absl::Milliseconds(10), .bytes_per_s = 0});
  ASSERT_TRUE(Await([&] { return scrubber.counters().mended >= 1; }));
  ASSERT_TRUE(Await([&] {
    collection->SaveLayout(limits);
    return !has_layout();
  }));
}

TEST_F(ScrubberTest, AttributesInMemoryAreMended) {
  const auto collection = MakeCollection(3);
  const std::vector<std::string> before = AttributesOf(*collection), codes = Codes(*collection);
  Column(*collection, 0, "text").values[1] ^= uint64_t{1} << 40;          // no text has this number
  Column(*collection, 0, "text").values[2] ^= 1;                          // another text's
  Column(*collection, 0, "number").values[3] ^= 4;                        //
  Column(*collection, 0, "number").types[4] = AttributeType::kTimestamp;  //
  Column(*collection, 0, "list").types[5] = AttributeType::kAbsent;       // it has no value
  Column(*collection, 1, "stored").types[6] = AttributeType::kAbsent;     //
  Column(*collection, 1, "stored").types[7] = AttributeType::kString;     // one that is not in memory
  FirstBlock(*collection, 1)[5] ^= std::byte{32};                         // and a code
  Scrubber scrubber(registry_.get(), {.interval = absl::Milliseconds(50)});
  EXPECT_TRUE(Await([&] { return scrubber.counters().mended >= 8; }));
  EXPECT_EQ(AttributesOf(*collection), before);
  EXPECT_EQ(Codes(*collection), codes);
  EXPECT_TRUE(collection->damage().ok()) << collection->damage();
  const uint64_t bytes = scrubber.counters().bytes;
  EXPECT_TRUE(Await([&] { return scrubber.counters().bytes > 3 * bytes; }));
  EXPECT_EQ(scrubber.counters().mended, 8u);
}

// A text's number that became another text's: the row, which is deleted now, will take one from this other text when it
// goes, so there is one more.
TEST_F(ScrubberTest, ARowThatWasMendedTakesNoTextOfOthers) {
  const auto collection = MakeCollection(1);
  uint64_t& number = Column(*collection, 0, "text").values[2];
  ASSERT_NE(number, Column(*collection, 0, "text").values[3]);
  number = Column(*collection, 0, "text").values[3];
  Scrubber scrubber(registry_.get(), {.interval = absl::Milliseconds(50)});
  ASSERT_TRUE(Await([&] { return scrubber.counters().mended == 1; }));
  const auto view = collection->shards()->view();
  const SegmentView& segment = view->shards[0]->segments[0];
  const AttributeColumns::Column& column = *segment.attributes->at("text");
  const auto wrong = static_cast<uint32_t>(number);
  const auto rows = std::count(column.values.data(), column.values.data() + segment.rows, number) - 1;
  ASSERT_GT(rows, 0);
  AttributeDictionary& dictionary = const_cast<AttributeDictionary&>(*view->shards[0]->dictionary);
  const std::string text = dictionary.Text(wrong);
  dictionary.Release(std::vector<uint32_t>(rows, wrong));
  EXPECT_EQ(dictionary.Find(text), wrong);
  dictionary.Release({wrong});
  EXPECT_FALSE(dictionary.Find(text).has_value());
}

TEST_F(ScrubberTest, ARowThatIsNotStoredIsTold) {
  const auto collection = MakeCollection(1);
  {
    const auto view = collection->shards()->view();
    const_cast<char*>(view->shards[0]->segments[0].segment->id(3).data())[0] = 'X';
  }
  Scrubber scrubber(registry_.get(), {.interval = absl::Milliseconds(50)});
  EXPECT_TRUE(Await([&] { return absl::IsDataLoss(collection->damage()); }));
  EXPECT_THAT(std::string(collection->damage().message()), HasSubstr("with id \"X"));
  EXPECT_THAT(collection->Info().damage, HasSubstr("A restart reads them again"));
  EXPECT_EQ(scrubber.counters().mended, 0u);
}

TEST_F(ScrubberTest, ADamagedFileIsTold) {
  const auto whole = MakeCollection(1), damaged = MakeCollection(3);
  const fs::path store = StorePath(registry_->PathOf(*damaged));
  const std::string table = damaged->shards()->store().Tables().front().name;
  std::fstream file(store / table, std::ios::in | std::ios::out | std::ios::binary);
  const auto flip = [&] {
    file.seekg(40);
    const char byte = static_cast<char>(file.get() ^ 8);
    file.seekp(40);
    file.put(byte).flush();
  };
  flip();
  Scrubber scrubber(registry_.get(), {.interval = absl::Milliseconds(50)});
  EXPECT_TRUE(Await([&] { return absl::IsDataLoss(damaged->damage()); }));
  EXPECT_THAT(std::string(damaged->damage().message()), HasSubstr((store / table).string()));
  EXPECT_TRUE(whole->damage().ok()) << whole->damage();
  EXPECT_EQ(Codes(*damaged).size(), kDocuments);
  flip();
  EXPECT_TRUE(Await([&] { return damaged->damage().ok(); }));
}

TEST_F(ScrubberTest, AFileThatTheDiskCannotReadIsTold) {
  const auto whole = MakeCollection(1), damaged = MakeCollection(3);
  const std::string path =
      absl::StrCat(StorePath(registry_->PathOf(*damaged)), "/", damaged->shards()->store().Tables().front().name);
  testing::SetDiskFault({.calls = testing::kReadCall, .path_part = path, .error = EIO});
  Scrubber scrubber(registry_.get(), {.interval = absl::Milliseconds(50)});
  EXPECT_TRUE(Await([&] { return absl::IsDataLoss(damaged->damage()); })) << damaged->damage();
  EXPECT_THAT(damaged->Info().damage, HasSubstr(path + " cannot be read"));
  EXPECT_TRUE(whole->damage().ok()) << whole->damage();
  testing::ClearDiskFault();
  EXPECT_TRUE(Await([&] { return damaged->damage().ok(); }));
}

TEST_F(ScrubberTest, AnotherErrorIsToldWhenItComesAgain) {
  const auto collection = MakeCollection(1);
  const std::string path =
      absl::StrCat(StorePath(registry_->PathOf(*collection)), "/", collection->shards()->store().Tables().front().name);
  Scrubber scrubber(registry_.get(), {.interval = absl::Milliseconds(50)});
  testing::SetDiskFault({.calls = testing::kReadCall, .path_part = path, .error = EMFILE, .count = 1});
  EXPECT_TRUE(Await([&] { return testing::FailedDiskCalls() == 1; }));
  const uint64_t bytes = scrubber.counters().bytes;
  EXPECT_TRUE(Await([&] { return scrubber.counters().bytes > 3 * bytes; }));
  EXPECT_TRUE(collection->damage().ok()) << collection->damage();
  testing::SetDiskFault({.calls = testing::kReadCall, .path_part = path, .error = EMFILE});
  EXPECT_TRUE(Await([&] { return !collection->damage().ok(); }));
  EXPECT_THAT(collection->Info().damage, HasSubstr(path));
  testing::ClearDiskFault();
  EXPECT_TRUE(Await([&] { return collection->damage().ok(); }));
}

TEST_F(ScrubberTest, ItsRateIsBounded) {
  const auto collection = MakeCollection(1);
  uint64_t files = 0;
  for (const auto& table : collection->shards()->store().Tables()) files += table.bytes;
  // One file and the rate's first second are all that a pass reads before it waits for hours; and it ends at once.
  Scrubber scrubber(registry_.get(), {.interval = absl::Milliseconds(24), .bytes_per_s = 1});
  EXPECT_TRUE(Await([&] { return scrubber.counters().bytes > 0; }));
  EXPECT_LT(scrubber.counters().bytes, files);
}

TEST_F(ScrubberTest, WhatIsDroppedMeanwhileIsNoDamage) {
  const auto kept = MakeCollection(1);
  Scrubber scrubber(registry_.get(), {.interval = absl::Milliseconds(1)});
  for (int i = 0; i < 20; ++i) {
    const auto dropped = MakeCollection(3);
    EXPECT_TRUE(registry_->Drop("groups3", [] {}).ok());
    EXPECT_TRUE(dropped->damage().ok()) << dropped->damage();
  }
  EXPECT_TRUE(kept->damage().ok()) << kept->damage();
  EXPECT_EQ(scrubber.counters().mended, 0u);
}

}  // namespace
}  // namespace bebr
