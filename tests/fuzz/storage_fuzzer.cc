// Keys and values of a shard's database. The first byte says which; the rest is its bytes. What is accepted gives
// itself back when it is written.
#include <cstring>
#include <string>
#include <vector>

#include "index/storage/format.h"
#include "tests/fuzz/fuzzer.h"

namespace bebr::fuzz {
namespace {

void RunAttributes(std::string_view bytes) {
  const absl::StatusOr<Attributes> attributes = DecodeAttributes(bytes);
  if (!attributes.ok()) return;
  FUZZ_REQUIRE(EncodeAttributes(DecodeAttributes(EncodeAttributes(*attributes)).value()) ==
               EncodeAttributes(*attributes));
}

void RunCode(std::string_view bytes) {
  std::string buffer, encoded;
  const absl::StatusOr<StoredCode> code = DecodeCode(bytes, &buffer);
  if (!code.ok()) return;
  EncodeCode(*code, &encoded);
  FUZZ_REQUIRE(encoded == bytes);
}

void RunFloats(FloatStorage storage, std::string_view bytes) {
  if (bytes.empty()) return;
  std::vector<float> values(static_cast<uint8_t>(bytes[0]));
  const absl::Status status = ReadStoredFloats(storage, bytes.substr(1), absl::MakeSpan(values));
  const size_t width = storage == FloatStorage::kFloat16 ? 2 : 4;
  FUZZ_REQUIRE(status.ok() == (bytes.size() - 1 == values.size() * width));
}

void RunKey(std::string_view bytes) {
  const auto parts = SplitNumberedKey(bytes);
  FUZZ_REQUIRE(parts.has_value() == (bytes.size() >= 6));
  if (parts.has_value()) {
    FUZZ_REQUIRE(NumberedKey(parts->number, parts->document.shard, parts->document.id) == bytes);
  }
  const auto document = SplitDocumentKey(bytes);
  FUZZ_REQUIRE(document.has_value() == (bytes.size() >= 2));
  if (document.has_value()) FUZZ_REQUIRE(DocumentKey(document->shard, document->id) == bytes);
}

}  // namespace
}  // namespace bebr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bebr;
  if (size == 0) return 0;
  const std::string_view bytes = fuzz::ToView(data + 1, size - 1);
  switch (data[0] % 5) {
    case 0:
      fuzz::RunAttributes(bytes);
      break;
    case 1:
      fuzz::RunCode(bytes);
      break;
    case 2:
      fuzz::RunFloats(FloatStorage::kFloat16, bytes);
      break;
    case 3:
      fuzz::RunFloats(FloatStorage::kFloat32, bytes);
      break;
    default:
      fuzz::RunKey(bytes);
  }
  return 0;
}
