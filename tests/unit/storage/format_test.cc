#include "index/storage/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <string>
#include <vector>

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The bytes written as hexadecimal digits, with spaces where they help.
std::string Bytes(std::string_view hex) {
  std::string bytes, digits;
  for (const char c : hex) {
    if (c == ' ') continue;
    digits += c;
    if (digits.size() < 2) continue;
    bytes += static_cast<char>(std::stoi(digits, nullptr, 16));
    digits.clear();
  }
  return bytes;
}

TEST(StorageFormatTest, KeysAreBigEndianSoThatANumberAndAShardAreRanges) {
  EXPECT_EQ(DocumentKey(0x0102, "id"), Bytes("01 02") + "id");
  EXPECT_EQ(NumberedKey(1, 3, "id"), Bytes("00 00 00 01  00 03") + "id");
  EXPECT_EQ(NumberedKey(0xA1B2C3D4, 0x0100, ""), Bytes("a1 b2 c3 d4  01 00"));
  EXPECT_EQ(NumberedKey(kMarkBase + 3, 0, "x"), Bytes("80 00 00 03  00 00") + "x");
  EXPECT_EQ(NumberPrefix(258), Bytes("00 00 01 02"));
  EXPECT_LT(DocumentKey(0, "\xff\xff"), DocumentKey(1, ""));
  EXPECT_LT(NumberedKey(1, 255, "\xff\xff"), NumberPrefix(2));
  EXPECT_LT(NumberedKey(1, 0, "\xff\xff"), NumberedKey(1, 1, ""));
  EXPECT_LT(NumberedKey(255, 0, "z"), NumberedKey(256, 0, "a"));
}

TEST(StorageFormatTest, KeysAreTakenApart) {
  const std::string numbered = Bytes("00 00 01 02  00 05") + "id";  // the parts borrow from it
  const auto parts = SplitNumberedKey(numbered);
  ASSERT_TRUE(parts.has_value());
  EXPECT_EQ(parts->number, 258u);
  EXPECT_EQ(parts->document.shard, 5u);
  EXPECT_EQ(parts->document.id, "id");
  EXPECT_EQ(SplitNumberedKey(Bytes("00 00 00 07  00 00"))->document.id, "");
  EXPECT_FALSE(SplitNumberedKey(Bytes("00 00 01 02  00")).has_value());
  EXPECT_FALSE(SplitNumberedKey(Bytes("00 00 01")).has_value());
  EXPECT_FALSE(SplitNumberedKey("").has_value());
  const std::string document = Bytes("00 05") + "id";
  EXPECT_EQ(SplitDocumentKey(document)->shard, 5u);
  EXPECT_EQ(SplitDocumentKey(document)->id, "id");
  EXPECT_FALSE(SplitDocumentKey("x").has_value());
}

// The worked example of index/storage/FORMAT.md.
TEST(StorageFormatTest, CodesAreTheDocumentedBytes) {
  const std::vector<uint32_t> words = {0xFFFFFFFF, 0x000000FF, 0, 0};
  const std::string expected =
      Bytes("02 00 00 00  00 00 00 3f  00 00 80 bf   ff ff ff ff  ff 00 00 00   00 00 00 00  00 00 00 00");
  std::string encoded = "what was there before";
  EncodeCode({.version = 2, .scale = 0.5f, .offset = -1.0f, .words = words}, &encoded);
  EXPECT_EQ(encoded, expected);

  std::string buffer;
  const absl::StatusOr<StoredCode> code = DecodeCode(expected, &buffer);
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(code->version, 2u);
  EXPECT_EQ(code->scale, 0.5f);
  EXPECT_EQ(code->offset, -1.0f);
  EXPECT_THAT(code->words, ElementsAre(0xFFFFFFFF, 0x000000FF, 0, 0));
  EXPECT_EQ(code->group, 0u);
}

TEST(StorageFormatTest, TheGroupOfACodeStandsBesideItsVersion) {
  const std::string expected = Bytes("02 00 3f 00  00 00 00 3f  00 00 80 bf  07 00 00 00");
  std::string encoded, buffer;
  EncodeCode({.version = 2, .scale = 0.5f, .offset = -1.0f, .words = std::vector<uint32_t>{7}, .group = 63}, &encoded);
  EXPECT_EQ(encoded, expected);
  const absl::StatusOr<StoredCode> code = DecodeCode(expected, &buffer);
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(code->version, 2u);
  EXPECT_EQ(code->group, 63u);
}

TEST(StorageFormatTest, CodesAreReadFromAnyAddress) {
  std::string encoded;
  EncodeCode({.version = 1, .scale = 2, .offset = 3, .words = std::vector<uint32_t>{4, 5}}, &encoded);
  for (size_t shift = 0; shift < 4; ++shift) {
    const std::string shifted = std::string(shift, '-') + encoded;
    std::string buffer;
    const auto code = DecodeCode(std::string_view(shifted).substr(shift), &buffer);
    ASSERT_TRUE(code.ok()) << shift;
    EXPECT_THAT(code->words, ElementsAre(4, 5)) << shift;
  }
}

TEST(StorageFormatTest, CodesOfOtherLengthsAreDataLoss) {
  std::string buffer;
  for (const size_t bytes : {0, 8, 11, 13, 15, 17}) {
    const auto code = DecodeCode(std::string(bytes, 'x'), &buffer);
    EXPECT_EQ(code.status().code(), absl::StatusCode::kDataLoss) << bytes;
  }
  EXPECT_TRUE(DecodeCode(std::string(12, 'x'), &buffer)->words.empty());
}

TEST(StorageFormatTest, AttributesAreTheDocumentedBytes) {
  const Attributes attributes = {{"b", true}, {"f", -0.5}, {"n", int64_t{-2}}, {"s", std::string("é")}};
  const std::string expected = Bytes("04 00 00 00") +                          // count
                               Bytes("01 00 62 03 01") +                       // b: bool
                               Bytes("01 00 66 02 00 00 00 00 00 00 e0 bf") +  // f: f64
                               Bytes("01 00 6e 01 fe ff ff ff ff ff ff ff") +  // n: i64
                               Bytes("01 00 73 00 02 00 00 00 c3 a9");         // s: string
  EXPECT_EQ(EncodeAttributes(attributes), expected);
  const auto decoded = DecodeAttributes(expected);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, attributes);
  EXPECT_EQ(EncodeAttributes({}), Bytes("00 00 00 00"));
  EXPECT_TRUE(DecodeAttributes(Bytes("00 00 00 00"))->empty());
}

TEST(StorageFormatTest, TimestampsAndListsAreTheDocumentedBytes) {
  const Attributes attributes = {{"l", AttributeList{"é", int64_t{-2}, -0.5, true, Timestamp{1}}},
                                 {"t", Timestamp{-2}}};
  const std::string expected = Bytes("02 00 00 00") +                                  // count
                               Bytes("01 00 6c 05 05 00 00 00") +                      // l: list of five
                               Bytes("00 02 00 00 00 c3 a9") +                         // string
                               Bytes("01 fe ff ff ff ff ff ff ff") +                   // i64
                               Bytes("02 00 00 00 00 00 00 e0 bf") +                   // f64
                               Bytes("03 01") + Bytes("04 01 00 00 00 00 00 00 00") +  // bool, timestamp
                               Bytes("01 00 74 04 fe ff ff ff ff ff ff ff");           // t: timestamp
  EXPECT_EQ(EncodeAttributes(attributes), expected);
  const auto decoded = DecodeAttributes(expected);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, attributes);
  EXPECT_EQ(FormatOf(attributes), 3u);
  EXPECT_EQ(FormatOf({{"s", std::string("x")}}), 2u);
  for (size_t bytes = 0; bytes < expected.size(); ++bytes) {
    EXPECT_EQ(DecodeAttributes(expected.substr(0, bytes)).status().code(), absl::StatusCode::kDataLoss) << bytes;
  }
}

TEST(StorageFormatTest, AttributesComeBackAtTheirLimits) {
  Attributes attributes;
  for (size_t i = 0; i < kMaxAttributes; ++i)
    attributes[std::string(kMaxAttributeNameBytes - 2, 'a') + std::to_string(10 + i)] = int64_t(i);
  attributes["empty"] = std::string();
  attributes["least"] = std::numeric_limits<int64_t>::min();
  attributes["zeros"] = std::string(3, '\0');
  attributes["minus zero"] = -0.0;
  const auto decoded = DecodeAttributes(EncodeAttributes(attributes));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, attributes);
}

TEST(StorageFormatTest, DamagedAttributesAreDataLoss) {
  const std::string whole = EncodeAttributes({{"name", std::string("text")}, {"number", int64_t{7}}, {"truth", true}});
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_EQ(DecodeAttributes(whole.substr(0, bytes)).status().code(), absl::StatusCode::kDataLoss) << bytes;
  }
  EXPECT_EQ(DecodeAttributes(whole + "x").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeAttributes(Bytes("01 00 00 00 01 00 61 06 00")).status().code(),
            absl::StatusCode::kDataLoss);  // type 6
  // A list in a list, and one that says it is longer than all there is.
  for (const char* list : {"05 01 00 00 00 05 00 00 00 00", "05 ff ff ff ff 03 01"}) {
    EXPECT_EQ(DecodeAttributes(Bytes("01 00 00 00 01 00 61") + Bytes(list)).status().code(),
              absl::StatusCode::kDataLoss);
  }
  EXPECT_EQ(DecodeAttributes(Bytes("ff ff ff ff")).status().code(), absl::StatusCode::kDataLoss);
}

TEST(StorageFormatTest, FloatsAreExpandedAndMeasured) {
  std::array<float, 2> values;
  ASSERT_TRUE(ReadStoredFloats(FloatStorage::kFloat16, Bytes("00 3c 00 c0"), absl::MakeSpan(values)).ok());
  EXPECT_THAT(values, ElementsAre(1.0f, -2.0f));
  ASSERT_TRUE(ReadStoredFloats(FloatStorage::kFloat32, Bytes("00 00 00 3f 00 00 80 bf"), absl::MakeSpan(values)).ok());
  EXPECT_THAT(values, ElementsAre(0.5f, -1.0f));
  const absl::Status status = ReadStoredFloats(FloatStorage::kFloat32, Bytes("00 00 00 3f"), absl::MakeSpan(values));
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("has 4 bytes; 8 were expected"));
}

}  // namespace
}  // namespace bebr
