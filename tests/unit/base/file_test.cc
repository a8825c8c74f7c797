#include "index/base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "tests/support/disk_faults.h"

namespace bebr {
namespace {

TEST(ReadFileTest, GivesEveryByte) {
  const std::string path = ::testing::TempDir() + "/whole";
  std::string bytes;
  for (int i = 0; i < 200000; ++i) bytes.push_back(static_cast<char>(i * 7));
  std::ofstream(path, std::ios::binary) << bytes;
  const auto read = ReadFile(path);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, bytes);
}

TEST(ReadFileTest, AnEmptyFileIsNoError) {
  const std::string path = ::testing::TempDir() + "/empty";
  std::ofstream file(path, std::ios::trunc);
  file.close();
  const auto read = ReadFile(path);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, "");
}

TEST(ReadFileTest, APipeIsReadToItsEnd) {
  const std::string path = ::testing::TempDir() + "/pipe";
  std::remove(path.c_str());  // an earlier run's
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(path) << std::string(100000, 'x'); });
  const auto read = ReadFile(path);
  writer.join();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, std::string(100000, 'x'));
}

TEST(ReadFileTest, SaysWhichFileAndWhy) {
  const auto missing = ReadFile("/nowhere/at/all");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.status().message()), ::testing::HasSubstr("\"/nowhere/at/all\""));
  const auto directory = ReadFile(::testing::TempDir());
  EXPECT_FALSE(directory.ok());
  EXPECT_THAT(std::string(directory.status().message()), ::testing::HasSubstr("directory"));
}

// The file is synced before it has its name, and the directory afterwards: a power cut leaves one or the other, whole.
TEST(RenameSyncedTest, SyncsTheFileAndThenItsDirectory) {
  const std::string directory = ::testing::TempDir() + "bebr-renamed", path = directory + "/file",
                    part = path + ".part";
  std::filesystem::create_directory(directory);
  std::ofstream(path) << "before";
  for (const int64_t failed : {0, 1}) {
    std::ofstream(part) << "after";
    bebr::testing::SetDiskFault(
        {.calls = bebr::testing::kSyncCall, .path_part = "bebr-renamed", .skip = failed, .count = 1});
    EXPECT_FALSE(RenameSynced(part, path).ok());
    EXPECT_EQ(bebr::testing::FailedDiskCalls(), 1);
    bebr::testing::ClearDiskFault();
    EXPECT_EQ(*ReadFile(path), failed == 0 ? "before" : "after");
  }
  std::ofstream(part) << "last";
  bebr::testing::SetDiskFault({.calls = bebr::testing::kSyncCall, .path_part = "bebr-renamed", .count = 0});
  EXPECT_TRUE(RenameSynced(part, path).ok());
  EXPECT_EQ(bebr::testing::MatchingDiskCalls(), 2);
  bebr::testing::ClearDiskFault();
  EXPECT_EQ(*ReadFile(path), "last");
  EXPECT_FALSE(RenameSynced(part, path).ok());
}

}  // namespace
}  // namespace bebr
