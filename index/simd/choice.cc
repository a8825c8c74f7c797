#include "index/simd/choice.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <vector>

namespace bebr::simd {
namespace {

constexpr double kMuchQuicker = 0.9;
constexpr size_t kMostChoices = 1024;
constexpr int kRuns = 7;
constexpr std::chrono::microseconds kMostTime(2000);  // of one table, begun runs apart
constexpr size_t kWords = 16384;                      // of the codes, about: they fit the second-level cache
constexpr size_t kMostBlocks = 64;
constexpr size_t kLeastBlocks = 8;
constexpr size_t kAlignment = 64;

// Bands, their number, levels of the query, queries.
constexpr size_t kBandNumbers = 4;
using Key = std::array<uint32_t, kBandNumbers * kMaxBands + 3>;

struct AlignedDelete {
  void operator()(std::byte* bytes) const { ::operator delete[](bytes, std::align_val_t(kAlignment)); }
};
using Bytes = std::unique_ptr<std::byte[], AlignedDelete>;

Bytes Allocate(size_t bytes) {
  return Bytes(static_cast<std::byte*>(::operator new[](std::max<size_t>(bytes, 1), std::align_val_t(kAlignment))));
}

// Stands for all batches of about its size.
size_t Representative(size_t query_count) {
  constexpr size_t kFew = 4, kMany = 32;
  if (query_count <= 1) return 1;
  return query_count < 2 * kFew ? kFew : kMany;
}

Key KeyOf(const CodeShape& shape, size_t query_count) {
  Key key = {};
  uint32_t* next = key.data();
  for (uint32_t b = 0; b < shape.band_count; ++b) {
    *next++ = shape.bands[b].dims;
    *next++ = shape.bands[b].levels;
    *next++ = shape.bands[b].left_out;
    *next++ = shape.bands[b].trellis ? 1 : 0;
  }
  next = key.data() + kBandNumbers * kMaxBands;
  *next++ = shape.band_count;
  *next++ = shape.query_levels;
  *next++ = static_cast<uint32_t>(query_count);
  return key;
}

// Made-up codes and queries of a shape.
class Trial {
 public:
  Trial(const CodeShape& shape, size_t query_count)
      : shape_(shape),
        query_count_(query_count),
        block_count_(std::clamp(kWords / (kBlockRows * (shape.code_words + 2)), kLeastBlocks, kMostBlocks)),
        blocks_(Allocate(block_count_ * BlockBytes(shape.code_words))),
        positions_(block_count_ * kBlockRows),
        scores_(positions_.size()) {
    std::mt19937 random(1);  // NOLINT(bugprone-random-generator-seed): the same trial in every process
    const auto fill = [&](std::vector<uint32_t>& words) {
      for (uint32_t& word : words) word = static_cast<uint32_t>(random());
    };
    std::vector<uint32_t> code(shape.code_words);
    for (uint32_t row = 0; row < block_count_ * kBlockRows; ++row) {
      fill(code);
      StoreLane(shape, row % kBlockRows, code.data(), 1.0f, 0.0f,
                blocks_.get() + row / kBlockRows * BlockBytes(shape.code_words));
    }
    size_t plane_words = 0;
    for (uint32_t b = 0; b < shape.band_count; ++b) plane_words += (shape.bands[b].dims + 31) / 32;
    planes_.resize(plane_words * shape.query_levels);
    fill(planes_);
  }

  double NsPerScore(const KernelTable& table) {
    using Clock = std::chrono::steady_clock;
    const size_t bytes = (table.prepared_bytes(shape_) + kAlignment - 1) / kAlignment * kAlignment;
    const Bytes prepared = Allocate(query_count_ * bytes);
    std::vector<const void*> queries;
    const std::vector<float> weights(shape_.band_count, 1.0f);
    for (size_t q = 0; q < query_count_; ++q) {
      queries.push_back(prepared.get() + q * bytes);
      table.prepare(shape_, planes_.data(), weights.data(), 0.0f, prepared.get() + q * bytes);
    }
    // Nothing is found, as of most documents in a search.
    const std::vector<QueryHits> hits(query_count_, {1e30f, positions_.data(), scores_.data(), 0});
    auto best = Clock::duration::max();
    const auto begin = Clock::now();
    for (int run = 0; run < kRuns && Clock::now() - begin < kMostTime; ++run) {
      std::vector<QueryHits> found = hits;
      const auto start = Clock::now();
      table.scan(shape_, blocks_.get(), block_count_, queries.data(), query_count_, found.data());
      best = std::min(best, Clock::now() - start);
    }
    return std::chrono::duration<double, std::nano>(best).count() /
           static_cast<double>(positions_.size() * query_count_);
  }

 private:
  const CodeShape& shape_;
  const size_t query_count_, block_count_;
  const Bytes blocks_;
  std::vector<uint32_t> planes_, positions_;
  std::vector<float> scores_;
};

std::atomic<void (*)(const TableChoice&)> told{nullptr};

const KernelTable& Measure(const CodeShape& shape, size_t query_count) {
  Trial trial(shape, query_count);
  std::vector<MeasuredTable> measured;
  for (const KernelTable* table : AllKernels()) {
    if (table != AllKernels().back() && table->supported()) measured.push_back({table, trial.NsPerScore(*table)});
  }
  if (measured.empty()) return Kernels();
  const KernelTable& chosen = Quickest(measured);
  if (auto* listener = told.load()) listener({shape, query_count, measured, chosen});
  return chosen;
}

}  // namespace

const KernelTable& KernelsFor(const CodeShape& shape, size_t query_count) {
  static const char* const wanted = std::getenv("BEBR_SIMD");
  if (wanted != nullptr && *wanted != '\0') return Kernels();
  static std::mutex mutex;  // the standard library's, as is all that this folder uses
  static std::map<Key, const KernelTable*> choices;
  query_count = Representative(query_count);
  const std::lock_guard<std::mutex> lock(mutex);
  const Key key = KeyOf(shape, query_count);
  if (const auto made = choices.find(key); made != choices.end()) return *made->second;
  if (choices.size() >= kMostChoices) return Kernels();
  return *choices.emplace(key, &Measure(shape, query_count)).first->second;
}

const KernelTable& Quickest(std::span<const MeasuredTable> measured) {
  const MeasuredTable* best = &measured[0];
  for (const MeasuredTable& other : measured) {
    if (other.ns_per_score < kMuchQuicker * best->ns_per_score) best = &other;
  }
  return *best->table;
}

void TellChoicesTo(void (*listener)(const TableChoice& choice)) { told.store(listener); }

}  // namespace bebr::simd
