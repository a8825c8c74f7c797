#include "bench/ingest/beside.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <thread>
#include <vector>

#include "bench/support/ingestion.h"
#include "bench/support/machine.h"
#include "index/base/mutex.h"

namespace bebr::bench {

absl::StatusOr<double> SearchBeside(const SearchLoad& load, const Matrix& queries,
                                    absl::FunctionRef<absl::Status()> work) {
  std::atomic<bool> stop{false};
  std::atomic<size_t> answered{0};
  Mutex mutex;
  absl::Status status;
  std::vector<std::thread> clients;
  for (size_t c = 0; c < load.clients; ++c) {
    clients.emplace_back([&, c] {
      grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // else all share one connection
      const auto channel = grpc::CreateCustomChannel(load.server, grpc::InsecureChannelCredentials(), arguments);
      v1::SearchRequest request;
      request.set_collection(load.collection);
      absl::Status mine;
      for (size_t i = c; mine.ok() && !stop; i += load.clients) {
        const float* row = queries.row(i % queries.rows);
        request.mutable_query()->mutable_values()->Assign(row, row + queries.dims);
        mine = Search(channel, request).status();
        answered += mine.ok() ? 1 : 0;
      }
      MutexLock lock(&mutex);
      status.Update(mine);
    });
  }
  const double start = NowSeconds();
  const absl::Status worked = work();
  const double rate = static_cast<double>(answered) / (NowSeconds() - start);
  stop = true;
  for (std::thread& client : clients) client.join();
  status.Update(worked);
  if (!status.ok()) return status;
  return rate;
}

}  // namespace bebr::bench
