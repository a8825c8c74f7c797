// A file of embeddings of the format that BEBR_FUZZ_ENDING names. What opens has a shape within the limits and gives
// finite values, and the same ones whatever the number of rows that are read at a time.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string_view>
#include <vector>

#include "index/dataset/input_file.h"
#include "index/dataset/vector_file.h"
#include "tests/fuzz/fuzzer.h"

namespace bebr::fuzz {
namespace {

constexpr size_t kRows = 24;  // are read; a header may claim billions

// The first rows, `step` at a time; fewer where an error ends them.
std::vector<float> ReadRows(const std::string& path, size_t step) {
  const auto file = VectorFile::Open(path);
  if (!file.ok()) return {};
  const size_t rows = (*file)->rows(), dims = (*file)->dims();
  FUZZ_REQUIRE(rows >= 1 && rows <= kMaxFileRows && dims >= 1 && dims <= kMaxFileDims);
  std::vector<float> values;
  for (size_t row = 0; row < std::min(rows, kRows);) {
    const size_t want = std::min(step, kRows - row);
    const std::unique_ptr<float[]> some(new float[std::min(want, rows - row) * dims]);  // a byte more is seen
    const absl::StatusOr<size_t> got = (*file)->Read(want, some.get());
    if (!got.ok()) break;
    FUZZ_REQUIRE(*got == std::min(want, rows - row));
    for (size_t i = 0; i < *got * dims; ++i) FUZZ_REQUIRE(std::isfinite(some[i]));
    values.insert(values.end(), some.get(), some.get() + *got * dims);
    row += *got;
  }
  return values;
}

}  // namespace
}  // namespace bebr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bebr;
  static const fuzz::Scratch scratch;
  const std::string path = scratch.Write(std::string("input") + BEBR_FUZZ_ENDING, fuzz::ToView(data, size));
  const std::vector<float> single = fuzz::ReadRows(path, 1);
  const std::vector<float> several = fuzz::ReadRows(path, 7);
  // An error in one row costs the others of its read. HDF5's library reads some rows of a damaged file only together.
  constexpr bool kOwnReader = std::string_view(BEBR_FUZZ_ENDING) != ".hdf5";
  FUZZ_REQUIRE(!kOwnReader || several.size() <= single.size());
  const auto both = static_cast<ptrdiff_t>(std::min(several.size(), single.size()));
  FUZZ_REQUIRE(std::equal(several.begin(), several.begin() + both, single.begin()));
  return 0;
}
