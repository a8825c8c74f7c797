// bebr: the command-line client.
#include <cstdio>
#include <cstdlib>

#include "absl/strings/match.h"
#include "client/cli/command.h"
#include "index/base/logging.h"

namespace {

// Exit codes: 0 done, 1 the server or a file said no, 2 wrong usage, 3 no server.
constexpr int kFailed = 1;
constexpr int kUsageError = 2;
constexpr int kNoServer = 3;

int Report(const bebr::Command& command, const absl::Status& status) {
  if (status.ok()) return EXIT_SUCCESS;
  const std::string message(status.message());
  const bool refused = absl::IsUnavailable(status) && (absl::StrContains(message, "failed to connect") ||
                                                       absl::StrContains(message, "DNS resolution failed"));
  if (refused) {
    std::fprintf(stderr,
                 "bebr: no server answers at %s (%s)\n"
                 "Start one with: bebr-server --data_dir DIR\n"
                 "or name another with --server HOST:PORT or the environment variable BEBR_SERVER.\n",
                 command.server.c_str(), message.c_str());
    return kNoServer;
  }
  std::fprintf(stderr, "bebr: %s: %s\n", absl::StatusCodeToString(status.code()).c_str(), message.c_str());
  return kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  bebr::InitLogging("error");
  setenv("GRPC_VERBOSITY", "NONE", 0);  // its messages repeat ours
  bebr::Command command;
  CLI::App app("bebr: client of the binary-embedding vector search server");
  app.require_subcommand(1);
  bebr::AddCreate(app, command);
  bebr::AddImport(app, command);
  bebr::AddSearch(app, command);
  bebr::AddGet(app, command);
  bebr::AddDelete(app, command);
  bebr::AddCount(app, command);
  bebr::AddStats(app, command);
  bebr::AddCollections(app, command);
  bebr::AddDrop(app, command);
  bebr::AddEval(app, command);
  bebr::AddVersion(app, command);
  bebr::AddAlias(app, command);
  bebr::AddSnapshot(app, command);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EXIT_SUCCESS : kUsageError;
  }
  return Report(command, command.run());
}
