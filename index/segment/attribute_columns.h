// Attributes in memory, column by column, for filters.
#ifndef BEBR_INDEX_SEGMENT_ATTRIBUTE_COLUMNS_H_
#define BEBR_INDEX_SEGMENT_ATTRIBUTE_COLUMNS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "index/base/reserved_array.h"
#include "index/segment/attribute_dictionary.h"
#include "index/segment/layout_file.h"
#include "index/segment/list_index.h"
#include "index/segment/value_index.h"
#include "index/types/document.h"

namespace bebr {

// The attributes of a segment's rows by name: what a filter is evaluated on. 9 bytes a row and attribute, or 1 where
// all values are stored only, 2 more once filters look up its values, and what ListIndex takes once they look up those
// in lists, beside the strings and lists, which it holds in the dictionary until it goes.
//
// Thread safety: one writer, which also takes the views; readers hold a View and read only rows that were published
// with it. Cost: a name that no row had copies the map of the names once for all that come between two views.
class AttributeColumns {
 public:
  struct Column {
    Column(uint32_t capacity, std::shared_ptr<AttributeDictionary> dictionary);
    // Of what readers have built.
    uint64_t index_bytes() const { return index.memory_bytes() + lists.memory_bytes(); }
    // Whether one of the first `rows` rows, which are in the caller's view, has a value of this type, not kAbsent.
    bool Has(AttributeType type, uint32_t rows) const {
      return first_rows[static_cast<size_t>(type)].load(std::memory_order_relaxed) < rows;
    }
    void SetType(uint32_t row, AttributeType type);  // for the writer
    // Whether a document has a value.
    bool in_use() const { return rows_in_use.load(std::memory_order_relaxed) > 0; }

    ReservedArray<AttributeType> types;
    // kString, kList: number in the dictionary; kInt: the int64; kDouble: the bits of the double; kBool: 0 or 1;
    // kTimestamp: microseconds, an int64; kStored: nothing.
    ReservedArray<uint64_t> values;
    ValueIndex index;         // of what stands above; built by the look-ups of readers
    ListIndex lists;          // likewise, of the values in lists
    bool has_values = false;  // some row has one here; for the writer
    // By type the first row that has it, or one that no view has: readers need no look at the rows.
    std::array<std::atomic<uint32_t>, static_cast<size_t>(AttributeType::kStored) + 1> first_rows;
    std::atomic<int64_t> rows_in_use{0};  // that have a value and were not forgotten; the writer changes it
  };
  using Map = std::map<std::string, std::shared_ptr<Column>, std::less<>>;
  using View = std::shared_ptr<const Map>;

  // `schema` says what is stored only; null: size alone does.
  AttributeColumns(uint32_t capacity, std::shared_ptr<AttributeDictionary> dictionary,
                   std::shared_ptr<const AttributeSchema> schema = nullptr);
  ~AttributeColumns();
  AttributeColumns(const AttributeColumns&) = delete;
  AttributeColumns& operator=(const AttributeColumns&) = delete;

  // Each row is given attributes once at most.
  void Set(uint32_t row, const Attributes& attributes);
  // The row is of no document any more.
  void Forget(uint32_t row) const;
  // Whether there are many names, most of which no document has.
  bool MostlyUnused() const;
  // Gives row `to` the attributes of row `from_row` of `from`, which uses the same dictionary.
  void Copy(const AttributeColumns& from, uint32_t from_row, uint32_t to);
  View view() const {
    viewed_ = true;
    return columns_;
  }
  // Whether a row of a view of these has what Set would give it. Whatever stands in memory, nothing else is read.
  bool Equal(const View& view, uint32_t row, const Attributes& attributes) const;
  // Memory has changed a row, which was given `attributes`: whatever it has now, the end of the row takes a reference
  // from no string but its own. Once for a row.
  void Recount(uint32_t row, const Attributes& attributes) const;
  // The integer of that name of a row; nullopt if it has none. For the writer.
  std::optional<int64_t> Integer(std::string_view name, uint32_t row) const;
  // Of columns with so many rows, without the strings and the indexes.
  uint64_t memory_bytes(uint32_t rows) const;
  // Length of the strings and lists of all rows, counted as often as rows have them.
  uint64_t text_bytes() const { return text_bytes_; }

  // Columns of so many rows as a layout file has them; and back, as Segment::Load.
  void Save(LayoutWriter& out, uint32_t rows) const;
  void Load(LayoutReader& in, uint32_t rows, std::vector<uint32_t>& held);

 private:
  Column& ColumnFor(const std::string& name);
  void SetOne(Column& column, uint32_t row, const AttributeValue& value);
  bool EqualOne(const Column& column, uint32_t row, const AttributeValue& value) const;
  void SetType(Column& column, uint32_t row, AttributeType type);
  void SetValue(Column& column, uint32_t row, AttributeType type, uint64_t value);
  void SetText(Column& column, uint32_t row, AttributeType type, uint32_t number, uint64_t size);

  const uint32_t capacity_;
  const std::shared_ptr<AttributeDictionary> dictionary_;
  const std::shared_ptr<const AttributeSchema> schema_;
  std::shared_ptr<Map> columns_;  // one that was viewed is replaced, not changed: views keep the old one
  mutable bool viewed_ = false;
  mutable int64_t unused_names_ = 0;  // columns without rows_in_use
  uint32_t rows_ = 0;                 // all that have strings are below
  uint64_t text_bytes_ = 0;
};

// The value of a row, of a column whose strings are in the dictionary: nullopt if it has none, a list, or one that is
// stored only.
std::optional<AttributeScalar> ScalarAt(const AttributeColumns::Column& column, uint32_t row,
                                        const AttributeDictionary& dictionary);

}  // namespace bebr

#endif  // BEBR_INDEX_SEGMENT_ATTRIBUTE_COLUMNS_H_
