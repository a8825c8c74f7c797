#include "index/segment/list_index.h"

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "index/segment/attribute_list.h"

namespace bebr {
namespace {

constexpr uint32_t kRowBits = 16;
static_assert(kMaxIndexedRows <= 1u << kRowBits);

// The rows that have lists, and the lists' numbers.
struct Lists {
  std::vector<uint16_t> rows;
  std::vector<uint32_t> numbers;
};

Lists ListsOf(const ColumnRows& column, uint32_t begin, uint32_t end) {
  Lists lists;
  for (uint32_t row = begin; row < end; ++row) {
    if (column.types[row] != AttributeType::kList) continue;
    lists.rows.push_back(static_cast<uint16_t>(row));
    lists.numbers.push_back(static_cast<uint32_t>(column.values[row]));
  }
  return lists;
}

}  // namespace

ListRun::ListRun(const ColumnRows& column, uint32_t begin, uint32_t end,
                 std::shared_ptr<AttributeDictionary> dictionary)
    : begin_(begin), end_(end), dictionary_(std::move(dictionary)) {
  const Lists lists = ListsOf(column, begin, end);
  absl::flat_hash_map<std::string, uint32_t> places;  // of the values, in the order in which they are met
  std::vector<uint64_t> pairs;                        // place of a value, row
  for (size_t first = 0; first < lists.numbers.size(); first += AttributeDictionary::kRun) {
    size_t at = first;
    dictionary_->ForEach(absl::MakeConstSpan(lists.numbers).subspan(first, AttributeDictionary::kRun),
                         [&](uint32_t, std::string_view list) {
                           const uint16_t row = lists.rows[at++];
                           ForEachInList(list, [&](std::string_view value) {
                             const auto place = places.try_emplace(absl::string_view(value.data(), value.size()),
                                                                   static_cast<uint32_t>(places.size()));
                             pairs.push_back(uint64_t{place.first->second} << kRowBits | row);
                           });
                         });
  }
  std::vector<uint32_t> number_of(places.size());
  for (const auto& [value, place] : places) number_of[place] = dictionary_->Add(value);
  for (uint64_t& pair : pairs)
    pair = uint64_t{number_of[pair >> kRowBits]} << kRowBits | (pair & ((1u << kRowBits) - 1));
  std::sort(pairs.begin(), pairs.end());
  values_.reserve(places.size());
  starts_.reserve(places.size() + 1);
  rows_.reserve(pairs.size());
  for (const uint64_t pair : pairs) {
    const auto value = static_cast<uint32_t>(pair >> kRowBits);
    if (values_.empty() || values_.back() != value) {
      values_.push_back(value);
      starts_.push_back(static_cast<uint32_t>(rows_.size()));
    }
    rows_.push_back(static_cast<uint16_t>(pair));
  }
  starts_.push_back(static_cast<uint32_t>(rows_.size()));
}

ListRun::~ListRun() { dictionary_->Release(values_); }

absl::Span<const uint16_t> ListRun::RowsOf(uint32_t value) const {
  const auto found = std::lower_bound(values_.begin(), values_.end(), value);
  if (found == values_.end() || *found != value) return {};
  const auto at = static_cast<size_t>(found - values_.begin());
  return absl::MakeConstSpan(rows_).subspan(starts_[at], starts_[at + 1] - starts_[at]);
}

uint64_t ListRun::memory_bytes() const {
  return rows_.capacity() * sizeof(uint16_t) + (values_.capacity() + starts_.capacity()) * sizeof(uint32_t);
}

size_t ListPostings::Count(uint32_t value) const {
  size_t count = 0;
  for (const auto& run : *runs_) count += run->RowsOf(value).size();
  return count;
}

ListPostings ListIndex::Of(const ColumnRows& column) const {
  MutexLock lock(&mutex_);
  uint32_t begin = runs_->empty() ? 0 : runs_->back()->end();
  if (column.count > begin) {
    ListPostings::Runs runs = *runs_;
    while (!runs.empty() && runs.back()->end() - runs.back()->begin() < 2 * (column.count - begin)) {
      begin = runs.back()->begin();
      runs.pop_back();
    }
    runs.push_back(std::make_shared<const ListRun>(column, begin, column.count, dictionary_));
    uint64_t bytes = 0;
    for (const auto& run : runs) bytes += run->memory_bytes();
    bytes_.store(bytes, std::memory_order_relaxed);
    runs_ = std::make_shared<const ListPostings::Runs>(std::move(runs));
  }
  return ListPostings(runs_, column.count, dictionary_);
}

}  // namespace bebr
