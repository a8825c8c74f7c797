// Faults of the disk, for the process of a test. A program that links disk_faults.cc calls its write, fsync and so on
// instead of libc's, RocksDB's calls included.
#ifndef BEBR_TESTS_SUPPORT_DISK_FAULTS_H_
#define BEBR_TESTS_SUPPORT_DISK_FAULTS_H_

#include <cstdint>
#include <string>

namespace bebr::testing {

// Kinds of calls; they can be added up.
enum DiskCall : uint32_t {
  kWriteCall = 1,    // write, pwrite, sendfile
  kSyncCall = 2,     // fsync, fdatasync
  kOpenCall = 4,     // open for writing, or of a directory
  kRenameCall = 8,   // rename, link
  kRemoveCall = 16,  // unlink, rmdir
  kMakeCall = 32,    // mkdir
  kCutCall = 64,     // ftruncate
  kReadCall = 128,   // read, pread, fread, and open for reading
  kLookCall = 256,   // stat, access
  kLockCall = 512,   // flock; not among all calls, which are those to files' contents and names
  kChangingCalls = 127,
  kAllCalls = 511,
};

// From the call after the next `skip` of these kinds on files whose path contains `path_part`, `count` calls (-1: all)
// fail with `error`. One fault at a time; thread-safe.
struct DiskFault {
  uint32_t calls = kChangingCalls;
  std::string path_part;
  int error = 5;  // EIO
  int64_t skip = 0;
  int64_t count = -1;
};
void SetDiskFault(const DiskFault& fault);
void ClearDiskFault();
// Calls that matched since SetDiskFault, and of these the ones that failed.
int64_t MatchingDiskCalls();
int64_t FailedDiskCalls();

// From now on `synced` is called after each fsync and fdatasync that succeeds, before its caller goes on.
void ObserveSyncs(void (*synced)(int fd));

}  // namespace bebr::testing

#endif  // BEBR_TESTS_SUPPORT_DISK_FAULTS_H_
