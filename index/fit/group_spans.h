// Starts with groups whose bases are told by what their runs span (index/binarizer/spans.h).
#ifndef BEBR_INDEX_FIT_GROUP_SPANS_H_
#define BEBR_INDEX_FIT_GROUP_SPANS_H_

#include <cstddef>
#include <cstdint>

#include "index/binarizer/model.h"
#include "index/fit/groups.h"

namespace bebr {

// Whether TellBySpans does, but for directions that hardly differ.
bool SpansPay(const LevelPlan& shape, size_t reduced, size_t bases);

// Tells the bases of a GroupedStartModel by what their runs span, which takes a third of the bytes, or less; leaves it
// as it is where spans would not do. Projections then turn inside each run by a rotation that all bases share.
void TellBySpans(const GroupStatistics& groups, uint64_t seed, Model& model);

}  // namespace bebr

#endif  // BEBR_INDEX_FIT_GROUP_SPANS_H_
