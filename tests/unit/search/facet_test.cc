#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/search/browse.h"
#include "tests/support/temporary_directory.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

class CountValuesTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kShards = 2;

  void SetUp() override {
    const std::string path = directory_.path() + "/store";
    ASSERT_TRUE(CollectionStore::Create(path, kShards, MakeStoreCache(1 << 20)).ok());
    auto shards = ShardSet::Open(path, kShards, {.spaces = {{0, *ParseCodeSpec("32x1")}}, .versions = {{0, 0}}},
                                 MakeStoreCache(1 << 20, 64 << 20), &pool_, &counters_);
    ASSERT_TRUE(shards.ok()) << shards.status();
    shards_ = *std::move(shards);
  }
  // Writes documents with these values of "tags".
  void Write(const std::vector<AttributeValue>& values) {
    std::vector<std::string> ids;
    std::vector<Attributes> attributes;
    for (const AttributeValue& value : values) {
      ids.push_back(absl::StrCat(ids.size()));
      attributes.push_back({{"tags", value}});
    }
    const std::vector<uint32_t> words = {1};
    Mutations mutations(kShards);
    for (size_t i = 0; i < ids.size(); ++i) {
      Mutation& mutation = mutations.by_shard[shards_->ShardOf(ids[i])].emplace_back();
      mutation.id = ids[i];
      mutation.attributes = &attributes[i];
      mutation.codes.push_back({.space = 0, .version = 0, .words = words});
    }
    Mutations* const group[] = {&mutations};
    ASSERT_TRUE(shards_->Commit(group).ok());
  }
  absl::StatusOr<FacetResult> Count(
      size_t max_values, Interrupter interrupted = [] { return absl::OkStatus(); }) {
    const auto all = Selection::Create(*shards_, shards_->view(), nullptr, [] { return absl::OkStatus(); });
    return all->CountValues({.attribute = "tags", .limit = 100}, interrupted, max_values);
  }
  // All lists of two of so many texts, and of one.
  static std::vector<AttributeValue> Pairs(int texts) {
    std::vector<AttributeValue> lists;
    for (int a = 0; a < texts; ++a) {
      for (int b = a; b < texts; ++b) lists.push_back(AttributeList{absl::StrCat("t", a), absl::StrCat("t", b)});
    }
    return lists;
  }

  testing::TemporaryDirectory directory_;
  ThreadPool pool_{1};
  CommitCounters counters_;
  std::shared_ptr<ShardSet> shards_;
};

// However many different lists there are: 210 of 20 values.
TEST_F(CountValuesTest, CountsTheValuesOfListsAgainstTheLimit) {
  ASSERT_NO_FATAL_FAILURE(Write(Pairs(20)));
  const auto facets = Count(20);
  ASSERT_TRUE(facets.ok()) << facets.status();
  EXPECT_EQ(facets->with_attribute, 210u);
  EXPECT_EQ(facets->values, 20u);
  ASSERT_EQ(facets->facets.size(), 20u);
  for (const Facet& facet : facets->facets) EXPECT_EQ(facet.documents, 20u);
  const absl::Status status = Count(19).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("more than 19 different values"));
}

TEST_F(CountValuesTest, AllKindsOfValuesAreCounted) {
  ASSERT_NO_FATAL_FAILURE(Write({std::string("a"), AttributeList{std::string("a"), int64_t{2}}, int64_t{2}, 2.5, true,
                                 Timestamp{7}, AttributeList{true}, AttributeList{}}));
  const auto facets = Count(5);
  ASSERT_TRUE(facets.ok()) << facets.status();
  EXPECT_EQ(facets->with_attribute, 8u);
  std::map<AttributeValue, uint64_t> counts;
  for (const Facet& facet : facets->facets) counts[facet.value] = facet.documents;
  EXPECT_EQ(counts, (std::map<AttributeValue, uint64_t>{
                        {std::string("a"), 2}, {int64_t{2}, 2}, {2.5, 1}, {true, 2}, {Timestamp{7}, 1}}));
}

// Also amid the lists of one segment.
TEST_F(CountValuesTest, EndsWhenNobodyWaitsAnyMore) {
  ASSERT_NO_FATAL_FAILURE(Write(Pairs(100)));
  int asked = 0;
  ASSERT_TRUE(Count(1000, [&] {
                ++asked;
                return absl::OkStatus();
              }).ok());
  EXPECT_GT(asked, 6);  // 5,050 lists
  for (int last = asked; last > 0; --last) {
    int left = last;
    const absl::Status status =
        Count(1000, [&] { return --left > 0 ? absl::OkStatus() : absl::CancelledError(); }).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  }
}

}  // namespace
}  // namespace bebr
