#include "server/call/status.h"

#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "bebr/v1/admin.pb.h"
#include "bebr/v1/collections.pb.h"
#include "bebr/v1/documents.pb.h"
#include "bebr/v1/search.pb.h"
#include "bebr/v1/types.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "index/base/retry.h"
#include "server/call/hidden_paths.h"

namespace bebr {
namespace {

// gRPC puts messages and details into HTTP/2 trailers, which peers cut off or refuse beyond 8 KiB.
constexpr size_t kMaxMessageBytes = 1024;

void AddFieldNames(const google::protobuf::Descriptor& message, absl::flat_hash_set<std::string>& names) {
  for (int i = 0; i < message.field_count(); ++i) names.insert(message.field(i)->name());
  for (int i = 0; i < message.nested_type_count(); ++i) AddFieldNames(*message.nested_type(i), names);
}

// Of all messages of the API.
const absl::flat_hash_set<std::string>& FieldNames() {
  static const auto* const names = [] {
    auto* all = new absl::flat_hash_set<std::string>;
    for (const auto* message :
         {v1::Document::descriptor(), v1::GetStatsRequest::descriptor(), v1::ListCollectionsRequest::descriptor(),
          v1::SearchRequest::descriptor(), v1::UpsertRequest::descriptor()}) {
      const google::protobuf::FileDescriptor& file = *message->file();
      for (int i = 0; i < file.message_type_count(); ++i) AddFieldNames(*file.message_type(i), *all);
    }
    return all;
  }();
  return *names;
}

}  // namespace

std::string_view ShortText(std::string_view text, size_t most) {
  if (text.size() <= most) return text;
  size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

std::string_view ShortMessage(std::string_view message) { return ShortText(message, kMaxMessageBytes); }

std::string_view LeadingField(std::string_view message) {
  size_t end = 0;
  while (end < message.size() && (absl::ascii_isalnum(message[end]) || message[end] == '_' || message[end] == '.' ||
                                  message[end] == '[' || message[end] == ']')) {
    ++end;
  }
  while (end > 0 && message[end - 1] == '.') --end;
  const std::string_view field = message.substr(0, end);
  // The field is followed by what is wrong with it; a word alone is no path, nor is one that begins with no field.
  if (end == message.size() || (message[end] != ' ' && message[end] != ':' && message[end] != ',')) return {};
  const std::string_view first = field.substr(0, field.find_first_of(".["));
  if (!FieldNames().contains(std::string(first))) return {};
  return field;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  std::string message(ShortMessage(ForCallers({status.message().data(), status.message().size()})));
  google::rpc::Status details;
  details.set_code(static_cast<int32_t>(status.code()));
  details.set_message(message);
  if (absl::IsInvalidArgument(status)) {
    if (const std::string_view field = LeadingField(message); !field.empty()) {
      google::rpc::BadRequest bad;
      auto* violation = bad.add_field_violations();
      violation->set_field(std::string(field));
      violation->set_description(message);
      details.add_details()->PackFrom(bad);
    }
  } else if (const absl::Duration delay = RetryDelayOf(status); delay > absl::ZeroDuration()) {
    const int64_t seconds = absl::ToInt64Seconds(delay);
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(seconds);
    retry.mutable_retry_delay()->set_nanos(
        static_cast<int32_t>(absl::ToInt64Nanoseconds(delay - absl::Seconds(seconds))));
    details.add_details()->PackFrom(retry);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message, details.SerializeAsString());
}

}  // namespace bebr
