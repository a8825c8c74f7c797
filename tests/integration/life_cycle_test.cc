// What a service does with a server, over gRPC and with the command, across restarts.
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "index/dataset/vector_file.h"
#include "nlohmann/json.hpp"
#include "tests/integration/fixture.h"

namespace bebr::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LifeCycleTest : public ServerTest {
 protected:
  std::vector<std::string> Ids(const std::vector<float>& query, uint32_t k, uint32_t rerank = 0,
                               const std::string& filter = "") {
    v1::SearchRequest request = MakeSearch("c", query, k);
    request.mutable_options()->set_rerank(rerank);
    request.mutable_options()->set_filter(filter);
    const auto response = client_->Search(request);
    EXPECT_TRUE(response.ok()) << response.status();
    std::vector<std::string> ids;
    if (response.ok()) {
      for (const v1::SearchHit& hit : response->hits()) ids.push_back(hit.id());
    }
    return ids;
  }
  void StopGently() {
    server_->Signal(SIGTERM);
    EXPECT_EQ(server_->Wait(), 0) << server_->Log();
  }
};

// A signal that came to another thread than the one that waits for it would end the server, or be lost.
TEST_F(LifeCycleTest, NoOtherThreadTakesSignals) {
  Start();
  uint64_t ours = 0;
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) ours |= uint64_t{1} << (number - 1);
  size_t threads = 0;
  for (const auto& task : std::filesystem::directory_iterator(absl::StrCat("/proc/", server_->pid(), "/task"))) {
    if (task.path().filename() == absl::StrCat(server_->pid())) continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.rfind("SigBlk:", 0) != 0) continue;
      ++threads;
      EXPECT_EQ(std::stoull(line.substr(7), nullptr, 16) & ours, ours) << task.path();
    }
  }
  EXPECT_GT(threads, 5u);
}

TEST_F(LifeCycleTest, WritesSearchesRestartsAndSearchesAgain) {
  Start();
  CreateCollection();
  const auto written = client_->Upsert(MakeUpsert("c", 0, 500));
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->documents(), 500u);
  EXPECT_EQ(written->created(), 500u);
  // Exact scores put a document first for its own vector.
  EXPECT_EQ(Ids(VectorOf(77), 10, 500)[0], "77");
  const auto before = Ids(VectorOf(77), 50);
  const auto reranked_before = Ids(VectorOf(1000), 20, 100);

  // Replacing and deleting take effect at once.
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 100, 1)).ok());
  v1::DeleteRequest remove;
  remove.set_collection("c");
  remove.add_ids(before[49]);
  remove.add_ids("no such id");
  const auto removed = client_->Delete(remove);
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_EQ(removed->deleted(), 1u);
  EXPECT_EQ(client_->GetCollection("c")->documents(), 499u);
  const auto after = Ids(VectorOf(77), 49);
  EXPECT_EQ(after, std::vector<std::string>(before.begin(), before.end() - 1));

  StopGently();
  Start();
  EXPECT_EQ(client_->GetCollection("c")->documents(), 499u);
  EXPECT_EQ(Ids(VectorOf(77), 49), after);
  v1::GetRequest get;
  get.set_collection("c");
  get.set_with_embeddings(true);
  get.add_ids("12");
  get.add_ids(before[49]);
  const auto got = client_->Get(get);
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_EQ(got->documents_size(), 1);
  EXPECT_EQ(got->documents(0).attributes().at("n").int_value(), 12);
  const auto& stored = got->documents(0).embeddings(0).vector().values();
  EXPECT_EQ(std::vector<float>(stored.begin(), stored.end()), VectorOf(12));

  ASSERT_TRUE(client_->DeleteCollection("c").ok());
  EXPECT_EQ(client_->GetCollection("c").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(client_->ListCollections()->collections().empty());
  StopGently();
  Start();
  EXPECT_TRUE(client_->ListCollections()->collections().empty());
}

TEST_F(LifeCycleTest, FiltersAndMinScore) {
  Start();
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 300)).ok());
  for (const std::string& id : Ids(VectorOf(5), 20, 0, "n < 30 AND n >= 10")) {
    EXPECT_GE(std::stoi(id), 10);
    EXPECT_LT(std::stoi(id), 30);
  }
  EXPECT_EQ(Ids(VectorOf(5), 100, 0, "n < 30 AND n >= 10").size(), 20u);
  EXPECT_THAT(Ids(VectorOf(5), 100, 0, "n = 17"), ElementsAre("17"));
  v1::SearchRequest request = MakeSearch("c", VectorOf(5), 300);
  const auto all = client_->Search(request);
  ASSERT_TRUE(all.ok());
  request.mutable_options()->set_min_score(all->hits(9).score());
  const auto some = client_->Search(request);
  ASSERT_TRUE(some.ok());
  EXPECT_GE(some->hits_size(), 10);
  EXPECT_LT(some->hits_size(), 300);
  for (const auto& hit : some->hits()) EXPECT_GE(hit.score(), all->hits(9).score());
}

TEST_F(LifeCycleTest, BatchAndSingleAndHalfFloatsAgree) {
  Start();
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 400)).ok());
  v1::BatchSearchRequest batch;
  batch.set_collection("c");
  batch.mutable_options()->set_k(15);
  for (size_t i = 0; i < 70; ++i) {
    const auto values = VectorOf(2000 + i);
    batch.add_queries()->mutable_values()->Add(values.begin(), values.end());
  }
  const auto together = client_->BatchSearch(batch);
  ASSERT_TRUE(together.ok()) << together.status();
  ASSERT_EQ(together->results_size(), 70);
  for (int i = 0; i < 70; ++i) {
    const auto alone = client_->Search(MakeSearch("c", VectorOf(2000 + i), 15));
    ASSERT_TRUE(alone.ok());
    ASSERT_EQ(alone->hits_size(), together->results(i).hits_size());
    for (int h = 0; h < alone->hits_size(); ++h) {
      EXPECT_EQ(alone->hits(h).SerializeAsString(), together->results(i).hits(h).SerializeAsString());
    }
  }
}

TEST_F(LifeCycleTest, StreamAcknowledgesInOrderAndGoesOnAfterARefusal) {
  Start();
  CreateCollection();
  auto stub = v1::DocumentService::NewStub(grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  auto stream = stub->StreamUpsert(&context);
  constexpr uint64_t kMessages = 60;
  for (uint64_t i = 0; i < kMessages; ++i) {
    v1::StreamUpsertRequest message;
    if (i == 0) message.set_collection("c");
    message.set_sequence(1000 + i);
    *message.mutable_documents() = MakeDocuments(i * 10, 10);
    if (i == 30) message.mutable_documents(3)->mutable_embeddings(0)->mutable_vector()->add_values(1);  // one too many
    ASSERT_TRUE(stream->Write(message));
  }
  ASSERT_TRUE(stream->WritesDone());
  v1::StreamUpsertResponse response;
  for (uint64_t i = 0; i < kMessages; ++i) {
    ASSERT_TRUE(stream->Read(&response)) << i;
    EXPECT_EQ(response.sequence(), 1000 + i);
    EXPECT_EQ(response.documents(), i == 30 ? 0u : 10u);
    EXPECT_EQ(response.error_code(), i == 30 ? static_cast<int>(absl::StatusCode::kInvalidArgument) : 0);
    if (i == 30) {
      EXPECT_THAT(response.error_message(), HasSubstr("documents[3].embeddings[0]"));
    }
  }
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(client_->GetCollection("c")->documents(), (kMessages - 1) * 10);
}

TEST_F(LifeCycleTest, VersionsAreAddedPromotedAndRetired) {
  Start();
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 50)).ok());
  v1::VersionConfig config;
  config.set_collection("c");
  config.set_name("v2");
  const auto added = client_->AddVersion(config, ModelFile(2));
  ASSERT_TRUE(added.ok()) << added.status();
  EXPECT_EQ(added->versions_size(), 2);
  EXPECT_EQ(added->default_version(), "v1");
  EXPECT_EQ(client_->AddVersion(config, ModelFile(2)).status().code(), absl::StatusCode::kAlreadyExists);

  v1::UpsertRequest both = MakeUpsert("c", 0, 50);
  for (auto& document : *both.mutable_documents()) {
    *document.add_embeddings() = document.embeddings(0);
    document.mutable_embeddings(0)->set_version("v1");
    document.mutable_embeddings(1)->set_version("v2");
  }
  ASSERT_TRUE(client_->Upsert(both).ok());
  v1::PromoteVersionRequest promote;
  promote.set_collection("c");
  promote.set_version("v2");
  promote.set_expected_default("v9");
  EXPECT_EQ(client_->PromoteVersion(promote).status().code(), absl::StatusCode::kFailedPrecondition);
  promote.set_expected_default("v1");
  const auto promoted = client_->PromoteVersion(promote);
  ASSERT_TRUE(promoted.ok()) << promoted.status();
  EXPECT_EQ(promoted->default_version(), "v2");
  EXPECT_EQ(Ids(VectorOf(7), 5, 50)[0], "7");
  v1::RetireVersionRequest retire;
  retire.set_collection("c");
  retire.set_version("v2");
  EXPECT_FALSE(client_->RetireVersion(retire).ok());  // the default
  retire.set_version("v1");
  const auto retired = client_->RetireVersion(retire);
  ASSERT_TRUE(retired.ok()) << retired.status();
  EXPECT_EQ(Ids(VectorOf(7), 5, 50)[0], "7");
}

TEST_F(LifeCycleTest, TheCommandDoesItAll) {
  Start();
  Matrix docs{.rows = 200, .dims = kDims, .values = {}};
  std::string attributes;
  for (size_t i = 0; i < docs.rows; ++i) {
    const auto values = VectorOf(i);
    docs.values.insert(docs.values.end(), values.begin(), values.end());
    attributes += "{\"n\": " + std::to_string(i) + ", \"even\": " + (i % 2 == 0 ? "true" : "false") +
                  ", \"t\": \"x\", \"d\": 0.5}\n";
  }
  ASSERT_TRUE(WriteNpy(Path("docs.npy"), docs).ok());
  const std::string model = WriteFile("model.safetensors", ModelFile());
  const std::string lines = WriteFile("attributes.jsonl", attributes);

  Outcome outcome = Bebr({"create", "papers", "--model", model, "--store-floats", "f32", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["store_floats"], "f32");

  outcome = Bebr({"import", "papers", Path("docs.npy"), "--attributes", lines, "--batch", "7", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["created"], 200);

  outcome = Bebr({"count", "papers"});
  EXPECT_EQ(outcome.out, "200\n") << outcome.err;

  outcome = Bebr({"search", "papers", "--queries", Path("docs.npy"), "--row", "17", "-k", "3", "--rerank", "200",
                  "--filter", "even = false", "--attributes", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto hits = nlohmann::json::parse(outcome.out)[0]["hits"];
  ASSERT_EQ(hits.size(), 3u);
  EXPECT_EQ(hits[0]["id"], "17");
  EXPECT_EQ(hits[0]["score_kind"], "exact");
  EXPECT_EQ(hits[0]["attributes"]["n"], 17);
  EXPECT_EQ(hits[0]["attributes"]["even"], false);

  outcome = Bebr({"eval", "papers", "--queries", Path("docs.npy"), "--docs", Path("docs.npy"), "--rerank", "200",
                  "--limit", "50", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto eval = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(eval["queries"], 50);
  EXPECT_EQ(eval["bits_per_document"], 96);
  EXPECT_EQ(eval["recall_at_10_reranked"], 1.0);
  EXPECT_GT(eval["recall_at_100"], eval["recall_at_10"]);
  EXPECT_GT(eval["recall_at_10"], 0.3);

  // Exact search over what the server stores sees the filter too.
  for (const std::string rerank : {"200", "0"}) {
    outcome = Bebr({"bench", "papers", "--queries", Path("docs.npy"), "--clients", "3", "--seconds", "0.5", "--rerank",
                    rerank, "--filter", "even = false", "--json"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const auto bench = nlohmann::json::parse(outcome.out);
    EXPECT_EQ(bench["recall_queries"], 100);
    EXPECT_EQ(bench["recall"] == 1.0, rerank == "200") << outcome.out;
    EXPECT_GT(bench["queries"], 0);
    EXPECT_GE(bench["p99_ms"], bench["p50_ms"]);
    EXPECT_EQ(bench["errors"], 0);
  }
  outcome = Bebr({"bench", "papers", "--queries", Path("docs.npy"), "--clients", "0"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, testing::HasSubstr("--clients: \"0\" is no whole number from 1 to 1,024"));

  outcome = Bebr({"get", "papers", "3", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)[0]["attributes"]["d"], 0.5);
  EXPECT_EQ(Bebr({"get", "papers", "nothing"}).exit_code, 1);
  EXPECT_EQ(nlohmann::json::parse(Bebr({"delete", "papers", "3", "4", "--json"}).out)["deleted"], 2);
  EXPECT_EQ(nlohmann::json::parse(Bebr({"stats", "--json"}).out)["documents_deleted"], 2);
  EXPECT_EQ(nlohmann::json::parse(Bebr({"collections", "--json"}).out)[0]["documents"], 198);
  EXPECT_EQ(Bebr({"version", "list", "papers"}).exit_code, 0);
  for (const std::vector<std::string>& plain : {std::vector<std::string>{"stats"},
                                                {"stats", "papers"},
                                                {"stats", "papers", "--estimate", "1000000"},
                                                {"collections"},
                                                {"search", "papers", "--queries", Path("docs.npy"), "--row", "1"},
                                                {"get", "papers", "5", "--embeddings"}}) {
    const Outcome shown = Bebr(plain);
    EXPECT_EQ(shown.exit_code, 0) << plain[0] << shown.err;
    EXPECT_NE(shown.out, "");
  }
  EXPECT_EQ(Bebr({"drop", "papers"}).exit_code, 0);
  EXPECT_EQ(Bebr({"count", "papers"}).exit_code, 1);
}

// An operator who looks for trouble by the level of lines must find some only where there is some.
TEST_F(LifeCycleTest, AGoodDayLogsNoWarning) {
  Start();
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 500)).ok());
  v1::VersionConfig config;
  config.set_collection("c");
  config.set_name("v2");
  config.set_same_embeddings_as("v1");
  ASSERT_TRUE(client_->AddVersion(config, ModelFile(2)).ok());
  EXPECT_EQ(Bebr({"snapshot", "create", "c", "--name", "s"}).exit_code, 0);
  EXPECT_EQ(Bebr({"snapshot", "restore", "c", "s", "--as", "again"}).exit_code, 0);
  EXPECT_EQ(Bebr({"create", "learning", "--dims", "24"}).exit_code, 0);
  v1::DeleteRequest remove;
  remove.set_collection("c");
  remove.add_ids("1");
  ASSERT_TRUE(client_->Delete(remove).ok());
  ASSERT_TRUE(client_->DeleteCollection("again").ok());
  EXPECT_EQ(Ids(VectorOf(7), 5, 50)[0], "7");
  EXPECT_NE(server_->HttpGet("/metrics"), "");
  StopGently();
  const std::string first = server_->Log();
  Start();
  EXPECT_EQ(Ids(VectorOf(7), 5, 50)[0], "7");
  StopGently();
  for (const std::string& log : {first, server_->Log()}) {
    EXPECT_THAT(log, ::testing::AllOf(HasSubstr(" info "), ::testing::Not(HasSubstr(" warning ")),
                                      ::testing::Not(HasSubstr(" error "))));
  }
}

TEST_F(LifeCycleTest, TheCommandSaysThatNoServerIsThere) {
  const Outcome outcome = RunProgram("bebr", {"collections", "--server", "127.0.0.1:1"});
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("no server answers at 127.0.0.1:1"));
  EXPECT_THAT(outcome.err, HasSubstr("bebr-server --data_dir"));
}

}  // namespace
}  // namespace bebr::testing
