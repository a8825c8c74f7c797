// Attributes in memory, column by column, for filters.
#ifndef BEBR_INDEX_SEGMENT_ATTRIBUTE_COLUMNS_H_
#define BEBR_INDEX_SEGMENT_ATTRIBUTE_COLUMNS_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "index/base/mutex.h"
#include "index/base/reserved_array.h"
#include "index/types/document.h"

namespace bebr {

// The distinct attribute strings of a shard, numbered from 0 in the order of their arrival. Strings are never removed
// while the shard is open.
//
// Thread safety: all methods may run concurrently.
class AttributeDictionary {
 public:
  uint32_t Add(std::string_view text);
  std::optional<uint32_t> Find(std::string_view text) const;
  // Calls visit(number, text) for every string.
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    MutexLock lock(&mutex_);
    for (uint32_t i = 0; i < texts_.size(); ++i) visit(i, std::string_view(texts_[i]));
  }
  uint32_t size() const;
  uint64_t memory_bytes() const;

 private:
  mutable Mutex mutex_;
  std::deque<std::string> texts_ ABSL_GUARDED_BY(mutex_);  // a deque: the map's keys point into it
  absl::flat_hash_map<std::string_view, uint32_t> numbers_ ABSL_GUARDED_BY(mutex_);
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The type of an attribute of a row; one byte in memory.
enum class AttributeType : uint8_t { kAbsent = 0, kString = 1, kInt = 2, kDouble = 3, kBool = 4 };

// The attributes of a segment's rows by name: what a filter is evaluated on. 9 bytes a row and attribute, beside the
// strings.
//
// Thread safety: one writer; readers hold a View, taken by the writer, and read only rows that were published with it.
class AttributeColumns {
 public:
  struct Column {
    explicit Column(uint32_t capacity) : types(capacity), values(capacity) {}
    ReservedArray<AttributeType> types;
    // kString: number in the dictionary; kInt: the int64; kDouble: the bits of the double; kBool: 0 or 1.
    ReservedArray<uint64_t> values;
  };
  using Map = std::map<std::string, std::shared_ptr<Column>, std::less<>>;
  using View = std::shared_ptr<const Map>;

  explicit AttributeColumns(uint32_t capacity) : capacity_(capacity), columns_(std::make_shared<Map>()) {}

  void Set(uint32_t row, const Attributes& attributes, AttributeDictionary& dictionary);
  // Gives row `to` the attributes of row `from_row` of `from`, which uses the same dictionary.
  void Copy(const AttributeColumns& from, uint32_t from_row, uint32_t to);
  View view() const { return columns_; }
  uint64_t memory_bytes(uint32_t rows) const;

 private:
  Column& ColumnFor(const std::string& name);

  const uint32_t capacity_;
  std::shared_ptr<Map> columns_;  // replaced, never changed, when a name is new: views keep the old one
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEGMENT_ATTRIBUTE_COLUMNS_H_
