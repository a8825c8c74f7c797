// Between the API's messages and the engine's types. Vectors are not copied: the engine's requests point into the
// message.
#ifndef BEBR_SERVER_RPC_CONVERT_H_
#define BEBR_SERVER_RPC_CONVERT_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bebr/node/v1/node.pb.h"
#include "bebr/v1/admin.pb.h"
#include "bebr/v1/collections.pb.h"
#include "bebr/v1/documents.pb.h"
#include "bebr/v1/search.pb.h"
#include "index/engine.h"

namespace bebr {

// Holds the floats of a message's float16 vectors; must live as long as the engine's request that points into it.
class VectorArena {
 public:
  // The floats of `vector`: those of the message itself, or expanded here. INVALID_ARGUMENT names `field`.
  absl::StatusOr<absl::Span<const float>> Read(std::string_view field, const v1::Vector& vector);
  // The same values, held here.
  absl::Span<const float> Keep(std::vector<float> values) { return expanded_.emplace_back(std::move(values)); }

 private:
  std::vector<std::vector<float>> expanded_;  // moving an inner vector keeps its values where they are
};

// `documents` of an upsert; in a partial one, what is wrong with a document becomes its `problem`. The result borrows
// from the message and the arena.
absl::StatusOr<std::vector<DocumentInput>> ToDocuments(
    const google::protobuf::RepeatedPtrField<v1::Document>& documents, VectorArena& arena, bool partial = false);
// An upsert, of a request or a message of a stream; borrows likewise.
absl::StatusOr<UpsertRequest> ToUpsertRequest(const std::string& collection, const v1::UpsertRequest& request,
                                              VectorArena& arena);
absl::StatusOr<UpsertRequest> ToUpsertRequest(const std::string& collection, const v1::StreamUpsertRequest& request,
                                              VectorArena& arena);
// But for the collection.
absl::StatusOr<AttributeUpdate> ToAttributeUpdate(const v1::UpdateAttributesRequest& request);

// A search; queries are borrowed from the message and the arena.
absl::StatusOr<SearchRequest> ToSearchRequest(const v1::SearchRequest& request, VectorArena& arena);
absl::StatusOr<SearchRequest> ToSearchRequest(const v1::BatchSearchRequest& request, VectorArena& arena);

// A node's part of a search.
absl::StatusOr<SearchRequest> ToSearchRequest(const node::v1::SearchRequest& request, VectorArena& arena);
absl::StatusOr<AttributeValue> ToAttribute(const v1::AttributeValue& value);
absl::StatusOr<std::vector<AttributeValue>> ToAttributes(
    const google::protobuf::RepeatedPtrField<v1::AttributeValue>& values);

// Queries are borrowed, as those of a search.
absl::StatusOr<CheckRequest> ToCheckRequest(const v1::CheckVersionRequest& request, VectorArena& arena);

absl::StatusOr<CollectionConfig> ToCollectionConfig(const v1::CollectionConfig& config);

v1::FloatStorage ToProto(FloatStorage storage);
void ToProto(const CollectionInfo& info, v1::Collection* out);
void ToProto(const VersionCheck& check, v1::VersionCheck* out);
void ToProto(const MemoryUse& memory, v1::MemoryUse* out);
void ToProto(const EngineStats& stats, v1::GetStatsResponse* out);
void ToProto(const UpsertResult& result, v1::UpsertResponse* out);
void ToProto(const UpsertResult& result, v1::StreamUpsertResponse* out);
void ToProto(AttributeValue&& value, v1::AttributeValue* out);
void ToProto(Attributes&& attributes, google::protobuf::Map<std::string, v1::AttributeValue>* out);
void ToProto(Document&& document, v1::Document* out);
void ToProto(PageDocument&& document, v1::Document* out);
// With labels by the cuts of the options, which ToSearchRequest has checked.
void ToProto(std::vector<SearchHit>&& hits, const v1::SearchOptions& options,
             google::protobuf::RepeatedPtrField<v1::SearchHit>* out);
void ToProto(const SearchTimings& timings, v1::SearchTimings* out);
void ToProto(const Coverage& coverage, v1::Coverage* out);
void ToProto(SearchResult&& result, node::v1::SearchResponse* out);

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_CONVERT_H_
