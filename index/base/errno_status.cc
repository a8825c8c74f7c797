#include "index/base/errno_status.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/str_format.h"

namespace bebr {

absl::Status ErrnoStatus(int error, std::string_view message) {
  if (error == EIO) return absl::UnavailableError(absl::StrFormat("%s: %s", message, std::strerror(error)));
  return absl::ErrnoToStatus(error, {message.data(), message.size()});
}

}  // namespace bebr
