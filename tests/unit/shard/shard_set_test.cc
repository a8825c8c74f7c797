#include "index/shard/shard_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/base/checksum.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_shards.h"

namespace bebr {
namespace {

using testing::CommitRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

// Versions 0 and 1 write into space 0 and take embeddings of their own; version 2 has space 1 and takes embedding 1.
ShardContents ThreeVersions() {
  return {.spaces = {{0, *ParseCodeSpec("32x1")}, {1, *ParseCodeSpec("40x2")}},
          .versions = {{0, 0}, {1, 1}, {2, 1}},
          .stores_floats = true};
}

constexpr uint32_t kShards = 3;

class ShardSetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(CollectionStore::Create(path(), kShards, MakeStoreCache(1 << 20)).ok());
    Open(ThreeVersions());
  }
  absl::StatusOr<std::shared_ptr<ShardSet>> TryOpen(ShardContents contents) {
    shards_.reset();
    return ShardSet::Open(path(), kShards, std::move(contents), MakeStoreCache(1 << 20, 64 << 20), &pool_, &counters_);
  }
  void Open(ShardContents contents) {
    auto shards = TryOpen(std::move(contents));
    ASSERT_TRUE(shards.ok()) << shards.status();
    shards_ = *std::move(shards);
  }
  std::string path() const { return directory_.path() + "/store"; }

  // A mutation with the codes and floats that `version` would write: codes of `word`s.
  Mutation By(uint32_t version, const std::string& id, uint32_t word, MutationKind kind = MutationKind::kReplaceAll) {
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
    auto result = CommitRequest(*shards_, std::move(list));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : MutationResult();
  }

  // Of every document: by space, the version and the first word of its code.
  using Codes = std::map<uint32_t, std::pair<uint32_t, uint32_t>>;
  std::map<std::string, Codes> Documents() const {
    std::map<std::string, Codes> documents;
    const auto view = shards_->view();
    for (const auto& shard : view->shards) {
      for (const SegmentView& view : shard->segments) AddDocuments(view, documents);
    }
    EXPECT_EQ(documents.size(), documents_in_view());
    return documents;
  }

  static void AddDocuments(const SegmentView& view, std::map<std::string, Codes>& documents) {
    for (uint32_t row = 0; row < view.rows; ++row) {
      if (view.deleted != nullptr && view.deleted->test(row)) continue;
      const auto [it, fresh] = documents.try_emplace(std::string(view.segment->id(row)));
      EXPECT_TRUE(fresh) << "two live rows of " << it->first;
      for (const auto& space : view.spaces) {
        if (!space.column->has(row)) continue;
        std::vector<uint32_t> words(space.column->code_words());
        space.Load(row, words.data());
        it->second[space.space] = {space.column->version(row), words[0]};
      }
    }
  }
  // Sums over the shards.
  uint64_t documents_in_view() const {
    uint64_t documents = 0;
    const auto view = shards_->view();
    for (const auto& shard : view->shards) documents += shard->documents;
    return documents;
  }
  uint64_t deleted_rows() const {
    uint64_t rows = 0;
    const auto view = shards_->view();
    for (const auto& shard : view->shards) rows += shard->deleted_rows;
    return rows;
  }
  ShardCounts counts() const {
    ShardCounts counts;
    const auto view = shards_->view();
    for (const auto& shard : view->shards) {
      for (const auto& [version, count] : shard->counts.codes) counts.codes[version] += count;
      for (const auto& [embedding, count] : shard->counts.embeddings) counts.embeddings[embedding] += count;
    }
    return counts;
  }
  bool HasFloats(const std::string& id, uint32_t embedding) const {
    const std::vector<std::string_view> ids = {id};
    return (*shards_->store().GetFloats(nullptr, embedding, shards_->ShardOf(id), ids))[0].has_value();
  }

  testing::TemporaryDirectory directory_;
  ThreadPool pool_{2};
  CommitCounters counters_;
  std::shared_ptr<ShardSet> shards_;
  Attributes attributes_ = {{"a", int64_t{1}}};
  std::deque<std::vector<uint32_t>> kept_words_;
  std::deque<std::string> kept_ids_;
};

TEST_F(ShardSetTest, SaysWhatAMutationDid) {
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

TEST_F(ShardSetTest, AWriteThatMeetsADropIsNoFaultOfADisk) {
  Submit({By(0, "a", 1)});
  shards_->store().Leave();
  std::filesystem::remove_all(path());
  const auto result = CommitRequest(*shards_, {By(0, "b", 1)});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kNotFound) << result.status();
  EXPECT_EQ(counters_.failed_commits, 0u);
  EXPECT_EQ(Documents().size(), 1u);
}

TEST_F(ShardSetTest, OfEqualIdsInOneRequestTheLastWins) {
  Submit({By(0, "a", 1), By(0, "a", 2), Deletion("a"), By(0, "a", 3), By(2, "a", 4, MutationKind::kMerge)});
  EXPECT_THAT(Documents(), ElementsAre(Pair("a", ElementsAre(Pair(0, Pair(0, 3)), Pair(1, Pair(2, 4))))));
}

TEST_F(ShardSetTest, AMergeAddsAndAReplacementRemoves) {
  Submit({By(0, "a", 1)});
  Submit({By(2, "a", 2, MutationKind::kMerge)});
  EXPECT_THAT(Documents(), ElementsAre(Pair("a", ElementsAre(Pair(0, Pair(0, 1)), Pair(1, Pair(2, 2))))));
  Submit({By(1, "a", 3)});
  EXPECT_THAT(Documents(), ElementsAre(Pair("a", ElementsAre(Pair(0, Pair(1, 3))))));
  EXPECT_FALSE(HasFloats("a", 0));  // of the embedding that was replaced
  EXPECT_TRUE(HasFloats("a", 1));
}

TEST_F(ShardSetTest, IsTheSameAfterItWasOpenedAgain) {
  for (int i = 0; i < 50; ++i) Submit({By(i % 3, absl::StrCat("d", i), i)});
  for (int i = 0; i < 50; i += 4) Submit({By(1, absl::StrCat("d", i), 100 + i, MutationKind::kMerge)});
  for (int i = 0; i < 50; i += 9) Submit({Deletion(absl::StrCat("d", i))});
  const auto before = Documents();
  const ShardCounts counts_before = counts();
  const uint64_t sequence = shards_->view()->sequence;
  Open(ThreeVersions());
  EXPECT_EQ(Documents(), before);
  EXPECT_EQ(counts().codes, counts_before.codes);
  EXPECT_EQ(counts().embeddings, counts_before.embeddings);
  EXPECT_EQ(shards_->view()->sequence, sequence);
  EXPECT_EQ(deleted_rows(), 0u);
}

// A document has floats of both embeddings, but only one code in the space that both versions write: the other
// embedding is known by its mark.
TEST_F(ShardSetTest, KnowsFloatsThatNoCodeTellsOf) {
  Submit({By(0, "a", 1), By(0, "b", 2)});
  Submit({By(1, "a", 3, MutationKind::kMerge)});
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(counts().codes, UnorderedElementsAre(Pair(0, 1), Pair(1, 1)));
    EXPECT_THAT(counts().embeddings, UnorderedElementsAre(Pair(0, 2), Pair(1, 1)));
    Open(ThreeVersions());
  }
}

TEST_F(ShardSetTest, AMergeOfWhatWasReadIsWithoutEffectOnceTheDocumentHasChanged) {
  Submit({By(0, "a", 1), By(0, "b", 2)});
  const auto view = shards_->view();
  const auto merge = [&](const std::string& id, uint32_t word) {
    Mutation mutation = By(2, id, word, MutationKind::kMerge);
    const Segment* segment = view->shards[shards_->ShardOf(id)]->segments.at(0).segment.get();
    mutation.expected_segment = segment;
    while (segment->id(mutation.expected_row) != id) ++mutation.expected_row;
    return mutation;
  };
  Submit({By(0, "a", 3)});
  Submit({merge("a", 4), merge("b", 5)});
  EXPECT_THAT(Documents(), ElementsAre(Pair("a", ElementsAre(Pair(0, Pair(0, 3)))),
                                       Pair("b", ElementsAre(Pair(0, Pair(0, 2)), Pair(1, Pair(2, 5))))));
}

TEST_F(ShardSetTest, AMergeOfFloatsThatWereReplacedIsWithoutEffect) {
  const auto with = [&](Mutation mutation, std::string_view floats) {
    mutation.floats[0].bytes = floats;
    return mutation;
  };
  // What a backfill for version 2, which takes embedding 1, made of these floats.
  const auto merge = [&](const std::string& id, uint32_t word, std::string_view floats) {
    Mutation mutation = By(2, id, word, MutationKind::kMerge);
    mutation.floats.clear();
    mutation.expected_floats = {.embedding = 1, .crc32c = Crc32c(floats)};
    return mutation;
  };
  const auto submit_apart = [&](std::vector<Mutation> list) {
    for (Mutation& mutation : list) Submit({std::move(mutation)});
  };
  const std::function<void(std::vector<Mutation>)> together = [&](std::vector<Mutation> list) {
    Submit(std::move(list));
  };
  for (const auto& submit : {together, std::function<void(std::vector<Mutation>)>(submit_apart)}) {
    Submit({Deletion("a"), Deletion("b"), Deletion("c"), Deletion("d"), Deletion("e")});
    Submit({with(By(1, "a", 1), "old"), with(By(1, "b", 1), "old"), with(By(1, "c", 1), "old"), By(0, "d", 1)});
    submit({merge("a", 2, "old"), with(By(1, "b", 3), "new"), merge("b", 4, "old"), Deletion("c"), merge("c", 5, "old"),
            merge("d", 6, "floats"), with(By(1, "e", 7), "new"), merge("e", 8, "new"), merge("f", 9, "old")});
    EXPECT_THAT(Documents(),
                ElementsAre(Pair("a", ElementsAre(Pair(0, Pair(1, 1)), Pair(1, Pair(2, 2)))),
                            Pair("b", ElementsAre(Pair(0, Pair(1, 3)))), Pair("d", ElementsAre(Pair(0, Pair(0, 1)))),
                            Pair("e", ElementsAre(Pair(0, Pair(1, 7)), Pair(1, Pair(2, 8))))));
  }
  EXPECT_THAT(Submit({merge("f", 1, "old")}).unknown_ids, IsEmpty());
}

// Of a write that was encoded before one of its versions was retired, and another takes the same embedding: of what
// comes from a log alone, and in one group with a write that depends on what is there.
TEST_F(ShardSetTest, FloatsOfARetiredVersionsCodeAreMarked) {
  ShardContents contents = ThreeVersions();
  contents.spaces.erase(1);
  contents.versions.erase(2);
  contents.from_log = true;
  Open(contents);
  Submit({By(0, "z", 1)});
  Submit({By(2, "a", 1)});
  Submit({By(2, "b", 1), By(0, "z", 2, MutationKind::kMerge)});
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(Documents(),
                ElementsAre(Pair("a", IsEmpty()), Pair("b", IsEmpty()), Pair("z", ElementsAre(Pair(0, Pair(0, 2))))));
    EXPECT_THAT(counts().embeddings, UnorderedElementsAre(Pair(0, 1), Pair(1, 2)));
    Open(contents);
  }
}

// The place in a log that a group brings the store to is there with its effect.
TEST_F(ShardSetTest, SaysHowFarALogWasApplied) {
  const auto applied = [&] { return *shards_->store().GetApplied(shards_->view()->store.get()); };
  EXPECT_EQ(applied(), "");
  Submit({By(0, "a", 1)});
  EXPECT_EQ(applied(), "");
  auto before = shards_->view();
  Mutations mutations(kShards);
  mutations.by_shard[shards_->ShardOf("b")].push_back(By(0, "b", 1));
  Mutations* const group[] = {&mutations};
  ASSERT_TRUE(shards_->Commit(group, "here").ok());
  Submit({By(0, "c", 1)});
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(applied(), "here");
    if (before != nullptr) {
      EXPECT_EQ(*shards_->store().GetApplied(before->store.get()), "");
    }
    before.reset();
    Open(ThreeVersions());
  }
}

TEST_F(ShardSetTest, ADroppedVersionLeavesNothing) {
  Submit({By(0, "a", 1), By(2, "b", 2)});
  Submit({By(2, "a", 3, MutationKind::kMerge)});
  ASSERT_TRUE(shards_->DropVersion(2, 1, std::nullopt).ok());
  EXPECT_THAT(Documents(), ElementsAre(Pair("a", ElementsAre(Pair(0, Pair(0, 1)))), Pair("b", IsEmpty())));
  EXPECT_THAT(*shards_->store().StoredSpaces(), ElementsAre(0));
  EXPECT_THAT(*shards_->store().StoredEmbeddings(), ElementsAre(0, 1));
  ASSERT_TRUE(shards_->DropVersion(1, std::nullopt, 1).ok());
  EXPECT_THAT(*shards_->store().StoredEmbeddings(), ElementsAre(0));
}

TEST_F(ShardSetTest, WhatACrashLeftOfARetiredVersionIsDroppedWhenItIsOpened) {
  Submit({By(0, "a", 1)});
  Submit({By(2, "a", 2, MutationKind::kMerge)});
  ShardContents contents = ThreeVersions();
  contents.spaces.erase(1);
  contents.versions.erase(1);
  contents.versions.erase(2);
  Open(contents);
  EXPECT_THAT(*shards_->store().StoredSpaces(), ElementsAre(0));
  EXPECT_THAT(*shards_->store().StoredEmbeddings(), ElementsAre(0));
  EXPECT_THAT(Documents(), ElementsAre(Pair("a", ElementsAre(Pair(0, Pair(0, 1))))));
}

TEST_F(ShardSetTest, ReplacedRowsGiveTheirMemoryBack) {
  constexpr int kDocuments = 20000;
  for (int round = 0; round < 5; ++round) {
    std::vector<Mutation> list;
    for (int i = 0; i < kDocuments; ++i) list.push_back(By(0, absl::StrCat(i), round * kDocuments + i));
    Submit(std::move(list));
    kept_words_.clear();
    kept_ids_.clear();
  }
  EXPECT_EQ(documents_in_view(), uint64_t{kDocuments});
  EXPECT_LT(deleted_rows(), 3u * kDocuments);  // of 4 times as many
  const auto documents = Documents();
  for (const int i : {0, 17, kDocuments - 1}) {
    EXPECT_EQ(documents.at(absl::StrCat(i)).at(0).second, uint32_t(4 * kDocuments + i));
  }
}

// The group that a writer commits at once: what one request has done stands before the next one.
// What an update makes of small documents is as large as what it says, times their number: in all shards together.
TEST_F(ShardSetTest, AnUpdateIsBoundedByWhatItWrites) {
  std::vector<std::string> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(absl::StrCat(i));
  std::vector<Mutation> documents;
  for (const std::string& id : ids) documents.push_back(By(0, id, 1));
  Submit(std::move(documents));
  const AttributeChange change = {.set = {{"body", std::string(1000000, 'x')}}};
  const auto update = [&](size_t count) {
    std::vector<Mutation> list;
    for (size_t i = 0; i < count; ++i) {
      list.push_back({.kind = MutationKind::kUpdate, .id = ids[i], .change = &change});
    }
    return Submit(std::move(list));
  };
  const uint64_t sequence = shards_->view()->sequence;
  const absl::Status refused = update(100).refused;
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("bytes of attributes or more; the limit of one update is 67"));
  EXPECT_EQ(shards_->view()->sequence, sequence);
  const MutationResult few = update(20);
  EXPECT_TRUE(few.refused.ok()) << few.refused;
  EXPECT_EQ(few.documents, 20u);
}

TEST_F(ShardSetTest, RequestsOfAGroupFollowEachOther) {
  std::vector<Mutations> requests;
  for (uint32_t r = 0; r < 3; ++r) {
    Mutations& request = requests.emplace_back(kShards);
    for (const std::string id : {"a", "b", "c", "d"}) {
      Mutation mutation = By(0, id, r, r == 2 ? MutationKind::kMerge : MutationKind::kReplaceAll);
      request.by_shard[shards_->ShardOf(id)].push_back(std::move(mutation));
    }
  }
  std::vector<Mutations*> group;
  for (Mutations& request : requests) group.push_back(&request);
  const auto results = shards_->Commit(group);
  ASSERT_TRUE(results.ok()) << results.status();
  ASSERT_EQ(results->size(), 3u);
  EXPECT_EQ((*results)[0].created, 4u);
  EXPECT_EQ((*results)[1].created, 0u);
  EXPECT_EQ((*results)[2].documents, 4u);
  EXPECT_EQ(shards_->view()->sequence, 12u);
  for (const auto& [id, codes] : Documents()) EXPECT_THAT(codes, ElementsAre(Pair(0, Pair(0, 2)))) << id;
  EXPECT_EQ(counters_.syncs.counts().sum_seconds > 0, true);
}

TEST_F(ShardSetTest, AViewIsOfOneCommitInAllShards) {
  std::vector<Mutation> list;
  for (int i = 0; i < 30; ++i) list.push_back(By(0, absl::StrCat(i), 1));
  const auto before = shards_->view();
  Submit(std::move(list));
  for (const auto& shard : before->shards) EXPECT_EQ(shard->documents, 0u);
  EXPECT_EQ(documents_in_view(), 30u);
  const auto view = shards_->view();
  for (const auto& shard : view->shards) EXPECT_GT(shard->documents, 0u);
}

TEST_F(ShardSetTest, MemoryIsThatOfTheView) {
  EXPECT_EQ(counters_.memory_bytes, static_cast<int64_t>(shards_->memory_bytes()));
  Submit({By(0, "a", 1), By(2, "b", 2)});
  EXPECT_GT(shards_->memory_bytes(), 0u);
  EXPECT_EQ(counters_.memory_bytes, static_cast<int64_t>(shards_->memory_bytes()));
  shards_.reset();
  EXPECT_EQ(counters_.memory_bytes, 0);
}

// What a store of whole files can still say that is no shard's: of another program, or made to do harm.
class ForeignStoreTest : public ShardSetTest {
 protected:
  absl::Status OpenWith(const std::function<void(CollectionStore::Batch&)>& fill) {
    {
      shards_.reset();
      auto store = *CollectionStore::Open(path(), kShards, MakeStoreCache(1 << 20, 1 << 20));
      CollectionStore::Batch batch;
      fill(batch);
      EXPECT_TRUE(store->Commit(std::move(batch), store->sequence() + 1).ok());
    }
    return TryOpen(ThreeVersions()).status();
  }
  const std::string no_attributes_ = EncodeAttributes({});
};

TEST_F(ForeignStoreTest, ACodeOfAnotherLengthIsDataLoss) {
  const absl::Status status = OpenWith([&](CollectionStore::Batch& batch) {
    batch.PutDocument(0, "a", no_attributes_);
    batch.PutCode(0, 0, "a", {.words = std::vector<uint32_t>{1, 2}});
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"a\" has 2 words; its space has 1"));
}

TEST_F(ForeignStoreTest, AVersionThatCannotBeIsDataLoss) {
  for (const uint32_t version : {kMaxVersions, 256u, 0xFFFFFFFFu}) {
    const absl::Status status = OpenWith([&](CollectionStore::Batch& batch) {
      batch.PutDocument(0, "a", no_attributes_);
      batch.PutCode(0, 0, "a", {.version = version, .words = std::vector<uint32_t>{1}});
    });
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << version;
  }
}

TEST_F(ForeignStoreTest, AnIdOfNoLengthOrTooManyBytesIsDataLoss) {
  for (const size_t bytes : {size_t{0}, kMaxIdBytes + 1, size_t{70000}}) {
    const std::string id(bytes, 'x');
    EXPECT_EQ(OpenWith([&](CollectionStore::Batch& batch) { batch.PutDocument(0, id, no_attributes_); }).code(),
              absl::StatusCode::kDataLoss)
        << bytes;
    EXPECT_TRUE(OpenWith([&](CollectionStore::Batch& batch) { batch.DeleteDocument(0, id); }).ok());
  }
}

TEST_F(ForeignStoreTest, DamagedAttributesAreDataLoss) {
  EXPECT_EQ(OpenWith([&](CollectionStore::Batch& batch) { batch.PutDocument(0, "a", "\xff\xff\xff\xff"); }).code(),
            absl::StatusCode::kDataLoss);
}

// Of a log: stored, such a code would be found at the next start, or by nobody.
TEST_F(ShardSetTest, TellsCodesThatAreNoneOfTheirSpace) {
  const std::vector<uint32_t> words(4, 1);
  const auto code = [&](uint32_t space, uint8_t version, uint32_t group, size_t count) {
    return RowCode{space, version, {0.5f, 1.0f, group}, absl::MakeConstSpan(words).first(count)};
  };
  const auto check = [&](const std::vector<RowCode>& codes) {
    Mutation mutation{.kind = MutationKind::kReplaceAll, .id = "a", .attributes = &attributes_};
    mutation.codes.assign(codes.begin(), codes.end());
    return shards_->CheckCodes(mutation);
  };
  EXPECT_TRUE(check({code(0, 0, 0, 1), code(1, 2, 0, 4)}).ok());
  const std::vector<std::pair<std::vector<RowCode>, std::string>> wrong = {
      {{code(1, 2, 0, 1)}, "has 1 words; its space has 4"},
      {{code(0, 1, 0, 4)}, "has 4 words; its space has 1"},
      {{code(0, 1, 2, 1)}, "is of group 2; its space has 1"},
      {{code(0, 254, 0, 1)}, "is of version 254"},
      {{code(0, 0, 0, 1), code(0, 1, 0, 1)}, "has two codes in space 0"}};
  for (const auto& [codes, message] : wrong) {
    const absl::Status status = check(codes);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
}

}  // namespace
}  // namespace bebr
