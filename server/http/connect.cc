#include "server/http/connect.h"

#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "nlohmann/json.hpp"

namespace bebr {
namespace {

struct CodeName {
  const char* name;
  unsigned http_status;
};

// By gRPC's number of the code.
constexpr std::array<CodeName, 17> kCodes = {{{"ok", 200},
                                              {"canceled", 499},
                                              {"unknown", 500},
                                              {"invalid_argument", 400},
                                              {"deadline_exceeded", 504},
                                              {"not_found", 404},
                                              {"already_exists", 409},
                                              {"permission_denied", 403},
                                              {"resource_exhausted", 429},
                                              {"failed_precondition", 400},
                                              {"aborted", 409},
                                              {"out_of_range", 400},
                                              {"unimplemented", 501},
                                              {"internal", 500},
                                              {"unavailable", 503},
                                              {"data_loss", 500},
                                              {"unauthenticated", 401}}};
constexpr size_t kUnknown = 2;
constexpr size_t kMaxTimeoutDigits = 10;

}  // namespace

std::optional<BodyFormat> ParseContentType(std::string_view content_type) {
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  const std::string bare = absl::AsciiStrToLower(absl::StripAsciiWhitespace({type.data(), type.size()}));
  if (bare == "application/json") return BodyFormat::kJson;
  if (bare == "application/proto") return BodyFormat::kBinary;
  return std::nullopt;
}

std::string_view ContentTypeOf(BodyFormat format) {
  return format == BodyFormat::kJson ? "application/json" : "application/proto";
}

std::optional<absl::Duration> ParseTimeout(std::string_view milliseconds) {
  int64_t number = 0;
  const bool digits = !milliseconds.empty() && milliseconds.size() <= kMaxTimeoutDigits &&
                      milliseconds.find_first_not_of("0123456789") == std::string_view::npos;
  if (!digits || !absl::SimpleAtoi(std::string(milliseconds), &number)) return std::nullopt;
  return absl::Milliseconds(number);
}

ConnectError MakeConnectError(const grpc::Status& status) {
  const auto code = static_cast<size_t>(status.error_code());
  const CodeName& named = kCodes[code < kCodes.size() && code != 0 ? code : kUnknown];
  ConnectError error;
  error.http_status = named.http_status;
  nlohmann::ordered_json body = {{"code", named.name}, {"message", status.error_message()}};
  google::rpc::Status packed;
  if (packed.ParseFromString(status.error_details())) {
    for (const auto& detail : packed.details()) {
      std::string value = absl::Base64Escape(detail.value());
      while (!value.empty() && value.back() == '=') value.pop_back();
      const std::string& url = detail.type_url();
      body["details"].push_back({{"type", url.substr(url.rfind('/') + 1)}, {"value", value}});
      google::rpc::RetryInfo retry;
      if (detail.UnpackTo(&retry)) error.retry_after_s = retry.retry_delay().seconds() + 1;
    }
  }
  error.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return error;
}

}  // namespace bebr
