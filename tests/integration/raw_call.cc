#include "tests/integration/raw_call.h"

#include <chrono>

#include "tests/support/until.h"

namespace bebr::testing {

std::shared_ptr<grpc::Channel> OwnConnection(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

RawCall::RawCall(const std::string& address, const std::string& path, const std::string& key)
    : RawCall(OwnConnection(address), path, key) {}

RawCall::RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& path, const std::string& key)
    : stub_(channel) {
  context_.set_deadline(std::chrono::system_clock::now() + kPatience);
  context_.set_wait_for_ready(true);
  if (!key.empty()) context_.AddMetadata("authorization", "Bearer " + key);
  call_ = stub_.PrepareCall(&context_, path, &queue_);
  call_->StartCall(nullptr);
  Next();
}

RawCall::~RawCall() {
  Cancel();
  if (!finished_) Finish();
}

bool RawCall::Next() {
  void* tag = nullptr;
  bool ok = false;
  return queue_.Next(&tag, &ok) && ok;
}

bool RawCall::Write(const std::string& message) {
  const grpc::Slice slice(message);
  call_->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  return Next();
}

bool RawCall::WritesDone() {
  call_->WritesDone(nullptr);
  return Next();
}

bool RawCall::Read(std::string* message) {
  grpc::ByteBuffer buffer;
  call_->Read(&buffer, nullptr);
  if (!Next()) return false;
  std::vector<grpc::Slice> slices;
  (void)buffer.Dump(&slices);
  message->clear();
  for (const auto& slice : slices) message->append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return true;
}

grpc::Status RawCall::Finish() {
  finished_ = true;
  grpc::Status status;
  call_->Finish(&status, nullptr);
  Next();
  return status;
}

RawAnswer CallRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                  const std::vector<std::string>& messages, const std::string& key) {
  RawCall call(channel, path, key);
  RawAnswer answer;
  for (const std::string& message : messages) {
    if (!call.Write(message)) break;
  }
  call.WritesDone();
  for (std::string message; call.Read(&message);) answer.messages.push_back(message);
  answer.status = call.Finish();
  return answer;
}

}  // namespace bebr::testing
