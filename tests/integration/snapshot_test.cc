// Snapshots of a collection that is being written, and what is made of them.
#include <signal.h>

#include <atomic>
#include <thread>

#include "nlohmann/json.hpp"
#include "tests/integration/fixture.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

class SnapshotTest : public ServerTest {
 protected:
  std::vector<std::string> Answers(const std::string& collection, const std::string& version) {
    std::vector<std::string> answers;
    for (size_t i = 0; i < 10; ++i) {
      v1::SearchRequest request = MakeSearch(collection, VectorOf(7000 + i), 30);
      request.mutable_options()->set_version(version);
      request.mutable_options()->set_rerank(60);
      request.mutable_options()->set_with_attributes(true);
      const auto found = client_->Search(request);
      EXPECT_TRUE(found.ok()) << found.status();
      if (!found.ok()) return {};
      for (const v1::SearchHit& hit : found->hits()) answers.push_back(hit.SerializeAsString());
    }
    return answers;
  }
};

TEST_F(SnapshotTest, RestoresVersionsDocumentsAndAnswers) {
  Start();
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 1000)).ok());
  v1::VersionConfig config;
  config.set_collection("c");
  config.set_name("v2");
  config.set_same_embeddings_as("v1");
  ASSERT_TRUE(client_->AddVersion(config, ModelFile(2)).ok());
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 600)).ok());
  const auto old_answers = Answers("c", "v1"), new_answers = Answers("c", "v2");
  Outcome outcome = Bebr({"snapshot", "create", "c", "--name", "before", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["documents"], 1000);

  // What happens to the collection later is none of the snapshot's business.
  v1::DeleteRequest remove;
  remove.set_collection("c");
  for (size_t i = 0; i < 500; ++i) remove.add_ids(std::to_string(i));
  ASSERT_TRUE(client_->Delete(remove).ok());
  EXPECT_EQ(Bebr({"snapshot", "create", "c"}).exit_code, 0);
  ASSERT_TRUE(client_->DeleteCollection("c").ok());
  outcome = Bebr({"snapshot", "list", "--json"});
  EXPECT_EQ(nlohmann::json::parse(outcome.out).size(), 2u) << outcome.out;

  outcome = Bebr({"snapshot", "restore", "c", "before", "--as", "again", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["documents"], 1000);
  EXPECT_EQ(Answers("again", "v1"), old_answers);
  EXPECT_EQ(Answers("again", "v2"), new_answers);
  ASSERT_TRUE(client_->Upsert(MakeUpsert("again", 1000, 10)).ok());
  server_->Signal(SIGKILL);
  EXPECT_EQ(server_->Wait(), 128 + SIGKILL);
  Start();
  EXPECT_EQ(client_->GetCollection("again")->documents(), 1010u);
  // A second collection of the same snapshot shares files with the first, and nothing else.
  EXPECT_EQ(Bebr({"snapshot", "restore", "c", "before", "--as", "c"}).exit_code, 0);
  EXPECT_EQ(Answers("c", "v1"), old_answers);
  ASSERT_TRUE(client_->DeleteCollection("again").ok());
  EXPECT_EQ(Bebr({"snapshot", "delete", "c", "before"}).exit_code, 0);
  EXPECT_EQ(Answers("c", "v2"), new_answers);
}

TEST_F(SnapshotTest, HoldsEveryAcknowledgedWriteWhileWritesGoOn) {
  Start({"--snapshot_dir", Path("elsewhere")});
  CreateCollection();
  std::atomic<bool> stopping{false};
  std::atomic<size_t> acknowledged{0};
  std::thread writer([&] {
    Client client({.server = server_->address(), .deadline = absl::Seconds(60)});
    while (!stopping) {
      const auto written = client.Upsert(MakeUpsert("c", acknowledged, 20));
      ASSERT_TRUE(written.ok()) << written.status();
      acknowledged += 20;
    }
  });
  for (int i = 0; i < 5; ++i) {
    const size_t before = acknowledged;
    v1::CreateSnapshotRequest request;
    request.set_collection("c");
    request.set_name("s" + std::to_string(i));
    const auto made = client_->CreateSnapshot(request);
    EXPECT_TRUE(made.ok()) << made.status();
    const size_t after = acknowledged;
    v1::RestoreSnapshotRequest restore;
    restore.set_collection("c");
    restore.set_name(request.name());
    restore.set_new_collection("r" + std::to_string(i));
    const auto restored = client_->RestoreSnapshot(restore);
    EXPECT_TRUE(restored.ok()) << restored.status();
    if (!restored.ok()) break;
    EXPECT_GE(restored->documents(), before);
    EXPECT_LE(restored->documents(), after + 20);  // one request may be under way
    v1::GetRequest get;
    get.set_collection(restore.new_collection());
    for (size_t n = 0; n < std::min<size_t>(before, 10000); ++n) get.add_ids(std::to_string(n));
    if (before > 0) {
      EXPECT_EQ(client_->Get(get)->documents_size(), static_cast<int>(std::min<size_t>(before, 10000)));
    }
  }
  stopping = true;
  writer.join();
  const Outcome verified = Bebr({"snapshot", "verify", Path("elsewhere")});
  EXPECT_EQ(verified.exit_code, 0) << verified.err;
  EXPECT_THAT(verified.out, HasSubstr("/elsewhere/c/s4: whole\n"));
  EXPECT_EQ(Bebr({"snapshot", "verify", Path("elsewhere") + "/c"}).exit_code, 1);
}

TEST_F(SnapshotTest, WhatIsWrongIsRefused) {
  Start();
  CreateCollection();
  const auto refused = [this](const std::vector<std::string>& arguments, const std::string& part, int code = 1) {
    const Outcome outcome = Bebr(arguments);
    EXPECT_EQ(outcome.exit_code, code) << outcome.out;
    EXPECT_THAT(outcome.err, HasSubstr(part));
  };
  refused({"snapshot", "create", "nowhere"}, "no collection is named \"nowhere\"");
  refused({"snapshot", "create", "c", "--name", "../up"}, "../up", 2);
  EXPECT_EQ(Bebr({"snapshot", "create", "c", "--name", "s"}).exit_code, 0);
  refused({"snapshot", "create", "c", "--name", "s"}, "has a snapshot \"s\" already");
  refused({"snapshot", "restore", "c", "t", "--as", "d"}, "it has: s");
  refused({"snapshot", "restore", "c", "s", "--as", "c"}, "a collection is named \"c\" already");
  refused({"snapshot", "restore", "../c", "s", "--as", "d"}, "../c", 2);
  refused({"snapshot", "restore", "c", "s", "--as", "../d"}, "../d", 2);
  refused({"snapshot", "delete", "c", "t"}, "no snapshot \"t\"");
}

}  // namespace
}  // namespace bebr::testing
