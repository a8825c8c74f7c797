// What is wrong is refused with a message that names field, value and limit; nothing stored changes and the server
// lives on.
#include <fstream>
#include <limits>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "index/dataset/vector_file.h"
#include "tests/integration/fixture.h"

namespace bebr::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class BadInputTest : public ServerTest {
 protected:
  void SetUp() override {
    Start({"--max_message_bytes", "4194304", "--max_model_bytes", "1048576"});
    CreateCollection(v1::FLOAT_STORAGE_NONE);
    ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 20)).ok());
    before_ = client_->Search(MakeSearch("c", VectorOf(3), 20))->hits(0).SerializeAsString();
  }
  void TearDown() override {
    // Whatever was refused: the same documents, the same answer.
    EXPECT_EQ(client_->GetCollection("c")->documents(), 20u);
    EXPECT_EQ(client_->Search(MakeSearch("c", VectorOf(3), 20))->hits(0).SerializeAsString(), before_);
  }

  void ExpectRefused(const absl::Status& status, absl::StatusCode code, const std::vector<std::string>& parts) {
    EXPECT_EQ(status.code(), code) << status;
    for (const std::string& part : parts) EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  }
  void ExpectUpsertRefused(const std::function<void(v1::UpsertRequest&)>& change,
                           const std::vector<std::string>& parts) {
    v1::UpsertRequest request = MakeUpsert("c", 0, 3);
    for (auto& document : *request.mutable_documents()) document.set_id("new" + document.id());
    change(request);
    ExpectRefused(client_->Upsert(request).status(), absl::StatusCode::kInvalidArgument, parts);
  }
  void ExpectSearchRefused(const std::function<void(v1::SearchRequest&)>& change, absl::StatusCode code,
                           const std::vector<std::string>& parts) {
    v1::SearchRequest request = MakeSearch("c", VectorOf(1), 10);
    change(request);
    ExpectRefused(client_->Search(request).status(), code, parts);
  }

  std::string before_;
};

TEST_F(BadInputTest, Upserts) {
  const auto vector = [](v1::UpsertRequest& r) {
    return r.mutable_documents(1)->mutable_embeddings(0)->mutable_vector();
  };
  ExpectUpsertRefused([&](auto& r) { vector(r)->add_values(1); }, {"documents[1].embeddings[0]", "25", "24"});
  ExpectUpsertRefused([&](auto& r) { vector(r)->clear_values(); }, {"documents[1].embeddings[0]", "0", "24"});
  ExpectUpsertRefused([&](auto& r) { vector(r)->set_values(5, std::numeric_limits<float>::quiet_NaN()); },
                      {"documents[1].embeddings[0]", "nan", "5"});
  ExpectUpsertRefused([&](auto& r) { vector(r)->set_values(5, std::numeric_limits<float>::infinity()); },
                      {"documents[1].embeddings[0]", "inf"});
  ExpectUpsertRefused([&](auto& r) { vector(r)->set_float16("abc"); }, {"documents[1].embeddings[0].vector"});
  ExpectUpsertRefused([](auto& r) { r.clear_documents(); }, {"documents", "0", "10000"});
  ExpectUpsertRefused([](auto& r) { r.mutable_documents(2)->set_id(std::string(513, 'x')); },
                      {"documents[2].id", "513", "512"});
  ExpectUpsertRefused([](auto& r) { r.mutable_documents(2)->set_id(""); }, {"documents[2].id", "empty", "512"});
  ExpectUpsertRefused([](auto& r) { r.mutable_documents(0)->clear_embeddings(); },
                      {"documents[0].embeddings", "empty"});
  ExpectUpsertRefused([](auto& r) { *r.mutable_documents(0)->add_embeddings() = r.documents(0).embeddings(0); },
                      {"documents[0]", "two"});
  ExpectUpsertRefused([](auto& r) { (*r.mutable_documents(0)->mutable_attributes())["unset"]; },
                      {"documents[0].attributes", "unset"});
  ExpectUpsertRefused(
      [](auto& r) {
        (*r.mutable_documents(0)->mutable_attributes())["big"].set_string_value(std::string(1 << 20, 'x'));
      },
      {"documents[0].attributes", "1048576"});
  ExpectUpsertRefused(
      [](auto& r) {
        auto& list = *(*r.mutable_documents(0)->mutable_attributes())["list"].mutable_list_value();
        for (int i = 0; i < 2100; ++i) list.add_values()->set_string_value("");
      },
      {"documents[0].attributes", "bytes that filters compare; the limit is 16384"});
  ExpectUpsertRefused(
      [](auto& r) {
        auto& list = *(*r.mutable_documents(0)->mutable_attributes())["deep"].mutable_list_value();
        list.add_values()->mutable_list_value();
      },
      {"documents[0].attributes", "deep", "a list in a list"});
  ExpectUpsertRefused(
      [](auto& r) {
        (*r.mutable_documents(0)->mutable_attributes())["t"].mutable_list_value()->add_values()->set_double_value(
            std::numeric_limits<double>::infinity());
      },
      {"documents[0].attributes", "\"t\"", "inf"});
  for (const char* time : {"", "2026-01-31", "2026-01-31T25:00:00Z", "10000-01-01T00:00:00Z", "\n"}) {
    ExpectUpsertRefused(
        [&](auto& r) { (*r.mutable_documents(0)->mutable_attributes())["at"].set_timestamp_value(time); },
        {"documents[0].attributes", "at", "is no timestamp"});
  }
  ExpectUpsertRefused(
      [](auto& r) {
        for (int i = 0; i < 65; ++i)
          (*r.mutable_documents(0)->mutable_attributes())["a" + std::to_string(i)].set_bool_value(true);
      },
      {"documents[0].attributes", "64"});
  v1::UpsertRequest unknown = MakeUpsert("nowhere", 0, 1);
  ExpectRefused(client_->Upsert(unknown).status(), absl::StatusCode::kNotFound, {"nowhere"});
  v1::UpsertRequest version = MakeUpsert("c", 0, 1);
  version.mutable_documents(0)->mutable_embeddings(0)->set_version("v7");
  ExpectRefused(client_->Upsert(version).status(), absl::StatusCode::kNotFound, {"v7"});
}

TEST_F(BadInputTest, Searches) {
  const auto invalid = absl::StatusCode::kInvalidArgument;
  ExpectSearchRefused([](auto& r) { r.mutable_options()->set_k(0); }, invalid, {"k is 0", "10000"});
  ExpectSearchRefused([](auto& r) { r.mutable_options()->set_k(10001); }, invalid, {"k is 10001", "10000"});
  ExpectSearchRefused([](auto& r) { r.mutable_query()->add_values(1); }, invalid, {"query has 25", "24"});
  ExpectSearchRefused([](auto& r) { r.clear_query(); }, invalid, {"query has 0", "24"});
  ExpectSearchRefused([](auto& r) { r.mutable_query()->set_values(0, std::numeric_limits<float>::quiet_NaN()); },
                      invalid, {"query", "nan"});
  ExpectSearchRefused([](auto& r) { r.mutable_options()->set_filter("n <"); }, invalid, {"filter"});
  ExpectSearchRefused([](auto& r) { r.mutable_options()->set_filter(std::string(70000, ' ')); }, invalid,
                      {"filter", "70000", "65536"});
  ExpectSearchRefused([](auto& r) { r.mutable_options()->set_min_score(std::numeric_limits<float>::quiet_NaN()); },
                      invalid, {"min_score"});
  ExpectSearchRefused([](auto& r) { r.mutable_options()->set_rerank(100); }, absl::StatusCode::kFailedPrecondition,
                      {"stores no floats"});
  ExpectSearchRefused([](auto& r) { r.set_collection("nowhere"); }, absl::StatusCode::kNotFound, {"nowhere"});
  ExpectSearchRefused([](auto& r) { r.mutable_options()->set_version("v7"); }, absl::StatusCode::kNotFound, {"v7"});
  v1::BatchSearchRequest empty;
  empty.set_collection("c");
  ExpectRefused(client_->BatchSearch(empty).status(), invalid, {"queries", "0", "1024"});
}

TEST_F(BadInputTest, IdsOfGetAndDelete) {
  v1::GetRequest get;
  get.set_collection("c");
  ExpectRefused(client_->Get(get).status(), absl::StatusCode::kInvalidArgument, {"ids", "0", "10000"});
  get.add_ids(std::string(600, 'x'));
  ExpectRefused(client_->Get(get).status(), absl::StatusCode::kInvalidArgument, {"ids[0]", "600", "512"});
  v1::DeleteRequest remove;
  remove.set_collection("c");
  ExpectRefused(client_->Delete(remove).status(), absl::StatusCode::kInvalidArgument, {"ids", "0", "10000"});
}

TEST_F(BadInputTest, Collections) {
  v1::CollectionConfig config;
  config.set_name("c");
  ExpectRefused(client_->CreateCollection(config, ModelFile()).status(), absl::StatusCode::kAlreadyExists, {"\"c\""});
  const auto refused = [&](const std::string& model, const std::vector<std::string>& parts) {
    ExpectRefused(client_->CreateCollection(config, model).status(), absl::StatusCode::kInvalidArgument, parts);
  };
  config.set_name("");
  refused(ModelFile(), {"name"});
  config.set_name("../evil");
  refused(ModelFile(), {"name"});
  config.set_name(std::string(129, 'x'));
  refused(ModelFile(), {"name", "129", "128"});
  config.set_name("new");
  refused("", {"model_chunk is missing"});
  refused("garbage", {"model"});
  refused(ModelFile().substr(0, ModelFile().size() - 1), {"model"});
  std::string corrupt = ModelFile();
  corrupt[corrupt.size() - 5] ^= 1;
  refused(corrupt, {"model", "checksum"});
  config.set_shards(257);
  refused(ModelFile(), {"shards is 257", "256"});
  config.set_shards(1);
  ExpectRefused(client_->CreateCollection(config, std::string(2 << 20, 'x')).status(),
                absl::StatusCode::kResourceExhausted, {"1048576"});
  EXPECT_EQ(client_->ListCollections()->collections_size(), 1);
}

TEST_F(BadInputTest, AModelComesAfterItsConfiguration) {
  auto stub =
      v1::CollectionService::NewStub(grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::CreateCollectionResponse response;
  auto writer = stub->CreateCollection(&context, &response);
  v1::CreateCollectionRequest chunk;
  chunk.set_model_chunk("x");
  writer->Write(chunk);
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("config is missing"));
}

TEST_F(BadInputTest, AnOversizedMessageIsRefused) {
  v1::UpsertRequest request = MakeUpsert("c", 0, 1);
  request.mutable_documents(0)->set_id(std::string(5 << 20, 'x'));
  ExpectRefused(client_->Upsert(request).status(), absl::StatusCode::kResourceExhausted,
                {"larger than max", "4194304"});
}

TEST_F(BadInputTest, DetailsNameTheField) {
  auto stub = v1::SearchService::NewStub(grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::SearchRequest request = MakeSearch("c", VectorOf(0), 20000);
  v1::SearchResponse response;
  const grpc::Status status = stub->Search(&context, request, &response);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  ASSERT_EQ(details.details_size(), 1);
  google::rpc::BadRequest bad;
  ASSERT_TRUE(details.details(0).UnpackTo(&bad));
  EXPECT_EQ(bad.field_violations(0).field(), "k");
}

TEST_F(BadInputTest, TheCommandRefusesBrokenFiles) {
  const auto refused = [&](const std::vector<std::string>& arguments, const std::vector<std::string>& parts) {
    const Outcome outcome = Bebr(arguments);
    EXPECT_EQ(outcome.exit_code, 1) << arguments[0] << " " << outcome.out;
    for (const std::string& part : parts) EXPECT_THAT(outcome.err, HasSubstr(part));
  };
  Matrix docs{.rows = 4, .dims = kDims, .values = std::vector<float>(4 * kDims, 0.5f)};
  ASSERT_TRUE(WriteNpy(Path("docs.npy"), docs).ok());
  refused({"import", "c", Path("missing.npy")}, {"missing.npy"});
  refused({"import", "c", WriteFile("broken.npy", "not numpy")}, {"broken.npy"});
  std::ifstream file(Path("docs.npy"), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  refused({"import", "c", WriteFile("short.npy", bytes.substr(0, bytes.size() - 3))}, {"short.npy"});
  refused({"import", "c", Path("docs.npy"), "--ids", Path("missing.txt")}, {"missing.txt"});
  refused({"import", "c", Path("docs.npy"), "--ids", WriteFile("few.txt", "a\nb\n")}, {"2 ids for 4 vectors"});
  refused({"import", "c", Path("docs.npy"), "--attributes", WriteFile("bad.jsonl", "{}\n[1]\n")},
          {"line 2", "bad.jsonl"});
  refused({"import", "nowhere", Path("docs.npy")}, {"nowhere"});
  Matrix wide{.rows = 2, .dims = kDims + 1, .values = std::vector<float>(2 * (kDims + 1), 0.5f)};
  ASSERT_TRUE(WriteNpy(Path("wide.npy"), wide).ok());
  refused({"import", "c", Path("wide.npy")}, {"25", "24"});
  refused({"create", "d", "--model", Path("missing.safetensors")}, {"missing.safetensors"});
  refused({"create", "d", "--model", WriteFile("cut.safetensors", ModelFile().substr(0, 100))}, {"model"});
  refused({"eval", "c", "--queries", Path("docs.npy"), "--docs", Path("docs.npy"), "--rerank", "10"},
          {"stores no floats"});
  EXPECT_EQ(Bebr({"search", "c"}).exit_code, 2);
  const Outcome row = Bebr({"search", "c", "--queries", Path("docs.npy"), "--row", "4"});
  EXPECT_EQ(row.exit_code, 2);
  EXPECT_THAT(row.err, AllOf(HasSubstr("--row 4"), HasSubstr("4 rows")));
}

}  // namespace
}  // namespace bebr::testing
