#include "server/rpc/stream_get.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "server/rpc/answers.h"
#include "server/rpc/convert.h"
#include "server/rpc/make_method.h"

namespace bebr {
namespace {

constexpr int kIdsPerMessage = 64;  // of a megabyte each, at most

}  // namespace

Method StreamGetMethod() {
  Method method = MethodOf<v1::StreamGetRequest, v1::GetResponse>("/bebr.v1.DocumentService/StreamGet", Role::kRead);
  method.server_streams = true;
  method.make = [](CallStart start) -> Call* { return new StreamGetCall(std::move(start)); };
  return method;
}

void StreamGetCall::OnMessage() {
  if (const absl::Status admitted = Admit(); !admitted.ok()) return End(admitted);
  Continue();
}

void StreamGetCall::OnInputEnd() { End(absl::InvalidArgumentError("the call has no message; it has one")); }

absl::Status StreamGetCall::Admit() {
  BEBR_RETURN_IF_ERROR(identity().Charge(input_bytes()));
  BEBR_RETURN_IF_ERROR(Take(&request_, &hold_));
  BEBR_RETURN_IF_ERROR(Authorize(OfCollection(request_)));
  BEBR_RETURN_IF_ERROR(rpc().responses->Admit());
  BEBR_RETURN_IF_ERROR(ValidateCount("ids", static_cast<size_t>(request_.ids_size()), kMaxStreamedIds));
  for (int i = 0; i < request_.ids_size(); ++i) {
    const std::string& id = request_.ids(i);
    if (id.empty() || id.size() > kMaxIdBytes) return ValidateId(absl::StrFormat("ids[%d]", i), id);
  }
  return absl::OkStatus();
}

void StreamGetCall::Continue() {
  if (next_ == request_.ids_size()) return End(absl::OkStatus());
  const absl::Status submitted = rpc().blocking->TrySubmit([this] {
    v1::GetResponse response;
    const absl::Status read = ReadPiece(response);
    const MemoryBudget::Hold memory = ReleaseAnswerMemory();
    if (!read.ok()) return End(read);
    Write(response);
  });
  if (!submitted.ok()) End(submitted);
}

absl::Status StreamGetCall::ReadPiece(v1::GetResponse& response) {
  BEBR_RETURN_IF_ERROR(AuthorizeAgain());
  BEBR_RETURN_IF_ERROR(Interrupted());
  for (int count = std::min(kIdsPerMessage, request_.ids_size() - next_);; count = (count + 1) / 2) {
    const std::vector<std::string> ids(request_.ids().begin() + next_, request_.ids().begin() + next_ + count);
    response.Clear();
    ReleaseAnswerMemory();
    BEBR_ASSIGN_OR_RETURN(auto documents, rpc().engine->Get(collection(), ids, request_.with_embeddings()));
    absl::Status fits = AddDocuments(*this, std::move(documents), response);
    if (fits.ok()) fits = CheckSize(rpc(), response, "a single document is larger");
    if (absl::IsResourceExhausted(fits) && count > 1) continue;
    next_ += count;
    return fits;
  }
}

void StreamGetCall::OnWriteDone(bool ok) {
  if (!ok) return End(absl::CancelledError("the client ended the call"));
  Continue();
}

}  // namespace bebr
