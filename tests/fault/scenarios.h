// What the fault sweep does to a data directory, and what it sees there.
#ifndef BEBR_TESTS_FAULT_SCENARIOS_H_
#define BEBR_TESTS_FAULT_SCENARIOS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "index/engine.h"

namespace bebr::testing {

// One operation on the directory that Prepare makes. kInternal stands for a wrong answer.
struct Scenario {
  std::string name;
  std::function<absl::Status(std::unique_ptr<Engine>& engine)> run;
};
const std::vector<Scenario>& Scenarios();

absl::StatusOr<std::unique_ptr<Engine>> OpenEngine(const std::string& data_dir);
// Makes a data directory with collections "a", which the scenarios change, and "b", in all states that have files of
// their own: table files, logs, versions, a snapshot, an alias.
absl::Status Prepare(const std::string& data_dir);
// What a client sees: collections, versions, documents, floats, codes, answers, aliases, snapshots. Of versions that
// are not encoded yet nothing but the name. Waits for the end of backfills.
std::string Describe(Engine& engine);
// Whether "b" answers as it did, without a read of the disk.
bool ServesBeside(Engine& engine);
// Writes to both collections and changes the manifest and the aliases, tried again for a minute while the disk's fault
// is dealt with.
absl::Status GoOn(Engine& engine);

}  // namespace bebr::testing

#endif  // BEBR_TESTS_FAULT_SCENARIOS_H_
