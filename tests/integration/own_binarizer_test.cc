// A collection without a model file, over gRPC and with the command: no flag, no model, and the server learns.
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "index/exact/neighbors.h"
#include "nlohmann/json.hpp"
#include "tests/integration/fixture.h"
#include "tests/support/until.h"
#include "tests/unit/fit/clusters.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

constexpr size_t kFloats = 32;
constexpr size_t kDocuments = 2100;  // beyond what brings the first fit
constexpr size_t kQueries = 40;

class OwnBinarizerTest : public ServerTest {
 protected:
  OwnBinarizerTest() : rows_(Clusters(kDocuments, kFloats, 1)), queries_(Clusters(kQueries, kFloats, 2)) {}

  void Write(size_t first, size_t end) {
    for (; first < end; first += 300) {
      v1::UpsertRequest request;
      request.set_collection("c");
      for (size_t i = first; i < std::min(first + 300, end); ++i) {
        v1::Document* document = request.add_documents();
        document->set_id(absl::StrCat(i));
        document->add_embeddings()->mutable_vector()->mutable_values()->Add(rows_.row(i), rows_.row(i) + kFloats);
      }
      const auto written = client_->Upsert(request);
      ASSERT_TRUE(written.ok()) << written.status();
    }
  }
  // Recall@10 of searches that say nothing but k, among the first `documents`; every score must be exact.
  double Recall(size_t documents) {
    const Matrix there{documents, kFloats, {rows_.values.begin(), rows_.values.begin() + documents * kFloats}};
    const auto exact = ExactNeighbors(there, queries_, 10, Metric::kCosine, 1);
    size_t found = 0;
    for (size_t q = 0; q < kQueries; ++q) {
      const auto response = client_->Search(MakeSearch("c", {queries_.row(q), queries_.row(q) + kFloats}, 10));
      EXPECT_TRUE(response.ok()) << response.status();
      if (!response.ok()) return 0;
      std::set<std::string> ids;
      for (const v1::SearchHit& hit : response->hits()) {
        ids.insert(hit.id());
        EXPECT_EQ(hit.score_kind(), v1::SCORE_KIND_EXACT);
      }
      for (size_t i = 0; i < 10; ++i) found += ids.count(absl::StrCat(exact[q * 10 + i]));
    }
    return static_cast<double>(found) / (10.0 * kQueries);
  }
  bool IsFitted() { return client_->GetCollection("c")->auto_status().promotions() > 0; }

  const Matrix rows_, queries_;
};

TEST_F(OwnBinarizerTest, ServesAtOnceLearnsAndSaysSo) {
  Start();
  const Outcome created = RunProgram("bebr", {"create", "c", "--dims", "32", "--server", server_->address()});
  ASSERT_EQ(created.exit_code, 0) << created.err;
  EXPECT_THAT(created.out, HasSubstr("created c: 32-d floats (stored: f16) to 256 bits a document"));
  EXPECT_THAT(created.out, HasSubstr("the first when 2,000 are there"));
  EXPECT_THAT(created.out, HasSubstr("how many bits"));
  Write(0, 1500);
  EXPECT_GE(Recall(1500), 0.99);
  EXPECT_EQ(client_->GetCollection("c")->auto_status().state(), v1::AUTO_STATE_COLLECTING);
  Write(1500, kDocuments);
  ASSERT_TRUE(Until([&] { return IsFitted(); })) << client_->GetCollection("c")->auto_status().DebugString();
  EXPECT_GE(Recall(kDocuments), 0.99);
  const auto collection = client_->GetCollection("c");
  EXPECT_EQ(collection->default_version(), "auto-1");
  EXPECT_GT(collection->default_rerank(), 0u);
  EXPECT_THAT(collection->auto_status().events(1).text(), HasSubstr("auto-1 is the default now"));
  EXPECT_THAT(server_->HttpGet("/metrics"), HasSubstr("bebr_auto_promotions_total{collection=\"c\"} 1"));
  // The floats come back under whatever version they are of by now.
  v1::RetireVersionRequest retire;
  retire.set_collection("c");
  retire.set_version("auto-0");
  const auto retired = client_->RetireVersion(retire);
  ASSERT_TRUE(retired.ok()) << retired.status();
  const std::string exported = Path("exported");
  const Outcome wrote = RunProgram("bebr", {"export", "c", exported, "--server", server_->address()});
  EXPECT_EQ(wrote.exit_code, 0) << wrote.err;
  EXPECT_THAT(wrote.out, HasSubstr("exported 2,100 documents"));
  // So bench finds the floats, too, that it counts recall by.
  const Outcome bench = RunProgram("bebr", {"bench", "c", "--queries", exported + ".npy", "--sample", "20", "--clients",
                                            "1", "--seconds", "2", "--json", "--server", server_->address()});
  ASSERT_EQ(bench.exit_code, 0) << bench.err;
  EXPECT_GE(nlohmann::json::parse(bench.out)["recall"], 0.99);
  const Outcome stats = RunProgram("bebr", {"stats", "c", "--server", server_->address()});
  EXPECT_THAT(stats.out, HasSubstr("auto-1 is fitted to"));
  // A search may still ask for the codes alone.
  v1::SearchRequest request = MakeSearch("c", {queries_.row(0), queries_.row(0) + kFloats}, 10);
  request.mutable_options()->set_rerank(0);
  EXPECT_EQ(client_->Search(request)->hits(0).score_kind(), v1::SCORE_KIND_ESTIMATED);
}

TEST_F(OwnBinarizerTest, GoesOnAfterKillsAtAnyMoment) {
  Start();
  v1::CollectionConfig config;
  config.set_name("c");
  config.mutable_auto_binarizer()->set_dims(kFloats);
  ASSERT_TRUE(client_->CreateCollection(config, "").ok());
  Write(0, kDocuments);
  for (int i = 0; i < 40 && !IsFitted(); ++i) {
    absl::SleepFor(absl::Milliseconds(100 + i % 10 * 170));
    server_->Signal(SIGKILL);
    server_->Wait();
    Start();
    ASSERT_EQ(client_->GetCollection("c")->documents(), kDocuments);
    ASSERT_GE(Recall(kDocuments), 0.99);
  }
  // On a busy machine each of them came too early.
  EXPECT_TRUE(Until([&] { return IsFitted(); })) << client_->GetCollection("c")->auto_status().DebugString();
  const auto collection = client_->GetCollection("c");
  EXPECT_EQ(collection->versions(collection->versions_size() - 1).documents(), kDocuments);
}

TEST_F(OwnBinarizerTest, TakesDistances) {
  Start();
  const std::vector<std::string> server = {"--server", server_->address()};
  const auto bebr = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), server.begin(), server.end());
    return RunProgram("bebr", arguments);
  };
  const Outcome created = bebr({"create", "c", "--dims", "32", "--metric", "l2"});
  ASSERT_EQ(created.exit_code, 0) << created.err;
  Write(0, 1500);
  EXPECT_EQ(client_->GetCollection("c")->versions(0).metric(), v1::METRIC_L2);
  const auto found = client_->Search(MakeSearch("c", {rows_.row(7), rows_.row(7) + kFloats}, 2));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->hits(0).id(), "7");
  EXPECT_NEAR(found->hits(0).score(), 0, 1e-4);  // floats are stored as f16
  EXPECT_LT(found->hits(1).score(), found->hits(0).score());
  // Exact neighbours by the command's own measure.
  ASSERT_EQ(bebr({"export", "c", Path("c")}).exit_code, 0);
  std::vector<std::string> ids(1500);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = absl::StrCat(i);
  std::sort(ids.begin(), ids.end());  // as they are exported
  std::ofstream(Path("ids.txt")) << absl::StrJoin(ids, "\n") << "\n";
  const Outcome measured = bebr({"eval", "c", "--queries", Path("c.npy"), "--docs", Path("c.npy"), "--ids",
                                 Path("ids.txt"), "--limit", "50", "--json"});
  ASSERT_EQ(measured.exit_code, 0) << measured.err;
  const auto eval = nlohmann::json::parse(measured.out);
  EXPECT_GT(eval["recall_at_10"], 0.6);
  EXPECT_GE(eval["recall_at_10_reranked"], 0.99);
}

TEST_F(OwnBinarizerTest, WhatCannotBeIsRefusedByName) {
  Start();
  v1::CollectionConfig config;
  config.set_name("c");
  const auto error = [&](const std::string& model = "") {
    const auto created = client_->CreateCollection(config, model);
    return created.ok() ? std::string("created") : std::string(created.status().message());
  };
  config.mutable_auto_binarizer()->set_dims(5000);
  EXPECT_THAT(error(), HasSubstr("auto_binarizer.dims is 5000; it is 2 to 4096"));
  config.mutable_auto_binarizer()->set_dims(32);
  EXPECT_THAT(error(ModelFile()), HasSubstr("there is no model file"));
  config.set_version("v1");
  EXPECT_THAT(error(), HasSubstr("leave it empty"));
  config.clear_version();
  config.mutable_auto_binarizer()->set_recall(2);
  EXPECT_THAT(error(), HasSubstr("auto_binarizer.recall is 2"));
  config.clear_auto_binarizer();
  config.set_default_rerank(100);
  EXPECT_THAT(error(ModelFile()), HasSubstr("no floats are stored to rerank with"));
  config.set_store_floats(v1::FLOAT_STORAGE_F16);
  EXPECT_EQ(error(ModelFile()), "created");
  EXPECT_EQ(client_->GetCollection("c")->default_rerank(), 100u);
  EXPECT_EQ(RunProgram("bebr", {"create", "d", "--server", server_->address()}).exit_code, 2);
}

}  // namespace
}  // namespace bebr::testing
