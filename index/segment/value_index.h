// Which rows of a segment have a value of an attribute, without a look at all of them.
#ifndef BEBR_INDEX_SEGMENT_VALUE_INDEX_H_
#define BEBR_INDEX_SEGMENT_VALUE_INDEX_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "index/base/mutex.h"
#include "index/types/attributes.h"

namespace bebr {

// The type of an attribute of a row; one byte in memory. kStored: there is a value, on disk alone. Lists are in a
// ListIndex, what is stored in none.
enum class AttributeType : uint8_t {
  kAbsent = 0,
  kString = 1,
  kInt = 2,
  kDouble = 3,
  kBool = 4,
  kTimestamp = 5,
  kList = 6,
  kStored = 7
};

// A value of a column as a number. Keys of one type are in the order of its values; of texts, in that of their numbers.
uint64_t OrderKey(AttributeType type, uint64_t value);

// The value itself, of a type that is neither a text nor a list.
AttributeScalar NumberOf(AttributeType type, uint64_t value);

// The values of one type from `least` to `most`, both included, by their keys.
struct KeyRange {
  AttributeType type = AttributeType::kAbsent;
  uint64_t least = 0;
  uint64_t most = 0;
};

// A column's rows as they are now. The first kMaxIndexedRows at most; borrowed.
struct ColumnRows {
  const AttributeType* types = nullptr;
  const uint64_t* values = nullptr;
  uint32_t count = 0;
};
inline constexpr uint32_t kMaxIndexedRows = 1 << 16;

// A ValueIndex is one posting list for all values of a column: its rows sorted by type, key and row, so that the rows
// of a value, or of a range of values, are a run of it. It has 2 bytes for each row with a value in memory, and the key
// of one in 64, so that most of a search touches little memory.
//
// It is built by the first look-up, so an attribute that no filter asks for takes nothing, and then grows by itself:
// rows of a column never change, and new ones come behind. The newest few are looked through, until that has cost about
// what it takes to sort them: so of a segment that nobody writes to all are sorted. The index has several runs of rows,
// each at least twice as long as the next, so that a row is sorted a few times while a segment fills.
//
// Thread safety: all methods may run concurrently, also with a writer behind the rows that are looked up; look-ups of
// older views find only their rows. Cost: for each range two searches in each run; once in 1024 new rows, or in a few
// dozen look-ups, a sort.
class ValueIndex {
 public:
  // Puts the rows whose values are in one of the ranges, which do not overlap, into `found`, ascending. False, and
  // nothing of use in `found`, once they are more than `most`.
  bool Find(const ColumnRows& column, absl::Span<const KeyRange> ranges, size_t most,
            std::vector<uint16_t>& found) const;
  uint64_t memory_bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kTypes = static_cast<size_t>(AttributeType::kList);
  // Rows begin..end - 1 of the column; those of type t are order[type_end[t - 1]..type_end[t] - 1], by key, then row.
  struct Run {
    uint32_t begin = 0;
    uint32_t end = 0;
    std::array<uint32_t, kTypes> type_end{};
    std::vector<uint16_t> order;
    std::vector<uint64_t> fences;  // keys of order[0], order[kFenceRows] and so on
  };
  static constexpr uint32_t kFenceRows = 64;
  using Runs = std::vector<std::shared_ptr<const Run>>;

  static std::shared_ptr<const Run> Sort(const ColumnRows& column, uint32_t begin, uint32_t end);
  // The first place in begin..end - 1 of a run's order, which is of one type, whose key is at least `least`; else
  // `end`.
  static uint32_t FirstFrom(const Run& run, const ColumnRows& column, AttributeType type, uint32_t begin, uint32_t end,
                            uint64_t least);
  static bool FindInRun(const Run& run, const ColumnRows& column, const KeyRange& range, size_t most,
                        std::vector<uint16_t>& found);
  // The runs, grown to the column's rows but for the newest few.
  std::shared_ptr<const Runs> RunsOf(const ColumnRows& column) const;

  mutable Mutex mutex_;
  mutable std::shared_ptr<const Runs> runs_ ABSL_GUARDED_BY(mutex_);  // null = none yet
  mutable uint64_t looked_through_ ABSL_GUARDED_BY(mutex_) = 0;       // rows behind the runs, by all look-ups so far
  mutable std::atomic<uint64_t> bytes_{0};
};

}  // namespace bebr

#endif  // BEBR_INDEX_SEGMENT_VALUE_INDEX_H_
