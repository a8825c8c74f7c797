#include "index/search/column_test.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/container/flat_hash_set.h"
#include "index/search/number_order.h"

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

// The tests of one filter condition on one column.
class ColumnTest {
 public:
  explicit ColumnTest(const TestedColumn& tested)
      : types_(tested.column.types.data()),
        values_(tested.column.values.data()),
        dictionary_(tested.dictionary),
        texts_(tested.texts),
        row_count_(tested.row_count) {}

  // The rows of `rows` that satisfy `node`.
  RowSet Evaluate(const Filter::Node& node, const RowSet& rows) const {
    switch (node.op) {
      case FilterOperator::kExists:
        return Present(rows);
      case FilterOperator::kEqual:
      case FilterOperator::kIn:
        return AnyOf(node.literals, rows);
      case FilterOperator::kNotEqual:
        return NoneOf(node.literals, rows);
      case FilterOperator::kStartsWith:
        return ByAnswer(AttributeType::kString, texts_.at(&node), false, rows);
      case FilterOperator::kContains:
      case FilterOperator::kContainsAny:
      case FilterOperator::kContainsAll:
        return ByAnswer(AttributeType::kList, texts_.at(&node), false, rows);
      default:
        return Ordered(node, rows);
    }
  }

 private:
  // The values of one type that a condition names, in the form that the column holds.
  using Values = std::vector<uint64_t>;
  static constexpr AttributeType kTypes[] = {AttributeType::kString, AttributeType::kInt, AttributeType::kDouble,
                                             AttributeType::kBool, AttributeType::kTimestamp};

  RowSet Present(const RowSet& rows) const {
    return Scan(rows, row_count_, [this](uint32_t first, uint32_t count, uint8_t* flags) {
      for (uint32_t i = 0; i < count; ++i) flags[i] = types_[first + i] != AttributeType::kAbsent;
    });
  }

  // The rows of this type whose value satisfies match, negated or not.
  template <typename Match>
  RowSet Matching(AttributeType type, bool negated, const RowSet& rows, const Match& match) const {
    return Scan(rows, row_count_, [&](uint32_t first, uint32_t count, uint8_t* flags) {
      // Locals: the compiler must know that writing flags changes neither the pointers nor the columns.
      const AttributeType* __restrict types = types_ + first;
      const uint64_t* __restrict values = values_ + first;
      // Most columns hold one type: the passes for the others look at the types alone.
      if (std::memchr(types, static_cast<int>(type), count) == nullptr) {
        std::memset(flags, 0, count);
        return;
      }
      for (uint32_t i = 0; i < count; ++i) flags[i] = (types[i] == type) & (match(values[i]) != negated);
    });
  }

  RowSet InSet(AttributeType type, const Values& set, bool negated, const RowSet& rows) const {
    if (set.empty()) return Matching(type, negated, rows, [](uint64_t) { return false; });
    if (set.size() == 1) return InFew<1>(type, set, negated, rows);
    if (set.size() <= 4) return InFew<4>(type, set, negated, rows);
    if (set.size() <= 8) return InFew<8>(type, set, negated, rows);
    const absl::flat_hash_set<uint64_t> many(set.begin(), set.end());
    return Matching(type, negated, rows, [&many](uint64_t value) { return many.contains(value); });
  }

  // For at most kCount values: a comparison with each costs less than a look-up while they are few.
  template <size_t kCount>
  RowSet InFew(AttributeType type, const Values& set, bool negated, const RowSet& rows) const {
    std::array<uint64_t, kCount> wanted;
    wanted.fill(set.front());
    std::copy(set.begin(), set.end(), wanted.begin());
    return Matching(type, negated, rows, [wanted](uint64_t value) {
      bool found = false;
      for (const uint64_t one : wanted) found |= value == one;
      return found;
    });
  }

  // What equals a literal in a column of this type. A number may equal values of both number types, and zero two
  // doubles.
  Values ValuesOf(AttributeType type, const std::vector<AttributeScalar>& literals) const {
    Values values;
    for (const AttributeScalar& literal : literals) AddEqual(type, literal, values);
    return values;
  }

  void AddEqual(AttributeType type, const AttributeScalar& literal, Values& values) const {
    const auto* text = std::get_if<std::string>(&literal);
    const auto* integer = std::get_if<int64_t>(&literal);
    const auto* number = std::get_if<double>(&literal);
    const auto* flag = std::get_if<bool>(&literal);
    const auto* time = std::get_if<Timestamp>(&literal);
    if (type == AttributeType::kString && text != nullptr) {
      if (const std::optional<uint32_t> found = dictionary_.Find(*text)) values.push_back(*found);
    } else if (type == AttributeType::kBool && flag != nullptr) {
      values.push_back(*flag ? 1 : 0);
    } else if (type == AttributeType::kTimestamp && time != nullptr) {
      values.push_back(static_cast<uint64_t>(time->unix_us));
    } else if (type == AttributeType::kInt && (integer != nullptr || number != nullptr)) {
      const std::optional<int64_t> equal = integer != nullptr ? *integer : EqualInt(*number);
      if (equal) values.push_back(static_cast<uint64_t>(*equal));
    } else if (type == AttributeType::kDouble && (integer != nullptr || number != nullptr)) {
      const std::optional<double> equal = number != nullptr ? *number : EqualDouble(*integer);
      if (!equal) return;
      values.push_back(std::bit_cast<uint64_t>(*equal));
      if (*equal == 0) values.push_back(std::bit_cast<uint64_t>(-*equal));
    }
  }

  RowSet AnyOf(const std::vector<AttributeScalar>& literals, const RowSet& rows) const {
    RowSet result(rows.size(), 0);
    for (const AttributeType type : kTypes) {
      const Values set = ValuesOf(type, literals);
      if (!set.empty()) Unite(InSet(type, set, false, rows), result);
    }
    return result;
  }

  RowSet NoneOf(const std::vector<AttributeScalar>& literals, const RowSet& rows) const {
    RowSet result(rows.size(), 0);
    for (const AttributeType type : kTypes) {
      if (!Comparable(type, literals.front())) continue;
      Unite(InSet(type, ValuesOf(type, literals), true, rows), result);
    }
    return result;
  }

  static bool Comparable(AttributeType type, const AttributeScalar& literal) {
    if (std::holds_alternative<std::string>(literal)) return type == AttributeType::kString;
    if (std::holds_alternative<bool>(literal)) return type == AttributeType::kBool;
    if (std::holds_alternative<Timestamp>(literal)) return type == AttributeType::kTimestamp;
    return type == AttributeType::kInt || type == AttributeType::kDouble;
  }

  // <, <=, > and >=.
  RowSet Ordered(const Filter::Node& node, const RowSet& rows) const {
    const AttributeScalar& literal = node.literals.front();
    const bool negated = Negated(node.op), or_equal = OrEqual(node.op);
    if (std::holds_alternative<std::string>(literal))
      return ByAnswer(AttributeType::kString, texts_.at(&node), negated, rows);
    if (const auto* flag = std::get_if<bool>(&literal)) {
      const uint64_t bound = (*flag ? 1 : 0) + (or_equal ? 0 : 1);
      return Matching(AttributeType::kBool, negated, rows, [bound](uint64_t value) { return value >= bound; });
    }
    if (const auto* time = std::get_if<Timestamp>(&literal)) {
      const int64_t bound = time->unix_us + (or_equal ? 0 : 1);
      return Matching(AttributeType::kTimestamp, negated, rows,
                      [bound](uint64_t value) { return static_cast<int64_t>(value) >= bound; });
    }
    RowSet result;
    if (const std::optional<int64_t> bound = LeastInt(literal, or_equal)) {
      result = Matching(AttributeType::kInt, negated, rows,
                        [bound = *bound](uint64_t value) { return static_cast<int64_t>(value) >= bound; });
    } else {
      result = Matching(AttributeType::kInt, negated, rows, [](uint64_t) { return false; });
    }
    // Documents hold no NaN, so the negation of "at least" is "below".
    Unite(Matching(AttributeType::kDouble, negated, rows,
                   [bound = LeastDouble(literal, or_equal)](uint64_t value) {
                     return std::bit_cast<double>(value) >= bound;
                   }),
          result);
    return result;
  }

  // The rows of this type, strings or lists, for whose entry of the dictionary the answer is yes, negated or not.
  RowSet ByAnswer(AttributeType type, const std::vector<uint64_t>& answers, bool negated, const RowSet& rows) const {
    // The value is a number of the dictionary in rows of these types only.
    return Scan(rows, row_count_, [&](uint32_t first, uint32_t count, uint8_t* flags) {
      for (uint32_t i = 0; i < count; ++i) {
        const uint64_t number = values_[first + i];
        const bool is_one = types_[first + i] == type && number / 64 < answers.size();
        flags[i] = is_one && ((answers[number / 64] >> (number % 64) & 1) != 0) != negated;
      }
    });
  }

  static void Unite(const RowSet& from, RowSet& into) {
    for (size_t i = 0; i < into.size(); ++i) into[i] |= from[i];
  }

  const AttributeType* const types_;
  const uint64_t* const values_;
  const AttributeDictionary& dictionary_;
  const Filter::TextAnswers& texts_;
  const uint32_t row_count_;
};

}  // namespace

RowSet TestColumn(const Filter::Node& node, const TestedColumn& tested, const RowSet& rows) {
  return ColumnTest(tested).Evaluate(node, rows);
}

RowSet TestIds(const Filter::Node& node, const Segment& ids, uint32_t row_count, const RowSet& rows) {
  const auto matching = [&](const auto& match) {
    return Scan(rows, row_count, [&](uint32_t first, uint32_t count, uint8_t* flags) {
      for (uint32_t i = 0; i < count; ++i) flags[i] = match(ids.id(first + i));
    });
  };
  if (node.op == FilterOperator::kExists) return rows;
  const auto text = [](const AttributeScalar& literal) { return std::string_view(std::get<std::string>(literal)); };
  const std::string_view first = text(node.literals.front());
  switch (node.op) {
    case FilterOperator::kNotEqual:
      return matching([first](std::string_view id) { return id != first; });
    case FilterOperator::kStartsWith:
      return matching([first](std::string_view id) { return id.starts_with(first); });
    case FilterOperator::kEqual:
    case FilterOperator::kIn: {
      absl::flat_hash_set<std::string_view> wanted;
      for (const AttributeScalar& literal : node.literals) wanted.insert(text(literal));
      if (wanted.size() == 1) return matching([first](std::string_view id) { return id == first; });
      return matching([&wanted](std::string_view id) { return wanted.contains(id); });
    }
    default:
      return matching([first, negated = Negated(node.op), or_equal = OrEqual(node.op)](std::string_view id) {
        return (or_equal ? id >= first : id > first) != negated;
      });
  }
}

}  // namespace bebr
