// Makes a collection, writes the rows of a NumPy array into it, and searches:
//     example_index_array 127.0.0.1:7700 model.safetensors docs.npy
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "bebr/client.h"
#include "bebr/upsert_stream.h"
#include "client/examples/npy.h"

namespace {

// Gives a call's value, or says why there is none and ends the program.
template <typename T>
T Must(absl::StatusOr<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
  std::exit(1);
}

void Must(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

// Row i becomes document "i" with the attributes "row" and "parity", 500 documents a message.
void Write(bebr::Client& client, const Array& docs) {
  const auto stream = client.StreamUpsert("papers");
  google::protobuf::RepeatedPtrField<bebr::v1::Document> batch;
  for (size_t i = 0; i < docs.rows; ++i) {
    bebr::v1::Document* document = batch.Add();
    document->set_id(std::to_string(i));
    (*document->mutable_attributes())["row"].set_int_value(static_cast<int64_t>(i));
    (*document->mutable_attributes())["parity"].set_string_value(i % 2 == 0 ? "even" : "odd");
    document->add_embeddings()->mutable_vector()->mutable_values()->Add(docs.row(i), docs.row(i) + docs.dims);
    if (batch.size() < 500 && i + 1 < docs.rows) continue;
    Must(stream->Send(std::move(batch)));
    batch.Clear();
  }
  Must(stream->Finish());
  std::printf("%llu documents, synced to disk\n", static_cast<unsigned long long>(stream->acknowledged()));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: example_index_array HOST:PORT MODEL.safetensors DOCS.npy\n");
    return 2;
  }
  bebr::Client client({.server = argv[1], .deadline = absl::Seconds(60)});

  bebr::v1::CollectionConfig config;
  config.set_name("papers");
  config.set_store_floats(bebr::v1::FLOAT_STORAGE_F32);
  std::ifstream model(argv[2], std::ios::binary);
  const bebr::v1::Collection papers =
      Must(client.CreateCollection(config, std::string(std::istreambuf_iterator<char>(model), {})));
  const Array docs = ReadNpy(argv[3], papers.versions(0).input_dims());
  Write(client, docs);

  // The five nearest to row 0 among the even rows, scored again with the stored floats.
  bebr::v1::SearchRequest request;
  request.set_collection("papers");
  request.mutable_query()->mutable_values()->Add(docs.row(0), docs.row(0) + docs.dims);
  request.mutable_options()->set_k(5);
  request.mutable_options()->set_rerank(100);
  request.mutable_options()->set_filter("parity = 'even'");
  const bebr::v1::SearchResponse found = Must(client.Search(request));
  for (const bebr::v1::SearchHit& hit : found.hits()) std::printf("%8s  %.4f\n", hit.id().c_str(), hit.score());
}
