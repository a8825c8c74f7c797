// Segments in layout files (FORMAT.md).
#include <algorithm>
#include <array>
#include <utility>

#include "index/segment/segment.h"

namespace bebr {

void CodeColumn::Save(LayoutWriter& out, uint32_t rows) const {
  out.PutArray(versions_.data(), rows);
  if (!grouped()) {
    out.PutArray(blocks_.data(), (rows + simd::kBlockRows - 1) / simd::kBlockRows * block_bytes_);
    return;
  }
  out.Put(chunks_);
  out.Put(moved_);
  for (const Tail& tail : tails_) {
    out.Put(tail.chunk);
    out.Put(tail.places);
  }
  out.PutArray(group_of_chunk_.data(), chunks_);
  out.PutArray(place_of_.data(), rows);
  out.PutArray(row_of_.data(), size_t{chunks_} * kChunkPlaces);
  // Chunks that are not full take no memory, and no room here, for what they do not use.
  for (uint32_t chunk = 0; chunk < chunks_; ++chunk) {
    out.PutArray(block(chunk * kChunkBlocks), UsedBlocks(chunk) * block_bytes_);
  }
}

uint32_t CodeColumn::UsedBlocks(uint32_t chunk) const {
  const Tail& tail = tails_[group_of_chunk_[chunk]];
  if (tail.chunk != chunk || tail.places == 0) return kChunkBlocks;
  return (tail.places + simd::kBlockRows - 1) / simd::kBlockRows;
}

void CodeColumn::Load(LayoutReader& in, uint32_t rows) {
  in.TakeArray(versions_.data(), rows);
  if (std::any_of(versions_.data(), versions_.data() + rows, [](uint8_t version) { return version > kMaxVersions; })) {
    return in.Fail("a code is of no version that there can be");
  }
  if (!grouped()) {
    if (rows == kSegmentRows) blocks_.UseHugePages();  // before they are written, which is quicker
    in.TakeArray(blocks_.data(), (rows + simd::kBlockRows - 1) / simd::kBlockRows * block_bytes_);
    return;
  }
  LoadPlaces(in, rows);
  for (uint32_t chunk = 0; chunk < chunks_ && in.ok(); ++chunk) {
    in.TakeArray(blocks_.data() + size_t{chunk} * kChunkBlocks * block_bytes_, UsedBlocks(chunk) * block_bytes_);
  }
}

void CodeColumn::LoadPlaces(LayoutReader& in, uint32_t rows) {
  chunks_ = in.Take<uint32_t>();
  moved_ = in.Take<uint32_t>();
  bool possible = chunks_ <= kChunks;
  for (Tail& tail : tails_) {
    tail.chunk = in.Take<uint32_t>();
    tail.places = in.Take<uint32_t>();
    tail.changed = tail.places > 0;
    possible = possible && tail.places <= kChunkPlaces && (tail.places == 0 || tail.chunk < chunks_);
  }
  if (possible) {
    in.TakeArray(group_of_chunk_.data(), chunks_);
    in.TakeArray(place_of_.data(), rows);
    in.TakeArray(row_of_.data(), size_t{chunks_} * kChunkPlaces);
  }
  if (in.ok() && possible && PlacesArePossible(rows)) return;
  chunks_ = 0;
  in.Fail("groups have places that there are not");
}

bool CodeColumn::PlacesArePossible(uint32_t rows) const {
  for (uint32_t chunk = 0; chunk < chunks_; ++chunk) {
    if (group_of_chunk_[chunk] >= tails_.size()) return false;
  }
  for (uint32_t group = 0; group < tails_.size(); ++group) {
    if (tails_[group].places > 0 && group_of_chunk_[tails_[group].chunk] != group) return false;
  }
  const uint32_t places = chunks_ * kChunkPlaces;
  uint32_t taken = 0, moved = 0;
  for (uint32_t place = 0; place < places; ++place) {
    const Tail& tail = tails_[group_of_chunk_[place / kChunkPlaces]];
    if (tail.places > 0 && tail.chunk == place / kChunkPlaces && place % kChunkPlaces >= tail.places) continue;
    ++taken;
    if (row_of_[place] >= rows || !has(row_of_[place])) return false;
    moved += holds(place) ? 0 : 1;
  }
  uint32_t codes = 0;
  for (uint32_t row = 0; row < rows; ++row) {
    if (!has(row)) continue;
    ++codes;
    if (place_of_[row] >= places || row_of_[place_of_[row]] != row) return false;
  }
  return moved == moved_ && taken == codes + moved;
}

void Segment::Save(LayoutWriter& out) const {
  out.Put(rows_);
  for (uint32_t row = 0; row < rows_; ++row) {
    const std::string_view text = id(row);
    out.Put(static_cast<uint16_t>(text.size()));
    out.PutArray(text.data(), text.size());
  }
  out.Put(static_cast<uint8_t>(marked_));
  if (marked_) out.PutArray(marks_.data(), rows_);
  attributes_.Save(out, rows_);
  out.Put(static_cast<uint32_t>(spaces_.size()));
  for (const SpaceColumn& space : spaces_) {
    out.Put(space.space);
    space.column->Save(out, rows_);
  }
}

std::shared_ptr<Segment> Segment::Load(LayoutReader& in, std::shared_ptr<AttributeDictionary> dictionary,
                                       std::shared_ptr<const AttributeSchema> schema,
                                       const std::map<uint32_t, CodeSpec>& specs, std::vector<uint32_t>& held) {
  auto segment = std::make_shared<Segment>(std::move(dictionary), std::move(schema));
  const auto rows = in.Take<uint32_t>();
  if (rows > kSegmentRows) in.Fail("a segment has too many rows");
  std::array<char, kMaxIdBytes> id;
  for (uint32_t row = 0; row < rows && in.ok(); ++row) {
    const auto size = in.Take<uint16_t>();
    if (size == 0 || size > id.size()) in.Fail("an id is empty or too long");
    if (!in.ok()) return segment;
    in.TakeArray(id.data(), size);
    segment->AppendId({id.data(), size});
  }
  segment->marked_ = in.Take<uint8_t>() != 0;
  if (segment->marked_ && in.ok()) in.TakeArray(segment->marks_.data(), rows);
  if (in.ok()) segment->attributes_.Load(in, rows, held);
  const auto spaces = in.TakeCount<uint32_t>(specs.size(), sizeof(uint32_t));
  for (uint32_t i = 0; i < spaces && in.ok(); ++i) {
    const auto space = in.Take<uint32_t>();
    const auto spec = specs.find(space);
    if (spec == specs.end()) in.Fail("it has codes of a space that there is not");
    const auto same = [&](const SpaceColumn& other) { return other.space == space; };
    if (std::any_of(segment->spaces_.begin(), segment->spaces_.end(), same)) in.Fail("it has a space twice");
    if (in.ok()) segment->ColumnFor(space, spec->second).Load(in, rows);
  }
  return segment;
}

}  // namespace bebr
