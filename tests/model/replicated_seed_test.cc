// Nodes that are filled from another replica of their share: when they are empty, or need what the log has let go of;
// and what breaks off on the way.
#include <thread>

#include "index/follow/applier.h"
#include "index/follow/follower_state.h"
#include "tests/model/replicated_fixture.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

class SeedTest : public ReplicatedTest {
 protected:
  void Fill() {
    CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 3};
    Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
    config.name = "other";
    Barrier([&](Engine& e) { return e.CreateCollection(config, Model(2)); });
    Barrier([&](Engine& e) { return e.SetAlias("alias", "c", ""); });
    for (int i = 0; i < 20; ++i) WriteSomethingTo("c");
    for (int i = 0; i < 5; ++i) UpsertSomething("other");
  }
  // Until the node is what its replicas are.
  void ExpectSame(TestNode& node) {
    const uint64_t head = (*logs_.Open("log"))->State()->head.position;
    const absl::Status reached = Reached(node, head);
    ASSERT_TRUE(reached.ok()) << reached;
    CompareReplicas();
    EXPECT_EQ(node.engine().Resolve("alias"), "c");
    EXPECT_EQ(node.engine().ListCollections(), (std::vector<std::string>{"c", "other"}));
    EXPECT_FALSE(std::filesystem::exists(node.path() + "/seed"));
  }
  std::string ProblemOf(TestNode& node, const std::string& part) {
    Until([&] { return node.follower().State().problem.find(part) != std::string::npos; });
    return node.follower().State().problem;
  }
};

TEST_P(SeedTest, AnEmptyNodeIsFilledByAReplica) {
  Fill();
  nodes_[0]->Stop();
  nodes_[0]->Empty();
  TrimAll();  // so the log's beginning fills nobody
  nodes_[0]->Start();
  ExpectSame(*nodes_[0]);
  for (int i = 0; i < 10; ++i) WriteSomethingTo("alias");
  ExpectSame(*nodes_[0]);
  Compare();
  EXPECT_TRUE(std::filesystem::is_empty(nodes_[1]->path() + "/seeds"));
}

TEST_P(SeedTest, ANodeThatWasAwayForLongerIsFilledAnew) {
  Fill();
  ExpectSame(*nodes_[0]);
  nodes_[0]->Stop();
  Barrier([&](Engine& e) { return e.DeleteCollection("other"); });
  for (int i = 0; i < 10; ++i) WriteSomethingTo("c");
  const CollectionConfig config{.name = "other", .store_floats = FloatStorage::kFloat32, .shards = 1};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(3)); });
  TrimAll();
  nodes_[0]->Start();
  ExpectSame(*nodes_[0]);
  for (int i = 0; i < 10; ++i) WriteSomethingTo("c");
  ExpectSame(*nodes_[0]);
  Compare();
}

TEST_P(SeedTest, WithoutAReplicaTheLogFillsANodeAsLongAsItHasAll) {
  Fill();
  TestNode& node = *nodes_[0];
  node.Stop();
  node.Empty();
  node.seed_faults.gone = true;
  node.Start();
  ExpectSame(node);
  node.Stop();
  node.Empty();
  TrimAll();
  node.Start();
  EXPECT_THAT(ProblemOf(node, "could fill it"), HasSubstr("no longer has what follows position 0"));
  EXPECT_THAT(node.follower().State().problem, HasSubstr("node n1: is gone"));
  EXPECT_FALSE(node.follower().State().quarantined);
  EXPECT_EQ(node.follower().State().kept, 0u);
  node.seed_faults.gone = false;
  ExpectSame(node);
}

TEST_P(SeedTest, WhatBreaksOffOrArrivesDamagedLeavesNothing) {
  Fill();
  TestNode& node = *nodes_[0];
  node.Stop();
  node.Empty();
  TrimAll();
  const Seed seed = *nodes_[1]->follower().OpenSeed();
  nodes_[1]->follower().seeds().Close(seed.name);
  const int files = static_cast<int>(seed.files.size());
  const auto begin_anew = [&] {
    node.Empty();
    nodes_[1]->Stop();  // and what it was giving
    nodes_[1]->Start();
    node.seed_faults.reads = 0;
    node.Start();
  };
  for (const int reads : {0, 1, files / 2, files - 1}) {
    node.seed_faults.breaks_after = reads;
    begin_anew();
    EXPECT_THAT(ProblemOf(node, "broken off"), HasSubstr("broken off")) << reads;
    EXPECT_TRUE(node.engine().ListCollections().empty());
    // Nobody is told that there is no such collection.
    EXPECT_FALSE(node.follower().Check(1).ok());
    node.Stop();
  }
  node.seed_faults.breaks_after = -1;
  for (int file = 0; file < 2; ++file) {
    node.seed_faults.spoils = file;
    begin_anew();
    EXPECT_THAT(ProblemOf(node, "checksum"), HasSubstr("checksum")) << file;
    EXPECT_TRUE(node.engine().ListCollections().empty());
    node.Stop();
  }
  node.seed_faults.spoils = -1;
  node.Start();
  ExpectSame(node);
}

// After a break, and after a restart too; and from the beginning where the other node has forgotten it.
TEST_P(SeedTest, WhatBreaksOffGoesOn) {
  Fill();
  TestNode& node = *nodes_[0];
  node.Stop();
  node.Empty();
  TrimAll();
  const Seed seed = *nodes_[1]->follower().OpenSeed();
  nodes_[1]->follower().seeds().Close(seed.name);
  const int files = static_cast<int>(
      std::count_if(seed.files.begin(), seed.files.end(), [](const Seed::File& file) { return file.bytes > 0; }));
  const auto broken_off = [&](int reads) {
    node.seed_faults.reads = 0;
    node.seed_faults.breaks_after = reads;
    node.Start();
    EXPECT_THAT(ProblemOf(node, "broken off"), HasSubstr("broken off")) << reads;
    EXPECT_TRUE(node.engine().ListCollections().empty());
    node.Stop();
    node.seed_faults.reads = 0;
    node.seed_faults.breaks_after = -1;
  };
  ASSERT_GT(files, 12);
  broken_off(files - 6);
  node.Start();
  ExpectSame(node);
  // Beside the reads that failed.
  EXPECT_LE(node.seed_faults.reads, 6 + 2);
  EXPECT_GT(node.seed_faults.reads, 0);
  node.Stop();
  node.Empty();
  broken_off(files - 6);
  nodes_[1]->Stop();
  nodes_[1]->Start();
  node.Start();
  ExpectSame(node);
  EXPECT_GE(node.seed_faults.reads, files);
  for (int i = 0; i < 5; ++i) WriteSomethingTo("c");
  ExpectSame(node);
}

// It was killed while it took over a seed: of what it had some is gone, of what came some is there.
TEST_P(SeedTest, ATakeoverThatWasKilledIsFinished) {
  Fill();
  TestNode& node = *nodes_[0];
  ExpectSame(node);
  const auto sources = node.Sources();
  const absl::StatusOr<Seed> seed = sources[0]->Open();
  ASSERT_TRUE(seed.ok()) << seed.status();
  node.Stop();
  const std::atomic<bool> ending{false};
  std::atomic<uint64_t> received{0};
  const absl::Status fetched = FetchSeed(*sources[0], *seed, SeedDirectory(node.path()), 0, ending, received);
  ASSERT_TRUE(fetched.ok()) << fetched;
  EXPECT_EQ(received, seed->bytes());
  sources[0]->Close(seed->name);
  EXPECT_FALSE(sources[0]->Read(seed->name, seed->files[0].path, 0, 1).ok());
  {
    auto opened = *LogEngine::Open({.data_dir = node.path(), .threads = 1});
    ASSERT_TRUE(opened.engine->DeleteAlias("alias").ok());
    ASSERT_TRUE(opened.engine->DeleteCollection("c").ok());
  }
  FollowerState state = **ReadFollowerState(node.path());
  state.filling = true;
  ASSERT_TRUE(WriteFollowerState(node.path(), state).ok());
  node.seed_faults.gone = true;  // what came is enough
  node.Start();
  ExpectSame(node);
  for (int i = 0; i < 5; ++i) WriteSomethingTo("c");
  ExpectSame(node);
}

TEST_P(SeedTest, OfSeedsThereAreFewAndNoneIsReadBeyondItsFiles) {
  Fill();
  ExpectSame(*nodes_[1]);
  Follower& follower = nodes_[1]->follower();
  std::vector<Seed> seeds;
  for (size_t i = 0; i < Seeds::kMost; ++i) seeds.push_back(*follower.OpenSeed());
  EXPECT_EQ(follower.OpenSeed().status().code(), absl::StatusCode::kUnavailable);
  const Seed::File& file = seeds[0].files[0];
  EXPECT_EQ(follower.seeds().Read(seeds[0].name, file.path, 0, file.bytes + 9)->size(), file.bytes);
  EXPECT_EQ(follower.seeds().Read(seeds[0].name, file.path, file.bytes + 1, 9)->size(), 0u);
  for (const char* path : {"../../log.json", "c", "", "/etc/passwd"})
    EXPECT_TRUE(absl::IsNotFound(follower.seeds().Read(seeds[0].name, path, 0, 9).status())) << path;
  for (const Seed& seed : seeds) follower.seeds().Close(seed.name);
  EXPECT_TRUE(follower.OpenSeed().ok());
}

INSTANTIATE_TEST_SUITE_P(Shapes, SeedTest,
                         ::testing::Values(std::pair<size_t, size_t>{1, 2}, std::pair<size_t, size_t>{2, 2}));

}  // namespace
}  // namespace bebr::testing
