// The engine's asynchronous calls, waited for.
#ifndef BEBR_TESTS_SUPPORT_ENGINE_CALLS_H_
#define BEBR_TESTS_SUPPORT_ENGINE_CALLS_H_

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "index/engine.h"
#include "tests/support/temporary_directory.h"

namespace bebr::testing {

inline absl::StatusOr<UpsertResult> UpsertAndWait(Engine& engine, UpsertRequest request) {
  auto outcome = std::make_shared<std::promise<absl::StatusOr<UpsertResult>>>();  // shared: set_value may outlast get
  engine.Upsert(std::move(request),
                [outcome](absl::StatusOr<UpsertResult> result) { outcome->set_value(std::move(result)); });
  return outcome->get_future().get();
}

inline absl::StatusOr<uint64_t> DeleteAndWait(Engine& engine, std::string_view collection,
                                              std::vector<std::string> ids) {
  auto outcome = std::make_shared<std::promise<absl::StatusOr<uint64_t>>>();  // shared: set_value may outlast get
  engine.Delete(collection, std::move(ids), [outcome](absl::StatusOr<ChangeResult> result) {
    outcome->set_value(result.ok() ? absl::StatusOr<uint64_t>(result->documents) : result.status());
  });
  return outcome->get_future().get();
}

inline absl::StatusOr<SearchResult> SearchAndWait(Engine& engine, SearchRequest request) {
  auto outcome = std::make_shared<std::promise<absl::StatusOr<SearchResult>>>();  // shared: set_value may outlast get
  engine.Search(std::move(request),
                [outcome](absl::StatusOr<SearchResult> result) { outcome->set_value(std::move(result)); });
  return outcome->get_future().get();
}

}  // namespace bebr::testing

#endif  // BEBR_TESTS_SUPPORT_ENGINE_CALLS_H_
