#include "server/rpc/stream_get.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "index/base/status_macros.h"
#include "index/engine.h"
#include "server/rpc/answers.h"
#include "server/rpc/convert.h"
#include "server/rpc/make_method.h"

namespace bebr {
namespace {

constexpr size_t kIdsPerMessage = 64;  // of a megabyte each, at most

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
  BEBR_RETURN_IF_ERROR(Charge(input_bytes()));
  BEBR_RETURN_IF_ERROR(AdmitAnswer());
  v1::StreamGetRequest request;
  BEBR_RETURN_IF_ERROR(Take(&request, &hold_));
  BEBR_RETURN_IF_ERROR(Authorize(OfCollection(request)));
  BEBR_RETURN_IF_ERROR(ValidateCount("ids", static_cast<size_t>(request.ids_size()), kMaxStreamedIds));
  uint64_t kept_bytes = 0;
  ids_.reserve(static_cast<size_t>(request.ids_size()));
  for (std::string& id : *request.mutable_ids()) {
    if (id.empty() || id.size() > kMaxIdBytes) return ValidateId(absl::StrFormat("ids[%d]", ids_.size()), id);
    kept_bytes += sizeof(std::string) + id.capacity();
    ids_.push_back(std::move(id));
  }
  with_embeddings_ = request.with_embeddings();
  hold_.ShrinkTo(kept_bytes);
  return absl::OkStatus();
}

void StreamGetCall::Continue() {
  if (next_ == ids_.size()) return End(absl::OkStatus());
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
  if (next_ == 0) BEBR_RETURN_IF_ERROR(AdmitAnswer());  // many calls may have been let in at the same time
  for (size_t count = std::min(kIdsPerMessage, ids_.size() - next_);; count = (count + 1) / 2) {
    const auto ids = absl::MakeConstSpan(ids_).subspan(next_, count);
    response.Clear();
    ReleaseAnswerMemory();
    BEBR_ASSIGN_OR_RETURN(auto documents, rpc().engine->Get(collection(), ids, with_embeddings_));
    absl::Status fits = AddDocuments(*this, std::move(documents), response);
    if (fits.ok()) fits = CheckSize(rpc(), response, "a single document is larger");
    if (absl::IsResourceExhausted(fits) && count > 1) continue;
    next_ += count;
    return fits;
  }
}

void StreamGetCall::OnWritten(bool ok) {
  if (!ok) return End(absl::CancelledError("the client ended the call"));
  Continue();
}

}  // namespace bebr
