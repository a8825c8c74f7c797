// bebr: the command-line client.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "client/cli/app.h"
#include "google/rpc/error_details.pb.h"
#include "index/base/logging.h"
#include "index/base/program.h"

namespace {

// Whether the server found fault with an argument, not with what a file or the collection holds.
bool OfArgument(const absl::Status& status) {
  const std::string message(status.message());
  const bool strict = absl::StrContains(message, "no document has") || absl::StrContains(message, "is stored only");
  const auto payload = status.GetPayload("type.googleapis.com/google.rpc.BadRequest");
  google::rpc::BadRequest bad;
  if (!absl::IsInvalidArgument(status) || strict || !payload.has_value() ||
      !bad.ParseFromString(std::string(*payload)) || bad.field_violations().empty())
    return false;
  const std::string& field = bad.field_violations(0).field();
  return field != "query" && !absl::StartsWith(field, "queries") && !absl::StartsWith(field, "documents") &&
         !absl::StartsWith(field, "model");
}

int Report(const bebr::Command& command, const absl::Status& status) {
  if (status.ok()) return bebr::kExitDone;
  const std::string message(status.message());
  // gRPC's own words; a gateway that does not reach a node says its name first.
  if (absl::IsUnavailable(status) &&
      (absl::StartsWith(message, "failed to connect") || absl::StartsWith(message, "DNS resolution failed"))) {
    std::fprintf(stderr,
                 "bebr: no server answers at %s (%s)\n"
                 "Start one with: bebr-server --data_dir DIR\n"
                 "or name another with --server HOST:PORT or the environment variable BEBR_SERVER.\n",
                 command.server.c_str(), message.c_str());
    if (absl::StrContains(message, "Socket closed") || absl::StrContains(message, "wrong version number") ||
        absl::StrContains(message, "SSL") || absl::StrContains(message, "certificate")) {
      std::fprintf(stderr,
                   "If one does, it may speak TLS where this command does not (--tls-ca FILE), or the reverse.\n");
    }
    return bebr::kExitServerNotNow;
  }
  std::fprintf(stderr, "bebr: %s: %s\n", absl::StatusCodeToString(status.code()).c_str(), message.c_str());
  if (absl::IsUnauthenticated(status)) {
    std::fprintf(stderr, "Give a key in the environment variable BEBR_API_KEY, or with --api-key.\n");
  }
  if (absl::IsNotFound(status) && absl::StartsWith(message, "no collection is named")) {
    std::fprintf(stderr,
                 "`bebr collections` lists those that there are, `bebr create NAME --dims N` makes one for embeddings "
                 "of N floats.\n");
  }
  if (bebr::IsUsageError(status) || OfArgument(status) || absl::StartsWith(message, "the server is \""))
    return bebr::kExitUsage;
  if (!bebr::MayPassLater(status)) return bebr::kExitFailed;
  std::fprintf(stderr, "That may pass: try again.\n");
  return bebr::kExitServerNotNow;
}

int Run(int argc, char** argv) {
  bebr::InitLogging("error");
  setenv("GRPC_VERBOSITY", "NONE", 0);  // its messages repeat ours
  bebr::Command command;
  const auto app = bebr::MakeApp(command);
  std::vector<std::string> arguments(argv + 1, argv + argc);
  // `bebr help search` is what many programs have.
  if (!arguments.empty() && arguments[0] == "help") {
    arguments.erase(arguments.begin());
    arguments.push_back("--help");
  }
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
  try {
    app->parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return bebr::EndOutput("bebr", app->exit(error) == 0 ? bebr::kExitDone : bebr::kExitUsage);
  }
  return bebr::EndOutput("bebr", Report(command, command.run()));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bebr: %s\n", error.what());
    return bebr::kExitFailed;
  }
}
