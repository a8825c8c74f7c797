#include "index/search/number_order.h"

#include <cmath>
#include <limits>
#include <variant>

namespace bebr {
namespace {

constexpr double kTwoTo63 = 9223372036854775808.0;

double NextDouble(double number) { return std::nextafter(number, std::numeric_limits<double>::infinity()); }

}  // namespace

std::optional<int64_t> EqualInt(double number) {
  if (!(number >= -kTwoTo63 && number < kTwoTo63) || std::trunc(number) != number) return std::nullopt;
  return static_cast<int64_t>(number);
}

std::optional<double> EqualDouble(int64_t integer) {
  const double nearest = static_cast<double>(integer);
  if (EqualInt(nearest) != integer) return std::nullopt;
  return nearest;
}

std::optional<int64_t> LeastInt(const AttributeScalar& literal, bool or_equal) {
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
  if (const auto* integer = std::get_if<int64_t>(&literal)) {
    if (or_equal) return *integer;
    if (*integer == std::numeric_limits<int64_t>::max()) return std::nullopt;
    return *integer + 1;
  }
  const double number = std::get<double>(literal);
  // Above 2^53 a double and its floor are the same, so the sum below is taken in integers.
  const double bound = or_equal ? std::ceil(number) : std::floor(number);
  if (bound >= kTwoTo63) return std::nullopt;
  if (bound < -kTwoTo63) return kLeast;
  return static_cast<int64_t>(bound) + (or_equal ? 0 : 1);
}

double LeastDouble(const AttributeScalar& literal, bool or_equal) {
  if (const auto* number = std::get_if<double>(&literal)) return or_equal ? *number : NextDouble(*number);
  const int64_t integer = std::get<int64_t>(literal);
  const double nearest = static_cast<double>(integer);
  if (EqualInt(nearest) == integer) return or_equal ? nearest : NextDouble(nearest);
  const bool nearest_is_above = nearest >= kTwoTo63 || static_cast<int64_t>(nearest) > integer;
  return nearest_is_above ? nearest : NextDouble(nearest);
}

}  // namespace bebr
