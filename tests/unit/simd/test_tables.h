// The tables under test, and inputs for them.
#ifndef BEBR_TESTS_UNIT_SIMD_TEST_TABLES_H_
#define BEBR_TESTS_UNIT_SIMD_TEST_TABLES_H_

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "index/simd/kernels.h"

namespace bebr::simd {

#ifdef BEBR_SIMD_TEST_EMULATED
extern const KernelTable kEmulatedAvx512Table;
extern const KernelTable kEmulatedAvx512BwTable;
#endif

struct NamedTable {
  std::string name;
  const KernelTable* table;
};

// Every table but scalar that can run here: the native ones the processor supports, and the emulated copies.
inline std::vector<NamedTable> TablesUnderTest() {
  std::vector<NamedTable> tables;
  bool emulation_runs = false;
  for (const KernelTable* table : AllKernels()) {
    const std::string name = table->name;
    if (name == "scalar") continue;
    if (table->supported()) {
      tables.push_back({name, table});
      if (name == "avx2") emulation_runs = true;
    } else {
      std::printf("[ NOTE     ] table %s: NOT SUPPORTED by this processor, its native code is not run here\n",
                  name.c_str());
    }
  }
#ifdef BEBR_SIMD_TEST_EMULATED
  if (emulation_runs) {
    tables.push_back({"avx512_emulated", &kEmulatedAvx512Table});
    tables.push_back({"avx512bw_emulated", &kEmulatedAvx512BwTable});
  }
#endif
  if (!emulation_runs) std::printf("[ NOTE     ] the AVX-512 tables are not emulated in this run\n");
  return tables;
}

// `bytes` of memory that end at an unreadable page (up to `alignment`), with another one before them.
class GuardedMemory {
 public:
  explicit GuardedMemory(size_t bytes, size_t alignment = 64) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t inner = (bytes + page - 1) / page * page + page;
    mapped_bytes_ = inner + 2 * page;
    void* mapped = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
      std::perror("mmap of test memory");
      std::abort();
    }
    mapped_ = static_cast<uint8_t*>(mapped);
    if (mprotect(mapped_, page, PROT_NONE) != 0 || mprotect(mapped_ + page + inner, page, PROT_NONE) != 0) {
      std::perror("mprotect of test memory");
      std::abort();
    }
    data_ = mapped_ + page + (inner - bytes) / alignment * alignment;
  }
  ~GuardedMemory() { munmap(mapped_, mapped_bytes_); }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }

 private:
  uint8_t* mapped_ = nullptr;
  size_t mapped_bytes_ = 0;
  uint8_t* data_ = nullptr;
};

inline CodeShape MakeShape(const std::vector<BandShape>& bands, uint32_t query_levels) {
  CodeShape shape;
  for (const BandShape& band : bands) {
    shape.bands[shape.band_count++] = band;
    shape.code_words += band.levels * ((band.dims + 31) / 32);
  }
  shape.query_levels = query_levels;
  return shape;
}

enum class Bits { kRandom, kZeros, kOnes };

// A packed code with `levels` levels in every band, or the bands' own for 0.
inline std::vector<uint32_t> MakeCode(const CodeShape& shape, uint32_t levels, Bits bits, std::mt19937_64& random) {
  std::vector<uint32_t> code;
  for (uint32_t b = 0; b < shape.band_count; ++b) {
    const uint32_t dims = shape.bands[b].dims;
    for (uint32_t t = 0; t < (levels == 0 ? shape.bands[b].levels : levels); ++t) {
      for (uint32_t first = 0; first < dims; first += 32) {
        const uint32_t mask = dims - first >= 32 ? ~0u : (1u << (dims - first)) - 1;
        const uint32_t word = bits == Bits::kRandom ? static_cast<uint32_t>(random()) : bits == Bits::kOnes ? ~0u : 0u;
        code.push_back(word & mask);
      }
    }
  }
  return code;
}

// Lowers values of a packed query of 7 levels until the magnitudes of each four sum to at most kMostOfFour. One of each
// four keeps its value.
inline void KeepMostOfFour(const CodeShape& shape, std::vector<uint32_t>& planes) {
  constexpr int kFull = 127, kRest = 41;
  if (shape.query_levels < 7) return;
  uint32_t* band_planes = planes.data();
  for (uint32_t b = 0; b < shape.band_count; ++b) {
    const uint32_t dims = shape.bands[b].dims, words = (dims + 31) / 32;
    const auto bit = [&](uint32_t i, uint32_t level) -> std::pair<uint32_t&, uint32_t> {
      return {band_planes[level * words + i / 32], i % 32};
    };
    const auto value = [&](uint32_t i) {
      int number = 0;
      for (uint32_t level = 0; level < shape.query_levels; ++level) {
        const auto [word, at] = bit(i, level);
        number = 2 * number + static_cast<int>(word >> at & 1);
      }
      return 2 * number - kFull;
    };
    for (uint32_t first = 0; first < dims; first += 4) {
      const uint32_t end = std::min(first + 4, dims);
      uint32_t sum = 0;
      for (uint32_t i = first; i < end; ++i) sum += static_cast<uint32_t>(std::abs(value(i)));
      for (uint32_t i = first; sum > kMostOfFour && i < end; ++i) {
        const int lowered = i % 4 == first / 4 % 4 ? value(i) : std::clamp(value(i), -kRest, kRest);
        const auto number = static_cast<uint32_t>(lowered + kFull) / 2;
        for (uint32_t level = 0; level < shape.query_levels; ++level) {
          const auto [word, at] = bit(i, level);
          word = (word & ~(1u << at)) | (number >> (shape.query_levels - 1 - level) & 1) << at;
        }
      }
    }
    band_planes += size_t{words} * shape.query_levels;
  }
}

// Blocks of documents and packed queries of one shape, with everything a table needs to score them.
struct Input {
  CodeShape shape;
  size_t block_count = 0;
  std::vector<std::vector<uint32_t>> documents, queries;
  std::vector<float> scales, offsets;       // by document
  std::vector<std::vector<float>> weights;  // by query, then band
  std::vector<float> query_offsets;

  void FillBlocks(void* blocks) const {
    for (size_t i = 0; i < documents.size(); ++i) {
      StoreLane(shape, i % kBlockRows, documents[i].data(), scales[i], offsets[i],
                static_cast<uint8_t*>(blocks) + i / kBlockRows * BlockBytes(shape.code_words));
    }
  }
};

// Positive scales and weights, which is what codes have: a scan rules out more documents without scoring them then.
inline void MakePositive(Input& input) {
  for (float& scale : input.scales) scale = std::fabs(scale);
  for (std::vector<float>& weights : input.weights) {
    for (float& weight : weights) weight = std::fabs(weight);
  }
}

// Factors and weights are of either sign for every other seed or so, whatever the shape that goes with it.
inline Input MakeInput(const CodeShape& shape, size_t block_count, size_t query_count, uint64_t seed,
                       Bits document_bits = Bits::kRandom, Bits query_bits = Bits::kRandom) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<float> uniform(-2.0f, 2.0f);
  Input input;
  input.shape = shape;
  input.block_count = block_count;
  for (size_t i = 0; i < block_count * kBlockRows; ++i) {
    input.documents.push_back(MakeCode(shape, 0, document_bits, random));
    input.scales.push_back(uniform(random));
    input.offsets.push_back(uniform(random));
  }
  for (size_t q = 0; q < query_count; ++q) {
    input.queries.push_back(MakeCode(shape, shape.query_levels, query_bits, random));
    KeepMostOfFour(shape, input.queries.back());
    input.weights.emplace_back();
    for (uint32_t b = 0; b < shape.band_count; ++b) input.weights.back().push_back(uniform(random));
    input.query_offsets.push_back(uniform(random));
  }
  if (random() % 2 == 0) MakePositive(input);
  return input;
}

// An input as a table takes it, in memory that ends at guard pages. Its queries lie in one piece, at equal distances,
// or each for itself, which some tables treat in another way.
struct PreparedInput {
  PreparedInput(const KernelTable& table, const Input& input, bool in_one_piece)
      : blocks(input.block_count * BlockBytes(input.shape.code_words)) {
    input.FillBlocks(blocks.as<void>());
    const size_t prepared_bytes = (table.prepared_bytes(input.shape) + 63) / 64 * 64;
    const size_t count = input.queries.size();
    if (in_one_piece) queries.push_back(std::make_unique<GuardedMemory>(prepared_bytes * count));
    for (size_t q = 0; q < count; ++q) {
      // Every other one is a page longer than it need be, so that distances differ.
      if (!in_one_piece) queries.push_back(std::make_unique<GuardedMemory>(prepared_bytes + q % 2 * 4096));
      void* place = queries.back()->as<uint8_t>() + (in_one_piece ? q * prepared_bytes : q % 2 * 4096);
      table.prepare(input.shape, input.queries[q].data(), input.weights[q].data(), input.query_offsets[q], place);
      pointers.push_back(place);
    }
  }

  GuardedMemory blocks;
  std::vector<std::unique_ptr<GuardedMemory>> queries;
  std::vector<const void*> pointers;
};

// All scores of an input, [query][document]. Rows of the result are a few floats further apart than they need
// be; what lies between must not be written.
inline std::vector<float> ScoreWith(const KernelTable& table, const Input& input, bool in_one_piece = true) {
  constexpr size_t kGap = 3;
  constexpr float kUntouched = -123456.0f;
  const size_t documents = input.block_count * kBlockRows;
  const size_t stride = documents + kGap;
  const size_t query_count = input.queries.size();
  PreparedInput prepared(table, input, in_one_piece);
  // The last row ends where its documents end.
  const size_t floats = query_count == 0 ? 0 : (query_count - 1) * stride + documents;
  GuardedMemory scores(floats * sizeof(float), sizeof(float));
  float* out = scores.as<float>();
  for (size_t i = 0; i < floats; ++i) out[i] = kUntouched;
  table.score(input.shape, prepared.blocks.as<void>(), input.block_count, prepared.pointers.data(), query_count, out,
              stride);
  std::vector<float> result;
  for (size_t q = 0; q < query_count; ++q) {
    result.insert(result.end(), out + q * stride, out + q * stride + documents);
    for (size_t i = documents; i < stride && q * stride + i < floats; ++i) {
      if (out[q * stride + i] != kUntouched) {
        std::fprintf(stderr, "table %s wrote beyond the scores of query %zu\n", table.name, q);
        std::abort();
      }
    }
  }
  return result;
}

// Thresholds for an input whose scores are `scores`, [query][document], so that all, some, one or none of a query's
// documents reach its own, often one exactly.
inline std::vector<float> ThresholdsFor(const Input& input, const std::vector<float>& scores) {
  const size_t documents = input.block_count * kBlockRows;
  std::vector<float> thresholds;
  for (size_t q = 0; q < input.queries.size(); ++q) {
    std::vector<float> sorted(scores.begin() + static_cast<ptrdiff_t>(q * documents),
                              scores.begin() + static_cast<ptrdiff_t>((q + 1) * documents));
    std::sort(sorted.begin(), sorted.end());
    const float none = sorted.empty() ? 0.0f : std::nextafter(sorted.back(), std::numeric_limits<float>::infinity());
    const float some = sorted.empty() ? 0.0f : sorted[q * 7 % sorted.size()];
    const float one = sorted.empty() ? 0.0f : sorted.back();
    const float choices[] = {one,
                             some,
                             none,
                             -std::numeric_limits<float>::infinity(),
                             one,
                             some,
                             std::numeric_limits<float>::infinity(),
                             some,
                             one,
                             std::numeric_limits<float>::quiet_NaN()};
    thresholds.push_back(choices[q % std::size(choices)]);
  }
  return thresholds;
}

struct Hit {
  uint32_t position;
  uint32_t score_bits;
  bool operator==(const Hit&) const = default;
};

// By query. Positions and scores lie in memory that ends at guard pages.
inline std::vector<std::vector<Hit>> ScanWith(const KernelTable& table, const Input& input,
                                              const std::vector<float>& thresholds) {
  const size_t documents = input.block_count * kBlockRows;
  PreparedInput prepared(table, input, /*in_one_piece=*/true);
  std::vector<std::unique_ptr<GuardedMemory>> memory;
  std::vector<QueryHits> hits;
  for (const float threshold : thresholds) {
    memory.push_back(std::make_unique<GuardedMemory>(documents * sizeof(uint32_t), sizeof(uint32_t)));
    auto* positions = memory.back()->as<uint32_t>();
    memory.push_back(std::make_unique<GuardedMemory>(documents * sizeof(float), sizeof(float)));
    hits.push_back({threshold, positions, memory.back()->as<float>(), 12345});
  }
  table.scan(input.shape, prepared.blocks.as<void>(), input.block_count, prepared.pointers.data(), hits.size(),
             hits.data());
  std::vector<std::vector<Hit>> found(hits.size());
  for (size_t q = 0; q < hits.size(); ++q) {
    for (size_t i = 0; i < hits[q].count; ++i) {
      Hit hit = {hits[q].positions[i], 0};
      std::memcpy(&hit.score_bits, &hits[q].scores[i], sizeof(float));
      found[q].push_back(hit);
    }
  }
  return found;
}

// Index of the first float whose bits differ, or -1.
inline int64_t FirstDifference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return static_cast<int64_t>(i);
  }
  return -1;
}

}  // namespace bebr::simd

#endif  // BEBR_TESTS_UNIT_SIMD_TEST_TABLES_H_
