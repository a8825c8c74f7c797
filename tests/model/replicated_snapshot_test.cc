// Snapshots of a cluster whose nodes follow a log, beside those of one engine; and replicas that have them not, or not
// whole, when a collection is to be made of one.
#include <fstream>
#include <thread>

#include "index/base/stable_hash.h"
#include "index/cut_snapshot.h"
#include "index/follow/follower_state.h"
#include "index/replica/log_change.h"
#include "tests/model/replicated_fixture.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

class SnapshotTest : public ReplicatedTest {
 protected:
  void Fill() {
    const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 3};
    Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
    Barrier([&](Engine& e) { return e.SetAlias("alias", "c", ""); });
    for (int i = 0; i < 20; ++i) WriteSomething();
  }
  void Snapshot(const std::string& collection, const std::string& name) {
    Barrier([&](Engine& e) { return e.CreateSnapshot(collection, name).status(); });
  }
  void Restore(const std::string& name, const std::string& as) {
    Barrier([&](Engine& e) { return e.RestoreSnapshot("c", name, as); });
  }
  // A collection of the cluster and of the one engine; and every replica of a share.
  void CompareAll(const std::string& collection) {
    for (int i = 0; i < 6; ++i) {
      SearchRequest search{.collection = collection, .queries = {Row()}, .k = 1 + Number(30)};
      if (Sometimes()) search.rerank = search.k + Number(20);
      if (Sometimes()) search.filter = absl::StrCat("n < ", Number(30));
      search.with_attributes = true;
      Both<SearchResult>([&](Engine& e, auto done) { e.Search(search, std::move(done)); });
    }
    EXPECT_EQ(*gateway().Count(collection, ""), *one_->Count(collection, ""));
    const uint64_t head = (*logs_.Open("log"))->State()->head.position;
    const size_t replicas = GetParam().second;
    for (size_t n = 0; n < nodes_.size(); ++n) {
      if (!nodes_[n]->running()) nodes_[n]->Start();
      const absl::Status reached = Reached(*nodes_[n], head);
      ASSERT_TRUE(reached.ok()) << n << reached << nodes_[n]->follower().State().problem;
      const auto digest = nodes_[n]->follower().Digest(collection),
                 other = nodes_[n - n % replicas]->follower().Digest(collection);
      ASSERT_TRUE(digest.ok() && other.ok()) << digest.status() << other.status();
      EXPECT_EQ(digest->digest, other->digest) << n;
      EXPECT_EQ(digest->position, other->position) << n;
    }
  }
  std::string PathAt(size_t n, const std::string& name) {
    return absl::StrCat(nodes_[n]->path(), "/snapshots/c/", name);
  }
  // Of a table file of it a byte is another.
  void Spoil(size_t n, const std::string& name) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(PathAt(n, name))) {
      if (entry.path().extension() != ".sst") continue;
      std::ifstream in(entry.path(), std::ios::binary);
      std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
      in.close();
      std::filesystem::remove(entry.path());  // a hard link: the collection's stays
      bytes[bytes.size() / 2] ^= 1;
      std::ofstream(entry.path(), std::ios::binary) << bytes;
      return;
    }
    FAIL() << "no table file";
  }
  // Stops one node, of a share whose others run, or starts one; what it has stays.
  void StopOrStart() {
    TestNode& node = *nodes_[Number(nodes_.size() - 1)];
    if (!node.running()) return node.Start();
    const size_t first = kReplicaOf(node);
    size_t running = 0;
    for (size_t r = 0; r < GetParam().second; ++r) running += nodes_[first + r]->running() ? 1 : 0;
    if (running > 1) node.Stop();
    if (running > 1 && Sometimes(3)) TrimAll();
  }
  void AwaitMade(const std::string& name) {
    for (size_t n = 0; n < nodes_.size(); ++n) {
      if (nodes_[n]->running()) Until([&] { return std::filesystem::exists(PathAt(n, name)); });
    }
  }
};

TEST_P(SnapshotTest, IsThatOfOneEngineWhileNodesComeAndGo) {
  Fill();
  Snapshot("alias", "s0");
  Snapshot("c", "s0");  // which there is
  Snapshot("none", "s0");
  Snapshot("c", "no/name");
  for (int round = 1; round < 5; ++round) {
    for (int i = 0; i < 5; ++i) WriteSomething();
    StopOrStart();
    const std::string name = absl::StrCat("s", round), as = absl::StrCat("r", round);
    Snapshot("c", name);
    for (int i = 0; i < 5; ++i) WriteSomething();
    StopOrStart();
    Restore(name, as);
    Restore(name, as);  // which there is now
    if (HasFatalFailure()) return;
    CompareAll(as);
    if (HasFatalFailure()) return;
    for (int i = 0; i < 5; ++i) WriteSomethingTo(as);
    CompareAll(as);
    if (HasFatalFailure()) return;
  }
  Restore("s0", "alias");
  Restore("none", "x");
  Restore("s0", "no/name");
  Barrier([&](Engine& e) { return e.DeleteCollection("c"); });  // it has an alias
  Barrier([&](Engine& e) { return e.DeleteAlias("alias"); });
  Barrier([&](Engine& e) { return e.DeleteCollection("c"); });
  const auto listed = gateway().ListSnapshots(""), single = one_->ListSnapshots("");
  ASSERT_TRUE(listed.ok() && single.ok()) << listed.status() << single.status();
  ASSERT_EQ(listed->size(), single->size());
  for (size_t i = 0; i < listed->size(); ++i) {
    EXPECT_EQ((*listed)[i].collection, (*single)[i].collection);
    EXPECT_EQ((*listed)[i].name, (*single)[i].name);
    EXPECT_EQ((*listed)[i].documents, (*single)[i].documents);
    EXPECT_EQ((*listed)[i].problem, "");
    EXPECT_GT((*listed)[i].position, 0u);
  }
  Restore("s0", "c");
  CompareAll("c");
  for (int i = 0; i < 2; ++i) Barrier([&](Engine& e) { return e.DeleteSnapshot("c", "s1"); });
  Restore("s1", "x");
  EXPECT_EQ(gateway().ListSnapshots("c")->size(), single->size() - 1);
  // A name that is nobody's choice.
  const auto timed = gateway().CreateSnapshot("c", ""), second = gateway().CreateSnapshot("c", "");
  ASSERT_TRUE(timed.ok() && second.ok()) << timed.status() << second.status();
  EXPECT_NE(timed->name, second->name);
}

// What is written while it is made is in it wholly or not at all, on all shares alike.
TEST_P(SnapshotTest, IsOfOneMomentWhileDocumentsAreWritten) {
  Fill();
  std::atomic<bool> end{false};
  std::thread writer([&] {
    // Each request makes all of these documents say the same number.
    for (int64_t n = 1; !end; ++n) {
      UpsertRequest request{.collection = "c"};
      for (int d = 0; d < 8; ++d) {
        DocumentInput document{.id = absl::StrCat("w", d), .attributes = {{"round", n}}};
        document.embeddings.push_back({"v1", rows_[0]});
        request.documents.push_back(std::move(document));
      }
      const auto written = AwaitCall<UpsertResult>([&](auto done) { gateways_[0]->Upsert(request, std::move(done)); });
      EXPECT_TRUE(written.ok()) << written.status();
    }
  });
  for (int i = 0; i < 5; ++i) {
    const std::string name = absl::StrCat("s", i);
    const auto made = gateways_[1]->CreateSnapshot("c", name);
    EXPECT_TRUE(made.ok()) << made.status();
    const absl::Status restored = gateways_[1]->RestoreSnapshot("c", name, name);
    EXPECT_TRUE(restored.ok()) << restored;
    const auto counted = gateways_[1]->Facets({.collection = name, .attribute = "round"});
    EXPECT_TRUE(counted.ok()) << counted.status();
    if (!counted.ok()) continue;
    EXPECT_LE(counted->facets.size(), 1u);
    for (const Facet& facet : counted->facets) EXPECT_EQ(facet.documents, 8u);
  }
  end = true;
  writer.join();
}

TEST_P(SnapshotTest, AReplicaWithoutItGetsItFromAnother) {
  Fill();
  Snapshot("c", "s");
  AwaitMade("s");
  for (int i = 0; i < 5; ++i) WriteSomething();
  std::filesystem::remove_all(PathAt(0, "s"));
  Restore("s", "d");
  CompareAll("d");
  EXPECT_TRUE(std::filesystem::exists(PathAt(0, "s")));
  // One that is damaged is no better.
  Spoil(1, "s");
  nodes_[1]->Stop();
  nodes_[1]->Start();  // what it has read before it believes
  Restore("s", "e");
  CompareAll("e");
  // Nobody of the share has it whole.
  for (size_t n = 0; n < GetParam().second; ++n) {
    std::filesystem::remove_all(PathAt(n, "s"));
  }
  const bool alone = GetParam().first == 1;  // then nobody at all has any of it
  const auto listed = gateway().ListSnapshots("c");
  ASSERT_TRUE(listed.ok()) << listed.status();
  EXPECT_EQ(listed->size(), alone ? 0u : 1u);
  for (const SnapshotInfo& info : *listed) EXPECT_THAT(info.problem, HasSubstr("no replica that answers has slots 0-"));
  const uint64_t head = (*logs_.Open("log"))->State()->head.position;
  EXPECT_EQ(gateway().RestoreSnapshot("c", "s", "f").code(),
            alone ? absl::StatusCode::kNotFound : absl::StatusCode::kUnavailable);
  EXPECT_EQ((*logs_.Open("log"))->State()->head.position, head);
}

// It was away when the collection was made, and the snapshot is nowhere any more.
TEST_P(SnapshotTest, AReplicaThatFindsItNowhereIsFilledAnew) {
  Fill();
  Snapshot("c", "s");
  AwaitMade("s");
  nodes_[0]->Stop();
  std::filesystem::remove_all(PathAt(0, "s"));
  Restore("s", "d");
  for (int i = 0; i < 5; ++i) WriteSomethingTo("d");
  Barrier([&](Engine& e) { return e.DeleteSnapshot("c", "s"); });
  for (int i = 0; i < 5; ++i) WriteSomething();
  nodes_[0]->Start();
  CompareAll("d");
  CompareAll("c");
  EXPECT_FALSE(std::filesystem::exists(PathAt(0, "s")));
}

// What a server by itself has built is restored by a cluster, each share of its own slots' documents.
TEST_P(SnapshotTest, ACollectionThatWasBuiltOfflineIsTakenOver) {
  const auto [shares, replicas] = GetParam();
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 3};
  ASSERT_TRUE(one_->CreateCollection(config, Model(1)).ok());
  for (size_t i = 0; i < 150; ++i) {
    UpsertRequest upsert{.collection = "c"};
    upsert.documents.push_back({.id = Id(), .attributes = SomeAttributes(), .embeddings = {{"v1", Row()}}});
    ASSERT_TRUE(UpsertAndWait(*one_, upsert).ok());
    if (!Sometimes(8)) continue;
    ASSERT_TRUE(DeleteAndWait(*one_, "c", {Id(), Id()}).ok());
  }
  ASSERT_TRUE(one_->CreateSnapshot("c", "bulk").ok());
  SnapshotCut cut{.data_dir = directory_.path(), .snapshot_dir = "", .collection = "c", .snapshot = "bulk"};
  TemporaryDirectory into;
  cut.into = into.path();
  EXPECT_EQ(CutSnapshot(cut).status().code(), absl::StatusCode::kFailedPrecondition);  // a server has it open
  cut.last_slot = kClusterSlots;
  EXPECT_EQ(CutSnapshot(cut).status().code(), absl::StatusCode::kInvalidArgument);
  one_.reset();
  uint64_t documents = 0;
  for (size_t share = 0; share < shares; ++share) {
    cut.into = absl::StrCat(into.path(), "/", share);
    cut.first_slot = static_cast<uint32_t>(kClusterSlots * share / shares);
    cut.last_slot = static_cast<uint32_t>(kClusterSlots * (share + 1) / shares) - 1;
    const auto made = CutSnapshot(cut);
    ASSERT_TRUE(made.ok()) << made.status();
    documents += made->documents;
    EXPECT_EQ(CutSnapshot(cut).status().code(), absl::StatusCode::kAlreadyExists);
    const std::string to = absl::StrCat(nodes_[share * replicas + replicas - 1]->path(), "/snapshots/c");
    std::filesystem::create_directories(to);
    std::filesystem::copy(cut.into + "/c/bulk", to + "/bulk", std::filesystem::copy_options::recursive);
  }
  cut.snapshot = "nosuch";
  EXPECT_EQ(CutSnapshot(cut).status().code(), absl::StatusCode::kNotFound);
  one_ = *Engine::Open({.data_dir = directory_.path(), .threads = 1});
  EXPECT_EQ(documents, *one_->Count("c", ""));
  Restore("bulk", "d");
  CompareAll("d");
  for (int i = 0; i < 20; ++i) WriteSomethingTo("d");
  CompareAll("d");
  // Which embeddings a document has of several is written in a cluster from the first version on.
  const VersionConfig next{.name = "v2", .compatible_with = "v1"};
  Barrier([&](Engine& e) { return e.AddVersion("d", next, TranslatedModelFile(Model(1), kDims, 2)); });
  ASSERT_EQ(one_->GetCollection("d")->versions.size(), 2u);
  versions_.push_back("v2");
  for (int i = 0; i < 20; ++i) WriteSomethingTo("d");
  CompareAll("d");
}

// Each share was built by a node of its own, of a cluster without a log.
TEST_P(SnapshotTest, SharesThatWereBuiltApartAreOneCollection) {
  const auto [shares, replicas] = GetParam();
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 3};
  std::vector<std::unique_ptr<TemporaryDirectory>> built;
  std::vector<std::unique_ptr<Engine>> builders;
  for (size_t share = 0; share < shares; ++share) {
    built.push_back(std::make_unique<TemporaryDirectory>());
    builders.push_back(*Engine::Open({.data_dir = built.back()->path(), .threads = 1}));
    ASSERT_TRUE(builders.back()->CreateCollection(config, Model(1)).ok());
  }
  ASSERT_TRUE(one_->CreateCollection(config, Model(1)).ok());
  for (size_t i = 0; i < 150; ++i) {
    UpsertRequest upsert{.collection = "c"};
    upsert.documents.push_back({.id = Id(), .attributes = SomeAttributes(), .embeddings = {{"v1", Row()}}});
    const size_t slot = StableHash(upsert.documents[0].id) % kClusterSlots;
    for (size_t share = 0; share < shares; ++share) {
      if (slot < kClusterSlots * share / shares || slot >= kClusterSlots * (share + 1) / shares) continue;
      ASSERT_TRUE(UpsertAndWait(*builders[share], upsert).ok());
    }
    ASSERT_TRUE(UpsertAndWait(*one_, upsert).ok());
  }
  uint64_t documents = 0;
  for (size_t share = 0; share < shares; ++share) {
    ASSERT_TRUE(builders[share]->CreateSnapshot("c", "bulk").ok());
    builders[share].reset();
    const auto made = CutSnapshot({.data_dir = built[share]->path(),
                                   .snapshot_dir = "",
                                   .collection = "c",
                                   .snapshot = "bulk",
                                   .first_slot = static_cast<uint32_t>(kClusterSlots * share / shares),
                                   .last_slot = static_cast<uint32_t>(kClusterSlots * (share + 1) / shares) - 1,
                                   .into = built[share]->path() + "/cut",
                                   .position = 7});
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_EQ(made->position, 7u);
    documents += made->documents;
    const std::string to = absl::StrCat(nodes_[share * replicas]->path(), "/snapshots/c");
    std::filesystem::create_directories(to);
    std::filesystem::copy(built[share]->path() + "/cut/c/bulk", to + "/bulk", std::filesystem::copy_options::recursive);
  }
  EXPECT_EQ(documents, *one_->Count("c", ""));
  ASSERT_TRUE(one_->CreateSnapshot("c", "bulk").ok());
  Restore("bulk", "d");
  CompareAll("d");
  for (int i = 0; i < 20; ++i) WriteSomethingTo("d");
  CompareAll("d");
}

// Whether a collection is made of what was dropped depends on the log alone.
TEST_P(SnapshotTest, WhatWasDroppedIsRefusedByAllReplicas) {
  Fill();
  Snapshot("c", "s");
  const uint64_t position = gateway().ListSnapshots("c")->at(0).position;
  Barrier([&](Engine& e) { return e.DeleteSnapshot("c", "s"); });
  const LogChange change{
      .kind = LogChangeKind::kRestore, .name = "d", .target = "c", .snapshot = "s", .snapshot_position = position};
  const std::string bytes = JoinLogChanges(std::vector<std::string>{*EncodeLogChange(change)});
  const auto log = *logs_.Open("log");
  ASSERT_TRUE(log->Append(*log->BeginWriter("other"), 1, std::vector<LogRecord>{{kBarrierShard, bytes}}).ok());
  for (int i = 0; i < 5; ++i) WriteSomething();
  CompareAll("c");
  for (auto& node : nodes_) {
    EXPECT_EQ(node->engine().ListCollections(), std::vector<std::string>{"c"});
    EXPECT_EQ((*ReadFollowerState(node->path()))->dropped_snapshots.size(), 1u);
  }
}

// It was killed after its stores had gone on and before log.json said so: what the log asks for again is past.
TEST_P(SnapshotTest, ANodeThatIsBeyondItSaysSoAndGoesOn) {
  Fill();
  const uint64_t before = (*logs_.Open("log"))->State()->head.position;
  ASSERT_TRUE(Reached(*nodes_[0], before).ok());
  nodes_[0]->Stop();
  const FollowerState state = **ReadFollowerState(nodes_[0]->path());
  nodes_[0]->Start();
  Snapshot("c", "s");
  AwaitMade("s");
  for (int i = 0; i < 30; ++i) WriteSomething();
  CompareAll("c");
  nodes_[0]->Stop();
  ASSERT_TRUE(WriteFollowerState(nodes_[0]->path(), state).ok());
  nodes_[0]->Start();
  CompareAll("c");
  EXPECT_TRUE(std::filesystem::exists(PathAt(0, "s")));  // as it was made
  nodes_[0]->Stop();
  ASSERT_TRUE(WriteFollowerState(nodes_[0]->path(), state).ok());
  std::filesystem::remove_all(PathAt(0, "s"));
  nodes_[0]->Start();
  CompareAll("c");
  const auto listed = nodes_[0]->follower().ListSnapshots("c");
  ASSERT_TRUE(listed.ok() && listed->size() == 1) << listed.status();
  EXPECT_THAT(listed->at(0).info.problem, HasSubstr("is beyond it"));
  Restore("s", "d");
  CompareAll("d");
}

INSTANTIATE_TEST_SUITE_P(Shapes, SnapshotTest,
                         ::testing::Values(std::pair<size_t, size_t>{1, 2}, std::pair<size_t, size_t>{2, 2},
                                           std::pair<size_t, size_t>{4, 2}));

}  // namespace
}  // namespace bebr::testing
