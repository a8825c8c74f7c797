// The engine's asynchronous calls, waited for.
#ifndef BEBR_TESTS_SUPPORT_ENGINE_CALLS_H_
#define BEBR_TESTS_SUPPORT_ENGINE_CALLS_H_

#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "index/engine.h"

namespace bebr::testing {

inline absl::StatusOr<UpsertResult> UpsertAndWait(Engine& engine, UpsertRequest request) {
  absl::StatusOr<UpsertResult> outcome;
  absl::Notification finished;
  engine.Upsert(std::move(request), [&](absl::StatusOr<UpsertResult> result) {
    outcome = std::move(result);
    finished.Notify();
  });
  finished.WaitForNotification();
  return outcome;
}

inline absl::StatusOr<uint64_t> DeleteAndWait(Engine& engine, std::string_view collection,
                                              std::vector<std::string> ids) {
  absl::StatusOr<uint64_t> outcome;
  absl::Notification finished;
  engine.Delete(collection, std::move(ids), [&](absl::StatusOr<uint64_t> result) {
    outcome = std::move(result);
    finished.Notify();
  });
  finished.WaitForNotification();
  return outcome;
}

inline absl::StatusOr<SearchResult> SearchAndWait(Engine& engine, SearchRequest request) {
  absl::StatusOr<SearchResult> outcome;
  absl::Notification finished;
  engine.Search(std::move(request), [&](absl::StatusOr<SearchResult> result) {
    outcome = std::move(result);
    finished.Notify();
  });
  finished.WaitForNotification();
  return outcome;
}

// A directory that is removed with everything in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "bebr-test-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace bebr::testing

#endif  // BEBR_TESTS_SUPPORT_ENGINE_CALLS_H_
