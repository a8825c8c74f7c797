// Texts for callers, who are not to learn where this server keeps its files.
#ifndef BEBR_SERVER_CALL_HIDDEN_PATHS_H_
#define BEBR_SERVER_CALL_HIDDEN_PATHS_H_

#include <string>
#include <string_view>
#include <vector>

namespace bebr {

// The directories that texts for callers do not name, those in others too. Called once, before the first call.
void HidePaths(std::vector<std::string> directories);

// The text with what lies in those directories as it is called in there: "storage at collections/papers: ...". What the
// engine says of its faults goes through here on its way to a caller; the log has it whole. Thread-safe.
std::string ForCallers(std::string_view text);

}  // namespace bebr

#endif  // BEBR_SERVER_CALL_HIDDEN_PATHS_H_
