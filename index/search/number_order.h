// Integers and decimals compared by value, exactly: which of the one kind equal, or are at least, a literal of the
// other.
#ifndef BEBR_INDEX_SEARCH_NUMBER_ORDER_H_
#define BEBR_INDEX_SEARCH_NUMBER_ORDER_H_

#include <cstdint>
#include <optional>

#include "index/types/document.h"

namespace bebr {

// The int64 that equals `number`, if there is one.
std::optional<int64_t> EqualInt(double number);
// The double that equals `integer`, if there is one.
std::optional<double> EqualDouble(int64_t integer);
// The least int64 that is above the literal, a number, or, with `or_equal`, at least the literal; none if all are
// below.
std::optional<int64_t> LeastInt(const AttributeScalar& literal, bool or_equal);
// The least double that is above the literal, a number, or, with `or_equal`, at least the literal.
double LeastDouble(const AttributeScalar& literal, bool or_equal);

}  // namespace bebr

#endif  // BEBR_INDEX_SEARCH_NUMBER_ORDER_H_
