// Bodies of the HTTP side: the first byte picks the message, the rest is its JSON. What is taken for a message is one,
// and comes back the same from its own JSON.
#include <array>
#include <memory>
#include <string>

#include "bebr/v1/collections.pb.h"
#include "bebr/v1/documents.pb.h"
#include "bebr/v1/search.pb.h"
#include "server/http/json.h"
#include "tests/fuzz/fuzzer.h"

namespace {

// The bytes of the message that `wire` stands for, in the order of Protocol Buffers; dies if it stands for none.
std::string Normal(const google::protobuf::Message& prototype, const std::string& wire) {
  const std::unique_ptr<google::protobuf::Message> message(prototype.New());
  FUZZ_REQUIRE(message->ParseFromString(wire));
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    message->SerializeToCodedStream(&out);
  }
  return bytes;
}

// Protocol Buffers writes a number that is minus zero as -0, and reads that as zero.
bool HasMinusZero(const std::string& json) {
  for (size_t at = json.find("-0"); at != std::string::npos; at = json.find("-0", at + 2)) {
    if (at + 2 < json.size() && (json[at + 2] == ',' || json[at + 2] == ']' || json[at + 2] == '}')) return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using bebr::v1::AddVersionRequest, bebr::v1::BatchSearchRequest, bebr::v1::SearchRequest, bebr::v1::UpsertRequest;
  static const std::array<const google::protobuf::Message*, 4> prototypes = {
      &SearchRequest::default_instance(), &UpsertRequest::default_instance(), &BatchSearchRequest::default_instance(),
      &AddVersionRequest::default_instance()};
  if (size == 0) return 0;
  const google::protobuf::Message& prototype = *prototypes[data[0] % prototypes.size()];
  const google::protobuf::Descriptor& type = *prototype.GetDescriptor();
  const auto wire = bebr::JsonToWire(type, std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  if (!wire.ok()) return 0;
  const std::string message = Normal(prototype, *wire);
  const auto json = bebr::WireToJson(type, *wire);
  FUZZ_REQUIRE(json.ok());
  const auto again = bebr::JsonToWire(type, *json);
  FUZZ_REQUIRE(again.ok() && (HasMinusZero(*json) || Normal(prototype, *again) == message));
  return 0;
}
