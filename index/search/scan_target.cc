#include "index/search/scan_target.h"

#include <algorithm>
#include <utility>

#include "index/simd/choice.h"

namespace bebr {

ScanTarget::ScanTarget(std::shared_ptr<const CollectionView> collection_view, uint32_t space)
    : view_(std::move(collection_view)) {
  for (uint32_t s = 0; s < shard_count(); ++s) {
    for (const SegmentView& view : shard(s).segments) {
      const SegmentView::SpaceView* space_view = view.FindSpace(space);
      if (space_view == nullptr || view.rows == view.deleted_rows) continue;
      parts_.push_back({&view, space_view, s});
      live_rows_ += view.rows - view.deleted_rows;
    }
  }
}

uint64_t ScanTarget::Part::LiveRows(uint32_t begin, uint32_t end) const {
  const uint32_t last = std::min(end * simd::kBlockRows, view->rows);
  const uint8_t* presence = space->column->presence();
  uint64_t live = 0;
  for (uint32_t row = begin * simd::kBlockRows; row < last;) {
    const uint32_t group_end = std::min((row / 64 + 1) * 64, last);
    const uint64_t deleted = view->deleted == nullptr ? 0 : view->deleted->words[row / 64];
    uint8_t present = 0;  // at most 64: a sum of bytes, which the compiler turns into vector instructions
    for (uint32_t i = row; i < group_end; ++i) present += presence[i] != 0;
    live += present;
    for (uint32_t i = row; deleted != 0 && i < group_end; ++i) live -= presence[i] != 0 && ((deleted >> (i % 64)) & 1);
    row = group_end;
  }
  return live;
}

PreparedQueries::PreparedQueries(const CodeSpec& spec, const simd::CodeShape& shape, size_t count,
                                 const uint32_t* planes, const float* weights, const float* offsets)
    : shape_(shape), kernels_(simd::KernelsFor(shape, count)) {
  const size_t bytes = (kernels_.prepared_bytes(shape_) + 63) / 64 * 64;
  const size_t words = spec.QueryWords(shape.query_levels);
  buffer_ = AlignedBuffer<std::byte>(bytes * count);
  for (size_t q = 0; q < count; ++q) {
    std::byte* prepared = buffer_.data() + q * bytes;
    kernels_.prepare(shape_, planes + q * words, weights + q * spec.bands().size(), offsets[q], prepared);
    pointers_.push_back(prepared);
  }
}

size_t PreparedQueries::block_bytes() const {
  uint32_t words = 0;
  for (uint32_t b = 0; b < shape_.band_count; ++b) {
    const simd::BandShape& band = shape_.bands[b];
    words += (band.levels - band.left_out) * CodeSpec::PlaneWords(band.dims);
  }
  return simd::BlockBytes(words);
}

}  // namespace bebr
