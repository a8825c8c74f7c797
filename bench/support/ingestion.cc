#include "bench/support/ingestion.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bebr/v1/collections.grpc.pb.h"
#include "bebr/v1/documents.grpc.pb.h"
#include "bebr/v1/search.grpc.pb.h"
#include "bench/support/machine.h"
#include "index/base/file.h"
#include "index/base/float16.h"
#include "index/base/mutex.h"
#include "index/base/status_macros.h"

namespace bebr::bench {
namespace {

constexpr size_t kModelChunkBytes = size_t{1} << 20;

absl::Status ToStatus(const grpc::Status& status, const std::string& what) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      absl::StrCat(what, ": ", status.error_message()));
}

// What the streams share.
struct Work {
  const IngestOptions* options;
  const std::function<const float*(size_t)>* row;
  std::atomic<size_t> next{0};  // first document that nobody has taken
  std::atomic<size_t> acknowledged{0};
  double start = NowSeconds();
  Mutex mutex;
  absl::Status error ABSL_GUARDED_BY(mutex);
  double last_line ABSL_GUARDED_BY(mutex) = 0;

  void Fail(absl::Status status) {
    next = options->documents;  // nobody begins another message
    MutexLock lock(&mutex);
    if (error.ok()) error = std::move(status);
  }
};

void Fill(const Work& work, size_t first, size_t count, v1::StreamUpsertRequest* request) {
  const size_t dims = work.options->dims;
  request->Clear();
  for (size_t i = first; i < first + count; ++i) {
    v1::Document* document = request->add_documents();
    document->set_id(DocumentId(i));
    v1::Vector* vector = document->add_embeddings()->mutable_vector();
    const float* values = (*work.row)(i);
    if (work.options->float16) {
      std::string* bytes = vector->mutable_float16();
      bytes->resize(dims * 2);
      FloatToHalf(values, dims, reinterpret_cast<uint16_t*>(bytes->data()));
    } else {
      vector->mutable_values()->Add(values, values + dims);
    }
  }
}

void Report(Work& work) {
  if (!work.options->progress) return;
  MutexLock lock(&work.mutex);
  const double elapsed = NowSeconds() - work.start;
  if (elapsed < work.last_line + 5) return;
  work.last_line = elapsed;
  const size_t done = work.acknowledged;
  std::fprintf(stderr, "  %zu of %zu documents, %.0f/s\n", done, work.options->documents,
               static_cast<double>(done) / elapsed);
}

// One stream: the calling thread writes, another one reads the acknowledgements.
void RunStream(const std::shared_ptr<grpc::Channel>& channel, Work& work) {
  const auto stub = v1::DocumentService::NewStub(channel);
  grpc::ClientContext context;
  const auto stream = stub->StreamUpsert(&context);
  Mutex mutex;
  CondVar answered;
  size_t in_flight = 0;
  bool broken = false;
  std::thread reader([&] {
    v1::StreamUpsertResponse response;
    while (stream->Read(&response)) {
      if (response.error_code() != 0) {
        work.Fail(absl::Status(static_cast<absl::StatusCode>(response.error_code()), response.error_message()));
      }
      work.acknowledged += response.documents();
      Report(work);
      MutexLock lock(&mutex);
      --in_flight;
      answered.NotifyOne();
    }
    MutexLock lock(&mutex);
    broken = true;
    answered.NotifyOne();
  });
  v1::StreamUpsertRequest request;
  for (uint64_t sequence = 0;; ++sequence) {
    const size_t first = work.next.fetch_add(work.options->batch);
    if (first >= work.options->documents) break;
    Fill(work, first, std::min(work.options->batch, work.options->documents - first), &request);
    request.set_collection(work.options->collection);
    request.set_sequence(sequence);
    {
      MutexLock lock(&mutex);
      while (!broken && in_flight >= work.options->window) answered.Wait(&mutex);
      if (broken) break;
      ++in_flight;
    }
    if (!stream->Write(request)) break;
  }
  stream->WritesDone();
  reader.join();
  if (const absl::Status status = ToStatus(stream->Finish(), "upserting"); !status.ok()) work.Fail(status);
}

}  // namespace

std::string DocumentId(size_t i) { return absl::StrCat("document-", i); }

absl::Status CreateCollection(const std::shared_ptr<grpc::Channel>& channel, const v1::CollectionConfig& config,
                              const std::string& model_path) {
  BEBR_ASSIGN_OR_RETURN(const std::string model, ReadFile(model_path));
  grpc::ClientContext context;
  v1::CreateCollectionResponse response;
  const auto writer = v1::CollectionService::NewStub(channel)->CreateCollection(&context, &response);
  v1::CreateCollectionRequest request;
  *request.mutable_config() = config;
  bool open = writer->Write(request);
  for (size_t at = 0; open && at < model.size(); at += kModelChunkBytes) {
    request.set_model_chunk(model.substr(at, kModelChunkBytes));
    open = writer->Write(request);
  }
  writer->WritesDone();
  return ToStatus(writer->Finish(), "creating a collection");
}

absl::StatusOr<v1::Collection> GetCollection(const std::shared_ptr<grpc::Channel>& channel, const std::string& name) {
  grpc::ClientContext context;
  v1::GetCollectionRequest request;
  request.set_name(name);
  v1::GetCollectionResponse response;
  BEBR_RETURN_IF_ERROR(ToStatus(v1::CollectionService::NewStub(channel)->GetCollection(&context, request, &response),
                                "reading a collection"));
  return response.collection();
}

absl::StatusOr<v1::SearchResponse> Search(const std::shared_ptr<grpc::Channel>& channel,
                                          const v1::SearchRequest& request) {
  grpc::ClientContext context;
  v1::SearchResponse response;
  BEBR_RETURN_IF_ERROR(
      ToStatus(v1::SearchService::NewStub(channel)->Search(&context, request, &response), "searching"));
  return response;
}

absl::Status Ingest(const std::shared_ptr<grpc::Channel>& channel, const IngestOptions& options,
                    const std::function<const float*(size_t)>& row) {
  Work work;
  work.options = &options;
  work.row = &row;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < options.streams; ++i) threads.emplace_back([&] { RunStream(channel, work); });
  for (std::thread& thread : threads) thread.join();
  MutexLock lock(&work.mutex);
  BEBR_RETURN_IF_ERROR(work.error);
  if (work.acknowledged != options.documents) {
    return absl::InternalError(
        absl::StrFormat("%d of %d documents were acknowledged", work.acknowledged.load(), options.documents));
  }
  return absl::OkStatus();
}

}  // namespace bebr::bench
