// Runs a fuzzer's entry point without libFuzzer: on the files named, or on `--rounds N` inputs that follow from fixed
// seeds.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "tests/unit/simd/test_tables.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  uint64_t rounds = 300;
  bool files = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
      rounds = std::strtoull(argv[++i], nullptr, 10);
      continue;
    }
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "%s: cannot be read\n", argv[i]);
      return 1;
    }
    const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    files = true;
  }
  if (files) return 0;
  std::printf("chosen by default: %s\n", bebr::simd::Kernels().name);
  const std::vector<bebr::simd::NamedTable> tables = bebr::simd::TablesUnderTest();
  std::printf("compared with scalar:");
  for (const bebr::simd::NamedTable& table : tables) std::printf(" %s", table.name.c_str());
  std::printf("\n");
  for (uint64_t round = 0; round < rounds; ++round) {
    std::mt19937_64 random(round);
    std::vector<uint8_t> bytes(random() % 400);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%llu inputs, no difference\n", static_cast<unsigned long long>(rounds));
}
