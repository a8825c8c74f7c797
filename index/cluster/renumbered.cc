#include "index/cluster/renumbered.h"

#include <charconv>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bebr {

std::optional<size_t> NumberIn(const std::string& field, const absl::Status& error) {
  const absl::string_view message = error.message();
  if (!absl::StartsWith(message, absl::StrCat(field, "["))) return std::nullopt;
  size_t number = 0;
  const char* const begin = message.data() + field.size() + 1;
  const char* const last = message.data() + message.size();
  const auto [end, problem] = std::from_chars(begin, last, number);
  if (problem != std::errc() || end == last || *end != ']') return std::nullopt;
  return number;
}

absl::Status Renumbered(const std::string& field, const absl::Status& error, const std::vector<size_t>& numbers) {
  const std::optional<size_t> number = NumberIn(field, error);
  if (!number.has_value() || *number >= numbers.size()) return error;
  const absl::string_view rest = error.message().substr(error.message().find(']'));
  return absl::Status(error.code(), absl::StrCat(field, "[", numbers[*number], rest));
}

}  // namespace bebr
