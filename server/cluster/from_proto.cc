#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "server/cluster/convert.h"
#include "server/rpc/convert.h"

namespace bebr {
namespace {

absl::StatusOr<Attributes> FromAttributes(const google::protobuf::Map<std::string, v1::AttributeValue>& map) {
  Attributes attributes;
  for (const auto& [name, value] : map) {
    BEBR_ASSIGN_OR_RETURN(AttributeValue own, ToAttribute(value));
    attributes.emplace(name, std::move(own));
  }
  return attributes;
}

std::shared_ptr<const Explanation> FromExplanation(const v1::Explanation& message) {
  auto explanation = std::make_shared<Explanation>();
  explanation->estimate = message.estimate();
  explanation->scale = message.scale();
  explanation->offset = message.offset();
  explanation->query_offset = message.query_offset();
  explanation->query_factor = message.query_factor();
  explanation->shard = message.shard();
  explanation->segment = message.segment();
  explanation->row = message.row();
  explanation->group = message.group();
  explanation->nearer_share = message.nearer_share();
  for (const v1::Explanation::Band& band : message.bands()) {
    BandExplanation& out = explanation->bands.emplace_back();
    out.dims = band.dims();
    out.dot = band.dot();
    out.weight = band.weight();
    out.distances.assign(band.distances().begin(), band.distances().end());
  }
  return explanation;
}

absl::StatusOr<SearchHit> FromHit(node::v1::SearchHit&& message, const node::v1::SearchResponse& response) {
  SearchHit hit;
  hit.id = std::move(*message.mutable_id());
  hit.key = message.key();
  hit.first_key = message.first_key();
  hit.score = message.score();
  hit.score_kind = message.exact() ? ScoreKind::kExact : ScoreKind::kEstimated;
  hit.its = message.its();
  if (static_cast<int>(message.version()) >= response.versions_size())
    return absl::InternalError(absl::StrFormat("a hit names version %d of an answer", message.version()));
  hit.version = response.versions(static_cast<int>(message.version()));
  BEBR_ASSIGN_OR_RETURN(hit.attributes, FromAttributes(message.attributes()));
  if (message.has_explanation()) hit.explanation = FromExplanation(message.explanation());
  return hit;
}

absl::Status FromGroups(const node::v1::SearchResponse::Result& message, ValueGroups& groups) {
  groups.all = message.all_groups();
  BEBR_ASSIGN_OR_RETURN(groups.values, ToAttributes(message.group_values()));
  for (const node::v1::SearchHit& hit : message.hits()) {
    BEBR_ASSIGN_OR_RETURN(groups.of_hit.emplace_back(), ToAttributes(hit.group_values()));
  }
  return absl::OkStatus();
}

AttributeSchema FromRules(const google::protobuf::RepeatedPtrField<v1::AttributeRule>& rules) {
  AttributeSchema schema;
  for (const v1::AttributeRule& rule : rules) {
    schema[rule.name()] = {static_cast<AttributeKind>(rule.kind()), static_cast<AttributeStorage>(rule.storage())};
  }
  return schema;
}

FloatStorage FromStorage(v1::FloatStorage storage) {
  if (storage == v1::FLOAT_STORAGE_F16) return FloatStorage::kFloat16;
  return storage == v1::FLOAT_STORAGE_F32 ? FloatStorage::kFloat32 : FloatStorage::kNone;
}

VersionState FromState(v1::VersionState state) {
  switch (state) {
    case v1::VERSION_STATE_BACKFILLING:
      return VersionState::kBackfilling;
    case v1::VERSION_STATE_READY:
      return VersionState::kReady;
    case v1::VERSION_STATE_DEFAULT:
      return VersionState::kDefault;
    case v1::VERSION_STATE_RETIRED:
      return VersionState::kRetired;
    default:
      return VersionState::kAdded;
  }
}

Metric FromMetric(v1::Metric metric) {
  if (metric == v1::METRIC_INNER_PRODUCT) return Metric::kInnerProduct;
  return metric == v1::METRIC_L2 ? Metric::kL2 : Metric::kCosine;
}

VersionInfo FromVersion(const v1::Version& message) {
  VersionInfo info;
  info.name = message.name();
  info.state = FromState(message.state());
  info.space = message.space();
  info.same_embeddings_as = message.same_embeddings_as();
  info.input_dims = message.input_dims();
  info.query_levels = message.query_levels();
  info.code = message.code();
  info.bits = message.bits();
  info.metric = FromMetric(message.metric());
  info.model_checksum = message.model_checksum();
  info.model = message.model();
  info.documents = message.documents();
  info.embeddings = message.embeddings();
  if (message.has_backfill()) {
    const v1::Backfill& backfill = message.backfill();
    info.backfill = BackfillInfo{.running = backfill.running(),
                                 .limit_documents_per_s = backfill.limit_documents_per_s(),
                                 .written = backfill.written(),
                                 .documents_per_s = backfill.documents_per_s(),
                                 .error = backfill.error()};
  }
  return info;
}

EngineStats FromStats(const v1::GetStatsResponse& message) {
  EngineStats stats;
  stats.simd = message.simd();
  stats.threads = message.threads();
  stats.queries = message.queries();
  stats.scans = message.scans();
  stats.documents_scanned = message.documents_scanned();
  stats.bytes_scanned = message.bytes_scanned();
  stats.documents_upserted = message.documents_upserted();
  stats.documents_deleted = message.documents_deleted();
  stats.documents_reencoded = message.documents_reencoded();
  stats.refused_queries = message.refused_queries();
  stats.refused_upserts = message.refused_upserts();
  stats.encode_us = message.encode_us();
  stats.commit_us = message.commit_us();
  stats.apply_us = message.apply_us();
  stats.scan_us = message.scan_us();
  stats.queued_queries = message.queued_queries();
  return stats;
}

}  // namespace

FilterFacts FactsOf(std::string_view bytes) { return FilterFacts(bytes.begin(), bytes.end()); }

absl::StatusOr<SearchResult> FromMessage(node::v1::SearchResponse&& message) {
  SearchResult result;
  for (node::v1::SearchResponse::Result& list : *message.mutable_results()) {
    std::vector<SearchHit>& hits = result.hits.emplace_back();
    hits.reserve(static_cast<size_t>(list.hits_size()));
    if (list.all_groups() || !list.group_values().empty()) {
      result.grouped.resize(result.hits.size());
      BEBR_RETURN_IF_ERROR(FromGroups(list, result.grouped.back()));
    }
    for (node::v1::SearchHit& one : *list.mutable_hits()) {
      BEBR_ASSIGN_OR_RETURN(SearchHit hit, FromHit(std::move(one), message));
      hits.push_back(std::move(hit));
    }
  }
  result.timings = {.queue_us = message.timings().queue_us(),
                    .encode_us = message.timings().encode_us(),
                    .scan_us = message.timings().scan_us(),
                    .rerank_us = message.timings().rerank_us(),
                    .queries_in_scan = message.timings().queries_in_scan()};
  result.documents_scanned = message.documents_scanned();
  result.rerank = message.rerank();
  result.chosen = message.chosen();
  result.documents = message.documents();
  result.without_code = message.without_code();
  result.view_token = message.view_token();
  result.filter_facts = FactsOf(message.filter_facts());
  result.scanned_share = message.scanned_share();
  result.documents_by_group.assign(message.documents_by_group().begin(), message.documents_by_group().end());
  result.probe = message.probe();
  result.version = std::move(*message.mutable_version());
  result.model_checksum = message.model_checksum();
  return result;
}

absl::StatusOr<Document> FromMessage(v1::Document&& message) {
  Document document;
  document.id = std::move(*message.mutable_id());
  BEBR_ASSIGN_OR_RETURN(document.attributes, FromAttributes(message.attributes()));
  for (const v1::Embedding& embedding : message.embeddings()) {
    const auto& values = embedding.vector().values();
    document.embeddings.push_back({embedding.version(), {values.begin(), values.end()}});
  }
  return document;
}

absl::StatusOr<Page> FromMessage(node::v1::ScrollResponse&& message) {
  Page page;
  v1::ScrollResponse& response = *message.mutable_response();
  for (v1::Document& one : *response.mutable_documents()) {
    PageDocument& entry = page.documents.emplace_back();
    for (const v1::DocumentCode& code : one.codes()) {
      entry.codes.push_back({.version = code.version(),
                             .space = code.space(),
                             .scale = code.scale(),
                             .offset = code.offset(),
                             .group = code.group(),
                             .words = {code.words().begin(), code.words().end()}});
    }
    BEBR_ASSIGN_OR_RETURN(entry.document, FromMessage(std::move(one)));
  }
  page.next = response.next_page_token();
  page.view_token = response.view_token();
  page.filter_facts = FactsOf(message.filter_facts());
  return page;
}

absl::StatusOr<FacetResult> FromMessage(node::v1::FacetResponse&& message) {
  FacetResult result;
  const v1::FacetResponse& response = message.response();
  for (const v1::FacetResponse::Facet& facet : response.facets()) {
    BEBR_ASSIGN_OR_RETURN(AttributeValue value, ToAttribute(facet.value()));
    result.facets.push_back({std::move(value), facet.documents()});
  }
  result.values = response.values();
  result.documents = response.documents();
  result.with_attribute = response.with_attribute();
  result.filter_facts = FactsOf(message.filter_facts());
  result.attribute_facts = FactsOf(message.attribute_facts());
  return result;
}

UpsertResult FromMessage(v1::UpsertResponse&& message) {
  UpsertResult result{.documents = message.documents(), .created = message.created()};
  result.unknown_ids.assign(message.unknown_ids().begin(), message.unknown_ids().end());
  result.skipped_ids.assign(message.skipped_ids().begin(), message.skipped_ids().end());
  for (const v1::DocumentError& error : message.errors()) {
    result.problems.push_back({.index = error.index(),
                               .id = error.id(),
                               .status = absl::Status(static_cast<absl::StatusCode>(error.code()), error.message())});
  }
  return result;
}

MemoryUse FromMessage(const v1::MemoryUse& message) {
  return {.codes = message.codes(),
          .ids = message.ids(),
          .attributes = message.attributes(),
          .models = message.models(),
          .total = message.total()};
}

CollectionInfo FromMessage(const v1::Collection& message) {
  CollectionInfo info;
  info.name = message.name();
  info.default_version = message.default_version();
  info.previous_default = message.previous_default();
  info.store_floats = FromStorage(message.store_floats());
  info.shards = message.shards();
  info.expected_documents = message.expected_documents();
  info.created = absl::FromUnixMicros(message.created_unix_us());
  for (const v1::Version& version : message.versions()) info.versions.push_back(FromVersion(version));
  info.documents = message.documents();
  info.deleted_rows = message.deleted_rows();
  info.sequence = message.sequence();
  info.memory = FromMessage(message.memory());
  info.disk_bytes = message.disk_bytes();
  info.problem = message.problem();
  info.default_rerank = message.default_rerank();
  info.attributes = FromRules(message.attributes());
  return info;
}

NodeState FromMessage(const node::v1::GetStateResponse& message) {
  NodeState state;
  state.collections.assign(message.collections().begin(), message.collections().end());
  for (const v1::Alias& alias : message.aliases()) state.aliases.push_back({alias.name(), alias.collection()});
  for (const auto& fault : message.unavailable()) state.unavailable.push_back({fault.collection(), fault.reason()});
  for (const auto& fault : message.read_only()) state.read_only.push_back({fault.collection(), fault.reason()});
  for (const auto& fault : message.damaged()) state.damaged.push_back({fault.collection(), fault.reason()});
  state.stats = FromStats(message.stats());
  if (message.has_replica()) {
    const auto& replica = message.replica();
    state.replica = ReplicaState{.applied = replica.applied(),
                                 .head = replica.head(),
                                 .problem = replica.problem(),
                                 .quarantined = replica.quarantined(),
                                 .name_taken = replica.name_taken(),
                                 .warning = replica.warning(),
                                 .lag = absl::Seconds(replica.lag_seconds()),
                                 .kept = replica.kept(),
                                 .log = replica.log(),
                                 .seed_bytes = replica.seed_bytes(),
                                 .seeded_bytes = replica.seeded_bytes()};
  }
  return state;
}

ChangeOutcome FromMessage(const node::v1::GetOutcomeResponse& message) {
  ChangeOutcome outcome{.status = absl::Status(static_cast<absl::StatusCode>(message.code()), message.message()),
                        .documents = message.documents(),
                        .created = message.created()};
  outcome.unknown_ids.assign(message.unknown_ids().begin(), message.unknown_ids().end());
  outcome.skipped_ids.assign(message.skipped_ids().begin(), message.skipped_ids().end());
  return outcome;
}

}  // namespace bebr
