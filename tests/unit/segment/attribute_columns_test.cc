#include "index/segment/attribute_columns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <map>
#include <string>

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(AttributeDictionaryTest, NumbersStringsInTheOrderOfTheirArrival) {
  AttributeDictionary dictionary;
  const std::string zeros(2, '\0');
  EXPECT_EQ(dictionary.Add("b"), 0u);
  EXPECT_EQ(dictionary.Add(""), 1u);
  EXPECT_EQ(dictionary.Add(zeros), 2u);
  EXPECT_EQ(dictionary.Add("b"), 0u);
  EXPECT_EQ(dictionary.Find(zeros), 2u);
  EXPECT_FALSE(dictionary.Find("a").has_value());
  EXPECT_EQ(dictionary.size(), 3u);
  std::map<uint32_t, std::string> all;
  dictionary.ForEach([&](uint32_t number, std::string_view text) { all.emplace(number, text); });
  EXPECT_THAT(all, ElementsAre(Pair(0, "b"), Pair(1, ""), Pair(2, zeros)));
  const uint64_t before = dictionary.memory_bytes();
  dictionary.Add(std::string(5000, 'x'));
  EXPECT_GE(dictionary.memory_bytes(), before + 5000);
}

TEST(AttributeColumnsTest, KeepEveryTypeAsItIsNumbered) {
  AttributeDictionary dictionary;
  AttributeColumns columns(4);
  columns.Set(1, {{"s", std::string("text")}, {"i", std::numeric_limits<int64_t>::min()}, {"d", -0.5}, {"b", true}},
              dictionary);
  const AttributeColumns::View view = columns.view();
  EXPECT_EQ(view->at("s")->types[1], AttributeType::kString);
  EXPECT_EQ(view->at("s")->values[1], dictionary.Find("text"));
  EXPECT_EQ(view->at("i")->types[1], AttributeType::kInt);
  EXPECT_EQ(static_cast<int64_t>(view->at("i")->values[1]), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(view->at("d")->types[1], AttributeType::kDouble);
  EXPECT_EQ(std::bit_cast<double>(view->at("d")->values[1]), -0.5);
  EXPECT_EQ(view->at("b")->types[1], AttributeType::kBool);
  EXPECT_EQ(view->at("b")->values[1], 1u);
  for (const auto& [name, column] : *view) EXPECT_EQ(column->types[0], AttributeType::kAbsent) << name;
}

TEST(AttributeColumnsTest, AViewKeepsTheNamesOfItsMoment) {
  AttributeDictionary dictionary;
  AttributeColumns columns(4);
  columns.Set(0, {{"a", int64_t{1}}}, dictionary);
  const AttributeColumns::View before = columns.view();
  columns.Set(1, {{"a", int64_t{2}}, {"b", int64_t{3}}}, dictionary);
  EXPECT_EQ(before->size(), 1u);
  EXPECT_EQ(columns.view()->size(), 2u);
  EXPECT_EQ(before->at("a")->values[0], 1u);
}

TEST(AttributeColumnsTest, CopiesARowWithoutWhatItLacks) {
  AttributeDictionary dictionary;
  AttributeColumns from(4), to(4);
  from.Set(0, {{"only there", int64_t{1}}}, dictionary);
  from.Set(2, {{"s", std::string("x")}, {"i", int64_t{7}}}, dictionary);
  to.Copy(from, 2, 3);
  const AttributeColumns::View view = to.view();
  EXPECT_EQ(view->size(), 2u);
  EXPECT_EQ(view->at("i")->values[3], 7u);
  EXPECT_EQ(view->at("s")->types[3], AttributeType::kString);
  EXPECT_EQ(view->at("s")->types[2], AttributeType::kAbsent);
}

}  // namespace
}  // namespace bebr
