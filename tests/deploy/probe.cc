// What the scripts beside this ask of a running server, through the client library:
//     probe create ADDRESS          makes the collection "c"
//     probe write ADDRESS           streams documents until the server ends; prints how many were acknowledged
//     probe check ADDRESS COUNT     the documents 0 to COUNT - 1 are there, and a search finds them
//     probe load ADDRESS SECONDS    a bit of everything that a server is asked, and some mistakes
//     probe upsert ADDRESS          writes 10,000 documents at once; prints OK or the error
//     probe stream ADDRESS          100 messages over one stream, each sent when the one before it is acknowledged
//     probe search ADDRESS SECONDS  20 searches a second; prints how many were sent and how many answered
// The key is that of BEBR_API_KEY; with BEBR_TLS_CA it speaks TLS.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "client/client.h"
#include "client/upsert_stream.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

constexpr size_t kDims = 64;
constexpr size_t kBatch = 50;

std::vector<float> VectorOf(size_t number) { return RandomVectors(1, kDims, 7 + number)[0]; }

int Fail(const std::string& what) {
  std::fprintf(stderr, "probe: %s\n", what.c_str());
  return EXIT_FAILURE;
}

int Create(Client& client) {
  const auto spec = ParseCodeSpec("64x2");
  v1::CollectionConfig config;
  config.set_name("c");
  config.set_store_floats(v1::FLOAT_STORAGE_F32);
  const auto created = client.CreateCollection(config, RandomModelFile(kDims, *spec, 2, 1));
  return created.ok() ? EXIT_SUCCESS : Fail(created.status().ToString());
}

google::protobuf::RepeatedPtrField<v1::Document> MakeDocuments(size_t first, size_t count) {
  google::protobuf::RepeatedPtrField<v1::Document> documents;
  for (size_t number = first; number < first + count; ++number) {
    v1::Document* document = documents.Add();
    document->set_id(std::to_string(number));
    const auto values = VectorOf(number);
    document->add_embeddings()->mutable_vector()->mutable_values()->Add(values.begin(), values.end());
  }
  return documents;
}

v1::UpsertRequest MakeUpsert(size_t first, size_t count) {
  v1::UpsertRequest request;
  request.set_collection("c");
  *request.mutable_documents() = MakeDocuments(first, count);
  return request;
}

v1::SearchRequest MakeSearch(size_t number, uint32_t k, uint32_t rerank) {
  v1::SearchRequest request;
  request.set_collection("c");
  const auto values = VectorOf(number);
  request.mutable_query()->mutable_values()->Add(values.begin(), values.end());
  request.mutable_options()->set_k(k);
  request.mutable_options()->set_rerank(rerank);
  return request;
}

int Write(Client& client) {
  auto stream = client.StreamUpsert("c");
  absl::Status status;
  for (size_t first = 0; status.ok(); first += kBatch) status = stream->Send(MakeDocuments(first, kBatch));
  (void)stream->Finish();
  std::printf("%llu\n", static_cast<unsigned long long>(stream->acknowledged()));
  return stream->acknowledged() > 0 ? EXIT_SUCCESS : Fail("nothing was acknowledged: " + status.ToString());
}

int Check(Client& client, size_t count) {
  for (size_t first = 0; first < count; first += 1000) {
    v1::GetRequest get;
    get.set_collection("c");
    for (size_t number = first; number < first + 1000 && number < count; ++number) get.add_ids(std::to_string(number));
    const auto got = client.Get(get);
    if (!got.ok()) return Fail(got.status().ToString());
    if (got->documents_size() != get.ids_size()) {
      return Fail(std::to_string(get.ids_size() - got->documents_size()) + " acknowledged documents are missing from " +
                  std::to_string(first) + " on");
    }
  }
  for (size_t number = 0; number < count; number += count / 10 + 1) {
    const auto found = client.Search(MakeSearch(number, 1, 100));
    if (!found.ok()) return Fail(found.status().ToString());
    if (found->hits_size() != 1 || found->hits(0).id() != std::to_string(number)) {
      return Fail("a search for document " + std::to_string(number) + " does not find it");
    }
  }
  std::printf("%zu documents are there\n", count);
  return EXIT_SUCCESS;
}

// Searches from several clients, writes, deletes, reads, administration, and calls that are refused.
int Load(Client& client, int seconds) {
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> calls{0};
  std::vector<std::thread> threads;
  for (size_t searcher = 0; searcher < 3; ++searcher) {
    threads.emplace_back([&, searcher] {
      for (size_t i = searcher; !stop; i += 3, ++calls) {
        (void)client.Search(MakeSearch(i % 5000, i % 50 == 0 ? 0 : 10, i % 2 == 0 ? 100 : 0));  // k = 0 is refused
        if (i % 20 == 0) {
          v1::BatchSearchRequest batch;
          batch.set_collection("c");
          for (size_t q = 0; q < 200; ++q) *batch.add_queries() = MakeSearch(q, 10, 0).query();
          (void)client.BatchSearch(batch);
        }
      }
    });
  }
  threads.emplace_back([&] {
    for (size_t i = 0; !stop; ++i, ++calls) {
      (void)client.Upsert(MakeUpsert(i * 500 % 20000, 500));
      auto stream = client.StreamUpsert("c");
      auto documents = MakeDocuments(i % 20000, 1);
      if (i % 5 == 0) documents[0].set_id("");  // refused
      (void)stream->Send(std::move(documents));
      (void)stream->Finish();
      v1::DeleteRequest remove;
      remove.set_collection("c");
      v1::GetRequest get;
      get.set_collection("c");
      for (size_t n = 0; n < 20; ++n) remove.add_ids(std::to_string((i * 37 + n) % 20000));
      for (size_t n = 0; n < 200; ++n) get.add_ids(std::to_string(n));
      (void)client.Delete(remove);
      (void)client.Get(get);
      (void)client.GetStats();
      if (i % 100 == 0) {
        v1::CollectionConfig config;
        config.set_name("passing");
        const auto spec = ParseCodeSpec("64x2");
        (void)client.CreateCollection(config, RandomModelFile(kDims, *spec, 2, 1));
        (void)client.DeleteCollection("passing");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  stop = true;
  for (auto& thread : threads) thread.join();
  std::printf("%llu calls\n", static_cast<unsigned long long>(calls));
  return EXIT_SUCCESS;
}

int Upsert(Client& client) {
  const auto result = client.Upsert(MakeUpsert(0, 10000));
  std::printf("%s\n", result.ok() ? "OK" : result.status().ToString().c_str());
  return EXIT_SUCCESS;
}

// Acknowledgements must come while the stream is open: what stands between may hold neither direction back.
int Stream(Client& client) {
  auto stream = client.StreamUpsert("c", /*window=*/1);
  absl::Status status;
  for (size_t i = 0; i < 100 && status.ok(); ++i) status = stream->Send(MakeDocuments(i, 1));
  status.Update(stream->Finish());
  std::printf("%s\n", status.ok() ? "OK" : status.ToString().c_str());
  return EXIT_SUCCESS;
}

int Search(Client& client, int seconds) {
  int answered = 0;
  const int count = seconds * 20;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) {
    std::this_thread::sleep_until(start + i * std::chrono::milliseconds(50));
    const auto found = client.Search(MakeSearch(i % 5000, 10, 0));
    if (found.ok() && found->hits_size() == 10) {
      ++answered;
    } else {
      std::fprintf(stderr, "probe: search %d: %s\n", i, found.status().ToString().c_str());
    }
  }
  std::printf("%d %d\n", count, answered);
  return EXIT_SUCCESS;
}

int Main(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) return Fail("usage: create|write|check|load|upsert|stream|search ADDRESS [COUNT|SECONDS]");
  const auto environment = [](const char* name) {
    return std::string(std::getenv(name) == nullptr ? "" : std::getenv(name));
  };
  Client client({.server = arguments[1],
                 .deadline = absl::Seconds(60),
                 .api_key = environment("BEBR_API_KEY"),
                 .tls_ca_file = environment("BEBR_TLS_CA")});
  if (arguments[0] == "create") return Create(client);
  if (arguments[0] == "write") return Write(client);
  if (arguments[0] == "check" && arguments.size() == 3) return Check(client, std::stoul(arguments[2]));
  if (arguments[0] == "load" && arguments.size() == 3) return Load(client, std::stoi(arguments[2]));
  if (arguments[0] == "upsert") return Upsert(client);
  if (arguments[0] == "stream") return Stream(client);
  if (arguments[0] == "search" && arguments.size() == 3) return Search(client, std::stoi(arguments[2]));
  return Fail("unknown verb " + arguments[0]);
}

}  // namespace
}  // namespace bebr::testing

int main(int argc, char** argv) { return bebr::testing::Main({argv + 1, argv + argc}); }
