#include "index/base/stable_hash.h"

#include <gtest/gtest.h>

#include <string>

namespace bebr {
namespace {

// These values decide in which shard a document of any data directory lies: they never change. Worked out by another
// program.
TEST(StableHashTest, HasTheValuesOfAllReleases) {
  EXPECT_EQ(StableHash(""), 0xefd01f60ba992926u);
  EXPECT_EQ(StableHash("a"), 0x82a2a958a9bece5bu);
  EXPECT_EQ(StableHash("0"), 0xc1e42af088ff1b2cu);
  EXPECT_EQ(StableHash("doc-1"), 0x4874a7cf46898a5eu);
  EXPECT_EQ(StableHash(std::string_view("\0", 1)), 0xb9034ad37056f5fbu);
  EXPECT_EQ(StableHash("\xff"), 0x1bbd5c813c69a8d7u);
  EXPECT_EQ(StableHash("Stra\xc3\x9f\x65"), 0xd3e3f912ad59e5b4u);
  EXPECT_EQ(StableHash("papers/2402.08714"), 0xdc5e92450ecb7b51u);
  EXPECT_EQ(StableHash(std::string(512, 'x')), 0x483cbe384030516au);
}

TEST(StableHashTest, SpreadsIdsThatCountUpOverShards) {
  constexpr size_t kShards = 8, kIds = 8000;
  size_t counts[kShards] = {};
  for (size_t i = 0; i < kIds; ++i) {
    ++counts[static_cast<size_t>((static_cast<unsigned __int128>(StableHash(std::to_string(i))) * kShards) >> 64)];
  }
  for (const size_t count : counts) {
    EXPECT_GT(count, kIds / kShards * 9 / 10);
    EXPECT_LT(count, kIds / kShards * 11 / 10);
  }
}

}  // namespace
}  // namespace bebr
