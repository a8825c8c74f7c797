#include "server/http/json.h"

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver.h>
#include <google/protobuf/util/type_resolver_util.h>

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace bebr {
namespace {

constexpr const char* kTypes = "type.googleapis.com";
constexpr size_t kMaxMessageBytes = 300;  // of a parser's complaint, which repeats what it was given

google::protobuf::util::TypeResolver& Resolver() {
  static auto* const resolver = google::protobuf::util::NewTypeResolverForDescriptorPool(
      kTypes, google::protobuf::DescriptorPool::generated_pool());
  return *resolver;
}

std::string TypeUrl(const google::protobuf::Descriptor& type) { return absl::StrCat(kTypes, "/", type.full_name()); }

// How deep objects and arrays lie in each other, at most: protobuf bounds that of objects alone, and takes 150 bytes
// for every array. A text begins and ends with either quote, as that parser has it.
size_t DepthOf(std::string_view json) {
  size_t depth = 0, most = 0;
  char quote = 0;  // that ends the text which is being read; 0: none is
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (quote != 0) {
      if (c == '\\') {
        ++i;
      } else if (c == quote) {
        quote = 0;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '[' || c == '{') {
      most = std::max(most, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return most;
}

}  // namespace

absl::StatusOr<std::string> JsonToWire(const google::protobuf::Descriptor& type, const std::string& json) {
  std::string wire;
  if (json.empty()) return wire;
  if (const size_t depth = DepthOf(json); depth > kMaxJsonDepth) {
    return absl::InvalidArgumentError(
        absl::StrFormat("body has objects and arrays %d deep in each other; the limit is %d", depth, kMaxJsonDepth));
  }
  const auto status = google::protobuf::util::JsonToBinaryString(&Resolver(), TypeUrl(type), json, &wire);
  if (status.ok()) return wire;
  // The first line; what follows is a piece of the text, perhaps not even UTF-8.
  std::string_view reason(status.message().data(), status.message().size());
  reason = reason.substr(0, std::min(reason.find('\n'), kMaxMessageBytes));
  const bool readable = std::all_of(reason.begin(), reason.end(), [](char c) { return c >= ' ' && c <= '~'; });
  return absl::InvalidArgumentError(
      absl::StrFormat("body is no %s as JSON: %s", type.full_name(), readable ? reason : "a value is no text"));
}

absl::StatusOr<std::string> WireToJson(const google::protobuf::Descriptor& type, const std::string& wire) {
  std::string json;
  const auto status = google::protobuf::util::BinaryToJsonString(&Resolver(), TypeUrl(type), wire, &json);
  if (status.ok()) return json;
  return absl::InternalError(absl::StrFormat("the answer cannot be written as JSON: %s",
                                             std::string(status.message().data(), status.message().size())));
}

}  // namespace bebr
