#include "index/base/checksum.h"

#include <gtest/gtest.h>

#include <string>

namespace bebr {
namespace {

TEST(Crc32Test, KnownValues) {
  EXPECT_EQ(Crc32(""), 0u);
  EXPECT_EQ(Crc32("a"), 0xE8B7BE43u);
  EXPECT_EQ(Crc32("123456789"), 0xCBF43926u);  // the polynomial's published check value
  EXPECT_EQ(Crc32(std::string(32, '\0')), 0x190A55ADu);
}

TEST(Crc32cTest, KnownValues) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);            // the polynomial's published check value
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
}

TEST(Crc32cTest, ContinuesFromASeed) {
  const std::string text = "a log of records, each with its checksum";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(Crc32c(text.substr(cut), Crc32c(text.substr(0, cut))), Crc32c(text));
  }
}

TEST(Crc32Test, ContinuesFromASeed) {
  const std::string text = "the codes of one block and what follows them";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(Crc32(std::string_view(text).substr(cut), Crc32(std::string_view(text).substr(0, cut))), Crc32(text));
  }
}

TEST(Crc32Test, SeesEverySingleBit) {
  std::string bytes(64, 'x');
  const uint32_t before = Crc32(bytes);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
    EXPECT_NE(Crc32(bytes), before) << bit;
    bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
  }
}

}  // namespace
}  // namespace bebr
