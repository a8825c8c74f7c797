// Errors of the server that had them, and not of what was asked of it.
#ifndef BEBR_INDEX_BASE_OWN_ERROR_H_
#define BEBR_INDEX_BASE_OWN_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"

namespace bebr {

inline constexpr absl::string_view kOwnErrorPayload = "bebr/own_error";

// The same error, marked as one of this server's disk, files or memory: another one that holds the same may not have
// it. Its code does not say so: a file that is missing is NOT_FOUND too.
inline absl::Status OwnError(absl::Status status) {
  if (!status.ok()) status.SetPayload(kOwnErrorPayload, absl::Cord());
  return status;
}
inline bool IsOwnError(const absl::Status& status) { return status.GetPayload(kOwnErrorPayload).has_value(); }

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_OWN_ERROR_H_
