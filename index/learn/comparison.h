// How good a version's codes are, and a deeper look than the usual check takes.
#ifndef BEBR_INDEX_LEARN_COMPARISON_H_
#define BEBR_INDEX_LEARN_COMPARISON_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "index/collection/collection.h"
#include "index/types/collection.h"
#include "index/upgrade/recall.h"

namespace bebr {

inline constexpr size_t kComparisonQueries = 400;

// What a comparison found: recall@10 of the codes, and the candidates that hold 0.995 of the ten exact neighbours, so
// that a rerank of as many has a recall@10 of 0.99 and something to spare.
struct Comparison {
  VersionCheck check;  // without `against`: its figures are 0
  uint32_t rerank = 0;
};

// Compares a version on kComparisonQueries sampled documents with the exact neighbours by stored floats, and, where
// `against` is not null, with another version that takes the same embeddings. FAILED_PRECONDITION where there are no
// floats. Cost: reads all floats of the version once.
absl::StatusOr<Comparison> Compare(const Collection& collection, const Version& version, const Version* against,
                                   const SearchNow& search, const ReadingPace& pace);

}  // namespace bebr

#endif  // BEBR_INDEX_LEARN_COMPARISON_H_
