// Layout files: a collection that was opened from them is the one that was read from the store, and goes on like it;
// and files that are not of just what is stored are no use, and do no harm.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/shard/shard_set.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_shards.h"

namespace bebr {
namespace {

namespace fs = std::filesystem;
using testing::CommitRequest;

constexpr uint32_t kShards = 2;

CodeSpec InGroups(std::string_view code, uint32_t groups) {
  return *CodeSpec::Create(ParseCodeSpec(code)->bands(), groups);
}

// Versions 0 and 1 write into space 0; version 2 has codes in groups, version 3 trellis codes.
ShardContents Contents() {
  return {.spaces = {{0, *ParseCodeSpec("32x1")}, {1, InGroups("40x2", 5)}, {2, *ParseCodeSpec("32x2t")}},
          .versions = {{0, 0}, {1, 1}, {2, 2}, {3, 2}},
          .stores_floats = true,
          .attributes = std::make_shared<const AttributeSchema>(
              AttributeSchema{{"stored", {.storage = AttributeStorage::kStored}}})};
}
constexpr uint32_t kSpaceOf[] = {0, 0, 1, 2};
constexpr uint32_t kEmbeddingOf[] = {0, 1, 2, 2};

// A collection of shards in a directory of its own.
class Set {
 public:
  Set() {
    EXPECT_TRUE(CollectionStore::Create(path(), kShards, MakeStoreCache(1 << 20), "test/1").ok());
    Open(Contents());
  }
  std::string path() const { return directory_.path() + "/store"; }
  std::string file(uint32_t shard) const { return LayoutPath(path(), shard); }
  ShardSet& shards() { return *shards_; }
  void Close() { shards_.reset(); }
  void Open(ShardContents contents) {
    shards_.reset();
    auto shards =
        ShardSet::Open(path(), kShards, std::move(contents), MakeStoreCache(1 << 20, 64 << 20), &pool_, &counters_);
    ASSERT_TRUE(shards.ok()) << shards.status();
    shards_ = *std::move(shards);
  }
  void Save() {
    LayoutLimits limits;
    EXPECT_TRUE(shards_->SaveLayout(limits).ok());
  }
  // Saves its layout, and opens it again.
  void SaveAndOpen() {
    Save();
    Open(Contents());
  }

  // Every document, with all that a view has of it.
  std::map<std::string, std::string> Documents() const {
    std::map<std::string, std::string> documents;
    const auto view = shards_->view();
    uint64_t count = 0;
    for (const auto& shard : view->shards) {
      count += shard->documents;
      for (const SegmentView& segment : shard->segments) AddDocuments(segment, *shard->dictionary, documents);
    }
    EXPECT_EQ(documents.size(), count);
    return documents;
  }
  // What is counted of documents, and found by id.
  std::string Counts() const {
    std::string text;
    const auto view = shards_->view();
    for (const auto& shard : view->shards) {
      for (const auto& [version, count] : shard->counts.codes) {
        if (count > 0) absl::StrAppend(&text, " v", version, ":", count);
      }
      for (const auto& [embedding, count] : shard->counts.embeddings) {
        if (count > 0) absl::StrAppend(&text, " e", embedding, ":", count);
      }
      absl::StrAppend(&text, "\n");
    }
    return text;
  }

 private:
  static void AddDocuments(const SegmentView& view, const AttributeDictionary& dictionary,
                           std::map<std::string, std::string>& documents) {
    for (uint32_t row = 0; row < view.rows; ++row) {
      if (view.deleted != nullptr && view.deleted->test(row)) continue;
      const auto [it, fresh] = documents.try_emplace(std::string(view.segment->id(row)));
      EXPECT_TRUE(fresh) << "two live rows of " << it->first;
      std::string& text = it->second;
      for (const auto& [name, column] : *view.attributes) {
        const AttributeType type = column->types[row];
        if (type == AttributeType::kAbsent) continue;
        absl::StrAppend(&text, name, "=", static_cast<int>(type), ":");
        if (type == AttributeType::kString || type == AttributeType::kList) {
          absl::StrAppend(&text, dictionary.Text(static_cast<uint32_t>(column->values[row])));
        } else if (type != AttributeType::kStored) {
          absl::StrAppend(&text, column->values[row]);
        }
        absl::StrAppend(&text, " first ", column->Has(type, row + 1), ", ");
      }
      for (const uint32_t number : {0, 1, 2}) {
        const SegmentView::SpaceView* space = view.FindSpace(number);
        if (space == nullptr || !space->column->has(row)) continue;
        std::vector<uint32_t> words(space->column->code_words());
        const CodeFactors factors = space->Load(row, words.data());
        absl::StrAppendFormat(&text, "space %d: version %d, %g %g group %d", number, space->column->version(row),
                              factors.scale, factors.offset, factors.group);
        for (const uint32_t word : words) absl::StrAppend(&text, " ", word);
        EXPECT_TRUE(space->column->holds(space->column->place(row)));
        EXPECT_EQ(space->column->row(space->column->place(row)), row);
      }
    }
  }

  testing::TemporaryDirectory directory_;
  ThreadPool pool_{2};
  CommitCounters counters_;
  std::shared_ptr<ShardSet> shards_;
};

class ShardLayoutTest : public ::testing::Test {
 protected:
  void SetUp() override { ShardSet::LeastLayoutDocuments() = 0; }

  Attributes SomeAttributes() {
    Attributes attributes;
    const auto some = [this] { return random_() % 2 == 0; };
    if (some()) attributes["number"] = static_cast<int64_t>(random_() % 9);
    if (some()) attributes["text"] = absl::StrCat("text ", random_() % 20);
    if (some()) attributes["list"] = AttributeList{absl::StrCat("entry ", random_() % 5), int64_t{3}};
    if (some()) attributes["stored"] = std::string(random_() % 300, 's');
    if (some()) attributes["empty"] = std::string();
    if (random_() % 50 == 0) attributes["rare"] = 0.5;
    return attributes;
  }
  // A change of one of so many documents, which may be applied to several sets.
  Mutation SomeMutation(size_t documents) {
    const auto version = static_cast<uint32_t>(random_() % 4);
    ids_.push_back(absl::StrCat("document ", random_() % documents));
    Mutation mutation{.kind = MutationKind::kDelete, .id = ids_.back()};
    if (random_() % 5 == 0) return mutation;
    const MutationKind kinds[] = {MutationKind::kReplaceAll, MutationKind::kReplace, MutationKind::kMerge};
    mutation.kind = kinds[random_() % 3];
    attributes_.push_back(SomeAttributes());
    if (mutation.kind != MutationKind::kMerge) mutation.attributes = &attributes_.back();
    const CodeSpec spec = Contents().spaces.at(kSpaceOf[version]);
    std::vector<uint32_t>& words = words_.emplace_back(spec.code_words());
    for (uint32_t& word : words) word = static_cast<uint32_t>(random_()) & 0xFF;  // within the dims of every level
    const CodeFactors factors{static_cast<float>(random_() % 100), 1.0f,
                              static_cast<uint32_t>(random_() % spec.groups())};
    mutation.codes.push_back({kSpaceOf[version], static_cast<uint8_t>(version), factors, words});
    mutation.floats.push_back({kEmbeddingOf[version], "floats"});
    return mutation;
  }
  // The same request to all sets.
  void ChangeAll(const std::vector<Set*>& sets, size_t mutations, size_t documents) {
    std::vector<Mutation> list;
    for (size_t i = 0; i < mutations; ++i) list.push_back(SomeMutation(documents));
    for (Set* set : sets) ASSERT_TRUE(CommitRequest(set->shards(), list).ok());
  }

  std::mt19937_64 random_{1};
  std::deque<std::string> ids_;
  std::deque<Attributes> attributes_;
  std::deque<std::vector<uint32_t>> words_;
};

TEST_F(ShardLayoutTest, IsWhatIsStoredHoweverOftenItIsOpened) {
  Set with, without;
  for (size_t round = 0; round < 12; ++round) {
    for (size_t request = 0; request < 10; ++request) ChangeAll({&with, &without}, 60, 100 + 200 * round);
    with.SaveAndOpen();
    EXPECT_TRUE(with.shards().from_layout());
    without.Open(Contents());
    EXPECT_FALSE(without.shards().from_layout());
    ASSERT_EQ(with.Documents(), without.Documents());
    EXPECT_EQ(with.Counts(), without.Counts());
    for (const std::string& id : {ids_.back(), ids_[ids_.size() / 2]}) {
      const auto where = with.shards().Locate(*with.shards().view(), {id});
      EXPECT_EQ(where[0].segment != nullptr, without.Documents().contains(id));
    }
  }
  EXPECT_GT(with.Documents().size(), 500u);
}

TEST_F(ShardLayoutTest, SegmentsThatAreFullComeBack) {
  Set set;
  std::deque<std::string> ids;
  const std::vector<uint32_t> words(1, 7);
  std::vector<Mutation> list(2 * kSegmentRows * kShards);
  attributes_.emplace_back();
  for (size_t i = 0; i < list.size(); ++i) {
    list[i].id = ids.emplace_back(absl::StrCat(i));
    list[i].attributes = &attributes_.back();
    list[i].codes.push_back({0, 0, {static_cast<float>(i), 1.0f, 0}, words});
  }
  ASSERT_TRUE(CommitRequest(set.shards(), std::move(list)).ok());
  const auto before = set.Documents();
  set.SaveAndOpen();
  EXPECT_TRUE(set.shards().from_layout());
  EXPECT_EQ(set.Documents(), before);
  ChangeAll({&set}, 10, 10);
  set.SaveAndOpen();
  EXPECT_TRUE(set.shards().from_layout());
}

TEST_F(ShardLayoutTest, TextsThatNoRowHasAreGone) {
  Set set;
  for (int i = 0; i < 20; ++i) ChangeAll({&set}, 50, 100);
  set.SaveAndOpen();
  std::vector<Mutation> list(100);
  for (int i = 0; i < 100; ++i) {
    list[i].kind = MutationKind::kDelete;
    list[i].id = ids_.emplace_back(absl::StrCat("document ", i));
  }
  ASSERT_TRUE(CommitRequest(set.shards(), std::move(list)).ok());
  EXPECT_TRUE(set.Documents().empty());
  const auto view = set.shards().view();
  for (const auto& shard : view->shards) EXPECT_EQ(shard->dictionary->size(), 0u);
}

TEST_F(ShardLayoutTest, IsOfNoUseOnceMoreIsStored) {
  Set set;
  ChangeAll({&set}, 100, 50);
  set.Save();
  ChangeAll({&set}, 1, 50);
  const auto documents = set.Documents();
  set.Open(Contents());
  EXPECT_FALSE(set.shards().from_layout());
  EXPECT_EQ(set.Documents(), documents);
  EXPECT_FALSE(fs::exists(set.file(0)));  // what is of no use takes no room
}

// Two copies that were written to apart from each other may have the same sequence.
TEST_F(ShardLayoutTest, IsOfNoUseToACopyOfTheStoreThatHasOtherDocuments) {
  Set set, copy;
  ChangeAll({&set}, 100, 50);
  set.Save();
  set.Close();
  copy.Close();
  fs::remove_all(copy.path());
  fs::copy(set.path(), copy.path(), fs::copy_options::recursive);
  set.Open(Contents());
  copy.Open(Contents());
  EXPECT_TRUE(copy.shards().from_layout());  // so far they are the same
  ChangeAll({&set}, 7, 50);
  ChangeAll({&copy}, 7, 50);
  ASSERT_EQ(set.shards().view()->sequence, copy.shards().view()->sequence);
  const auto documents = set.Documents();
  ASSERT_NE(documents, copy.Documents());
  set.Save();
  copy.Save();
  set.Close();
  copy.Close();
  for (uint32_t s = 0; s < kShards; ++s) fs::copy_file(copy.file(s), set.file(s), fs::copy_options::overwrite_existing);
  set.Open(Contents());
  EXPECT_FALSE(set.shards().from_layout());
  EXPECT_EQ(set.Documents(), documents);
}

TEST_F(ShardLayoutTest, IsOfNoUseToAnotherShardOrOtherContents) {
  Set set;
  ChangeAll({&set}, 100, 50);
  const auto documents = set.Documents();
  set.Save();
  set.Close();
  fs::rename(set.file(0), set.file(9));
  fs::rename(set.file(1), set.file(0));
  fs::rename(set.file(9), set.file(1));
  set.Open(Contents());
  EXPECT_FALSE(set.shards().from_layout());
  EXPECT_EQ(set.Documents(), documents);
  set.Save();
  ShardContents other = Contents();
  other.attributes = std::make_shared<const AttributeSchema>();
  set.Open(std::move(other));
  EXPECT_FALSE(set.shards().from_layout());
  EXPECT_EQ(set.Documents().size(), documents.size());
}

TEST_F(ShardLayoutTest, AFileThatIsDamagedAnywhereIsNotUsed) {
  Set set;
  ChangeAll({&set}, 60, 30);
  const auto documents = set.Documents();
  set.Save();
  set.Close();
  std::ifstream in(set.file(1), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const auto expect_unused = [&](const std::string& bytes, bool used = false) {
    std::ofstream(set.file(1), std::ios::binary | std::ios::trunc) << bytes;
    set.Open(Contents());
    EXPECT_EQ(set.shards().from_layout(), used);
    ASSERT_EQ(set.Documents(), documents);
    set.Close();
  };
  expect_unused(whole, true);
  const size_t step = std::max<size_t>(1, whole.size() / 40);
  for (size_t i = 0; i < whole.size(); i += step) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ (1 << (i % 8)));
    expect_unused(changed);
    expect_unused(whole.substr(0, i));
  }
  for (size_t i = whole.size() - 20; i < whole.size(); ++i) expect_unused(whole.substr(0, i));
  expect_unused(whole + "x");
  fs::remove(set.file(1));
  fs::create_directory(set.file(1));  // cannot be read
  set.Open(Contents());
  EXPECT_EQ(set.Documents(), documents);
}

TEST_F(ShardLayoutTest, IsWrittenForManyDocumentsOnlyAndOnlyAfterAChange) {
  ShardSet::LeastLayoutDocuments() = 40;
  Set set;
  ChangeAll({&set}, 20, 20);
  set.Save();
  EXPECT_FALSE(fs::exists(set.file(0)));
  ChangeAll({&set}, 500, 200);
  set.SaveAndOpen();
  ASSERT_TRUE(set.shards().from_layout());
  const auto written = fs::last_write_time(set.file(0));
  const std::string name = set.shards().store().layout();
  set.SaveAndOpen();
  EXPECT_TRUE(set.shards().from_layout());
  EXPECT_EQ(fs::last_write_time(set.file(0)), written);
  EXPECT_EQ(set.shards().store().layout(), name);
}

TEST_F(ShardLayoutTest, TheStoreIsReadOnceTheFilesAreRemoved) {
  Set set;
  ChangeAll({&set}, 500, 200);
  set.SaveAndOpen();
  ASSERT_TRUE(set.shards().from_layout());
  const auto documents = set.Documents();
  ASSERT_TRUE(set.shards().RemoveLayout().ok());
  ASSERT_TRUE(set.shards().RemoveLayout().ok());  // there are none
  set.Open(Contents());
  EXPECT_FALSE(set.shards().from_layout());
  EXPECT_EQ(set.Documents(), documents);
}

TEST_F(ShardLayoutTest, AFileThatCannotBeWrittenIsAnErrorAndLeavesNone) {
  Set set;
  ChangeAll({&set}, 50, 50);
  fs::create_directory(set.file(1));
  LayoutLimits limits;
  EXPECT_FALSE(set.shards().SaveLayout(limits).ok());
  EXPECT_FALSE(fs::exists(set.file(0)));
  EXPECT_EQ(set.shards().store().layout(), "");
}

TEST_F(ShardLayoutTest, ADiskThatTakesTooLongIsLeftWithNone) {
  Set set;
  ChangeAll({&set}, 50, 50);
  LayoutLimits limits{.deadline = SteadyNow()};
  EXPECT_EQ(set.shards().SaveLayout(limits).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(fs::exists(set.file(0)));
  EXPECT_EQ(set.shards().store().layout(), "");
  set.SaveAndOpen();
  EXPECT_TRUE(set.shards().from_layout());
}

TEST_F(ShardLayoutTest, CollectionsShareTheRoomThatThereIs) {
  Set first, large, small;
  ChangeAll({&first, &large, &small}, 50, 50);
  ChangeAll({&large}, 2000, 1000);
  LayoutLimits limits;
  limits.room_bytes = static_cast<int64_t>(first.shards().memory_bytes() + small.shards().memory_bytes());
  for (Set* set : {&first, &large, &small}) EXPECT_TRUE(set->shards().SaveLayout(limits).ok());
  EXPECT_TRUE(fs::exists(first.file(0)));
  EXPECT_FALSE(fs::exists(large.file(0)));
  EXPECT_TRUE(fs::exists(small.file(0)));
  EXPECT_EQ(limits.room_bytes, 0);
}

TEST_F(ShardLayoutTest, WhatIsOfNoUseAnyMoreTakesNoRoom) {
  Set set;
  ChangeAll({&set}, 500, 200);
  set.SaveAndOpen();
  set.shards().RemoveOutdatedLayout();
  EXPECT_TRUE(fs::exists(set.file(0)));  // nothing was stored since
  ChangeAll({&set}, 1, 200);
  set.shards().RemoveOutdatedLayout();
  EXPECT_FALSE(fs::exists(set.file(0)));
  set.SaveAndOpen();
  // Too few documents by now: what is there is of another state.
  ChangeAll({&set}, 1, 200);
  ShardSet::LeastLayoutDocuments() = 1000;
  set.Save();
  EXPECT_FALSE(fs::exists(set.file(0)));
}

}  // namespace
}  // namespace bebr
