// Writing many documents over one stream: what Client::StreamUpsert returns.
#ifndef BEBR_CLIENT_UPSERT_STREAM_H_
#define BEBR_CLIENT_UPSERT_STREAM_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "client/client.h"

namespace bebr {

// An UpsertStream sends documents over one stream, several messages at a time, and keeps each until it is acknowledged.
//
//   auto stream = client.StreamUpsert("papers");
//   while (...) {
//     if (absl::Status status = stream->Send(std::move(documents)); !status.ok()) return status;
//   }
//   return stream->Finish();
//
// Messages that the server refuses because it is full (RESOURCE_EXHAUSTED) are sent again after a pause, until nothing
// else happens for many times; every other refusal ends the stream with that error. Where the server goes away that has
// acknowledged something (UNAVAILABLE), the stream is opened again for as long as `patience` says, and what is not
// acknowledged is sent again, which counts as created once and may be skipped by a condition. Retried messages may be
// written after later ones, so one document must not be sent twice at a time.
//
// Thread safety: Send and Finish from one thread; the counters from any.
class UpsertStream {
 public:
  // Cancels what was not finished.
  ~UpsertStream();

  // Calls `told` with why the server is away when it is waited for, and with OK once it acknowledges again: in Send or
  // Finish. Must come before them.
  void OnAway(std::function<void(const absl::Status&)> told) { told_ = std::move(told); }
  // Sends `documents` as one message, waiting while `window` messages are unacknowledged. The error may be that of an
  // earlier message.
  absl::Status Send(google::protobuf::RepeatedPtrField<v1::Document> documents);
  // Waits until everything is acknowledged. Must be the last call.
  absl::Status Finish();

  uint64_t acknowledged() const;  // documents that are on the server's disk
  uint64_t created() const;       // of these, new ones
  // Documents of the messages from the first to the last before one that is not acknowledged: where the stream breaks
  // off, one can go on with the document after these.
  uint64_t acknowledged_in_order() const;
  // If a message was refused for good: the documents of messages that were sent before it, so that the error's
  // documents[i] is the one after so many and i more.
  std::optional<uint64_t> sent_before_refusal() const;
  // Of a merge: documents that do not exist and were not written; the first of their ids.
  uint64_t unknown() const;
  std::vector<std::string> unknown_ids() const;
  // Documents that a condition of the options kept from being written, and those that were left out of a partial
  // message; the first of their errors.
  uint64_t skipped() const;
  uint64_t wrong() const;
  std::vector<v1::DocumentError> errors() const;

 private:
  friend class Client;
  struct Sent {
    v1::StreamUpsertRequest message;
    uint64_t documents_before = 0;  // in messages sent earlier
  };

  UpsertStream(Client& client, std::string collection, size_t window, v1::UpsertMode mode, v1::UpsertOptions options,
               absl::Duration patience);
  void Open();
  // Of a stream that sends no more: why. Closes it.
  absl::Status Close();
  // Opens it again and sends what is not acknowledged, unless `why` it was closed is not that the server is away.
  absl::Status Reopen(absl::Status why);
  void TellIfBack();
  void ReadAcknowledgements();
  void Take(const v1::StreamUpsertResponse& response);
  // Writes the message; false if the stream has ended.
  bool Put(uint64_t sequence);
  // Writes the message, to a stream that is opened again where it must be.
  absl::Status Write(uint64_t sequence);
  absl::Status Resend();
  absl::Status WaitUntilBelow(size_t unacknowledged);

  Client& client_;
  const std::string collection_;
  const size_t window_;
  const v1::UpsertMode mode_;
  const v1::UpsertOptions options_;
  const absl::Duration patience_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::StreamUpsertRequest, v1::StreamUpsertResponse>> stream_;
  uint64_t next_sequence_ = 1;
  bool finished_ = false;
  std::function<void(const absl::Status&)> told_;
  bool away_ = false;  // told

  // Abseil's: this library knows nothing of index/, whose lock everything else uses.
  mutable absl::Mutex mutex_;
  std::map<uint64_t, Sent> waiting_ ABSL_GUARDED_BY(mutex_);  // by sequence: not acknowledged, or refused for good
  std::deque<uint64_t> refused_ ABSL_GUARDED_BY(mutex_);      // of these, to be sent again
  uint64_t sent_ ABSL_GUARDED_BY(mutex_) = 0;                 // documents
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  std::optional<uint64_t> sent_before_refusal_ ABSL_GUARDED_BY(mutex_);  // of the message whose refusal error_ is
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;                           // the server sends no more
  bool heard_ ABSL_GUARDED_BY(mutex_) = false;                           // so since it was opened again
  bool answered_ ABSL_GUARDED_BY(mutex_) = false;                        // it has acknowledged something
  int refusals_ ABSL_GUARDED_BY(mutex_) = 0;  // since the last acknowledgement that was not one
  uint64_t acknowledged_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t created_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t unknown_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> unknown_ids_ ABSL_GUARDED_BY(mutex_);
  uint64_t skipped_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t wrong_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<v1::DocumentError> errors_ ABSL_GUARDED_BY(mutex_);
  std::thread reader_;
};

}  // namespace bebr

#endif  // BEBR_CLIENT_UPSERT_STREAM_H_
