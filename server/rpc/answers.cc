#include "server/rpc/answers.h"

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "server/rpc/convert.h"

namespace bebr {

absl::Status Describe(const RpcContext& rpc, const std::string& collection, v1::Collection* out) {
  BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, rpc.engine->GetCollection(collection));
  ToProto(info, out);
  return absl::OkStatus();
}

absl::Status AddDocuments(const Call& call, std::vector<Document>&& documents, v1::GetResponse& out) {
  constexpr uint64_t kWithItsBytes = 2;
  for (Document& document : documents) {
    v1::Document* added = out.add_documents();
    ToProto(std::move(document), added);
    BEBR_RETURN_IF_ERROR(call.TakeAnswerMemory(kWithItsBytes * added->SpaceUsedLong()));
  }
  return absl::OkStatus();
}

absl::Status CheckSize(const RpcContext& rpc, const google::protobuf::Message& message, std::string_view advice) {
  const size_t bytes = message.ByteSizeLong();
  if (bytes <= rpc.config.max_message_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrFormat("the answer has %d bytes; the limit of a message is %d: %s",
                                                      bytes, rpc.config.max_message_bytes, advice));
}

}  // namespace bebr
