#include "index/base/program.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace bebr {

int EndOutput(const char* program, int code) {
  const bool failed_before = std::ferror(stdout) != 0;
  errno = 0;
  if (std::fclose(stdout) == 0 && !failed_before) return code;
  std::fprintf(stderr, "%s: the output could not be written%s%s; what is there is incomplete\n", program,
               errno == 0 ? "" : ": ", errno == 0 ? "" : std::strerror(errno));
  return kExitFailed;
}

}  // namespace bebr
