#include "server/cluster/seed_peers.h"

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <utility>

#include "index/base/checksum.h"
#include "index/base/clock.h"
#include "index/base/status_macros.h"
#include "server/cluster/channel.h"
#include "server/cluster/node_calls.h"

namespace bebr {
namespace {

constexpr absl::Duration kOpenTimeout = absl::Minutes(10);  // all that is in its memory is written first
constexpr absl::Duration kReadTimeout = absl::Seconds(30);

using Stub = NodeCalls::Stub;

class SeedPeer final : public SeedSource {
 public:
  SeedPeer(const NodePlace& place, const NodeCredentials& credentials, std::shared_ptr<Canceller> canceller,
           Metrics* metrics, std::shared_ptr<std::atomic<bool>> ending)
      : name_(place.name),
        canceller_(std::move(canceller)),
        ending_(std::move(ending)),
        calls_(place, credentials, canceller_.get(), metrics) {
    // Nobody asks from time to time whether it answers, as a gateway does.
    calls_.counters().answers->Set(std::numeric_limits<double>::quiet_NaN());
  }

  std::string name() const override { return name_; }
  absl::StatusOr<Seed> Open() override { return Open(node::v1::OpenSeedRequest()); }
  absl::StatusOr<Seed> OpenSnapshot(const SnapshotInfo& which) override {
    node::v1::OpenSeedRequest request;
    node::v1::SnapshotOfNode& wanted = *request.mutable_snapshot();
    wanted.set_collection(which.collection);
    wanted.set_name(which.name);
    wanted.set_position(which.position);
    return Open(request);
  }
  absl::StatusOr<std::string> Read(const std::string& seed, const std::string& path, uint64_t offset,
                                   size_t bytes) override {
    node::v1::ReadSeedRequest request;
    request.set_seed(seed);
    request.set_path(path);
    request.set_offset(offset);
    request.set_bytes(static_cast<uint32_t>(bytes));
    node::v1::ReadSeedResponse response;
    BEBR_RETURN_IF_ERROR(calls_.Wait(&Stub::ReadSeed, request, &response, SteadyNow() + kReadTimeout, {ending_}));
    if (Crc32c(response.bytes()) == response.crc32c()) return std::move(*response.mutable_bytes());
    return absl::DataLossError("what came of the seed is not what was sent");
  }
  void Close(const std::string& seed) override {
    node::v1::CloseSeedRequest request;
    request.set_seed(seed);
    node::v1::CloseSeedResponse response;
    calls_.Wait(&Stub::CloseSeed, request, &response, SteadyNow() + kReadTimeout, {ending_})
        .IgnoreError();  // it closes what is not read
  }

 private:
  absl::StatusOr<Seed> Open(const node::v1::OpenSeedRequest& request) {
    node::v1::OpenSeedResponse response;
    BEBR_RETURN_IF_ERROR(calls_.Wait(&Stub::OpenSeed, request, &response, SteadyNow() + kOpenTimeout, {ending_}));
    Seed seed{.name = response.seed()};
    if (!request.has_snapshot()) {
      BEBR_ASSIGN_OR_RETURN(seed.state, DecodeFollowerState(response.state()));
    }
    for (const v1::Alias& alias : response.aliases()) seed.aliases.push_back({alias.name(), alias.collection()});
    for (const auto& file : response.files()) seed.files.push_back({file.path(), file.bytes()});
    return seed;
  }

  const std::string name_;
  const std::shared_ptr<Canceller> canceller_;
  const std::shared_ptr<std::atomic<bool>> ending_;
  NodeCalls calls_;
};

}  // namespace

absl::StatusOr<SeedSources> SeedPeers(const ServerConfig& config, std::function<std::vector<NodePlace>()> others,
                                      Metrics* metrics) {
  BEBR_ASSIGN_OR_RETURN(const NodeCredentials credentials, ReadNodeCredentials(config));
  return [=, others = std::move(others),
          canceller = std::make_shared<Canceller>()](const std::shared_ptr<std::atomic<bool>>& ending) {
    std::vector<NodePlace> places = others();
    std::shuffle(places.begin(), places.end(), std::mt19937(std::random_device()()));
    std::vector<std::unique_ptr<SeedSource>> sources;
    for (const NodePlace& place : places)
      sources.push_back(std::make_unique<SeedPeer>(place, credentials, canceller, metrics, ending));
    return sources;
  };
}

}  // namespace bebr
