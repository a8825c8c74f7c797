// What a client sends beside its request: x-request-id and traceparent, on two lines. And an error's message, the rest,
// which may quote a client: what goes back must be text that protobuf and HTTP/2 take.
#include <google/protobuf/stubs/logging.h>

#include <map>
#include <string>

#include "absl/strings/ascii.h"
#include "server/call/call_ids.h"
#include "server/call/status.h"
#include "tests/fuzz/fuzzer.h"

namespace bebr::fuzz {
namespace {

// Protobuf complains in the log where text is no UTF-8.
void CheckMessage(std::string_view bytes) {
  static google::protobuf::LogHandler* const before = google::protobuf::SetLogHandler(
      [](google::protobuf::LogLevel, const char*, int, const std::string& message) { FUZZ_REQUIRE(message.empty()); });
  FUZZ_REQUIRE(before != nullptr);
  std::string text;
  for (const char byte : bytes)
    text += absl::ascii_isascii(static_cast<unsigned char>(byte)) ? std::string(1, byte) : "é";
  const grpc::Status status = ToGrpcStatus(absl::InvalidArgumentError(text));
  FUZZ_REQUIRE(status.error_message().size() <= 1024);
  FUZZ_REQUIRE(text.starts_with(status.error_message()));
}

}  // namespace
}  // namespace bebr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bebr;
  const std::vector<std::string_view> parts = fuzz::Divide(fuzz::ToView(data, size), 3);
  std::multimap<grpc::string_ref, grpc::string_ref> metadata;
  metadata.emplace("x-request-id", grpc::string_ref(parts[0].data(), parts[0].size()));
  metadata.emplace("traceparent", grpc::string_ref(parts[1].data(), parts[1].size()));
  const CallIds ids = ReadCallIds(metadata);
  FUZZ_REQUIRE(!ids.request_id.empty() && ids.request_id.size() <= 128);
  for (const char c : ids.request_id) FUZZ_REQUIRE(absl::ascii_isgraph(static_cast<unsigned char>(c)));
  FUZZ_REQUIRE(ids.traceparent.size() == 55 && ids.trace_id().size() == 32);
  for (const char c : ids.trace_id()) FUZZ_REQUIRE(absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f'));
  FUZZ_REQUIRE(ids.trace_id() != std::string(32, '0'));
  fuzz::CheckMessage(parts[2]);
  return 0;
}
