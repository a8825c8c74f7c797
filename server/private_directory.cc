#include "server/private_directory.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_format.h"
#include "index/base/logging.h"

namespace bebr {

absl::Status MakePrivateDirectory(std::string_view option, std::string_view directory) {
  while (directory.size() > 1 && directory.back() == '/') directory.remove_suffix(1);
  const std::string path(directory);
  struct stat there {};
  if (stat(path.c_str(), &there) == 0) {
    if (S_ISDIR(there.st_mode) && (there.st_mode & S_IRWXO) != 0) {
      LogWarning("{} \"{}\" is open to all users of this machine (mode {:04o}); close it: chmod o= '{}'", option, path,
                 there.st_mode & 07777, path);
    }
    return absl::OkStatus();
  }
  std::error_code error;  // if a parent cannot be made, the directory cannot either
  const auto parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (mkdir(path.c_str(), S_IRWXU) == 0 || errno == EEXIST) return absl::OkStatus();
  return absl::UnavailableError(absl::StrFormat("%s \"%s\" cannot be created: %s", option, path, std::strerror(errno)));
}

}  // namespace bebr
