// What the documents of one engine are to a filter, so that several engines can say together what it asks for in vain.
#ifndef BEBR_INDEX_TYPES_FILTER_FACTS_H_
#define BEBR_INDEX_TYPES_FILTER_FACTS_H_

#include <cstdint>
#include <vector>

namespace bebr {

// Bits of Filter::Facts (index/search/filter.h), one number a comparison; of several engines the numbers are or-ed.
// Empty: there are no documents.
using FilterFacts = std::vector<uint8_t>;

}  // namespace bebr

#endif  // BEBR_INDEX_TYPES_FILTER_FACTS_H_
