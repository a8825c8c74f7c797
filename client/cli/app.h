// The command `bebr` as one tree of verbs: the one definition that parsing, --help, the manual page and the completion
// are made from.
#ifndef BEBR_CLIENT_CLI_APP_H_
#define BEBR_CLIENT_CLI_APP_H_

#include <memory>

#include "client/cli/command.h"

namespace bebr {

// All verbs. Parsing sets the fields of `command`, which must live as long.
std::unique_ptr<CLI::App> MakeApp(Command& command);

}  // namespace bebr

#endif  // BEBR_CLIENT_CLI_APP_H_
