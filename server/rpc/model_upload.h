#ifndef BEBR_SERVER_RPC_MODEL_UPLOAD_H_
#define BEBR_SERVER_RPC_MODEL_UPLOAD_H_

#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_format.h"
#include "server/call/rpc_context.h"
#include "server/call/status.h"

namespace bebr {

inline constexpr size_t kMaxModelChunkBytes = 1 << 20;

// A call whose first message holds `config` and whose following ones hold pieces of a model file. When the client has
// sent all, `finish` runs on the blocking pool with the configuration and the whole file.
//
// Memory: the file is held once; RESOURCE_EXHAUSTED if it is larger than max_model_bytes, or if all uploads in progress
// would have more than twice that. Lifetime: deletes itself.
template <typename Request>
class ModelUploadCall : public grpc::ServerReadReactor<Request> {
 public:
  // Called with the first message, before anything else is read: authenticates and validates.
  using Check = absl::AnyInvocable<absl::Status(const Request&)>;
  using Work = absl::AnyInvocable<absl::Status(const Request&, const std::string& model)>;

  ModelUploadCall(RpcContext& rpc, Check check, Work work)
      : rpc_(rpc), check_(std::move(check)), work_(std::move(work)) {
    this->StartRead(&message_);
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return Dispatch();
    if (absl::Status status = Take(); !status.ok()) return End(status);
    message_.Clear();
    this->StartRead(&message_);
  }

  absl::Status Take() {
    if (!has_config_) {
      if (!message_.has_config()) return absl::InvalidArgumentError("config is missing; the first message holds it");
      config_ = message_;
      has_config_ = true;
      return check_(config_);
    }
    const std::string& chunk = message_.model_chunk();
    if (chunk.empty() || chunk.size() > kMaxModelChunkBytes) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "model_chunk has %d bytes; a message after the first holds 1 to %d", chunk.size(), kMaxModelChunkBytes));
    }
    if (model_.size() + chunk.size() > rpc_.config.max_model_bytes) {
      return absl::ResourceExhaustedError(absl::StrFormat(
          "the model file has more than %d bytes, the limit of this server", rpc_.config.max_model_bytes));
    }
    held_ += chunk.size();
    if (rpc_.upload_bytes.fetch_add(chunk.size()) + chunk.size() > 2 * rpc_.config.max_model_bytes) {
      return absl::ResourceExhaustedError("too many models are being uploaded at this moment; try again later");
    }
    model_ += chunk;
    return absl::OkStatus();
  }

  void Dispatch() {
    if (cancelled_) return End(absl::CancelledError("the client ended the call"));
    if (!has_config_) return End(absl::InvalidArgumentError("config is missing; the first message holds it"));
    if (model_.empty())
      return End(
          absl::InvalidArgumentError("model_chunk is missing; the messages after the first hold the model file"));
    const absl::Status submitted = rpc_.blocking->TrySubmit([this] { End(work_(config_, model_)); });
    if (!submitted.ok()) End(submitted);
  }

  void End(const absl::Status& status) { this->Finish(ToGrpcStatus(status)); }
  // A cancelled stream looks like one that has ended: what came so far must not be taken for the whole file.
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override {
    rpc_.upload_bytes.fetch_sub(held_);
    delete this;
  }

  RpcContext& rpc_;
  Check check_;
  Work work_;
  Request message_;
  Request config_;
  bool has_config_ = false;
  std::atomic<bool> cancelled_{false};
  std::string model_;
  size_t held_ = 0;
};

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_MODEL_UPLOAD_H_
