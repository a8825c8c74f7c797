#include "index/storage/shard_file_system.h"

#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"

namespace bebr {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

thread_local bool committing = false;

IOStatus Retryable(IOStatus status) {
  if (!status.ok()) status.SetRetryable(true);
  return status;
}

// What RocksDB's write path answers with that error and without giving up the database: "busy" stands for "not this
// time".
IOStatus Refused(const IOStatus& error) { return Retryable(IOStatus::Busy(error.ToString())); }

// The number of a log's name, 000012.log; 0 for other files.
uint64_t LogNumber(std::string_view path) {
  constexpr std::string_view kSuffix = ".log";
  path.remove_prefix(path.rfind('/') + 1);
  uint64_t number = 0;
  if (!path.ends_with(kSuffix) || !absl::SimpleAtoi({path.data(), path.size() - kSuffix.size()}, &number)) return 0;
  return number;
}

}  // namespace

ShardFileSystem::Committing::Committing() { committing = true; }
ShardFileSystem::Committing::~Committing() { committing = false; }

// A table file, a manifest, or whatever else is written once.
class ShardFileSystem::File final : public rocksdb::FSWritableFileOwnerWrapper {
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
    return failed_ ? Again() : Synced(target()->Sync(options, debug));
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return failed_ ? Again() : Synced(target()->Fsync(options, debug));
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
    if (!committing) return IOStatus::OK();
    owner_->LogFailed(number_, error_);
    return Refused(error_);
  }
  IOStatus Check(const IOStatus& status) {
    if (status.ok()) return status;
    failed_ = true;
    error_ = status;
    // If this fails too, the log ends in a write that nobody was told about, as after a crash.
    target()->Truncate(synced_bytes_, IOOptions(), nullptr).PermitUncheckedError();
    owner_->LogFailed(number_, status);
    return Refused(status);
  }
  IOStatus Synced(const IOStatus& status) {
    if (status.ok()) synced_bytes_ = bytes_;
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
    return Check(FSDirectoryWrapper::Fsync(options, debug));
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& what) override {
    return Check(FSDirectoryWrapper::FsyncWithDirOptions(options, debug, what));
  }

 private:
  IOStatus Check(const IOStatus& status) {
    if (status.ok()) return status;
    if (!committing) return Retryable(status);
    owner_->LogFailed(0, status);
    return Refused(status);
  }

  ShardFileSystem* const owner_;
};

IOStatus ShardFileSystem::log_error() const {
  MutexLock lock(&mutex_);
  return log_error_;
}

void ShardFileSystem::LogFailed(uint64_t number, const IOStatus& error) {
  MutexLock lock(&mutex_);
  if (!committing && number != newest_log_) return;
  log_error_ = error;
  log_failed_.store(true, std::memory_order_release);
}

IOStatus ShardFileSystem::NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                          std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSWritableFile> made;
  IOStatus status = target()->NewWritableFile(path, options, &made, debug);
  if (!status.ok()) return Retryable(std::move(status));
  const uint64_t number = LogNumber(path);
  if (number == 0) {
    *file = std::make_unique<File>(std::move(made));
    return status;
  }
  *file = std::make_unique<Log>(std::move(made), number, this);
  MutexLock lock(&mutex_);
  newest_log_ = number;
  log_failed_.store(false, std::memory_order_release);
  return status;
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
  return Retryable(target()->RenameFile(from, to, options, debug));
}

IOStatus ShardFileSystem::DeleteFile(const std::string& path, const IOOptions& options, IODebugContext* debug) {
  return Retryable(target()->DeleteFile(path, options, debug));
}

}  // namespace bebr
