#include "index/catalog/snapshots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "index/base/file.h"
#include "index/storage/files.h"
#include "tests/support/temporary_directory.h"

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

class SnapshotsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(directory_.path() + "/c/models");
    ASSERT_TRUE(WriteFileAtomically(directory_.path() + "/c/models/0.safetensors", "model").ok());
    Open();
  }
  void Open() {
    auto snapshots = Snapshots::Open(root());
    ASSERT_TRUE(snapshots.ok()) << snapshots.status();
    snapshots_ = *std::move(snapshots);
  }
  std::string root() const { return directory_.path() + "/snapshots"; }
  absl::StatusOr<SnapshotInfo> Create(const std::string& collection, const std::string& name,
                                      int64_t created_us = 1234567) {
    return snapshots_->Create(
        {.collection = collection, .name = name, .created = absl::FromUnixMicros(created_us), .documents = 7},
        directory_.path() + "/c", [](const std::string& path) { return WriteFileAtomically(path + "/data", "12345"); });
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<Snapshots> snapshots_;
};

TEST_F(SnapshotsTest, KeepsWhatItIsGiven) {
  EXPECT_THAT(*snapshots_->List(""), IsEmpty());
  const auto created = Create("c", "first");
  ASSERT_TRUE(created.ok()) << created.status();
  Open();
  const auto info = snapshots_->Info("c", "first");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->collection, "c");
  EXPECT_EQ(info->name, "first");
  EXPECT_EQ(info->created, absl::FromUnixMicros(1234567));
  EXPECT_EQ(info->documents, 7u);
  EXPECT_GE(info->bytes, 10u);
  EXPECT_EQ(info->bytes, created->bytes);
  const std::string path = *snapshots_->Find("c", "first");
  EXPECT_EQ(path, root() + "/c/first");
  EXPECT_EQ(*ReadFile(path + "/models/0.safetensors"), "model");
  EXPECT_EQ(*ReadFile(path + "/data"), "12345");
}

// Of a model that was to be added when the process was killed: the next attempt writes to the file of that name.
TEST_F(SnapshotsTest, HasNothingOfWhatAKillLeft) {
  const std::string left = directory_.path() + "/c/models/1.safetensors.tmp", linked = directory_.path() + "/linked";
  { std::ofstream(left) << "half a mod"; }
  ASSERT_TRUE(Create("c", "first").ok());
  EXPECT_FALSE(fs::exists(root() + "/c/first/models/1.safetensors.tmp"));
  fs::create_hard_link(left, linked);  // as snapshots of earlier releases have it
  ASSERT_TRUE(WriteFileAtomically(directory_.path() + "/c/models/1.safetensors", "another model").ok());
  EXPECT_EQ(*ReadFile(linked), "half a mod");
  EXPECT_TRUE(Snapshots::Verify(root() + "/c/first").ok());
}

TEST_F(SnapshotsTest, ListsByCollectionAndName) {
  for (const auto& [collection, name] : {std::pair("d", "1"), std::pair("c", "2"), std::pair("c", "1")}) {
    ASSERT_TRUE(Create(collection, name).ok());
  }
  const auto names = [&](std::string_view collection) {
    std::vector<std::string> listed;
    const auto infos = snapshots_->List(collection);
    EXPECT_TRUE(infos.ok()) << infos.status();
    for (const SnapshotInfo& info : *infos) listed.push_back(info.collection + "/" + info.name);
    return listed;
  };
  EXPECT_THAT(names(""), ElementsAre("c/1", "c/2", "d/1"));
  EXPECT_THAT(names("c"), ElementsAre("c/1", "c/2"));
  EXPECT_THAT(names("nobody"), IsEmpty());
}

TEST_F(SnapshotsTest, KnowsTheNewestOfEachCollection) {
  EXPECT_THAT(snapshots_->Newest(), IsEmpty());
  ASSERT_TRUE(Create("c", "1", 5).ok());
  ASSERT_TRUE(Create("c", "2", 9).ok());
  ASSERT_TRUE(Create("c", "3", 7).ok());
  ASSERT_TRUE(Create("d", "1", 4).ok());
  fs::create_directories(root() + "/c/.creating-4");
  fs::create_directories(root() + "/c/broken");
  using ::testing::Pair;
  EXPECT_THAT(snapshots_->Newest(),
              ElementsAre(Pair("c", absl::FromUnixMicros(9)), Pair("d", absl::FromUnixMicros(4))));
  ASSERT_TRUE(snapshots_->Remove("c", "2").ok());
  EXPECT_EQ(snapshots_->NewestOf("c"), absl::FromUnixMicros(7));
  EXPECT_EQ(snapshots_->NewestOf("nobody"), absl::InfinitePast());
}

TEST_F(SnapshotsTest, ANameIsTakenOnce) {
  ASSERT_TRUE(Create("c", "1").ok());
  EXPECT_EQ(Create("c", "1").status().code(), absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(snapshots_->Remove("c", "1").ok());
  EXPECT_FALSE(*FileExists(root() + "/c/1"));
  EXPECT_TRUE(Create("c", "1").ok());
}

TEST_F(SnapshotsTest, AFailureLeavesNothing) {
  const auto failed =
      snapshots_->Create({.collection = "c", .name = "1"}, directory_.path() + "/c", [](const std::string& path) {
        EXPECT_TRUE(WriteFileAtomically(path + "/data", "half").ok());
        return absl::UnavailableError("no more");
      });
  EXPECT_EQ(failed.status().message(), "no more");
  EXPECT_THAT(*ListDirectories(root() + "/c"), IsEmpty());
  EXPECT_TRUE(Create("c", "1").ok());
}

TEST_F(SnapshotsTest, RemovesWhatACrashLeft) {
  ASSERT_TRUE(Create("c", "1").ok());
  fs::create_directories(root() + "/c/.creating-2/models");
  fs::create_directories(root() + "/c/.deleted-3");
  Open();
  EXPECT_THAT(*ListDirectories(root() + "/c"), ElementsAre("1"));
}

TEST_F(SnapshotsTest, WhatIsNotThereIsNamedWithWhatIs) {
  ASSERT_TRUE(Create("c", "1").ok());
  const absl::Status status = snapshots_->Find("c", "2").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("it has: 1"));
  EXPECT_EQ(snapshots_->Remove("d", "1").code(), absl::StatusCode::kNotFound);
  for (const char* name : {"..", "", "a/b", ".creating-1"}) {
    EXPECT_EQ(snapshots_->Find("c", name).status().code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_EQ(snapshots_->Find(name, "1").status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

// A snapshot that was copied beside the first, or to another server, is named by where it lies.
TEST_F(SnapshotsTest, IsNamedByItsPlace) {
  ASSERT_TRUE(Create("c", "1").ok());
  fs::create_directories(root() + "/other");
  fs::copy(root() + "/c/1", root() + "/other/copy", fs::copy_options::recursive);
  const auto info = snapshots_->Info("other", "copy");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->collection, "other");
  EXPECT_EQ(info->name, "copy");
  EXPECT_EQ(info->documents, 7u);
}

TEST_F(SnapshotsTest, DamageIsSaid) {
  ASSERT_TRUE(Create("c", "1").ok());
  const std::string path = root() + "/c/1/snapshot.json";
  for (const char* text :
       {"", "{}", "[1]", R"({"format":1,"created_unix_us":"x","documents":1})",
        R"({"format":1,"created_unix_us":1,"documents":-1})", R"({"format":1,"created_unix_us":1,"documents":1.5})"}) {
    ASSERT_TRUE(WriteFileAtomically(path, text).ok());
    const absl::Status status = snapshots_->Info("c", "1").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  }
  ASSERT_TRUE(WriteFileAtomically(path, R"({"format":2,"created_unix_us":1,"documents":1})").ok());
  EXPECT_EQ(snapshots_->Info("c", "1").status().code(), absl::StatusCode::kDataLoss);  // without its checksum
  ASSERT_TRUE(WriteFileAtomically(path, R"({"format":3})").ok());
  EXPECT_EQ(snapshots_->Info("c", "1").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SnapshotsTest, VerifyFindsEveryChangeOfItsFiles) {
  ASSERT_TRUE(Create("c", "1").ok());
  const std::string path = root() + "/c/1";
  EXPECT_TRUE(Snapshots::Verify(path).ok()) << Snapshots::Verify(path);
  const auto expect_named = [&](const std::string& file) {
    const absl::Status status = Snapshots::Verify(path);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(file));
  };
  for (const std::string file : {"data", "models/0.safetensors"}) {
    const std::string whole = *ReadFile(path + "/" + file);
    std::string changed = whole;
    changed[0] ^= 1;
    for (const std::string& contents : {changed, whole.substr(1), whole + "x", std::string()}) {
      ASSERT_TRUE(WriteFileAtomically(path + "/" + file, contents).ok());
      expect_named(file);
    }
    fs::remove(path + "/" + file);
    expect_named(file);
    ASSERT_TRUE(WriteFileAtomically(path + "/" + file, whole).ok());
    EXPECT_TRUE(Snapshots::Verify(path).ok());
  }
  ASSERT_TRUE(WriteFileAtomically(path + "/stray", "x").ok());
  expect_named("stray");
}

}  // namespace
}  // namespace bebr
