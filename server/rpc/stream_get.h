// The call that reads many documents.
#ifndef BEBR_SERVER_RPC_STREAM_GET_H_
#define BEBR_SERVER_RPC_STREAM_GET_H_

#include <cstddef>
#include <string>
#include <vector>

#include "bebr/v1/documents.pb.h"
#include "server/call/call.h"
#include "server/call/memory_budget.h"

namespace bebr {

Method StreamGetMethod();

// One request for documents by id, answered by messages of a bounded size each. The next one is read from disk when the
// client has taken the last, on the blocking pool; so a slow client holds one message in memory.
//
// Lifetime: owns itself until gRPC is done with it. Thread safety: one step at a time, each begun by the end of the
// last.
class StreamGetCall final : public Call {
 public:
  explicit StreamGetCall(CallStart start) : Call(std::move(start)) { Read(); }

 private:
  void OnMessage() override;
  void OnInputEnd() override;
  void OnWritten(bool ok) override;

  absl::Status Admit();
  // Has the next message read and written, or ends the call.
  void Continue();
  absl::Status ReadPiece(v1::GetResponse& response);

  // Of the request, of which nothing else is kept: the call may last.
  std::vector<std::string> ids_;
  bool with_embeddings_ = false;
  MemoryBudget::Hold hold_;
  size_t next_ = 0;  // id
};

}  // namespace bebr

#endif  // BEBR_SERVER_RPC_STREAM_GET_H_
