// What a failed system call says, as a status.
#ifndef BEBR_INDEX_BASE_ERRNO_STATUS_H_
#define BEBR_INDEX_BASE_ERRNO_STATUS_H_

#include <string_view>

#include "absl/status/status.h"

namespace bebr {

// By `error`, an errno: as Abseil has it, but that a failing disk (EIO), for which it has no code, is UNAVAILABLE. The
// message is `message`, and why.
absl::Status ErrnoStatus(int error, std::string_view message);

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_ERRNO_STATUS_H_
