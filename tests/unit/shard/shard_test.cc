#include "index/shard/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_shards.h"

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using testing::SubmitAndWait;
using ::testing::UnorderedElementsAre;

// Versions 0 and 1 write into space 0 and take embeddings of their own; version 2 has space 1 and takes embedding 1.
Shard::Contents ThreeVersions() {
  return {.spaces = {{0, *ParseCodeSpec("32x1")}, {1, *ParseCodeSpec("40x2")}},
          .versions = {{0, 0}, {1, 1}, {2, 1}},
          .stores_floats = true};
}

class ShardTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(ThreeVersions()); }
  absl::StatusOr<std::unique_ptr<Shard>> TryOpen(Shard::Contents contents) {
    shard_.reset();
    return Shard::Open(path(), MakeStoreCache(1 << 20, 64 << 20), std::move(contents));
  }
  void Open(Shard::Contents contents) {
    auto shard = TryOpen(std::move(contents));
    ASSERT_TRUE(shard.ok()) << shard.status();
    shard_ = *std::move(shard);
  }
  std::string path() const { return directory_.path() + "/shard"; }

  // A mutation with the codes and floats that `version` would write: codes of `word`s.
  Mutation By(uint32_t version, const std::string& id, uint32_t word, MutationKind kind = MutationKind::kReplace) {
    const uint32_t space = version == 2 ? 1 : 0;
    kept_words_.push_back(std::vector<uint32_t>(space == 0 ? 1 : 4, word));
    kept_ids_.push_back(id);
    Mutation mutation{.kind = kind, .id = kept_ids_.back(), .attributes = &attributes_};
    mutation.codes.push_back({space, static_cast<uint8_t>(version), {0.5f, 1.0f}, kept_words_.back()});
    mutation.floats.push_back({version == 0 ? 0u : 1u, "floats"});
    return mutation;
  }
  Mutation Deletion(const std::string& id) {
    kept_ids_.push_back(id);
    return {.kind = MutationKind::kDelete, .id = kept_ids_.back()};
  }
  MutationResult Submit(std::vector<Mutation> list) {
    auto result = SubmitAndWait(*shard_, std::move(list));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : MutationResult();
  }

  // Of every document: by space, the version and the first word of its code.
  using Codes = std::map<uint32_t, std::pair<uint32_t, uint32_t>>;
  std::map<std::string, Codes> Documents() const {
    std::map<std::string, Codes> documents;
    for (const SegmentView& view : shard_->view()->segments) {
      for (uint32_t row = 0; row < view.rows; ++row) {
        if (view.deleted != nullptr && view.deleted->test(row)) continue;
        const auto [it, fresh] = documents.try_emplace(std::string(view.segment->id(row)));
        EXPECT_TRUE(fresh) << "two live rows of " << it->first;
        for (const auto& space : view.spaces) {
          if (!space.column->has(row)) continue;
          std::vector<uint32_t> words(space.column->code_words());
          const uint32_t block = row / simd::kBlockRows;
          const std::byte* data =
              block < view.rows / simd::kBlockRows ? space.column->block(block) : space.open_block->data();
          space.column->Load(data, row % simd::kBlockRows, words.data());
          it->second[space.space] = {space.column->version(row), words[0]};
        }
      }
    }
    EXPECT_EQ(documents.size(), shard_->view()->documents);
    return documents;
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<Shard> shard_;
  Attributes attributes_ = {{"a", int64_t{1}}};
  std::deque<std::vector<uint32_t>> kept_words_;
  std::deque<std::string> kept_ids_;
};

TEST_F(ShardTest, SaysWhatAMutationDid) {
  MutationResult result = Submit({By(0, "a", 1), By(0, "b", 2)});
  EXPECT_EQ(result.documents, 2u);
  EXPECT_EQ(result.created, 2u);
  result = Submit({By(0, "b", 3), By(0, "c", 4), By(1, "nobody", 5, MutationKind::kMerge)});
  EXPECT_EQ(result.documents, 2u);
  EXPECT_EQ(result.created, 1u);
  EXPECT_THAT(result.unknown_ids, ElementsAre("nobody"));
  result = Submit({Deletion("a"), Deletion("nobody")});
  EXPECT_EQ(result.documents, 1u);
  EXPECT_THAT(Documents(),
              ElementsAre(Pair("b", ElementsAre(Pair(0, Pair(0, 3)))), Pair("c", ElementsAre(Pair(0, Pair(0, 4))))));
}

TEST_F(ShardTest, OfEqualIdsInOneRequestTheLastWins) {
  Submit({By(0, "a", 1), By(0, "a", 2), Deletion("a"), By(0, "a", 3), By(2, "a", 4, MutationKind::kMerge)});
  EXPECT_THAT(Documents(), ElementsAre(Pair("a", ElementsAre(Pair(0, Pair(0, 3)), Pair(1, Pair(2, 4))))));
}

TEST_F(ShardTest, AMergeAddsAndAReplacementRemoves) {
  Submit({By(0, "a", 1)});
  Submit({By(2, "a", 2, MutationKind::kMerge)});
  EXPECT_THAT(Documents(), ElementsAre(Pair("a", ElementsAre(Pair(0, Pair(0, 1)), Pair(1, Pair(2, 2))))));
  Submit({By(1, "a", 3)});
  EXPECT_THAT(Documents(), ElementsAre(Pair("a", ElementsAre(Pair(0, Pair(1, 3))))));
  const std::vector<std::string_view> ids = {"a"};
  EXPECT_FALSE((*shard_->store().GetFloats(nullptr, 0, ids))[0].has_value());  // of the embedding that was replaced
  EXPECT_TRUE((*shard_->store().GetFloats(nullptr, 1, ids))[0].has_value());
}

TEST_F(ShardTest, IsTheSameAfterItWasOpenedAgain) {
  for (int i = 0; i < 50; ++i) Submit({By(i % 3, absl::StrCat("d", i), i)});
  for (int i = 0; i < 50; i += 4) Submit({By(1, absl::StrCat("d", i), 100 + i, MutationKind::kMerge)});
  for (int i = 0; i < 50; i += 9) Submit({Deletion(absl::StrCat("d", i))});
  const auto before = Documents();
  const ShardCounts counts = shard_->view()->counts;
  const uint64_t sequence = shard_->view()->sequence;
  Open(ThreeVersions());
  EXPECT_EQ(Documents(), before);
  EXPECT_EQ(shard_->view()->counts.codes, counts.codes);
  EXPECT_EQ(shard_->view()->counts.embeddings, counts.embeddings);
  EXPECT_EQ(shard_->view()->sequence, sequence);
  EXPECT_EQ(shard_->view()->deleted_rows, 0u);
}

// A document has floats of both embeddings, but only one code in the space that both versions write: the other
// embedding is known by its mark.
TEST_F(ShardTest, KnowsFloatsThatNoCodeTellsOf) {
  Submit({By(0, "a", 1), By(0, "b", 2)});
  Submit({By(1, "a", 3, MutationKind::kMerge)});
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(shard_->view()->counts.codes, UnorderedElementsAre(Pair(0, 1), Pair(1, 1)));
    EXPECT_THAT(shard_->view()->counts.embeddings, UnorderedElementsAre(Pair(0, 2), Pair(1, 1)));
    Open(ThreeVersions());
  }
}

TEST_F(ShardTest, AMergeOfWhatWasReadIsWithoutEffectOnceTheDocumentHasChanged) {
  Submit({By(0, "a", 1), By(0, "b", 2)});
  const std::shared_ptr<const Segment> segment = shard_->view()->segments.at(0).segment;
  const auto merge = [&](const std::string& id, uint32_t word) {
    Mutation mutation = By(2, id, word, MutationKind::kMerge);
    mutation.expected_segment = segment.get();
    mutation.expected_row = id == "a" ? 0 : 1;
    return mutation;
  };
  Submit({By(0, "a", 3)});
  Submit({merge("a", 4), merge("b", 5)});
  EXPECT_THAT(Documents(), ElementsAre(Pair("a", ElementsAre(Pair(0, Pair(0, 3)))),
                                       Pair("b", ElementsAre(Pair(0, Pair(0, 2)), Pair(1, Pair(2, 5))))));
}

TEST_F(ShardTest, ADroppedVersionLeavesNothing) {
  Submit({By(0, "a", 1), By(2, "b", 2)});
  Submit({By(2, "a", 3, MutationKind::kMerge)});
  ASSERT_TRUE(shard_->DropVersion(2, 1, std::nullopt).ok());
  EXPECT_THAT(Documents(), ElementsAre(Pair("a", ElementsAre(Pair(0, Pair(0, 1)))), Pair("b", IsEmpty())));
  EXPECT_THAT(*shard_->store().StoredSpaces(), ElementsAre(0));
  EXPECT_THAT(*shard_->store().StoredEmbeddings(), ElementsAre(0, 1));
  ASSERT_TRUE(shard_->DropVersion(1, std::nullopt, 1).ok());
  EXPECT_THAT(*shard_->store().StoredEmbeddings(), ElementsAre(0));
}

TEST_F(ShardTest, WhatACrashLeftOfARetiredVersionIsDroppedWhenItIsOpened) {
  Submit({By(0, "a", 1)});
  Submit({By(2, "a", 2, MutationKind::kMerge)});
  Shard::Contents contents = ThreeVersions();
  contents.spaces.erase(1);
  contents.versions.erase(1);
  contents.versions.erase(2);
  Open(contents);
  EXPECT_THAT(*shard_->store().StoredSpaces(), ElementsAre(0));
  EXPECT_THAT(*shard_->store().StoredEmbeddings(), ElementsAre(0));
  EXPECT_THAT(Documents(), ElementsAre(Pair("a", ElementsAre(Pair(0, Pair(0, 1))))));
}

TEST_F(ShardTest, ReplacedRowsGiveTheirMemoryBack) {
  constexpr int kDocuments = 20000;
  for (int round = 0; round < 5; ++round) {
    std::vector<Mutation> list;
    for (int i = 0; i < kDocuments; ++i) list.push_back(By(0, absl::StrCat(i), round * kDocuments + i));
    Submit(std::move(list));
    kept_words_.clear();
    kept_ids_.clear();
  }
  EXPECT_EQ(shard_->view()->documents, uint64_t{kDocuments});
  EXPECT_LT(shard_->view()->deleted_rows, 3u * kDocuments);  // of 4 times as many
  EXPECT_GT(shard_->stats().rewritten_rows, 0u);
  const auto documents = Documents();
  for (const int i : {0, 17, kDocuments - 1}) {
    EXPECT_EQ(documents.at(absl::StrCat(i)).at(0).second, uint32_t(4 * kDocuments + i));
  }
}

TEST_F(ShardTest, APausedShardHoldsWritesUp) {
  std::promise<void> written;
  std::future<void> done = written.get_future();
  {
    const Shard::Pause pause(*shard_);
    shard_->Submit({.list = {By(0, "a", 1)}, .done = [&](auto) { written.set_value(); }});
    EXPECT_EQ(done.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
    EXPECT_EQ(shard_->view()->documents, 0u);
  }
  done.wait();
  EXPECT_EQ(shard_->view()->documents, 1u);
}

TEST_F(ShardTest, EverythingSubmittedIsWrittenBeforeItEnds) {
  std::atomic<int> answered{0};
  for (int i = 0; i < 100; ++i) {
    shard_->Submit({.list = {By(0, absl::StrCat(i), i)}, .done = [&](const auto& result) {
                      EXPECT_TRUE(result.ok());
                      answered.fetch_add(1);
                    }});
  }
  shard_.reset();
  EXPECT_EQ(answered, 100);
  Open(ThreeVersions());
  EXPECT_EQ(shard_->view()->documents, 100u);
}

// What a store of whole files can still say that is no shard's: of another program, or made to do harm.
class ForeignStoreTest : public ShardTest {
 protected:
  absl::Status OpenWith(const std::function<void(ShardStore::Batch&)>& fill) {
    {
      shard_.reset();
      auto store = *ShardStore::Open(path(), MakeStoreCache(1 << 20, 1 << 20));
      ShardStore::Batch batch;
      fill(batch);
      EXPECT_TRUE(store->Commit(std::move(batch), store->sequence() + 1).ok());
    }
    return TryOpen(ThreeVersions()).status();
  }
  const std::string no_attributes_ = EncodeAttributes({});
};

TEST_F(ForeignStoreTest, ACodeOfAnotherLengthIsDataLoss) {
  const absl::Status status = OpenWith([&](ShardStore::Batch& batch) {
    batch.PutDocument("a", no_attributes_);
    batch.PutCode(0, "a", {.words = std::vector<uint32_t>{1, 2}});
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"a\" has 2 words; its space has 1"));
}

TEST_F(ForeignStoreTest, AVersionThatCannotBeIsDataLoss) {
  for (const uint32_t version : {kMaxVersions, 256u, 0xFFFFFFFFu}) {
    const absl::Status status = OpenWith([&](ShardStore::Batch& batch) {
      batch.PutDocument("a", no_attributes_);
      batch.PutCode(0, "a", {.version = version, .words = std::vector<uint32_t>{1}});
    });
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << version;
  }
}

TEST_F(ForeignStoreTest, AnIdOfNoLengthOrTooManyBytesIsDataLoss) {
  for (const size_t bytes : {size_t{0}, kMaxIdBytes + 1, size_t{70000}}) {
    const std::string id(bytes, 'x');
    EXPECT_EQ(OpenWith([&](ShardStore::Batch& batch) { batch.PutDocument(id, no_attributes_); }).code(),
              absl::StatusCode::kDataLoss)
        << bytes;
    EXPECT_TRUE(OpenWith([&](ShardStore::Batch& batch) { batch.DeleteDocument(id); }).ok());
  }
}

TEST_F(ForeignStoreTest, DamagedAttributesAreDataLoss) {
  EXPECT_EQ(OpenWith([&](ShardStore::Batch& batch) { batch.PutDocument("a", "\xff\xff\xff\xff"); }).code(),
            absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace bebr
