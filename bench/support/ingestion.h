// Fills a collection of a running server as a client would: streams of upserts with a window of unacknowledged
// messages.
#ifndef BEBR_BENCH_SUPPORT_INGESTION_H_
#define BEBR_BENCH_SUPPORT_INGESTION_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bebr/v1/collections.pb.h"
#include "bebr/v1/search.pb.h"

namespace bebr::bench {

struct IngestOptions {
  std::string collection;
  size_t documents = 0;
  size_t dims = 0;
  size_t batch = 200;    // documents a message
  size_t streams = 2;    // at once, over one channel
  size_t window = 4;     // messages of a stream without acknowledgement
  bool float16 = false;  // how embeddings travel: float16 or float32
  bool progress = true;  // a line on standard error now and then
};

// Document i's id.
std::string DocumentId(size_t i);

absl::Status CreateCollection(const std::shared_ptr<grpc::Channel>& channel, const v1::CollectionConfig& config,
                              const std::string& model_path);
absl::StatusOr<v1::Collection> GetCollection(const std::shared_ptr<grpc::Channel>& channel, const std::string& name);
absl::StatusOr<v1::SearchResponse> Search(const std::shared_ptr<grpc::Channel>& channel,
                                          const v1::SearchRequest& request);

// Sends documents 0 .. documents - 1; `row(i)` gives the dims floats of document i and may be called from several
// threads. Returns when every one is acknowledged; the first refusal is the error.
absl::Status Ingest(const std::shared_ptr<grpc::Channel>& channel, const IngestOptions& options,
                    const std::function<const float*(size_t)>& row);

}  // namespace bebr::bench

#endif  // BEBR_BENCH_SUPPORT_INGESTION_H_
