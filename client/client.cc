#include "client/client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>
#include <sstream>
#include <utility>

#include "absl/time/clock.h"
#include "client/status.h"
#include "client/upsert_stream.h"

namespace bebr {
namespace {

constexpr size_t kModelChunkBytes = 1 << 20;

absl::Status ReadFile(const std::string& path, std::string& out) {
  if (path.empty()) return absl::OkStatus();
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return absl::InvalidArgumentError("the TLS file \"" + path + "\" cannot be read");
  out = text.str();
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(const ClientOptions& options) {
  if (options.tls_ca_file.empty() && options.tls_cert_file.empty()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions ssl;
  absl::Status status = ReadFile(options.tls_ca_file, ssl.pem_root_certs);
  status.Update(ReadFile(options.tls_cert_file, ssl.pem_cert_chain));
  status.Update(ReadFile(options.tls_key_file, ssl.pem_private_key));
  if (!status.ok()) return status;
  return grpc::SslCredentials(ssl);
}

// HOST:PORT of what may lack the port or begin with http:// or https://, as URLs do.
absl::StatusOr<std::string> AddressOf(const ClientOptions& options) {
  std::string_view address = options.server;
  std::string_view scheme;
  if (const size_t end = address.find("://"); end != std::string_view::npos) {
    scheme = address.substr(0, end);
    address.remove_prefix(end + 3);
    while (!address.empty() && address.back() == '/') address.remove_suffix(1);
  }
  const bool known = scheme.empty() || scheme == "http" || scheme == "https";
  // unix:PATH, dns:///HOST and their like are gRPC's.
  if (known && address.find('/') == std::string_view::npos && !address.empty()) {
    if (scheme == "https" && options.tls_ca_file.empty()) {
      return absl::InvalidArgumentError("the server is \"" + options.server +
                                        "\": https is TLS, for which the authority that signed the server's "
                                        "certificate is to be named (tls_ca)");
    }
    const size_t colon = address.rfind(':');
    if (colon == std::string_view::npos || address.back() == ']') return std::string(address) + ":7700";
    const std::string port(address.substr(colon + 1));
    const bool digits = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
    if (colon > 0 && digits && std::stoi(port) >= 1 && std::stoi(port) <= 65535) return std::string(address);
    return absl::InvalidArgumentError("the server is \"" + options.server + "\", whose port is \"" + port +
                                      "\"; it is HOST:PORT with a port of 1 to 65535, or HOST alone for 7700");
  }
  const bool of_grpc = scheme == "dns" || scheme == "unix" || scheme == "ipv4" || scheme == "ipv6" || scheme == "xds";
  if (of_grpc || (scheme.empty() && !address.empty())) return options.server;
  return absl::InvalidArgumentError("the server is \"" + options.server +
                                    "\"; it is HOST:PORT, or https://HOST:PORT for TLS");
}

}  // namespace

bool MayPassLater(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         status.GetPayload("type.googleapis.com/google.rpc.RetryInfo").has_value();
}

Client::Client(ClientOptions options) : options_(std::move(options)) {
  auto credentials = MakeCredentials(options_);
  usable_ = credentials.status();
  const auto address = AddressOf(options_);
  usable_.Update(address.status());
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(std::numeric_limits<int>::max());  // the server limits what it sends
  const auto channel =
      grpc::CreateCustomChannel(address.ok() ? *address : options_.server,
                                credentials.ok() ? *credentials : grpc::InsecureChannelCredentials(), arguments);
  collections_ = v1::CollectionService::NewStub(channel);
  documents_ = v1::DocumentService::NewStub(channel);
  search_ = v1::SearchService::NewStub(channel);
  admin_ = v1::AdminService::NewStub(channel);
  cluster_ = v1::ClusterService::NewStub(channel);
}

Client::~Client() = default;

void Client::Prepare(grpc::ClientContext& context, bool with_deadline) const {
  if (with_deadline && options_.deadline != absl::InfiniteDuration()) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + options_.deadline));
  }
  if (!options_.api_key.empty()) context.AddMetadata("authorization", "Bearer " + options_.api_key);
}

template <typename Response, typename Call>
absl::StatusOr<Response> Client::Run(Call call) {
  if (!usable_.ok()) return usable_;
  grpc::ClientContext context;
  Prepare(context, /*with_deadline=*/true);
  Response response;
  const grpc::Status status = call(&context, &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

template <typename Request, typename Response, typename Config, typename Start>
absl::StatusOr<v1::Collection> Client::Upload(const Config& config, std::string_view model, Start start) {
  if (!usable_.ok()) return usable_;
  grpc::ClientContext context;
  Prepare(context, /*with_deadline=*/true);
  Response response;
  auto writer = start(&context, &response);
  Request first;
  *first.mutable_config() = config;
  bool writing = writer->Write(first);
  for (size_t offset = 0; writing && offset < model.size(); offset += kModelChunkBytes) {
    Request next;
    const std::string_view chunk = model.substr(offset, kModelChunkBytes);
    next.set_model_chunk(chunk.data(), chunk.size());
    writing = writer->Write(next);  // false when the server has refused already; the status says why
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!status.ok()) return FromGrpc(status);
  return std::move(*response.mutable_collection());
}

absl::StatusOr<v1::Collection> Client::CreateCollection(const v1::CollectionConfig& config, std::string_view model) {
  return Upload<v1::CreateCollectionRequest, v1::CreateCollectionResponse>(
      config, model,
      [this](auto* context, auto* response) { return collections_->CreateCollection(context, response); });
}

absl::StatusOr<v1::Collection> Client::AddVersion(const v1::VersionConfig& config, std::string_view model) {
  return Upload<v1::AddVersionRequest, v1::AddVersionResponse>(
      config, model, [this](auto* context, auto* response) { return collections_->AddVersion(context, response); });
}

absl::StatusOr<v1::Collection> Client::GetCollection(const std::string& name) {
  v1::GetCollectionRequest request;
  request.set_name(name);
  auto response = Run<v1::GetCollectionResponse>(
      [&](auto* context, auto* out) { return collections_->GetCollection(context, request, out); });
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_collection());
}

absl::StatusOr<v1::ListCollectionsResponse> Client::ListCollections() {
  return Run<v1::ListCollectionsResponse>([&](auto* context, auto* out) {
    return collections_->ListCollections(context, v1::ListCollectionsRequest(), out);
  });
}

absl::Status Client::DeleteCollection(const std::string& name) {
  v1::DeleteCollectionRequest request;
  request.set_name(name);
  return Run<v1::DeleteCollectionResponse>(
             [&](auto* context, auto* out) { return collections_->DeleteCollection(context, request, out); })
      .status();
}

absl::StatusOr<v1::Collection> Client::PromoteVersion(const v1::PromoteVersionRequest& request) {
  auto response = Run<v1::PromoteVersionResponse>(
      [&](auto* context, auto* out) { return collections_->PromoteVersion(context, request, out); });
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_collection());
}

absl::StatusOr<v1::Collection> Client::RetireVersion(const v1::RetireVersionRequest& request) {
  auto response = Run<v1::RetireVersionResponse>(
      [&](auto* context, auto* out) { return collections_->RetireVersion(context, request, out); });
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_collection());
}

absl::StatusOr<v1::Collection> Client::BackfillVersion(const v1::BackfillVersionRequest& request) {
  auto response = Run<v1::BackfillVersionResponse>(
      [&](auto* context, auto* out) { return collections_->BackfillVersion(context, request, out); });
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_collection());
}

absl::StatusOr<v1::VersionCheck> Client::CheckVersion(const v1::CheckVersionRequest& request) {
  auto response = Run<v1::CheckVersionResponse>(
      [&](auto* context, auto* out) { return collections_->CheckVersion(context, request, out); });
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_check());
}

absl::Status Client::SetAlias(const v1::SetAliasRequest& request) {
  return Run<v1::SetAliasResponse>(
             [&](auto* context, auto* out) { return collections_->SetAlias(context, request, out); })
      .status();
}

absl::StatusOr<v1::ListAliasesResponse> Client::ListAliases() {
  return Run<v1::ListAliasesResponse>(
      [&](auto* context, auto* out) { return collections_->ListAliases(context, v1::ListAliasesRequest(), out); });
}

absl::Status Client::DeleteAlias(const std::string& name) {
  v1::DeleteAliasRequest request;
  request.set_name(name);
  return Run<v1::DeleteAliasResponse>(
             [&](auto* context, auto* out) { return collections_->DeleteAlias(context, request, out); })
      .status();
}

absl::StatusOr<v1::UpsertResponse> Client::Upsert(const v1::UpsertRequest& request) {
  return Run<v1::UpsertResponse>([&](auto* context, auto* out) { return documents_->Upsert(context, request, out); });
}

absl::StatusOr<v1::GetResponse> Client::Get(const v1::GetRequest& request) {
  return Run<v1::GetResponse>([&](auto* context, auto* out) { return documents_->Get(context, request, out); });
}

absl::Status Client::StreamGet(const v1::StreamGetRequest& request,
                               const std::function<absl::Status(const v1::GetResponse&)>& take) {
  if (!usable_.ok()) return usable_;
  grpc::ClientContext context;
  Prepare(context, /*with_deadline=*/true);
  const auto reader = documents_->StreamGet(&context, request);
  absl::Status taken;
  for (v1::GetResponse piece; taken.ok() && reader->Read(&piece);) taken = take(piece);
  if (!taken.ok()) context.TryCancel();
  const grpc::Status status = reader->Finish();
  return taken.ok() ? FromGrpc(status) : taken;
}

absl::StatusOr<v1::ScrollResponse> Client::Scroll(const v1::ScrollRequest& request) {
  return Run<v1::ScrollResponse>([&](auto* context, auto* out) { return documents_->Scroll(context, request, out); });
}

absl::StatusOr<v1::CountResponse> Client::Count(const v1::CountRequest& request) {
  return Run<v1::CountResponse>([&](auto* context, auto* out) { return documents_->Count(context, request, out); });
}

absl::StatusOr<v1::FacetResponse> Client::Facets(const v1::FacetRequest& request) {
  return Run<v1::FacetResponse>([&](auto* context, auto* out) { return documents_->Facets(context, request, out); });
}

absl::StatusOr<v1::UpdateAttributesResponse> Client::UpdateAttributes(const v1::UpdateAttributesRequest& request) {
  return Run<v1::UpdateAttributesResponse>(
      [&](auto* context, auto* out) { return documents_->UpdateAttributes(context, request, out); });
}

absl::StatusOr<v1::DeleteResponse> Client::Delete(const v1::DeleteRequest& request) {
  return Run<v1::DeleteResponse>([&](auto* context, auto* out) { return documents_->Delete(context, request, out); });
}

std::unique_ptr<UpsertStream> Client::StreamUpsert(const std::string& collection, size_t window, v1::UpsertMode mode,
                                                   v1::UpsertOptions options, absl::Duration patience) {
  return std::unique_ptr<UpsertStream>(
      new UpsertStream(*this, collection, std::max<size_t>(window, 1), mode, std::move(options), patience));
}

absl::StatusOr<v1::SearchResponse> Client::Search(const v1::SearchRequest& request) {
  return Run<v1::SearchResponse>([&](auto* context, auto* out) { return search_->Search(context, request, out); });
}

absl::StatusOr<v1::BatchSearchResponse> Client::BatchSearch(const v1::BatchSearchRequest& request) {
  return Run<v1::BatchSearchResponse>(
      [&](auto* context, auto* out) { return search_->BatchSearch(context, request, out); });
}

absl::StatusOr<v1::GetStatsResponse> Client::GetStats() {
  return Run<v1::GetStatsResponse>(
      [&](auto* context, auto* out) { return admin_->GetStats(context, v1::GetStatsRequest(), out); });
}

absl::StatusOr<v1::EstimateMemoryResponse> Client::EstimateMemory(const v1::EstimateMemoryRequest& request) {
  return Run<v1::EstimateMemoryResponse>(
      [&](auto* context, auto* out) { return admin_->EstimateMemory(context, request, out); });
}

absl::StatusOr<v1::GetClusterResponse> Client::GetCluster() {
  return Run<v1::GetClusterResponse>(
      [&](auto* context, auto* out) { return admin_->GetCluster(context, v1::GetClusterRequest(), out); });
}

absl::StatusOr<v1::VerifyClusterResponse> Client::VerifyCluster(const v1::VerifyClusterRequest& request) {
  return Run<v1::VerifyClusterResponse>(
      [&](auto* context, auto* out) { return admin_->VerifyCluster(context, request, out); });
}

absl::StatusOr<v1::Snapshot> Client::CreateSnapshot(const v1::CreateSnapshotRequest& request) {
  auto response = Run<v1::CreateSnapshotResponse>(
      [&](auto* context, auto* out) { return admin_->CreateSnapshot(context, request, out); });
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_snapshot());
}

absl::StatusOr<v1::ListSnapshotsResponse> Client::ListSnapshots(const v1::ListSnapshotsRequest& request) {
  return Run<v1::ListSnapshotsResponse>(
      [&](auto* context, auto* out) { return admin_->ListSnapshots(context, request, out); });
}

absl::StatusOr<v1::Collection> Client::RestoreSnapshot(const v1::RestoreSnapshotRequest& request) {
  auto response = Run<v1::RestoreSnapshotResponse>(
      [&](auto* context, auto* out) { return admin_->RestoreSnapshot(context, request, out); });
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_collection());
}

absl::Status Client::DeleteSnapshot(const v1::DeleteSnapshotRequest& request) {
  return Run<v1::DeleteSnapshotResponse>(
             [&](auto* context, auto* out) { return admin_->DeleteSnapshot(context, request, out); })
      .status();
}

absl::StatusOr<v1::JoinNodeResponse> Client::JoinNode(const v1::JoinNodeRequest& request) {
  return Run<v1::JoinNodeResponse>([&](auto* context, auto* out) { return cluster_->JoinNode(context, request, out); });
}

absl::StatusOr<v1::DrainNodeResponse> Client::DrainNode(const v1::DrainNodeRequest& request) {
  return Run<v1::DrainNodeResponse>(
      [&](auto* context, auto* out) { return cluster_->DrainNode(context, request, out); });
}

}  // namespace bebr
