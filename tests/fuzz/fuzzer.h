// What the fuzzers share. A fuzzer defines LLVMFuzzerTestOneInput and ends the process where something is wrong: by
// FUZZ_REQUIRE, by an exception that left a function of ours, or by a sanitizer.
#ifndef BEBR_TESTS_FUZZ_FUZZER_H_
#define BEBR_TESTS_FUZZ_FUZZER_H_

#include <stdlib.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

#define FUZZ_REQUIRE(condition)                                                    \
  do {                                                                             \
    if (!(condition)) {                                                            \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                \
    }                                                                              \
  } while (false)

namespace bebr::fuzz {

// A directory for files that the code under test is to read, in memory where the system has such a place; removed at
// the end of the process.
class Scratch {
 public:
  Scratch() {
    const char* parent = std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp";
    path_ = std::string(parent) + "/bebr-fuzz-XXXXXX";
    FUZZ_REQUIRE(mkdtemp(path_.data()) != nullptr);
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::string& path() const { return path_; }
  // Writes a file and returns its path.
  std::string Write(std::string_view name, std::string_view contents) const {
    std::string file = path_ + "/" + std::string(name);
    std::FILE* out = std::fopen(file.c_str(), "wb");
    FUZZ_REQUIRE(out != nullptr);
    FUZZ_REQUIRE(std::fwrite(contents.data(), 1, contents.size(), out) == contents.size());
    FUZZ_REQUIRE(std::fclose(out) == 0);
    return file;
  }

 private:
  std::string path_;
};

// The parts of an input that is several texts, divided by a line "%%"; missing ones are empty.
inline std::vector<std::string_view> Divide(std::string_view input, size_t parts) {
  constexpr std::string_view kLine = "\n%%\n";
  std::vector<std::string_view> divided;
  while (divided.size() + 1 < parts) {
    const size_t at = input.find(kLine);
    divided.push_back(input.substr(0, at));
    input = at == std::string_view::npos ? std::string_view() : input.substr(at + kLine.size());
  }
  divided.push_back(input);
  return divided;
}

inline std::string_view ToView(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

}  // namespace bebr::fuzz

#endif  // BEBR_TESTS_FUZZ_FUZZER_H_
