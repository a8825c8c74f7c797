// Verification of files without a server: by the server's program, beside this one or in PATH.
#ifndef BEBR_CLIENT_CLI_VERIFY_H_
#define BEBR_CLIENT_CLI_VERIFY_H_

#include <string>

#include "absl/status/status.h"

namespace bebr {

// Prints what is there and what is damaged, as `bebr-server --verify` does. `snapshot_dir` may be empty: that of a
// server that is not told. FAILED_PRECONDITION without the server's program; DATA_LOSS if something is damaged, or
// cannot be read. Costs reading all files.
absl::Status VerifyFiles(const std::string& data_dir, const std::string& snapshot_dir);

// The same of snapshots alone, wherever they were copied to: a directory of COLLECTION/SNAPSHOT.
absl::Status VerifySnapshots(const std::string& snapshot_dir);

}  // namespace bebr

#endif  // BEBR_CLIENT_CLI_VERIFY_H_
