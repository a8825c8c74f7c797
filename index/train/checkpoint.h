// Where a training run that was interrupted goes on.
#ifndef BEBR_INDEX_TRAIN_CHECKPOINT_H_
#define BEBR_INDEX_TRAIN_CHECKPOINT_H_

#include <torch/torch.h>

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace bebr {

// Writes the tensors under another name and renames that, so that the file is whole at any time. UNAVAILABLE if it
// cannot be written.
absl::Status WriteCheckpoint(const std::string& path, const std::vector<torch::Tensor>& state);

// Calls `use` with the tensors, and returns what it does. NOT_FOUND where there is no file. DATA_LOSS for a file that
// cannot be read, or in which `use` finds other tensors than it needs, for which libtorch throws.
absl::Status ReadCheckpoint(const std::string& path,
                            absl::FunctionRef<absl::Status(const std::vector<torch::Tensor>& state)> use);

}  // namespace bebr

#endif  // BEBR_INDEX_TRAIN_CHECKPOINT_H_
