// Whether a store still lies where it was opened.
#ifndef BEBR_INDEX_STORAGE_STORE_PLACE_H_
#define BEBR_INDEX_STORAGE_STORE_PLACE_H_

#include <sys/types.h>

#include <atomic>
#include <string>
#include <utility>

#include "absl/status/status.h"

namespace bebr {

// A StorePlace knows the directory of an open store. Whose directory was removed or renamed, or another one put into
// its place, still reads and writes the files that it has open: what is acknowledged then is gone at the next start.
//
// Thread safety: all methods may be called from any thread. Cost: a stat.
class StorePlace {
 public:
  // The directory that is at `path` now.
  explicit StorePlace(std::string path);

  // Whether it could be looked at then.
  bool known() const { return directory_ != std::pair<dev_t, ino_t>(); }
  // UNAVAILABLE if it is there no more; OK where that cannot be told. NOT_FOUND once it is left.
  absl::Status Check() const;
  // It is about to be removed, as its collection was dropped.
  void Leave() { left_ = true; }
  // `status`, of what was done with its files: NOT_FOUND for an error once it is left, which no disk is to blame for.
  absl::Status Explain(absl::Status status) const;

 private:
  const std::string path_;
  std::pair<dev_t, ino_t> directory_;
  std::atomic<bool> left_{false};
};

}  // namespace bebr

#endif  // BEBR_INDEX_STORAGE_STORE_PLACE_H_
