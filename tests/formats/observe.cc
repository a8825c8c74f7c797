#include "tests/formats/observe.h"

#include <cstdlib>
#include <stdexcept>
#include <utility>
#include <variant>

#include "absl/strings/str_format.h"
#include "tests/support/engine_calls.h"

namespace bebr::testing {
namespace {

using nlohmann::json;

template <typename T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) throw std::runtime_error(result.status().ToString());
  return *std::move(result);
}

// A float with the digits that tell it from its neighbours' neighbours, which keeps the files small.
double Short(float value) { return std::strtod(absl::StrFormat("%.7g", value).c_str(), nullptr); }

std::string Name(VersionState state) {
  switch (state) {
    case VersionState::kAdded:
      return "added";
    case VersionState::kBackfilling:
      return "backfilling";
    case VersionState::kReady:
      return "ready";
    case VersionState::kDefault:
      return "default";
    case VersionState::kRetired:
      return "retired";
  }
  return "invalid";
}

json ToJson(const VersionInfo& version) {
  json object = {{"name", version.name},
                 {"state", Name(version.state)},
                 {"space", version.space},
                 {"same_embeddings_as", version.same_embeddings_as},
                 {"input_dims", version.input_dims},
                 {"query_levels", version.query_levels},
                 {"code", version.code},
                 {"bits", version.bits},
                 {"metric", std::string(ToString(version.metric))},
                 {"model_checksum", version.model_checksum},
                 {"documents", version.documents},
                 {"embeddings", version.embeddings}};
  if (const auto& check = version.check; check.has_value()) {
    object["check"] = {{"checked_unix_us", check->checked_unix_us},
                       {"against", check->against},
                       {"queries", check->queries},
                       {"k", check->k},
                       {"recall", check->recall},
                       {"against_recall", check->against_recall},
                       {"overlap", check->overlap},
                       {"documents", check->documents},
                       {"against_documents", check->against_documents}};
  }
  return object;
}

json ToJson(const CollectionInfo& info) {
  json versions = json::array(), attributes = json::object();
  for (const VersionInfo& version : info.versions) versions.push_back(ToJson(version));
  for (const auto& [name, rule] : info.attributes) {
    attributes[name] = {std::string(ToString(rule.kind)), std::string(ToString(rule.storage))};
  }
  return {{"default_version", info.default_version},
          {"previous_default", info.previous_default},
          {"store_floats", std::string(ToString(info.store_floats))},
          {"shards", info.shards},
          {"expected_documents", info.expected_documents},
          {"created_unix_us", absl::ToUnixMicros(info.created)},
          {"documents", info.documents},
          {"sequence", info.sequence},
          {"attributes", attributes},
          {"versions", versions}};
}

json ToJson(const AttributeScalar& value) {
  if (const auto* time = std::get_if<Timestamp>(&value)) return {{"timestamp", FormatTimestamp(*time)}};
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* integer = std::get_if<int64_t>(&value)) return *integer;
  if (const auto* number = std::get_if<double>(&value)) return *number;
  return std::get<bool>(value);
}

json ToJson(const AttributeValue& value) {
  const auto* list = std::get_if<AttributeList>(&value);
  if (list == nullptr) return ToJson(ToScalar(value));
  json values = json::array();
  for (const AttributeScalar& scalar : *list) values.push_back(ToJson(scalar));
  return values;
}

json ToJson(const Document& document) {
  json attributes = json::object(), embeddings = json::object();
  for (const auto& [name, value] : document.attributes) attributes[name] = ToJson(value);
  for (const StoredEmbedding& embedding : document.embeddings) {
    json& values = embeddings[embedding.version] = json::array();
    for (const float value : embedding.values) values.push_back(Short(value));
  }
  return {{"id", document.id}, {"attributes", attributes}, {"embeddings", embeddings}};
}

json Answer(Engine& engine, const std::string& collection, const json& request) {
  const auto query = request.at("query").get<std::vector<float>>();
  const SearchResult result = Must(SearchAndWait(engine, {.collection = collection,
                                                          .version = request.value("version", ""),
                                                          .queries = {query},
                                                          .k = request.value("k", size_t{10}),
                                                          .rerank = request.value("rerank", size_t{0}),
                                                          .first_levels = request.value("first_levels", uint32_t{0}),
                                                          .candidates = request.value("candidates", size_t{0}),
                                                          .filter = request.value("filter", "")}));
  json hits = json::array();
  for (const SearchHit& hit : result.hits.at(0)) {
    hits.push_back({{"id", hit.id},
                    {"score", Short(hit.score)},
                    {"exact", hit.score_kind == ScoreKind::kExact},
                    {"its", Short(hit.its.value())},
                    {"version", hit.version}});
  }
  return {{"request", request}, {"hits", hits}};
}

}  // namespace

json ObserveCollection(Engine& engine, const std::string& name, const std::vector<std::string>& ids,
                       const json& requests) {
  json documents = json::array(), searches = json::array();
  for (const Document& document : Must(engine.Get(name, ids, true))) documents.push_back(ToJson(document));
  for (const json& request : requests) searches.push_back(Answer(engine, name, request));
  return {{"name", name},
          {"info", ToJson(Must(engine.GetCollection(name)))},
          {"documents", documents},
          {"searches", searches}};
}

json ObserveAliases(Engine& engine) {
  json aliases = json::object();
  for (const Alias& alias : engine.ListAliases()) aliases[alias.name] = alias.collection;
  return aliases;
}

json ObserveSnapshots(Engine& engine) {
  json snapshots = json::array();
  for (const SnapshotInfo& info : Must(engine.ListSnapshots(""))) {
    snapshots.push_back({{"collection", info.collection},
                         {"name", info.name},
                         {"created_unix_us", absl::ToUnixMicros(info.created)},
                         {"documents", info.documents}});
  }
  return snapshots;
}

}  // namespace bebr::testing
