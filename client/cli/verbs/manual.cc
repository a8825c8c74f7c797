#include "client/cli/manual.h"

namespace bebr {

void AddManual(CLI::App& app, Command& command) {
  AddVerb(app, command, "manual", "print the manual page, as man reads it", "bebr manual", [&app] {
    std::fputs(ManualPage(app).c_str(), stdout);
    return absl::OkStatus();
  });
  AddVerb(app, command, "completion", "print what completes verbs and options in bash", "bebr completion", [&app] {
    std::fputs(BashCompletion(app).c_str(), stdout);
    return absl::OkStatus();
  });
}

}  // namespace bebr
