// The four services. Handlers only validate, authenticate, convert and dispatch; each call ends in the engine's
// callback.
#ifndef BEBR_SERVER_RPC_SERVICES_H_
#define BEBR_SERVER_RPC_SERVICES_H_

#include "bebr/v1/admin.grpc.pb.h"
#include "bebr/v1/collections.grpc.pb.h"
#include "bebr/v1/documents.grpc.pb.h"
#include "bebr/v1/search.grpc.pb.h"
#include "server/call/rpc_context.h"

namespace bebr {

class CollectionServiceImpl final : public v1::CollectionService::CallbackService {
 public:
  explicit CollectionServiceImpl(RpcContext& rpc) : rpc_(rpc) {}

  grpc::ServerReadReactor<v1::CreateCollectionRequest>* CreateCollection(
      grpc::CallbackServerContext* context, v1::CreateCollectionResponse* response) override;
  grpc::ServerUnaryReactor* GetCollection(grpc::CallbackServerContext* context, const v1::GetCollectionRequest* request,
                                          v1::GetCollectionResponse* response) override;
  grpc::ServerUnaryReactor* ListCollections(grpc::CallbackServerContext* context,
                                            const v1::ListCollectionsRequest* request,
                                            v1::ListCollectionsResponse* response) override;
  grpc::ServerUnaryReactor* DeleteCollection(grpc::CallbackServerContext* context,
                                             const v1::DeleteCollectionRequest* request,
                                             v1::DeleteCollectionResponse* response) override;
  grpc::ServerReadReactor<v1::AddVersionRequest>* AddVersion(grpc::CallbackServerContext* context,
                                                             v1::AddVersionResponse* response) override;
  grpc::ServerUnaryReactor* PromoteVersion(grpc::CallbackServerContext* context,
                                           const v1::PromoteVersionRequest* request,
                                           v1::PromoteVersionResponse* response) override;
  grpc::ServerUnaryReactor* RetireVersion(grpc::CallbackServerContext* context, const v1::RetireVersionRequest* request,
                                          v1::RetireVersionResponse* response) override;
  grpc::ServerUnaryReactor* BackfillVersion(grpc::CallbackServerContext* context,
                                            const v1::BackfillVersionRequest* request,
                                            v1::BackfillVersionResponse* response) override;
  grpc::ServerUnaryReactor* CheckVersion(grpc::CallbackServerContext* context, const v1::CheckVersionRequest* request,
                                         v1::CheckVersionResponse* response) override;
  grpc::ServerUnaryReactor* SetAlias(grpc::CallbackServerContext* context, const v1::SetAliasRequest* request,
                                     v1::SetAliasResponse* response) override;
  grpc::ServerUnaryReactor* ListAliases(grpc::CallbackServerContext* context, const v1::ListAliasesRequest* request,
                                        v1::ListAliasesResponse* response) override;
  grpc::ServerUnaryReactor* DeleteAlias(grpc::CallbackServerContext* context, const v1::DeleteAliasRequest* request,
                                        v1::DeleteAliasResponse* response) override;

 private:
  RpcContext& rpc_;
};

class DocumentServiceImpl final : public v1::DocumentService::CallbackService {
 public:
  explicit DocumentServiceImpl(RpcContext& rpc) : rpc_(rpc) {}

  grpc::ServerUnaryReactor* Upsert(grpc::CallbackServerContext* context, const v1::UpsertRequest* request,
                                   v1::UpsertResponse* response) override;
  grpc::ServerBidiReactor<v1::StreamUpsertRequest, v1::StreamUpsertResponse>* StreamUpsert(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context, const v1::GetRequest* request,
                                v1::GetResponse* response) override;
  grpc::ServerUnaryReactor* Delete(grpc::CallbackServerContext* context, const v1::DeleteRequest* request,
                                   v1::DeleteResponse* response) override;

 private:
  RpcContext& rpc_;
};

class SearchServiceImpl final : public v1::SearchService::CallbackService {
 public:
  explicit SearchServiceImpl(RpcContext& rpc) : rpc_(rpc) {}

  grpc::ServerUnaryReactor* Search(grpc::CallbackServerContext* context, const v1::SearchRequest* request,
                                   v1::SearchResponse* response) override;
  grpc::ServerUnaryReactor* BatchSearch(grpc::CallbackServerContext* context, const v1::BatchSearchRequest* request,
                                        v1::BatchSearchResponse* response) override;

 private:
  RpcContext& rpc_;
};

class AdminServiceImpl final : public v1::AdminService::CallbackService {
 public:
  explicit AdminServiceImpl(RpcContext& rpc) : rpc_(rpc) {}

  grpc::ServerUnaryReactor* GetStats(grpc::CallbackServerContext* context, const v1::GetStatsRequest* request,
                                     v1::GetStatsResponse* response) override;
  grpc::ServerUnaryReactor* EstimateMemory(grpc::CallbackServerContext* context,
                                           const v1::EstimateMemoryRequest* request,
                                           v1::EstimateMemoryResponse* response) override;
  grpc::ServerUnaryReactor* CreateSnapshot(grpc::CallbackServerContext* context,
                                           const v1::CreateSnapshotRequest* request,
                                           v1::CreateSnapshotResponse* response) override;
  grpc::ServerUnaryReactor* ListSnapshots(grpc::CallbackServerContext* context, const v1::ListSnapshotsRequest* request,
                                          v1::ListSnapshotsResponse* response) override;
  grpc::ServerUnaryReactor* RestoreSnapshot(grpc::CallbackServerContext* context,
                                            const v1::RestoreSnapshotRequest* request,
                                            v1::RestoreSnapshotResponse* response) override;
  grpc::ServerUnaryReactor* DeleteSnapshot(grpc::CallbackServerContext* context,
                                           const v1::DeleteSnapshotRequest* request,
                                           v1::DeleteSnapshotResponse* response) override;

 private:
  RpcContext& rpc_;
};

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_SERVICES_H_
