#include "index/search/column_test.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string>
#include <string_view>
#include <variant>

#include "absl/container/flat_hash_set.h"
#include "index/search/list_match.h"
#include "index/search/located_ids.h"
#include "index/search/value_ranges.h"
#include "index/simd/kernels.h"

namespace bebr {
namespace {

constexpr uint32_t kWordRows = 64;

// The 64 flags, each 0 or 1, as bits.
uint64_t Pack(const uint8_t (&flags)[kWordRows]) {
  static_assert(std::endian::native == std::endian::little);
  uint64_t bits = 0;
  for (uint32_t i = 0; i < kWordRows; i += 8) {
    uint64_t eight;
    std::memcpy(&eight, flags + i, sizeof(eight));
    // Byte b of `eight` comes to bit 56 + b: the factor moves it by 56 - 7 b, and no two sums carry.
    bits |= ((eight * 0x0102040810204080u) >> 56) << i;
  }
  return bits;
}

// Calls test(first, count, flags) for each word of `rows` with a bit set, to fill flags[0..count-1] for the rows from
// `first` on, and returns the rows of `rows` whose flag is 1. No row beyond `row_count` is read: the writer may be at
// work there.
template <typename Test>
RowSet Scan(const RowSet& rows, uint32_t row_count, const Test& test) {
  RowSet result(rows.size(), 0);
  for (size_t word = 0; word < rows.size(); ++word) {
    if (rows[word] == 0) continue;
    const uint32_t first = static_cast<uint32_t>(word) * kWordRows;
    uint8_t flags[kWordRows];
    if (row_count - first >= kWordRows) {
      test(first, kWordRows, flags);  // a constant count: the loops inside are unrolled
    } else {
      std::memset(flags, 0, sizeof(flags));
      test(first, row_count - first, flags);
    }
    result[word] = Pack(flags) & rows[word];
  }
  return result;
}

simd::KeyForm FormOf(AttributeType type) {  // as OrderKey
  switch (type) {
    case AttributeType::kInt:
    case AttributeType::kTimestamp:
      return simd::KeyForm::kSigned;
    case AttributeType::kDouble:
      return simd::KeyForm::kDouble;
    default:
      return simd::KeyForm::kPlain;
  }
}

// Adds the rows in a range: of `words` words from `word` on, the last of which may have fewer rows.
void AddMatches(const KeyRange& range, const ColumnRows& column, size_t word, size_t words,
                std::array<uint64_t, kTileWords>& added) {
  const simd::RangeTest test{static_cast<uint8_t>(range.type), FormOf(range.type), range.least, range.most};
  const auto match = simd::Kernels().match;
  const size_t first = word * kWordRows;
  const auto* types = reinterpret_cast<const uint8_t*>(column.types) + first;
  const uint64_t* values = column.values + first;
  const size_t rows = column.count - first, whole = std::min(words, rows / kWordRows);
  std::array<uint64_t, kTileWords> bits;
  if (whole > 0) match(test, types, values, whole, bits.data());
  if (whole < words) {
    uint8_t last_types[kWordRows] = {};
    uint64_t last_values[kWordRows] = {};
    std::copy_n(types + whole * kWordRows, rows % kWordRows, last_types);
    std::copy_n(values + whole * kWordRows, rows % kWordRows, last_values);
    match(test, last_types, last_values, 1, bits.data() + whole);
  }
  for (size_t i = 0; i < words; ++i) added[i] |= bits[i];
}

// The tests of one filter condition on one column.
class ColumnTest {
 public:
  ColumnTest(const TestedColumn& tested, const RowSet& rows)
      : types_(tested.column.types.data()),
        values_(tested.column.values.data()),
        row_count_(tested.row_count),
        rows_(rows) {}

  RowSet Present() const {
    return Scan(rows_, row_count_, [this](uint32_t first, uint32_t count, uint8_t* flags) {
      for (uint32_t i = 0; i < count; ++i) flags[i] = types_[first + i] != AttributeType::kAbsent;
    });
  }

  // The rows whose value is in one of the ranges.
  RowSet InRanges(const std::vector<KeyRange>& ranges) const {
    const bool values =
        std::all_of(ranges.begin(), ranges.end(), [](const KeyRange& range) { return range.most - range.least <= 1; });
    if (values && ranges.size() > kMostPasses) return InSet(ranges);
    RowSet result(rows_.size(), 0);
    for (const KeyRange& range : ranges) AddRange(range, result);
    return result;
  }

  // The rows with a value in memory, no list, that is in none of the ranges.
  RowSet InNone(const std::vector<KeyRange>& ranges) const {
    RowSet others = Scan(rows_, row_count_, [this](uint32_t first, uint32_t count, uint8_t* flags) {
      for (uint32_t i = 0; i < count; ++i)
        flags[i] = types_[first + i] > AttributeType::kAbsent && types_[first + i] < AttributeType::kList;
    });
    const RowSet in = InRanges(ranges);
    for (size_t i = 0; i < others.size(); ++i) others[i] &= ~in[i];
    return others;
  }

  // The rows of this type, strings or lists, for whose entry of the dictionary the answer is yes, negated or not.
  RowSet ByAnswer(AttributeType type, const std::vector<uint64_t>& answers, bool negated) const {
    // The value is a number of the dictionary in rows of these types only.
    return Scan(rows_, row_count_, [&](uint32_t first, uint32_t count, uint8_t* flags) {
      for (uint32_t i = 0; i < count; ++i) {
        const uint64_t number = values_[first + i];
        const bool is_one = types_[first + i] == type && number / 64 < answers.size();
        flags[i] = is_one && ((answers[number / 64] >> (number % 64) & 1) != 0) != negated;
      }
    });
  }

 private:
  static constexpr size_t kMostPasses = 8;  // more cost as much as a look-up for every row

  // Adds the rows in one range.
  void AddRange(const KeyRange& range, RowSet& result) const {
    const ColumnRows column{types_, values_, row_count_};
    for (size_t begin = 0; begin < rows_.size();) {
      size_t end = begin;
      while (end < rows_.size() && end - begin < kTileWords && rows_[end] != 0) ++end;
      std::array<uint64_t, kTileWords> bits{};
      if (end > begin) AddMatches(range, column, begin, end - begin, bits);
      for (size_t word = begin; word < end; ++word) result[word] |= bits[word - begin] & rows_[word];
      begin = std::max(end, begin + 1);
    }
  }

  // The same for many ranges of one value, or two neighbours, each: those of an IN list, of which zero is two doubles.
  RowSet InSet(const std::vector<KeyRange>& ranges) const {
    std::array<absl::flat_hash_set<uint64_t>, kTypes> keys;
    for (const KeyRange& range : ranges) {
      keys[static_cast<size_t>(range.type)].insert(range.least);
      keys[static_cast<size_t>(range.type)].insert(range.most);
    }
    return Scan(rows_, row_count_, [&](uint32_t first, uint32_t count, uint8_t* flags) {
      for (uint32_t i = 0; i < count; ++i) {
        const AttributeType type = types_[first + i];
        const auto& wanted = keys[static_cast<size_t>(type)];
        flags[i] = !wanted.empty() && wanted.contains(OrderKey(type, values_[first + i]));
      }
    });
  }

  static constexpr size_t kTypes = static_cast<size_t>(AttributeType::kStored) + 1;

  const AttributeType* const types_;
  const uint64_t* const values_;
  const uint32_t row_count_;
  const RowSet& rows_;
};

}  // namespace

RowSet TestColumn(const Filter::Node& node, const TestedColumn& tested, const RowSet& rows) {
  const ColumnTest test(tested, rows);
  if (node.op == FilterOperator::kExists) return test.Present();
  if (node.op == FilterOperator::kHasOther) {
    return test.InNone(RangesOfValues(node.literals, tested.dictionary));
  }
  if (const auto ranges = RangesOf(node, tested.dictionary)) return test.InRanges(*ranges);
  if (IsContains(node.op)) return ListMatch(node, tested.column, tested.row_count).Among(rows);
  const AttributeType type = node.op == FilterOperator::kListHasOther ? AttributeType::kList : AttributeType::kString;
  return test.ByAnswer(type, tested.texts.at(&node), Negated(node.op));
}

RowSet TestRanges(const std::vector<KeyRange>& ranges, const TestedColumn& tested, const RowSet& rows) {
  return ColumnTest(tested, rows).InRanges(ranges);
}

void TestTile(const std::vector<ColumnRanges>& conditions, uint32_t row_count, uint32_t word, RowSet& rows) {
  const size_t words = std::min<size_t>(kTileWords, rows.size() - word);
  const auto tile = rows.begin() + word;
  for (size_t c = 0; c < conditions.size(); ++c) {
    std::array<uint64_t, kTileWords> satisfied{};
    if (conditions[c].column != nullptr) {
      const ColumnRows column{conditions[c].column->types.data(), conditions[c].column->values.data(), row_count};
      for (const KeyRange& range : conditions[c].ranges) AddMatches(range, column, word, words, satisfied);
    }
    for (size_t i = 0; i < words; ++i) tile[i] = c == 0 ? satisfied[i] : tile[i] & satisfied[i];
  }
}

RowSet TestIds(const Filter::Node& node, const Filter::Ids& ids, uint32_t row_count, const RowSet& rows) {
  if (node.op == FilterOperator::kExists) return rows;
  if (IsLocated(node)) {
    RowSet satisfied = rows;
    const bool equal = node.op != FilterOperator::kNotEqual;
    if (equal) std::fill(satisfied.begin(), satisfied.end(), 0);
    for (const uint16_t row : RowsWithIds(node, ids)) {
      const uint64_t bit = uint64_t{1} << (row % 64);
      satisfied[row / 64] = equal ? satisfied[row / 64] | (rows[row / 64] & bit) : satisfied[row / 64] & ~bit;
    }
    return satisfied;
  }
  const auto matching = [&](const auto& match) {
    return Scan(rows, row_count, [&](uint32_t first, uint32_t count, uint8_t* flags) {
      for (uint32_t i = 0; i < count; ++i) flags[i] = match(ids.segment.id(first + i));
    });
  };
  const std::string_view bound = std::get<std::string>(node.literals.front());
  if (node.op == FilterOperator::kStartsWith) {
    return matching([bound](std::string_view id) { return id.starts_with(bound); });
  }
  return matching([bound, negated = Negated(node.op), or_equal = OrEqual(node.op)](std::string_view id) {
    return (or_equal ? id >= bound : id > bound) != negated;
  });
}

}  // namespace bebr
