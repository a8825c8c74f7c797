// Records of a log, without their checksums. What is accepted gives itself back when it is written.
#include <string>
#include <utility>
#include <vector>

#include "index/base/checksum.h"
#include "index/replica/log_change.h"
#include "index/replica/log_record.h"
#include "tests/fuzz/fuzzer.h"

namespace {

// Changes, which hold records.
void TryChanges(const std::string& bytes) {
  using namespace bebr;
  const auto changes = DecodeLogChanges(bytes);
  if (!changes.ok()) return;
  const auto join = [](const std::vector<LogChange>& read) {
    std::vector<std::string> encoded;
    for (const LogChange& change : read) encoded.push_back(*EncodeLogChange(change));
    return JoinLogChanges(encoded);
  };
  const std::string written = join(*changes);
  const auto again = DecodeLogChanges(written);
  FUZZ_REQUIRE(again.ok() && again->size() == changes->size());
  FUZZ_REQUIRE(join(*again) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bebr;
  std::string bytes(fuzz::ToView(data, size));
  const uint32_t crc = Crc32c(bytes);
  bytes.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
  TryChanges(bytes);
  const auto record = DecodeLogRecord(std::move(bytes));
  if (!record.ok()) return 0;
  const auto written = EncodeLogRecord((*record)->revision, (*record)->mutations);
  FUZZ_REQUIRE(written.ok());
  // Attributes may have come in another order, or twice.
  const auto again = DecodeLogRecord(*written);
  FUZZ_REQUIRE(again.ok() && (*again)->mutations.size() == (*record)->mutations.size());
  FUZZ_REQUIRE(*EncodeLogRecord((*again)->revision, (*again)->mutations) == *written);
  return 0;
}
