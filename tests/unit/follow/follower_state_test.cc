#include "index/follow/follower_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "index/base/file.h"
#include "tests/support/disk_faults.h"
#include "tests/support/temporary_directory.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

class FollowerStateTest : public ::testing::Test {
 protected:
  std::string Path() const { return directory_.path() + "/log.json"; }
  void Write(const std::string& text) const { std::ofstream(Path(), std::ios::binary) << text; }

  const TemporaryDirectory directory_;
  const FollowerState state_{.place = {1234567, {11, 22}}, .barrier = 1200, .collections = {{"c", 1100}, {"d", 7}}};
};

bool operator==(const FollowerState& a, const FollowerState& b) {
  return a.place == b.place && a.barrier == b.barrier && a.collections == b.collections &&
         a.quarantined == b.quarantined && a.filling == b.filling && a.dropped_snapshots == b.dropped_snapshots &&
         a.log == b.log;
}

TEST_F(FollowerStateTest, IsReadAsItWasWritten) {
  const auto none = ReadFollowerState(directory_.path());
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_FALSE(none->has_value());
  ASSERT_TRUE(WriteFollowerState(directory_.path(), state_).ok());
  const auto read = ReadFollowerState(directory_.path());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(**read == state_);
  FollowerState dropped = state_;
  dropped.dropped_snapshots = {"c/s/7", "d/t/9"};
  ASSERT_TRUE(WriteFollowerState(directory_.path(), dropped).ok());
  EXPECT_THAT(*ReadFile(Path()), HasSubstr("\"dropped_snapshots\""));
  EXPECT_TRUE(**ReadFollowerState(directory_.path()) == dropped);
  dropped.log = 0xfedcba9876543210;
  ASSERT_TRUE(WriteFollowerState(directory_.path(), dropped).ok());
  EXPECT_TRUE(**ReadFollowerState(directory_.path()) == dropped);
}

// As they were written before there was a checksum.
TEST_F(FollowerStateTest, FilesWithoutAChecksumAreRead) {
  Write(R"({"append":[11,22],"barrier":1200,"collections":{"c":1100,"d":7},"format":1,"position":1234567,)"
        R"("quarantined":""})");
  const auto read = ReadFollowerState(directory_.path());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(**read == state_);
}

// What it says while it is filled: to a server that does not know of that too.
TEST_F(FollowerStateTest, WhoIsBeingFilledDoesNotServe) {
  FollowerState state = state_;
  state.filling = true;
  ASSERT_TRUE(WriteFollowerState(directory_.path(), state).ok());
  EXPECT_THAT(*ReadFile(Path()), HasSubstr("\"quarantined\": \"it was being filled from another replica\""));
  const auto read = ReadFollowerState(directory_.path());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(**read == state);
  EXPECT_TRUE(*DecodeFollowerState(EncodeFollowerState(state_)) == state_);
  EXPECT_FALSE(DecodeFollowerState("{}").ok());
}

// Whatever became of the file, the state is the one that was written, or an error names it: revisions that are none
// would refuse writes on this replica that others take.
TEST_F(FollowerStateTest, DamageIsNoticed) {
  ASSERT_TRUE(WriteFollowerState(directory_.path(), state_).ok());
  const std::string whole = *ReadFile(Path());
  const auto judge = [&](const std::string& what) {
    const auto read = ReadFollowerState(directory_.path());
    if (read.ok()) {
      EXPECT_TRUE(read->has_value() && **read == state_) << what;
    } else {
      EXPECT_THAT(read.status().code(), ::testing::AnyOf(absl::StatusCode::kDataLoss,
                                                         absl::StatusCode::kFailedPrecondition));  // another format
      EXPECT_THAT(std::string(read.status().message()), HasSubstr(Path())) << what;
    }
  };
  // Any byte; but the name of the checksum: without one a file is read as those of before.
  const size_t name = whole.find("crc32c");
  for (size_t i = 0; i < whole.size(); ++i) {
    if (i + 1 >= name && i <= name + 6) continue;
    for (const char changed : {'\0', '1', '"', static_cast<char>(whole[i] ^ 1), static_cast<char>(whole[i] ^ 0x80)}) {
      std::string damaged = whole;
      damaged[i] = changed;
      Write(damaged);
      judge(damaged);
    }
    Write(whole.substr(0, i));
    judge("cut at " + std::to_string(i));
  }
  for (const char* other : {"null", "7", "[]", "{}", R"({"format":"x"})", R"({"format":1})", R"({"format":2})"}) {
    Write(other);
    EXPECT_FALSE(ReadFollowerState(directory_.path()).ok()) << other;
  }
}

// An error of the disk is one, and neither the end of the process nor a directory that no log has filled.
TEST_F(FollowerStateTest, WhatCannotBeReadOrWrittenIsAnError) {
  ASSERT_TRUE(WriteFollowerState(directory_.path(), state_).ok());
  for (const uint32_t calls : {kReadCall, kLookCall}) {
    SetDiskFault({.calls = calls, .path_part = "log.json"});
    const auto read = ReadFollowerState(directory_.path());
    ClearDiskFault();
    if (read.ok()) {
      EXPECT_TRUE(read->has_value());
    } else {
      EXPECT_THAT(std::string(read.status().message()), HasSubstr(Path()));
    }
  }
  for (int64_t skip = 0;; ++skip) {
    SetDiskFault({.path_part = "log.json", .error = 28, .skip = skip, .count = 1});
    const absl::Status written = WriteFollowerState(directory_.path(), {.place = {99, {}}});
    const bool failed = FailedDiskCalls() > 0;
    ClearDiskFault();
    if (!failed) break;
    if (written.ok()) {  // what a crash may have left could not be removed, and was not there
      ASSERT_TRUE(WriteFollowerState(directory_.path(), state_).ok());
      continue;
    }
    const auto read = ReadFollowerState(directory_.path());
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(**read == state_) << "after call " << skip;
  }
}

}  // namespace
}  // namespace bebr::testing
