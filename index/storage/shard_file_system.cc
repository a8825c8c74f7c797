#include "index/storage/shard_file_system.h"

#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "index/base/clock.h"
#include "index/base/status_macros.h"
#include "index/storage/files.h"

namespace bebr {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

thread_local ShardFileSystem::Committing* committing = nullptr;

IOStatus Retryable(IOStatus status) {
  if (!status.ok()) status.SetRetryable(true);
  return status;
}

// What RocksDB's write path answers with that error and without giving up the database: "busy" stands for "not this
// time".
IOStatus Refused(const IOStatus& error) { return Retryable(IOStatus::Busy(error.ToString())); }

// The number in a file's name, which is `prefix` number `suffix`: 000012.log, MANIFEST-000005. 0 for other names.
uint64_t NumberOf(std::string_view path, std::string_view prefix, std::string_view suffix) {
  path.remove_prefix(path.rfind('/') + 1);
  uint64_t number = 0;
  if (!path.starts_with(prefix) || !path.ends_with(suffix) || path.size() < prefix.size() + suffix.size()) return 0;
  path = path.substr(prefix.size(), path.size() - prefix.size() - suffix.size());
  return absl::SimpleAtoi(absl::string_view(path.data(), path.size()), &number) ? number : 0;
}

uint64_t LogNumber(std::string_view path) { return NumberOf(path, "", ".log"); }
uint64_t ManifestNumber(std::string_view path) { return NumberOf(path, "MANIFEST-", ""); }

// An error of making or removing a log. RocksDB takes want of space there for the end, other retryable errors not.
IOStatus LogFileError(const std::string& message) { return Retryable(IOStatus::IOError(message)); }

}  // namespace

ShardFileSystem::Committing::Committing(absl::FunctionRef<void()> logged) : logged_(logged) { committing = this; }
ShardFileSystem::Committing::~Committing() { committing = nullptr; }

// A file that is read here and there: a table file.
class ShardFileSystem::Table final : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  using FSRandomAccessFileOwnerWrapper::FSRandomAccessFileOwnerWrapper;
  IOStatus Read(uint64_t offset, size_t bytes, const IOOptions& options, Slice* result, char* scratch,
                IODebugContext* debug) const override {
    return Retryable(FSRandomAccessFileOwnerWrapper::Read(offset, bytes, options, result, scratch, debug));
  }
  IOStatus MultiRead(rocksdb::FSReadRequest* requests, size_t count, const IOOptions& options,
                     IODebugContext* debug) override {
    // The disk reads all of them at the same time, before the first one is waited for.
    for (size_t r = 0; r < count && count > 1; ++r) {
      Prefetch(requests[r].offset, requests[r].len, options, debug).PermitUncheckedError();
    }
    const IOStatus status = FSRandomAccessFileOwnerWrapper::MultiRead(requests, count, options, debug);
    for (size_t r = 0; r < count; ++r) requests[r].status = Retryable(requests[r].status);
    return Retryable(status);
  }
};

// A file that is read from its begin.
class ShardFileSystem::Stream final : public rocksdb::FSSequentialFileOwnerWrapper {
 public:
  using FSSequentialFileOwnerWrapper::FSSequentialFileOwnerWrapper;
  IOStatus Read(size_t bytes, const IOOptions& options, Slice* result, char* scratch, IODebugContext* debug) override {
    return Retryable(FSSequentialFileOwnerWrapper::Read(bytes, options, result, scratch, debug));
  }
};

// A table file, or whatever else is written once.
class ShardFileSystem::File : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  using FSWritableFileOwnerWrapper::FSWritableFileOwnerWrapper;
  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    return Retryable(target()->Append(data, options, debug));
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo& verification,
                  IODebugContext* debug) override {
    return Retryable(target()->Append(data, options, verification, debug));
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* debug) override {
    return Retryable(target()->Flush(options, debug));
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return Retryable(target()->Sync(options, debug));
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Retryable(target()->Fsync(options, debug));
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    return Retryable(target()->Close(options, debug));
  }
};

// A file that is not synced, whatever RocksDB asks for.
class ShardFileSystem::Unsynced final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  using FSWritableFileOwnerWrapper::FSWritableFileOwnerWrapper;
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
};

class ShardFileSystem::Manifest final : public File {
 public:
  Manifest(std::unique_ptr<rocksdb::FSWritableFile> file, uint64_t number, ShardFileSystem* owner)
      : File(std::move(file)), number_(number), owner_(owner) {}
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    IOStatus status = File::Sync(options, debug);
    if (status.ok()) owner_->ManifestSynced(number_, GetFileSize(options, debug));
    return status;
  }

 private:
  const uint64_t number_;
  ShardFileSystem* const owner_;
};

// A write-ahead log. RocksDB calls it from one thread at a time.
class ShardFileSystem::Log final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  Log(std::unique_ptr<rocksdb::FSWritableFile> file, uint64_t number, ShardFileSystem* owner)
      : FSWritableFileOwnerWrapper(std::move(file)), number_(number), owner_(owner) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    if (failed_) return Again();
    bytes_ += data.size();
    return Check(target()->Append(data, options, debug));
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* debug) override {
    return failed_ ? Again() : Check(target()->Flush(options, debug));
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return failed_ ? Again() : Synced([&] { return target()->Sync(options, debug); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return failed_ ? Again() : Synced([&] { return target()->Fsync(options, debug); });
  }
  IOStatus RangeSync(uint64_t offset, uint64_t bytes, const IOOptions& options, IODebugContext* debug) override {
    return failed_ ? Again() : Check(target()->RangeSync(offset, bytes, options, debug));
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    const IOStatus status = target()->Close(options, debug);
    return failed_ ? IOStatus::OK() : Retryable(status);
  }

 private:
  IOStatus Again() {
    if (committing == nullptr) return IOStatus::OK();
    owner_->LogFailed(number_, error_);
    return Refused(error_);
  }
  IOStatus Check(const IOStatus& status) {
    if (status.ok()) return status;
    failed_ = true;
    error_ = status;
    // If this fails too, the log ends for now in a write that nobody was told about, as after a crash.
    target()->Truncate(synced_bytes_, IOOptions(), nullptr).PermitUncheckedError();
    owner_->LogToCut(number_, synced_bytes_);
    owner_->LogFailed(number_, status);
    return Refused(status);
  }
  IOStatus Synced(absl::FunctionRef<IOStatus()> sync) {
    const SteadyTime begun = SteadyNow();
    const IOStatus status = sync();
    if (committing != nullptr) committing->synced_ += SteadyNow() - begun;
    if (status.ok()) {
      synced_bytes_ = bytes_;
      owner_->LogSynced(number_, bytes_);
      if (committing != nullptr) committing->logged_();
    }
    return Check(status);
  }

  const uint64_t number_;
  ShardFileSystem* const owner_;
  bool failed_ = false;
  IOStatus error_;
  uint64_t bytes_ = 0;
  uint64_t synced_bytes_ = 0;
};

// A directory, synced after files are made in it.
class ShardFileSystem::Directory final : public rocksdb::FSDirectoryWrapper {
 public:
  Directory(std::unique_ptr<rocksdb::FSDirectory> directory, ShardFileSystem* owner)
      : FSDirectoryWrapper(std::move(directory)), owner_(owner) {}

  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    if (!owner_->syncs_) return IOStatus::OK();
    return Check(FSDirectoryWrapper::Fsync(options, debug));
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& what) override {
    if (!owner_->syncs_) return IOStatus::OK();
    return Check(FSDirectoryWrapper::FsyncWithDirOptions(options, debug, what));
  }

 private:
  IOStatus Check(const IOStatus& status) {
    if (status.ok()) return status;
    if (committing == nullptr) return Retryable(status);
    owner_->LogFailed(0, status);
    return Refused(status);
  }

  ShardFileSystem* const owner_;
};

IOStatus ShardFileSystem::log_error() const {
  MutexLock lock(&mutex_);
  return log_error_;
}

void ShardFileSystem::LogToCut(uint64_t number, uint64_t bytes) {
  MutexLock lock(&mutex_);
  to_cut_[number] = bytes;
}

absl::Status ShardFileSystem::CutFailedLogs() {
  std::map<uint64_t, uint64_t> logs;
  {
    MutexLock lock(&mutex_);
    logs = to_cut_;
  }
  for (const auto& [number, bytes] : logs) {
    const std::string path = absl::StrFormat("%s/%06d.log", directory_, number);
    BEBR_ASSIGN_OR_RETURN(const bool there, bebr::FileExists(path));
    if (there) BEBR_RETURN_IF_ERROR(CutFile(path, bytes));
    MutexLock lock(&mutex_);
    to_cut_.erase(number);
  }
  return absl::OkStatus();
}

void ShardFileSystem::LogFailed(uint64_t number, const IOStatus& error) {
  MutexLock lock(&mutex_);
  if (committing == nullptr && number != newest_log_) return;
  log_error_ = error;
  log_failed_.store(true, std::memory_order_release);
}

void ShardFileSystem::LogSynced(uint64_t number, uint64_t bytes) {
  MutexLock lock(&mutex_);
  const auto log = list_.logs.find(number);
  if (log != list_.logs.end()) log->second = bytes;
}

void ShardFileSystem::ManifestSynced(uint64_t number, uint64_t bytes) {
  MutexLock lock(&mutex_);
  if (number >= newest_manifest_.manifest) newest_manifest_ = {.manifest = number, .manifest_bytes = bytes};
  if (number == list_.manifest) list_.manifest_bytes = bytes;
}

absl::Status ShardFileSystem::WriteList() {
  MutexLock writing(&list_mutex_);
  StoreFileList list;
  {
    MutexLock lock(&mutex_);
    list = list_;
  }
  return list.Write(directory_, syncs_);
}

IOStatus ShardFileSystem::NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                          std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSWritableFile> made;
  IOStatus status = target()->NewWritableFile(path, options, &made, debug);
  const uint64_t log = LogNumber(path), manifest = ManifestNumber(path);
  if (!status.ok()) return log == 0 ? Retryable(std::move(status)) : LogFileError(status.ToString());
  if (!syncs_) made = std::make_unique<Unsynced>(std::move(made));
  if (log == 0) {
    *file = manifest == 0 ? std::make_unique<File>(std::move(made))
                          : std::make_unique<Manifest>(std::move(made), manifest, this);
    return status;
  }
  {
    MutexLock lock(&mutex_);
    list_.logs[log] = 0;
  }
  // In this order: what the list names is there, whatever a power cut leaves of what was not synced; and the log is,
  // before anything is acknowledged that stands in it.
  absl::Status written = syncs_ ? SyncDirectory(directory_) : absl::OkStatus();
  if (written.ok()) written = WriteList();
  if (!written.ok()) {
    MutexLock lock(&mutex_);
    list_.logs.erase(log);
    return LogFileError(written.ToString());
  }
  *file = std::make_unique<Log>(std::move(made), log, this);
  MutexLock lock(&mutex_);
  newest_log_ = log;
  log_failed_.store(false, std::memory_order_release);
  return status;
}

IOStatus ShardFileSystem::NewRandomAccessFile(const std::string& path, const rocksdb::FileOptions& options,
                                              std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                              IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSRandomAccessFile> made;
  IOStatus status = target()->NewRandomAccessFile(path, options, &made, debug);
  if (status.ok()) *file = std::make_unique<Table>(std::move(made));
  return Retryable(std::move(status));
}

IOStatus ShardFileSystem::NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                                            std::unique_ptr<rocksdb::FSSequentialFile>* file, IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSSequentialFile> made;
  IOStatus status = target()->NewSequentialFile(path, options, &made, debug);
  if (status.ok()) *file = std::make_unique<Stream>(std::move(made));
  return Retryable(std::move(status));
}

IOStatus ShardFileSystem::FileExists(const std::string& path, const IOOptions& options, IODebugContext* debug) {
  // No store keeps old logs, and a RocksDB with assertions ends the process if it cannot tell whether there are any.
  if (path.ends_with("/archive")) return IOStatus::NotFound();
  return Retryable(target()->FileExists(path, options, debug));
}

IOStatus ShardFileSystem::GetFileSize(const std::string& path, const IOOptions& options, uint64_t* bytes,
                                      IODebugContext* debug) {
  return Retryable(target()->GetFileSize(path, options, bytes, debug));
}

IOStatus ShardFileSystem::NewDirectory(const std::string& path, const IOOptions& options,
                                       std::unique_ptr<rocksdb::FSDirectory>* directory, IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSDirectory> made;
  IOStatus status = target()->NewDirectory(path, options, &made, debug);
  if (status.ok()) *directory = std::make_unique<Directory>(std::move(made), this);
  return Retryable(std::move(status));
}

IOStatus ShardFileSystem::RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                                     IODebugContext* debug) {
  const bool current = to.ends_with("/CURRENT");
  // The MANIFEST that it names is there first, as above.
  if (current && syncs_) {
    if (const absl::Status synced = SyncDirectory(directory_); !synced.ok())
      return Retryable(IOStatus::IOError(synced.ToString()));
  }
  IOStatus status = target()->RenameFile(from, to, options, debug);
  if (status.ok() && current) {  // it names the newest MANIFEST now
    MutexLock lock(&mutex_);
    list_.manifest = newest_manifest_.manifest;
    list_.manifest_bytes = newest_manifest_.manifest_bytes;
  }
  return Retryable(std::move(status));
}

IOStatus ShardFileSystem::DeleteFile(const std::string& path, const IOOptions& options, IODebugContext* debug) {
  if (const uint64_t log = LogNumber(path); log != 0) {
    {
      MutexLock lock(&mutex_);
      list_.logs.erase(log);
    }
    if (const absl::Status written = WriteList(); !written.ok()) return LogFileError(written.ToString());
  }
  return Retryable(target()->DeleteFile(path, options, debug));
}

}  // namespace bebr
