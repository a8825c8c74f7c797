// The whole way from embeddings to a model file.
#ifndef BEBR_INDEX_TRAIN_TRAINING_RUN_H_
#define BEBR_INDEX_TRAIN_TRAINING_RUN_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/binarizer/model.h"
#include "index/dataset/vector_file.h"
#include "index/fit/row_stream.h"
#include "index/fit/validation.h"
#include "index/train/compatible.h"
#include "index/train/options.h"
#include "index/train/trainer.h"

namespace bebr {

// A shape that was tried, and what its start reached on the held-out queries.
struct TriedShape {
  std::string shape;
  uint32_t bits = 0;
  double recall_at_10 = 0.0;
  bool all_queries = false;  // measured on every held-out query, not on a part
};

// A model and how it came about; what bebr-train prints.
struct TrainResult {
  Model model;
  size_t rows = 0;
  size_t held_out_queries = 0;
  size_t recall_documents = 0;    // that recalls are measured among
  std::vector<TriedShape> tried;  // empty where the shape was given
  HeldOutRecall start;            // on the held-out queries
  HeldOutRecall grouped;          // of the start with groups; nothing where there is none
  HeldOutRecall kept;             // of `model`
  bool trained_kept = false;      // false: the start is at least as good as everything that training reached
  int64_t steps = 0;
  std::vector<CurvePoint> curve;
  std::optional<CompatibilityReport> compatibility;
  double bits_that_differ = 0.0;  // share, between libtorch's forward pass and the encoder: CodeDisagreement
  size_t fit_rows = 0;            // that mean and covariance are measured on
  double fit_s = 0.0;             // which took so long
  // Of few rows, whose neighbours are easily found among so few: what to expect of the start among many (few_rows.h).
  std::optional<double> among_many;
  double start_s = 0.0;  // until the start was there: statistics, shapes, fit
  double total_s = 0.0;
  std::vector<std::string> warnings;
};

// Fits and trains a binarizer to `documents`. `queries` are held out; where it is empty, rows are split off from the
// documents. INVALID_ARGUMENT for input that no sound model can come from. Deterministic for options.seed, the number
// of threads and the processor. Memory: the documents, and about 1 GiB.
// `all`: the rows of which `documents` are a sample, for the fit; null: `documents`.
absl::StatusOr<TrainResult> Train(const TrainOptions& options, Matrix documents, Matrix queries, QueryPairs pairs = {},
                                  const RowStream* all = nullptr);

// The same for a model that writes into an older version's space (CompatibleStart, Trainer). Recalls are the mean of
// those on the older version's codes and on its own.
absl::StatusOr<TrainResult> TrainCompatible(const TrainOptions& options, OlderVersion older, Matrix documents,
                                            Matrix queries);

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_TRAINING_RUN_H_
