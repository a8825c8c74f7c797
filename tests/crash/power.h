// What a power cut leaves of a directory.
#ifndef BEBR_TESTS_CRASH_POWER_H_
#define BEBR_TESTS_CRASH_POWER_H_

#include <cstdint>
#include <string>

namespace bebr::testing {

// From now on this process, which links disk_faults.cc, and those that it forks note in `record`, a directory, what of
// `root` is on disk for certain: of each file the bytes that it had when it was synced last, of each directory the
// names. What is there now counts as synced.
void RecordSyncs(const std::string& root, const std::string& record);

// Writes to `result` what a power cut may leave of `root`, which the recording process, no longer there, has left: all
// that was synced; of everything else, as `seed` has it, nothing, all, or some: names one by one, bytes by sectors.
void CutPower(const std::string& root, const std::string& record, const std::string& result, uint64_t seed);

}  // namespace bebr::testing

#endif  // BEBR_TESTS_CRASH_POWER_H_
