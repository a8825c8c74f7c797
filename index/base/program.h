// How the programs bebr, bebr-server and bebr-train end.
#ifndef BEBR_INDEX_BASE_PROGRAM_H_
#define BEBR_INDEX_BASE_PROGRAM_H_

namespace bebr {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;        // a file, the server or the machine said no
inline constexpr int kExitUsage = 2;         // wrong arguments or a wrong configuration: nothing was tried
inline constexpr int kExitServerNotNow = 3;  // no server answers, or it refuses for now: the same may work later

// Closes standard output and returns `code`, or, after a line on standard error, kExitFailed if what was printed could
// not all be written, as on a full disk. Must be the last use of standard output.
int EndOutput(const char* program, int code);

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_PROGRAM_H_
