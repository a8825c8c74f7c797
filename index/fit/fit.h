// The training-free start as a whole: from rows to a model.
#ifndef BEBR_INDEX_FIT_FIT_H_
#define BEBR_INDEX_FIT_FIT_H_

#include <cstddef>
#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "index/binarizer/model.h"
#include "index/exact/matrix.h"
#include "index/fit/shape_search.h"
#include "index/types/document.h"

namespace bebr {

// What a model is to be fitted to, and with what.
struct FitRequest {
  Matrix rows;  // finite
  Metric metric = Metric::kCosine;
  size_t bits = 0;      // of a code; 0: the fewest that reach `recall`
  double recall = 0.0;  // recall@10 on rows that the model is not fitted to; only where `bits` is 0
  CodeKind code = CodeKind::kAuto;
  uint64_t seed = 1;
  std::function<bool()> cancelled;  // asked every some ten milliseconds of the work; null: never
};

// A model, and what it reached on rows that it is not fitted to.
struct FittedModel {
  Model model;
  size_t rows = 0;  // that it is fitted to
  double recall_at_10 = 0.0;
  bool reached = true;  // false: no code reaches FitRequest::recall; this is the largest one that is tried
};

// Fits the training-free start: a tenth of the rows, at most 500, are held out; the others give mean and principal
// components; the shape is the one whose start finds most of the held-out rows' neighbours, in as many groups as pay
// (StartWithGroups). INVALID_ARGUMENT for rows that say nothing (MeasureCorpus); CANCELLED.
//
// Cost. One thread, the caller's: for 30,000 rows some 15 s at 256 floats, minutes at 1,536. Memory: the rows four
// times, 20 bytes for each pair of dims and 20 for each pair of reduced ones a group, and the codes of at most 8,000
// rows.
absl::StatusOr<FittedModel> FitStart(FitRequest request);

// A model for embeddings of which nothing is known: the random rotation (RotationModel) in the shape that spends `bits`
// alike on all directions.
absl::StatusOr<Model> DataFreeModel(uint32_t dims, Metric metric, size_t bits, uint64_t seed);

// A model for codes that were made elsewhere, of so many bits: an embedding is +1 for each bit that is set and -1 for
// each that is not, and its code has these bits. Scores are cosines, 1 - 2 * Hamming distance / bits.
// INVALID_ARGUMENT unless `bits` is from 8 to 4,096: the file has bits * bits floats.
absl::StatusOr<Model> SignsModel(uint32_t bits);

}  // namespace bebr

#endif  // BEBR_INDEX_FIT_FIT_H_
