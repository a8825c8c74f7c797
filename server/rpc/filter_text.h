// Filters as requests have them.
#ifndef BEBR_SERVER_RPC_FILTER_TEXT_H_
#define BEBR_SERVER_RPC_FILTER_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bebr/v1/types.pb.h"

namespace bebr {

inline constexpr size_t kMaxFilterTreeDepth = 32;  // nodes in each other

// The text of a filter's tree, in the language of the engine, at most kMaxBuiltFilterBytes. INVALID_ARGUMENT, naming
// the node by its path, e.g. "filter_tree.all_of[1].test".
absl::StatusOr<std::string> FilterText(const v1::Filter& tree);

// INVALID_ARGUMENT if a filter that came as text has more than kMaxFilterBytes.
absl::Status CheckFilterText(std::string_view text);

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_FILTER_TEXT_H_
