// From files of embeddings to a model file.
#ifndef BEBR_INDEX_TRAIN_TRAINING_FILES_H_
#define BEBR_INDEX_TRAIN_TRAINING_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/binarizer/model.h"
#include "index/train/options.h"
#include "index/train/training_run.h"

namespace bebr {

// Reads the files that `options` name, trains, and writes options.output (through a temporary file beside it). Before
// the work: INVALID_ARGUMENT for an output that cannot be written, NOT_FOUND for a resumption without a checkpoint.
//
// Of an input of more rows than training uses, an even sample is held, and the others are read again for each sum that
// the fit takes of them (RowStream), so that memory does not depend on their number.
absl::StatusOr<TrainResult> TrainFiles(const TrainOptions& options);

// Writes a model file, through a temporary file beside it. UNAVAILABLE if that cannot be done.
absl::Status WriteModel(const Model& model, const std::string& path);

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_TRAINING_FILES_H_
