// Which rows of a segment have a value in their lists, without a look at all lists.
#ifndef BEBR_INDEX_SEGMENT_LIST_INDEX_H_
#define BEBR_INDEX_SEGMENT_LIST_INDEX_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "index/base/mutex.h"
#include "index/segment/attribute_dictionary.h"
#include "index/segment/value_index.h"

namespace bebr {

// The posting lists of some consecutive rows of a column: for each value the rows whose list has it, ascending. Holds
// the values in the dictionary for as long as it lives. Immutable; thread-safe.
class ListRun {
 public:
  // Rows begin..end - 1. Cost: a look at every value of every list, and a sort.
  ListRun(const ColumnRows& column, uint32_t begin, uint32_t end, std::shared_ptr<AttributeDictionary> dictionary);
  ~ListRun();
  ListRun(const ListRun&) = delete;
  ListRun& operator=(const ListRun&) = delete;

  uint32_t begin() const { return begin_; }
  uint32_t end() const { return end_; }
  absl::Span<const uint16_t> RowsOf(uint32_t value) const;
  uint64_t memory_bytes() const;

 private:
  const uint32_t begin_;
  const uint32_t end_;
  const std::shared_ptr<AttributeDictionary> dictionary_;
  std::vector<uint32_t> values_;  // their numbers in the dictionary, ascending
  std::vector<uint32_t> starts_;  // of each value's rows, and the end of the last one's
  std::vector<uint16_t> rows_;
};

// What a ListIndex knows of the rows that it was asked for, whatever becomes of it later. Immutable; thread-safe.
class ListPostings {
 public:
  using Runs = std::vector<std::shared_ptr<const ListRun>>;

  ListPostings(std::shared_ptr<const Runs> runs, uint32_t row_count,
               std::shared_ptr<const AttributeDictionary> dictionary)
      : runs_(std::move(runs)), row_count_(row_count), dictionary_(std::move(dictionary)) {}

  // The number of a value as PackScalar makes it; nullopt where no list has it.
  std::optional<uint32_t> Find(std::string_view packed) const { return dictionary_->Find(packed); }
  // Rows whose list has the value, or a few more. Cost: a search in each run.
  size_t Count(uint32_t value) const;
  // Calls visit(row) for these rows, ascending.
  template <typename Visit>
  void ForEachRow(uint32_t value, const Visit& visit) const {
    for (const auto& run : *runs_) {
      for (const uint16_t row : run->RowsOf(value)) {
        if (row < row_count_) visit(row);  // runs may reach beyond the rows of an older view
      }
    }
  }

 private:
  std::shared_ptr<const Runs> runs_;
  uint32_t row_count_;
  std::shared_ptr<const AttributeDictionary> dictionary_;
};

// A ListIndex has the posting lists of a column. It takes 2 bytes for each value of each list, 8 for each different
// value of a run, and each value once a shard in the dictionary.
//
// It is built by the first look-up, so an attribute whose lists no filter asks for takes nothing, and then grows by
// itself: rows of a column never change, and new ones come behind. The index has several runs of rows, each at least
// twice as long as the next, so that a row is sorted a few times while a segment fills.
//
// Thread safety: all methods may run concurrently, also with a writer behind the rows that are looked up. Cost of a
// look-up of rows that are not there yet: ListRun's; others wait for it.
class ListIndex {
 public:
  explicit ListIndex(std::shared_ptr<AttributeDictionary> dictionary) : dictionary_(std::move(dictionary)) {}

  // Of all rows of the column.
  ListPostings Of(const ColumnRows& column) const;
  uint64_t memory_bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  const std::shared_ptr<AttributeDictionary> dictionary_;
  mutable Mutex mutex_;
  mutable std::shared_ptr<const ListPostings::Runs> runs_ ABSL_GUARDED_BY(mutex_) =
      std::make_shared<const ListPostings::Runs>();
  mutable std::atomic<uint64_t> bytes_{0};
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEGMENT_LIST_INDEX_H_
