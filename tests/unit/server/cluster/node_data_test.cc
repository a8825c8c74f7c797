#include "server/cluster/node_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "index/base/file.h"
#include "tests/support/temporary_directory.h"

namespace bebr {
namespace {

const NodePlace kSelf{.name = "a", .first_slot = 0, .last_slot = 511};

// Whatever stands in cluster.json, the node starts as what it is or is told why not.
TEST(NodeDataTest, DamageIsNoticed) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.path() + "/cluster.json";
  ASSERT_TRUE(CheckNodeData(directory.path(), &kSelf).ok());
  ASSERT_TRUE(CheckNodeData(directory.path(), &kSelf).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(CheckNodeData(directory.path(), nullptr)));
  const std::string whole = *ReadFile(path);
  for (const std::string& text : {std::string(), whole.substr(0, whole.size() / 2), std::string(whole.size(), '\0'),
                                  std::string("null"), std::string(R"({"format":"1","node":"a","slots":"0-511"})"),
                                  std::string(R"({"format":[],"node":7,"slots":{}})")}) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
    const absl::Status status = CheckNodeData(directory.path(), &kSelf);
    EXPECT_TRUE(absl::IsDataLoss(status)) << text << ": " << status;
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(path));
  }
}

// What is cut of a node's snapshot it must have.
TEST(NodeDataTest, ANodeHasItsSlots) {
  const testing::TemporaryDirectory directory;
  EXPECT_TRUE(CheckNodeHas(directory.path(), 0, 1023).ok());
  ASSERT_TRUE(CheckNodeData(directory.path(), &kSelf).ok());
  EXPECT_TRUE(CheckNodeHas(directory.path(), 0, 511).ok());
  EXPECT_TRUE(CheckNodeHas(directory.path(), 256, 300).ok());
  const absl::Status lacks = CheckNodeHas(directory.path(), 256, 512);
  EXPECT_TRUE(absl::IsFailedPrecondition(lacks));
  EXPECT_THAT(std::string(lacks.message()), ::testing::HasSubstr("documents of slots 0-511, and not all of 256-512"));
  std::ofstream(directory.path() + "/cluster.json") << R"({"format":1,"node":"a","slots":"all"})";
  EXPECT_TRUE(absl::IsDataLoss(CheckNodeHas(directory.path(), 0, 511)));
}

// What cannot be read is not missing.
TEST(NodeDataTest, WhatCannotBeReadIsAnError) {
  const testing::TemporaryDirectory directory;
  std::filesystem::create_directory(directory.path() + "/cluster.json");
  EXPECT_FALSE(CheckNodeData(directory.path(), &kSelf).ok());
  std::filesystem::remove(directory.path() + "/cluster.json");
  // Nor is a pipe, which is not waited for: every server looks here before it listens.
  ASSERT_EQ(mkfifo((directory.path() + "/cluster.json").c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsDataLoss(CheckNodeData(directory.path(), nullptr)));
  std::filesystem::remove(directory.path() + "/cluster.json");
  std::ofstream(directory.path() + "/collections") << "a file";
  EXPECT_FALSE(CheckNodeData(directory.path(), &kSelf).ok());
  EXPECT_TRUE(CheckNodeData(directory.path(), nullptr).ok());
}

}  // namespace
}  // namespace bebr
