#include <string>
#include <utility>

#include "server/cluster/convert.h"
#include "server/rpc/convert.h"

namespace bebr {
namespace {

void SetVector(absl::Span<const float> values, v1::Vector* out) {
  out->mutable_values()->Add(values.begin(), values.end());
}

v1::UpsertMode ToMode(UpsertMode mode) {
  switch (mode) {
    case UpsertMode::kReplace:
      return v1::UPSERT_MODE_REPLACE;
    case UpsertMode::kMerge:
      return v1::UPSERT_MODE_MERGE;
    case UpsertMode::kReplaceAll:
      return v1::UPSERT_MODE_REPLACE_ALL;
  }
  return v1::UPSERT_MODE_UNSPECIFIED;
}

}  // namespace

void ToMessage(const SearchRequest& request, node::v1::SearchRequest* out) {
  out->set_collection(request.collection);
  out->set_most_rerank(static_cast<uint32_t>(request.most_rerank));
  v1::SearchOptions& options = *out->mutable_options();
  options.set_version(request.version);
  options.set_model_checksum(request.model_checksum);
  options.set_k(static_cast<uint32_t>(request.k));
  options.set_offset(static_cast<uint32_t>(request.offset));
  if (!request.collection_rerank) options.set_rerank(static_cast<uint32_t>(request.rerank));
  options.set_first_levels(request.first_levels);
  options.set_candidates(static_cast<uint32_t>(request.candidates));
  if (request.min_score.has_value()) options.set_min_score(*request.min_score);
  out->set_filter(request.filter);
  out->set_view_owner(request.view_owner);
  options.mutable_exclude_ids()->Add(request.exclude_ids.begin(), request.exclude_ids.end());
  options.set_with_attributes(request.with_attributes);
  options.set_explain(request.explain);
  options.set_keep_view_s(static_cast<uint32_t>(absl::ToInt64Seconds(request.keep_view)));
  options.set_view_token(request.view_token);
  options.set_probe(request.probe);
  options.set_probe_recall(request.probe_recall);
  options.set_group_by(request.group_by);
  if (!request.group_by.empty()) options.set_group_size(static_cast<uint32_t>(request.group_size));
  for (const std::vector<AttributeValue>& values : request.group_values) {
    node::v1::GroupValues* added = out->add_group_values();
    for (AttributeValue value : values) ToProto(std::move(value), added->add_values());
  }
  out->set_group_round(static_cast<uint32_t>(request.group_round));
  out->set_count_groups(request.count_groups);
  out->mutable_documents_by_group()->Add(request.documents_by_group.begin(), request.documents_by_group.end());
}

void AddQueries(const SearchRequest& request, node::v1::SearchRequest* out) {
  for (const absl::Span<const float> query : request.queries) SetVector(query, out->add_queries());
}

void ToMessage(UpsertRequest&& request, node::v1::UpsertRequest* out) {
  out->set_check_only(request.check_only);
  v1::UpsertRequest& upsert = *out->mutable_request();
  upsert.set_collection(request.collection);
  upsert.set_mode(ToMode(request.mode));
  upsert.mutable_options()->set_only_if_absent(request.only_if_absent);
  upsert.mutable_options()->set_only_if_newer_by(request.only_if_newer_by);
  upsert.mutable_options()->set_partial(request.partial);
  upsert.mutable_options()->set_model_checksum(request.model_checksum);
  for (DocumentInput& document : request.documents) {
    v1::Document* target = upsert.add_documents();
    target->set_id(std::move(document.id));
    ToProto(std::move(document.attributes), target->mutable_attributes());
    for (const EmbeddingInput& embedding : document.embeddings) {
      v1::Embedding* added = target->add_embeddings();
      added->set_version(std::string(embedding.version));
      SetVector(embedding.values, added->mutable_vector());
    }
  }
}

void ToMessage(AttributeUpdate&& update, v1::UpdateAttributesRequest* out) {
  out->set_collection(update.collection);
  out->mutable_ids()->Add(update.ids.begin(), update.ids.end());
  out->set_filter(update.filter);
  ToProto(std::move(update.change.set), out->mutable_set());
  out->mutable_remove()->Add(update.change.remove.begin(), update.change.remove.end());
  out->set_clear(update.change.clear);
}

void ToMessage(const PageRequest& request, node::v1::ScrollRequest* message) {
  message->set_view_owner(request.view_owner);
  v1::ScrollRequest* out = message->mutable_request();
  out->set_collection(request.collection);
  out->set_filter(request.filter);
  out->set_page_token(request.after);
  out->set_limit(static_cast<uint32_t>(request.limit));
  out->set_with_attributes(request.with_attributes);
  out->set_with_embeddings(request.with_embeddings);
  out->set_with_codes(request.with_codes);
  out->set_keep_view_s(static_cast<uint32_t>(absl::ToInt64Seconds(request.keep_view)));
  out->set_view_token(request.view_token);
}

void ToMessage(const CollectionConfig& config, v1::CollectionConfig* out) {
  out->set_name(config.name);
  out->set_version(config.version);
  out->set_store_floats(ToProto(config.store_floats));
  out->set_shards(config.shards);
  out->set_expected_documents(config.expected_documents);
  out->set_default_rerank(config.default_rerank);
  for (const auto& [name, rule] : config.attributes) {
    v1::AttributeRule* added = out->add_attributes();
    added->set_name(name);
    added->set_kind(static_cast<v1::AttributeKind>(rule.kind));
    added->set_storage(static_cast<v1::AttributeStorage>(rule.storage));
  }
}

}  // namespace bebr
