// What a client can see of an engine, as JSON: the writer of a kept data directory keeps it, and the test of a later
// build compares with it.
#ifndef BEBR_TESTS_FORMATS_OBSERVE_H_
#define BEBR_TESTS_FORMATS_OBSERVE_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "index/engine.h"

namespace bebr::testing {

// A collection: what it says of itself and its versions, the documents `ids` with their embeddings, and what the
// engine answers to each of `requests`, which are objects of version, query, k, filter, rerank, first_levels,
// candidates (all but the query optional). Throws std::runtime_error with the engine's message where a call fails.
nlohmann::json ObserveCollection(Engine& engine, const std::string& name, const std::vector<std::string>& ids,
                                 const nlohmann::json& requests);
// {alias: collection}, and the snapshots in their order.
nlohmann::json ObserveAliases(Engine& engine);
nlohmann::json ObserveSnapshots(Engine& engine);

}  // namespace bebr::testing

#endif  // BEBR_TESTS_FORMATS_OBSERVE_H_
