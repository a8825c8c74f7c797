#include "tests/support/disk_faults.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <shared_mutex>

namespace bebr::testing {
namespace {

// The standard library's locks: these stand below the calls of libc, and one is held shared.
std::mutex mutex;
DiskFault* current = nullptr;  // leaked: calls come until the very end of the process
int64_t matching = 0;
int64_t failed = 0;
std::atomic<void (*)(int)> observer{nullptr};
std::shared_mutex names;  // held exclusively while the observer looks at them, shared by who changes them
thread_local bool observing = false;

// Whether this call is to fail; sets errno.
bool Fails(DiskCall call, const char* path) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (current == nullptr || (current->calls & call) == 0) return false;
  if (std::strstr(path, current->path_part.c_str()) == nullptr) return false;
  const int64_t number = matching++;
  if (number < current->skip || (current->count >= 0 && number >= current->skip + current->count)) return false;
  ++failed;
  errno = current->error;
  return true;
}

bool Armed() {
  const std::lock_guard<std::mutex> lock(mutex);
  return current != nullptr;
}

bool Fails(DiskCall call, int fd) {
  if (!Armed()) return false;
  char link[64], path[4096];
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof(path) - 1);
  if (size <= 0) return false;
  path[size] = 0;
  return Fails(call, path);
}

// The same for a name in an open directory.
bool Fails(DiskCall call, int directory, const char* name) {
  return directory == AT_FDCWD || name[0] == '/' ? Fails(call, name) : Fails(call, directory);
}

int Synced(int result, int fd) {
  if (void (*const synced)(int) = observer.load(); result == 0 && synced != nullptr) {
    const std::lock_guard<std::shared_mutex> lock(names);
    observing = true;
    synced(fd);
    observing = false;
  }
  return result;
}

// The observer changes names, too.
std::shared_lock<std::shared_mutex> ChangeNames() {
  return observing ? std::shared_lock<std::shared_mutex>() : std::shared_lock<std::shared_mutex>(names);
}

template <typename Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

void SetDiskFault(const DiskFault& fault) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (current == nullptr) current = new DiskFault;
  *current = fault;
  matching = failed = 0;
}

void ClearDiskFault() {
  const std::lock_guard<std::mutex> lock(mutex);
  delete current;
  current = nullptr;
}

int64_t MatchingDiskCalls() {
  const std::lock_guard<std::mutex> lock(mutex);
  return matching;
}

int64_t FailedDiskCalls() {
  const std::lock_guard<std::mutex> lock(mutex);
  return failed;
}

void ObserveSyncs(void (*synced)(int fd)) { observer = synced; }

namespace {

DiskCall OpenCall(int flags) {
  return (flags & (O_WRONLY | O_RDWR | O_CREAT | O_DIRECTORY)) != 0 ? kOpenCall : kReadCall;
}

int Open(const char* name, const char* path, int flags, mode_t mode) {
  if (Fails(OpenCall(flags), path)) return -1;
  return Real<int(const char*, int, ...)>(name)(path, flags, mode);
}

mode_t ModeOf(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace
}  // namespace bebr::testing

using bebr::testing::Fails;

extern "C" {

ssize_t write(int fd, const void* bytes, size_t count) {
  static auto* const real = bebr::testing::Real<decltype(write)>("write");
  return Fails(bebr::testing::kWriteCall, fd) ? -1 : real(fd, bytes, count);
}
ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  static auto* const real = bebr::testing::Real<decltype(pwrite)>("pwrite");
  return Fails(bebr::testing::kWriteCall, fd) ? -1 : real(fd, bytes, count, offset);
}
ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t offset) {
  static auto* const real = bebr::testing::Real<decltype(pwrite64)>("pwrite64");
  return Fails(bebr::testing::kWriteCall, fd) ? -1 : real(fd, bytes, count, offset);
}
ssize_t pread(int fd, void* bytes, size_t count, off_t offset) {
  static auto* const real = bebr::testing::Real<decltype(pread)>("pread");
  return Fails(bebr::testing::kReadCall, fd) ? -1 : real(fd, bytes, count, offset);
}
ssize_t pread64(int fd, void* bytes, size_t count, off64_t offset) {
  static auto* const real = bebr::testing::Real<decltype(pread64)>("pread64");
  return Fails(bebr::testing::kReadCall, fd) ? -1 : real(fd, bytes, count, offset);
}
ssize_t read(int fd, void* bytes, size_t count) {
  static auto* const real = bebr::testing::Real<decltype(read)>("read");
  return Fails(bebr::testing::kReadCall, fd) ? -1 : real(fd, bytes, count);
}
int fsync(int fd) {
  static auto* const real = bebr::testing::Real<decltype(fsync)>("fsync");
  return Fails(bebr::testing::kSyncCall, fd) ? -1 : bebr::testing::Synced(real(fd), fd);
}
int fdatasync(int fd) {
  static auto* const real = bebr::testing::Real<decltype(fdatasync)>("fdatasync");
  return Fails(bebr::testing::kSyncCall, fd) ? -1 : bebr::testing::Synced(real(fd), fd);
}
int flock(int fd, int operation) noexcept {
  static auto* const real = bebr::testing::Real<int(int, int)>("flock");
  return Fails(bebr::testing::kLockCall, fd) ? -1 : real(fd, operation);
}
int ftruncate(int fd, off_t size) noexcept {
  static auto* const real = bebr::testing::Real<int(int, off_t)>("ftruncate");
  return Fails(bebr::testing::kCutCall, fd) ? -1 : real(fd, size);
}
int ftruncate64(int fd, off64_t size) noexcept {
  static auto* const real = bebr::testing::Real<int(int, off64_t)>("ftruncate64");
  return Fails(bebr::testing::kCutCall, fd) ? -1 : real(fd, size);
}
int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = bebr::testing::ModeOf(flags, arguments);
  va_end(arguments);
  return bebr::testing::Open("open", path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = bebr::testing::ModeOf(flags, arguments);
  va_end(arguments);
  return bebr::testing::Open("open64", path, flags, mode);
}
int openat(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = bebr::testing::ModeOf(flags, arguments);
  va_end(arguments);
  static auto* const real = bebr::testing::Real<int(int, const char*, int, ...)>("openat");
  return Fails(bebr::testing::OpenCall(flags), directory, path) ? -1 : real(directory, path, flags, mode);
}
size_t fread_unlocked(void* bytes, size_t size, size_t count, FILE* file) {
  static auto* const real = bebr::testing::Real<decltype(fread_unlocked)>("fread_unlocked");
  return Fails(bebr::testing::kReadCall, fileno(file)) ? 0 : real(bytes, size, count, file);
}
ssize_t sendfile(int to, int from, off_t* offset, size_t count) noexcept {
  static auto* const real = bebr::testing::Real<ssize_t(int, int, off_t*, size_t)>("sendfile");
  return Fails(bebr::testing::kWriteCall, to) ? -1 : real(to, from, offset, count);
}
int stat(const char* path, struct stat* info) noexcept {
  static auto* const real = bebr::testing::Real<int(const char*, struct stat*)>("stat");
  return Fails(bebr::testing::kLookCall, path) ? -1 : real(path, info);
}
int lstat(const char* path, struct stat* info) noexcept {
  static auto* const real = bebr::testing::Real<int(const char*, struct stat*)>("lstat");
  return Fails(bebr::testing::kLookCall, path) ? -1 : real(path, info);
}
int access(const char* path, int mode) noexcept {
  static auto* const real = bebr::testing::Real<int(const char*, int)>("access");
  return Fails(bebr::testing::kLookCall, path) ? -1 : real(path, mode);
}
int unlinkat(int directory, const char* path, int flags) noexcept {
  const auto changing = bebr::testing::ChangeNames();
  static auto* const real = bebr::testing::Real<int(int, const char*, int)>("unlinkat");
  return Fails(bebr::testing::kRemoveCall, directory, path) ? -1 : real(directory, path, flags);
}
int rename(const char* from, const char* to) noexcept {
  const auto changing = bebr::testing::ChangeNames();
  static auto* const real = bebr::testing::Real<int(const char*, const char*)>("rename");
  return Fails(bebr::testing::kRenameCall, to) ? -1 : real(from, to);
}
int link(const char* from, const char* to) noexcept {
  const auto changing = bebr::testing::ChangeNames();
  static auto* const real = bebr::testing::Real<int(const char*, const char*)>("link");
  return Fails(bebr::testing::kRenameCall, to) ? -1 : real(from, to);
}
int unlink(const char* path) noexcept {
  const auto changing = bebr::testing::ChangeNames();
  static auto* const real = bebr::testing::Real<int(const char*)>("unlink");
  return Fails(bebr::testing::kRemoveCall, path) ? -1 : real(path);
}
int rmdir(const char* path) noexcept {
  const auto changing = bebr::testing::ChangeNames();
  static auto* const real = bebr::testing::Real<int(const char*)>("rmdir");
  return Fails(bebr::testing::kRemoveCall, path) ? -1 : real(path);
}
int mkdir(const char* path, mode_t mode) noexcept {
  const auto changing = bebr::testing::ChangeNames();
  static auto* const real = bebr::testing::Real<int(const char*, mode_t)>("mkdir");
  return Fails(bebr::testing::kMakeCall, path) ? -1 : real(path, mode);
}

}  // extern "C"
