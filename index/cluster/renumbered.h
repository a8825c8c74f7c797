// Numbers of entries in the errors of parts of a request.
#ifndef BEBR_INDEX_CLUSTER_RENUMBERED_H_
#define BEBR_INDEX_CLUSTER_RENUMBERED_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace bebr {

// The number N of a message that begins with "FIELD[N]"; none: it does not.
std::optional<size_t> NumberIn(const std::string& field, const absl::Status& error);

// The error with the number that the entry has in the whole request, which `numbers` has by its number in the part.
absl::Status Renumbered(const std::string& field, const absl::Status& error, const std::vector<size_t>& numbers);

}  // namespace bebr

#endif  // BEBR_INDEX_CLUSTER_RENUMBERED_H_
