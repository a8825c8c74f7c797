// A keys file.
#include <cmath>

#include "server/access/auth.h"
#include "tests/fuzz/fuzzer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bebr;
  const auto keys = ParseKeys(fuzz::ToView(data, size));
  if (!keys.ok()) {
    FUZZ_REQUIRE(keys.status().code() == absl::StatusCode::kInvalidArgument);
    return 0;
  }
  for (const ApiKey& key : *keys) {
    FUZZ_REQUIRE(!key.name.empty());
    FUZZ_REQUIRE(key.role == Role::kRead || key.role == Role::kWrite || key.role == Role::kAdmin);
    FUZZ_REQUIRE(std::isfinite(key.requests_per_s) && key.requests_per_s >= 0);
    FUZZ_REQUIRE(std::isfinite(key.bytes_per_s) && key.bytes_per_s >= 0);
  }
  return 0;
}
