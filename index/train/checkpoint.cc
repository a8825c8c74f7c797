#include "index/train/checkpoint.h"

#include <exception>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "index/base/file.h"

namespace bebr {

absl::Status WriteCheckpoint(const std::string& path, const std::vector<torch::Tensor>& state) {
  try {
    std::vector<torch::Tensor> values;
    for (const torch::Tensor& tensor : state) values.push_back(tensor.detach());
    const std::string temporary = path + ".part";
    torch::save(values, temporary);
    return RenameSynced(temporary, path);
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat("the checkpoint '", path, "' cannot be written: ", error.what()));
  }
}

absl::Status ReadCheckpoint(const std::string& path,
                            absl::FunctionRef<absl::Status(const std::vector<torch::Tensor>& state)> use) {
  if (!std::filesystem::exists(path)) {
    return absl::NotFoundError(
        absl::StrCat("there is no checkpoint '", path, "' to resume from; leave --resume out to start anew"));
  }
  try {
    std::vector<torch::Tensor> state;
    torch::load(state, path);
    return use(state);
  } catch (const std::exception& error) {
    return absl::DataLossError(absl::StrCat("the checkpoint '", path, "' cannot be read: ", error.what()));
  }
}

}  // namespace bebr
