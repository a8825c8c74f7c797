// Server reflection: tools learn the API from the server. The two versions have the same messages.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "grpc/reflection/v1/reflection.pb.h"
#include "index/base/status_macros.h"
#include "server/rpc/make_method.h"
#include "server/rpc/methods.h"

namespace bebr {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;
constexpr uint64_t kMaxRequestBytes = 4096;

using Services = std::shared_ptr<const std::vector<std::string>>;

// The file and those that it imports, each once.
void AddFile(const FileDescriptor* file, std::set<std::string>& seen, ServerReflectionResponse& response) {
  if (!seen.insert(file->name()).second) return;
  google::protobuf::FileDescriptorProto proto;
  file->CopyTo(&proto);
  response.mutable_file_descriptor_response()->add_file_descriptor_proto(proto.SerializeAsString());
  for (int i = 0; i < file->dependency_count(); ++i) AddFile(file->dependency(i), seen, response);
}

absl::Status AnswerFile(const FileDescriptor* file, ServerReflectionResponse& response) {
  if (file == nullptr) return absl::NotFoundError("this server knows no such file or symbol");
  std::set<std::string> seen;
  AddFile(file, seen, response);
  return absl::OkStatus();
}

const FileDescriptor* FileOfExtension(const grpc::reflection::v1::ExtensionRequest& request) {
  const auto* pool = DescriptorPool::generated_pool();
  const auto* type = pool->FindMessageTypeByName(request.containing_type());
  const auto* extension = type == nullptr ? nullptr : pool->FindExtensionByNumber(type, request.extension_number());
  return extension == nullptr ? nullptr : extension->file();
}

absl::Status AnswerExtensions(const std::string& name, ServerReflectionResponse& response) {
  const auto* pool = DescriptorPool::generated_pool();
  const auto* type = pool->FindMessageTypeByName(name);
  if (type == nullptr) return absl::NotFoundError("this server knows no such type");
  std::vector<const google::protobuf::FieldDescriptor*> extensions;
  pool->FindAllExtensions(type, &extensions);
  auto* out = response.mutable_all_extension_numbers_response();
  out->set_base_type_name(name);
  for (const auto* extension : extensions) out->add_extension_number(extension->number());
  return absl::OkStatus();
}

absl::Status Respond(const ServerReflectionRequest& request, const Services& services,
                     ServerReflectionResponse& response) {
  const auto* pool = DescriptorPool::generated_pool();
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kFileByFilename:
      return AnswerFile(pool->FindFileByName(request.file_by_filename()), response);
    case ServerReflectionRequest::kFileContainingSymbol:
      return AnswerFile(pool->FindFileContainingSymbol(request.file_containing_symbol()), response);
    case ServerReflectionRequest::kFileContainingExtension:
      return AnswerFile(FileOfExtension(request.file_containing_extension()), response);
    case ServerReflectionRequest::kAllExtensionNumbersOfType:
      return AnswerExtensions(request.all_extension_numbers_of_type(), response);
    case ServerReflectionRequest::kListServices:
      for (const std::string& name : *services)
        response.mutable_list_services_response()->add_service()->set_name(name);
      return absl::OkStatus();
    case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("message_request is not set");
}

// Answers one request after the other.
class ReflectionCall final : public Call {
 public:
  ReflectionCall(CallStart start, Services services) : Call(std::move(start)), services_(std::move(services)) {
    Read();
  }

 private:
  void OnMessage() override {
    ServerReflectionRequest request;
    MemoryBudget::Hold hold;
    absl::Status status = Charge(input_bytes());
    if (status.ok()) status = AdmitAnswer();
    if (status.ok() && input_bytes() > kMaxRequestBytes) {
      status = absl::InvalidArgumentError(
          absl::StrFormat("the request has %d bytes; one for reflection, which its answer repeats, has at most %d",
                          input_bytes(), kMaxRequestBytes));
    }
    if (status.ok()) status = Take(&request, &hold);
    if (!status.ok()) return End(status);
    ServerReflectionResponse response;
    response.set_valid_host(request.host());
    *response.mutable_original_request() = request;
    if (const absl::Status answered = Respond(request, services_, response); !answered.ok()) {
      response.mutable_error_response()->set_error_code(static_cast<int32_t>(answered.code()));
      response.mutable_error_response()->set_error_message(std::string(answered.message()));
    }
    Write(response);
  }
  void OnWritten(bool ok) override {
    if (!ok) return OnInputEnd();
    Read();
  }
  void OnInputEnd() override { End(gone() ? absl::CancelledError("the client ended the call") : absl::OkStatus()); }

  const Services services_;
};

}  // namespace

std::vector<Method> ReflectionMethods(std::vector<std::string> services) {
  const std::vector<std::string> own = {"grpc.reflection.v1.ServerReflection",
                                        "grpc.reflection.v1alpha.ServerReflection"};
  services.insert(services.end(), own.begin(), own.end());
  const Services shared = std::make_shared<const std::vector<std::string>>(std::move(services));
  std::vector<Method> methods;
  for (const std::string& service : own) {
    Method method = MethodOf<ServerReflectionRequest, ServerReflectionResponse>("/" + service + "/ServerReflectionInfo",
                                                                                Role::kRead);
    method.client_streams = method.server_streams = true;
    method.while_stopping = true;  // tools keep one open
    method.make = [shared](CallStart start) -> Call* { return new ReflectionCall(std::move(start), shared); };
    methods.push_back(std::move(method));
  }
  return methods;
}

}  // namespace bebr
