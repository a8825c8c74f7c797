#include "index/storage/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "index/base/file.h"
#include "tests/support/disk_faults.h"
#include "tests/support/temporary_directory.h"

namespace bebr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

class FilesTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }
  void Write(const std::string& name, std::string_view contents) const {
    ASSERT_TRUE(WriteFileAtomically(Path(name), contents).ok()) << name;
  }
  testing::TemporaryDirectory directory_;
};

TEST_F(FilesTest, WritesReplacesAndReads) {
  const std::string contents("a\0b\n", 4);
  Write("file", contents);
  EXPECT_EQ(*ReadFile(Path("file")), contents);
  Write("file", "");
  EXPECT_EQ(*ReadFile(Path("file")), "");
  EXPECT_FALSE(*FileExists(Path("file.tmp")));
}

TEST_F(FilesTest, AFailedWriteLeavesTheOldFile) {
  Write("file", "old");
  fs::create_directory(Path("file.tmp"));  // where the new contents would go first
  const absl::Status status = WriteFileAtomically(Path("file"), "new");
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr(Path("file.tmp")));
  EXPECT_EQ(*ReadFile(Path("file")), "old");
  EXPECT_EQ(WriteFileAtomically(Path("no/such/file"), "x").code(), absl::StatusCode::kNotFound);
}

TEST_F(FilesTest, ALockThatCannotBeHadIsNotTakenForAnotherProcess) {
  {
    const auto lock = DirectoryLock::Acquire(directory_.path());
    ASSERT_TRUE(lock.ok());
    const absl::Status second = DirectoryLock::Acquire(directory_.path()).status();
    EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(second.message()), HasSubstr("is in use by another process"));
  }
  testing::SetDiskFault({.calls = testing::kLockCall, .path_part = "/LOCK", .error = ENOLCK});
  const absl::Status unlocked = DirectoryLock::Acquire(directory_.path()).status();
  EXPECT_THAT(std::string(unlocked.message()), HasSubstr("No locks available"));
  EXPECT_THAT(std::string(unlocked.message()), ::testing::Not(HasSubstr("another process")));
  // As a read-only NFS has it: the file cannot be opened for writing, and not be locked otherwise.
  testing::SetDiskFault({.calls = testing::kOpenCall | testing::kLockCall, .path_part = "/LOCK", .error = EROFS});
  EXPECT_TRUE(DirectoryLock::Acquire(directory_.path()).ok());
  EXPECT_EQ(testing::FailedDiskCalls(), 2);
  testing::ClearDiskFault();
}

TEST_F(FilesTest, CreatesDirectoriesOnce) {
  EXPECT_TRUE(CreateDirectories(Path("a/b/c")).ok());
  EXPECT_TRUE(CreateDirectories(Path("a/b/c")).ok());
  EXPECT_TRUE(fs::is_directory(Path("a/b/c")));
  Write("file", "x");
  EXPECT_FALSE(CreateDirectories(Path("file/below")).ok());
}

TEST_F(FilesTest, ListsDirectoriesInOrderAndNothingElse) {
  for (const char* name : {"b", "a", ".hidden"}) fs::create_directory(Path(name));
  Write("file", "x");
  EXPECT_THAT(*ListDirectories(directory_.path()), ElementsAre(".hidden", "a", "b"));
  EXPECT_THAT(*ListDirectories(Path("a")), IsEmpty());
  EXPECT_FALSE(ListDirectories(Path("nothing")).ok());
  EXPECT_FALSE(ListDirectories(Path("file")).ok());
}

TEST_F(FilesTest, RenamesAndRemoves) {
  fs::create_directory(Path("from"));
  Write("from/file", "x");
  ASSERT_TRUE(RenameDirectory(Path("from"), Path("to")).ok());
  EXPECT_FALSE(*FileExists(Path("from")));
  EXPECT_EQ(*ReadFile(Path("to/file")), "x");
  fs::create_directory(Path("other"));
  Write("other/file", "y");
  EXPECT_FALSE(RenameDirectory(Path("to"), Path("other")).ok());  // not over one that holds something
  EXPECT_EQ(*ReadFile(Path("other/file")), "y");
  EXPECT_TRUE(RemoveAll(Path("to")).ok());
  EXPECT_FALSE(*FileExists(Path("to")));
  EXPECT_TRUE(RemoveAll(Path("to")).ok());
}

TEST_F(FilesTest, CopiesADirectoryAndLinksWhatNeverChanges) {
  fs::create_directories(Path("from/below"));
  Write("from/table.sst", "table");
  Write("from/below/log", "log");
  ASSERT_TRUE(CopyDirectory(Path("from"), Path("to"), ".sst").ok());
  EXPECT_EQ(*ReadFile(Path("to/table.sst")), "table");
  EXPECT_EQ(*ReadFile(Path("to/below/log")), "log");
  EXPECT_TRUE(fs::equivalent(Path("from/table.sst"), Path("to/table.sst")));
  EXPECT_FALSE(fs::equivalent(Path("from/below/log"), Path("to/below/log")));
  EXPECT_FALSE(CopyDirectory(Path("nothing"), Path("to"), ".sst").ok());
}

TEST_F(FilesTest, CountsTheBytesOfADirectory) {
  fs::create_directories(Path("d/below"));
  Write("d/one", "12345");
  Write("d/below/two", "678");
  EXPECT_EQ(SizeOf(Path("d")).file_bytes, 8u);
  EXPECT_GE(SizeOf(Path("d")).allocated_bytes, 8u);
  EXPECT_EQ(SizeOf(Path("nothing")).file_bytes, 0u);
  EXPECT_EQ(SizeOf(Path("nothing")).allocated_bytes, 0u);
  fs::resize_file(Path("d/one"), 100 << 20);  // a hole takes no disk
  EXPECT_GE(SizeOf(Path("d")).file_bytes, uint64_t{100} << 20);
  EXPECT_LT(SizeOf(Path("d")).allocated_bytes, uint64_t{1} << 20);
  const DiskSpace space = DiskSpaceOf(directory_.path());
  EXPECT_GT(space.total_bytes, 0u);
  EXPECT_LE(space.free_bytes, space.total_bytes);
  EXPECT_EQ(DiskSpaceOf(Path("nothing")).total_bytes, 0u);
}

TEST_F(FilesTest, ADirectoryIsLockedOnce) {
  auto first = DirectoryLock::Acquire(directory_.path());
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = DirectoryLock::Acquire(directory_.path());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  first->reset();
  EXPECT_TRUE(DirectoryLock::Acquire(directory_.path()).ok());
  testing::SetDiskFault({.calls = testing::kOpenCall, .path_part = "LOCK", .error = EROFS});
  EXPECT_TRUE(DirectoryLock::Acquire(directory_.path()).ok());  // on a file system that is mounted read-only
  testing::ClearDiskFault();
  EXPECT_FALSE(DirectoryLock::Acquire(Path("nothing")).ok());
}

}  // namespace
}  // namespace bebr
