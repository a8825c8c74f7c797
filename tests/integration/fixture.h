// A server over a temporary directory with a client, and the usual collection.
#ifndef BEBR_TESTS_INTEGRATION_FIXTURE_H_
#define BEBR_TESTS_INTEGRATION_FIXTURE_H_

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/upsert_stream.h"
#include "tests/integration/server_process.h"
#include "tests/support/engine_calls.h"

namespace bebr::testing {

inline constexpr size_t kDims = 24;

// A model file for embeddings of kDims floats.
std::string ModelFile(uint64_t seed = 1);

using Documents = google::protobuf::RepeatedPtrField<v1::Document>;
// Documents "first" .. "first + count - 1" with random vectors that depend on their number alone, and the attribute n =
// number.
Documents MakeDocuments(size_t first, size_t count);
std::vector<float> VectorOf(size_t number);

v1::UpsertRequest MakeUpsert(const std::string& collection, size_t first, size_t count);
v1::SearchRequest MakeSearch(const std::string& collection, const std::vector<float>& query, uint32_t k);

class ServerTest : public ::testing::Test {
 protected:
  // (Re)starts the server over the same directory, and makes a client for it.
  void Start(const std::vector<std::string>& flags = {}, const Variables& variables = {});
  // Creates the collection "c" with stored f32 floats.
  void CreateCollection(v1::FloatStorage store_floats = v1::FLOAT_STORAGE_F32);
  // The command with --server, which must succeed; its output as JSON text.
  Outcome Bebr(std::vector<std::string> arguments);
  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }
  std::string WriteFile(const std::string& name, const std::string& contents) const;

  TemporaryDirectory directory_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<Client> client_;
};

}  // namespace bebr::testing

#endif  // BEBR_TESTS_INTEGRATION_FIXTURE_H_
