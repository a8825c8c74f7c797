#include "index/binarizer/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>

namespace bebr {
namespace {

using ::testing::HasSubstr;

std::string File(const std::string& header, const std::string& data) {
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + header + data;
}

std::string Error(const std::string& file) {
  const auto parsed = SafetensorsFile::Parse(file);
  EXPECT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(parsed.status().message());
}

TEST(SafetensorsTest, RoundTrip) {
  SafetensorsFile file;
  file.metadata()["key"] = "value with \"quotes\" and \xc3\xa9";
  file.tensors()["b"] = {{2, 3}, {1, 2, 3, 4, 5, 6}};
  file.tensors()["a"] = {{1}, {-0.5f}};
  file.tensors()["empty"] = {{0, 4}, {}};
  file.tensors()["bytes"] = {{5}, {-128, -1, 0, 1, 127}, TensorType::kI8};
  file.tensors()["halves"] = {{2}, {0.5f, -2.0f}, TensorType::kF16};
  const auto parsed = SafetensorsFile::Parse(file.Serialize());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->metadata(), file.metadata());
  ASSERT_EQ(parsed->tensors().size(), 5u);
  for (const char* name : {"bytes", "halves"}) {
    EXPECT_EQ(parsed->tensors().at(name).values, file.tensors()[name].values);
    EXPECT_EQ(parsed->tensors().at(name).type, file.tensors()[name].type);
  }
  EXPECT_EQ(parsed->tensors().at("b").values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(parsed->tensors().at("b").shape, (std::vector<size_t>{2, 3}));
  EXPECT_EQ(parsed->Checksum(""), file.Checksum(""));
}

TEST(SafetensorsTest, ReadsATensorWrittenByHand) {
  const float values[2] = {1.5f, -2.0f};
  const std::string data(reinterpret_cast<const char*>(values), 8);
  const auto parsed = SafetensorsFile::Parse(File(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", data));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->tensors().at("x").values, (std::vector<float>{1.5f, -2.0f}));
}

TEST(SafetensorsTest, EveryTruncationIsAnError) {
  SafetensorsFile file;
  file.tensors()["x"] = {{5}, {1, 2, 3, 4, 5}};
  const std::string bytes = file.Serialize();
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(SafetensorsFile::Parse(bytes.substr(0, size)).ok()) << size;
  EXPECT_FALSE(SafetensorsFile::Parse(bytes + "x").ok());
}

TEST(SafetensorsTest, NamesWhatIsWrong) {
  const std::string four(4, '\0'), eight(8, '\0');
  EXPECT_THAT(Error(File("[]", "")), HasSubstr("not a JSON object"));
  EXPECT_THAT(Error(File("{\"x\"", "")), HasSubstr("not a JSON object"));
  EXPECT_THAT(Error(File(R"({"x":3})", "")), HasSubstr("tensor 'x'"));
  EXPECT_THAT(Error(File(R"({"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}})", four)), HasSubstr("BF16"));
  EXPECT_THAT(Error(File(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", four)),
              HasSubstr("data_offsets [0,4]"));
  EXPECT_THAT(Error(File(R"({"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", four)),
              HasSubstr("whole number"));
  EXPECT_THAT(Error(File(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", four)),
              HasSubstr("data_offsets"));
  EXPECT_THAT(Error(File(R"({"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}})", four)),
              HasSubstr("larger than the file"));
  EXPECT_THAT(Error(File(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", eight)),
              HasSubstr("begins at 4"));
  EXPECT_THAT(
      Error(File(
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
          four)),
      HasSubstr("overlap"));
  EXPECT_THAT(Error(File(R"({"__metadata__":{"k":1}})", "")), HasSubstr("metadata 'k'"));
  std::string huge(16, '\0');
  huge[5] = 1;
  EXPECT_THAT(Error(huge), HasSubstr("the limit is"));
}

TEST(SafetensorsTest, RefusesAHeaderOfBrackets) {
  const std::string open(1000000, '['), close(1000000, ']');
  EXPECT_THAT(Error(File(open + close, "")), HasSubstr("not a JSON object"));
  EXPECT_THAT(Error(File(R"({"x":{"dtype":)" + open + close + "}}", "")), HasSubstr("not a JSON object"));
}

TEST(SafetensorsTest, RefusesNanAndInfinity) {
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    SafetensorsFile file;
    file.tensors()["x"] = {{2}, {1.0f, value}};
    EXPECT_THAT(Error(file.Serialize()), HasSubstr("tensor 'x' holds"));
  }
}

}  // namespace
}  // namespace bebr
