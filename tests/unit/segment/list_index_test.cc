#include "index/segment/list_index.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/segment/attribute_list.h"

namespace bebr {
namespace {

// A column of lists, texts and numbers, whose strings the dictionary holds.
struct Rows {
  explicit Rows(uint32_t count, uint64_t seed) {
    std::mt19937_64 random(seed);
    for (uint32_t row = 0; row < count; ++row) {
      AttributeList list;
      for (uint64_t i = random() % 5; i > 0; --i) {
        const uint64_t of = random() % 20 == 0 ? 3000 : 12;
        list.push_back(random() % 3 == 0 ? AttributeScalar(static_cast<int64_t>(random() % of))
                                         : AttributeScalar(absl::StrCat("tag", random() % of)));
      }
      lists.push_back(list);
      const uint64_t kind = random() % 8;
      types.push_back(kind == 0 ? AttributeType::kInt : kind == 1 ? AttributeType::kString : AttributeType::kList);
      values.push_back(types.back() == AttributeType::kInt ? random() % 50 : dictionary->Add(PackList(list)));
    }
  }
  ColumnRows first(uint32_t count) const { return {types.data(), values.data(), count}; }
  std::vector<uint32_t> Naive(const AttributeScalar& value, uint32_t count) const {
    std::vector<uint32_t> found;
    for (uint32_t row = 0; row < count; ++row) {
      if (types[row] != AttributeType::kList) continue;
      if (std::find(lists[row].begin(), lists[row].end(), value) != lists[row].end()) found.push_back(row);
    }
    return found;
  }

  std::shared_ptr<AttributeDictionary> dictionary = std::make_shared<AttributeDictionary>();
  std::vector<AttributeList> lists;
  std::vector<AttributeType> types;
  std::vector<uint64_t> values;
};

std::vector<uint32_t> Found(const ListPostings& postings, const AttributeScalar& value) {
  std::vector<uint32_t> rows;
  const auto number = postings.Find(PackScalar(value));
  if (!number.has_value()) return rows;
  postings.ForEachRow(*number, [&](uint32_t row) { rows.push_back(row); });
  EXPECT_LE(rows.size(), postings.Count(*number));
  return rows;
}

AttributeScalar RandomValue(std::mt19937_64& random) {
  const uint64_t number = random() % 4 == 0 ? random() % 3000 : random() % 12;
  return random() % 2 == 0 ? AttributeScalar(static_cast<int64_t>(number))
                           : AttributeScalar(absl::StrCat("tag", number));
}

// While the column grows, look-ups of all its rows and of what was there before find what a pass over the lists does.
TEST(ListIndexTest, FindsWhatAPassOverTheListsFinds) {
  const Rows rows(20000, 1);
  std::mt19937_64 random(2);
  for (const uint32_t step : {1u, 300u, 5000u, 20000u}) {
    const ListIndex index(rows.dictionary);
    for (uint32_t end = step; end <= 20000 && (step > 1 || end < 300); end += step) {
      for (int i = 0; i < 4; ++i) {
        const auto count = static_cast<uint32_t>(random() % 4 == 0 ? random() % (end + 1) : end);
        const AttributeScalar value = RandomValue(random);
        ASSERT_EQ(Found(index.Of(rows.first(count)), value), rows.Naive(value, count)) << count << " of " << end;
      }
    }
  }
}

TEST(ListIndexTest, TakesNothingUntilItIsAskedAndGivesItsValuesBack) {
  const Rows rows(5000, 3);
  const uint64_t before = rows.dictionary->memory_bytes();
  {
    const ListIndex index(rows.dictionary);
    EXPECT_EQ(index.memory_bytes(), 0u);
    const ListPostings postings = index.Of(rows.first(5000));
    size_t values = 0;
    std::set<std::string> different;
    for (uint32_t row = 0; row < 5000; ++row) {
      if (rows.types[row] != AttributeType::kList) continue;
      std::set<std::string> of_list;
      for (const AttributeScalar& value : rows.lists[row]) of_list.insert(PackScalar(value));
      values += of_list.size();
      different.insert(of_list.begin(), of_list.end());
    }
    EXPECT_EQ(index.memory_bytes(), 2 * values + 8 * different.size() + 4);
    EXPECT_GT(rows.dictionary->memory_bytes(), before);
    EXPECT_TRUE(rows.dictionary->Find(*different.begin()).has_value());
  }
  EXPECT_FALSE(rows.dictionary->Find(PackScalar(AttributeScalar(std::string("tag1")))).has_value());
}

TEST(ListIndexTest, ReadersOfAllViewsMayLookUpAtOnce) {
  const Rows rows(8000, 4);
  const ListIndex index(rows.dictionary);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (uint32_t count = 250; count <= 8000; count += 250) {
        const AttributeScalar value = RandomValue(random);
        EXPECT_EQ(Found(index.Of(rows.first(count)), value), rows.Naive(value, count));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace bebr
