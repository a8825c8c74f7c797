#include "server/rpc/convert.h"

#include <cstring>
#include <tuple>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/float16.h"
#include "index/base/status_macros.h"
#include "server/rpc/convert_auto.h"
#include "server/rpc/filter_text.h"

namespace bebr {
namespace {

absl::StatusOr<AttributeValue> ToAttribute(std::string_view field, std::string_view name,
                                           const v1::AttributeValue& value) {
  switch (value.kind_case()) {
    case v1::AttributeValue::kStringValue:
      return AttributeValue(value.string_value());
    case v1::AttributeValue::kIntValue:
      return AttributeValue(static_cast<int64_t>(value.int_value()));
    case v1::AttributeValue::kDoubleValue:
      return AttributeValue(value.double_value());
    case v1::AttributeValue::kBoolValue:
      return AttributeValue(value.bool_value());
    case v1::AttributeValue::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("%s[\"%s\"] has no value; set one of string_value, int_value, double_value, "
                      "bool_value",
                      field, name));
}

void ToProto(Attributes&& attributes, google::protobuf::Map<std::string, v1::AttributeValue>* out) {
  for (auto& [name, value] : attributes) {
    bebr::ToProto(std::move(value), &(*out)[name]);
  }
}

absl::StatusOr<DocumentInput> ToDocument(size_t index, const v1::Document& document, VectorArena& arena) {
  DocumentInput input;
  input.id = document.id();
  for (const auto& [name, value] : document.attributes()) {
    BEBR_ASSIGN_OR_RETURN(AttributeValue converted,
                          ToAttribute(absl::StrFormat("documents[%d].attributes", index), name, value));
    input.attributes.emplace(name, std::move(converted));
  }
  if (document.codes_size() != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("documents[%d].codes is not empty; codes are made of embeddings", index));
  }
  input.embeddings.reserve(document.embeddings_size());
  for (int i = 0; i < document.embeddings_size(); ++i) {
    const v1::Embedding& embedding = document.embeddings(i);
    auto values = arena.Read("", embedding.vector());
    if (!values.ok()) {
      // The path is built only for errors: it would cost more than the rest of the conversion.
      return arena.Read(absl::StrFormat("documents[%d].embeddings[%d].vector", index, i), embedding.vector()).status();
    }
    input.embeddings.push_back({.version = embedding.version(), .values = *values});
  }
  return input;
}

absl::StatusOr<Fusion> ToFusion(v1::Fusion fusion) {
  switch (fusion) {
    case v1::FUSION_UNSPECIFIED:
      return Fusion::kNone;
    case v1::FUSION_MAX:
      return Fusion::kMax;
    case v1::FUSION_MEAN:
      return Fusion::kMean;
    case v1::FUSION_RECIPROCAL_RANK:
      return Fusion::kReciprocalRank;
    default:
      return absl::InvalidArgumentError(absl::StrFormat(
          "fusion is %d; it is 0 (none), 1 (max), 2 (mean) or 3 (reciprocal rank)", static_cast<int>(fusion)));
  }
}

void ToProto(const Explanation& explanation, v1::Explanation* out) {
  out->set_estimate(explanation.estimate);
  for (const BandExplanation& band : explanation.bands) {
    v1::Explanation::Band* target = out->add_bands();
    target->set_dims(band.dims);
    target->set_dot(band.dot);
    target->set_weight(band.weight);
    target->mutable_distances()->Add(band.distances.begin(), band.distances.end());
  }
  out->set_scale(explanation.scale);
  out->set_offset(explanation.offset);
  out->set_query_offset(explanation.query_offset);
  out->set_query_factor(explanation.query_factor);
  out->set_shard(explanation.shard);
  out->set_segment(explanation.segment);
  out->set_row(explanation.row);
}

// The part that both kinds of search share.
absl::StatusOr<SearchRequest> WithOptions(const std::string& collection, const v1::SearchOptions& options) {
  SearchRequest request;
  request.collection = collection;
  request.version = options.version();
  if (options.has_k()) request.k = options.k();
  request.rerank = options.rerank();
  request.collection_rerank = !options.has_rerank();
  request.first_levels = options.first_levels();
  request.candidates = options.candidates();
  if (options.has_min_score()) request.min_score = options.min_score();
  if (options.has_filter_tree()) {
    if (!options.filter().empty()) {
      return absl::InvalidArgumentError("options has filter and filter_tree; set one of them");
    }
    BEBR_ASSIGN_OR_RETURN(request.filter, FilterText(options.filter_tree()));
  } else {
    BEBR_RETURN_IF_ERROR(CheckFilterText(options.filter()));
    request.filter = options.filter();
  }
  request.strict = options.strict();
  request.offset = options.offset();
  request.exclude_ids.assign(options.exclude_ids().begin(), options.exclude_ids().end());
  request.explain = options.explain();
  BEBR_ASSIGN_OR_RETURN(request.fusion, ToFusion(options.fusion()));
  request.with_attributes = options.with_attributes();
  return request;
}

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
  out->set_error(info.error);
}

void ToProto(const VersionInfo& info, v1::Version* out) {
  out->set_name(info.name);
  out->set_space(info.space);
  out->set_input_dims(info.input_dims);
  out->set_query_levels(info.query_levels);
  out->set_code(info.code);
  out->set_bits(info.bits);
  out->set_metric(info.metric == Metric::kCosine ? v1::METRIC_COSINE : v1::METRIC_INNER_PRODUCT);
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
  }
}

}  // namespace

absl::StatusOr<absl::Span<const float>> VectorArena::Read(std::string_view field, const v1::Vector& vector) {
  const std::string& bytes = vector.float16();
  if (bytes.empty()) return absl::MakeConstSpan(vector.values().data(), vector.values_size());
  if (vector.values_size() != 0) {
    return absl::InvalidArgumentError(absl::StrFormat("%s has values and float16; set one of them", field));
  }
  if (bytes.size() % sizeof(uint16_t) != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s.float16 has %d bytes; it has 2 a value", field, bytes.size()));
  }
  const size_t count = bytes.size() / sizeof(uint16_t);
  std::vector<uint16_t> halves(count);  // a message's bytes need not be aligned
  std::memcpy(halves.data(), bytes.data(), bytes.size());
  std::vector<float>& values = expanded_.emplace_back(count);
  HalfToFloat(halves.data(), count, values.data());
  return absl::MakeConstSpan(values);
}

absl::StatusOr<std::vector<DocumentInput>> ToDocuments(
    const google::protobuf::RepeatedPtrField<v1::Document>& documents, VectorArena& arena) {
  BEBR_RETURN_IF_ERROR(ValidateCount("documents", static_cast<size_t>(documents.size()), kMaxDocumentsPerRequest));
  std::vector<DocumentInput> inputs;
  inputs.reserve(documents.size());
  for (int i = 0; i < documents.size(); ++i) {
    BEBR_ASSIGN_OR_RETURN(DocumentInput input, ToDocument(i, documents[i], arena));
    inputs.push_back(std::move(input));
  }
  return inputs;
}

absl::StatusOr<UpsertMode> ToUpsertMode(v1::UpsertMode mode) {
  switch (mode) {
    case v1::UPSERT_MODE_UNSPECIFIED:
    case v1::UPSERT_MODE_REPLACE:
      return UpsertMode::kReplace;
    case v1::UPSERT_MODE_MERGE:
      return UpsertMode::kMerge;
    default:
      return absl::InvalidArgumentError(
          absl::StrFormat("mode is %d; it is 1 (replace) or 2 (merge)", static_cast<int>(mode)));
  }
}

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

absl::StatusOr<SearchRequest> ToSearchRequest(const v1::SearchRequest& request, VectorArena& arena) {
  BEBR_ASSIGN_OR_RETURN(SearchRequest search, WithOptions(request.collection(), request.options()));
  if (request.has_like()) {
    // The query is made of the examples later.
    if (request.has_query()) return absl::InvalidArgumentError("the request has query and like; set one of them");
    for (const auto* ids : {&request.like().positive_ids(), &request.like().negative_ids()})
      search.exclude_ids.insert(search.exclude_ids.end(), ids->begin(), ids->end());
    return search;
  }
  BEBR_ASSIGN_OR_RETURN(const auto query, arena.Read("query", request.query()));
  search.queries.push_back(query);
  return search;
}

absl::StatusOr<ExampleRequest> ToExampleRequest(const v1::SearchRequest& request, VectorArena& arena) {
  const v1::Examples& like = request.like();
  ExampleRequest examples{.version = request.options().version()};
  examples.positive_ids.assign(like.positive_ids().begin(), like.positive_ids().end());
  examples.negative_ids.assign(like.negative_ids().begin(), like.negative_ids().end());
  for (const auto& [vectors, field, out] : {std::tuple(&like.positives(), "like.positives", &examples.positives),
                                            std::tuple(&like.negatives(), "like.negatives", &examples.negatives)}) {
    for (int i = 0; i < vectors->size(); ++i) {
      BEBR_ASSIGN_OR_RETURN(const auto values, arena.Read(absl::StrFormat("%s[%d]", field, i), vectors->Get(i)));
      out->push_back(values);
    }
  }
  return examples;
}

absl::StatusOr<SearchRequest> ToSearchRequest(const v1::BatchSearchRequest& request, VectorArena& arena) {
  BEBR_ASSIGN_OR_RETURN(SearchRequest search, WithOptions(request.collection(), request.options()));
  BEBR_RETURN_IF_ERROR(ValidateCount("queries", static_cast<size_t>(request.queries_size()), kMaxQueriesPerRequest));
  search.queries.reserve(request.queries_size());
  for (int i = 0; i < request.queries_size(); ++i) {
    BEBR_ASSIGN_OR_RETURN(const auto query, arena.Read(absl::StrFormat("queries[%d]", i), request.queries(i)));
    search.queries.push_back(query);
  }
  return search;
}

absl::StatusOr<CollectionConfig> ToCollectionConfig(const v1::CollectionConfig& config) {
  CollectionConfig result;
  result.name = config.name();
  if (!config.version().empty()) result.version = config.version();
  result.shards = config.shards();
  result.expected_documents = config.expected_documents();
  result.default_rerank = config.default_rerank();
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
  out->set_problem(info.problem);
  out->set_default_rerank(info.default_rerank);
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

void ToProto(AttributeValue&& value, v1::AttributeValue* out) {
  if (auto* text = std::get_if<std::string>(&value)) {
    out->set_string_value(std::move(*text));
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    out->set_int_value(*integer);
  } else if (const auto* number = std::get_if<double>(&value)) {
    out->set_double_value(*number);
  } else {
    out->set_bool_value(std::get<bool>(value));
  }
}

void ToProto(PageDocument&& document, v1::Document* out) {
  ToProto(std::move(document.document), out);
  for (DocumentCode& code : document.codes) {
    v1::DocumentCode* target = out->add_codes();
    target->set_version(std::move(code.version));
    target->set_space(code.space);
    target->mutable_words()->Add(code.words.begin(), code.words.end());
    target->set_scale(code.scale);
    target->set_offset(code.offset);
  }
}

void ToProto(Document&& document, v1::Document* out) {
  out->set_id(std::move(document.id));
  ToProto(std::move(document.attributes), out->mutable_attributes());
  for (StoredEmbedding& embedding : document.embeddings) {
    v1::Embedding* target = out->add_embeddings();
    target->set_version(std::move(embedding.version));
    target->mutable_vector()->mutable_values()->Add(embedding.values.begin(), embedding.values.end());
  }
}

void ToProto(std::vector<SearchHit>&& hits, google::protobuf::RepeatedPtrField<v1::SearchHit>* out) {
  out->Reserve(static_cast<int>(hits.size()));
  for (SearchHit& hit : hits) {
    v1::SearchHit* target = out->Add();
    target->set_id(std::move(hit.id));
    target->set_score(hit.score);
    target->set_score_kind(hit.score_kind == ScoreKind::kExact ? v1::SCORE_KIND_EXACT : v1::SCORE_KIND_ESTIMATED);
    target->set_its(hit.its);
    target->set_version(std::move(hit.version));
    ToProto(std::move(hit.attributes), target->mutable_attributes());
    if (hit.explanation != nullptr) ToProto(*hit.explanation, target->mutable_explanation());
  }
}

void ToProto(const SearchTimings& timings, v1::SearchTimings* out) {
  out->set_queue_us(timings.queue_us);
  out->set_encode_us(timings.encode_us);
  out->set_scan_us(timings.scan_us);
  out->set_rerank_us(timings.rerank_us);
  out->set_queries_in_scan(timings.queries_in_scan);
}

}  // namespace bebr
