#include "index/segment/layout_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "index/base/checksum.h"
#include "index/segment/segment.h"
#include "tests/support/temporary_directory.h"

namespace bebr {
namespace {

using ::testing::HasSubstr;

class LayoutFileTest : public ::testing::Test {
 protected:
  std::string path() const { return directory_.path() + "/layout"; }
  std::string Bytes() const {
    std::ifstream in(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  void Replace(const std::string& bytes) const { std::ofstream(path(), std::ios::binary | std::ios::trunc) << bytes; }
  // Numbers that take some parts, between two texts.
  void WriteSome() const {
    auto file = *LayoutWriter::Create(path());
    file->PutText("before");
    std::vector<uint32_t> numbers(700000);
    for (uint32_t i = 0; i < numbers.size(); ++i) numbers[i] = i * 2654435761u;
    file->PutArray(numbers.data(), numbers.size());
    file->PutText("");
    file->Put(0.5);
    ASSERT_TRUE(file->Finish().ok());
  }
  // Reads what WriteSome has written; its status.
  absl::Status ReadSome() const {
    auto file = LayoutReader::Open(path());
    if (!file.ok()) return file.status();
    const std::string before = (*file)->TakeText(100);
    std::vector<uint32_t> numbers(700000, 1);
    (*file)->TakeArray(numbers.data(), numbers.size());
    const std::string empty = (*file)->TakeText(100);
    const auto half = (*file)->Take<double>();
    absl::Status status = (*file)->Finish();
    if (!status.ok()) return status;
    EXPECT_EQ(before, "before");
    for (uint32_t i = 0; i < numbers.size(); ++i) {
      if (numbers[i] != i * 2654435761u) return absl::InternalError("another number");
    }
    EXPECT_EQ(empty, "");
    EXPECT_EQ(half, 0.5);
    return status;
  }

  testing::TemporaryDirectory directory_;
};

TEST_F(LayoutFileTest, ReturnsWhatWasWritten) {
  WriteSome();
  EXPECT_TRUE(ReadSome().ok()) << ReadSome();
}

TEST_F(LayoutFileTest, EveryDamageIsDataLoss) {
  WriteSome();
  const std::string whole = Bytes();
  ASSERT_GT(whole.size(), 2u << 20);
  for (size_t at = 0; at < whole.size(); at += at < 100 || at + 100 > whole.size() ? 1 : 65521) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x20);
    Replace(changed);
    EXPECT_EQ(ReadSome().code(), absl::StatusCode::kDataLoss) << at;
    Replace(whole.substr(0, at));
    EXPECT_EQ(ReadSome().code(), absl::StatusCode::kDataLoss) << at;
  }
  Replace(whole + '\0');
  EXPECT_EQ(ReadSome().code(), absl::StatusCode::kDataLoss);
  // Two parts in each other's place.
  constexpr size_t kTitle = 16, kPart = 8 + (1 << 20);
  std::string swapped = whole;
  std::swap_ranges(swapped.begin() + kTitle, swapped.begin() + kTitle + kPart, swapped.begin() + kTitle + kPart);
  Replace(swapped);
  EXPECT_EQ(ReadSome().code(), absl::StatusCode::kDataLoss);
}

TEST_F(LayoutFileTest, AfterAnErrorAllIsZero) {
  WriteSome();
  Replace(Bytes().substr(0, 1000));
  auto file = *LayoutReader::Open(path());
  std::vector<uint32_t> numbers(100, 7);
  file->TakeArray(numbers.data(), numbers.size());
  EXPECT_TRUE(std::all_of(numbers.begin(), numbers.end(), [](uint32_t number) { return number == 0; }));
  EXPECT_EQ(file->Take<uint64_t>(), 0u);
  EXPECT_EQ(file->TakeText(10), "");
  EXPECT_FALSE(file->ok());
}

TEST_F(LayoutFileTest, NoneAndTooLongTexts) {
  EXPECT_EQ(LayoutReader::Open(path()).status().code(), absl::StatusCode::kNotFound);
  WriteSome();
  auto file = *LayoutReader::Open(path());
  EXPECT_EQ(file->TakeText(5), "");
  EXPECT_THAT(std::string(file->status().message()), HasSubstr("a text is too long"));
}

// Whoever changes these bytes changes the title in layout_file.cc too: a server must not take another one's for its
// own.
TEST_F(LayoutFileTest, TheBytesOfASegmentAreThoseOfTheTitle) {
  const CodeSpec plain = *ParseCodeSpec("40x2"), grouped = *CodeSpec::Create(ParseCodeSpec("32x1")->bands(), 3);
  auto dictionary = std::make_shared<AttributeDictionary>();
  auto file = *LayoutWriter::Create(path());
  Segment segment(dictionary);
  for (uint32_t i = 0; i < 20; ++i) {
    const uint32_t row =
        segment.Append(std::string(1 + i, 'd'), {{"n", int64_t{i}}, {"text", std::string(i % 3, 't')}});
    const std::vector<uint32_t> words(4, i);
    segment.SetCode(row, {0, 0, {0.5f, 1.0f, 0}, words}, plain);
    segment.SetCode(row, {1, 1, {0.25f, 2.0f, i % 3}, absl::MakeConstSpan(words).first(1)}, grouped);
    segment.SetMarks(row, static_cast<uint16_t>(i % 2));
  }
  segment.Save(*file);
  dictionary->Save(*file, dictionary->size());
  ASSERT_TRUE(file->Finish().ok());
  const std::string bytes = Bytes();
  EXPECT_EQ(bytes.substr(0, 13), "bebr layout 1");
  EXPECT_EQ(bytes.size(), 5276u);
  EXPECT_EQ(Crc32c(bytes), 1287971467u);
}

}  // namespace
}  // namespace bebr
