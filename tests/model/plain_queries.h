// What searches with any options find, told plainly: all scores, sorted.
#ifndef BEBR_TESTS_MODEL_PLAIN_QUERIES_H_
#define BEBR_TESTS_MODEL_PLAIN_QUERIES_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "index/types/search.h"
#include "tests/support/reference_search.h"

namespace bebr::testing {

// A filter's text, and what it means.
struct Condition {
  std::string text;
  std::function<bool(const std::string& id, const Attributes& attributes)> holds;
};

// Documents with scores, best first.
using Ranked = std::vector<ReferenceCollection::Hit>;

// What one of the request's queries finds of `wanted` hits: with its filter, which means `filter`, and by its probe,
// exclude_ids, rerank and min_score.
Ranked FoundPlainly(const ReferenceCollection& reference, const SearchRequest& request, absl::Span<const float> query,
                    const Condition& filter, size_t wanted);

// What a search finds: as one query, by groups, which are the texts of one attribute, or fused; without examples, all
// of one version, and reranked only where there are no groups.
Ranked ExpectedOf(const ReferenceCollection& reference, const SearchRequest& request, const Condition& filter);

}  // namespace bebr::testing

#endif  // BEBR_TESTS_MODEL_PLAIN_QUERIES_H_
