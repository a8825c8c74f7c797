#include "bench/kernels/limits.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <thread>
#include <vector>

#include "bench/support/machine.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bebr::bench {
namespace {

constexpr size_t kLoopBytes = 8192;  // of documents, in the first-level cache
constexpr int kQueries = 8;

// What the loops compute is stored here, so that they cannot be left out.
std::atomic<uint64_t> sink;

#if defined(__x86_64__)
bool HasAvx2() { return __builtin_cpu_supports("avx2"); }
bool HasVnni() { return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni"); }
bool HasVpopcnt() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vpopcntdq"); }

// kAhead: bytes ahead that are asked for, 0 for none.
template <size_t kAhead>
__attribute__((target("avx2"))) uint64_t ReadAvx2(const uint8_t* data, size_t bytes) {
  __m256i sum[4] = {};
  for (size_t i = 0; i + 128 <= bytes; i += 128) {
    if (kAhead > 0) {
      __builtin_prefetch(data + i + kAhead);
      __builtin_prefetch(data + i + kAhead + 64);
    }
    for (int j = 0; j < 4; ++j) {
      sum[j] = _mm256_xor_si256(sum[j], _mm256_load_si256(reinterpret_cast<const __m256i*>(data + i + 32 * j)));
    }
  }
  const __m256i all = _mm256_xor_si256(_mm256_xor_si256(sum[0], sum[1]), _mm256_xor_si256(sum[2], sum[3]));
  return static_cast<uint64_t>(_mm256_extract_epi64(all, 0) ^ _mm256_extract_epi64(all, 3));
}

template <size_t kAhead>
__attribute__((target("avx512f"))) uint64_t ReadAvx512(const uint8_t* data, size_t bytes) {
  __m512i sum[4] = {};
  for (size_t i = 0; i + 256 <= bytes; i += 256) {
    for (int j = 0; j < 4; ++j) {
      if (kAhead > 0) __builtin_prefetch(data + i + 64 * j + kAhead);
      sum[j] = _mm512_xor_si512(sum[j], _mm512_load_si512(data + i + 64 * j));
    }
  }
  const __m512i all = _mm512_xor_si512(_mm512_xor_si512(sum[0], sum[1]), _mm512_xor_si512(sum[2], sum[3]));
  return static_cast<uint64_t>(_mm512_reduce_add_epi64(all));
}

// Nibbles of 32 bytes of code are 64 bytes, so each pair of look-ups stands for 32 bytes. Every nibble of a query has a
// table of its own, which is loaded once for two vectors of documents; that and the sums of four queries is what 16
// registers hold.
__attribute__((target("avx2"))) uint64_t LookupAvx2(const uint8_t* nibbles, size_t passes) {
  constexpr int kTables = kQueries / 2;
  __m256i sum[2][kTables];
#pragma GCC unroll 8
  for (int q = 0; q < kTables; ++q) sum[0][q] = sum[1][q] = _mm256_setzero_si256();
  for (size_t pass = 0; pass < passes; ++pass) {
    for (size_t i = 0; i < kLoopBytes; i += 64) {
      const __m256i index[2] = {_mm256_load_si256(reinterpret_cast<const __m256i*>(nibbles + i)),
                                _mm256_load_si256(reinterpret_cast<const __m256i*>(nibbles + i + 32))};
#pragma GCC unroll 8
      for (int q = 0; q < kTables; ++q) {
        const auto* table = reinterpret_cast<const __m128i*>(nibbles + kLoopBytes + (i / 4) * kTables + 16 * q);
        const __m256i entries = _mm256_broadcastsi128_si256(_mm_load_si128(table));
        sum[0][q] = _mm256_add_epi8(sum[0][q], _mm256_shuffle_epi8(entries, index[0]));
        sum[1][q] = _mm256_add_epi8(sum[1][q], _mm256_shuffle_epi8(entries, index[1]));
      }
    }
  }
  uint64_t all = 0;
#pragma GCC unroll 8
  for (int q = 0; q < kTables; ++q) {
    all ^= static_cast<uint64_t>(_mm256_extract_epi64(_mm256_xor_si256(sum[0][q], sum[1][q]), 0));
  }
  return all;
}

__attribute__((target("avx512f,avx512vpopcntdq"))) uint64_t PopcountAvx512(const uint8_t* data, size_t passes) {
  __m512i sum[kQueries], query[kQueries];
#pragma GCC unroll 8
  for (int q = 0; q < kQueries; ++q) {
    sum[q] = _mm512_setzero_si512();
    query[q] = _mm512_set1_epi32(data[q]);
  }
  for (size_t pass = 0; pass < passes; ++pass) {
    for (size_t i = 0; i < kLoopBytes; i += 64) {
      const __m512i row = _mm512_loadu_si512(data + i);
#pragma GCC unroll 8
      for (int q = 0; q < kQueries; ++q) {
        sum[q] = _mm512_add_epi32(sum[q], _mm512_popcnt_epi32(_mm512_xor_si512(row, query[q])));
      }
    }
  }
  uint64_t all = 0;
#pragma GCC unroll 8
  for (int q = 0; q < kQueries; ++q) all ^= static_cast<uint64_t>(_mm_cvtsi128_si32(_mm512_castsi512_si128(sum[q])));
  return all;
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) uint64_t DotAvx512(const uint8_t* data, size_t passes) {
  __m512i sum[2][kQueries];
#pragma GCC unroll 8
  for (int q = 0; q < kQueries; ++q) sum[0][q] = sum[1][q] = _mm512_setzero_si512();
  for (size_t pass = 0; pass < passes; ++pass) {
    for (size_t i = 0; i < kLoopBytes; i += 128) {
      const __m512i row[2] = {_mm512_load_si512(data + i), _mm512_load_si512(data + i + 64)};
#pragma GCC unroll 8
      for (int q = 0; q < kQueries; ++q) {
        int32_t four;
        std::memcpy(&four, data + kLoopBytes + i / 4 * kQueries / 8 + 4 * q, sizeof(four));
        const __m512i query = _mm512_set1_epi32(four);
        // Not by the intrinsic: GCC 12 copies every sum before and after, which takes longer than the products.
        asm("vpdpbusd %2, %1, %0" : "+v"(sum[0][q]) : "v"(row[0]), "v"(query));
        asm("vpdpbusd %2, %1, %0" : "+v"(sum[1][q]) : "v"(row[1]), "v"(query));
      }
    }
  }
  uint64_t all = 0;
#pragma GCC unroll 8
  for (int q = 0; q < kQueries; ++q)
    all ^= static_cast<uint64_t>(_mm512_reduce_add_epi32(_mm512_xor_si512(sum[0][q], sum[1][q])));
  return all;
}

// Likewise with vpmaddubsw and additions of 16 bits, widened once a loop.
__attribute__((target("avx512f,avx512bw"))) uint64_t PairsAvx512(const uint8_t* data, size_t passes) {
  constexpr int kPairQueries = 4;
  __m512i sum[2][kPairQueries];
#pragma GCC unroll 8
  for (int q = 0; q < kPairQueries; ++q) sum[0][q] = sum[1][q] = _mm512_setzero_si512();
  for (size_t pass = 0; pass < passes; ++pass) {
    for (size_t i = 0; i < kLoopBytes; i += 128) {
      const __m512i row[2] = {_mm512_load_si512(data + i), _mm512_load_si512(data + i + 64)};
#pragma GCC unroll 8
      for (int q = 0; q < kPairQueries; ++q) {
        int32_t four;
        std::memcpy(&four, data + kLoopBytes + i / 8 + 4 * q, sizeof(four));
        const __m512i query = _mm512_set1_epi32(four);
        asm("vpaddw %1, %0, %0" : "+v"(sum[0][q]) : "v"(_mm512_maddubs_epi16(row[0], query)));
        asm("vpaddw %1, %0, %0" : "+v"(sum[1][q]) : "v"(_mm512_maddubs_epi16(row[1], query)));
      }
    }
  }
  uint64_t all = 0;
#pragma GCC unroll 8
  for (int q = 0; q < kPairQueries; ++q)
    all ^= static_cast<uint64_t>(_mm512_reduce_add_epi32(_mm512_xor_si512(sum[0][q], sum[1][q])));
  return all;
}
#endif

uint64_t ReadPlain(const uint8_t* data, size_t bytes) {
  uint64_t sum[8] = {};
  const auto* words = reinterpret_cast<const uint64_t*>(data);
  for (size_t i = 0; i + 8 <= bytes / 8; i += 8) {
    for (int j = 0; j < 8; ++j) sum[j] ^= words[i + j];
  }
  return sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7];
}

uint64_t PopcountPlain(const uint8_t* data, size_t passes) {
  uint64_t sum[kQueries] = {};
  const auto* words = reinterpret_cast<const uint64_t*>(data);
  for (size_t pass = 0; pass < passes; ++pass) {
    for (size_t i = 0; i < kLoopBytes / 8; ++i) {
      for (int q = 0; q < kQueries; ++q) sum[q] += static_cast<uint64_t>(std::popcount(words[i] ^ (pass + q)));
    }
  }
  return sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7];
}

}  // namespace

double TimeThreads(int threads, const std::function<void(int)>& work) {
  if (threads == 1) {
    const double start = NowSeconds();
    work(0);
    return NowSeconds() - start;
  }
  std::atomic<int> ready = 0;
  std::atomic<bool> go = false;
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t) {
    pool.emplace_back([&, t] {
      ready.fetch_add(1);
      while (!go.load(std::memory_order_acquire)) std::this_thread::yield();
      work(t);
    });
  }
  while (ready.load() < threads) std::this_thread::yield();
  const double start = NowSeconds();
  go.store(true, std::memory_order_release);
  for (std::thread& thread : pool) thread.join();
  return NowSeconds() - start;
}

double ReadGbPerS(const uint8_t* data, size_t bytes, int threads) {
  const size_t share = bytes / static_cast<size_t>(threads) / 4096 * 4096;
  const auto pass = [&](uint64_t (*read)(const uint8_t*, size_t)) {
    return TimeThreads(threads, [&](int t) { sink ^= read(data + static_cast<size_t>(t) * share, share); });
  };
#if defined(__x86_64__)
  // The hardware's own prefetching is not always the best there is.
  double seconds;
  if (HasVpopcnt()) {
    seconds = std::min({pass(ReadAvx512<0>), pass(ReadAvx512<4096>), pass(ReadAvx512<8192>)});
  } else if (HasAvx2()) {
    seconds = std::min({pass(ReadAvx2<0>), pass(ReadAvx2<4096>), pass(ReadAvx2<8192>)});
  } else {
    seconds = pass(ReadPlain);
  }
#else
  const double seconds = pass(ReadPlain);
#endif
  return static_cast<double>(share) * threads / seconds / 1e9;
}

double PopcountGbPerS(int threads) {
  constexpr size_t kPasses = 2000;
  size_t counted = kLoopBytes * kQueries;  // code bytes times queries of a pass
#if defined(__x86_64__)
  if (!HasVpopcnt() && HasAvx2()) counted = kLoopBytes / 2 * (kQueries / 2);
#endif
  alignas(64) static uint8_t data[2 * kLoopBytes];  // documents, then the tables of the look-ups
  for (size_t i = 0; i < sizeof(data); ++i) data[i] = static_cast<uint8_t>(i * 7 % 16);
  const double seconds = TimeThreads(threads, [&](int) {
#if defined(__x86_64__)
    if (HasVpopcnt()) {
      sink ^= PopcountAvx512(data, kPasses);
      return;
    }
    if (HasAvx2()) {
      sink ^= LookupAvx2(data, kPasses);
      return;
    }
#endif
    sink ^= PopcountPlain(data, kPasses);
  });
  return static_cast<double>(counted) * kPasses * threads / seconds / 1e9;
}

std::string PopcountMethod() {
#if defined(__x86_64__)
  if (HasVpopcnt()) return "vpxord + vpopcntd + vpaddd";
  if (HasAvx2()) return "2 x (vpshufb + vpaddb) on nibbles, a table for each nibble and query";
#endif
  return "64-bit xor + popcount + add";
}

double ByteProductsPerNs(int threads) {
#if defined(__x86_64__)
  if (HasVnni()) {
    constexpr size_t kPasses = 2000;
    alignas(64) static uint8_t data[2 * kLoopBytes];  // documents, then queries
    for (size_t i = 0; i < sizeof(data); ++i) data[i] = static_cast<uint8_t>(i * 7 % 16);
    const double seconds = TimeThreads(threads, [&](int) { sink ^= DotAvx512(data, kPasses); });
    return static_cast<double>(kLoopBytes * kQueries * kPasses) * threads / seconds / 1e9;
  }
#endif
  return 0;
}

double PairProductsPerNs(int threads) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw")) {
    constexpr size_t kPasses = 2000, kPairQueries = 4;
    alignas(64) static uint8_t data[2 * kLoopBytes];  // documents, then queries
    for (size_t i = 0; i < sizeof(data); ++i) data[i] = static_cast<uint8_t>(i * 7 % 16);
    const double seconds = TimeThreads(threads, [&](int) { sink ^= PairsAvx512(data, kPasses); });
    return static_cast<double>(kLoopBytes * kPairQueries * kPasses) * threads / seconds / 1e9;
  }
#endif
  return 0;
}

}  // namespace bebr::bench
