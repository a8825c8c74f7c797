#include "client/upsert_stream.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/time/clock.h"
#include "client/status.h"

namespace bebr {
namespace {

constexpr absl::Duration kRetryPause = absl::Milliseconds(100);
// A server whose memory limit is reached stays full: some time after, waiting is no use.
constexpr int kMaxRefusals = 500;
constexpr size_t kMaxUnknownIds = 10;
constexpr absl::Duration kReopenPause = absl::Milliseconds(500);

}  // namespace

UpsertStream::UpsertStream(Client& client, std::string collection, size_t window, v1::UpsertMode mode,
                           v1::UpsertOptions options, absl::Duration patience)
    : client_(client),
      collection_(std::move(collection)),
      window_(window),
      mode_(mode),
      options_(std::move(options)),
      patience_(patience) {
  error_ = client.usable_;
  if (error_.ok()) Open();
}

UpsertStream::~UpsertStream() {
  if (finished_ || stream_ == nullptr) return;
  context_->TryCancel();
  (void)Close();  // cancelled: the status tells nothing
}

void UpsertStream::Open() {
  stream_.reset();
  context_ = std::make_unique<grpc::ClientContext>();
  client_.Prepare(*context_, /*with_deadline=*/false);
  {
    absl::MutexLock lock(&mutex_);
    ended_ = false;
    refused_.clear();
  }
  stream_ = client_.documents_->StreamUpsert(context_.get());
  reader_ = std::thread([this] { ReadAcknowledgements(); });
}

absl::Status UpsertStream::Close() {
  reader_.join();
  const grpc::Status status = stream_->Finish();
  return status.ok() ? absl::UnavailableError("the server ended the stream before everything was acknowledged")
                     : FromGrpc(status);
}

absl::Status UpsertStream::Reopen(absl::Status why) {
  const auto end = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(patience_);
  for (;;) {
    const bool may_come_back = absl::IsUnavailable(why) && std::chrono::steady_clock::now() < end;
    std::vector<uint64_t> again;
    {
      absl::MutexLock lock(&mutex_);
      if (!may_come_back || !answered_ || !error_.ok()) {
        finished_ = true;
        error_.Update(why);
        return error_;
      }
      for (const auto& [sequence, sent] : waiting_) again.push_back(sequence);
      heard_ = false;
    }
    if (!std::exchange(away_, true) && told_ != nullptr) told_(why);
    absl::SleepFor(kReopenPause);
    Open();
    if (std::all_of(again.begin(), again.end(), [this](uint64_t sequence) { return Put(sequence); }))
      return absl::OkStatus();
    why = Close();
  }
}

void UpsertStream::TellIfBack() {
  if (!away_) return;
  {
    absl::MutexLock lock(&mutex_);
    if (!heard_) return;
  }
  away_ = false;
  if (told_ != nullptr) told_(absl::OkStatus());
}

void UpsertStream::ReadAcknowledgements() {
  v1::StreamUpsertResponse response;
  while (stream_->Read(&response)) Take(response);
  absl::MutexLock lock(&mutex_);
  ended_ = true;
}

void UpsertStream::Take(const v1::StreamUpsertResponse& response) {
  const auto code = static_cast<absl::StatusCode>(response.error_code());
  absl::MutexLock lock(&mutex_);
  if (code == absl::StatusCode::kResourceExhausted && ++refusals_ < kMaxRefusals) {
    if (waiting_.contains(response.sequence())) refused_.push_back(response.sequence());
    return;
  }
  if (code != absl::StatusCode::kOk) {
    const auto sent = waiting_.find(response.sequence());
    if (error_.ok() && sent != waiting_.end()) sent_before_refusal_ = sent->second.documents_before;
    error_.Update(absl::Status(code, response.error_message()));
    return;
  }
  refusals_ = 0;
  answered_ = heard_ = true;
  if (waiting_.erase(response.sequence()) == 0) return;  // acknowledged before
  acknowledged_ += response.documents();
  created_ += response.created();
  unknown_ += static_cast<uint64_t>(response.unknown_ids_size());
  for (const std::string& id : response.unknown_ids()) {
    if (unknown_ids_.size() < kMaxUnknownIds) unknown_ids_.push_back(id);
  }
  skipped_ += static_cast<uint64_t>(response.skipped_ids_size());
  wrong_ += static_cast<uint64_t>(response.errors_size());
  for (const v1::DocumentError& error : response.errors()) {
    if (errors_.size() < kMaxUnknownIds) errors_.push_back(error);
  }
}

bool UpsertStream::Put(uint64_t sequence) {
  const v1::StreamUpsertRequest* message = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    const auto sent = waiting_.find(sequence);
    if (sent == waiting_.end()) return true;  // sent again already, and acknowledged
    message = &sent->second.message;  // stays there until its acknowledgement, which cannot come before it is written
  }
  return stream_->Write(*message);
}

absl::Status UpsertStream::Write(uint64_t sequence) { return Put(sequence) ? absl::OkStatus() : Reopen(Close()); }

absl::Status UpsertStream::Resend() {
  std::deque<uint64_t> again;
  {
    absl::MutexLock lock(&mutex_);
    again.swap(refused_);
  }
  if (again.empty()) return absl::OkStatus();
  absl::SleepFor(kRetryPause);
  for (const uint64_t sequence : again) {
    if (absl::Status status = Write(sequence); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status UpsertStream::WaitUntilBelow(size_t unacknowledged) {
  for (;;) {
    if (absl::Status status = Resend(); !status.ok()) return status;
    absl::MutexLock lock(&mutex_);
    const auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return ended_ || !error_.ok() || !refused_.empty() || waiting_.size() < unacknowledged;
    };
    mutex_.Await(absl::Condition(&ready));
    if (!error_.ok()) return error_;
    if (ended_) return absl::OkStatus();  // the next write finds out why
    if (refused_.empty()) return absl::OkStatus();
  }
}

absl::Status UpsertStream::Send(google::protobuf::RepeatedPtrField<v1::Document> documents) {
  {
    absl::MutexLock lock(&mutex_);
    if (!error_.ok()) return error_;
  }
  if (absl::Status status = WaitUntilBelow(window_); !status.ok()) return status;
  TellIfBack();
  const uint64_t sequence = next_sequence_++;
  v1::StreamUpsertRequest message;
  message.set_collection(collection_);
  message.set_mode(mode_);
  message.set_sequence(sequence);
  *message.mutable_options() = options_;
  *message.mutable_documents() = std::move(documents);
  {
    absl::MutexLock lock(&mutex_);
    const auto count = static_cast<uint64_t>(message.documents_size());
    waiting_.emplace(sequence, Sent{.message = std::move(message), .documents_before = sent_});
    sent_ += count;
  }
  return Write(sequence);
}

absl::Status UpsertStream::Finish() {
  absl::Status waited;
  for (bool all = false; !all && waited.ok();) {
    if (finished_ || stream_ == nullptr) {
      absl::MutexLock lock(&mutex_);
      return error_;
    }
    waited = WaitUntilBelow(1);
    TellIfBack();
    if (finished_) return waited;  // a message sent again found the stream ended
    {
      absl::MutexLock lock(&mutex_);
      all = waiting_.empty();
    }
    if (waited.ok() && !all) waited = Reopen(Close());
  }
  if (finished_) return waited;
  if (waited.ok()) {
    stream_->WritesDone();
  } else {
    context_->TryCancel();
  }
  reader_.join();
  finished_ = true;
  const grpc::Status status = stream_->Finish();
  if (!waited.ok()) return waited;
  absl::MutexLock lock(&mutex_);
  if (!error_.ok()) return error_;
  return status.ok() ? absl::OkStatus() : FromGrpc(status);
}

uint64_t UpsertStream::acknowledged() const {
  absl::MutexLock lock(&mutex_);
  return acknowledged_;
}

uint64_t UpsertStream::created() const {
  absl::MutexLock lock(&mutex_);
  return created_;
}

uint64_t UpsertStream::acknowledged_in_order() const {
  absl::MutexLock lock(&mutex_);
  return waiting_.empty() ? sent_ : waiting_.begin()->second.documents_before;
}

std::optional<uint64_t> UpsertStream::sent_before_refusal() const {
  absl::MutexLock lock(&mutex_);
  return sent_before_refusal_;
}

uint64_t UpsertStream::unknown() const {
  absl::MutexLock lock(&mutex_);
  return unknown_;
}

uint64_t UpsertStream::skipped() const {
  absl::MutexLock lock(&mutex_);
  return skipped_;
}

uint64_t UpsertStream::wrong() const {
  absl::MutexLock lock(&mutex_);
  return wrong_;
}

std::vector<v1::DocumentError> UpsertStream::errors() const {
  absl::MutexLock lock(&mutex_);
  return errors_;
}

std::vector<std::string> UpsertStream::unknown_ids() const {
  absl::MutexLock lock(&mutex_);
  return unknown_ids_;
}

}  // namespace bebr
