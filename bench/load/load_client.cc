#include "bench/load/load_client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "bebr/v1/search.grpc.pb.h"
#include "bench/support/machine.h"
#include "index/base/mutex.h"

namespace bebr::bench {
namespace {

// Beyond it the server is hopelessly behind and the run ends with an error instead of filling the memory.
constexpr size_t kMaxOutstanding = 50000;

// The connections of a run, and what came back.
class Load {
 public:
  explicit Load(const LoadOptions& options) : options_(options) {
    for (size_t i = 0; i < options.clients; ++i) {
      grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // else all share one connection
      stubs_.push_back(v1::SearchService::NewStub(
          grpc::CreateCustomChannel(options.server, grpc::InsecureChannelCredentials(), arguments)));
    }
  }

  // Opens every connection.
  absl::Status Warm() {
    for (size_t client = 0; client < stubs_.size(); ++client) {
      grpc::ClientContext context;
      v1::SearchResponse response;
      const grpc::Status status = stubs_[client]->Search(&context, options_.query(client), &response);
      if (!status.ok()) return absl::UnavailableError("warming up: " + status.error_message());
    }
    return absl::OkStatus();
  }

  // Sends the next query from `client`; its latency counts from `intended`. Calls `then` when it is answered, unless
  // the run is over.
  void Send(size_t client, double intended, std::function<void()> then) {
    struct Call {
      grpc::ClientContext context;
      v1::SearchResponse response;
    };
    auto call = std::make_shared<Call>();
    size_t number = 0;
    {
      MutexLock lock(&mutex_);
      number = next_query_++;
      ++outstanding_;
    }
    stubs_[client]->async()->Search(
        &call->context, &options_.query(number), &call->response,
        [this, call, number, intended, then = std::move(then)](const grpc::Status& status) mutable {
          const double now = NowSeconds();
          const bool same = !options_.expected || !status.ok() || HitsOf(call->response) == options_.expected(number);
          const bool go_on = Record(status, call->response, (now - intended) * 1e3, same);
          if (go_on && then) then();
          // A call holds its channel, which must not end on one of its own threads.
          call.reset();
          // After `then`, so that a run does not look finished between two queries.
          MutexLock lock(&mutex_);
          if (--outstanding_ == 0) idle_.NotifyAll();
        });
  }

  void Start() {
    MutexLock lock(&mutex_);
    stopped_ = false;
  }
  void Stop() {
    MutexLock lock(&mutex_);
    stopped_ = true;
  }
  // Waits for all answers.
  void AwaitIdle() {
    MutexLock lock(&mutex_);
    while (outstanding_ != 0) idle_.Wait(&mutex_);
  }
  bool Overrun() {
    MutexLock lock(&mutex_);
    if (outstanding_ > kMaxOutstanding)
      error_.Update(absl::ResourceExhaustedError("the server cannot keep up with the rate"));
    return !error_.ok();
  }

  absl::StatusOr<LoadResult> Finish(double wall_s) {
    AwaitIdle();
    MutexLock lock(&mutex_);
    if (!error_.ok()) return error_;
    result_.wall_s = wall_s;
    std::sort(result_.latencies_ms.begin(), result_.latencies_ms.end());
    return std::move(result_);
  }

 private:
  bool Record(const grpc::Status& status, const v1::SearchResponse& response, double latency_ms, bool same) {
    MutexLock lock(&mutex_);
    result_.queries_in_scan += response.timings().queries_in_scan();
    if (!same) ++result_.different;
    if (status.ok()) {
      // Answers that come after the end count as latencies, not as throughput.
      if (!stopped_) ++result_.answered;
      result_.latencies_ms.push_back(latency_ms);
    } else if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
      ++result_.refused;
    } else {
      error_.Update(absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message()));
    }
    return !stopped_ && error_.ok();
  }

  const LoadOptions& options_;
  std::vector<std::unique_ptr<v1::SearchService::Stub>> stubs_;
  Mutex mutex_;
  CondVar idle_;
  size_t next_query_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t outstanding_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  LoadResult result_ ABSL_GUARDED_BY(mutex_);
};

void SleepUntil(double moment) {
  const double left = moment - NowSeconds();
  if (left > 0) std::this_thread::sleep_for(std::chrono::duration<double>(left));
}

}  // namespace

std::string HitsOf(const v1::SearchResponse& response) {
  std::string hits;
  for (const v1::SearchHit& hit : response.hits()) {
    const float score = hit.score();
    hits.append(hit.id()).append(1, '\0').append(reinterpret_cast<const char*>(&score), sizeof(score));
  }
  return hits;
}

absl::StatusOr<LoadResult> RunClosedLoop(const LoadOptions& options, size_t rounds, const RoundHooks& hooks) {
  Load load(options);
  if (absl::Status status = load.Warm(); !status.ok()) return status;
  std::vector<std::function<void()>> next(options.clients);
  for (size_t client = 0; client < options.clients; ++client) {
    next[client] = [&load, &next, client] { load.Send(client, NowSeconds(), next[client]); };
  }
  double wall = 0;
  for (size_t round = 0; round < rounds; ++round) {
    hooks.before();
    load.Start();
    const double start = NowSeconds();
    for (const auto& send : next) send();
    SleepUntil(start + options.seconds / static_cast<double>(rounds));
    load.Stop();
    wall += NowSeconds() - start;
    load.AwaitIdle();
    hooks.after();
  }
  return load.Finish(wall);
}

absl::StatusOr<LoadResult> RunOpenLoop(const LoadOptions& options, double rate) {
  Load load(options);
  if (absl::Status status = load.Warm(); !status.ok()) return status;
  const double start = NowSeconds();
  const auto count = static_cast<size_t>(rate * options.seconds);
  for (size_t i = 0; i < count && !load.Overrun(); ++i) {
    const double intended = start + static_cast<double>(i) / rate;
    SleepUntil(intended);
    load.Send(i % options.clients, intended, nullptr);
  }
  const double wall = NowSeconds() - start;
  load.Stop();
  return load.Finish(wall);
}

}  // namespace bebr::bench
