#include "server/cluster/node_calls.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "index/base/retry.h"
#include "server/call/node_protocol.h"

namespace bebr {
namespace {

// How long to wait, as the node said; zero if it did not.
absl::Duration RetryDelayIn(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::RetryInfo retry;
  if (!details.ParseFromString(status.error_details())) return absl::ZeroDuration();
  for (const auto& detail : details.details()) {
    if (detail.UnpackTo(&retry))
      return absl::Seconds(retry.retry_delay().seconds()) + absl::Nanoseconds(retry.retry_delay().nanos());
  }
  return absl::ZeroDuration();
}

// Of the thread's next call; back to none once it is taken.
NodeCalls::Demand& NextDemand() {
  thread_local NodeCalls::Demand demand;
  return demand;
}

}  // namespace

void NodeCalls::DemandOfNext(const Demand& demand) { NextDemand() = demand; }

NodeCalls::Demand NodeCalls::TakeDemand() { return std::exchange(NextDemand(), {}); }

NodeCalls::NodeCalls(NodePlace place, const NodeCredentials& credentials, Canceller* canceller, Metrics* metrics)
    : place_(std::move(place)),
      key_(credentials.key),
      timeout_(credentials.timeout),
      canceller_(canceller),
      counters_(metrics->ForNode(place_.name)),
      stub_(node::v1::NodeService::NewStub(ConnectTo(place_, credentials))) {}

NodeCalls::~NodeCalls() {
  MutexLock lock(&mutex_);
  while (calls_ > 0) ended_.Wait(&mutex_);
}

NodeCalls::Context::Context(NodeCalls& node, SteadyTime deadline, Callers callers)
    : node_(node),
      demand_(TakeDemand()),
      own_deadline_(deadline == absl::InfiniteDuration() || demand_.deadline < deadline) {
  const absl::Duration most = deadline == absl::InfiniteDuration() ? node.timeout_ : deadline - begun_;
  const absl::Duration left = std::min(most, demand_.deadline - begun_);
  context_.set_deadline(absl::ToChronoTime(absl::Now() + left));
  if (!node.key_.empty()) context_.AddMetadata("authorization", "Bearer " + node.key_);
  context_.AddMetadata(kProtocolMetadata, absl::StrCat(kNodeProtocol));
  context_.AddMetadata(kNodeMetadata, node.place_.name);
  context_.AddMetadata(kSlotsMetadata, SlotsText(node.place_));
  if (const uint64_t log = node.log_.load(std::memory_order_relaxed); log != 0)
    context_.AddMetadata(kLogMetadata, absl::StrCat(log));
  if (demand_.position > 0) context_.AddMetadata(kPositionMetadata, absl::StrCat(demand_.position));
  watched_ = node.canceller_->Watch(&context_, std::move(callers));
}

absl::Status NodeCalls::Context::End(const grpc::Status& status) {
  const absl::Status converted = Convert(status);
  const bool failed = absl::IsUnavailable(converted) || absl::IsInternal(converted) || absl::IsUnknown(converted) ||
                      absl::IsDataLoss(converted) || absl::IsDeadlineExceeded(converted);
  (converted.ok() ? node_.counters_.ok : failed ? node_.counters_.failed : node_.counters_.refused)->Increment();
  node_.counters_.seconds->Observe(absl::ToDoubleSeconds(SteadyNow() - begun_));
  return converted;
}

absl::Status NodeCalls::Context::Convert(const grpc::Status& status) const {
  if (status.ok()) return absl::OkStatus();
  const std::string message = status.error_message();
  switch (status.error_code()) {
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
      return absl::UnavailableError(absl::StrCat(
          "it does not take this gateway's key (cluster_key_file), which needs the role admin there: ", message));
    case grpc::StatusCode::UNIMPLEMENTED:
      return absl::UnavailableError(absl::StrCat("it is no node of a cluster (cluster_self): ", message));
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      if (!own_deadline_) return absl::DeadlineExceededError("did not answer before the deadline");
      if (demand_.deadline - begun_ < node_.timeout_) return absl::UnavailableError("did not answer soon enough");
      return absl::UnavailableError(
          absl::StrFormat("did not answer within %d s (cluster_timeout_s)", absl::ToInt64Seconds(node_.timeout_)));
    default:
      break;
  }
  const absl::Duration delay = RetryDelayIn(status);
  if (delay > absl::ZeroDuration()) return TryAgainLater(message, delay);
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), message);
}

}  // namespace bebr
