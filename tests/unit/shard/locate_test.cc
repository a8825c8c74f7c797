// Where views have documents, by the id table of the present: against a look at all rows of the view.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/shard/shard_set.h"
#include "tests/support/test_models.h"
#include "tests/support/test_shards.h"

namespace bebr::testing {
namespace {

using Documents = std::map<std::string, std::pair<std::vector<float>, Attributes>>;

class LocateTest : public ::testing::TestWithParam<size_t> {
 protected:
  static constexpr size_t kIds = 9000;

  // A random part of the documents, as one request.
  void Put(std::mt19937& random, size_t count) {
    Documents documents;
    while (documents.size() < count) documents[absl::StrCat("d", random() % kIds)] = {rows_[random() % 64], {}};
    shards_.PutAll(documents);
  }
  void PutAllIds() {
    Documents documents;
    for (size_t i = 0; i < kIds; ++i) documents[absl::StrCat("d", i)] = {rows_[i % 64], {}};
    shards_.PutAll(documents);
  }
  static std::map<std::string, std::pair<const SegmentView*, uint32_t>> PlainlyIn(const CollectionView& view) {
    std::map<std::string, std::pair<const SegmentView*, uint32_t>> rows;
    for (const auto& shard : view.shards) {
      for (const SegmentView& segment : shard->segments) {
        for (uint32_t row = 0; row < segment.rows; ++row) {
          if (segment.deleted != nullptr && segment.deleted->test(row)) continue;
          rows[std::string(segment.segment->id(row))] = {&segment, row};
        }
      }
    }
    return rows;
  }
  void ExpectAgrees(const CollectionView& view, std::mt19937& random) {
    std::vector<std::string> ids;
    for (size_t i = 0; i < kIds + 200; ++i) {  // the last ones are of nobody
      if (random() % 3 != 0) ids.push_back(absl::StrCat("d", i));
    }
    const std::vector<std::string_view> wanted(ids.begin(), ids.end());
    const std::vector<RowInView> found = shards_.shards()->Locate(view, wanted);
    const auto plain = PlainlyIn(view);
    ASSERT_EQ(found.size(), ids.size());
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto row = plain.find(ids[i]);
      ASSERT_EQ(found[i].segment, row == plain.end() ? nullptr : row->second.first) << ids[i];
      if (row != plain.end()) {
        ASSERT_EQ(found[i].row, row->second.second) << ids[i];
      }
    }
  }

  const std::vector<std::vector<float>> rows_ = RandomVectors(64, 8, 1);
  TestShards shards_{RandomModelFile(8, *ParseCodeSpec("32x1"), 1, 2), GetParam()};
};

TEST_P(LocateTest, OfViewsOlderAndOlder) {
  std::mt19937 random(3);
  std::vector<std::shared_ptr<const CollectionView>> views = {shards_.shards()->view()};
  for (int round = 0; round < 6; ++round) {
    // Segments are rewritten now and then.
    if (round % 3 == 1) {
      PutAllIds();
    } else {
      Put(random, 2500);
    }
    for (int i = 0; i < 20; ++i) shards_.Delete(absl::StrCat("d", random() % kIds));
    views.push_back(shards_.shards()->view());
    for (const auto& view : views) ASSERT_NO_FATAL_FAILURE(ExpectAgrees(*view, random));
  }
}

TEST_P(LocateTest, WhileOthersWrite) {
  PutAllIds();
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    std::mt19937 random(4);
    while (!stop) Put(random, 1000);
  });
  std::mt19937 random(5);
  std::shared_ptr<const CollectionView> old = shards_.shards()->view();
  for (int round = 0; round < 40 && !HasFatalFailure(); ++round) {
    ExpectAgrees(*shards_.shards()->view(), random);
    ExpectAgrees(*old, random);
    if (round % 10 == 9) old = shards_.shards()->view();
  }
  stop = true;
  writer.join();
}

INSTANTIATE_TEST_SUITE_P(Shards, LocateTest, ::testing::Values(1, 3));

}  // namespace
}  // namespace bebr::testing
