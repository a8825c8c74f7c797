// Runs every kernel table that this processor supports on one input and aborts if two of them differ in a bit. The
// first bytes of the input choose shapes and counts, often at their edges; the rest become codes. Memory ends at guard
// pages.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "tests/unit/simd/test_tables.h"

namespace bebr::simd {
namespace {

// Bytes of the fuzzer's input, then numbers that follow from it.
class Source {
 public:
  Source(const uint8_t* data, size_t size) : data_(data), size_(size) {
    for (size_t i = 0; i < size; ++i) state_ = (state_ ^ data[i]) * 0x100000001b3u;
  }
  uint32_t Byte() {
    if (at_ < size_) return data_[at_++];
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<uint32_t>(state_ >> 24) & 255;
  }
  uint32_t UpTo(uint32_t most) { return (Byte() | Byte() << 8) % (most + 1); }
  uint32_t Word() { return Byte() | Byte() << 8 | Byte() << 16 | Byte() << 24; }
  float Float() { return static_cast<float>(static_cast<int32_t>(Word())) / 1073741824.0f; }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
  uint64_t state_ = 0xcbf29ce484222325u;
};

uint32_t Dims(Source& source, uint32_t most) {
  constexpr uint32_t kEdges[] = {1,   7,   8,   9,   31,  32,  33,  63,  64,  65,   127,
                                 128, 129, 255, 256, 257, 511, 512, 513, 784, 1024, 2048};
  const uint32_t dims = source.Byte() % 4 == 0 ? 1 + source.UpTo(most - 1) : kEdges[source.Byte() % std::size(kEdges)];
  return dims < most ? dims : most;
}

std::vector<uint32_t> Code(Source& source, const CodeShape& shape, uint32_t levels) {
  const uint32_t kind = source.Byte() % 8;  // 0: zeros, 1: ones
  std::vector<uint32_t> code;
  for (uint32_t b = 0; b < shape.band_count; ++b) {
    const uint32_t dims = shape.bands[b].dims;
    for (uint32_t t = 0; t < (levels == 0 ? shape.bands[b].levels : levels); ++t) {
      for (uint32_t first = 0; first < dims; first += 32) {
        const uint32_t mask = dims - first >= 32 ? ~0u : (1u << (dims - first)) - 1;
        code.push_back((kind == 0 ? 0u : kind == 1 ? ~0u : source.Word()) & mask);
      }
    }
  }
  return code;
}

Input ReadInput(Source& source) {
  std::vector<BandShape> bands(source.Byte() % 3 == 0 ? 1 + source.Byte() % kMaxBands : 1);
  for (BandShape& band : bands)
    band = {Dims(source, 8192 / kMaxBands * (bands.size() == 1 ? 8 : 1)), 1 + source.Byte() % kMaxLevels};
  const uint8_t kind = source.Byte();
  for (BandShape& band : bands) band.trellis = kind / 3 % 3 == 0 && band.levels < kMaxLevels;
  if (kind % 3 == 0) {
    for (BandShape& band : bands) band.left_out = source.Byte() % band.scored_levels();
  }
  Input input;
  input.shape = MakeShape(bands, 1 + source.Byte() % kMaxQueryLevels);
  input.shape.bound = source.Byte() % 2 == 0;
  input.block_count = source.Byte() % 20;
  size_t queries = source.Byte() % 40;
  // A bound on the work of one input.
  while (input.shape.code_words * (1 + queries) * (1 + input.block_count) > 30000) {
    queries /= 2;
    input.block_count = (input.block_count + 1) / 2;
    if (queries <= 1 && input.block_count <= 1) break;
  }
  for (size_t i = 0; i < input.block_count * kBlockRows; ++i) {
    input.documents.push_back(Code(source, input.shape, 0));
    input.scales.push_back(source.Float());
    input.offsets.push_back(source.Float());
  }
  for (size_t q = 0; q < queries; ++q) {
    input.queries.push_back(Code(source, input.shape, input.shape.query_levels));
    KeepMostOfFour(input.shape, input.queries.back());
    input.weights.emplace_back();
    for (uint32_t b = 0; b < input.shape.band_count; ++b) input.weights.back().push_back(source.Float());
    input.query_offsets.push_back(source.Float());
  }
  if (source.Byte() % 2 == 0) MakePositive(input);
  return input;
}

[[noreturn]] void Fail(const NamedTable& table, const char* what, const Input* input, int64_t at) {
  std::fprintf(stderr, "table %s differs from scalar in %s, at %lld\n", table.name.c_str(), what,
               static_cast<long long>(at));
  if (input != nullptr) {
    for (uint32_t b = 0; b < input->shape.band_count; ++b) {
      const BandShape& band = input->shape.bands[b];
      std::fprintf(stderr, "  band %u: %u dims x %u levels%s, %u left out\n", b, band.dims, band.levels,
                   band.trellis ? "t" : "", band.left_out);
    }
    std::fprintf(stderr, "  query levels %u, %zu blocks, %zu queries\n", input->shape.query_levels, input->block_count,
                 input->queries.size());
  }
  std::abort();
}

void CheckScan(const NamedTable& table, const Input& input, const std::vector<float>& thresholds) {
  const auto expected = ScanWith(*FindKernels("scalar"), input, thresholds);
  const auto actual = ScanWith(*table.table, input, thresholds);
  for (size_t q = 0; q < expected.size(); ++q) {
    if (expected[q] != actual[q]) Fail(table, "scan", &input, static_cast<int64_t>(q));
  }
}

std::vector<float> Gemm(const KernelTable& table, const std::vector<float>& x, size_t rows,
                        const std::vector<float>& weights, size_t n, size_t k) {
  GuardedMemory packed(table.packed_floats(n, k) * sizeof(float));
  table.pack(weights.data(), n, k, packed.as<float>());
  GuardedMemory out(rows * n * sizeof(float), sizeof(float));
  table.gemm(x.data(), rows, k, packed.as<float>(), n, k, nullptr, out.as<float>(), n);
  return std::vector<float>(out.as<float>(), out.as<float>() + rows * n);
}

void CheckGemm(Source& source, const std::vector<NamedTable>& tables) {
  const size_t rows = 1 + source.UpTo(20), n = 1 + source.UpTo(80), k = 1 + source.UpTo(80);
  std::vector<float> x(rows * k), weights(n * k);
  for (float& value : x) value = source.Float();
  for (float& value : weights) value = source.Float();
  const std::vector<float> expected = Gemm(*FindKernels("scalar"), x, rows, weights, n, k);
  for (const NamedTable& table : tables) {
    const int64_t at = FirstDifference(expected, Gemm(*table.table, x, rows, weights, n, k));
    if (at >= 0) Fail(table, "gemm", nullptr, at);
  }
}

std::vector<NamedTable> AnnouncedTables() {
  std::vector<NamedTable> tables = TablesUnderTest();
  std::printf("chosen by default: %s\ncompared with scalar:", Kernels().name);
  for (const NamedTable& table : tables) std::printf(" %s", table.name.c_str());
  std::printf("\n");
  return tables;
}

}  // namespace
}  // namespace bebr::simd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bebr::simd;
  static const std::vector<NamedTable> tables = AnnouncedTables();
  Source source(data, size);
  const Input input = ReadInput(source);
  const std::vector<float> expected = ScoreWith(*FindKernels("scalar"), input);
  for (const NamedTable& table : tables) {
    const int64_t at = FirstDifference(expected, ScoreWith(*table.table, input));
    if (at >= 0) Fail(table, "score", &input, at);
    CheckScan(table, input, ThresholdsFor(input, expected));
  }
  if (source.Byte() % 4 == 0) CheckGemm(source, tables);
  return 0;
}
