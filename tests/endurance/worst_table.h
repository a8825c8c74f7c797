// What worst_inputs is made of: engines, documents, and a table of what calls cost.
#ifndef BEBR_TESTS_ENDURANCE_WORST_TABLE_H_
#define BEBR_TESTS_ENDURANCE_WORST_TABLE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "index/engine.h"
#include "tests/support/temporary_directory.h"

namespace bebr::testing {

inline constexpr uint32_t kWorstDims = 16;
inline constexpr size_t kSearchedDocuments = 30000;

// One engine over a directory of its own, with a collection "c".
class Subject {
 public:
  explicit Subject(CollectionConfig config = {}, std::string model = "");
  Engine& engine() { return *engine_; }
  std::string path() const { return directory_.path(); }
  absl::Status status() const { return status_; }
  void Close() { engine_.reset(); }
  // Starts again.
  absl::Status Open();

 private:
  absl::Status Start();

  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  absl::Status status_;
};

// Megabytes that a call, and the start after it, may take at most.
struct MostMegabytes {
  double call = 1024, start = 1024;
};

// Runs calls and prints what they cost: seconds, seconds of processors, megabytes at most; the same of the next start,
// of which a process that goes on has no megabytes of its own. So much time of processors is too much, or ten times as
// much of any: beside others on the machine the first alone says something.
class Table {
 public:
  using Call = std::function<absl::Status()>;

  explicit Table(double most_seconds);
  // A call on a subject, which starts again afterwards, if it is to.
  void Run(const std::string& what, Subject& subject, const Call& call, bool restarts = true);
  // A call that takes memory in a process, `pid` of it, and what starts that again.
  void Measure(const std::string& what, const std::function<pid_t()>& pid, const Call& call, const Call& restart,
               const MostMegabytes& most = {});
  bool good() const { return good_; }

 private:
  struct Cost {
    double seconds = 0, processor_seconds = 0, megabytes = 0;
  };
  bool IsSlow(const Cost& cost) const;

  const double most_seconds_;
  bool good_ = true;
};

// Documents of one request, with the vectors that they borrow.
struct Documents {
  std::vector<std::vector<float>> vectors;
  UpsertRequest request{.collection = "c"};
};
Documents MakeDocuments(size_t count, uint32_t dims, const std::function<void(size_t, DocumentInput&)>& edit);

// `text`, made so long with x.
std::string Padded(const std::string& text, size_t bytes);

// The parts, for each of which there is a file.
void RunSearched(Table& table);  // filters, searches, readings, and changes of everything by a filter
void RunKept(Table& table);      // what stays behind calls: snapshots, aliases, kept views
void RunServer(Table& table);    // messages, models, watches, through a real server

}  // namespace bebr::testing

#endif  // BEBR_TESTS_ENDURANCE_WORST_TABLE_H_
