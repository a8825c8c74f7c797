// A model file, as a client uploads it or a data directory holds it: what is accepted gives itself back when it is
// written, and encodes to codes with clean padding and finite factors. Files with a wrong checksum are tried with the
// right one too, or nothing would come past it.
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/binarizer/binarizer.h"
#include "index/binarizer/model.h"
#include "index/binarizer/safetensors.h"
#include "tests/fuzz/fuzzer.h"

namespace bebr::fuzz {
namespace {

void CheckPlane(const uint32_t* words, uint32_t dims) {
  if (dims % 32 != 0) FUZZ_REQUIRE(words[dims / 32] >> (dims % 32) == 0);
}

void CheckEncoding(const Binarizer& binarizer, const std::vector<float>& embedding) {
  const CodeSpec& spec = binarizer.spec();
  const size_t groups = spec.groups();
  std::vector<uint32_t> code(spec.code_words()), planes(groups * spec.QueryWords(binarizer.query_levels()));
  std::vector<float> weights(groups * spec.bands().size()), offsets(groups);
  CodeFactors factors;
  binarizer.EncodeDocuments(embedding.data(), 1, code.data(), &factors);
  binarizer.EncodeQueries(embedding.data(), 1, planes.data(), weights.data(), offsets.data());
  FUZZ_REQUIRE(std::isfinite(factors.scale) && std::isfinite(factors.offset) && factors.group < groups);
  for (const float offset : offsets) FUZZ_REQUIRE(std::isfinite(offset));
  for (const float weight : weights) FUZZ_REQUIRE(std::isfinite(weight));
  const uint32_t* code_words = code.data();
  const uint32_t* query_words = planes.data();
  for (const Band& band : spec.bands()) {
    for (uint32_t t = 0; t < band.levels; ++t, code_words += CodeSpec::PlaneWords(band.dims))
      CheckPlane(code_words, band.dims);
  }
  for (size_t group = 0; group < groups; ++group) {
    for (const Band& band : spec.bands()) {
      for (uint32_t t = 0; t < binarizer.query_levels(); ++t, query_words += CodeSpec::PlaneWords(band.dims))
        CheckPlane(query_words, band.dims);
    }
  }
}

void Run(std::string_view file) {
  uint32_t checksum = 0, again = 0;
  const absl::StatusOr<Model> model = ParseModel(file, &checksum);
  const auto binarizer = Binarizer::Parse(file);
  FUZZ_REQUIRE(model.ok() == binarizer.ok());
  if (!model.ok()) return;
  const absl::StatusOr<std::string> written = SerializeModel(*model);
  FUZZ_REQUIRE(written.ok());
  const absl::StatusOr<Model> reread = ParseModel(*written, &again);
  FUZZ_REQUIRE(reread.ok());
  FUZZ_REQUIRE(SerializeModel(*reread).value() == *written);
  std::vector<float> embedding(model->input_dims);
  for (const float size : {0.0f, 1.0f, 1e-30f, 1e15f}) {
    for (size_t i = 0; i < embedding.size(); ++i) embedding[i] = size * (static_cast<float>(i % 7) - 3.0f);
    CheckEncoding(**binarizer, embedding);
  }
}

}  // namespace
}  // namespace bebr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bebr;
  fuzz::Run(fuzz::ToView(data, size));
  absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Parse(fuzz::ToView(data, size));
  if (!file.ok()) return 0;
  file->metadata()["checksum"] = absl::StrFormat("%08x", file->Checksum("checksum"));
  fuzz::Run(file->Serialize());
  return 0;
}
