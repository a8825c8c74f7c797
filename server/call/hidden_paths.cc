#include "server/call/hidden_paths.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_replace.h"

namespace bebr {
namespace {

// What is replaced, in order: the longest first, which lies in another one.
std::vector<std::pair<std::string, std::string>>& Replacements() {
  static auto* const replacements = new std::vector<std::pair<std::string, std::string>>;
  return *replacements;
}

}  // namespace

void HidePaths(std::vector<std::string> directories) {
  std::sort(directories.begin(), directories.end(),
            [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
  Replacements().clear();
  for (std::string_view directory : directories) {
    while (directory.ends_with('/')) directory.remove_suffix(1);
    if (directory.empty() || directory.front() != '/') continue;  // says nothing of this machine
    Replacements().emplace_back(std::string(directory) + "/", "");
    Replacements().emplace_back(directory, "the data directory");
  }
}

std::string ForCallers(std::string_view text) {
  return absl::StrReplaceAll({text.data(), text.size()}, Replacements());
}

}  // namespace bebr
