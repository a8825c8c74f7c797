#include "index/search/scan_target.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <utility>

#include "index/simd/choice.h"

namespace bebr {

ScanTarget::ScanTarget(std::shared_ptr<const CollectionView> collection_view, uint32_t space)
    : view_(std::move(collection_view)) {
  for (uint32_t s = 0; s < shard_count(); ++s) {
    for (const SegmentView& view : shard(s).segments) {
      const SegmentView::SpaceView* space_view = view.FindSpace(space);
      if (space_view == nullptr || view.rows == view.deleted_rows) continue;
      Part& part = parts_.emplace_back();
      part.view = &view;
      part.space = space_view;
      part.shard = s;
      part.AddStretches();
      live_rows_ += view.rows - view.deleted_rows;
    }
  }
}

void ScanTarget::Part::AddStretch(uint32_t block, uint32_t group, uint32_t places) {
  if (places == 0) return;
  const uint32_t begin = block_count(), count = (places + simd::kBlockRows - 1) / simd::kBlockRows;
  const std::byte* data = space->block(block);
  if (!stretches.empty()) {
    Stretch& last = stretches.back();
    const uint32_t blocks = last.end - last.begin;
    const bool goes_on = last.group == group && last.block + blocks == block &&
                         last.places == blocks * simd::kBlockRows && data == space->column->block(block);
    if (goes_on) {
      last.end += count;
      last.places += places;
      return;
    }
  }
  stretches.push_back({begin, begin + count, block, group, places, data});
}

// A block that is not full lies elsewhere, so it is a stretch of its own.
void ScanTarget::Part::AddStretches() {
  if (space->groups == nullptr) {
    const uint32_t full = view->rows / simd::kBlockRows;
    AddStretch(0, 0, full * simd::kBlockRows);
    AddStretch(full, 0, view->rows % simd::kBlockRows);
    return;
  }
  chunk_positions_.resize(space->groups->chunks);
  std::vector<uint32_t> chunks(space->groups->chunks);
  std::iota(chunks.begin(), chunks.end(), 0);
  std::stable_sort(chunks.begin(), chunks.end(), [this](uint32_t a, uint32_t b) {
    return space->column->group_of(a * CodeColumn::kChunkBlocks) <
           space->column->group_of(b * CodeColumn::kChunkBlocks);
  });
  for (const uint32_t chunk : chunks) AddChunk(chunk);
  CountDead();
}

void ScanTarget::Part::CountDead() {
  const CodeColumn& column = *space->column;
  if (view->deleted == nullptr && space->groups->moved == 0) return;
  dead_.resize(kSegmentBlocks);
  for (uint32_t word = 0; view->deleted != nullptr && word < view->deleted->words.size(); ++word) {
    for (uint64_t left = view->deleted->words[word]; left != 0; left &= left - 1) {
      const uint32_t row = word * 64 + static_cast<uint32_t>(std::countr_zero(left));
      if (column.has(row)) ++dead_[column.place(row) / simd::kBlockRows];
    }
  }
  if (space->groups->moved == 0) return;
  for (const Stretch& stretch : stretches) {
    for (uint32_t at = 0; at < stretch.places; ++at) {
      const uint32_t place = stretch.block * simd::kBlockRows + at;
      if (!column.holds(place)) ++dead_[place / simd::kBlockRows];
    }
  }
}

void ScanTarget::Part::AddChunk(uint32_t chunk) {
  const uint32_t block = chunk * CodeColumn::kChunkBlocks, group = space->column->group_of(block);
  const GroupedBlocks::Tail& tail = space->groups->tails[group];
  const uint32_t places = tail.chunk == chunk ? tail.places : CodeColumn::kChunkPlaces;
  const uint32_t open = places % simd::kBlockRows;
  chunk_positions_[chunk] = block_count();
  AddStretch(block, group, places - open);
  AddStretch(block + places / simd::kBlockRows, group, open);
}

const ScanTarget::Part::Stretch& ScanTarget::Part::StretchAt(uint32_t position) const {
  const auto after = std::upper_bound(stretches.begin(), stretches.end(), position,
                                      [](uint32_t at, const Stretch& stretch) { return at < stretch.begin; });
  return *(after - 1);
}

uint32_t ScanTarget::Part::PositionOf(uint32_t row) const {
  const uint32_t block = space->column->place(row) / simd::kBlockRows;
  if (space->groups == nullptr) return block;
  return chunk_positions_[block / CodeColumn::kChunkBlocks] + block % CodeColumn::kChunkBlocks;
}

uint64_t ScanTarget::Part::LiveRows(uint32_t begin, uint32_t end) const {
  const CodeColumn& column = *space->column;
  if (!column.grouped()) return LiveRowsBetween(begin * simd::kBlockRows, std::min(end * simd::kBlockRows, view->rows));
  uint64_t live = 0;
  for (const Stretch* stretch = &StretchAt(begin); begin < end; begin = (stretch++)->end) {
    const uint32_t first = (begin - stretch->begin) * simd::kBlockRows;
    const uint32_t last = std::min((std::min(end, stretch->end) - stretch->begin) * simd::kBlockRows, stretch->places);
    live += last - first;
    const uint32_t block = stretch->block + begin - stretch->begin;
    for (uint32_t i = 0; !dead_.empty() && i < std::min(end, stretch->end) - begin; ++i) live -= dead_[block + i];
  }
  return live;
}

uint64_t ScanTarget::Part::LiveRowsBetween(uint32_t first, uint32_t last) const {
  if (first >= last) return 0;
  const uint8_t* presence = space->column->presence();
  // Nearly always all rows have a code; then only the deleted ones are counted, if any are.
  const bool all_present = std::memchr(presence + first, 0, last - first) == nullptr;
  if (all_present && view->deleted == nullptr) return last - first;
  uint64_t live = 0;
  for (uint32_t row = first; row < last;) {
    const uint32_t group_end = std::min((row / 64 + 1) * 64, last);
    const uint64_t deleted = view->deleted == nullptr ? 0 : view->deleted->words[row / 64];
    if (all_present) {
      const uint64_t rows = ~uint64_t{0} >> (64 - (group_end - row)) << row % 64;
      live += static_cast<uint64_t>(std::popcount(rows & ~deleted));
    } else {
      uint8_t present = 0;  // at most 64: a sum of bytes, which the compiler turns into vector instructions
      for (uint32_t i = row; i < group_end; ++i) present += presence[i] != 0;
      live += present;
      for (uint32_t i = row; deleted != 0 && i < group_end; ++i)
        live -= presence[i] != 0 && ((deleted >> (i % 64)) & 1);
    }
    row = group_end;
  }
  return live;
}

std::vector<uint64_t> ScanTarget::LiveRowsByGroup(uint32_t groups) const {
  std::vector<uint64_t> rows(groups);
  for (const Part& part : parts_) {
    for (const Part::Stretch& stretch : part.stretches)
      rows[stretch.group] += part.LiveRows(stretch.begin, stretch.end);
  }
  return rows;
}

PreparedQueries::PreparedQueries(const CodeSpec& spec, const simd::CodeShape& shape, size_t count,
                                 const uint32_t* planes, const float* weights, const float* offsets, FairPool& pool,
                                 absl::Span<const GroupSet> wanted)
    : shape_(shape), kernels_(simd::KernelsFor(shape, count)), count_(count) {
  const size_t bytes = (kernels_.prepared_bytes(shape_) + 63) / 64 * 64;
  const size_t words = spec.QueryWords(shape.query_levels), groups = spec.groups();
  buffer_ = AlignedBuffer<std::byte>(bytes * groups * count);
  pointers_.resize(groups * count);
  pool.ParallelFor(groups, [&](size_t g, size_t) {
    for (size_t q = 0; q < count; ++q) {
      if (!wanted.empty() && (wanted[q] & OneGroup(static_cast<uint32_t>(g))) == 0) continue;
      std::byte* prepared = buffer_.data() + (g * count + q) * bytes;
      const size_t at = q * groups + g;
      kernels_.prepare(shape_, planes + at * words, weights + at * spec.bands().size(), offsets[at], prepared);
      pointers_[g * count + q] = prepared;
    }
  });
}

size_t PreparedQueries::block_bytes() const {
  uint32_t words = 0;
  for (uint32_t b = 0; b < shape_.band_count; ++b) {
    const simd::BandShape& band = shape_.bands[b];
    words += std::min(band.levels, band.scored_levels() - band.left_out) * CodeSpec::PlaneWords(band.dims);
  }
  return simd::BlockBytes(words);
}

}  // namespace bebr
