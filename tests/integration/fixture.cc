#include "tests/integration/fixture.h"

#include <fstream>

#include "tests/support/test_models.h"

namespace bebr::testing {

std::string ModelFile(uint64_t seed) {
  const auto spec = ParseCodeSpec("32x2+32x1");
  return spec.ok() ? RandomModelFile(kDims, *spec, 2, seed) : std::string();
}

std::vector<float> VectorOf(size_t number) { return RandomVectors(1, kDims, 1000 + number)[0]; }

Documents MakeDocuments(size_t first, size_t count) {
  Documents documents;
  for (size_t number = first; number < first + count; ++number) {
    v1::Document* document = documents.Add();
    document->set_id(std::to_string(number));
    (*document->mutable_attributes())["n"].set_int_value(static_cast<int64_t>(number));
    const auto values = VectorOf(number);
    document->add_embeddings()->mutable_vector()->mutable_values()->Add(values.begin(), values.end());
  }
  return documents;
}

v1::UpsertRequest MakeUpsert(const std::string& collection, size_t first, size_t count) {
  v1::UpsertRequest request;
  request.set_collection(collection);
  *request.mutable_documents() = MakeDocuments(first, count);
  return request;
}

v1::SearchRequest MakeSearch(const std::string& collection, const std::vector<float>& query, uint32_t k) {
  v1::SearchRequest request;
  request.set_collection(collection);
  request.mutable_query()->mutable_values()->Add(query.begin(), query.end());
  request.mutable_options()->set_k(k);
  return request;
}

void ServerTest::Start(const std::vector<std::string>& flags, const Variables& variables) {
  client_.reset();
  server_.reset();
  server_ = std::make_unique<ServerProcess>(Path("data"), flags, variables);
  ASSERT_TRUE(server_->valid());
  client_ = std::make_unique<Client>(ClientOptions{.server = server_->address(), .deadline = absl::Seconds(60)});
}

void ServerTest::CreateCollection(v1::FloatStorage store_floats) {
  v1::CollectionConfig config;
  config.set_name("c");
  config.set_store_floats(store_floats);
  config.set_shards(3);
  const auto created = client_->CreateCollection(config, ModelFile());
  ASSERT_TRUE(created.ok()) << created.status();
}

Outcome ServerTest::Bebr(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--server", server_->address()});
  return RunProgram("bebr", arguments);
}

std::string ServerTest::WriteFile(const std::string& name, const std::string& contents) const {
  std::ofstream(Path(name), std::ios::binary) << contents;
  return Path(name);
}

}  // namespace bebr::testing
