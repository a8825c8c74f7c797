#include "index/replica/digest.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/temporary_directory.h"

namespace bebr {
namespace {

absl::Status GoOn(uint64_t) { return absl::OkStatus(); }

class DigestTest : public ::testing::Test {
 protected:
  // A store of two shards of its own.
  std::unique_ptr<CollectionStore> Make(const std::string& name) {
    return *CollectionStore::Create(directory_.path() + "/" + name, 2, MakeStoreCache(1 << 20));
  }
  static ShardDigest Of(CollectionStore& store, uint32_t shard = 0) {
    const auto digest =
        DigestShard(store, *store.MakeView(), shard, std::vector<uint32_t>{0, 1}, std::vector<uint32_t>{0, 1}, GoOn);
    EXPECT_TRUE(digest.ok()) << digest.status();
    return *digest;
  }
  using Batch = CollectionStore::Batch;
  static void Write(CollectionStore& store, const std::function<void(Batch&)>& put) {
    Batch batch;
    put(batch);
    ASSERT_TRUE(store.Commit(std::move(batch), store.sequence() + 1).ok());
  }
  static void PutSome(Batch& batch, const std::string& id) {
    batch.PutDocument(0, id, "attributes");
    batch.PutCode(0, 0, id, {1, 0.5f, 1.0f, kWords, 0});
    batch.PutFloats(0, 0, id, "floats");
    batch.PutMark(1, 0, id);
  }
  static inline const std::vector<uint32_t> kWords = {1, 2};
  testing::TemporaryDirectory directory_;
};

TEST_F(DigestTest, DoesNotDependOnHowItCameAbout) {
  auto one = Make("one"), two = Make("two");
  EXPECT_EQ(Of(*one), ShardDigest());
  Write(*one, [](Batch& batch) {
    for (const char* id : {"a", "b", "c"}) PutSome(batch, id);
  });
  for (const char* id : {"c", "x", "a", "b"}) {
    Write(*two, [&](Batch& batch) { PutSome(batch, id); });
    ASSERT_TRUE(two->Flush().ok());
  }
  EXPECT_NE(Of(*one), Of(*two));
  Write(*two, [](Batch& batch) {
    batch.DeleteDocument(0, "x");
    batch.DeleteCode(0, 0, "x");
    batch.DeleteFloats(0, 0, "x");
  });
  EXPECT_EQ(Of(*one), Of(*two));  // a mark without a document means nothing
  EXPECT_EQ(Of(*one).documents, 3u);
  EXPECT_EQ(Of(*one, 1), ShardDigest());
}

TEST_F(DigestTest, TellsEveryFact) {
  auto one = Make("one");
  Write(*one, [](Batch& batch) {
    for (const char* id : {"a", "b"}) PutSome(batch, id);
  });
  const std::vector<std::function<void(Batch&)>> changes = {
      [](Batch& batch) { batch.PutDocument(0, "a", "attributez"); },
      [](Batch& batch) {
        batch.PutCode(0, 0, "a", {1, 0.5f, 1.0f, std::vector<uint32_t>{1, 3}, 0});
      },
      [](Batch& batch) {
        batch.PutCode(0, 0, "a", {2, 0.5f, 1.0f, kWords, 0});
      },
      [](Batch& batch) {
        batch.PutCode(0, 0, "a", {1, 0.25f, 1.0f, kWords, 0});
      },
      [](Batch& batch) {
        batch.PutCode(0, 0, "a", {1, 0.5f, 1.0f, kWords, 1});
      },
      [](Batch& batch) {
        batch.PutCode(1, 0, "a", {1, 0.5f, 1.0f, kWords, 0});
      },
      [](Batch& batch) { batch.DeleteCode(0, 0, "a"); },
      [](Batch& batch) { batch.PutFloats(0, 0, "a", "floatz"); },
      [](Batch& batch) { batch.PutFloats(1, 0, "a", "floats"); },
      [](Batch& batch) { batch.DeleteMark(1, 0, "a"); },
      [](Batch& batch) { batch.PutMark(0, 0, "a"); },
      [](Batch& batch) { batch.PutDocument(0, "c", "attributes"); },
      [](Batch& batch) { batch.DeleteDocument(0, "a"); },
  };
  std::vector<ShardDigest> seen = {Of(*one)};
  const auto view = one->MakeView();
  for (size_t i = 0; i < changes.size(); ++i) {
    Write(*one, changes[i]);
    const ShardDigest now = Of(*one);
    for (const ShardDigest& before : seen) EXPECT_FALSE(now == before) << i;
    seen.push_back(now);
  }
  // What a view sees stays.
  EXPECT_EQ(*DigestShard(*one, *view, 0, std::vector<uint32_t>{0, 1}, std::vector<uint32_t>{0, 1}, GoOn), seen[0]);
}

// It is compared between servers, so it is a format.
TEST_F(DigestTest, StaysAsItIs) {
  auto one = Make("one");
  Write(*one, [](Batch& batch) { PutSome(batch, "a"); });
  EXPECT_EQ(ToText(Of(*one)), "80cd2d3a62cf4338343679ed61240870 of 1 documents");
}

}  // namespace
}  // namespace bebr
