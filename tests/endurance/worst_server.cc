#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bebr/v1/collections.pb.h"
#include "bebr/v1/documents.pb.h"
#include "bebr/v1/search.pb.h"
#include "tests/endurance/worst_table.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/server_process.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

constexpr size_t kMessageBytes = 64 << 20;  // the default of max_message_bytes
constexpr size_t kModelBytes = 1 << 30;     // that of max_model_bytes
constexpr size_t kPieceBytes = 1 << 20;
// A model is there as it came, and twice that as the encoder wants it, for which its largest matrix is there once more.
constexpr MostMegabytes kMostOfModel = {.call = 3 * 1024 + 512, .start = 2 * 1024 + 256};
constexpr uint32_t kWideDims = 8192;
constexpr size_t kKeylessCalls = 64;

// A server of its own, and calls of it.
class Server {
 public:
  Server() : status_(Start()) {}

  void Measure(Table& table, const std::string& what, const Table::Call& call, const MostMegabytes& most = {}) {
    const auto checked = [&] { return status_.ok() ? call() : status_; };
    table.Measure(
        what, [this] { return process_->pid(); }, checked, [this] { return status_ = Start(); }, most);
  }
  absl::Status Call(const std::string& method, const std::vector<std::string>& messages) {
    const RawAnswer answer = CallRaw(OwnConnection(process_->address()), "/bebr.v1." + method, messages);
    return absl::Status(static_cast<absl::StatusCode>(answer.status.error_code()), answer.status.error_message());
  }
  const std::string& address() const { return process_->address(); }

 private:
  absl::Status Start() {
    if (process_ != nullptr) {
      process_->Signal(15);
      if (process_->Wait() != 0) return absl::InternalError("it did not end by itself: " + process_->Log());
    }
    process_ = std::make_unique<ServerProcess>(directory_.path());
    return process_->valid() ? absl::OkStatus() : absl::InternalError(process_->Log());
  }

  TemporaryDirectory directory_;
  std::unique_ptr<ServerProcess> process_;
  absl::Status status_;
};

std::vector<std::string> CreateMessages(const std::string& name, const std::string& model) {
  std::vector<std::string> messages(1);
  v1::CreateCollectionRequest config;
  config.mutable_config()->set_name(name);
  config.SerializeToString(&messages[0]);
  for (size_t begin = 0; begin < model.size(); begin += kPieceBytes) {
    v1::CreateCollectionRequest piece;
    piece.set_model_chunk(model.substr(begin, kPieceBytes));
    piece.SerializeToString(&messages.emplace_back());
  }
  return messages;
}

// As many documents of 8,192 floats as one message has room for.
std::string WideUpsert() {
  v1::UpsertRequest request;
  request.set_collection("wide");
  const auto vectors = RandomVectors(10, kWideDims, 3);
  for (size_t i = 0; i < kMessageBytes / (kWideDims * sizeof(float) + 64); ++i) {
    v1::Document& document = *request.add_documents();
    document.set_id(absl::StrCat("d", i));
    v1::Vector& vector = *document.add_embeddings()->mutable_vector();
    vector.mutable_values()->Add(vectors[i % 10].begin(), vectors[i % 10].end());
  }
  return request.SerializeAsString();
}

v1::FilterTest TestOf(size_t values, size_t bytes) {
  v1::FilterTest test;
  test.set_attribute("text");
  test.set_operator_(v1::FILTER_OPERATOR_IN);
  for (size_t i = 0; i < values; ++i) test.add_values()->set_string_value(Padded(absl::StrCat(i, "-"), bytes));
  return test;
}

// A tree is written as text, of at most 8 MiB: long lists, and lists in lists 32 deep.
std::vector<std::pair<std::string, v1::Filter>> Trees() {
  v1::Filter list;
  *list.mutable_test() = TestOf(10000, 800);
  v1::Filter many;
  for (size_t i = 0; i < 1000; ++i) *many.mutable_any_of()->add_filters()->mutable_test() = TestOf(8, 900);
  v1::Filter deep;
  *deep.mutable_test() = TestOf(9000, 800);
  for (int depth = 1; depth < 30; ++depth) {
    v1::Filter outer;
    *(depth % 2 == 0 ? outer.mutable_none_of() : outer.mutable_all_of()->add_filters()) = std::move(deep);
    deep = std::move(outer);
  }
  return {{"filter tree: 10,000 texts of 800 bytes", std::move(list)},
          {"filter tree: 1,000 tests of 8 texts of 900 bytes", std::move(many)},
          {"filter tree: 30 deep, 9,000 texts of 800 bytes", std::move(deep)}};
}

void RunMessages(Table& table, Server& server) {
  const std::string wide = RandomModelFile(kWideDims, *ParseCodeSpec("256x2"), 4, 1);
  const std::string upsert = WideUpsert();
  server.Measure(table, "64 MiB of documents in one message", [&]() -> absl::Status {
    const absl::Status created = server.Call("CollectionService/CreateCollection", CreateMessages("wide", wide));
    return created.ok() ? server.Call("DocumentService/Upsert", {upsert}) : created;
  });
  v1::StreamGetRequest ids;
  ids.set_collection("wide");
  for (size_t i = 0; i < 1000000; ++i) ids.add_ids(absl::StrCat("d", i));
  const std::string get = ids.SerializeAsString();
  server.Measure(table, "1,000,000 ids of a StreamGet",
                 [&] { return server.Call("DocumentService/StreamGet", {get}); });
  const auto query = RandomVectors(1, kWideDims, 9)[0];
  for (auto& [what, tree] : Trees()) {
    v1::SearchRequest search;
    search.set_collection("wide");
    search.mutable_query()->mutable_values()->Add(query.begin(), query.end());
    search.mutable_options()->set_k(10);
    *search.mutable_options()->mutable_filter_tree() = std::move(tree);
    const std::string message = search.SerializeAsString();
    server.Measure(table, what, [&] { return server.Call("SearchService/Search", {message}); });
  }
}

// 64 groups of 8,192 floats, codes of 1,248 dims: some 1,000 MiB.
void RunModel(Table& table, Server& server) {
  std::vector<std::string> create;
  {
    const std::string model = RandomModelFile(kWideDims, WithGroups(*ParseCodeSpec("1248x4"), 64), 5, 1);
    if (model.size() > kModelBytes || model.size() < kModelBytes / 20 * 19)
      std::printf("the model has %zu bytes\n", model.size());
    create = CreateMessages("large", model);
  }
  server.Measure(
      table, "a model of 1 GiB", [&] { return server.Call("CollectionService/CreateCollection", create); },
      kMostOfModel);
}

// One host without a key has so many calls open; one more is refused.
void RunWatches(Table& table, Server& server) {
  server.Measure(table, "64 watches of the health", [&]() -> absl::Status {
    std::vector<std::unique_ptr<RawCall>> watches;
    const auto channel = OwnConnection(server.address());
    std::string answer;
    const auto watch = [&] {
      watches.push_back(std::make_unique<RawCall>(channel, "/grpc.health.v1.Health/Watch"));
      return watches.back()->Write("") && watches.back()->WritesDone() && watches.back()->Read(&answer);
    };
    for (size_t i = 0; i < kKeylessCalls; ++i) {
      if (!watch()) return absl::InternalError(absl::StrCat("watch ", i, " is refused"));
    }
    const bool refused = !watch();
    for (const auto& one : watches) one->Cancel();
    return refused ? absl::OkStatus() : absl::InternalError("one more is not refused");
  });
}

}  // namespace

void RunServer(Table& table) {
  Server server;
  RunMessages(table, server);
  RunWatches(table, server);
  RunModel(table, server);
}

}  // namespace bebr::testing
