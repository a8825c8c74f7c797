// Groups of documents, each with a start of its own.
#ifndef BEBR_INDEX_FIT_GROUPS_H_
#define BEBR_INDEX_FIT_GROUPS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "index/binarizer/model.h"
#include "index/exact/matrix.h"
#include "index/fit/start_model.h"

namespace bebr {

// What a start with groups needs to know of a set of embeddings.
struct GroupStatistics {
  size_t reduced_dims = 0;
  std::vector<float> reduce;               // reduced_dims x dims: principal components of all rows, rounded to f16
  std::vector<std::vector<float>> means;   // of each group's rows, dims values
  std::vector<uint32_t> basis_of;          // each group's
  std::vector<CorpusStatistics> of_basis;  // of the reduced rows of its groups, each less its group's mean
  std::vector<double> variances;           // of all of these, along each of the reduced dims
};

// How many groups, and how many bases they share.
struct GroupCounts {
  uint32_t groups = 0;
  uint32_t bases = 0;  // at most as many

  friend bool operator==(const GroupCounts&, const GroupCounts&) = default;
};

// Cuts rows into as many parts as there are bases by k-means, these into groups, and measures each part: rows of which
// it has few for its directions count for less than all parts together. `corpus` is MeasureCorpus of the same rows with
// at least `reduced_dims` components; `components` are how many are wanted of each basis. Groups that nothing falls
// into are left out, so that there may be fewer. INVALID_ARGUMENT if fewer than two are left.
//
// Rows are read three times; of a matrix at most kMaxFitRows are, evenly spaced. Cost: 32,000 x groups x reduced_dims
// multiply-adds some twenty times, rows x reduced_dims^2 once, and an eigenvalue problem of reduced_dims a basis.
// Memory beside the rows: 32,000 of them, and for each basis 256 and 8 bytes for each pair of reduced dims.
absl::StatusOr<GroupStatistics> MeasureGroups(const RowStream& rows, const CorpusStatistics& corpus, GroupCounts counts,
                                              size_t reduced_dims, size_t components, uint64_t seed,
                                              const Continues& continues = nullptr);
absl::StatusOr<GroupStatistics> MeasureGroups(const Matrix& rows, const CorpusStatistics& corpus, GroupCounts counts,
                                              size_t reduced_dims, size_t components, uint64_t seed,
                                              const Continues& continues = nullptr);

// How many of the principal components matter to codes of `dims` dims: those that hold this share of the variance.
size_t ReducedDims(const CorpusStatistics& corpus, size_t dims, double kept_energy);

// StartModel for each basis: one shape, and the basis's own directions, as bytes, and weights. Queries are fitted.
absl::StatusOr<Model> GroupedStartModel(const CorpusStatistics& corpus, const GroupStatistics& groups,
                                        const LevelPlan& shape, uint32_t query_levels, uint64_t seed,
                                        const Continues& continues = nullptr);

}  // namespace bebr

#endif  // BEBR_INDEX_FIT_GROUPS_H_
