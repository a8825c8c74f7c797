// Runs a fuzzer's entry point without libFuzzer: on the files named and those in the folders named, or on `--rounds N`
// inputs that follow from fixed seeds.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/fuzzer.h"

namespace {

namespace fs = std::filesystem;

bool RunFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "%s: cannot be read\n", path.c_str());
    return false;
  }
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  std::printf("%s, %zu bytes\n", path.c_str(), bytes.size());
  std::fflush(stdout);  // so that the last line names the input that ended the process
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  return true;
}

std::vector<fs::path> FilesOf(const char* argument) {
  if (!fs::is_directory(argument)) return {argument};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(argument)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void RunRounds(uint64_t rounds) {
  for (uint64_t round = 0; round < rounds; ++round) {
    std::mt19937_64 random(round);
    std::vector<uint8_t> bytes(random() % 400);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%llu inputs of fixed seeds, nothing found\n", static_cast<unsigned long long>(rounds));
}

}  // namespace

int main(int argc, char** argv) {
  size_t files = 0;
  uint64_t rounds = 0;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
      rounds = std::strtoull(argv[++i], nullptr, 10);
      continue;
    }
    for (const fs::path& path : FilesOf(argv[i])) {
      if (!RunFile(path)) return 1;
      ++files;
    }
  }
  RunRounds(rounds);
  std::printf("%zu files\n", files);
  if (files > 0 || rounds > 0) return 0;
  std::fprintf(stderr, "nothing to run\n");
  return 1;
}
