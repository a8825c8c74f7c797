// An upgrade on a live server: queries and writes go on, kill -9 at any step loses nothing, a rollback gives the old
// answers exactly, and what is wrong is refused with nothing changed.
#include <signal.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "index/dataset/vector_file.h"
#include "nlohmann/json.hpp"
#include "tests/integration/fixture.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

// Embeddings of a new model: other vectors of the same length.
std::vector<float> NewVectorOf(size_t number) { return VectorOf(500000 + number); }

class UpgradeTest : public ServerTest {
 protected:
  absl::StatusOr<v1::Collection> Add(const std::string& name, uint64_t seed, const std::string& compatible_with = "",
                                     const std::string& same_embeddings_as = "") {
    v1::VersionConfig config;
    config.set_collection("c");
    config.set_name(name);
    config.set_compatible_with(compatible_with);
    config.set_same_embeddings_as(same_embeddings_as);
    return client_->AddVersion(config, ModelFile(seed));
  }
  absl::StatusOr<v1::Collection> Promote(const std::string& version, const std::string& expected = "",
                                         bool force = false) {
    v1::PromoteVersionRequest request;
    request.set_collection("c");
    request.set_version(version);
    request.set_expected_default(expected);
    request.set_force(force);
    return client_->PromoteVersion(request);
  }
  absl::StatusOr<v1::Collection> Retire(const std::string& version) {
    v1::RetireVersionRequest request;
    request.set_collection("c");
    request.set_version(version);
    return client_->RetireVersion(request);
  }
  absl::StatusOr<v1::Collection> StartBackfill(const std::string& version, uint64_t documents_per_s = 0) {
    v1::BackfillVersionRequest request;
    request.set_collection("c");
    request.set_version(version);
    request.set_documents_per_s(documents_per_s);
    return client_->BackfillVersion(request);
  }
  // Channels to one address share their connection, and after a refused one wait for a moment: until a call arrives.
  void AwaitConnection() {
    for (int i = 0; i < 6000 && absl::IsUnavailable(client_->GetCollection("c").status()); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  v1::Version Version(const std::string& name) {
    const auto collection = client_->GetCollection("c");
    EXPECT_TRUE(collection.ok()) << collection.status();
    for (const v1::Version& version : collection->versions()) {
      if (version.name() == name) return version;
    }
    return {};
  }
  void WaitForBackfill(const std::string& name) {
    for (int i = 0; i < 6000 && Version(name).backfill().running(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_FALSE(Version(name).backfill().running());
    EXPECT_EQ(Version(name).backfill().error(), "");
  }
  v1::UpsertRequest MergeOf(const std::string& version, size_t first, size_t count) {
    v1::UpsertRequest request;
    request.set_collection("c");
    request.set_mode(v1::UPSERT_MODE_MERGE);
    for (size_t number = first; number < first + count; ++number) {
      v1::Document* document = request.add_documents();
      document->set_id(std::to_string(number));
      const auto values = NewVectorOf(number);
      document->add_embeddings()->set_version(version);
      document->mutable_embeddings(0)->mutable_vector()->mutable_values()->Add(values.begin(), values.end());
    }
    return request;
  }
  // The answers of a version to some queries, to the last bit.
  std::vector<std::string> Answers(const std::string& version, bool rerank, const std::string& collection = "c") {
    std::vector<std::string> answers;
    for (size_t i = 0; i < 10; ++i) {
      v1::SearchRequest request = MakeSearch(collection, VectorOf(7000 + i), 50);
      request.mutable_options()->set_version(version);
      if (rerank) request.mutable_options()->set_rerank(100);
      const auto found = client_->Search(request);
      EXPECT_TRUE(found.ok()) << found.status();
      if (!found.ok()) return {};
      for (const v1::SearchHit& hit : found->hits()) answers.push_back(hit.SerializeAsString());
    }
    return answers;
  }
  void KillAndRestart() {
    server_->Signal(SIGKILL);
    EXPECT_EQ(server_->Wait(), 128 + SIGKILL);
    Start();
  }
};

// Queries with a version, and with the default, while the collection goes from one version to another and back.
class Searcher {
 public:
  Searcher(const std::string& address, std::string version)
      : client_({.server = address, .deadline = absl::Seconds(60)}), version_(std::move(version)) {
    thread_ = std::thread([this] { Run(); });
  }
  ~Searcher() {
    stopping_ = true;
    thread_.join();
    EXPECT_GT(answered_, 0u);
  }

 private:
  void Run() {
    for (size_t i = 0; !stopping_; ++i) {
      v1::SearchRequest request = MakeSearch("c", VectorOf(i % 100), 20);
      request.mutable_options()->set_version(version_);
      request.mutable_options()->set_rerank(i % 2 == 0 ? 0 : 40);
      const auto found = client_.Search(request);
      ASSERT_TRUE(found.ok()) << version_ << ": " << found.status();
      ASSERT_EQ(found->hits_size(), 20);
      std::set<std::string> ids;
      for (int h = 0; h < found->hits_size(); ++h) {
        EXPECT_TRUE(ids.insert(found->hits(h).id()).second) << "a document twice";
        if (h > 0) {
          EXPECT_GE(found->hits(h - 1).score(), found->hits(h).score());
        }
      }
      ++answered_;
    }
  }

  Client client_;
  const std::string version_;
  std::atomic<bool> stopping_{false};
  std::atomic<size_t> answered_{0};
  std::thread thread_;
};

TEST_F(UpgradeTest, LiveServerLosesNoQueryAndNoWrite) {
  Start();
  CreateCollection();
  constexpr size_t kFirst = 2000;
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, kFirst)).ok());
  std::atomic<bool> stopping{false};
  std::atomic<size_t> acknowledged{kFirst};
  // New documents, and old ones written again, by a client that knows nothing of the upgrade.
  std::thread writer([&] {
    Client client({.server = server_->address(), .deadline = absl::Seconds(60)});
    for (size_t i = 0; !stopping; ++i) {
      const auto added = client.Upsert(MakeUpsert("c", acknowledged, 5));
      ASSERT_TRUE(added.ok()) << added.status();
      acknowledged += 5;
      const auto replaced = client.Upsert(MakeUpsert("c", (i * 37) % kFirst, 3));
      ASSERT_TRUE(replaced.ok()) << replaced.status();
    }
  });
  {
    const Searcher by_default(server_->address(), ""), by_old(server_->address(), "v1");
    ASSERT_TRUE(Add("v2", 2, "", "v1").ok());
    ASSERT_TRUE(StartBackfill("v2", 5000).ok());
    WaitForBackfill("v2");
    EXPECT_EQ(Version("v2").state(), v1::VERSION_STATE_READY);
    v1::CheckVersionRequest check;
    check.set_collection("c");
    check.set_version("v2");
    check.set_sample(50);
    const auto checked = client_->CheckVersion(check);
    ASSERT_TRUE(checked.ok()) << checked.status();
    EXPECT_GT(checked->recall(), 0.05);  // of few random bits; chance is 0.005
    ASSERT_TRUE(Promote("v2", "v1").ok());
    ASSERT_TRUE(Promote("v1", "v2").ok());
    ASSERT_TRUE(Promote("v2", "v1").ok());
  }
  {
    const Searcher by_default(server_->address(), ""), by_new(server_->address(), "v2");
    const auto retired = Retire("v1");
    ASSERT_TRUE(retired.ok()) << retired.status();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  stopping = true;
  writer.join();
  EXPECT_EQ(client_->GetCollection("c")->documents(), acknowledged);
  for (size_t number = 0; number < acknowledged; number += 53) {
    v1::SearchRequest request = MakeSearch("c", VectorOf(number), 1);
    request.mutable_options()->set_rerank(5000);
    const auto found = client_->Search(request);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->hits(0).id(), std::to_string(number));
    EXPECT_EQ(found->hits(0).score_kind(), v1::SCORE_KIND_EXACT);
    EXPECT_EQ(found->hits(0).version(), "v2");
  }
}

TEST_F(UpgradeTest, Kill9AtEveryStepResumesAndRollbackIsExact) {
  Start();
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 3000)).ok());
  const auto old_answers = Answers("", true);
  ASSERT_TRUE(Add("v2", 2, "", "v1").ok());
  KillAndRestart();
  EXPECT_EQ(Version("v2").state(), v1::VERSION_STATE_ADDED);
  EXPECT_EQ(Answers("", true), old_answers);

  ASSERT_TRUE(StartBackfill("v2", 1000).ok());
  while (Version("v2").documents() < 600) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const uint64_t before = Version("v2").documents();
  ASSERT_LT(before, 3000u);
  KillAndRestart();
  EXPECT_GE(Version("v2").documents(), before);
  ASSERT_TRUE(Version("v2").has_backfill()) << "it goes on by itself";
  EXPECT_EQ(Version("v2").backfill().limit_documents_per_s(), 1000u);
  ASSERT_TRUE(StartBackfill("v2", 0).ok());  // faster now
  WaitForBackfill("v2");
  // What was done before the kill was not done again.
  EXPECT_LE(Version("v2").backfill().written(), 3000 - before);
  EXPECT_EQ(Version("v2").documents(), 3000u);
  EXPECT_EQ(Version("v2").state(), v1::VERSION_STATE_READY);
  KillAndRestart();
  EXPECT_EQ(Version("v2").state(), v1::VERSION_STATE_READY);
  EXPECT_FALSE(Version("v2").backfill().running());
  EXPECT_EQ(Answers("v1", true), old_answers);

  v1::CheckVersionRequest check;
  check.set_collection("c");
  check.set_version("v2");
  const auto checked = client_->CheckVersion(check);
  ASSERT_TRUE(checked.ok()) << checked.status();
  KillAndRestart();
  EXPECT_EQ(Version("v2").check().SerializeAsString(), checked->SerializeAsString());

  ASSERT_TRUE(Promote("v2", "v1").ok());
  KillAndRestart();
  EXPECT_EQ(client_->GetCollection("c")->default_version(), "v2");
  EXPECT_EQ(client_->GetCollection("c")->previous_default(), "v1");
  const auto new_answers = Answers("", true);
  const Outcome rolled = Bebr({"version", "rollback", "c", "--expect", "v2"});
  EXPECT_EQ(rolled.exit_code, 0);
  // As after an answer that was lost: it does not go forward again.
  EXPECT_EQ(Bebr({"version", "rollback", "c", "--expect", "v2"}).exit_code, 1);
  EXPECT_EQ(Answers("", true), old_answers);
  KillAndRestart();
  EXPECT_EQ(Answers("", true), old_answers);

  ASSERT_TRUE(Promote("v2", "v1").ok());
  std::thread retiring([this] { (void)Retire("v1"); });  // its answer may get lost
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  server_->Signal(SIGKILL);
  EXPECT_EQ(server_->Wait(), 128 + SIGKILL);
  retiring.join();
  Start();
  if (Version("v1").state() != v1::VERSION_STATE_RETIRED) {
    ASSERT_TRUE(Retire("v1").ok());
  }
  EXPECT_EQ(Answers("", true), new_answers);
}

// The same while clients search and write all the time: they may find the server gone, but what was acknowledged stays,
// and an answer is never half of one thing and half of another.
TEST_F(UpgradeTest, Kill9AtEveryStepUnderLoadLosesNothing) {
  Start();
  CreateCollection();
  constexpr size_t kFixed = 1500;  // documents that nobody writes again
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, kFixed)).ok());
  const std::vector<std::string> listen = {"--listen", server_->address()};
  const auto gone = [](const absl::Status& status) {
    return absl::IsUnavailable(status) || absl::IsCancelled(status) || absl::IsDeadlineExceeded(status);
  };
  // Answers among the fixed documents, which must be the same before, during and after.
  const auto answers = [this](const std::string& version) {
    std::vector<std::string> all;
    for (size_t i = 0; i < 5; ++i) {
      v1::SearchRequest request = MakeSearch("c", VectorOf(7000 + i), 50);
      request.mutable_options()->set_version(version);
      request.mutable_options()->set_rerank(100);
      request.mutable_options()->set_filter("n < 1500");
      const auto found = client_->Search(request);
      EXPECT_TRUE(found.ok()) << found.status();
      if (found.ok()) {
        for (const v1::SearchHit& hit : found->hits()) all.push_back(hit.SerializeAsString());
      }
    }
    return all;
  };
  const auto old_answers = answers("v1");
  std::atomic<bool> stopping{false};
  std::atomic<size_t> acknowledged{kFixed}, searches{0};
  const ClientOptions patient{.server = server_->address(), .deadline = absl::Seconds(10)};
  std::thread writer([&] {
    Client client(patient);
    while (!stopping) {
      const absl::Status status = client.Upsert(MakeUpsert("c", acknowledged, 5)).status();
      ASSERT_TRUE(status.ok() || gone(status)) << status;
      if (status.ok()) acknowledged += 5;  // else the same ones again
      if (!status.ok()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  std::thread searcher([&] {
    Client client(patient);
    for (size_t i = 0; !stopping; ++i) {
      v1::SearchRequest request = MakeSearch("c", VectorOf(i % 100), 20);
      request.mutable_options()->set_rerank(i % 2 == 0 ? 0 : 40);
      const auto found = client.Search(request);
      if (!found.ok()) {
        ASSERT_TRUE(gone(found.status())) << found.status();
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        continue;
      }
      ++searches;
      std::set<std::string> ids;
      for (const v1::SearchHit& hit : found->hits()) ids.insert(hit.id());
      ASSERT_EQ(ids.size(), 20u);
    }
  });
  // Kills the server in the middle of a step, starts it again, and does the step until it is done.
  int delay_ms = 1;
  const auto step = [&](const std::function<absl::Status()>& action, const std::function<bool()>& done) {
    std::thread acting([&] { (void)action(); });  // its answer may get lost
    std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
    delay_ms = delay_ms * 3 % 23;
    server_->Signal(SIGKILL);
    EXPECT_EQ(server_->Wait(), 128 + SIGKILL);
    acting.join();
    Start(listen);
    AwaitConnection();
    if (!done()) {
      const absl::Status status = action();
      EXPECT_TRUE(status.ok()) << status;
    }
    EXPECT_TRUE(done());
    EXPECT_EQ(answers("v1"), old_answers);
  };
  const auto is_default = [this](const char* name) { return client_->GetCollection("c")->default_version() == name; };
  step([this] { return Add("v2", 2, "", "v1").status(); }, [this] { return Version("v2").name() == "v2"; });
  step([this] { return StartBackfill("v2", 2000).status(); },
       [this] { return Version("v2").has_backfill() || Version("v2").state() == v1::VERSION_STATE_READY; });
  step([this] { return StartBackfill("v2", 0).status(); },
       [this] { return Version("v2").has_backfill() || Version("v2").state() == v1::VERSION_STATE_READY; });
  ASSERT_TRUE(StartBackfill("v2", 0).ok());
  WaitForBackfill("v2");
  const auto new_answers = answers("v2");
  v1::CheckVersionRequest check;
  check.set_collection("c");
  check.set_version("v2");
  check.set_sample(50);
  step([&] { return client_->CheckVersion(check).status(); }, [this] { return Version("v2").has_check(); });
  step([this] { return Promote("v2").status(); }, [&] { return is_default("v2"); });
  EXPECT_EQ(answers(""), new_answers);
  step([this] { return Promote("v1").status(); }, [&] { return is_default("v1"); });
  EXPECT_EQ(answers(""), old_answers);
  step([this] { return Promote("v2").status(); }, [&] { return is_default("v2"); });
  (void)Retire("v1");
  KillAndRestart();
  stopping = true;
  writer.join();
  searcher.join();
  EXPECT_EQ(Version("v1").state(), v1::VERSION_STATE_RETIRED);
  EXPECT_EQ(answers(""), new_answers);
  EXPECT_GT(searches, 50u);
  EXPECT_GT(acknowledged, kFixed + 50);
  for (size_t number = kFixed; number < acknowledged; number += 7) {
    v1::SearchRequest request = MakeSearch("c", VectorOf(number), 1);
    request.mutable_options()->set_rerank(3000);
    const auto found = client_->Search(request);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->hits(0).id(), std::to_string(number));
  }
}

TEST_F(UpgradeTest, CompatibleVersionsRollBackByEncodingAgain) {
  Start();
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 500)).ok());
  const auto old_answers = Answers("v1", false);
  ASSERT_TRUE(Add("v2", 2, "v1").ok());
  EXPECT_EQ(Version("v2").state(), v1::VERSION_STATE_READY);  // the old codes will do
  ASSERT_TRUE(client_->Upsert(MergeOf("v2", 0, 300)).ok());
  EXPECT_EQ(Version("v2").documents(), 300u);
  EXPECT_EQ(Version("v2").embeddings(), 300u);
  EXPECT_EQ(Version("v1").documents(), 200u);
  EXPECT_EQ(Version("v1").embeddings(), 500u);
  EXPECT_NE(Answers("v1", false), old_answers);
  v1::GetRequest get;
  get.set_collection("c");
  get.add_ids("7");
  get.set_with_embeddings(true);
  const auto got = client_->Get(get);
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->documents(0).attributes().at("n").int_value(), 7);
  EXPECT_EQ(got->documents(0).embeddings_size(), 2);
  KillAndRestart();
  EXPECT_EQ(Version("v1").embeddings(), 500u);
  ASSERT_TRUE(StartBackfill("v1").ok());
  WaitForBackfill("v1");
  EXPECT_EQ(Version("v1").documents(), 500u);
  EXPECT_EQ(Answers("v1", false), old_answers);
  EXPECT_EQ(Version("v2").embeddings(), 300u);
}

TEST_F(UpgradeTest, RetiringFreesMemoryAndDisk) {
  Start();
  CreateCollection();
  for (size_t first = 0; first < 40000; first += 10000) {
    ASSERT_TRUE(client_->Upsert(MakeUpsert("c", first, 10000)).ok());
  }
  ASSERT_TRUE(Add("v2", 2).ok());
  for (size_t first = 0; first < 40000; first += 10000) {
    ASSERT_TRUE(client_->Upsert(MergeOf("v2", first, 10000)).ok());
  }
  ASSERT_TRUE(Promote("v2", "v1").ok());
  const auto retired = Retire("v1");
  ASSERT_TRUE(retired.ok()) << retired.status();
  v1::EstimateMemoryRequest estimate;
  estimate.set_collection("c");
  estimate.set_documents(40000);
  estimate.set_id_bytes(4.9);
  const auto formula = client_->EstimateMemory(estimate);
  ASSERT_TRUE(formula.ok());
  // Replaced rows wait for their segment to be rewritten; the formula speaks of the documents.
  const double live = 40000.0 / static_cast<double>(40000 + retired->deleted_rows());
  EXPECT_NEAR(static_cast<double>(retired->memory().codes()) * live, static_cast<double>(formula->memory().codes()),
              0.05 * static_cast<double>(formula->memory().codes()));
  // Disk: the floats of v1 alone are 40,000 x 24 x 4 bytes = 3.84 MB; what remains is v2's and the documents.
  uint64_t disk = client_->GetCollection("c")->disk_bytes();
  Start();  // a new log, and nothing else that the old process kept
  disk = client_->GetCollection("c")->disk_bytes();
  const uint64_t needed = 40000 * (24 * 4 + 5 + 8) + 40000 * (12 + 16 + 5 + 8) + 40000 * (30 + 8);
  EXPECT_LT(disk, needed + needed / 2);
}

TEST_F(UpgradeTest, WhatIsWrongIsRefused) {
  Start();
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 100)).ok());
  const auto expect = [](const absl::Status& status, absl::StatusCode code, const std::string& part) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;
  constexpr auto kNotFound = absl::StatusCode::kNotFound;
  expect(Add("v2", 2, "v9").status(), kNotFound, "v9");
  expect(Add("v2", 2, "", "v9").status(), kNotFound, "v9");
  // A compatible model whose shape is not that of the space.
  const std::string before = client_->GetCollection("c")->SerializeAsString();
  const auto answers = Answers("", true);
  v1::VersionConfig misfit;
  misfit.set_collection("c");
  misfit.set_name("v2");
  misfit.set_compatible_with("v1");
  expect(client_->AddVersion(misfit, RandomModelFile(kDims, *ParseCodeSpec("48x2"), 2, 5)).status(), kInvalid,
         "so it is not compatible");
  expect(Retire("v1").status(), kPrecondition, "promote another version first");
  expect(Promote("v9").status(), kNotFound, "v9");
  EXPECT_EQ(client_->GetCollection("c")->SerializeAsString(), before) << "nothing changed";
  EXPECT_EQ(Answers("", true), answers);
  ASSERT_TRUE(Add("v2", 2).ok());
  expect(Add("v2", 2).status(), absl::StatusCode::kAlreadyExists, "v2");
  expect(Promote("v2").status(), kPrecondition, "100 of 100 documents have no code in its space");
  expect(Promote("v2", "v9").status(), kPrecondition, "somebody has changed it");
  expect(Retire("v1").status(), kPrecondition, "promote another version first");
  expect(StartBackfill("v2").status(), kPrecondition, "no document has stored floats");
  expect(StartBackfill("v9").status(), kNotFound, "v9");
  v1::CheckVersionRequest check;
  check.set_collection("c");
  check.set_version("v2");
  expect(client_->CheckVersion(check).status(), kPrecondition, "no document has stored floats of version \"v2\"");
  check.set_version("v1");
  expect(client_->CheckVersion(check).status(), kInvalid, "name another one");
  check.set_version("v2");
  check.set_k(101);
  expect(client_->CheckVersion(check).status(), kInvalid, "101");
  // Merges: an unknown id is told of, and the others are written.
  const auto merged = client_->Upsert(MergeOf("v2", 95, 10));
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(merged->documents(), 5u);
  EXPECT_EQ(merged->unknown_ids_size(), 5);
  EXPECT_EQ(client_->GetCollection("c")->documents(), 100u);
  v1::UpsertRequest merge = MergeOf("v2", 0, 2);
  merge.mutable_documents(1)->mutable_embeddings(0)->mutable_vector()->add_values(1);
  expect(client_->Upsert(merge).status(), kInvalid,
         "documents[1].embeddings[0] has 25 values; version \"v2\" takes 24");
  merge = MergeOf("v2", 0, 2);
  (*merge.mutable_documents(0)->mutable_attributes())["n"].set_int_value(1);
  expect(client_->Upsert(merge).status(), kInvalid, "documents[0].attributes");
  merge = MergeOf("v2", 0, 2);
  merge.set_mode(static_cast<v1::UpsertMode>(9));
  expect(client_->Upsert(merge).status(), kInvalid, "mode is 9");
  EXPECT_EQ(Version("v2").documents(), 5u);
  expect(Promote("v2", "v1").status(), kPrecondition, "95 of 100 documents have no code in its space");
  ASSERT_TRUE(Promote("v2", "v1", /*force=*/true).ok());
  expect(Retire("v1").status(), kPrecondition, "95 of 100 documents");
  ASSERT_TRUE(Add("v3", 3).ok());
  ASSERT_TRUE(Promote("v3", "v2", /*force=*/true).ok());
}

TEST_F(UpgradeTest, Aliases) {
  Start();
  CreateCollection();
  ASSERT_TRUE(client_->Upsert(MakeUpsert("c", 0, 50)).ok());
  v1::CollectionConfig config;
  config.set_name("d");
  ASSERT_TRUE(client_->CreateCollection(config, ModelFile()).ok());
  const auto refused = [this](const std::vector<std::string>& arguments, const std::string& part, int exit_code = 1) {
    const Outcome outcome = Bebr(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.out;
    EXPECT_THAT(outcome.err, HasSubstr(part));
  };
  Outcome outcome = Bebr({"alias", "set", "live", "c", "--expect", "", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)[0]["collection"], "c");
  EXPECT_EQ(Answers("", false, "live"), Answers("", false, "c"));
  ASSERT_TRUE(client_->Upsert(MakeUpsert("live", 50, 10)).ok());
  EXPECT_EQ(client_->GetCollection("live")->documents(), 60u);
  EXPECT_EQ(client_->GetCollection("live")->name(), "c");
  refused({"alias", "set", "d", "c"}, "a collection is named \"d\" already");
  refused({"alias", "set", "x", "live"}, "an alias names a collection, not another alias");
  refused({"alias", "set", "x", "nowhere"}, "no collection is named \"nowhere\"");
  refused({"alias", "set", ".x", "c"}, "alias is \".x\"", 2);
  refused({"alias", "set", "live", "d", "--expect", "d"}, "somebody has changed it meanwhile");
  refused({"alias", "set", "live", "d", "--expect", ""}, "somebody has changed it meanwhile");
  refused({"alias", "delete", "nothing"}, "no alias is named \"nothing\"");
  refused({"drop", "c"}, "alias \"live\" names collection \"c\"");
  refused({"drop", "live"}, "\"live\" is an alias of collection \"c\"");
  config.set_name("live");
  EXPECT_EQ(client_->CreateCollection(config, ModelFile()).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Bebr({"alias", "set", "live", "d", "--expect", "c"}).exit_code, 0);
  KillAndRestart();
  EXPECT_EQ(client_->GetCollection("live")->name(), "d");
  EXPECT_EQ(Bebr({"drop", "c"}).exit_code, 0);
  EXPECT_EQ(Bebr({"alias", "delete", "live"}).exit_code, 0);
  EXPECT_EQ(Bebr({"drop", "d"}).exit_code, 0);
}

TEST_F(UpgradeTest, TheCommandDoesTheWholeUpgrade) {
  Start();
  Matrix old_docs{.rows = 400, .dims = kDims, .values = {}}, new_docs{.rows = 401, .dims = kDims, .values = {}};
  for (size_t i = 0; i < 401; ++i) {
    const auto old_values = VectorOf(i), new_values = NewVectorOf(i);
    if (i < 400) old_docs.values.insert(old_docs.values.end(), old_values.begin(), old_values.end());
    new_docs.values.insert(new_docs.values.end(), new_values.begin(), new_values.end());
  }
  ASSERT_TRUE(WriteNpy(Path("old.npy"), old_docs).ok());
  ASSERT_TRUE(WriteNpy(Path("new.npy"), new_docs).ok());
  const std::string v1 = WriteFile("v1.safetensors", ModelFile(1)), v2 = WriteFile("v2.safetensors", ModelFile(2));
  const std::vector<std::vector<std::string>> steps = {
      {"create", "c", "--model", v1, "--store-floats", "f16"},
      {"import", "c", Path("old.npy")},
      {"version", "add", "c", "v2", "--model", v2},
      {"import", "c", Path("new.npy"), "--version", "v2", "--merge", "--skip-unknown"},
      {"version", "list", "c"},
      {"version", "check", "c", "v2", "--sample", "40"},
      {"version", "check", "c", "v2", "--queries", Path("new.npy"), "--against-queries", Path("old.npy"), "--sample",
       "30"},
      {"version", "promote", "c", "v2", "--expect", "v1"},
      {"version", "rollback", "c"},
      {"version", "promote", "c", "v2", "--expect", "v1"},
      {"version", "add", "c", "v3", "--model", v1, "--same-embeddings-as", "v2"},
      {"version", "backfill", "c", "v3", "--documents-per-s", "100000", "--wait"},
      {"version", "retire", "c", "v1"}};
  for (const auto& step : steps) {
    const Outcome outcome = Bebr(step);
    ASSERT_EQ(outcome.exit_code, 0) << step[0] << " " << step[1] << ": " << outcome.err;
  }
  const Outcome unknown = Bebr({"import", "c", Path("new.npy"), "--version", "v2", "--merge"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("1 of the documents are not in collection \"c\" and were not written: 400"));
  const auto list = nlohmann::json::parse(Bebr({"version", "list", "c", "--json"}).out);
  EXPECT_EQ(list["default_version"], "v2");
  EXPECT_EQ(list["versions"][0]["state"], "retired");
  EXPECT_EQ(list["versions"][1]["state"], "default");
  EXPECT_EQ(list["versions"][1]["embeddings"], 400);
  EXPECT_EQ(list["versions"][2]["state"], "ready");
  EXPECT_EQ(list["versions"][2]["documents"], 400);
  EXPECT_THAT(server_->HttpGet("/metrics"), HasSubstr("bebr_documents_reencoded_total 400"));
}

TEST_F(UpgradeTest, TheCommandUpgradesASpaceInGroups) {
  Start();
  constexpr size_t kNewDims = 17;
  Matrix old_docs{.rows = 300, .dims = kDims, .values = {}}, new_docs{.rows = 150, .dims = kNewDims, .values = {}};
  for (size_t i = 0; i < 300; ++i) {
    const auto values = VectorOf(i);
    old_docs.values.insert(old_docs.values.end(), values.begin(), values.end());
  }
  for (const auto& values : RandomVectors(150, kNewDims, 5))
    new_docs.values.insert(new_docs.values.end(), values.begin(), values.end());
  ASSERT_TRUE(WriteNpy(Path("old.npy"), old_docs).ok());
  ASSERT_TRUE(WriteNpy(Path("new.npy"), new_docs).ok());
  const CodeSpec grouped = WithGroups(*ParseCodeSpec("32x2+32x1"), 4);
  const std::string first = RandomModelFile(kDims, grouped, 6, 1);
  const std::string v1 = WriteFile("v1.safetensors", first),
                    v2 = WriteFile("v2.safetensors", TranslatedModelFile(first, kNewDims, 2)),
                    other = WriteFile("other.safetensors", RandomModelFile(kNewDims, grouped, 6, 3));
  ASSERT_EQ(Bebr({"create", "c", "--model", v1, "--store-floats", "f16"}).exit_code, 0);
  ASSERT_EQ(Bebr({"import", "c", Path("old.npy")}).exit_code, 0);
  const Outcome refused = Bebr({"version", "add", "c", "v2", "--model", other, "--compatible-with", "v1"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("that of the model 4, which are other ones"));
  const std::vector<std::vector<std::string>> steps = {
      {"version", "add", "c", "v2", "--model", v2, "--compatible-with", "v1"},
      {"import", "c", Path("new.npy"), "--version", "v2", "--merge"},
      {"version", "promote", "c", "v2", "--expect", "v1"},
      {"version", "rollback", "c"},
      {"version", "backfill", "c", "v1", "--wait"},
      {"version", "promote", "c", "v2", "--expect", "v1"},
      {"version", "retire", "c", "v1"}};
  for (const auto& step : steps) {
    const Outcome outcome = Bebr(step);
    ASSERT_EQ(outcome.exit_code, 0) << step[0] << " " << step[1] << ": " << outcome.err;
  }
  // All documents are found by queries of the new version.
  const auto found = client_->Search(MakeSearch("c", RandomVectors(1, kNewDims, 6)[0], 300));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->hits_size(), 300);
}

}  // namespace
}  // namespace bebr::testing
