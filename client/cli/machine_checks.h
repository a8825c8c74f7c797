// What of a machine would keep a server on it from serving well.
#ifndef BEBR_CLIENT_CLI_MACHINE_CHECKS_H_
#define BEBR_CLIENT_CLI_MACHINE_CHECKS_H_

#include <string>
#include <vector>

namespace bebr {

// One thing that was looked at.
struct Finding {
  enum class Level { kGood, kWarning, kFault };
  Level level = Level::kGood;
  std::string about;   // one word or two: "huge pages"
  std::string found;   // the value, and the limit
  std::string advice;  // what to do; empty where all is well
};

// The machine and this session's limits: descriptors, memory, swap, huge pages, processor, clock.
std::vector<Finding> CheckMachine();
// A data directory: whether it can be written, its disk's room and kind, how long a sync takes, and the formats of its
// collections. Writes one small file there and removes it.
std::vector<Finding> CheckDataDirectory(const std::string& path);

}  // namespace bebr

#endif  // BEBR_CLIENT_CLI_MACHINE_CHECKS_H_
