// Calls that send a model file in pieces.
#ifndef BEBR_SERVER_RPC_MODEL_UPLOAD_H_
#define BEBR_SERVER_RPC_MODEL_UPLOAD_H_

#include <atomic>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "server/call/call.h"
#include "server/config/live_limits.h"
#include "server/rpc/make_method.h"

namespace bebr {

inline constexpr size_t kMaxModelChunkBytes = 1 << 20;

// What tells one method with a model from another: of whom the first message is, whether it may go on, and what is done
// with the whole model, on the blocking pool.
template <typename Request, typename Response>
struct ModelUploadWork {
  Target (*target)(const Request&);
  bool (*has_model)(const Request&);  // false: the first message is the only one
  absl::Status (*check)(RpcContext&, const Call&, const Request&);
  absl::Status (*work)(RpcContext&, const Call&, const Request&, const std::string& model, Response&);
};

// A call whose first message holds `config` and whose following ones hold pieces of a model file.
//
// Memory: the file is held once; RESOURCE_EXHAUSTED if it is larger than max_model_bytes, or if all uploads in progress
// would have more than twice that.
template <typename Request, typename Response>
class ModelUploadCall final : public Call {
 public:
  ModelUploadCall(CallStart start, const ModelUploadWork<Request, Response>& work)
      : Call(std::move(start)), work_(work) {
    Read();
  }

 private:
  void OnMessage() override {
    if (const absl::Status status = Add(); !status.ok()) return End(status);
    Read();
  }

  absl::Status Add() {
    const uint64_t bytes = input_bytes();
    BEBR_RETURN_IF_ERROR(Take(&message_, &hold_));
    if (has_config_ && !work_.has_model(config_)) {
      return absl::InvalidArgumentError("there is a message after the first, which says that there is no model file");
    }
    if (has_config_) return AddChunk(message_.model_chunk());
    if (!message_.has_config()) return absl::InvalidArgumentError("config is missing; the first message holds it");
    has_config_ = true;
    config_ = std::move(message_);
    BEBR_RETURN_IF_ERROR(Charge(bytes));
    BEBR_RETURN_IF_ERROR(Authorize(work_.target(config_)));
    return work_.check(rpc(), *this, config_);
  }

  absl::Status AddChunk(const std::string& chunk) {
    if (chunk.empty() || chunk.size() > kMaxModelChunkBytes) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "model_chunk has %d bytes; a message after the first holds 1 to %d", chunk.size(), kMaxModelChunkBytes));
    }
    const uint64_t limit = rpc().limits.max_model_bytes;
    if (model_.size() + chunk.size() > limit) {
      return absl::ResourceExhaustedError(
          absl::StrFormat("the model file has more than %d bytes, the limit of this server", limit));
    }
    held_ += chunk.size();
    if (rpc().upload_bytes.fetch_add(chunk.size()) + chunk.size() > 2 * limit) {
      return absl::ResourceExhaustedError("too many models are being uploaded at this moment; try again later");
    }
    model_ += chunk;
    return absl::OkStatus();
  }

  // A cancelled stream looks like one that has ended: what came so far must not be taken for the whole file.
  void OnInputEnd() override {
    if (gone()) return End(absl::CancelledError("the client ended the call"));
    if (!has_config_) return End(absl::InvalidArgumentError("config is missing; the first message holds it"));
    if (model_.empty() && work_.has_model(config_)) {
      return End(
          absl::InvalidArgumentError("model_chunk is missing; the messages after the first hold the model file"));
    }
    const absl::Status submitted = rpc().blocking->TrySubmit([this] {
      Response response;
      const absl::Status status = work_.work(rpc(), *this, config_, model_, response);
      if (status.ok()) {
        Answer(response);
      } else {
        End(status);
      }
    });
    if (!submitted.ok()) End(submitted);
  }

  void Release() override {
    rpc().upload_bytes.fetch_sub(held_);
    delete this;
  }

  const ModelUploadWork<Request, Response> work_;
  Request message_;
  Request config_;
  MemoryBudget::Hold hold_;
  bool has_config_ = false;
  std::string model_;
  size_t held_ = 0;
};

// A method of such calls, which need the role admin.
template <typename Request, typename Response>
Method ModelUpload(std::string path, Target (*target)(const Request&), bool (*has_model)(const Request&),
                   absl::Status (*check)(RpcContext&, const Call&, const Request&),
                   absl::Status (*work)(RpcContext&, const Call&, const Request&, const std::string&, Response&)) {
  Method method = MethodOf<Request, Response>(std::move(path), Role::kAdmin);
  method.client_streams = true;
  method.make = [made = ModelUploadWork<Request, Response>{target, has_model, check, work}](CallStart start) -> Call* {
    return new ModelUploadCall<Request, Response>(std::move(start), made);
  };
  return method;
}

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_MODEL_UPLOAD_H_
