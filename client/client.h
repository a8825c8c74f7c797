// The C++ client.
//
//   bebr::Client client({.server = "127.0.0.1:7700"});
//   bebr::v1::SearchRequest request;
//   request.set_collection("papers");
//   *request.mutable_query()->mutable_values() = {query.begin(), query.end()};
//   absl::StatusOr<bebr::v1::SearchResponse> found = client.Search(request);
#ifndef BEBR_CLIENT_CLIENT_H_
#define BEBR_CLIENT_CLIENT_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bebr/v1/admin.grpc.pb.h"
#include "bebr/v1/cluster.grpc.pb.h"
#include "bebr/v1/collections.grpc.pb.h"
#include "bebr/v1/documents.grpc.pb.h"
#include "bebr/v1/search.grpc.pb.h"

namespace bebr {

// Where the server is and how to talk to it. A plain value; the defaults are a server on this machine without keys.
struct ClientOptions {
  std::string server = "127.0.0.1:7700";               // HOST (port 7700) or HOST:PORT; http:// may stand before it
  absl::Duration deadline = absl::InfiniteDuration();  // of each call, but not of streams
  std::string api_key;                                 // empty: none; sent in clear unless there is TLS
  std::string tls_ca_file;                             // not empty: TLS, with servers that this authority signed
  std::string tls_cert_file;                           // with tls_key_file: the client's own certificate
  std::string tls_key_file;
};

// Whether the same call may succeed later: no server answers, it refuses for now (RESOURCE_EXHAUSTED with RetryInfo),
// or the time was too short.
bool MayPassLater(const absl::Status& status);

class UpsertStream;

// A Client talks to one server. Calls wait for their answer and return the messages of proto/bebr/v1 as they are.
//
// Errors: the server's status, code and message, its details (google.rpc.BadRequest, RetryInfo) as payloads by their
// type URLs. UNAVAILABLE: no server answers there. INVALID_ARGUMENT also for TLS
// files that cannot be read. Thread safety: all methods may be called from any thread. Cost: one connection, made on
// the first call.
class Client {
 public:
  explicit Client(ClientOptions options);
  ~Client();

  const ClientOptions& options() const { return options_; }

  // `model` is the contents of a safetensors file.
  absl::StatusOr<v1::Collection> CreateCollection(const v1::CollectionConfig& config, std::string_view model);
  absl::StatusOr<v1::Collection> GetCollection(const std::string& name);
  absl::StatusOr<v1::ListCollectionsResponse> ListCollections();
  absl::Status DeleteCollection(const std::string& name);
  absl::StatusOr<v1::Collection> AddVersion(const v1::VersionConfig& config, std::string_view model);
  absl::StatusOr<v1::Collection> PromoteVersion(const v1::PromoteVersionRequest& request);
  absl::StatusOr<v1::Collection> RetireVersion(const v1::RetireVersionRequest& request);
  absl::StatusOr<v1::Collection> BackfillVersion(const v1::BackfillVersionRequest& request);
  absl::StatusOr<v1::VersionCheck> CheckVersion(const v1::CheckVersionRequest& request);
  absl::Status SetAlias(const v1::SetAliasRequest& request);
  absl::StatusOr<v1::ListAliasesResponse> ListAliases();
  absl::Status DeleteAlias(const std::string& name);

  absl::StatusOr<v1::UpsertResponse> Upsert(const v1::UpsertRequest& request);
  absl::StatusOr<v1::GetResponse> Get(const v1::GetRequest& request);
  // Any number of ids up to 1,000,000: `take` gets the documents in pieces; an error of it ends the call and is
  // returned. The deadline is that of the whole.
  absl::Status StreamGet(const v1::StreamGetRequest& request,
                         const std::function<absl::Status(const v1::GetResponse&)>& take);
  absl::StatusOr<v1::ScrollResponse> Scroll(const v1::ScrollRequest& request);
  absl::StatusOr<v1::CountResponse> Count(const v1::CountRequest& request);
  absl::StatusOr<v1::FacetResponse> Facets(const v1::FacetRequest& request);
  absl::StatusOr<v1::UpdateAttributesResponse> UpdateAttributes(const v1::UpdateAttributesRequest& request);
  absl::StatusOr<v1::DeleteResponse> Delete(const v1::DeleteRequest& request);
  // A stream that writes to `collection`, with up to `window` messages on their way, and waits so long for a server
  // that goes away meanwhile. The client must outlive it.
  std::unique_ptr<UpsertStream> StreamUpsert(const std::string& collection, size_t window = 8,
                                             v1::UpsertMode mode = v1::UPSERT_MODE_REPLACE,
                                             v1::UpsertOptions options = {},
                                             absl::Duration patience = absl::ZeroDuration());

  absl::StatusOr<v1::SearchResponse> Search(const v1::SearchRequest& request);
  absl::StatusOr<v1::BatchSearchResponse> BatchSearch(const v1::BatchSearchRequest& request);

  absl::StatusOr<v1::GetStatsResponse> GetStats();
  absl::StatusOr<v1::GetClusterResponse> GetCluster();
  absl::StatusOr<v1::VerifyClusterResponse> VerifyCluster(const v1::VerifyClusterRequest& request);
  absl::StatusOr<v1::EstimateMemoryResponse> EstimateMemory(const v1::EstimateMemoryRequest& request);
  absl::StatusOr<v1::Snapshot> CreateSnapshot(const v1::CreateSnapshotRequest& request);
  absl::StatusOr<v1::ListSnapshotsResponse> ListSnapshots(const v1::ListSnapshotsRequest& request);
  absl::StatusOr<v1::Collection> RestoreSnapshot(const v1::RestoreSnapshotRequest& request);
  absl::Status DeleteSnapshot(const v1::DeleteSnapshotRequest& request);

  // Of gateways of a cluster with a log.
  absl::StatusOr<v1::JoinNodeResponse> JoinNode(const v1::JoinNodeRequest& request);
  absl::StatusOr<v1::DrainNodeResponse> DrainNode(const v1::DrainNodeRequest& request);

 private:
  friend class UpsertStream;
  // Sets deadline and key.
  void Prepare(grpc::ClientContext& context, bool with_deadline) const;
  template <typename Response, typename Call>
  absl::StatusOr<Response> Run(Call call);
  template <typename Request, typename Response, typename Config, typename Start>
  absl::StatusOr<v1::Collection> Upload(const Config& config, std::string_view model, Start start);

  const ClientOptions options_;
  absl::Status usable_;  // of the TLS files
  std::unique_ptr<v1::CollectionService::Stub> collections_;
  std::unique_ptr<v1::DocumentService::Stub> documents_;
  std::unique_ptr<v1::SearchService::Stub> search_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
  std::unique_ptr<v1::ClusterService::Stub> cluster_;
};

}  // namespace bebr

#endif  // BEBR_CLIENT_CLIENT_H_
