#include "server/rpc/context.h"

#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/retry.h"
#include "index/base/status_macros.h"

namespace bebr {

absl::Status BlockingPool::TrySubmit(absl::AnyInvocable<void()> task) {
  if (waiting_.fetch_add(1) >= kMaxWaiting) {
    waiting_.fetch_sub(1);
    return TryAgainLater(absl::StrFormat("%d calls wait for the disk already; try again later", kMaxWaiting));
  }
  pool_.Submit([this, task = std::move(task)]() mutable {
    waiting_.fetch_sub(1);
    task();
  });
  return absl::OkStatus();
}

bool StreamRegistry::Add(void* stream, std::function<void()> drain) {
  std::lock_guard lock(mutex_);
  if (draining_) return false;
  streams_.emplace(stream, std::move(drain));
  return true;
}

void StreamRegistry::Remove(void* stream) {
  std::lock_guard lock(mutex_);
  streams_.erase(stream);
}

void StreamRegistry::Drain() {
  std::lock_guard lock(mutex_);
  draining_ = true;
  std::vector<void*> keys;
  for (const auto& [stream, drain] : streams_) keys.push_back(stream);
  for (void* key : keys) {
    const auto found = streams_.find(key);
    if (found == streams_.end()) continue;
    const std::function<void()> drain = found->second;  // the entry may go while it runs
    drain();
  }
}

grpc::ServerUnaryReactor* RunBlocking(RpcContext& rpc, const absl::Status& checked,
                                      absl::AnyInvocable<absl::Status()> body) {
  auto* call = new UnaryCall;
  if (!checked.ok()) {
    call->End(checked);
    return call;
  }
  const absl::Status submitted =
      rpc.blocking->TrySubmit([call, body = std::move(body)]() mutable { call->End(body()); });
  if (!submitted.ok()) call->End(submitted);
  return call;
}

absl::Status Describe(const RpcContext& rpc, const std::string& collection, v1::Collection* out) {
  BEBR_ASSIGN_OR_RETURN(const CollectionInfo info, rpc.engine->GetCollection(collection));
  ToProto(info, out);
  return absl::OkStatus();
}

absl::Status CheckSize(const RpcContext& rpc, const google::protobuf::Message& message, std::string_view advice) {
  const size_t bytes = message.ByteSizeLong();
  if (bytes <= rpc.config.max_message_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrFormat("the answer has %d bytes; the limit of a message is %d: %s",
                                                      bytes, rpc.config.max_message_bytes, advice));
}

}  // namespace bebr
