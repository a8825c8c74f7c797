// Writes to all documents that satisfy a filter.
#ifndef BEBR_INDEX_REQUEST_FILTERED_WRITE_H_
#define BEBR_INDEX_REQUEST_FILTERED_WRITE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/base/clock.h"
#include "index/collection/collection.h"
#include "index/types/write.h"

namespace bebr {

// What Collection::ChangeSelected takes: the documents that satisfy `filter`. INVALID_ARGUMENT as of Filter::Parse. In
// its turn, INVALID_ARGUMENT if the filter matches documents although it names an attribute or a type that none has,
// unless it is a `part`, and RESOURCE_EXHAUSTED if there are more than `limit`; CANCELLED and
// DEADLINE_EXCEEDED, until it is known which they are, by `deadline` and `cancelled`, which may be null.
absl::StatusOr<Collection::Selector> SelectByFilter(std::string_view filter, size_t limit, bool part,
                                                    SteadyTime deadline,
                                                    std::shared_ptr<const std::atomic<bool>> cancelled);

// The two errors above, of `count` documents and what Filter::Unknown says is unknown.
absl::Status CheckSelected(const std::vector<std::string>& unknown, uint64_t count, size_t limit);

// INVALID_ARGUMENT unless the change changes something, within the limits of attributes. Makes values those of the
// schema's kinds.
absl::Status CheckChange(const AttributeSchema& schema, AttributeChange& change);

}  // namespace bebr

#endif  // BEBR_INDEX_REQUEST_FILTERED_WRITE_H_
