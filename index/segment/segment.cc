#include "index/segment/segment.h"

#include <algorithm>
#include <cstring>

namespace bebr {

static_assert(kMaxBands == simd::kMaxBands && kMaxLevels == simd::kMaxLevels,
              "the kernels take every code there may be");
static_assert(kSegmentRows <= kMaxIndexedRows);

simd::CodeShape MakeShape(const CodeSpec& spec, uint32_t query_levels) {
  simd::CodeShape shape;
  shape.band_count = static_cast<uint32_t>(spec.bands().size());
  for (uint32_t b = 0; b < shape.band_count; ++b) {
    const Band& band = spec.bands()[b];
    shape.bands[b] = {.dims = band.dims, .levels = band.levels, .trellis = band.trellis};
  }
  shape.query_levels = query_levels;
  shape.code_words = spec.code_words();
  return shape;
}

CodeColumn::CodeColumn(CodeSpec spec)
    : spec_(std::move(spec)),
      shape_(MakeShape(spec_, spec_.max_levels())),
      block_bytes_(simd::BlockBytes(spec_.code_words())),
      blocks_(block_bytes_ * kSegmentBlocks),
      versions_(kSegmentRows) {
  if (!grouped()) return;
  place_of_ = ReservedArray<uint16_t>(kSegmentRows);
  row_of_ = ReservedArray<uint16_t>(kSegmentRows);
  group_of_chunk_ = ReservedArray<uint8_t>(kChunks);
  tails_.resize(spec_.groups());
  published_tails_.resize(spec_.groups());
}

uint32_t CodeColumn::TakePlace(uint32_t row, uint32_t group) {
  if (!grouped()) return row;
  Tail& tail = tails_[group];
  tail.changed = true;
  published_ = nullptr;
  if (has(row)) {
    if (group_of(place_of_[row] / simd::kBlockRows) == group) return place_of_[row];
    ++moved_;
  }
  if (tail.places % kChunkPlaces == 0) {
    tail.chunk = chunks_++;
    tail.places = 0;
    group_of_chunk_[tail.chunk] = static_cast<uint8_t>(group);
  }
  const uint32_t place = tail.chunk * kChunkPlaces + tail.places++;
  place_of_[row] = static_cast<uint16_t>(place);
  row_of_[place] = static_cast<uint16_t>(row);
  return place;
}

void CodeColumn::Store(uint32_t row, const RowCode& code) {
  const uint32_t place = TakePlace(row, code.factors.group);
  const uint32_t lane = place % simd::kBlockRows;
  std::byte* block = blocks_.data() + place / simd::kBlockRows * block_bytes_;
  simd::StoreLane(shape_, lane, code.words.data(), code.factors.scale, code.factors.offset, block);
  versions_[row] = code.version + 1;
}

CodeFactors CodeColumn::Load(const std::byte* block, uint32_t lane, uint32_t* words) const {
  CodeFactors factors;
  simd::LoadLane(shape_, lane, block, words, &factors.scale, &factors.offset);
  return factors;
}

std::shared_ptr<const GroupedBlocks> CodeColumn::Publish() {
  if (!grouped() || published_ != nullptr) return published_;
  for (size_t group = 0; group < tails_.size(); ++group) {
    Tail& tail = tails_[group];
    if (!tail.changed) continue;
    tail.changed = false;
    GroupedBlocks::Tail& seen = published_tails_[group];
    seen = {tail.chunk, tail.places, nullptr};
    if (tail.places % simd::kBlockRows == 0) continue;
    auto copy = std::make_shared<AlignedBuffer<std::byte>>(block_bytes_);
    std::copy_n(block(tail.chunk * kChunkBlocks + tail.places / simd::kBlockRows), block_bytes_, copy->data());
    seen.open_block = std::move(copy);
  }
  published_ = std::make_shared<const GroupedBlocks>(GroupedBlocks{chunks_, moved_, published_tails_});
  return published_;
}

uint64_t CodeColumn::memory_bytes(uint32_t rows) const {
  if (!grouped()) return (rows + simd::kBlockRows - 1) / simd::kBlockRows * block_bytes_ + rows;
  uint64_t blocks = uint64_t{chunks_} * kChunkBlocks;
  for (const Tail& tail : tails_) {
    if (tail.places > 0) blocks -= (kChunkPlaces - tail.places) / simd::kBlockRows;
  }
  return blocks * block_bytes_ + uint64_t{rows} * (1 + kPlaceBytes);
}

const std::byte* SegmentView::SpaceView::block(uint32_t block) const {
  if (groups == nullptr) return block < rows / simd::kBlockRows ? column->block(block) : open_block->data();
  const GroupedBlocks::Tail& tail = groups->tails[column->group_of(block)];
  const uint32_t open = tail.chunk * CodeColumn::kChunkBlocks + tail.places / simd::kBlockRows;
  return tail.open_block != nullptr && block == open ? tail.open_block->data() : column->block(block);
}

CodeFactors SegmentView::SpaceView::Load(uint32_t row, uint32_t* words) const {
  const uint32_t place = column->place(row), number = place / simd::kBlockRows;
  CodeFactors factors = column->Load(block(number), place % simd::kBlockRows, words);
  factors.group = column->group_of(number);
  return factors;
}

Segment::Segment(std::shared_ptr<AttributeDictionary> dictionary, std::shared_ptr<const AttributeSchema> schema)
    : id_position_(kSegmentRows),
      attributes_(kSegmentRows, std::move(dictionary), std::move(schema)),
      marks_(kSegmentRows) {}

uint32_t Segment::AppendId(std::string_view id) {
  const uint16_t length = static_cast<uint16_t>(id.size());
  const size_t bytes = sizeof(length) + id.size();
  size_t chunk = arena_used_ / kArenaChunkBytes;
  if (arena_used_ % kArenaChunkBytes + bytes > kArenaChunkBytes) arena_used_ = ++chunk * kArenaChunkBytes;
  if (arena_[chunk] == nullptr) arena_[chunk] = std::make_unique_for_overwrite<char[]>(kArenaChunkBytes);
  char* to = arena_[chunk].get() + arena_used_ % kArenaChunkBytes;
  std::memcpy(to, &length, sizeof(length));
  std::memcpy(to + sizeof(length), id.data(), id.size());
  id_position_[rows_] = static_cast<uint32_t>(arena_used_);
  arena_used_ += bytes;
  return rows_++;
}

uint32_t Segment::Append(std::string_view id, const Attributes& attributes) {
  const uint32_t row = AppendId(id);
  attributes_.Set(row, attributes);
  return row;
}

uint32_t Segment::AppendCopy(const Segment& from, uint32_t row, absl::Span<const uint32_t> without) {
  const uint32_t to = AppendId(from.id(row));
  attributes_.Copy(from.attributes_, row, to);
  if (from.marks(row) != 0) SetMarks(to, from.marks(row));  // pages of zeros take no memory until they are written
  CopyCodes(from, row, to, without);
  return to;
}

void Segment::CopyCodes(const Segment& from, uint32_t row, uint32_t to, absl::Span<const uint32_t> without) {
  std::vector<uint32_t> words;
  for (const SpaceColumn& space : from.spaces_) {
    const CodeColumn& column = *space.column;
    if (!column.has(row) || std::find(without.begin(), without.end(), space.space) != without.end()) continue;
    words.resize(column.code_words());
    const uint32_t place = column.place(row), block = place / simd::kBlockRows;
    CodeFactors factors = column.Load(column.block(block), place % simd::kBlockRows, words.data());
    factors.group = column.group_of(block);
    SetCode(to, {space.space, column.version(row), factors, words}, column.spec());
  }
}

CodeColumn& Segment::ColumnFor(uint32_t space, const CodeSpec& spec) {
  for (const SpaceColumn& column : spaces_) {
    if (column.space == space) return *column.column;
  }
  return *spaces_.emplace_back(space, std::make_shared<CodeColumn>(spec)).column;
}

void Segment::SetCode(uint32_t row, const RowCode& code, const CodeSpec& spec) {
  ColumnFor(code.space, spec).Store(row, code);
}

void Segment::DropSpace(uint32_t space) {
  std::erase_if(spaces_, [space](const SpaceColumn& column) { return column.space == space; });
}

void Segment::ClearMarks() {
  if (!marked_) return;
  marks_ = ReservedArray<uint16_t>(kSegmentRows);
  marked_ = false;
}

std::string_view Segment::id(uint32_t row) const {
  const uint32_t position = id_position_[row];
  const char* from = arena_[position / kArenaChunkBytes].get() + position % kArenaChunkBytes;
  uint16_t length;
  std::memcpy(&length, from, sizeof(length));
  return {from + sizeof(length), length};
}

uint64_t Segment::code_bytes() const {
  uint64_t bytes = 0;
  for (const SpaceColumn& space : spaces_) bytes += space.column->memory_bytes(rows_);
  return marked_ ? bytes + uint64_t{rows_} * sizeof(uint16_t) : bytes;
}

uint64_t Segment::id_bytes() const { return arena_used_ + uint64_t{rows_} * sizeof(uint32_t); }

}  // namespace bebr
