#include "index/search/scan.h"

#include <algorithm>
#include <atomic>

namespace bebr {
namespace {

constexpr uint32_t kUnitBlocks = 128;  // blocks a thread takes at a time
constexpr size_t kScoresPerRun =
    2048 * 16;  // floats of scores between scoring and collecting: 128 KiB, which stay in the L2 cache
constexpr uint32_t kMinRunBlocks = 16;

struct Unit {
  uint32_t part;
  uint32_t begin;  // blocks
  uint32_t end;
};

struct IsBetter {
  const ScanTarget* target;
  bool operator()(const Candidate& a, const Candidate& b) const { return target->Better(a, b); }
};
using Best = TopK<IsBetter>;

void AtomicMax(std::atomic<float>& target, float value) {
  float seen = target.load(std::memory_order_relaxed);
  while (seen < value && !target.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

// One scan: what its workers share, and the work.
class ScanRun {
 public:
  ScanRun(const ScanTarget& target, const PreparedQueries& prepared, absl::Span<const ScanQuery> queries,
          const Filter* filter)
      : target_(target),
        prepared_(prepared),
        queries_(queries),
        thresholds_(queries.size()),
        filter_(filter),
        row_sets_(target.parts().size()) {
    for (size_t q = 0; q < queries.size(); ++q) thresholds_[q].store(queries[q].min_score, std::memory_order_relaxed);
    for (uint32_t part = 0; part < target.parts().size(); ++part) {
      const uint32_t blocks = target.parts()[part].block_count();
      for (uint32_t begin = 0; begin < blocks; begin += kUnitBlocks)
        units_.push_back({part, begin, std::min(begin + kUnitBlocks, blocks)});
    }
  }

  void EvaluateFilter(uint32_t part) {
    const ScanTarget::Part& p = target_.parts()[part];
    row_sets_[part] = filter_->Evaluate(*p.view->attributes, *target_.snapshot(p.shard).dictionary, p.view->rows);
  }

  // Takes units until there are none; returns the best of what it saw.
  std::vector<Best> Work() {
    std::vector<Best> best;
    best.reserve(queries_.size());
    for (const ScanQuery& query : queries_) best.emplace_back(query.k, query.min_score, IsBetter{&target_});
    Scratch scratch;
    scratch.scores = AlignedBuffer<float>(std::max(kScoresPerRun, queries_.size() * kMinRunBlocks * simd::kBlockRows));
    scratch.positions.resize(kUnitBlocks * simd::kBlockRows);
    for (size_t u; (u = next_unit_.fetch_add(1, std::memory_order_relaxed)) < units_.size();)
      ScanUnit(units_[u], best, scratch);
    return best;
  }

  ScanCounts counts() const { return {documents_.load(), bytes_.load()}; }

 private:
  struct Scratch {
    AlignedBuffer<float> scores;
    std::vector<uint32_t> positions;
    std::vector<uint32_t> active;       // queries not stopped
    std::vector<const void*> prepared;  // of the active
  };

  void ScanUnit(const Unit& unit, std::vector<Best>& best, Scratch& scratch) {
    scratch.active.clear();
    scratch.prepared.clear();
    for (uint32_t q = 0; q < queries_.size(); ++q) {
      if (queries_[q].stopped && queries_[q].stopped()) continue;
      scratch.active.push_back(q);
      scratch.prepared.push_back(prepared_[q]);
    }
    if (scratch.active.empty()) return;
    const uint32_t run_blocks =
        std::clamp<uint32_t>(kScoresPerRun / (scratch.active.size() * simd::kBlockRows), kMinRunBlocks, kUnitBlocks);
    const uint32_t full = target_.parts()[unit.part].full_blocks();
    for (uint32_t begin = unit.begin; begin < unit.end;) {
      if (!Selected(unit.part, begin)) {
        ++begin;
        continue;
      }
      uint32_t end = begin + 1;
      // The open block lies elsewhere, so it is a run of its own.
      while (end < unit.end && end - begin < run_blocks && end < full && Selected(unit.part, end)) ++end;
      ScanBlocks(unit.part, begin, end, best, scratch);
      begin = end;
    }
    for (const uint32_t q : scratch.active) AtomicMax(thresholds_[q], best[q].threshold());
  }

  // Whether the filter leaves any row of the block.
  bool Selected(uint32_t part, uint32_t block) const {
    if (filter_ == nullptr) return true;
    const uint32_t row = block * simd::kBlockRows;
    return ((row_sets_[part][row / 64] >> (row % 64)) & 0xFFFF) != 0;
  }

  void ScanBlocks(uint32_t part_index, uint32_t begin, uint32_t end, std::vector<Best>& best, Scratch& scratch) {
    const ScanTarget::Part& part = target_.parts()[part_index];
    const size_t rows = size_t{end - begin} * simd::kBlockRows;
    const simd::KernelTable& kernels = simd::Kernels();
    kernels.score(prepared_.shape(), part.block(begin), end - begin, scratch.prepared.data(), scratch.prepared.size(),
                  scratch.scores.data(), rows);
    for (size_t a = 0; a < scratch.active.size(); ++a) {
      const uint32_t q = scratch.active[a];
      Best& heap = best[q];
      heap.Raise(thresholds_[q].load(std::memory_order_relaxed));
      const float* scores = scratch.scores.data() + a * rows;
      const size_t found = kernels.collect(scores, rows, heap.threshold(), scratch.positions.data());
      for (size_t i = 0; i < found; ++i) {
        const uint32_t row = begin * simd::kBlockRows + scratch.positions[i];
        const float score = scores[scratch.positions[i]];
        if (score < heap.threshold() || !part.live(row)) continue;
        if (filter_ != nullptr && ((row_sets_[part_index][row / 64] >> (row % 64)) & 1) == 0) continue;
        heap.Add({score, part_index, row});
      }
    }
    documents_.fetch_add(rows * scratch.active.size(), std::memory_order_relaxed);
    bytes_.fetch_add(size_t{end - begin} * part.space->column->block_bytes(), std::memory_order_relaxed);
  }

  const ScanTarget& target_;
  const PreparedQueries& prepared_;
  const absl::Span<const ScanQuery> queries_;
  std::vector<std::atomic<float>> thresholds_;  // a score below is not among a query's best k, whoever finds it
  const Filter* const filter_;
  std::vector<RowSet> row_sets_;  // by part, if there is a filter
  std::vector<Unit> units_;
  std::atomic<size_t> next_unit_{0};
  std::atomic<uint64_t> documents_{0};
  std::atomic<uint64_t> bytes_{0};
};

}  // namespace

ScanTarget::ScanTarget(std::vector<std::shared_ptr<const ShardSnapshot>> snapshots, uint32_t space)
    : snapshots_(std::move(snapshots)) {
  for (uint32_t shard = 0; shard < snapshots_.size(); ++shard) {
    for (const SegmentView& view : snapshots_[shard]->segments) {
      const SegmentView::SpaceView* space_view = view.FindSpace(space);
      if (space_view == nullptr || view.rows == view.deleted_rows) continue;
      parts_.push_back({&view, space_view, shard});
      live_rows_ += view.rows - view.deleted_rows;
    }
  }
}

PreparedQueries::PreparedQueries(const CodeSpec& spec, uint32_t query_levels, size_t count, const uint32_t* planes,
                                 const float* weights, const float* offsets)
    : shape_(MakeShape(spec, query_levels)) {
  const simd::KernelTable& kernels = simd::Kernels();
  const size_t bytes = (kernels.prepared_bytes(shape_) + 63) / 64 * 64;
  const size_t words = spec.QueryWords(query_levels);
  buffer_ = AlignedBuffer<std::byte>(bytes * count);
  for (size_t q = 0; q < count; ++q) {
    std::byte* prepared = buffer_.data() + q * bytes;
    kernels.prepare(shape_, planes + q * words, weights + q * spec.bands().size(), offsets[q], prepared);
    pointers_.push_back(prepared);
  }
}

std::vector<std::vector<Candidate>> Scan(const ScanTarget& target, const PreparedQueries& prepared,
                                         absl::Span<const ScanQuery> queries, const Filter* filter, ThreadPool& pool,
                                         size_t threads, ScanCounts* counts) {
  ScanRun run(target, prepared, queries, filter);
  if (filter != nullptr) {
    pool.ParallelFor(target.parts().size(), [&](size_t part) { run.EvaluateFilter(static_cast<uint32_t>(part)); });
  }
  std::vector<std::vector<Best>> by_worker(std::max<size_t>(1, threads));
  pool.ParallelFor(by_worker.size(), [&](size_t worker) { by_worker[worker] = run.Work(); });
  std::vector<std::vector<Candidate>> results;
  results.reserve(queries.size());
  for (size_t q = 0; q < queries.size(); ++q) {
    Best merged(queries[q].k, queries[q].min_score, IsBetter{&target});
    for (std::vector<Best>& worker : by_worker) {
      for (const Candidate& candidate : worker[q].Take()) merged.Add(candidate);
    }
    results.push_back(merged.Take());
  }
  if (counts != nullptr) *counts = run.counts();
  return results;
}

}  // namespace bebr
