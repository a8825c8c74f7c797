// Calls of any method with any bytes, as clients make them that were built for another API.
#ifndef BEBR_TESTS_INTEGRATION_RAW_CALL_H_
#define BEBR_TESTS_INTEGRATION_RAW_CALL_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

namespace bebr::testing {

// A call as its client drives it. Thread safety: none.
class RawCall {
 public:
  // Over a connection of its own. `key` empty: none is shown.
  RawCall(const std::string& address, const std::string& path, const std::string& key = "");
  RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& path, const std::string& key = "");
  ~RawCall();

  // False if the call has ended.
  bool Write(const std::string& message);
  bool WritesDone();
  bool Read(std::string* message);
  void Cancel() { context_.TryCancel(); }
  // The status; reads nothing. Called once, at the end.
  grpc::Status Finish();
  grpc::ClientContext& context() { return context_; }

 private:
  bool Next();

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  bool finished_ = false;
};

std::shared_ptr<grpc::Channel> OwnConnection(const std::string& address);

struct RawAnswer {
  grpc::Status status;
  std::vector<std::string> messages;
};
// Sends the messages, reads all answers.
RawAnswer CallRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                  const std::vector<std::string>& messages, const std::string& key = "");

}  // namespace bebr::testing

#endif  // BEBR_TESTS_INTEGRATION_RAW_CALL_H_
