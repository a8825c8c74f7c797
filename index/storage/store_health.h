// Whether a collection's store can be written to, and why not.
#ifndef BEBR_INDEX_STORAGE_STORE_HEALTH_H_
#define BEBR_INDEX_STORAGE_STORE_HEALTH_H_

#include <rocksdb/listener.h>

#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "index/base/mutex.h"

namespace bebr {

// A StoreHealth remembers what is wrong with a collection's storage, from the first failure until it has recovered, and
// says both once in the log.
//
// Thread safety: all methods may be called from any thread; RocksDB's background threads do.
class StoreHealth final : public rocksdb::EventListener {
 public:
  explicit StoreHealth(std::string path) : path_(std::move(path)) {}

  // OK, or the first failure since it was OK.
  absl::Status status() const;
  // Whether no write may be tried: one has failed, and what it may have left behind is not yet dealt with.
  bool refuses_writes() const;
  void WriteFailed(const absl::Status& error) { Fail(error, true); }
  // How many writes have failed.
  uint64_t failed_writes() const;
  // All is well again, unless more writes have failed than `dealt_with`: what those left behind nobody has looked at.
  void Recovered(uint64_t dealt_with);

  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) override;

 private:
  void Fail(const absl::Status& error, bool refuse);

  const std::string path_;
  mutable Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  bool refuses_writes_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t failed_writes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_STORE_HEALTH_H_
