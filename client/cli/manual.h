// What is written from the tree of verbs, so that it cannot say something else than the command does.
#ifndef BEBR_CLIENT_CLI_MANUAL_H_
#define BEBR_CLIENT_CLI_MANUAL_H_

#include <string>

#include "client/cli/command.h"

namespace bebr {

// The manual page bebr(1), in man's own language.
std::string ManualPage(const CLI::App& root);
// A script for bash: verbs and options are completed, and elsewhere file names.
std::string BashCompletion(const CLI::App& root);

}  // namespace bebr

#endif  // BEBR_CLIENT_CLI_MANUAL_H_
