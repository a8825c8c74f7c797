#include "index/storage/store_health.h"

#include "index/base/logging.h"
#include "index/storage/rocks.h"

namespace bebr {

absl::Status StoreHealth::status() const {
  MutexLock lock(&mutex_);
  return status_;
}

bool StoreHealth::refuses_writes() const {
  MutexLock lock(&mutex_);
  return refuses_writes_;
}

void StoreHealth::Fail(const absl::Status& error, bool refuse) {
  bool first = false;
  {
    MutexLock lock(&mutex_);
    first = status_.ok();
    if (first) status_ = error;
    refuses_writes_ = refuses_writes_ || refuse;
    failed_writes_ += refuse ? 1 : 0;
  }
  if (first)
    LogError("{}; searches go on, and writes as soon as the disk takes them again", std::string(error.message()));
}

uint64_t StoreHealth::failed_writes() const {
  MutexLock lock(&mutex_);
  return failed_writes_;
}

void StoreHealth::Recovered(uint64_t dealt_with) {
  {
    MutexLock lock(&mutex_);
    if (status_.ok() || failed_writes_ > dealt_with) return;
    status_ = absl::OkStatus();
    refuses_writes_ = false;
  }
  LogInfo("storage at {}: it takes writes again", path_);
}

void StoreHealth::OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* error) {
  Fail(FromRocksDb(*error, path_), false);
}

}  // namespace bebr
