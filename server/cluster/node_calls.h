// Calls of a node.
#ifndef BEBR_SERVER_CLUSTER_NODE_CALLS_H_
#define BEBR_SERVER_CLUSTER_NODE_CALLS_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "bebr/node/v1/node.grpc.pb.h"
#include "index/base/clock.h"
#include "index/base/mutex.h"
#include "index/types/cluster.h"
#include "server/cluster/channel.h"
#include "server/metrics/metrics.h"

namespace bebr {

// What all calls of one node have in common: metadata, deadline, cancellation, counting, errors. Its end waits for the
// calls that are on their way. Thread safety: all methods may be called from any thread.
class NodeCalls {
 public:
  using Stub = node::v1::NodeService::Stub;

  // `canceller` and `metrics` must outlive it.
  NodeCalls(NodePlace place, const NodeCredentials& credentials, Canceller* canceller, Metrics* metrics);
  ~NodeCalls();

  // Which log the node must follow, from the next call on.
  void SetLog(uint64_t identity) { log_.store(identity, std::memory_order_relaxed); }
  Metrics::Node& counters() { return counters_; }

  // What the next call of this thread asks beside: that the node has applied the log up to `position`, and that it is
  // answered by `deadline`.
  struct Demand {
    uint64_t position = 0;
    SteadyTime deadline = absl::InfiniteDuration();
  };
  static void DemandOfNext(const Demand& demand);
  // The same, for a call that another thread will make.
  static Demand TakeDemand();

 private:
  // What a call needs, from its begin to its end.
  class Context {
   public:
    Context(NodeCalls& node, SteadyTime deadline, Callers callers);
    ~Context() { node_.canceller_->Forget(watched_); }

    grpc::ClientContext* get() { return &context_; }
    // Counts the call and says what came of it.
    absl::Status End(const grpc::Status& status);

   private:
    absl::Status Convert(const grpc::Status& status) const;

    NodeCalls& node_;
    const SteadyTime begun_ = SteadyNow();
    const Demand demand_;
    const bool own_deadline_;  // the caller set none
    grpc::ClientContext context_;
    std::list<Canceller::Watched>::iterator watched_;
  };

 public:
  // A call that waits. `method` is of the stub.
  template <typename Request, typename Response>
  absl::Status Wait(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response, SteadyTime deadline = absl::InfiniteDuration(),
                    Callers callers = {}) {
    Context context(*this, deadline, std::move(callers));
    return context.End((stub_.get()->*method)(context.get(), request, response));
  }

  template <typename Request, typename Response>
  using AsyncMethod = void (Stub::async::*)(grpc::ClientContext*, const Request*, Response*,
                                            std::function<void(grpc::Status)>);
  // A call that does not: `done` gets the answer on one of gRPC's threads.
  template <typename Request, typename Response>
  void Begin(AsyncMethod<Request, Response> method, Request request, SteadyTime deadline, Callers callers,
             absl::AnyInvocable<void(const absl::Status&, Response&&)> done) {
    struct Call {
      Call(NodeCalls& node, SteadyTime end, Callers waiting) : context(node, end, std::move(waiting)) {}
      Context context;
      Request request;
      Response response;
      absl::AnyInvocable<void(const absl::Status&, Response&&)> done;
    };
    {
      MutexLock lock(&mutex_);
      ++calls_;
    }
    auto call = std::make_shared<Call>(*this, deadline, std::move(callers));
    call->request = std::move(request);
    call->done = std::move(done);
    (stub_->async()->*method)(call->context.get(), &call->request, &call->response,
                              [this, call](const grpc::Status& status) mutable {
                                const absl::Status converted = call->context.End(status);
                                call->done(converted, std::move(call->response));
                                call.reset();
                                MutexLock lock(&mutex_);
                                --calls_;
                                ended_.NotifyAll();
                              });
  }

  // A call that sends `config` and then a model file in pieces. `method` is of the stub.
  template <typename Response, typename Config, typename Request>
  absl::Status Upload(std::unique_ptr<grpc::ClientWriter<Request>> (Stub::*method)(grpc::ClientContext*, Response*),
                      const Config& config, std::string_view model) {
    Context context(*this, SteadyNow() + kUploadTimeout, {});
    Response response;
    const auto writer = (stub_.get()->*method)(context.get(), &response);
    Request first;
    *first.mutable_config() = config;
    bool writing = writer->Write(first);
    for (size_t offset = 0; writing && offset < model.size(); offset += kModelChunkBytes) {
      Request next;
      next.set_model_chunk(std::string(model.substr(offset, kModelChunkBytes)));
      writing = writer->Write(next);  // false once the node has refused; the status says why
    }
    writer->WritesDone();
    return context.End(writer->Finish());
  }

 private:
  static constexpr size_t kModelChunkBytes = 1 << 20;
  static constexpr absl::Duration kUploadTimeout = absl::Minutes(10);

  const NodePlace place_;
  const std::string key_;
  const absl::Duration timeout_;
  std::atomic<uint64_t> log_{0};  // 0: any
  Canceller* const canceller_;
  Metrics::Node& counters_;
  const std::unique_ptr<Stub> stub_;
  Mutex mutex_;
  CondVar ended_;
  size_t calls_ ABSL_GUARDED_BY(mutex_) = 0;  // that do not wait
};

}  // namespace bebr

#endif  // BEBR_SERVER_CLUSTER_NODE_CALLS_H_
