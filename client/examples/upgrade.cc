// Takes the collection "papers" from version "v1" of its embeddings to "v2", while clients go on searching:
//     example_upgrade 127.0.0.1:7700 model_v2.safetensors docs_v2.npy
// Row i of the array is the new embedding of document "i".
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "bebr/client.h"
#include "bebr/upsert_stream.h"
#include "client/examples/npy.h"

namespace {

// The new embeddings, merged into documents that keep their attributes and their old embeddings.
absl::Status Merge(bebr::Client& client, const Array& docs) {
  const auto stream = client.StreamUpsert("papers", /*window=*/8, bebr::v1::UPSERT_MODE_MERGE);
  for (size_t i = 0; i < docs.rows;) {
    google::protobuf::RepeatedPtrField<bebr::v1::Document> batch;
    for (; batch.size() < 500 && i < docs.rows; ++i) {
      bebr::v1::Document* document = batch.Add();
      document->set_id(std::to_string(i));
      bebr::v1::Embedding* embedding = document->add_embeddings();
      embedding->set_version("v2");
      embedding->mutable_vector()->mutable_values()->Add(docs.row(i), docs.row(i) + docs.dims);
    }
    if (const absl::Status sent = stream->Send(std::move(batch)); !sent.ok()) return sent;
  }
  return stream->Finish();
}

absl::Status Upgrade(bebr::Client& client, const std::string& model, const std::string& docs_file) {
  // 1. A second version, with a code space of its own.
  bebr::v1::VersionConfig config;
  config.set_collection("papers");
  config.set_name("v2");
  const auto added = client.AddVersion(config, model);
  if (!added.ok()) return added.status();
  const Array docs = ReadNpy(docs_file, added->versions(added->versions_size() - 1).input_dims());

  // 2. Its embeddings of all documents.
  if (const absl::Status merged = Merge(client, docs); !merged.ok()) return merged;

  // 3. Is it as good as the old one?
  bebr::v1::CheckVersionRequest check;
  check.set_collection("papers");
  check.set_version("v2");
  const auto checked = client.CheckVersion(check);
  if (!checked.ok()) return checked.status();
  std::printf("recall of its own exact neighbours: v2 %.3f, %s %.3f\n", checked->recall(), checked->against().c_str(),
              checked->against_recall());

  // 4. From now on queries that name no version are of v2; promoting v1 again undoes it.
  bebr::v1::PromoteVersionRequest promote;
  promote.set_collection("papers");
  promote.set_version("v2");
  promote.set_expected_default("v1");
  const auto promoted = client.PromoteVersion(promote);
  if (!promoted.ok()) return promoted.status();
  std::printf("default version: %s\n", promoted->default_version().c_str());
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: example_upgrade HOST:PORT MODEL.safetensors DOCS.npy\n");
    return 2;
  }
  bebr::Client client({.server = argv[1], .deadline = absl::Seconds(60)});
  std::ifstream model(argv[2], std::ios::binary);
  const absl::Status status = Upgrade(client, std::string(std::istreambuf_iterator<char>(model), {}), argv[3]);
  if (status.ok()) return EXIT_SUCCESS;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return EXIT_FAILURE;
}
