#if defined(BEBR_SIMD_X86)
#include <cpuid.h>
#endif

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "index/simd/kernels.h"
#include "index/simd/tables.h"

namespace bebr::simd {
namespace {

// Best first.
constexpr const KernelTable* kTables[] = {
#if defined(BEBR_SIMD_X86)
    &kAmxTable,    &kAvx512Table, &kAvx512BwTable, &kAvx2Table,
#elif defined(BEBR_SIMD_ARM)
    &kNeonTable,
#endif
    &kScalarTable,
};

std::string Names(bool only_supported) {
  std::string names;
  for (const KernelTable* table : kTables) {
    if (only_supported && !table->supported()) continue;
    if (!names.empty()) names += ", ";
    names += table->name;
  }
  return names;
}

const KernelTable* Choose() {
  const char* wanted = std::getenv("BEBR_SIMD");
  if (wanted == nullptr || *wanted == '\0') {
    for (const KernelTable* table : kTables) {
      if (table->supported()) return table;
    }
  }
  const KernelTable* table = FindKernels(wanted);
  if (table != nullptr && table->supported()) return table;
  std::fprintf(stderr, "BEBR_SIMD=%s: %s. Tables in this program: %s; supported by this processor: %s. %s\n", wanted,
               table == nullptr ? "no such kernel table" : "this processor does not have the instructions",
               Names(false).c_str(), Names(true).c_str(), "Unset BEBR_SIMD to use the best one.");
  std::exit(1);
}

}  // namespace

bool ScalarSupported() { return true; }

#if defined(BEBR_SIMD_X86)
bool Avx2Supported() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool Avx512BwSupported() {
  return Avx2Supported() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

bool Avx512Supported() {
  return Avx512BwSupported() && __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512vnni") &&
         __builtin_cpu_supports("avx512vbmi");
}

bool AmxSupported() {
  // Asked for every search; in a virtual machine the instruction itself takes microseconds.
  static const bool supported = [] {
    if (!Avx512Supported()) return false;
    // GCC 12 has no name for it: leaf 7, bits 24 (tiles) and 25 (of bytes) of edx.
    unsigned eax, ebx, ecx, edx;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
    return (edx >> 24 & 3) == 3 && RequestAmx();
  }();
  return supported;
}
#elif defined(BEBR_SIMD_ARM)
bool NeonSupported() { return true; }  // part of every 64-bit Arm processor
#endif

std::span<const KernelTable* const> AllKernels() { return kTables; }

const KernelTable* FindKernels(std::string_view name) {
  for (const KernelTable* table : kTables) {
    if (name == table->name) return table;
  }
  return nullptr;
}

const KernelTable& Kernels() {
  static const KernelTable* const table = Choose();
  return *table;
}

void StoreLane(const CodeShape& shape, uint32_t lane, const uint32_t* code, float scale, float offset, void* block) {
  auto* words = static_cast<uint32_t*>(block) + lane;
  for (uint32_t w = 0; w < shape.code_words; ++w) words[size_t{w} * kBlockRows] = code[w];
  std::memcpy(words + size_t{shape.code_words} * kBlockRows, &scale, sizeof(scale));
  std::memcpy(words + (size_t{shape.code_words} + 1) * kBlockRows, &offset, sizeof(offset));
}

void LoadLane(const CodeShape& shape, uint32_t lane, const void* block, uint32_t* code, float* scale, float* offset) {
  const auto* words = static_cast<const uint32_t*>(block) + lane;
  for (uint32_t w = 0; w < shape.code_words; ++w) code[w] = words[size_t{w} * kBlockRows];
  std::memcpy(scale, words + size_t{shape.code_words} * kBlockRows, sizeof(*scale));
  std::memcpy(offset, words + (size_t{shape.code_words} + 1) * kBlockRows, sizeof(*offset));
}

}  // namespace bebr::simd
