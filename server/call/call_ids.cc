#include "server/call/call_ids.h"

#include <algorithm>
#include <cstdint>

#include "absl/random/random.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"

namespace bebr {
namespace {

constexpr size_t kMaxRequestIdBytes = 128;

std::string RandomHex(size_t digits) {
  thread_local absl::BitGen random;
  std::string text;
  while (text.size() < digits) text += absl::StrFormat("%016x", absl::Uniform<uint64_t>(random));
  text.resize(digits);
  return text;
}

bool IsHex(std::string_view text) { return text.find_first_not_of("0123456789abcdef") == std::string_view::npos; }
bool IsZero(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

// Version 00 of https://www.w3.org/TR/trace-context: 00-<trace id>-<parent id>-<flags>.
bool IsTraceparent(std::string_view text) {
  return text.size() == 55 && text.substr(0, 3) == "00-" && text[35] == '-' && text[52] == '-' &&
         IsHex(text.substr(3, 32)) && !IsZero(text.substr(3, 32)) && IsHex(text.substr(36, 16)) &&
         !IsZero(text.substr(36, 16)) && IsHex(text.substr(53, 2));
}

bool IsRequestId(std::string_view text) {
  return !text.empty() && text.size() <= kMaxRequestIdBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::string_view Find(const CallMetadata& metadata, const char* name) {
  const auto found = metadata.find(name);
  if (found == metadata.end()) return {};
  return {found->second.data(), found->second.size()};
}

}  // namespace

CallIds ReadCallIds(const CallMetadata& metadata) {
  CallIds ids;
  const std::string_view request_id = Find(metadata, "x-request-id"), traceparent = Find(metadata, "traceparent");
  ids.request_id = IsRequestId(request_id) ? std::string(request_id) : RandomHex(16);
  ids.traced_by_client = IsTraceparent(traceparent);
  ids.traceparent =
      ids.traced_by_client ? std::string(traceparent) : "00-" + RandomHex(32) + "-" + RandomHex(16) + "-00";
  return ids;
}

std::string MakePeerSecret() { return RandomHex(32) + " "; }

std::string_view PassedOnPeer(const CallMetadata& metadata, std::string_view secret) {
  const std::string_view value = Find(metadata, kPeerMetadata);
  return value.substr(0, secret.size()) == secret ? value.substr(secret.size()) : std::string_view();
}

std::string_view BearerKey(const CallMetadata& metadata) {
  constexpr std::string_view kScheme = "bearer ";  // in any case: RFC 9110, 11.1
  const std::string_view value = Find(metadata, "authorization");
  const std::string_view scheme = value.substr(0, kScheme.size());
  if (!absl::EqualsIgnoreCase({scheme.data(), scheme.size()}, {kScheme.data(), kScheme.size()})) return {};
  return value.substr(std::min(value.find_first_not_of(' ', kScheme.size()), value.size()));
}

}  // namespace bebr
