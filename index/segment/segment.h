// Codes and ids in memory, in the order in which they are scanned (FORMAT.md).
#ifndef BEBR_INDEX_SEGMENT_SEGMENT_H_
#define BEBR_INDEX_SEGMENT_SEGMENT_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "index/base/aligned_buffer.h"
#include "index/base/reserved_array.h"
#include "index/code/code_spec.h"
#include "index/segment/attribute_columns.h"
#include "index/segment/layout_file.h"
#include "index/simd/kernels.h"
#include "index/types/collection.h"
#include "index/types/document.h"

namespace bebr {

inline constexpr uint32_t kSegmentRows = 1 << 16;
inline constexpr uint32_t kSegmentBlocks = kSegmentRows / simd::kBlockRows;

// Rows of a segment that are no longer (bit = 1) part of the collection.
struct DeletionSet {
  std::array<uint64_t, kSegmentRows / 64> words{};

  bool test(uint32_t row) const { return (words[row / 64] >> (row % 64)) & 1; }
  void set(uint32_t row) { words[row / 64] |= uint64_t{1} << (row % 64); }
};

// What the kernels must know of codes of `spec` and of queries with `query_levels` levels.
simd::CodeShape MakeShape(const CodeSpec& spec, uint32_t query_levels);

// The code of one document in one space, as it enters and leaves a segment.
struct RowCode {
  uint32_t space = 0;
  uint8_t version = 0;  // number of the version that wrote it, 0..kMaxVersions-1
  CodeFactors factors;
  absl::Span<const uint32_t> words;  // packed code (CodeSpec); borrowed
};

// What a view sees of the blocks of a column whose documents lie by group.
struct GroupedBlocks {
  // The chunk that a group fills.
  struct Tail {
    uint32_t chunk = 0;
    uint32_t places = 0;                                         // of it that are taken; 0: the group has no chunk
    std::shared_ptr<const AlignedBuffer<std::byte>> open_block;  // copy of the block that is not full, if one is not
  };
  uint32_t chunks = 0;      // that groups have taken
  uint32_t moved = 0;       // places whose rows have their codes elsewhere
  std::vector<Tail> tails;  // by group
};

// The codes of a segment's rows in one space, in scan layout (FORMAT.md): 16 documents a block. Every row that has a
// code has a place: lane place % 16 of block place / 16. Without groups a row's place is the row itself. With groups a
// block holds codes of one group only: each group takes chunks of blocks as it needs them.
//
// One thread appends; others read rows that were published to them (see Segment). Memory is taken as rows are written.
class CodeColumn {
 public:
  static constexpr uint32_t kChunkBlocks = 32;  // as many as a run of them is worth while
  static constexpr uint32_t kChunkPlaces = kChunkBlocks * simd::kBlockRows;
  static constexpr uint32_t kChunks = kSegmentBlocks / kChunkBlocks;
  static constexpr uint32_t kPlaceBytes = 2 * sizeof(uint16_t);  // of a row with groups, beside code and version

  explicit CodeColumn(CodeSpec spec);

  // Requires !full(). Stored again, a row has the later code; both before it is published.
  void Store(uint32_t row, const RowCode& code);
  // The packed code of lane `lane` of a block, into code_words() words; returns its factors, but for the group.
  CodeFactors Load(const std::byte* block, uint32_t lane, uint32_t* words) const;
  // Called once when the last row is written; makes scans faster, changes nothing else. Chunks that are not full would
  // take memory on huge pages.
  void Seal() {
    if (!grouped()) blocks_.UseHugePages();
  }
  bool has(uint32_t row) const { return versions_[row] != 0; }
  // Of a row that has a code here.
  uint8_t version(uint32_t row) const { return versions_[row] - 1; }
  const uint8_t* presence() const { return versions_.data(); }  // one byte a row, 0 = no code here
  const std::byte* block(uint32_t block) const { return blocks_.data() + block * block_bytes_; }
  size_t block_bytes() const { return block_bytes_; }
  uint32_t code_words() const { return shape_.code_words; }
  const CodeSpec& spec() const { return spec_; }

  bool grouped() const { return spec_.groups() > 1; }
  // Of a row that has a code here.
  uint32_t place(uint32_t row) const { return grouped() ? place_of_[row] : row; }
  // The row of a place that was taken; with groups only if it still has its code there.
  uint32_t row(uint32_t place) const { return grouped() ? row_of_[place] : place; }
  bool holds(uint32_t place) const { return !grouped() || place_of_[row_of_[place]] == place; }
  // Of a chunk that was taken.
  uint32_t group_of(uint32_t block) const { return grouped() ? group_of_chunk_[block / kChunkBlocks] : 0; }
  // Whether there may be no room for another row.
  bool full() const { return chunks_ + 2 > kChunks; }
  // For the writer: what a view made now sees; null without groups. What did not change is shared with the last one.
  std::shared_ptr<const GroupedBlocks> Publish();
  // Bytes of memory written, if the segment has so many rows.
  uint64_t memory_bytes(uint32_t rows) const;

  // What so many rows have here, as a layout file has it; and back, into a column that is empty.
  void Save(LayoutWriter& out, uint32_t rows) const;
  void Load(LayoutReader& in, uint32_t rows);

 private:
  void LoadPlaces(LayoutReader& in, uint32_t rows);
  // Whether places, rows and groups are those of a column that was written, so that each leads to the others.
  bool PlacesArePossible(uint32_t rows) const;
  // Of a chunk that was taken, the blocks that have codes.
  uint32_t UsedBlocks(uint32_t chunk) const;
  // The place of a row's code, which may be a new one.
  uint32_t TakePlace(uint32_t row, uint32_t group);

  CodeSpec spec_;
  simd::CodeShape shape_;
  size_t block_bytes_;
  ReservedArray<std::byte> blocks_;
  ReservedArray<uint8_t> versions_;  // 1 + version number; 0 = the row has no code in this space
  // With groups:
  ReservedArray<uint16_t> place_of_;       // by row
  ReservedArray<uint16_t> row_of_;         // by place
  ReservedArray<uint8_t> group_of_chunk_;  // by chunk
  struct Tail {
    uint32_t chunk = 0;
    uint32_t places = 0;
    bool changed = false;  // since it was published
  };
  std::vector<Tail> tails_;  // by group
  uint32_t chunks_ = 0;
  uint32_t moved_ = 0;
  std::shared_ptr<const GroupedBlocks> published_;  // null: something changed since
  std::vector<GroupedBlocks::Tail> published_tails_;
};

// A Segment holds up to kSegmentRows rows of a shard: ids, attributes and codes. Rows are appended and never change; a
// document that is replaced gets a new row, and the old one is entered in a deletion set, which is kept beside the
// segment (SegmentView).
//
// Thread safety. One writer appends. Readers hold a SegmentView and read only rows below its `rows`; the writer hands
// views over through a lock, which orders its writes before their reads. Code blocks are read whole by the kernels, so
// a view owns a copy of the one block that is not yet full (with groups: of one a group); the others never change.
class Segment {
 public:
  // The strings of its rows are in the dictionary, that of the shard; `schema` is the collection's, null: none.
  explicit Segment(std::shared_ptr<AttributeDictionary> dictionary,
                   std::shared_ptr<const AttributeSchema> schema = nullptr);

  uint32_t rows() const { return rows_; }
  // Whether no row is to be appended: there are kSegmentRows, or a column with groups has no room for certain.
  bool full() const {
    return rows_ == kSegmentRows ||
           std::any_of(spaces_.begin(), spaces_.end(), [](const SpaceColumn& space) { return space.column->full(); });
  }
  // Appends a row and returns it; requires !full().
  uint32_t Append(std::string_view id, const Attributes& attributes);
  // Appends a copy of row `row` of `from`, a segment of the same shard: id, attributes and codes, but for those of some
  // spaces.
  uint32_t AppendCopy(const Segment& from, uint32_t row, absl::Span<const uint32_t> without = {});
  // Gives the row just appended the codes of row `row` of `from`, likewise.
  void CopyCodes(const Segment& from, uint32_t row, uint32_t to, absl::Span<const uint32_t> without);
  // Gives the row just appended its code in a space of `spec`.
  void SetCode(uint32_t row, const RowCode& code, const CodeSpec& spec);
  // To be called when full.
  void Seal() {
    for (const SpaceColumn& space : spaces_) space.column->Seal();
  }
  void DropSpace(uint32_t space);
  // A number of the shard's that goes with the row wherever it is copied; 0 unless it was set. For the writer alone.
  void SetMarks(uint32_t row, uint16_t marks) {
    marks_[row] = marks;
    marked_ = true;
  }
  // Sets all to 0, and takes no memory for them any more.
  void ClearMarks();
  uint16_t marks(uint32_t row) const { return marks_[row]; }

  std::string_view id(uint32_t row) const;
  const AttributeColumns& attributes() const { return attributes_; }
  struct SpaceColumn {
    SpaceColumn(uint32_t space, std::shared_ptr<CodeColumn> column) : space(space), column(std::move(column)) {}
    uint32_t space;
    std::shared_ptr<CodeColumn> column;
  };
  const std::vector<SpaceColumn>& spaces() const { return spaces_; }

  // The segment as a layout file has it; and back, with the dictionary and the schema that the constructor takes.
  // Strings are numbers of the dictionary: those that rows have are counted in `held`, of which each number is less
  // than the size. Without sense where the reader has failed.
  void Save(LayoutWriter& out) const;
  static std::shared_ptr<Segment> Load(LayoutReader& in, std::shared_ptr<AttributeDictionary> dictionary,
                                       std::shared_ptr<const AttributeSchema> schema,
                                       const std::map<uint32_t, CodeSpec>& specs, std::vector<uint32_t>& held);

  // Bytes of memory written so far, by part; marks count among the codes.
  uint64_t code_bytes() const;
  uint64_t id_bytes() const;

 private:
  uint32_t AppendId(std::string_view id);
  CodeColumn& ColumnFor(uint32_t space, const CodeSpec& spec);

  static constexpr size_t kArenaChunkBytes = 1 << 16;
  static constexpr size_t kMaxArenaChunks =
      600;  // kSegmentRows ids of kMaxIdBytes and their lengths, with what is left over at chunk ends

  uint32_t rows_ = 0;
  ReservedArray<uint32_t> id_position_;  // of the id's 2-byte length in the arena: chunk * kArenaChunkBytes + offset
  std::array<std::unique_ptr<char[]>, kMaxArenaChunks> arena_;
  size_t arena_used_ = 0;
  AttributeColumns attributes_;
  std::vector<SpaceColumn> spaces_;
  ReservedArray<uint16_t> marks_;
  bool marked_ = false;  // some were set
};

// What a reader sees of a segment.
struct SegmentView {
  struct SpaceView {
    uint32_t space = 0;
    std::shared_ptr<const CodeColumn> column;
    uint32_t rows = 0;                                           // of the segment
    std::shared_ptr<const AlignedBuffer<std::byte>> open_block;  // copy of block rows / 16 if rows % 16 != 0
    std::shared_ptr<const GroupedBlocks> groups;                 // instead, of a column with groups

    // The bytes of a block that was begun.
    const std::byte* block(uint32_t block) const;
    // The packed code of a row that has one, into code_words() words; returns its factors.
    CodeFactors Load(uint32_t row, uint32_t* words) const;
  };
  std::shared_ptr<const Segment> segment;
  uint32_t rows = 0;
  uint32_t deleted_rows = 0;
  std::shared_ptr<const DeletionSet> deleted;  // null = none
  AttributeColumns::View attributes;
  std::vector<SpaceView> spaces;

  const SpaceView* FindSpace(uint32_t space) const {
    for (const SpaceView& view : spaces) {
      if (view.space == space) return &view;
    }
    return nullptr;
  }
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEGMENT_SEGMENT_H_
