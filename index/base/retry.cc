#include "index/base/retry.h"

#include <string>

#include "absl/strings/cord.h"

namespace bebr {
namespace {

constexpr const char* kPayload = "google.rpc.RetryInfo";

}  // namespace

absl::Status TryAgainLater(std::string_view message, absl::Duration after) {
  absl::Status status = absl::ResourceExhaustedError(std::string(message));
  status.SetPayload(kPayload, absl::Cord(absl::FormatDuration(after)));
  return status;
}

absl::Duration RetryDelayOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  absl::Duration delay;
  if (!payload.has_value() || !absl::ParseDuration(std::string(*payload), &delay)) return absl::ZeroDuration();
  return delay;
}

}  // namespace bebr
