// What must be in a data directory after the process that wrote to it was killed.
#ifndef BEBR_TESTS_CRASH_EXPECTED_STATE_H_
#define BEBR_TESTS_CRASH_EXPECTED_STATE_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace bebr::testing {

// A document, as far as it differs from others: the stamps of the writes that its attributes and its floats are of.
struct DocumentStamps {
  uint64_t attributes = 0;
  uint64_t floats = 0;
  bool operator==(const DocumentStamps&) const = default;
};
using StampsById = std::map<std::string, DocumentStamps>;

// A request: it takes effect wholly or not at all.
struct WriteRequest {
  enum Kind { kReplace = 'U', kMerge = 'M', kDelete = 'D' };
  Kind kind = kReplace;
  uint64_t stamp = 0;
  std::vector<std::string> ids;
};

// The requests of one writer to one collection, and the documents that only it writes. They take effect in their order,
// so what is there is what the first so many of them made: all that were acknowledged, and perhaps more.
class WriteStream {
 public:
  uint64_t next_stamp() const { return next_stamp_; }
  void Begin(WriteRequest request);
  void Acknowledge(uint64_t stamp);
  // How many of the requests since the last Settle are acknowledged.
  size_t acknowledged() const { return acknowledged_; }
  // The states that the first `from`, `from` + 1, ... of these make.
  std::vector<StampsById> States(size_t from) const;
  // What was found is what there is from now on. False if it may not be.
  bool Settle(const StampsById& found);

 private:
  StampsById settled_;
  std::vector<WriteRequest> requests_;
  size_t acknowledged_ = 0;
  uint64_t next_stamp_ = 1;
};

// Collections, their versions, snapshots and aliases.
struct Administration {
  struct Versions {
    std::string current;                  // the default
    std::map<std::string, bool> retired;  // by name
    bool operator==(const Versions&) const = default;
  };
  std::map<std::string, Versions> collections;
  std::set<std::pair<std::string, std::string>> snapshots;  // collection, name
  std::map<std::string, std::string> aliases;
  bool operator==(const Administration&) const = default;

  // Makes the effect of an operation, in words: "create x1", "promote c0 v2"; see stress_child.cc.
  void Apply(const std::vector<std::string>& words);
  std::string ToString() const;
};

// All of it, as the lines tell that the process under test writes before and after each operation (stress_child.h).
class ExpectedState {
 public:
  // Of what a writer wrote to a collection.
  using StreamKey = std::pair<std::string, int>;

  const WriteStream& stream(const std::string& collection, int writer) { return streams_[{collection, writer}]; }
  const Administration& administration() const { return administration_; }

  // Takes a line. Empty, or what is wrong.
  std::string Take(const std::string& line);
  // The process is no more.
  void End();

 private:
  using Words = std::vector<std::string>;
  using Snapshot = std::pair<std::string, std::string>;  // collection, name
  using Found = std::map<StreamKey, StampsById>;

  std::string TakeAdministration(const Words& words);
  std::string TakeOpen();
  std::string TakeRestored(const Snapshot& snapshot);
  void BeginSnapshot(const std::string& collection);
  void KeepSnapshot(const Snapshot& snapshot);

  std::map<StreamKey, WriteStream> streams_;
  Administration administration_;
  Words pending_;  // the administrative operation under way
  std::map<Snapshot, std::map<StreamKey, std::vector<StampsById>>> snapshots_;  // what each may hold
  std::map<StreamKey, size_t> at_begin_;                                        // of the one under way
  Administration found_;
  Found found_documents_;
};

}  // namespace bebr::testing

#endif  // BEBR_TESTS_CRASH_EXPECTED_STATE_H_
