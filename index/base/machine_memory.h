// How much memory there is to plan with.
#ifndef BEBR_INDEX_BASE_MACHINE_MEMORY_H_
#define BEBR_INDEX_BASE_MACHINE_MEMORY_H_

#include <cstdint>

namespace bebr {

// Bytes of memory that this process may use at most: the machine's, or less where a container (cgroup) has a limit.
uint64_t MachineMemoryBytes();

}  // namespace bebr

#endif  // BEBR_INDEX_BASE_MACHINE_MEMORY_H_
