// How far training and the server agree on codes.
#ifndef BEBR_INDEX_TRAIN_CODE_DISAGREEMENT_H_
#define BEBR_INDEX_TRAIN_CODE_DISAGREEMENT_H_

#include "absl/status/statusor.h"
#include "index/binarizer/model.h"
#include "index/dataset/vector_file.h"

namespace bebr {

// Share of the code bits that libtorch's forward pass and the Encoder disagree on, over `rows`: sums within rounding of
// zero. 0 for a fitted quantizer, whose codes libtorch only approximates.
absl::StatusOr<double> CodeDisagreement(const Model& model, const Matrix& rows);

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_CODE_DISAGREEMENT_H_
