#include "server/access/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(HashKey, IsSha256) {
  const Sha256 hash = HashKey("abc");  // the example of FIPS 180-2
  EXPECT_EQ(absl::BytesToHexString(std::string(hash.begin(), hash.end())),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(ParseKeys, ReadsRolesAndCollections) {
  const std::string hash(64, 'a');
  const auto keys =
      ParseKeys(R"({"keys": [{"name": "app", "sha256": ")" + hash + R"(", "role": "read", "collections": ["papers"]},
                                           {"name": "ops", "sha256": ")" +
                hash + R"(", "role": "admin"}]})");
  ASSERT_TRUE(keys.ok()) << keys.status();
  ASSERT_EQ(keys->size(), 2u);
  EXPECT_EQ((*keys)[0].role, Role::kRead);
  EXPECT_THAT((*keys)[0].collections, ElementsAre("papers"));
  EXPECT_EQ((*keys)[0].hash[0], 0xaa);
  EXPECT_EQ((*keys)[1].role, Role::kAdmin);
  EXPECT_TRUE((*keys)[1].collections.empty());
}

TEST(ParseKeys, NamesWhatIsWrong) {
  const auto error = [](const std::string& text) { return std::string(ParseKeys(text).status().message()); };
  const std::string hash = R"("sha256": ")" + std::string(64, 'a') + R"(")";
  EXPECT_THAT(error(""), HasSubstr("is no JSON: at line 1, column 1"));
  EXPECT_THAT(error("{\n  \"keys\": [}\n"), HasSubstr("is no JSON: at line 2, column 12"));
  EXPECT_THAT(error("{}"), HasSubstr("keys is missing"));
  EXPECT_THAT(error(R"({"keys": []})"), HasSubstr("keys is missing or empty"));
  EXPECT_THAT(error(R"({"keys": [1]})"), HasSubstr("keys[0] is not an object"));
  EXPECT_THAT(error(R"({"keys": [{"name": "a", "role": "read"}]})"), HasSubstr("keys[0] lacks"));
  EXPECT_THAT(error(R"({"keys": [{"name": "a", "role": "read", "sha256": "12"}]})"),
              HasSubstr("64 hexadecimal digits"));
  EXPECT_THAT(error(R"({"keys": [{"name": "a", "role": "read", "collections": [], )" + hash + "}]}"),
              HasSubstr("empty list of collections"));
  EXPECT_THAT(error(R"({"keys": [{"name": "a", "role": "root", )" + hash + "}]}"), HasSubstr("read, write or admin"));
  EXPECT_THAT(error(R"({"keys": [{"name": "a", "role": "read", "collection": "x", )" + hash + "}]}"),
              HasSubstr("\"collection\""));
}

TEST(ParseKeys, ReadsRates) {
  const std::string begin = R"({"keys": [{"name": "a", "role": "read", "sha256": ")" + std::string(64, 'a') + '"';
  const auto keys = ParseKeys(begin + R"(, "requests_per_s": 0.5, "bytes_per_s": 1000}]})");
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ((*keys)[0].requests_per_s, 0.5);
  EXPECT_EQ((*keys)[0].bytes_per_s, 1000);
  for (const char* bad : {"0", "-1", "1e13", "\"9\""}) {
    EXPECT_THAT(std::string(ParseKeys(begin + R"(, "bytes_per_s": )" + bad + "}]}").status().message()),
                HasSubstr("bytes_per_s"));
  }
}

}  // namespace
}  // namespace bebr
