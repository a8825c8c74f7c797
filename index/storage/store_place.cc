#include "index/storage/store_place.h"

#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_format.h"

namespace bebr {
namespace {

absl::Status Dropped() { return absl::NotFoundError("the collection has just been dropped"); }

}  // namespace

StorePlace::StorePlace(std::string path) : path_(std::move(path)) {
  struct stat now {};
  if (stat(path_.c_str(), &now) == 0) directory_ = {now.st_dev, now.st_ino};
}

absl::Status StorePlace::Explain(absl::Status status) const {
  return status.ok() || !left_ ? std::move(status) : Dropped();
}

absl::Status StorePlace::Check() const {
  if (left_) return Dropped();
  struct stat now {};
  const bool there = stat(path_.c_str(), &now) == 0;
  if (there ? directory_ == std::pair(now.st_dev, now.st_ino) : errno != ENOENT) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrFormat("storage at %s is in use and %s: put its directory back, or it is lost at the next start", path_,
                      there ? "another directory was put into its place" : "was removed or renamed"));
}

}  // namespace bebr
