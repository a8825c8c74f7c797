#include "index/segment/attribute_columns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

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
  dictionary.ForEach(0, dictionary.size(), [&](uint32_t number, std::string_view text) { all.emplace(number, text); });
  EXPECT_THAT(all, ElementsAre(Pair(0, "b"), Pair(1, ""), Pair(2, zeros)));
  const uint64_t before = dictionary.memory_bytes();
  dictionary.Add(std::string(5000, 'x'));
  EXPECT_GE(dictionary.memory_bytes(), before + 5000);
}

TEST(AttributeDictionaryTest, AStringGoesWithTheLastRowThatHasIt) {
  AttributeDictionary dictionary;
  const std::string text(5000, 'x');
  const uint32_t kept = dictionary.Add("kept"), number = dictionary.Add(text);
  EXPECT_EQ(dictionary.Add(text), number);
  EXPECT_EQ(dictionary.Hold(number), text.size());
  const std::vector<uint32_t> two = {number, number}, one = {number};
  dictionary.Release(two);
  EXPECT_EQ(dictionary.Find(text), number);
  const uint64_t before = dictionary.memory_bytes();
  dictionary.Release(one);
  EXPECT_FALSE(dictionary.Find(text).has_value());
  EXPECT_LE(dictionary.memory_bytes() + 5000, before);
  EXPECT_EQ(dictionary.Find("kept"), kept);
  EXPECT_FALSE(dictionary.Hold(number).has_value());
  EXPECT_EQ(dictionary.Add("next"), number);  // numbers are used again
  const std::vector<uint32_t> all = {kept, number};
  dictionary.Release(all);
  EXPECT_EQ(dictionary.size(), 0u);
}

TEST(AttributeColumnsTest, TheirStringsGoWithThem) {
  const auto dictionary = std::make_shared<AttributeDictionary>();
  auto first = std::make_unique<AttributeColumns>(4, dictionary),
       second = std::make_unique<AttributeColumns>(4, dictionary);
  first->Set(0, {{"a", std::string("shared")}, {"b", std::string("own")}, {"c", int64_t{0}}});
  first->Set(1, {{"a", std::string("shared")}});
  second->Copy(*first, 1, 2);
  EXPECT_EQ(first->text_bytes(), 6u + 3 + 6);
  EXPECT_EQ(second->text_bytes(), 6u);
  first.reset();
  EXPECT_FALSE(dictionary->Find("own").has_value());
  EXPECT_TRUE(dictionary->Find("shared").has_value());
  second.reset();
  EXPECT_EQ(dictionary->size(), 0u);
}

// Whatever memory makes of a row's types and numbers, the strings of others stay, and its own go.
TEST(AttributeColumnsTest, ARowThatMemoryChangedTakesNothingFromOthers) {
  const auto dictionary = std::make_shared<AttributeDictionary>();
  auto others = std::make_unique<AttributeColumns>(4, dictionary),
       columns = std::make_unique<AttributeColumns>(4, dictionary);
  others->Set(0, {{"a", std::string("other")}, {"b", std::string("another")}});
  const Attributes first = {{"a", std::string("first")}, {"b", int64_t{1}}, {"c", AttributeList{"x"}}};
  const Attributes second = {{"a", std::string("second")}};
  columns->Set(0, first);
  columns->Set(1, second);
  const AttributeColumns::View view = columns->view();
  view->at("a")->values[0] = *dictionary->Find("other");  // another one's number
  view->at("b")->types[0] = AttributeType::kString;       // an integer that is now one
  view->at("b")->values[0] = *dictionary->Find("another");
  view->at("c")->types[0] = AttributeType::kAbsent;  // one that is no more
  view->at("a")->values[1] = 99;                     // the number of none
  others->Copy(*columns, 1, 1);                      // takes nothing along
  EXPECT_EQ(others->view()->at("a")->types[1], AttributeType::kAbsent);
  columns->Recount(0, first);
  columns->Recount(1, second);
  columns.reset();
  EXPECT_EQ(dictionary->Text(*dictionary->Find("other")), "other");
  EXPECT_EQ(dictionary->Text(*dictionary->Find("another")), "another");
  for (const char* text : {"first", "second"}) EXPECT_FALSE(dictionary->Find(text).has_value()) << text;
  EXPECT_EQ(dictionary->Text(99), "");
  others.reset();
  EXPECT_EQ(dictionary->size(), 0u);  // no reference is left over
}

TEST(AttributeColumnsTest, WhatIsStoredOnlyTakesNoMemory) {
  const auto dictionary = std::make_shared<AttributeDictionary>();
  const auto schema = std::make_shared<const AttributeSchema>(
      AttributeSchema{{"n", {.storage = AttributeStorage::kStored}}, {"s", {.storage = AttributeStorage::kIndexed}}});
  AttributeColumns from(4, dictionary, schema), to(4, dictionary, schema);
  const std::string text(kMaxIndexedTextBytes + 1, 'x');
  from.Set(0, {{"t", text}, {"n", int64_t{5}}, {"l", AttributeList{text, "a"}}});
  EXPECT_EQ(dictionary->size(), 0u);
  EXPECT_EQ(from.memory_bytes(100), 3u * 100);
  from.Set(1, {{"s", text}, {"l", AttributeList{"b", "a", "b"}}});
  from.Set(2, {{"l", AttributeList{"a", "b"}}, {"at", Timestamp{7}}});
  EXPECT_EQ(from.memory_bytes(100), (3u * 9 + 2) * 100);
  for (uint32_t row = 0; row < 3; ++row) to.Copy(from, row, row);
  for (const AttributeColumns* columns : {&from, &to}) {
    const auto& map = *columns->view();
    EXPECT_EQ(map.at("t")->types[0], AttributeType::kStored);
    EXPECT_EQ(map.at("n")->types[0], AttributeType::kStored);
    EXPECT_EQ(map.at("l")->types[0], AttributeType::kStored);
    EXPECT_EQ(map.at("l")->values[1], map.at("l")->values[2]) << "lists with the same values are one";
    EXPECT_EQ(ScalarAt(*map.at("s"), 1, *dictionary), AttributeScalar(text));
    EXPECT_EQ(ScalarAt(*map.at("at"), 2, *dictionary), AttributeScalar(Timestamp{7}));
    EXPECT_EQ(ScalarAt(*map.at("t"), 0, *dictionary), std::nullopt);
    EXPECT_EQ(ScalarAt(*map.at("l"), 1, *dictionary), std::nullopt);
  }
}

TEST(AttributeColumnsTest, KeepEveryTypeAsItIsNumbered) {
  const auto dictionary = std::make_shared<AttributeDictionary>();
  AttributeColumns columns(4, dictionary);
  columns.Set(1, {{"s", std::string("text")}, {"i", std::numeric_limits<int64_t>::min()}, {"d", -0.5}, {"b", true}});
  const AttributeColumns::View view = columns.view();
  EXPECT_EQ(view->at("s")->types[1], AttributeType::kString);
  EXPECT_EQ(view->at("s")->values[1], dictionary->Find("text"));
  EXPECT_EQ(view->at("i")->types[1], AttributeType::kInt);
  EXPECT_EQ(static_cast<int64_t>(view->at("i")->values[1]), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(view->at("d")->types[1], AttributeType::kDouble);
  EXPECT_EQ(std::bit_cast<double>(view->at("d")->values[1]), -0.5);
  EXPECT_EQ(view->at("b")->types[1], AttributeType::kBool);
  EXPECT_EQ(view->at("b")->values[1], 1u);
  for (const auto& [name, column] : *view) EXPECT_EQ(column->types[0], AttributeType::kAbsent) << name;
}

TEST(AttributeColumnsTest, AViewKeepsTheNamesOfItsMoment) {
  const auto dictionary = std::make_shared<AttributeDictionary>();
  AttributeColumns columns(4, dictionary);
  columns.Set(0, {{"a", int64_t{1}}});
  const AttributeColumns::View before = columns.view();
  columns.Set(1, {{"a", int64_t{2}}, {"b", int64_t{3}}});
  EXPECT_EQ(before->size(), 1u);
  EXPECT_EQ(columns.view()->size(), 2u);
  EXPECT_EQ(before->at("a")->values[0], 1u);
}

TEST(AttributeColumnsTest, CopiesARowWithoutWhatItLacks) {
  const auto dictionary = std::make_shared<AttributeDictionary>();
  AttributeColumns from(4, dictionary), to(4, dictionary);
  from.Set(0, {{"only there", int64_t{1}}});
  from.Set(2, {{"s", std::string("x")}, {"i", int64_t{7}}});
  to.Copy(from, 2, 3);
  const AttributeColumns::View view = to.view();
  EXPECT_EQ(view->size(), 2u);
  EXPECT_EQ(view->at("i")->values[3], 7u);
  EXPECT_EQ(view->at("s")->types[3], AttributeType::kString);
  EXPECT_EQ(view->at("s")->types[2], AttributeType::kAbsent);
}

}  // namespace
}  // namespace bebr
