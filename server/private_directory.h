// Directories that are nobody else's.
#ifndef BEBR_SERVER_PRIVATE_DIRECTORY_H_
#define BEBR_SERVER_PRIVATE_DIRECTORY_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace bebr {

// Makes `directory`, closed to all other users (0700), and what is missing above it. Where it is there already it stays
// as it is, since volumes come with owners and groups of their own; if all users of the machine may enter it, the log
// says so. `option` names it in messages. UNAVAILABLE if it cannot be made.
absl::Status MakePrivateDirectory(std::string_view option, std::string_view directory);

}  // namespace bebr

#endif  // BEBR_SERVER_PRIVATE_DIRECTORY_H_
