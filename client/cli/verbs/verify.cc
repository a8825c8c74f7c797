// Files are read by the server's program, which has the engine: this looks for it and runs it.
#include "client/cli/verify.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "index/base/program.h"

namespace bebr {
namespace {

// Beside this program, or where PATH says.
std::string ServerProgram() {
  std::error_code error;
  const std::filesystem::path own = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string beside = (own.parent_path() / "bebr-server").string();
  return !error && access(beside.c_str(), X_OK) == 0 ? beside : "bebr-server";
}

bool HoldsSnapshots(const std::string& directory) {
  std::error_code error;
  const auto counts = [](const std::filesystem::path& path) { return path.filename().string()[0] != '.'; };
  for (std::filesystem::directory_iterator of(directory, error), end; !error && of != end; of.increment(error)) {
    std::error_code none;
    for (std::filesystem::directory_iterator in(of->path(), none); !none && in != end; in.increment(none)) {
      if (counts(*of) && counts(*in) && std::filesystem::exists(in->path() / "snapshot.json", none)) return true;
    }
  }
  return false;
}

}  // namespace

absl::Status VerifyFiles(const std::string& data_dir, const std::string& snapshot_dir) {
  std::vector<std::string> arguments = {ServerProgram(), "--verify", absl::StrCat("--data_dir=", data_dir)};
  if (!snapshot_dir.empty()) arguments.push_back(absl::StrCat("--snapshot_dir=", snapshot_dir));
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  pid_t pid = 0;
  if (const int error = posix_spawnp(&pid, pointers[0], nullptr, nullptr, pointers.data(), environ); error != 0) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s cannot be run (%s): files are verified where the server is installed", arguments[0], strerror(error)));
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return absl::InternalError(absl::StrCat("waitpid: ", strerror(errno)));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  if (WIFEXITED(status) && WEXITSTATUS(status) == kExitUsage)
    return absl::FailedPreconditionError("nothing was read: see above");
  return absl::DataLossError("not everything could be read and was whole: see above");
}

absl::Status VerifySnapshots(const std::string& snapshot_dir) {
  std::error_code error;
  if (!HoldsSnapshots(snapshot_dir)) {
    return absl::NotFoundError(absl::StrFormat(
        "\"%s\" holds no COLLECTION/SNAPSHOT/snapshot.json: name the directory above those of the collections",
        snapshot_dir));
  }
  std::string empty = (std::filesystem::temp_directory_path(error) / "bebr-verify-XXXXXX").string();
  if (mkdtemp(empty.data()) == nullptr)
    return absl::UnavailableError(absl::StrFormat("cannot make %s: %s", empty, strerror(errno)));
  const auto remove = absl::MakeCleanup([&] { std::filesystem::remove_all(empty, error); });
  return VerifyFiles(empty, snapshot_dir);
}

void AddVerify(CLI::App& app, Command& command) {
  const auto data_dir = std::make_shared<std::string>(), snapshot_dir = std::make_shared<std::string>();
  CLI::App* verb = AddVerb(app, command, "verify",
                           "read all files of a data directory and its snapshots, which no server has open; exit "
                           "code 1 if one is damaged",
                           "bebr verify /var/lib/bebr", [data_dir, snapshot_dir]() -> absl::Status {
                             std::error_code error;
                             if (!std::filesystem::exists(*data_dir + "/collections", error)) {
                               return absl::NotFoundError(
                                   absl::StrFormat("\"%s\" is no data_dir: it has no directory collections; `bebr "
                                                   "snapshot verify` reads copies of snapshots",
                                                   *data_dir));
                             }
                             return VerifyFiles(*data_dir, *snapshot_dir);
                           });
  verb->add_option("data_dir", *data_dir, "the server's data_dir")->required();
  verb->add_option("--snapshot-dir", *snapshot_dir, "the server's snapshot_dir, if it has one");
}

}  // namespace bebr
