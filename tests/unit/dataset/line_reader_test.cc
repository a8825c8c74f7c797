#include "index/dataset/line_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Write(const std::string& text) {
  const std::string path = ::testing::TempDir() + "bebr_line_reader.txt";
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::vector<std::string> Lines(const std::string& text) {
  auto reader = LineReader::Open(Write(text));
  EXPECT_TRUE(reader.ok()) << reader.status();
  std::vector<std::string> lines;
  for (std::string line; *reader->Next(&line);) lines.push_back(line);
  EXPECT_EQ(reader->number(), lines.size());
  return lines;
}

TEST(LineReader, GivesLinesWithoutEndsAndByteOrderMark) {
  EXPECT_THAT(Lines(""), IsEmpty());
  EXPECT_THAT(Lines("a\nb"), ElementsAre("a", "b"));
  EXPECT_THAT(Lines("a\r\n\r\nb\n"), ElementsAre("a", "", "b"));
  EXPECT_THAT(Lines("\xEF\xBB\xBF"
                    "a\n\xEF\xBB\xBF"
                    "b\n"),
              ElementsAre("a",
                          "\xEF\xBB\xBF"
                          "b"));
  // Lines across the edges of the buffer.
  const std::string half(kReadBufferBytes / 2 + 7, 'x');
  EXPECT_THAT(Lines(half + "\n" + half + "\n" + half), ElementsAre(half, half, half));
}

TEST(LineReader, RefusesEndlessLines) {
  auto reader = LineReader::Open(Write("short\n" + std::string(kMaxLineBytes + 1, 'x')));
  ASSERT_TRUE(reader.ok());
  std::string line;
  EXPECT_TRUE(reader->Next(&line).ok());
  EXPECT_THAT(std::string(reader->Next(&line).status().message()), HasSubstr("line 2 has more than 4194304 bytes"));
}

}  // namespace
}  // namespace bebr
