#include "index/segment/value_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <random>
#include <thread>
#include <vector>

namespace bebr {
namespace {

using ::testing::IsEmpty;

struct Rows {
  std::vector<AttributeType> types;
  std::vector<uint64_t> values;
  ColumnRows first(uint32_t count) const { return {types.data(), values.data(), count}; }
};

// Values of all types, some of them rare, and rows without one.
Rows RandomRows(uint32_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  Rows rows;
  for (uint32_t row = 0; row < count; ++row) {
    const auto type = static_cast<AttributeType>(random() % 5);
    const uint64_t below = random() % 4 == 0 ? 5 : 500;
    const auto number = static_cast<int64_t>(random() % below) - 100;
    rows.types.push_back(type);
    rows.values.push_back(type == AttributeType::kInt      ? static_cast<uint64_t>(number)
                          : type == AttributeType::kDouble ? std::bit_cast<uint64_t>(static_cast<double>(number) / 4)
                          : type == AttributeType::kBool   ? random() % 2
                                                           : random() % below);
  }
  return rows;
}

std::vector<uint16_t> Naive(const ColumnRows& column, const std::vector<KeyRange>& ranges) {
  std::vector<uint16_t> found;
  for (uint32_t row = 0; row < column.count; ++row) {
    for (const KeyRange& range : ranges) {
      const uint64_t key = OrderKey(column.types[row], column.values[row]);
      if (column.types[row] == range.type && key >= range.least && key <= range.most)
        found.push_back(static_cast<uint16_t>(row));
    }
  }
  return found;
}

std::vector<KeyRange> RandomRanges(std::mt19937_64& random) {
  std::vector<KeyRange> ranges;
  uint64_t from = 0;
  const auto type = static_cast<AttributeType>(1 + random() % 4);
  const auto key = [&](uint64_t i) {
    const auto number = static_cast<int64_t>(i) - 100;
    return type == AttributeType::kInt      ? OrderKey(type, static_cast<uint64_t>(number))
           : type == AttributeType::kDouble ? OrderKey(type, std::bit_cast<uint64_t>(static_cast<double>(number) / 4))
                                            : i;
  };
  for (uint64_t i = random() % 4; i > 0; --i) {
    const uint64_t least = from + random() % 100, most = least + (random() % 2 == 0 ? 0 : random() % 50);
    ranges.push_back({type, key(least), key(most)});
    from = most + 1;
  }
  return ranges;
}

TEST(ValueIndexTest, KeysAreInTheOrderOfTheValues) {
  const double inf = std::numeric_limits<double>::infinity();
  uint64_t last = 0;
  for (const double value : {-inf, -1e300, -1.5, -5e-324, -0.0, 0.0, 5e-324, 1.0, 2.0, 1e300, inf}) {
    const uint64_t key = OrderKey(AttributeType::kDouble, std::bit_cast<uint64_t>(value));
    EXPECT_GT(key, last) << value;
    last = key;
  }
  EXPECT_LT(OrderKey(AttributeType::kInt, static_cast<uint64_t>(int64_t{-1})), OrderKey(AttributeType::kInt, 0));
  EXPECT_LT(OrderKey(AttributeType::kInt, 0), OrderKey(AttributeType::kInt, 1));
}

// While the column grows, look-ups of all its rows and of what was there before find what a pass over the rows does.
TEST(ValueIndexTest, FindsWhatAPassOverTheRowsFinds) {
  const Rows rows = RandomRows(kMaxIndexedRows, 1);
  std::mt19937_64 random(2);
  for (const uint32_t step : {1u, 700u, 1024u, 5000u, kMaxIndexedRows}) {
    const ValueIndex index;
    std::vector<uint16_t> found;
    uint32_t looked = 0;
    for (uint64_t end = step; end <= kMaxIndexedRows && looked < 600; end += step == 1 ? 1 + random() % 100 : step) {
      for (int i = 0; i < 8; ++i, ++looked) {
        const auto count = static_cast<uint32_t>(random() % 4 == 0 ? random() % (end + 1) : end);
        const std::vector<KeyRange> ranges = RandomRanges(random);
        ASSERT_TRUE(index.Find(rows.first(count), ranges, kMaxIndexedRows, found));
        ASSERT_EQ(found, Naive(rows.first(count), ranges)) << count << " of " << end << " rows";
      }
      EXPECT_LE(index.memory_bytes(), (2 * end + end / 8) + 8 * 16);  // 16 runs or fewer
    }
  }
}

TEST(ValueIndexTest, GivesUpOnceThereAreTooMany) {
  Rows rows;
  rows.types.assign(3000, AttributeType::kInt);
  for (uint64_t row = 0; row < 3000; ++row) rows.values.push_back(row / 10);
  const ValueIndex index;
  std::vector<uint16_t> found;
  for (const uint32_t count : {2200, 2980}) {
    for (int i = 0; i < 40; ++i) EXPECT_TRUE(index.Find(rows.first(count), {{AttributeType::kBool, 0, 0}}, 1, found));
  }
  for (const uint64_t value : {0, 250, 299}) {  // in a run, in another one, and behind them
    const uint64_t key = OrderKey(AttributeType::kInt, value);
    const KeyRange range{AttributeType::kInt, key, key};
    EXPECT_FALSE(index.Find(rows.first(3000), {range}, 9, found));
    EXPECT_TRUE(index.Find(rows.first(3000), {range}, 10, found));
    EXPECT_EQ(found.size(), 10u);
  }
  EXPECT_TRUE(index.Find(rows.first(3000), {}, 0, found));
  EXPECT_THAT(found, IsEmpty());
}

TEST(ValueIndexTest, TakesNothingUntilItIsAsked) {
  const Rows rows = RandomRows(5000, 3);
  const ValueIndex index;
  EXPECT_EQ(index.memory_bytes(), 0u);
  std::vector<uint16_t> found;
  index.Find(rows.first(5000), {{AttributeType::kBool, 0, 0}}, 5000, found);
  uint64_t present = 0;
  for (uint32_t row = 0; row < 5000; ++row) present += rows.types[row] != AttributeType::kAbsent;
  EXPECT_EQ(index.memory_bytes(), 2 * present + 8 * ((present + 63) / 64));
}

// Rows behind the runs are looked through by each look-up, until it would have been worth it to sort them.
TEST(ValueIndexTest, SortsTheNewestRowsOnceTheyAreLookedThroughOften) {
  const Rows rows = RandomRows(5000, 3);
  const KeyRange range{AttributeType::kInt, OrderKey(AttributeType::kInt, 0), ~uint64_t{0}};
  std::vector<uint16_t> found;
  for (const uint32_t count : {63u, 64u, 1023u, 5000u}) {
    const ValueIndex index;
    uint64_t first = 0;
    for (int i = 0; i < 40; ++i) {
      ASSERT_TRUE(index.Find(rows.first(count), {range}, count, found));
      ASSERT_EQ(found, Naive(rows.first(count), {range}));
      if (i == 0) first = index.memory_bytes();
    }
    EXPECT_EQ(first > 0, count >= 1024) << count;
    EXPECT_EQ(index.memory_bytes() > 0, count >= 64) << count;
  }
}

TEST(ValueIndexTest, ReadersOfAllViewsMayLookUpAtOnce) {
  const Rows rows = RandomRows(20000, 4);
  const ValueIndex index;
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      std::vector<uint16_t> found;
      for (uint32_t count = 500; count <= 20000; count += 500) {
        const std::vector<KeyRange> ranges = RandomRanges(random);
        EXPECT_TRUE(index.Find(rows.first(count), ranges, count, found));
        EXPECT_EQ(found, Naive(rows.first(count), ranges));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace bebr
