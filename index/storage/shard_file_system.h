// What stands between RocksDB and a disk that fails.
#ifndef BEBR_INDEX_STORAGE_SHARD_FILE_SYSTEM_H_
#define BEBR_INDEX_STORAGE_SHARD_FILE_SYSTEM_H_

#include <rocksdb/file_system.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "index/base/mutex.h"
#include "index/storage/store_files.h"

namespace bebr {

// A ShardFileSystem lies between a collection's RocksDB and the disk. It passes on what RocksDB asks for, and keeps
// faults of the disk from becoming more than they are:
//
// Errors are retryable, of reading too. RocksDB takes an I/O error that is not marked so for the end: it takes no write
// until it is opened again. Of marked ones it recovers by DB::Resume.
//
// A log that fails is left behind. After a failed write or sync nobody knows what the file holds, so nothing more may
// follow in it. It is cut back to its last synced byte, which is the end of the last acknowledged write, and takes
// nothing more: a Committing thread gets the error again, and whoever only wants to finish the file is told that all is
// well. A disk that fails may not let itself be cut either: CutFailedLogs does it again before anything else is
// acknowledged, since the next writes get the sequence numbers of the refused one, which a replay must not meet twice.
// The write is refused and has no effect; RocksDB goes on. What the log held must then be written to table files and a
// new log begun (DB::Flush): until then log_failed() holds.
//
// The list of logs is kept: StoreFileList, in the store's directory, is written as logs come and go.
//
// Thread safety: all methods may be called from any thread.
class ShardFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  // `found` is what the directory held when it was checked. Without `syncs` nothing is synced, though RocksDB is told
  // so: for a directory that is built aside.
  ShardFileSystem(const std::shared_ptr<rocksdb::FileSystem>& disk, std::string directory, StoreFileList found,
                  bool syncs)
      : FileSystemWrapper(disk), directory_(std::move(directory)), syncs_(syncs), list_(std::move(found)) {}

  // Marks the calling thread, while it lives, as one that writes to the log what will be acknowledged. `logged` is
  // called each time it has synced a log, before RocksDB goes on.
  class Committing {
   public:
    explicit Committing(absl::FunctionRef<void()> logged);
    ~Committing();
    Committing(const Committing&) = delete;
    Committing& operator=(const Committing&) = delete;

    // How long it has waited for syncs of the log.
    absl::Duration synced() const { return synced_; }

   private:
    friend class ShardFileSystem;
    const absl::FunctionRef<void()> logged_;
    absl::Duration synced_;
  };

  // Whether the log that is written to takes nothing more; and what happened to it.
  bool log_failed() const { return log_failed_.load(std::memory_order_acquire); }
  rocksdb::IOStatus log_error() const;

  // Cuts logs that have failed back to their last acknowledged write, synced, if they are still there.
  absl::Status CutFailedLogs();
  // Writes the list as it is at the end. Called when the database is closed.
  absl::Status WriteList();

  const char* Name() const override { return "ShardFileSystem"; }
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewRandomAccessFile(const std::string& path, const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* file,
                                      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus FileExists(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus GetFileSize(const std::string& path, const rocksdb::IOOptions& options, uint64_t* bytes,
                                rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* directory,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

 private:
  class Table;
  class Stream;
  class File;
  class Manifest;
  class Log;
  class Directory;
  class Unsynced;

  // Notes that log `number` is to be cut to `bytes`.
  void LogToCut(uint64_t number, uint64_t bytes);
  // Notes that log `number` failed, which matters if it is written to: if a committing thread says so, or it is the
  // newest.
  void LogFailed(uint64_t number, const rocksdb::IOStatus& error);
  void LogSynced(uint64_t number, uint64_t bytes);
  void ManifestSynced(uint64_t number, uint64_t bytes);

  const std::string directory_;
  const bool syncs_;
  Mutex list_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // one writing of the list at a time
  mutable Mutex mutex_;
  StoreFileList list_ ABSL_GUARDED_BY(mutex_);
  // Its manifest and manifest_bytes; CURRENT may not name it yet.
  StoreFileList newest_manifest_ ABSL_GUARDED_BY(mutex_);
  uint64_t newest_log_ ABSL_GUARDED_BY(mutex_) = 0;
  rocksdb::IOStatus log_error_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, uint64_t> to_cut_ ABSL_GUARDED_BY(mutex_);  // failed logs, and the bytes that are theirs
  std::atomic<bool> log_failed_{false};
};

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_SHARD_FILE_SYSTEM_H_
