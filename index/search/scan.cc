#include "index/search/scan.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "index/search/block_run.h"
#include "index/search/picked_rows.h"
#include "index/search/scan_filters.h"
#include "index/search/scan_plan.h"
#include "index/search/shared_best.h"

namespace bebr {
namespace {

// Blocks times queries of a run, which one call of the kernel scans: many, as a call has its price. A worker's first
// runs are shorter, each twice the one before, until it is known what thresholds to look for.
constexpr uint32_t kBlocksPerRun = 8192;
constexpr uint32_t kMinRunBlocks = 16;
constexpr uint32_t kFirstRunBlocks = 2;
// Bounds pay as long as they rule out most blocks: after a run of blocks in which more than a quarter had to be scored
// again, a query's next runs are scored with all levels at once.
constexpr uint32_t kMostAgain = 4;
constexpr uint32_t kRunsWithoutBounds = 15;

// A query whose filter leaves rows in fewer of a unit's blocks than one in so many is scanned on these alone; the
// others share runs of the blocks that any of them has rows in.
constexpr uint32_t kAloneShare = 2;

constexpr uint32_t kCopiedBlocks = 32;  // at most, in a run of blocks that hold the few rows of a filter

using Stretch = ScanTarget::Part::Stretch;

}  // namespace

// One scan: what its threads share, and the work.
class ScanRun {
 public:
  ScanRun(const ScanTarget& target, const PreparedQueries& prepared, const FirstPass* first,
          absl::Span<const ScanQuery> queries)
      : target_(target),
        prepared_(prepared),
        first_(first),
        queries_(queries),
        filters_(target, queries),
        documents_(queries.size()) {
    for (size_t q = 0; q < queries.size(); ++q) best_.emplace_back(target, KeptOf(q), MinScore(q));
  }

  void Run(FairPool& pool) {
    filters_.Evaluate(queries_, pool);
    GroupSet any = 0, all = kAllGroups;
    for (const ScanQuery& query : queries_) {
      any |= query.groups;
      all &= query.groups;
    }
    pickings_ = filters_.Pickings();
    units_ = UnitsOf(target_, filters_, any, all);
    workers_.resize(pool.slots());
    pool.ParallelFor(pickings_.size() + units_.size(), [this](size_t i, size_t slot) {
      if (workers_[slot] == nullptr) workers_[slot] = MakeScratch(slot);
      Work(i, *workers_[slot]);
    });
    for (auto& worker : workers_) {
      if (worker == nullptr) continue;
      for (size_t q = 0; q < queries_.size(); ++q) documents_[q] += worker->documents[q];
      AddFinds(worker->found, best_);  // all that is left, as nobody else adds
      worker = nullptr;
    }
  }

  std::vector<Candidate> BestOf(size_t q, std::vector<Candidate>* chosen) {
    std::vector<Candidate> best = best_[q].Take();
    if (chosen != nullptr) *chosen = best;
    return choosing() ? ScoreChosen(q, std::move(best)) : best;
  }

  ScanCounts counts() const {
    ScanCounts counts{.documents_of_query = documents_, .bytes = bytes_.load()};
    for (const uint64_t documents : documents_) counts.documents += documents;
    return counts;
  }

 private:
  // What a thread has of a scan.
  struct Scratch {
    std::unique_ptr<float[]> scores;        // of a run's hits, by query; mostly never touched
    std::unique_ptr<uint32_t[]> positions;  // of these, in the run
    std::vector<simd::QueryHits> hits;      // of the queries that are scored
    std::vector<uint32_t> stopped;          // a flag for each query
    std::vector<uint64_t> documents;        // scored, by query
    std::vector<uint32_t> together;         // queries that share the unit's runs
    std::vector<uint32_t> alone;            // those of one filter
    std::vector<uint32_t> bounded;          // of a run's queries, those scored by bounds first
    std::vector<uint32_t> unbounded;        // the others
    std::vector<const void*> prepared;      // of the queries that are scored
    std::vector<uint32_t> runs_without_bounds;
    std::vector<Find> found;  // that are not among the best yet
    size_t first_query = 0;   // whose finds it adds first: every thread begins with another one
    uint32_t run_blocks = 0;  // of the next run, at most
    uint64_t bytes = 0;       // read of the unit
    PickedRows picked;        // the few rows of a filter
  };

  // A query's scores of one block with all levels.
  struct BlockScores {
    uint32_t part = ~0u;
    uint32_t block = 0;
    alignas(64) float scores[simd::kBlockRows];
  };

  // Whether the pass over the blocks finds candidates for another one.
  bool choosing() const { return first_ != nullptr && first_->candidates > 0; }

  // How many a query's pass over the blocks keeps: its best k, or the candidates of which another pass takes them.
  size_t KeptOf(size_t q) const { return choosing() ? first_->candidates : queries_[q].k; }

  std::unique_ptr<Scratch> MakeScratch(size_t slot) const {
    auto made = std::make_unique<Scratch>();
    Scratch& scratch = *made;
    scratch.first_query = slot * queries_.size() / workers_.size();
    scratch.run_blocks = kFirstRunBlocks;
    const size_t lanes = MostRunBlocks() * queries_.size() * simd::kBlockRows;
    scratch.scores = std::make_unique_for_overwrite<float[]>(lanes);
    scratch.positions = std::make_unique_for_overwrite<uint32_t[]>(lanes);
    scratch.runs_without_bounds.resize(queries_.size());
    scratch.stopped.resize(queries_.size());
    scratch.documents.resize(queries_.size());
    return made;
  }

  void Work(size_t i, Scratch& scratch) {  // picking or unit number `i`
    const SteadyTime now = SteadyNow();
    for (uint32_t q = 0; q < queries_.size(); ++q)
      scratch.stopped[q] = queries_[q].stopped != nullptr && queries_[q].stopped(now);
    scratch.bytes = 0;
    const size_t picked = pickings_.size();
    if (i < picked) Pick(pickings_[i], scratch);
    if (i >= picked) ScanUnitOfBlocks(units_[i - picked], scratch);
    bytes_.fetch_add(scratch.bytes, std::memory_order_relaxed);
  }

  // Of candidates chosen by their first levels, the best k by all levels.
  std::vector<Candidate> ScoreChosen(size_t q, std::vector<Candidate> chosen) {
    const auto place = [this](const Candidate& candidate) {
      return target_.parts()[candidate.segment].space->column->place(candidate.row);
    };
    std::sort(chosen.begin(), chosen.end(), [&](const Candidate& a, const Candidate& b) {
      return a.segment != b.segment ? a.segment < b.segment : place(a) < place(b);
    });
    SharedBest best(target_, queries_[q].k, queries_[q].min_score);
    BlockScores block;
    for (Candidate& candidate : chosen) {
      candidate.score = ScoreRow(q, candidate.segment, candidate.row, block);
      if (candidate.score >= best.threshold()) best.TryAdd({{static_cast<uint32_t>(q), candidate}});
    }
    return best.Take();
  }

  uint32_t MostRunBlocks() const {
    return std::clamp(kBlocksPerRun / static_cast<uint32_t>(queries_.size()), kMinRunBlocks, kUnitBlocks);
  }

  // Candidates are chosen by another score than the final one, so that may drop none of them.
  float MinScore(size_t q) const {
    return choosing() ? -std::numeric_limits<float>::infinity() : queries_[q].min_score;
  }

  // Appends those of some queries that go on and want documents of these groups.
  void AddWanting(GroupSet groups, const std::vector<uint32_t>& from, const Scratch& scratch,
                  std::vector<uint32_t>& queries) const {
    for (const uint32_t q : from) {
      if (scratch.stopped[q] == 0 && (queries_[q].groups & groups) != 0) queries.push_back(q);
    }
  }

  void ScanUnitOfBlocks(const ScanUnit& unit, Scratch& scratch) {
    scratch.together.clear();
    BlockSet shared;
    uint64_t all = 0;  // documents of the whole unit; 0: not counted yet
    for (const uint32_t group : filters_.many(unit.part)) {
      scratch.alone.clear();
      AddWanting(unit.groups, filters_.groups()[group].queries, scratch, scratch.alone);
      if (scratch.alone.empty()) continue;
      const BlockSet blocks = filters_.Blocks(group, unit);
      const uint32_t count = blocks.count();
      if (count == 0) continue;
      const uint64_t documents = count == unit.size() && all > 0 ? all : LiveRows(unit, blocks);
      if (count == unit.size()) all = documents;
      for (const uint32_t q : scratch.alone) scratch.documents[q] += documents;
      if (count * kAloneShare < unit.size()) {
        ScanBlocks(unit, blocks, scratch.alone, scratch);
      } else {
        scratch.together.insert(scratch.together.end(), scratch.alone.begin(), scratch.alone.end());
        shared.AddAll(blocks);
      }
    }
    std::sort(scratch.together.begin(), scratch.together.end());  // as they lie in memory
    ScanBlocks(unit, shared, scratch.together, scratch);
  }

  // Scores the blocks that hold the few rows of a filter.
  void Pick(const ScanFilters::Picking& picking, Scratch& scratch) {
    scratch.alone.clear();
    AddWanting(kAllGroups, filters_.groups()[picking.group].queries, scratch, scratch.alone);
    if (scratch.alone.empty()) return;
    GroupSet wanted = 0;
    for (const uint32_t q : scratch.alone) wanted |= queries_[q].groups;
    for (const uint32_t part : picking.parts) {
      scratch.picked.Take(target_, part, *filters_.Few(picking.group, part), wanted);
      while (scratch.picked.Next(std::min(kCopiedBlocks, MostRunBlocks()))) {
        scratch.together.clear();
        AddWanting(OneGroup(scratch.picked.run().group), scratch.alone, scratch, scratch.together);
        const uint64_t documents = scratch.picked.documents();
        for (const uint32_t q : scratch.together) scratch.documents[q] += documents;
        ScorePicked(choosing() ? first_->prepared : prepared_, scratch);
      }
    }
  }

  // All rows of the picked blocks are scored for the queries together, as that costs no more than one of each.
  void ScorePicked(const PreparedQueries& prepared, Scratch& scratch) {
    const BlockRun& run = scratch.picked.run();
    const ScanTarget::Part& part = target_.parts()[run.part];
    const size_t lanes = size_t{run.count} * simd::kBlockRows;
    scratch.prepared.clear();
    for (const uint32_t q : scratch.together) scratch.prepared.push_back(prepared.of(run.group, q));
    prepared.kernels().score(prepared.shape(), run.blocks, run.count, scratch.prepared.data(), scratch.prepared.size(),
                             scratch.scores.get(), lanes);
    const float* scores = scratch.scores.get();
    for (const uint32_t q : scratch.together) {
      const float threshold = best_[q].threshold();
      scratch.picked.ForEach([&](uint32_t lane, uint32_t row) {
        if (scores[lane] >= threshold && part.live(row)) scratch.found.push_back({q, {scores[lane], run.part, row}});
      });
      scores += lanes;
    }
    AddFinds(scratch.found, best_);
    scratch.bytes += run.count * prepared.block_bytes();
  }

  uint64_t LiveRows(const ScanUnit& unit, const BlockSet& blocks) const {
    uint64_t rows = 0;
    for (uint32_t begin = 0, end = 0; (begin = blocks.Next(end, true)) < unit.size();) {
      end = blocks.Next(begin, false);
      rows += target_.parts()[unit.part].LiveRows(unit.begin + begin, std::min(unit.begin + end, unit.end));
    }
    return rows;
  }

  // Scans some blocks of a unit for some queries.
  void ScanBlocks(const ScanUnit& unit, const BlockSet& blocks, const std::vector<uint32_t>& queries,
                  Scratch& scratch) {
    if (queries.empty()) return;
    const Stretch* stretch = &target_.parts()[unit.part].StretchAt(unit.begin);
    for (uint32_t begin = 0, end = 0; (begin = blocks.Next(end, true)) < unit.size();) {
      end = std::min(blocks.Next(begin, false), begin + scratch.run_blocks);
      while (unit.begin + begin >= stretch->end) ++stretch;
      end = std::min(end, stretch->end - unit.begin);
      ScanRunOfBlocks(RunInPlace(target_, unit.part, *stretch, unit.begin + begin, unit.begin + end), queries, scratch);
      scratch.run_blocks = std::min(2 * scratch.run_blocks, MostRunBlocks());
    }
  }

  void ScanRunOfBlocks(const BlockRun& run, const std::vector<uint32_t>& queries, Scratch& scratch) {
    const auto keep = [&scratch](uint32_t q, float, const Candidate& found) { scratch.found.push_back({q, found}); };
    if (first_ == nullptr) return ScoreBlocks(prepared_, run, queries, scratch, keep);
    if (choosing()) return ScoreBlocks(first_->prepared, run, queries, scratch, keep);
    scratch.bounded.clear();
    scratch.unbounded.clear();
    for (const uint32_t q : queries) {
      uint32_t& wait = scratch.runs_without_bounds[q];
      const bool bounded = wait == 0 && best_[q].threshold() > -std::numeric_limits<float>::infinity();
      if (wait > 0) --wait;
      (bounded ? scratch.bounded : scratch.unbounded).push_back(q);
    }
    ScoreBlocks(prepared_, run, scratch.unbounded, scratch, keep);
    BlockScores block;
    uint32_t block_query = ~0u;
    uint32_t again = 0;  // blocks of this query that were scored with all levels
    ScoreBlocks(first_->prepared, run, scratch.bounded, scratch, [&](uint32_t q, float threshold, Candidate candidate) {
      if (q != block_query) {
        block.part = ~0u;
        block_query = q;
        again = 0;
      }
      const uint32_t before = block.part == run.part ? block.block : ~0u;
      candidate.score = ScoreRow(q, candidate.segment, candidate.row, block);
      if (block.block != before && ++again * kMostAgain > run.count)
        scratch.runs_without_bounds[q] = kRunsWithoutBounds;
      if (candidate.score >= threshold) scratch.found.push_back({q, candidate});
    });
  }

  // Scores a run of blocks for some of the queries and calls visit(query, threshold, candidate) for every live row that
  // passes the filter and has at least the query's threshold. What it puts into scratch.found is added to the best.
  template <typename Visit>
  void ScoreBlocks(const PreparedQueries& prepared, const BlockRun& run, const std::vector<uint32_t>& queries,
                   Scratch& scratch, const Visit& visit) {
    if (queries.empty()) return;
    const ScanTarget::Part& part = target_.parts()[run.part];
    const size_t rows = size_t{run.count} * simd::kBlockRows;
    scratch.prepared.clear();
    scratch.hits.clear();
    for (const uint32_t q : queries) {
      const size_t at = scratch.hits.size() * rows;
      scratch.prepared.push_back(prepared.of(run.group, q));
      scratch.hits.push_back({best_[q].threshold(), scratch.positions.get() + at, scratch.scores.get() + at, 0});
    }
    prepared.kernels().scan(prepared.shape(), run.blocks, run.count, scratch.prepared.data(), scratch.prepared.size(),
                            scratch.hits.data());
    for (size_t n = 0; n < queries.size(); ++n) {
      const size_t i = (scratch.first_query + n) % queries.size();
      const simd::QueryHits& hits = scratch.hits[i];
      for (size_t j = 0; j < hits.count; ++j) {
        const uint32_t row = run.RowAt(part, hits.positions[j]);
        if (part.live(row) && filters_.Leaves(queries[i], run.part, row))
          visit(queries[i], hits.threshold, Candidate{hits.scores[j], run.part, row});
      }
      if (hits.count > 0) AddFinds(scratch.found, best_);
    }
    AddFinds(scratch.found, best_);
    scratch.bytes += run.count * prepared.block_bytes();
  }

  // The score of one row with all levels; scores its whole block, which costs about the same, unless `block` has it.
  float ScoreRow(size_t q, uint32_t part, uint32_t row, BlockScores& block) {
    const SegmentView::SpaceView& space = *target_.parts()[part].space;
    const uint32_t place = space.column->place(row), number = place / simd::kBlockRows;
    if (block.part != part || block.block != number) {
      block.part = part;
      block.block = number;
      const void* prepared = prepared_.of(space.column->group_of(number), q);
      prepared_.kernels().score(prepared_.shape(), space.block(number), 1, &prepared, 1, block.scores,
                                simd::kBlockRows);
      bytes_.fetch_add(prepared_.block_bytes(), std::memory_order_relaxed);
    }
    return block.scores[place % simd::kBlockRows];
  }

  const ScanTarget& target_;
  const PreparedQueries& prepared_;
  const FirstPass* const first_;
  const absl::Span<const ScanQuery> queries_;
  std::deque<SharedBest> best_;  // by query
  ScanFilters filters_;
  std::vector<ScanFilters::Picking> pickings_;
  std::vector<ScanUnit> units_;
  std::vector<std::unique_ptr<Scratch>> workers_;  // by slot of the pool; null: a thread that was never at it
  std::vector<uint64_t> documents_;                // scored, by query
  std::atomic<uint64_t> bytes_{0};
};

CodeScan::CodeScan(const ScanTarget& target, const PreparedQueries& prepared, const FirstPass* first,
                   absl::Span<const ScanQuery> queries)
    : run_(std::make_unique<ScanRun>(target, prepared, first, queries)) {}
CodeScan::~CodeScan() = default;
void CodeScan::Run(FairPool& pool) { run_->Run(pool); }
std::vector<Candidate> CodeScan::Best(size_t q, std::vector<Candidate>* first) { return run_->BestOf(q, first); }
ScanCounts CodeScan::counts() const { return run_->counts(); }

}  // namespace bebr
