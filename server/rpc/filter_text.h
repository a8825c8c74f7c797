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

// The filter that a message has as `filter` or as `filter_tree`, as text; empty: none. INVALID_ARGUMENT if it has both,
// or if `filter` has more than kMaxFilterBytes.
absl::StatusOr<std::string> ReadFilter(std::string_view filter, const v1::Filter* tree);
template <typename Message>
absl::StatusOr<std::string> ReadFilter(const Message& message) {
  return ReadFilter(message.filter(), message.has_filter_tree() ? &message.filter_tree() : nullptr);
}

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_FILTER_TEXT_H_
