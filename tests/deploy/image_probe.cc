// What tests/deploy/image_test asks of a running server, through the client library:
//     image_probe create ADDRESS        makes the collection "c"
//     image_probe write ADDRESS         streams documents until the server ends; prints how many were acknowledged
//     image_probe check ADDRESS COUNT   the documents 0 to COUNT - 1 are there, and a search finds them
#include <cstdio>
#include <cstdlib>
#include <string>
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
  std::fprintf(stderr, "image_probe: %s\n", what.c_str());
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

int Write(Client& client) {
  auto stream = client.StreamUpsert("c");
  absl::Status status;
  for (size_t first = 0; status.ok(); first += kBatch) {
    google::protobuf::RepeatedPtrField<v1::Document> documents;
    for (size_t number = first; number < first + kBatch; ++number) {
      v1::Document* document = documents.Add();
      document->set_id(std::to_string(number));
      const auto values = VectorOf(number);
      document->add_embeddings()->mutable_vector()->mutable_values()->Add(values.begin(), values.end());
    }
    status = stream->Send(std::move(documents));
  }
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
    v1::SearchRequest request;
    request.set_collection("c");
    const auto values = VectorOf(number);
    request.mutable_query()->mutable_values()->Add(values.begin(), values.end());
    request.mutable_options()->set_k(1);
    request.mutable_options()->set_rerank(100);
    const auto found = client.Search(request);
    if (!found.ok()) return Fail(found.status().ToString());
    if (found->hits_size() != 1 || found->hits(0).id() != std::to_string(number)) {
      return Fail("a search for document " + std::to_string(number) + " does not find it");
    }
  }
  std::printf("%zu documents are there\n", count);
  return EXIT_SUCCESS;
}

int Main(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) return Fail("usage: create|write|check ADDRESS [COUNT]");
  Client client({.server = arguments[1], .deadline = absl::Seconds(60)});
  if (arguments[0] == "create") return Create(client);
  if (arguments[0] == "write") return Write(client);
  if (arguments[0] == "check" && arguments.size() == 3) return Check(client, std::stoul(arguments[2]));
  return Fail("unknown verb " + arguments[0]);
}

}  // namespace
}  // namespace bebr::testing

int main(int argc, char** argv) { return bebr::testing::Main({argv + 1, argv + argc}); }
