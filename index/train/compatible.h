// Models that write into the space of an older one.
#ifndef BEBR_INDEX_TRAIN_COMPATIBLE_H_
#define BEBR_INDEX_TRAIN_COMPATIBLE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "index/binarizer/model.h"
#include "index/dataset/vector_file.h"
#include "index/fit/validation.h"
#include "index/train/options.h"

namespace bebr {

// The version that a new one is to be compatible with: its model, frozen, and its embeddings of the same documents, row
// for row.
struct OlderVersion {
  Model model;
  Matrix documents;
};

// What the code search of the old space finds of the new embedding's exact top 10, on held-out queries.
struct CompatibilityReport {
  std::optional<double> old_on_old;  // queries of the old version on its codes; nothing where they are not known
  double new_on_old = 0.0;           // queries of the new version on the old one's codes: nothing re-indexed
  double new_on_mixed = 0.0;         // every other document coded by the new version
  double new_on_new = 0.0;
  // The new version in a space of its own of the same shape, untrained; none where it has too few dims for that.
  std::optional<double> own_space_start;
};

// INVALID_ARGUMENT, naming the option and the figures, unless the rows pair up, the old model takes the old embeddings,
// and its space can be written into.
absl::Status CheckPaired(const OlderVersion& older, const Matrix& documents);

// A model that maps new embeddings into the old version's space: ridge regressions from `documents` (the new
// embeddings) to the values before the sign of every projection of the old model, and to its factors; where its codes
// lie in groups, to the rows that it codes (Translation). Deterministic. Errors: CheckPaired's. Cost: rows * n^2.
absl::StatusOr<Model> CompatibleStart(const OlderVersion& older, const Matrix& documents);

// Multiplies the scale of the new version's documents by a constant, at most 1.2, that makes queries of the new version
// find more of their exact neighbours where every other document is coded by the older version: a code of the older one
// says less of the new similarity, so equal scores are not equally sure. The smallest constant that comes close to the
// best. Scores on codes of one version keep their order but for the weight of the offsets.
absl::StatusOr<Model> BalanceVersions(const Model& model, const OlderVersion& older, const Validator& validator);

// Measures `model` against the old version. `queries_old` are the old version's embeddings of the validator's queries,
// or empty. The validator's documents must be all of the old version's, in order.
absl::StatusOr<CompatibilityReport> MeasureCompatibility(const Model& model, const OlderVersion& older,
                                                         const Matrix& queries_old, const Validator& validator);

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_COMPATIBLE_H_
