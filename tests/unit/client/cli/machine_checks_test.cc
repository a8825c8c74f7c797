#include "client/cli/machine_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace bebr {
namespace {

using ::testing::HasSubstr;

const Finding* Find(const std::vector<Finding>& findings, const std::string& about) {
  for (const Finding& finding : findings) {
    if (finding.about == about) return &finding;
  }
  return nullptr;
}

TEST(CheckMachine, SaysSomethingOfEverything) {
  const auto findings = CheckMachine();
  for (const char* about : {"processor", "memory", "swap", "huge pages", "descriptors", "clock"}) {
    const Finding* finding = Find(findings, about);
    ASSERT_NE(finding, nullptr) << about;
    EXPECT_NE(finding->found, "") << about;
    EXPECT_EQ(finding->advice.empty(), finding->level == Finding::Level::kGood) << about;
  }
}

TEST(CheckDataDirectory, KnowsAGoodOneFromABadOne) {
  EXPECT_EQ(CheckDataDirectory("/nowhere")[0].level, Finding::Level::kFault);
  const std::string path = ::testing::TempDir() + "bebr_doctor";
  std::filesystem::create_directories(path + "/collections/papers");
  std::vector<Finding> findings;
  for (const char* manifest : {"{\"format\": 1}", "{\"format\": 2}", "{\"format\": 3}"}) {
    std::ofstream(path + "/collections/papers/manifest.json", std::ios::trunc) << manifest;
    findings = CheckDataDirectory(path);
    EXPECT_THAT(Find(findings, "format")->found, HasSubstr("1 collections")) << manifest;
  }
  EXPECT_THAT(Find(findings, "writing")->found, HasSubstr("ms to write and sync"));
  EXPECT_FALSE(std::filesystem::exists(path + "/.bebr-doctor"));
  for (const char* manifest : {"{\"format\": 99}", "no JSON", ""}) {
    std::ofstream(path + "/collections/papers/manifest.json", std::ios::trunc) << manifest;
    findings = CheckDataDirectory(path);
    EXPECT_EQ(Find(findings, "format")->level, Finding::Level::kFault) << manifest;
    EXPECT_THAT(Find(findings, "format")->found, HasSubstr("papers/manifest.json"));
  }
  std::filesystem::remove_all(path);
}

}  // namespace
}  // namespace bebr
