// What is done to a data directory that no engine has open.
#include "index/collection/repair.h"
#include "index/collection/verify.h"
#include "index/engine.h"

namespace bebr {

absl::Status VerifyDataDirectory(const std::string& data_dir, const std::string& snapshot_dir,
                                 absl::FunctionRef<void(const std::string&, const absl::Status&)> report) {
  return VerifyData(data_dir, snapshot_dir, report);
}

absl::StatusOr<RepairReport> RepairCollection(const std::string& data_dir, const std::string& name, bool accept_loss) {
  return Repair(data_dir, name, accept_loss);
}

}  // namespace bebr
