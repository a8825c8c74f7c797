#include "index/segment/segment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

uint32_t WordAt(const std::byte* block, size_t offset) {
  uint32_t word;
  std::memcpy(&word, block + offset, sizeof(word));
  return word;
}
float FloatAt(const std::byte* block, size_t offset) { return std::bit_cast<float>(WordAt(block, offset)); }

// A code of `spec` that follows from `seed`, its padding clean.
std::vector<uint32_t> CodeOf(const CodeSpec& spec, uint32_t seed) {
  std::vector<uint32_t> words;
  for (const Band& band : spec.bands()) {
    for (uint32_t t = 0; t < band.levels; ++t) {
      for (uint32_t first = 0; first < band.dims; first += 32) {
        const uint32_t bits = std::min(32u, band.dims - first);
        words.push_back(seed * 2654435761u >> (32 - bits));
        seed = seed * 31 + 7;
      }
    }
  }
  return words;
}

TEST(CodeColumnTest, BlocksLieAsTheFormatSays) {
  const CodeSpec spec = *ParseCodeSpec("40x2");  // 4 words
  CodeColumn column(spec);
  EXPECT_EQ(column.block_bytes(), 64u * (4 + 2));
  for (const uint32_t row : {0u, 15u, 16u, 37u, kSegmentRows - 1}) {
    const std::vector<uint32_t> words = CodeOf(spec, row + 1);
    column.Store(row, {.version = 3, .factors = {0.5f + static_cast<float>(row), -2.0f}, .words = words});
    const std::byte* block = column.block(row / 16);
    const size_t lane = row % 16;
    for (size_t w = 0; w < 4; ++w) EXPECT_EQ(WordAt(block, 64 * w + 4 * lane), words[w]) << "row " << row;
    EXPECT_EQ(FloatAt(block, 64 * 4 + 4 * lane), 0.5f + static_cast<float>(row));
    EXPECT_EQ(FloatAt(block, 64 * 5 + 4 * lane), -2.0f);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u);
  }
  // The worked example.
  EXPECT_EQ(column.block_bytes(), 384u);
  EXPECT_EQ(CodeColumn(*ParseCodeSpec("128x4")).block_bytes(), 1152u);
  const std::vector<uint32_t> of_37 = CodeOf(spec, 37 + 1);
  const size_t places[] = {20, 84, 148, 212};
  for (size_t w = 0; w < 4; ++w) EXPECT_EQ(WordAt(column.block(2), places[w]), of_37[w]);
  EXPECT_EQ(FloatAt(column.block(2), 276), 37.5f);
  EXPECT_EQ(FloatAt(column.block(2), 340), -2.0f);
  // A lane without a code is zero.
  for (size_t word = 0; word < 6; ++word) EXPECT_EQ(WordAt(column.block(0), 64 * word + 4 * 7), 0u);
}

TEST(CodeColumnTest, GivesBackWhatItWasGiven) {
  for (const char* shape : {"8x1", "32x4", "33x3", "8x4+17x3+33x2+70x1"}) {
    const CodeSpec spec = *ParseCodeSpec(shape);
    CodeColumn column(spec);
    EXPECT_EQ(column.code_words(), spec.code_words());
    for (uint32_t row = 0; row < 40; row += 3) {
      column.Store(row, {.version = static_cast<uint8_t>(row), .factors = {1.5f, 0.25f}, .words = CodeOf(spec, row)});
    }
    for (uint32_t row = 0; row < 40; ++row) {
      ASSERT_EQ(column.has(row), row % 3 == 0) << shape << " row " << row;
      EXPECT_EQ(column.presence()[row], row % 3 == 0 ? row + 1 : 0);
      if (row % 3 != 0) continue;
      EXPECT_EQ(column.version(row), row);
      std::vector<uint32_t> words(spec.code_words());
      const CodeFactors factors = column.Load(column.block(row / 16), row % 16, words.data());
      EXPECT_THAT(words, ElementsAreArray(CodeOf(spec, row))) << shape << " row " << row;
      EXPECT_EQ(factors.scale, 1.5f);
      EXPECT_EQ(factors.offset, 0.25f);
    }
  }
}

// Rows of a column with groups, as a view of them has them.
SegmentView::SpaceView Published(const std::shared_ptr<CodeColumn>& column, uint32_t rows) {
  return {.space = 0, .column = column, .rows = rows, .groups = column->Publish()};
}

TEST(CodeColumnTest, WithGroupsABlockHoldsCodesOfOneGroup) {
  const CodeSpec spec = *CodeSpec::Create(ParseCodeSpec("33x2")->bands(), 3);
  const auto column = std::make_shared<CodeColumn>(spec);
  constexpr uint32_t kRows = 2000;
  const auto group_of = [](uint32_t row) { return row % 7 == 0 ? 2u : row % 2; };
  SegmentView::SpaceView early;
  for (uint32_t row = 0; row < kRows; ++row) {
    if (row == 1003) early = Published(column, row);
    if (row % 11 == 3) continue;
    column->Store(row, {.version = 1, .factors = {0.5f, 2.0f, group_of(row)}, .words = CodeOf(spec, row)});
  }
  const SegmentView::SpaceView late = Published(column, kRows);
  EXPECT_EQ(column->Publish(), late.groups);  // nothing changed
  for (const SegmentView::SpaceView& view : {early, late}) {
    std::set<uint32_t> places;
    for (uint32_t row = 0; row < view.rows; ++row) {
      ASSERT_EQ(column->has(row), row % 11 != 3);
      if (!column->has(row)) continue;
      const uint32_t place = column->place(row);
      EXPECT_TRUE(places.insert(place).second);
      EXPECT_TRUE(column->holds(place));
      EXPECT_EQ(column->row(place), row);
      EXPECT_EQ(column->group_of(place / 16), group_of(row));
      std::vector<uint32_t> words(spec.code_words());
      const CodeFactors factors = view.Load(row, words.data());
      EXPECT_THAT(words, ElementsAreArray(CodeOf(spec, row))) << row;
      EXPECT_EQ(factors.group, group_of(row));
    }
  }
  const uint64_t blocks = (column->memory_bytes(kRows) - kRows * (1 + CodeColumn::kPlaceBytes)) / column->block_bytes();
  EXPECT_GE(blocks, kRows * 10 / 11 / 16);
  EXPECT_LE(blocks, kRows / 16 + 3);
}

TEST(CodeColumnTest, ACodeThatComesAgainMayChangeItsGroup) {
  const CodeSpec spec = *CodeSpec::Create(ParseCodeSpec("8x1")->bands(), 2);
  const auto column = std::make_shared<CodeColumn>(spec);
  const auto store = [&](uint32_t row, uint32_t group, uint32_t word) {
    column->Store(row, {.version = 0, .factors = {1, 0, group}, .words = std::vector<uint32_t>{word}});
  };
  store(0, 1, 5);
  store(1, 1, 6);
  const uint32_t before = column->place(0);
  store(0, 1, 7);
  EXPECT_EQ(column->place(0), before);
  store(0, 0, 8);
  EXPECT_FALSE(column->holds(before));
  EXPECT_EQ(column->group_of(column->place(0) / 16), 0u);
  const SegmentView::SpaceView view = Published(column, 2);
  std::vector<uint32_t> words(1);
  EXPECT_EQ(view.Load(0, words.data()).group, 0u);
  EXPECT_EQ(words[0], 8u);
  EXPECT_EQ(view.Load(1, words.data()).group, 1u);
  EXPECT_EQ(words[0], 6u);
}

TEST(SegmentTest, WithGroupsItIsFullBeforeAColumnLacksRoom) {
  const CodeSpec spec = *CodeSpec::Create(ParseCodeSpec("8x1")->bands(), kMaxGroups);
  const auto segment = std::make_unique<Segment>(std::make_shared<AttributeDictionary>());
  std::mt19937_64 random(1);
  uint32_t rows = 0;
  for (; !segment->full(); ++rows) {
    segment->Append(std::to_string(rows), {});
    const CodeFactors factors{1, 0, static_cast<uint32_t>(random() % kMaxGroups)};
    segment->SetCode(rows, {.space = 0, .factors = factors, .words = std::vector<uint32_t>{rows % 256}}, spec);
  }
  EXPECT_GT(rows, kSegmentRows / 2);
  EXPECT_LE(rows, kSegmentRows);
  const CodeColumn& column = *segment->spaces()[0].column;
  for (uint32_t row = 0; row < rows; ++row) ASSERT_EQ(column.row(column.place(row)), row);
}

TEST(CodeColumnTest, TakesTheGreatestVersionNumber) {
  CodeColumn column(*ParseCodeSpec("8x1"));
  column.Store(0, {.version = kMaxVersions - 1, .words = std::vector<uint32_t>{1}});
  EXPECT_TRUE(column.has(0));
  EXPECT_EQ(column.version(0), kMaxVersions - 1);
}

TEST(SegmentTest, ShapesAreThoseOfTheSpec) {
  const CodeSpec spec = *ParseCodeSpec("32x4+65x2");
  const simd::CodeShape shape = MakeShape(spec, 4);
  ASSERT_EQ(shape.band_count, 2u);
  EXPECT_EQ(shape.bands[0].dims, 32u);
  EXPECT_EQ(shape.bands[0].levels, 4u);
  EXPECT_EQ(shape.bands[1].dims, 65u);
  EXPECT_EQ(shape.bands[1].levels, 2u);
  EXPECT_EQ(shape.query_levels, 4u);
  EXPECT_EQ(shape.code_words, 4u + 3 * 2);
}

TEST(SegmentTest, HoldsRowsInTheirOrderUntilItIsFull) {
  const auto dictionary = std::make_shared<AttributeDictionary>();
  const auto segment = std::make_unique<Segment>(dictionary);
  for (uint32_t row = 0; row < kSegmentRows; ++row) {
    ASSERT_FALSE(segment->full());
    ASSERT_EQ(segment->Append("id" + std::to_string(row), {}), row);
  }
  EXPECT_TRUE(segment->full());
  EXPECT_EQ(segment->rows(), kSegmentRows);
  segment->Seal();
  for (const uint32_t row : {0u, 1u, 4095u, kSegmentRows - 1}) EXPECT_EQ(segment->id(row), "id" + std::to_string(row));
}

TEST(SegmentTest, TakesTheLongestIds) {
  const auto dictionary = std::make_shared<AttributeDictionary>();
  const auto segment = std::make_unique<Segment>(dictionary);
  std::string id(kMaxIdBytes, 'x');
  for (uint32_t row = 0; row < kSegmentRows; ++row) {
    std::memcpy(id.data(), &row, sizeof(row));
    segment->Append(id, {});
  }
  for (uint32_t row = 0; row < kSegmentRows; row += 997) {
    std::memcpy(id.data(), &row, sizeof(row));
    ASSERT_EQ(segment->id(row), id);
  }
  EXPECT_GE(segment->id_bytes(), uint64_t{kSegmentRows} * (kMaxIdBytes + 2 + 4));
}

TEST(SegmentTest, ARowHasACodeInSomeSpaces) {
  const auto dictionary = std::make_shared<AttributeDictionary>();
  const CodeSpec small = *ParseCodeSpec("8x1"), large = *ParseCodeSpec("64x2");
  const auto segment = std::make_unique<Segment>(dictionary);
  segment->Append("a", {});
  segment->SetCode(0, {.space = 4, .version = 1, .factors = {1, 2}, .words = CodeOf(small, 1)}, small);
  segment->Append("b", {});
  segment->SetCode(1, {.space = 7, .version = 2, .factors = {3, 4}, .words = CodeOf(large, 2)}, large);
  ASSERT_EQ(segment->spaces().size(), 2u);
  EXPECT_EQ(segment->spaces()[0].space, 4u);
  EXPECT_TRUE(segment->spaces()[0].column->has(0));
  EXPECT_FALSE(segment->spaces()[0].column->has(1));
  EXPECT_TRUE(segment->spaces()[1].column->has(1));
  // One block of each column, and a byte a row.
  EXPECT_EQ(segment->code_bytes(), 64u * (1 + 2) + 2 + 64 * (4 + 2) + 2);
  segment->DropSpace(4);
  ASSERT_EQ(segment->spaces().size(), 1u);
  EXPECT_EQ(segment->spaces()[0].space, 7u);
}

TEST(SegmentTest, ACopiedRowBringsEverything) {
  const auto dictionary = std::make_shared<AttributeDictionary>();
  const CodeSpec spec = *ParseCodeSpec("33x3");
  const auto from = std::make_unique<Segment>(dictionary), to = std::make_unique<Segment>(dictionary);
  from->Append("other", {});
  from->Append("row", {{"color", std::string("red")}, {"size", int64_t{3}}});
  from->SetCode(1, {.space = 2, .version = 5, .factors = {1, -1}, .words = CodeOf(spec, 9)}, spec);
  from->SetMarks(1, 17);
  to->Append("before", {{"size", int64_t{1}}});
  ASSERT_EQ(to->AppendCopy(*from, 1), 1u);
  EXPECT_EQ(to->id(1), "row");
  EXPECT_EQ(to->marks(0), 0);
  EXPECT_EQ(to->marks(1), 17);
  const CodeColumn& column = *to->spaces().at(0).column;
  EXPECT_FALSE(column.has(0));
  EXPECT_EQ(column.version(1), 5);
  std::vector<uint32_t> words(spec.code_words());
  column.Load(column.block(0), 1, words.data());
  EXPECT_THAT(words, ElementsAreArray(CodeOf(spec, 9)));
  const AttributeColumns::View columns = to->attributes().view();
  EXPECT_EQ(columns->at("color")->values[1], dictionary->Find("red"));
  EXPECT_EQ(columns->at("size")->values[1], 3u);
  to->ClearMarks();
  EXPECT_EQ(to->marks(1), 0);
}

TEST(DeletionSetTest, IsOneBitARow) {
  const auto set = std::make_unique<DeletionSet>();
  for (const uint32_t row : {0u, 63u, 64u, kSegmentRows - 1}) {
    EXPECT_FALSE(set->test(row));
    set->set(row);
    EXPECT_TRUE(set->test(row));
  }
  EXPECT_FALSE(set->test(1));
  EXPECT_FALSE(set->test(62));
  EXPECT_FALSE(set->test(65));
}

}  // namespace
}  // namespace bebr
