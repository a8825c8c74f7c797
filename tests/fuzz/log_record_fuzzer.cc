// Records of a log, without their checksums. What is accepted gives itself back when it is written.
#include <string>

#include "index/base/checksum.h"
#include "index/replica/log_record.h"
#include "tests/fuzz/fuzzer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bebr;
  std::string bytes(fuzz::ToView(data, size));
  const uint32_t crc = Crc32c(bytes);
  const auto record = DecodeLogRecord(bytes.append(reinterpret_cast<const char*>(&crc), sizeof(crc)));
  if (!record.ok()) return 0;
  const auto written = EncodeLogRecord((*record)->revision, (*record)->mutations);
  FUZZ_REQUIRE(written.ok());
  // Attributes may have come in another order, or twice.
  const auto again = DecodeLogRecord(*written);
  FUZZ_REQUIRE(again.ok() && (*again)->mutations.size() == (*record)->mutations.size());
  FUZZ_REQUIRE(*EncodeLogRecord((*again)->revision, (*again)->mutations) == *written);
  return 0;
}
