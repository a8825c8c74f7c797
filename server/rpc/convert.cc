#include "server/rpc/convert.h"

#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "server/call/hidden_paths.h"
#include "server/rpc/convert_auto.h"

namespace bebr {
v1::FloatStorage ToProto(FloatStorage storage) {
  switch (storage) {
    case FloatStorage::kNone:
      return v1::FLOAT_STORAGE_NONE;
    case FloatStorage::kFloat16:
      return v1::FLOAT_STORAGE_F16;
    case FloatStorage::kFloat32:
      return v1::FLOAT_STORAGE_F32;
  }
  return v1::FLOAT_STORAGE_UNSPECIFIED;
}

namespace {

v1::VersionState ToProto(VersionState state) {
  switch (state) {
    case VersionState::kAdded:
      return v1::VERSION_STATE_ADDED;
    case VersionState::kBackfilling:
      return v1::VERSION_STATE_BACKFILLING;
    case VersionState::kReady:
      return v1::VERSION_STATE_READY;
    case VersionState::kDefault:
      return v1::VERSION_STATE_DEFAULT;
    case VersionState::kRetired:
      return v1::VERSION_STATE_RETIRED;
  }
  return v1::VERSION_STATE_UNSPECIFIED;
}

void ToProto(const BackfillInfo& info, v1::Backfill* out) {
  out->set_running(info.running);
  out->set_limit_documents_per_s(info.limit_documents_per_s);
  out->set_written(info.written);
  out->set_documents_per_s(info.documents_per_s);
  out->set_error(ForCallers(info.error));
}

void ToProto(const VersionInfo& info, v1::Version* out) {
  out->set_name(info.name);
  out->set_space(info.space);
  out->set_input_dims(info.input_dims);
  out->set_query_levels(info.query_levels);
  out->set_code(info.code);
  out->set_bits(info.bits);
  out->set_metric(ToProto(info.metric));
  out->set_model_checksum(info.model_checksum);
  out->set_model(info.model);
  out->set_documents(info.documents);
  out->set_state(ToProto(info.state));
  out->set_embeddings(info.embeddings);
  out->set_same_embeddings_as(info.same_embeddings_as);
  if (info.backfill.has_value()) ToProto(*info.backfill, out->mutable_backfill());
  if (info.check.has_value()) ToProto(*info.check, out->mutable_check());
  if (info.recall.has_value()) {
    out->mutable_recall()->set_measured_unix_us(absl::ToUnixMicros(info.recall->measured));
    out->mutable_recall()->set_recall(info.recall->recall);
    out->mutable_recall()->set_queries(info.recall->queries);
    out->mutable_recall()->set_k(info.recall->k);
    out->mutable_recall()->set_score_error(info.recall->score_error);
    out->mutable_recall()->set_score_error_p99(info.recall->score_error_p99);
    for (const ProbePoint& point : info.recall->probe) {
      v1::RecallSample::Probe* probe = out->mutable_recall()->add_probe();
      probe->set_share(point.share);
      probe->set_recall(point.recall);
    }
  }
}

}  // namespace

absl::StatusOr<CheckRequest> ToCheckRequest(const v1::CheckVersionRequest& request, VectorArena& arena) {
  CheckRequest check;
  check.version = request.version();
  check.against = request.against();
  if (request.sample() != 0) check.sample = request.sample();
  if (request.k() != 0) check.k = request.k();
  const auto read = [&arena](const char* field, const auto& vectors, auto& out) -> absl::Status {
    for (int i = 0; i < vectors.size(); ++i) {
      BEBR_ASSIGN_OR_RETURN(const auto values, arena.Read(absl::StrFormat("%s[%d]", field, i), vectors[i]));
      out.push_back(values);
    }
    return absl::OkStatus();
  };
  BEBR_RETURN_IF_ERROR(read("queries", request.queries(), check.queries));
  BEBR_RETURN_IF_ERROR(read("against_queries", request.against_queries(), check.against_queries));
  return check;
}

// Kinds and storages have the same numbers on both sides; enums of proto3 may have others.
absl::StatusOr<AttributeSchema> ToSchema(const google::protobuf::RepeatedPtrField<v1::AttributeRule>& rules) {
  AttributeSchema schema;
  for (int i = 0; i < rules.size(); ++i) {
    const v1::AttributeRule& rule = rules[i];
    if (!v1::AttributeKind_IsValid(rule.kind()) || !v1::AttributeStorage_IsValid(rule.storage())) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "attributes[%d] is of kind %d and storage %d; kinds are 0 (any), 1 (string), 2 (int), 3 (double), "
          "4 (bool) and 5 (timestamp), storages 0 (by size), 1 (indexed) and 2 (stored)",
          i, static_cast<int>(rule.kind()), static_cast<int>(rule.storage())));
    }
    const AttributeRule own{static_cast<AttributeKind>(rule.kind()), static_cast<AttributeStorage>(rule.storage())};
    if (!schema.emplace(rule.name(), own).second) {
      return absl::InvalidArgumentError(
          absl::StrFormat("attributes[%d] is a second rule for \"%s\"; give one", i, rule.name()));
    }
  }
  return schema;
}

absl::StatusOr<CollectionConfig> ToCollectionConfig(const v1::CollectionConfig& config) {
  CollectionConfig result;
  result.name = config.name();
  if (!config.version().empty()) result.version = config.version();
  result.shards = config.shards();
  result.expected_documents = config.expected_documents();
  result.default_rerank = config.default_rerank();
  BEBR_ASSIGN_OR_RETURN(result.attributes, ToSchema(config.attributes()));
  if (config.has_auto_binarizer()) {
    if (!config.version().empty()) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "version is \"%s\"; with auto_binarizer the server names the versions, so leave it empty", config.version()));
    }
    BEBR_ASSIGN_OR_RETURN(result.auto_binarizer, ToAutoBinarizer(config.auto_binarizer()));
  }
  switch (config.store_floats()) {
    case v1::FLOAT_STORAGE_UNSPECIFIED:
      result.store_floats = config.has_auto_binarizer() ? FloatStorage::kFloat16 : FloatStorage::kNone;
      break;
    case v1::FLOAT_STORAGE_NONE:
      result.store_floats = FloatStorage::kNone;
      break;
    case v1::FLOAT_STORAGE_F16:
      result.store_floats = FloatStorage::kFloat16;
      break;
    case v1::FLOAT_STORAGE_F32:
      result.store_floats = FloatStorage::kFloat32;
      break;
    default:
      return absl::InvalidArgumentError(absl::StrFormat("store_floats is %d; it is 1 (none), 2 (f16) or 3 (f32)",
                                                        static_cast<int>(config.store_floats())));
  }
  return result;
}

void ToProto(const CollectionInfo& info, v1::Collection* out) {
  out->set_name(info.name);
  out->set_default_version(info.default_version);
  out->set_previous_default(info.previous_default);
  out->set_store_floats(ToProto(info.store_floats));
  out->set_shards(info.shards);
  out->set_expected_documents(info.expected_documents);
  out->set_created_unix_us(absl::ToUnixMicros(info.created));
  for (const VersionInfo& version : info.versions) ToProto(version, out->add_versions());
  out->set_documents(info.documents);
  out->set_deleted_rows(info.deleted_rows);
  out->set_sequence(info.sequence);
  ToProto(info.memory, out->mutable_memory());
  out->set_disk_bytes(info.disk_bytes);
  out->set_problem(ForCallers(info.problem));
  out->set_default_rerank(info.default_rerank);
  for (const auto& [name, rule] : info.attributes) {
    v1::AttributeRule* target = out->add_attributes();
    target->set_name(name);
    target->set_kind(static_cast<v1::AttributeKind>(rule.kind));
    target->set_storage(static_cast<v1::AttributeStorage>(rule.storage));
  }
  if (info.auto_info.has_value()) ToProto(*info.auto_info, out->mutable_auto_status());
}

void ToProto(const VersionCheck& check, v1::VersionCheck* out) {
  out->set_checked_unix_us(check.checked_unix_us);
  out->set_against(check.against);
  out->set_queries(check.queries);
  out->set_k(check.k);
  out->set_recall(check.recall);
  out->set_against_recall(check.against_recall);
  out->set_overlap(check.overlap);
  out->set_documents(check.documents);
  out->set_against_documents(check.against_documents);
  out->set_score_error(check.score_error);
  out->set_score_error_p99(check.score_error_p99);
}

void ToProto(const MemoryUse& memory, v1::MemoryUse* out) {
  out->set_codes(memory.codes);
  out->set_ids(memory.ids);
  out->set_attributes(memory.attributes);
  out->set_models(memory.models);
  out->set_total(memory.total);
}

void ToProto(const EngineStats& stats, v1::GetStatsResponse* out) {
  out->set_simd(stats.simd);
  out->set_threads(static_cast<uint32_t>(stats.threads));
  out->set_queries(stats.queries);
  out->set_scans(stats.scans);
  out->set_documents_scanned(stats.documents_scanned);
  out->set_bytes_scanned(stats.bytes_scanned);
  out->set_documents_upserted(stats.documents_upserted);
  out->set_documents_deleted(stats.documents_deleted);
  out->set_documents_reencoded(stats.documents_reencoded);
  out->set_refused_queries(stats.refused_queries);
  out->set_refused_upserts(stats.refused_upserts + stats.refused_memory + stats.refused_disk);
  out->set_encode_us(stats.encode_us);
  out->set_commit_us(stats.commit_us);
  out->set_apply_us(stats.apply_us);
  out->set_scan_us(stats.scan_us);
  out->set_queued_queries(stats.queued_queries);
}

}  // namespace bebr
