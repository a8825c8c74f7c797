// Between the engine's types and the messages of the nodes, as a gateway needs them: requests one way, answers the
// other. server/rpc/convert.h has the ways of a server.
#ifndef BEBR_SERVER_CLUSTER_CONVERT_H_
#define BEBR_SERVER_CLUSTER_CONVERT_H_

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "bebr/node/v1/node.pb.h"
#include "bebr/v1/collections.pb.h"
#include "bebr/v1/documents.pb.h"
#include "index/cluster/node.h"
#include "index/engine.h"

namespace bebr {

// Vectors are copied. Of a search all but its queries, which AddQueries puts behind those that are there.
void ToMessage(const SearchRequest& request, node::v1::SearchRequest* out);
void AddQueries(const SearchRequest& request, node::v1::SearchRequest* out);
void ToMessage(UpsertRequest&& request, node::v1::UpsertRequest* out);
void ToMessage(AttributeUpdate&& update, v1::UpdateAttributesRequest* out);
void ToMessage(const PageRequest& request, node::v1::ScrollRequest* message);
void ToMessage(const CollectionConfig& config, v1::CollectionConfig* out);

// INTERNAL for messages that no node sends.
absl::StatusOr<SearchResult> FromMessage(node::v1::SearchResponse&& message);
absl::StatusOr<Document> FromMessage(v1::Document&& message);
absl::StatusOr<Page> FromMessage(node::v1::ScrollResponse&& message);
absl::StatusOr<FacetResult> FromMessage(node::v1::FacetResponse&& message);
UpsertResult FromMessage(v1::UpsertResponse&& message);
CollectionInfo FromMessage(const v1::Collection& message);
MemoryUse FromMessage(const v1::MemoryUse& message);
NodeState FromMessage(const node::v1::GetStateResponse& message);
ChangeOutcome FromMessage(const node::v1::GetOutcomeResponse& message);

FilterFacts FactsOf(std::string_view bytes);

}  // namespace bebr

#endif  // BEBR_SERVER_CLUSTER_CONVERT_H_
