// Attributes in memory, column by column, for filters.
#ifndef BEBR_INDEX_SEGMENT_ATTRIBUTE_COLUMNS_H_
#define BEBR_INDEX_SEGMENT_ATTRIBUTE_COLUMNS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/types/span.h"
#include "index/base/mutex.h"
#include "index/base/reserved_array.h"
#include "index/segment/value_index.h"
#include "index/types/document.h"

namespace bebr {

// The distinct attribute strings of a shard's rows, numbered. A string goes when no row has it any more, and its number
// is given to another one. A row counts for as long as its segment is in memory, and a view holds its segments: so
// whoever reads rows through a view finds the strings they have under the numbers they have, whatever is written
// meanwhile.
//
// Thread safety: all methods may run concurrently.
class AttributeDictionary {
 public:
  AttributeDictionary() : numbers_(0, Hash{this}, Equal{this}) {}
  AttributeDictionary(const AttributeDictionary&) = delete;
  AttributeDictionary& operator=(const AttributeDictionary&) = delete;

  // The number of a string that one more row has.
  uint32_t Add(std::string_view text);
  // One more row has the string of this number, which some row has already; returns its length.
  uint32_t Hold(uint32_t number);
  // Rows that had the strings of these numbers are no more.
  void Release(absl::Span<const uint32_t> numbers);

  std::optional<uint32_t> Find(std::string_view text) const;
  // The string of a number that a row of the caller's view has.
  std::string Text(uint32_t number) const;
  // Who looks at many strings does so in runs of this many numbers, so that writers wait for one run at most.
  static constexpr uint32_t kRun = 1024;
  // Calls visit(number, text) for every string with a number in begin..end - 1. The lock is held meanwhile.
  template <typename Visit>
  void ForEach(uint32_t begin, uint32_t end, const Visit& visit) const {
    MutexLock lock(&mutex_);
    end = std::min(end, static_cast<uint32_t>(entries_.size()));
    for (uint32_t number = begin; number < end; ++number) {
      if (entries_[number].rows > 0) visit(number, TextOf(number));
    }
  }
  // The same for these numbers, which rows of the caller's view have.
  template <typename Visit>
  void ForEach(absl::Span<const uint32_t> numbers, const Visit& visit) const {
    MutexLock lock(&mutex_);
    for (const uint32_t number : numbers) visit(number, TextOf(number));
  }
  // All numbers are below.
  uint32_t size() const;
  uint64_t memory_bytes() const;

 private:
  struct Entry {
    std::unique_ptr<char[]> text;
    uint32_t size = 0;
    uint32_t rows = 0;
  };
  struct Hash {
    using is_transparent = void;
    const AttributeDictionary* dictionary;
    size_t operator()(uint32_t number) const { return (*this)(dictionary->TextOf(number)); }
    size_t operator()(std::string_view text) const { return absl::Hash<std::string_view>()(text); }
  };
  struct Equal {
    using is_transparent = void;
    const AttributeDictionary* dictionary;
    bool operator()(uint32_t a, uint32_t b) const { return a == b; }
    bool operator()(uint32_t number, std::string_view text) const { return dictionary->TextOf(number) == text; }
    bool operator()(std::string_view text, uint32_t number) const { return (*this)(number, text); }
  };

  // Not annotated: the hash set's functors call it, always under mutex_.
  std::string_view TextOf(uint32_t number) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return {entries_[number].text.get(), entries_[number].size};
  }

  mutable Mutex mutex_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint32_t> free_ ABSL_GUARDED_BY(mutex_);  // numbers of no string
  absl::flat_hash_set<uint32_t, Hash, Equal> numbers_ ABSL_GUARDED_BY(mutex_);
  uint64_t text_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The attributes of a segment's rows by name: what a filter is evaluated on. 9 bytes a row and attribute, or 1 where
// all values are stored only, 2 more once filters look up its values, beside the strings and lists, which it holds in
// the dictionary until it goes.
//
// Thread safety: one writer, which also takes the views; readers hold a View and read only rows that were published
// with it. Cost: a name that no row had copies the map of the names once for all that come between two views.
class AttributeColumns {
 public:
  struct Column {
    explicit Column(uint32_t capacity) : types(capacity), values(capacity) {}
    ReservedArray<AttributeType> types;
    // kString, kList: number in the dictionary; kInt: the int64; kDouble: the bits of the double; kBool: 0 or 1;
    // kTimestamp: microseconds, an int64; kStored: nothing.
    ReservedArray<uint64_t> values;
    ValueIndex index;         // of what stands above; built by the look-ups of readers
    bool has_values = false;  // some row has one here; for the writer
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
  // Gives row `to` the attributes of row `from_row` of `from`, which uses the same dictionary.
  void Copy(const AttributeColumns& from, uint32_t from_row, uint32_t to);
  View view() const {
    viewed_ = true;
    return columns_;
  }
  // The integer of that name of a row; nullopt if it has none. For the writer.
  std::optional<int64_t> Integer(std::string_view name, uint32_t row) const;
  // Of columns with so many rows, without the strings and the indexes.
  uint64_t memory_bytes(uint32_t rows) const;
  // Length of the strings and lists of all rows, counted as often as rows have them.
  uint64_t text_bytes() const { return text_bytes_; }

 private:
  Column& ColumnFor(const std::string& name);
  void SetOne(Column& column, uint32_t row, const AttributeValue& value);
  static void SetValue(Column& column, uint32_t row, AttributeType type, uint64_t value);
  void SetText(Column& column, uint32_t row, AttributeType type, uint32_t number, uint64_t size);

  const uint32_t capacity_;
  const std::shared_ptr<AttributeDictionary> dictionary_;
  const std::shared_ptr<const AttributeSchema> schema_;
  std::shared_ptr<Map> columns_;  // one that was viewed is replaced, not changed: views keep the old one
  mutable bool viewed_ = false;
  uint32_t rows_ = 0;  // all that have strings are below
  uint64_t text_bytes_ = 0;
};

// The value of a row, of a column whose strings are in the dictionary: nullopt if it has none, a list, or one that is
// stored only.
std::optional<AttributeScalar> ScalarAt(const AttributeColumns::Column& column, uint32_t row,
                                        const AttributeDictionary& dictionary);

}  // namespace bebr

#endif  // BEBR_INDEX_SEGMENT_ATTRIBUTE_COLUMNS_H_
