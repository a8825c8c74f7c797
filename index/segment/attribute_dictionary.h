// The attribute strings of a shard.
#ifndef BEBR_INDEX_SEGMENT_ATTRIBUTE_DICTIONARY_H_
#define BEBR_INDEX_SEGMENT_ATTRIBUTE_DICTIONARY_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
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
#include "index/segment/layout_file.h"

namespace bebr {

// The distinct attribute strings of a shard's rows, and of indexes of them, numbered. A string goes when no row has it
// any more, and its number is given to another one. A row counts for as long as its segment is in memory, and a view
// holds its segments: so whoever reads rows through a view finds the strings they have under the numbers they have,
// whatever is written meanwhile.
//
// Thread safety: all methods may run concurrently.
class AttributeDictionary {
 public:
  AttributeDictionary() : numbers_(0, Hash{this}, Equal{this}) {}
  AttributeDictionary(const AttributeDictionary&) = delete;
  AttributeDictionary& operator=(const AttributeDictionary&) = delete;

  // The number of a string that one more row has.
  uint32_t Add(std::string_view text);
  // One more row has the string of this number, which some row has already; returns its length. Nullopt if it is the
  // number of none.
  std::optional<uint32_t> Hold(uint32_t number);
  // Rows that had the strings of these numbers are no more.
  void Release(absl::Span<const uint32_t> numbers);

  std::optional<uint32_t> Find(std::string_view text) const;
  // Whether a number, which need not be one of a string, is that of this one.
  bool Has(uint32_t number, std::string_view text) const;
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
    for (const uint32_t number : numbers) visit(number, number < entries_.size() ? TextOf(number) : std::string_view());
  }
  // All numbers are below.
  uint32_t size() const;
  // The strings of the numbers below `size` as a layout file has them; and back, into a dictionary that is empty, with
  // as many rows as `held` says by number.
  void Save(LayoutWriter& out, uint32_t size) const;
  void Load(LayoutReader& in, const std::vector<uint32_t>& held);
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

  // Makes `number`, which was free, that of a text.
  void Set(uint32_t number, std::string_view text, uint32_t rows) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
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

}  // namespace bebr

#endif  // BEBR_INDEX_SEGMENT_ATTRIBUTE_DICTIONARY_H_
