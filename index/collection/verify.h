// Whether what lies on disk is whole, without opening it for use.
#ifndef BEBR_INDEX_COLLECTION_VERIFY_H_
#define BEBR_INDEX_COLLECTION_VERIFY_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace bebr {

// What Engine's VerifyDataDirectory does.
using VerifyReport = absl::FunctionRef<void(const std::string& path, const absl::Status& status)>;
absl::Status VerifyData(const std::string& data_dir, const std::string& snapshot_dir, VerifyReport report);

}  // namespace bebr

#endif  // BEBR_INDEX_COLLECTION_VERIFY_H_
