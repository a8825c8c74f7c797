#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "index/base/status_macros.h"
#include "server/rpc/convert.h"
#include "server/rpc/filter_text.h"

namespace bebr {
namespace {

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
  out->set_group(explanation.group);
  out->set_nearer_share(explanation.nearer_share);
}

// Where the labels of ITS begin: the square roots of 0.8, 0.4, 0.2, 0.1, 0.05 and 0.01.
constexpr float kItsCuts[] = {0.894427f, 0.632456f, 0.447214f, 0.316228f, 0.223607f, 0.1f};

absl::Status CheckItsCuts(const v1::SearchOptions& options) {
  const auto& cuts = options.its_cuts();
  if (cuts.empty()) return absl::OkStatus();
  if (cuts.size() != std::ssize(kItsCuts)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("its_cuts has %d entries; there are %d, or none", cuts.size(), std::size(kItsCuts)));
  }
  for (int i = 0; i < cuts.size(); ++i) {
    if (cuts[i] >= 0 && cuts[i] <= 1 && (i == 0 || cuts[i] < cuts[i - 1])) continue;
    return absl::InvalidArgumentError(
        absl::StrFormat("its_cuts[%d] is %f; each is from 0 to 1 and less than the one before", i, cuts[i]));
  }
  return absl::OkStatus();
}

// The part that both kinds of search share.
absl::StatusOr<SearchRequest> WithOptions(const std::string& collection, const v1::SearchOptions& options) {
  SearchRequest request;
  request.collection = collection;
  request.version = options.version();
  request.model_checksum = options.model_checksum();
  if (options.has_k()) request.k = options.k();
  request.rerank = options.rerank();
  request.collection_rerank = !options.has_rerank();
  request.first_levels = options.first_levels();
  request.candidates = options.candidates();
  request.probe = options.probe();
  request.probe_recall = options.probe_recall();
  if (options.has_min_score()) request.min_score = options.min_score();
  BEBR_ASSIGN_OR_RETURN(request.filter, ReadFilter(options));
  request.strict = options.strict();
  request.offset = options.offset();
  request.exclude_ids.assign(options.exclude_ids().begin(), options.exclude_ids().end());
  request.explain = options.explain();
  BEBR_ASSIGN_OR_RETURN(request.fusion, ToFusion(options.fusion()));
  if (options.group_by().empty() && options.group_size() > 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("group_size is %d without group_by; name the attribute", options.group_size()));
  }
  request.group_by = options.group_by();
  if (options.group_size() > 0) request.group_size = options.group_size();
  request.keep_view = absl::Seconds(options.keep_view_s());
  request.view_token = options.view_token();
  request.with_attributes = options.with_attributes();
  BEBR_RETURN_IF_ERROR(CheckItsCuts(options));
  request.allow_partial = options.allow_partial();
  return request;
}

// The examples that a search is to find the like of; borrowed, as queries are.
absl::StatusOr<ExampleRequest> ToExamples(const v1::SearchRequest& request, VectorArena& arena) {
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

v1::ItsLabel LabelOf(const SearchHit& hit, absl::Span<const float> cuts) {
  if (!hit.its.has_value()) return v1::ITS_LABEL_UNSPECIFIED;
  const auto reached = std::find_if(cuts.begin(), cuts.end(), [&hit](float cut) { return *hit.its >= cut; });
  return static_cast<v1::ItsLabel>(v1::ITS_LABEL_CLOSE_MATCH + (reached - cuts.begin()));
}

v1::ScoreKind KindOf(ScoreKind kind) {
  switch (kind) {
    case ScoreKind::kEstimated:
      break;
    case ScoreKind::kExact:
      return v1::SCORE_KIND_EXACT;
    case ScoreKind::kFused:
      return v1::SCORE_KIND_FUSED;
  }
  return v1::SCORE_KIND_ESTIMATED;
}

}  // namespace

absl::StatusOr<SearchRequest> ToSearchRequest(const v1::SearchRequest& request, VectorArena& arena) {
  BEBR_ASSIGN_OR_RETURN(SearchRequest search, WithOptions(request.collection(), request.options()));
  if (request.has_like()) {
    if (request.has_query()) return absl::InvalidArgumentError("like is set, and query too; set one of them");
    for (const auto* ids : {&request.like().positive_ids(), &request.like().negative_ids()})
      search.exclude_ids.insert(search.exclude_ids.end(), ids->begin(), ids->end());
    BEBR_ASSIGN_OR_RETURN(search.like, ToExamples(request, arena));
    return search;
  }
  BEBR_ASSIGN_OR_RETURN(const auto query, arena.Read("query", request.query()));
  search.queries.push_back(query);
  return search;
}

absl::StatusOr<SearchRequest> ToSearchRequest(const v1::BatchSearchRequest& request, VectorArena& arena) {
  BEBR_ASSIGN_OR_RETURN(SearchRequest search, WithOptions(request.collection(), request.options()));
  BEBR_RETURN_IF_ERROR(ValidateCount("queries", static_cast<size_t>(request.queries_size()), kMaxQueriesPerRequest));
  search.queries.reserve(request.queries_size());
  for (int i = 0; i < request.queries_size(); ++i) {
    BEBR_ASSIGN_OR_RETURN(const auto query, arena.Read(absl::StrFormat("queries[%d]", i), request.queries(i)));
    search.queries.push_back(query);
  }
  search.versions.assign(request.versions().begin(), request.versions().end());
  search.weights.assign(request.weights().begin(), request.weights().end());
  for (const v1::RankedList& list : request.lists()) {
    RankedList& out = search.lists.emplace_back();
    out.ids.assign(list.ids().begin(), list.ids().end());
    out.scores.assign(list.scores().begin(), list.scores().end());
  }
  return search;
}

absl::StatusOr<SearchRequest> ToSearchRequest(const node::v1::SearchRequest& request, VectorArena& arena) {
  BEBR_ASSIGN_OR_RETURN(SearchRequest search, WithOptions(request.collection(), request.options()));
  search.filter = request.filter();
  search.view_owner = request.view_owner();
  for (int i = 0; i < request.queries_size(); ++i) {
    BEBR_ASSIGN_OR_RETURN(const auto query, arena.Read(absl::StrFormat("queries[%d]", i), request.queries(i)));
    search.queries.push_back(query);
  }
  search.most_rerank = request.most_rerank();
  search.part = true;
  for (const node::v1::GroupValues& values : request.group_values()) {
    BEBR_ASSIGN_OR_RETURN(search.group_values.emplace_back(), ToAttributes(values.values()));
  }
  search.group_round = request.group_round();
  search.count_groups = request.count_groups();
  search.documents_by_group.assign(request.documents_by_group().begin(), request.documents_by_group().end());
  return search;
}

namespace {

void ToProto(ValueGroups&& groups, node::v1::SearchResponse::Result* out) {
  for (AttributeValue& value : groups.values) ToProto(std::move(value), out->add_group_values());
  out->set_all_groups(groups.all);
  for (int i = 0; i < out->hits_size(); ++i) {
    node::v1::SearchHit* hit = out->mutable_hits(i);
    for (AttributeValue& value : groups.of_hit[i]) ToProto(std::move(value), hit->add_group_values());
  }
}

}  // namespace

void ToProto(SearchResult&& result, node::v1::SearchResponse* out) {
  absl::flat_hash_map<std::string, uint32_t> versions;
  for (size_t q = 0; q < result.hits.size(); ++q) {
    std::vector<SearchHit>& hits = result.hits[q];
    auto* list = out->add_results()->mutable_hits();
    list->Reserve(static_cast<int>(hits.size()));
    for (SearchHit& hit : hits) {
      const auto [version, added] = versions.try_emplace(hit.version, out->versions_size());
      if (added) out->add_versions(hit.version);
      node::v1::SearchHit* target = list->Add();
      target->set_id(std::move(hit.id));
      target->set_key(hit.key);
      target->set_first_key(hit.first_key);
      target->set_score(hit.score);
      target->set_exact(hit.score_kind == ScoreKind::kExact);
      target->set_its(hit.its.value_or(0));
      target->set_version(version->second);
      ToProto(std::move(hit.attributes), target->mutable_attributes());
      if (hit.explanation != nullptr) ToProto(*hit.explanation, target->mutable_explanation());
    }
    if (!result.grouped.empty()) ToProto(std::move(result.grouped[q]), out->mutable_results(static_cast<int>(q)));
  }
  ToProto(result.timings, out->mutable_timings());
  out->set_documents_scanned(result.documents_scanned);
  out->set_rerank(static_cast<uint32_t>(result.rerank));
  out->set_chosen(static_cast<uint32_t>(result.chosen));
  out->set_documents(result.documents);
  out->set_without_code(result.without_code);
  out->set_view_token(std::move(result.view_token));
  out->set_scanned_share(result.scanned_share);
  out->mutable_documents_by_group()->Add(result.documents_by_group.begin(), result.documents_by_group.end());
  out->set_probe(result.probe);
  out->set_version(std::move(result.version));
  out->set_model_checksum(result.model_checksum);
  out->set_filter_facts(std::string(result.filter_facts.begin(), result.filter_facts.end()));
}

void ToProto(std::vector<SearchHit>&& hits, const v1::SearchOptions& options,
             google::protobuf::RepeatedPtrField<v1::SearchHit>* out) {
  const absl::Span<const float> cuts = options.its_cuts().empty() ? kItsCuts : absl::MakeConstSpan(options.its_cuts());
  out->Reserve(static_cast<int>(hits.size()));
  for (SearchHit& hit : hits) {
    v1::SearchHit* target = out->Add();
    target->set_id(std::move(hit.id));
    target->set_score(hit.score);
    target->set_score_kind(KindOf(hit.score_kind));
    target->set_its(hit.its.value_or(0));
    target->set_its_label(LabelOf(hit, cuts));
    target->set_version(std::move(hit.version));
    ToProto(std::move(hit.attributes), target->mutable_attributes());
    if (hit.group.has_value()) ToProto(*std::move(hit.group), target->mutable_group());
    if (hit.explanation != nullptr) ToProto(*hit.explanation, target->mutable_explanation());
  }
}

void ToProto(const Coverage& coverage, v1::Coverage* out) {
  out->set_nodes(coverage.nodes);
  out->set_answered(coverage.answered);
  out->set_documents(coverage.documents);
}

void ToProto(const SearchTimings& timings, v1::SearchTimings* out) {
  out->set_queue_us(timings.queue_us);
  out->set_encode_us(timings.encode_us);
  out->set_scan_us(timings.scan_us);
  out->set_rerank_us(timings.rerank_us);
  out->set_queries_in_scan(timings.queries_in_scan);
}

}  // namespace bebr
