// Members of a cluster that come and go while it is in use, and a log that is let go of behind them.
#include <thread>

#include "index/cluster/node_claim.h"
#include "index/cluster/placement_log.h"
#include "tests/model/replicated_fixture.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

class MembersTest : public ReplicatedTest {
 protected:
  static constexpr uint64_t kMargin = 3;

  MembersOptions Keeping() override {
    EXPECT_TRUE(logs_.Create(kPlacementLogName).ok());
    MembersOptions keeping;
    keeping.open_placement = [this] { return logs_.Open(kPlacementLogName); };
    keeping.open_log = [this] { return logs_.Open("log"); };
    for (size_t n = 0; n < GetParam().first * GetParam().second; ++n)
      keeping.first.push_back({PlaceOf(n), MemberState::kServing, true});
    keeping.make_node = [this](const NodePlace& place) -> std::unique_ptr<ReplicaNode> {
      MutexLock lock(&mutex_);
      if (place.address == kNowhere) return std::make_unique<LocalReplica>(nowhere_.get());
      return std::make_unique<LocalReplica>(by_name_.at(place.name));
    };
    if (nowhere_ == nullptr) {
      nowhere_ = std::make_unique<TestNode>(&logs_, 0);
      nowhere_->Stop();
    }
    keeping.log_bytes = log_bytes_;
    keeping.interval = absl::Milliseconds(20);
    keeping.trim_interval = absl::Milliseconds(50);
    keeping.drain = absl::Milliseconds(200);
    keeping.margin = kMargin;
    MutexLock lock(&mutex_);
    for (size_t n = 0; n < nodes_.size(); ++n) by_name_[PlaceOf(n).name] = nodes_[n].get();
    return keeping;
  }
  NodePlace PlaceOf(size_t n) const {
    const auto [shares, replicas] = GetParam();
    const size_t share = n < shares * replicas ? n / replicas : (n - shares * replicas) % shares;
    return {absl::StrCat("n", n), absl::StrCat("here:", n), static_cast<uint32_t>(kClusterSlots * share / shares),
            static_cast<uint32_t>(kClusterSlots * (share + 1) / shares) - 1};
  }
  // A node that nobody knows yet; its number.
  size_t AddNode() {
    const size_t n = nodes_.size();
    nodes_.push_back(std::make_unique<TestNode>(&logs_, PlaceOf(n).first_slot));
    nodes_[n]->Stop();
    for (size_t other = 0; other < n; ++other) {
      if (PlaceOf(other).first_slot != PlaceOf(n).first_slot) continue;
      nodes_[n]->peers.push_back({PlaceOf(other).name, nodes_[other].get()});
    }
    nodes_[n]->Empty();
    nodes_[n]->last_slot = PlaceOf(n).last_slot;
    nodes_[n]->Start();
    MutexLock lock(&mutex_);
    by_name_[PlaceOf(n).name] = nodes_[n].get();
    return n;
  }
  Membership& membership() { return *memberships_[Number(kGateways - 1)]; }
  // As a gateway sees it; nullopt: no member.
  static std::optional<MemberState> StateOf(GatewayEngine& gateway, const std::string& name) {
    for (const ShareReport& share : gateway.Report().shares) {
      for (const ReplicaReport& replica : share.replicas) {
        if (replica.place.name == name) return replica.member;
      }
    }
    return std::nullopt;
  }
  // Until all gateways see it so, while documents are written.
  void Await(size_t n, std::optional<MemberState> state) {
    for (const auto& one : gateways_) {
      for (int i = 0; i < 2000 && StateOf(*one, PlaceOf(n).name) != state; ++i) {
        if (i % 10 == 0) WriteSomething();
        absl::SleepFor(absl::Milliseconds(10));
      }
      EXPECT_EQ(StateOf(*one, PlaceOf(n).name), state) << n;
    }
  }
  void Fill() {
    const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
    Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
    Barrier([&](Engine& e) { return e.SetAlias("alias", "c", ""); });
    for (int i = 0; i < 10; ++i) WriteSomething();
  }
  // All that run, of a share.
  void CompareAll() {
    const uint64_t head = (*logs_.Open("log"))->State()->head.position;
    std::map<uint32_t, std::string> digests;
    for (size_t n = 0; n < nodes_.size(); ++n) {
      if (!nodes_[n]->running()) continue;
      const absl::Status reached = Reached(*nodes_[n], head);
      ASSERT_TRUE(reached.ok()) << reached;
      const auto digest = nodes_[n]->follower().Digest("c");
      ASSERT_TRUE(digest.ok()) << digest.status();
      EXPECT_EQ(digests.try_emplace(PlaceOf(n).first_slot, digest->digest).first->second, digest->digest) << n;
    }
  }
  LogState LogNow() { return *(*logs_.Open("log"))->State(); }

  static constexpr const char* kNowhere = "nowhere:1";
  std::unique_ptr<TestNode> nowhere_;  // does not answer
  uint64_t log_bytes_ = 0;
  Mutex mutex_;
  std::map<std::string, TestNode*> by_name_;
};

TEST_P(MembersTest, ComeAndGoWhileDocumentsAreWrittenAndRead) {
  Fill();
  const auto [shares, replicas] = GetParam();
  for (size_t round = 0; round < 3; ++round) {
    const size_t fresh = AddNode();
    const auto joined = membership().Join(PlaceOf(fresh));
    ASSERT_TRUE(joined.ok()) << joined.status();
    Await(fresh, MemberState::kServing);
    Compare();
    // One goes, and with it what it had.
    const size_t old = PlaceOf(fresh).first_slot == 0 ? round : replicas + round;
    const auto drained = membership().Drain(PlaceOf(old).name);
    ASSERT_TRUE(drained.ok()) << drained.status();
    Await(old, std::nullopt);
    nodes_[old]->Stop();
    nodes_[old]->Empty();
    Compare();
    CompareAll();
    if (HasFatalFailure()) return;
  }
  // Gateways that begin now know of them too.
  gateways_.push_back(Gateway("late"));
  Until([&] { return gateways_.back()->Report().members_revision != 0; });
  EXPECT_EQ(gateways_.back()->Report().members_revision, gateways_[0]->Report().members_revision);
  const auto found = SearchAndWait(*gateways_.back(), {.collection = "c", .queries = {Row()}, .k = 5});
  ASSERT_TRUE(found.ok()) << found.status();
  CompareAll();
}

TEST_P(MembersTest, TheLastReplicaOfAShareStays) {
  Fill();
  const auto [shares, replicas] = GetParam();
  // One that does not follow the log is no replica to rely on.
  nodes_[1]->cut_off = true;
  for (int i = 0; i < 500; ++i) {
    if (!gateways_[0]->Report().shares[0].replicas[1].problem.empty()) break;
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_EQ(memberships_[0]->Drain("n0").status().code(), absl::StatusCode::kFailedPrecondition);
  nodes_[1]->cut_off = false;
  for (size_t n = 1; n < replicas; ++n) {
    ASSERT_TRUE(membership().Drain(PlaceOf(n).name).ok());
    Await(n, std::nullopt);
    nodes_[n]->Stop();
  }
  const absl::Status last = membership().Drain("n0").status();
  EXPECT_EQ(last.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(last.message()), HasSubstr("no other replica serves and has come up"));
  // One that joins and is not there is no replica yet; nor is it one when it is dead.
  const NodePlace absent{.name = "absent", .address = "here:99", .first_slot = 0, .last_slot = PlaceOf(0).last_slot};
  {
    MutexLock lock(&mutex_);
    by_name_["absent"] = nodes_[1].get();
  }
  ASSERT_TRUE(membership().Join(absent).ok());
  EXPECT_FALSE(membership().Drain("n0").ok());
  for (int i = 0; i < 5; ++i) WriteSomething();
  Compare();
  for (const auto& one : gateways_) {
    Until([&] { return StateOf(*one, "absent").has_value(); });
    EXPECT_EQ(StateOf(*one, "absent"), MemberState::kJoining);
  }
  ASSERT_TRUE(membership().Drain("absent").ok());
  for (const auto& one : gateways_) {
    Until([&] { return !StateOf(*one, "absent").has_value(); });
    EXPECT_FALSE(StateOf(*one, "absent").has_value());
  }
}

TEST_P(MembersTest, WhatCannotBeIsRefused) {
  Fill();
  EXPECT_EQ(membership().Drain("nobody").status().code(), absl::StatusCode::kNotFound);
  NodePlace place = PlaceOf(0);
  place.name = "new";
  place.first_slot = 7;
  EXPECT_EQ(membership().Join(place).status().code(), absl::StatusCode::kFailedPrecondition);
  place = PlaceOf(0);
  const auto revision = membership().Join(place);
  ASSERT_TRUE(revision.ok()) << revision.status();
  EXPECT_EQ(*membership().Join(place), *revision);  // as it is
  // A wrong address would take a replica that serves away.
  place.address = kNowhere;
  const absl::Status nowhere = membership().Join(place).status();
  EXPECT_EQ(nowhere.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(nowhere.message()), HasSubstr("does not answer at nowhere:1"));
  place.address = PlaceOf(1).address;
  const absl::Status taken = membership().Join(place).status();
  EXPECT_EQ(taken.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(taken.message()), HasSubstr("node n1, which is a member, is there"));
  place.name = "another";
  EXPECT_EQ(membership().Join(place).status().code(), absl::StatusCode::kFailedPrecondition);
  place = PlaceOf(0);
  place.address = "there:1";
  ASSERT_TRUE(membership().Join(place).ok());
  ASSERT_TRUE(membership().Join(PlaceOf(0)).ok());
  if (GetParam().first == 1) return;
  place.first_slot = PlaceOf(GetParam().second).first_slot;
  place.last_slot = PlaceOf(GetParam().second).last_slot;
  const absl::Status moved = membership().Join(place).status();
  EXPECT_THAT(std::string(moved.message()), HasSubstr("is a member with slots"));
}

TEST_P(MembersTest, TheLogIsLetGoOfBehindEveryMember) {
  Fill();
  for (int i = 0; i < 1000 && LogNow().trimmed.position == 0; ++i) {
    if (i % 10 == 0) WriteSomething();
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_GT(LogNow().trimmed.position, 0u);
  for (size_t n = 0; n < nodes_.size(); ++n) EXPECT_LE(LogNow().trimmed.position, nodes_[n]->follower().State().kept);
  // Of one that is away nothing is.
  const uint64_t kept = nodes_[0]->follower().State().kept;
  nodes_[0]->Stop();
  for (int i = 0; i < 30; ++i) WriteSomething();
  absl::SleepFor(absl::Seconds(3));
  EXPECT_LE(LogNow().trimmed.position, kept + 10);
  nodes_[0]->Start();
  CompareAll();
}

class ReplacingTest : public MembersTest {
 protected:
  MembersOptions Keeping() override {
    MembersOptions keeping = MembersTest::Keeping();
    keeping.replace_after = absl::Milliseconds(300);
    return keeping;
  }
};

TEST_P(ReplacingTest, ASpareTakesThePlaceOfOneThatIsDead) {
  Fill();
  // Without a spare it stays, however long.
  nodes_[0]->Stop();
  absl::SleepFor(absl::Seconds(1));
  EXPECT_EQ(StateOf(*gateways_[0], "n0"), MemberState::kServing);
  nodes_[0]->Start();
  const size_t spare = AddNode();
  ASSERT_TRUE(membership().Join(PlaceOf(spare)).ok());
  Await(spare, MemberState::kServing);
  absl::SleepFor(absl::Seconds(1));
  EXPECT_EQ(StateOf(*gateways_[0], "n0"), MemberState::kServing);
  nodes_[0]->Stop();
  Await(0, std::nullopt);
  EXPECT_EQ(gateways_[0]->Report().members_replaced + gateways_[1]->Report().members_replaced, 1u);
  Compare();
  CompareAll();
  // There is no other spare: the next one that is dead stays.
  nodes_[1]->Stop();
  absl::SleepFor(absl::Seconds(1));
  EXPECT_EQ(StateOf(*gateways_[0], "n1"), MemberState::kServing);
  Compare();
  // The one that was dead is the spare when it joins again, filled anew where the log is let go of.
  nodes_[0]->peers.push_back({PlaceOf(spare).name, nodes_[spare].get()});
  ASSERT_TRUE(membership().Join(PlaceOf(0)).ok());
  nodes_[0]->Start();
  Await(0, MemberState::kServing);
  Await(1, std::nullopt);
  Compare();
  CompareAll();
}

class BoundedLogTest : public MembersTest {
 protected:
  BoundedLogTest() { log_bytes_ = 4000; }
};

TEST_P(BoundedLogTest, OneThatIsAwayForLongHoldsItNoMoreAndIsFilledAnew) {
  Fill();
  // Who is behind it when it stops could be filled by nobody, once the log has let go of what it needs.
  for (auto& node : nodes_) ASSERT_TRUE(Reached(*node, LogNow().head.position).ok());
  nodes_[0]->Stop();
  const uint64_t head = LogNow().head.position;
  for (int i = 0; i < 2000 && LogNow().trimmed.position <= head; ++i) {
    WriteSomething();
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_GT(LogNow().trimmed.position, head);
  nodes_[0]->Start();
  CompareAll();
  for (int i = 0; i < 10; ++i) WriteSomething();
  CompareAll();
  Compare();
}

// Of two replicas one is away: if the other one is lost too, the log still has what the first one needs.
class BoundedPairsTest : public BoundedLogTest {
 protected:
  std::string Held() {
    std::string held;
    for (auto& gateway : gateways_) held = std::max(held, gateway->Report().log->held);
    return held;
  }
  // Writes until that is so.
  void WriteUntil(const std::function<bool()>& so) {
    for (int i = 0; i < 2000 && !so(); ++i) {
      WriteSomething();
      absl::SleepFor(absl::Milliseconds(5));
    }
    EXPECT_TRUE(so()) << Held();
  }
  bool IsHeldFor0() {
    return Held().find("node n0 needs it from position ") != std::string::npos &&
           Held().find("of the replicas of slots 0-511 node n1 alone can do without that: mend node n0") !=
               std::string::npos;
  }
};

TEST_P(BoundedPairsTest, TheLastReplicaIsNotTheOnlyOneThatHasWhatIsLetGoOf) {
  Fill();
  for (auto& node : nodes_) ASSERT_TRUE(Reached(*node, LogNow().head.position).ok());
  nodes_[0]->Stop();
  const uint64_t head = LogNow().head.position;
  WriteUntil([&] { return IsHeldFor0(); });
  for (int i = 0; i < 50; ++i) WriteSomething();
  EXPECT_LE(LogNow().trimmed.position, head);
  // It is lost with all that it had; the one that was away goes on where it was.
  nodes_[1]->Stop();
  nodes_[1]->Empty();
  nodes_[0]->Start();
  const absl::Status reached = Reached(*nodes_[0], LogNow().head.position);
  ASSERT_TRUE(reached.ok()) << reached;
  Compare();
  nodes_[1]->Start();
  CompareAll();
  const uint64_t after = LogNow().head.position;
  WriteUntil([&] { return LogNow().trimmed.position > after; });
}

TEST_P(BoundedPairsTest, OneThatIsDrainedHoldsNothing) {
  Fill();
  for (auto& node : nodes_) ASSERT_TRUE(Reached(*node, LogNow().head.position).ok());
  nodes_[0]->Stop();
  WriteUntil([&] { return IsHeldFor0(); });
  const uint64_t head = LogNow().head.position;
  WriteUntil([&] { return membership().Drain("n0").ok(); });
  WriteUntil([&] { return LogNow().trimmed.position > head; });
  Compare();
}

TEST(PlacementLogTest, ChangesOfManyAtATimeAreAllThere) {
  MemoryLogs logs;
  ASSERT_TRUE(logs.Create(kPlacementLogName).ok());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      PlacementLog log([&] { return logs.Open(kPlacementLogName); });
      for (int i = 0; i < 15;) {
        const auto changed = log.Change([&](Placement& now) {
          now.members.push_back({{absl::StrCat("t", t, "-", i), "here", 0, 1023}, MemberState::kJoining});
          return absl::OkStatus();
        });
        EXPECT_TRUE(changed.ok() || absl::IsUnavailable(changed.status())) << changed.status();
        i += changed.ok() ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  PlacementLog log([&] { return logs.Open(kPlacementLogName); });
  const auto all = log.Read();
  ASSERT_TRUE(all.ok()) << all.status();
  std::set<std::string> names;
  for (const Member& member : all->members) names.insert(member.place.name);
  EXPECT_EQ(names.size(), 60u);
  EXPECT_EQ(all->members.size(), 60u);
  EXPECT_EQ(all->revision, 60u);
  const auto refused = log.Change([](Placement&) { return absl::NotFoundError("no"); });
  EXPECT_TRUE(absl::IsNotFound(refused.status()));
  EXPECT_EQ(log.Read()->revision, 60u);
}

TEST(NodeClaimTest, TheSecondServerOfANameIsToldAsLongAsTheFirstRuns) {
  MemoryLogs logs;
  ASSERT_TRUE(logs.Create(kNodesLogName).ok());
  std::atomic<bool> gone{false};
  const auto claim = [&](const std::string& node, const std::string& where) {
    const auto open = [&]() -> absl::StatusOr<std::unique_ptr<Log>> {
      return std::make_unique<AbsentLog>(*logs.Open(kNodesLogName), &gone);
    };
    return std::make_unique<NodeClaim>(open, node, where, absl::Milliseconds(100));
  };
  auto first = claim("a", "here"), other = claim("b", "elsewhere");
  const auto all_run = [&] { return first->Check().ok() && other->Check().ok(); };
  EXPECT_TRUE(all_run());
  auto second = claim("a", "there");
  Until([&] {
    EXPECT_TRUE(all_run());
    return !second->Check().ok();
  });
  const absl::Status refused = second->Check();
  EXPECT_EQ(refused.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(first->Later(), HasSubstr("another server, there, was started as node a too"));
  EXPECT_EQ(second->Later() + other->Later(), "");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("another server, here, has begun before as node a"));
  // For as long as it runs.
  for (const SteadyTime begun = SteadyNow(); SteadyNow() - begun < absl::Milliseconds(600);) {
    EXPECT_TRUE(all_run());
    EXPECT_FALSE(second->Check().ok());
  }
  // Without the log nobody says anything else.
  gone = true;
  EXPECT_TRUE(all_run());
  gone = false;
  first.reset();
  Until([&] { return second->Check().ok(); });
  EXPECT_EQ(second->Later(), "");
  // Started again it is the second one.
  first = claim("a", "here");
  Until([&] {
    EXPECT_TRUE(second->Check().ok());
    return !first->Check().ok();
  });
  first = nullptr;
  second = claim("a", "there");
  Until([&] { return second->Check().ok(); });
}

// The second one says its name once: who has heard it owes the answer, until the log has it.
TEST(NodeClaimTest, AnAnswerThatTheLogDidNotTakeIsGivenLater) {
  MemoryLogs logs;
  ASSERT_TRUE(logs.Create(kNodesLogName).ok());
  std::atomic<bool> gone{false}, full{false};
  const auto claim = [&](const std::string& where) {
    const auto open = [&]() -> absl::StatusOr<std::unique_ptr<Log>> {
      return std::make_unique<AbsentLog>(*logs.Open(kNodesLogName), &gone, nullptr, &full);
    };
    return std::make_unique<NodeClaim>(open, "a", where, absl::Milliseconds(100));
  };
  const auto first = claim("here");
  EXPECT_TRUE(first->Check().ok());
  const auto second = claim("there");
  EXPECT_TRUE(second->Check().ok());
  full = true;
  EXPECT_TRUE(first->Check().ok());
  full = false;
  EXPECT_TRUE(first->Check().ok());
  EXPECT_EQ(second->Check().code(), absl::StatusCode::kAlreadyExists);
}

TEST(NodeClaimTest, ARecordIsText) {
  const std::string text = R"({"format":1,"node":"a","server":"00ff","since":7,"where":"10.0.0.1:7710 on host-1"})";
  const auto claim = DecodeClaim(text);
  ASSERT_TRUE(claim.ok()) << claim.status();
  EXPECT_EQ(claim->since, 7u);
  EXPECT_EQ(EncodeClaim(*claim), text);
  for (const char* wrong : {"", "{}", "[1]", R"({"format":2})", R"({"format":1,"node":7})"})
    EXPECT_EQ(DecodeClaim(wrong).status().code(), absl::StatusCode::kDataLoss) << wrong;
}

TEST(PlacementLogTest, ARecordIsText) {
  const Placement placement{.members = {{{"a", "10.0.0.1:7700", 0, 511}, MemberState::kServing, true},
                                        {{"b", "10.0.0.2:7700", 512, 1023}, MemberState::kDraining}}};
  const std::string text =
      R"({"format":1,"members":[{"address":"10.0.0.1:7700","configured":true,"name":"a","slots":[0,511],"state":"serving"},)"
      R"({"address":"10.0.0.2:7700","configured":false,"name":"b","slots":[512,1023],"state":"draining"}]})";
  EXPECT_EQ(EncodePlacement(placement), text);
  EXPECT_EQ(EncodePlacement(*DecodePlacement(text)), text);
  Placement own = placement;
  UseConfigured({{{"a", "there:1"}}, {{"b", "there:2"}}}, own);
  EXPECT_EQ(own.members[0].place.address, "there:1");
  EXPECT_EQ(own.members[1].place.address, "10.0.0.2:7700");
  EXPECT_EQ(DecodePlacement(R"({"format":2})").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(DecodePlacement("{").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(
      std::string(
          DecodePlacement(
              R"({"format":1,"members":[{"address":"x","configured":true,"name":"a","slots":[0,1],"state":"?"}]})")
              .status()
              .message()),
      HasSubstr("upgrade it"));
}

INSTANTIATE_TEST_SUITE_P(Shapes, MembersTest,
                         ::testing::Values(std::pair<size_t, size_t>{1, 2}, std::pair<size_t, size_t>{2, 2}));
INSTANTIATE_TEST_SUITE_P(Shapes, ReplacingTest, ::testing::Values(std::pair<size_t, size_t>{2, 2}));
INSTANTIATE_TEST_SUITE_P(Shapes, BoundedLogTest, ::testing::Values(std::pair<size_t, size_t>{2, 3}));
INSTANTIATE_TEST_SUITE_P(Shapes, BoundedPairsTest, ::testing::Values(std::pair<size_t, size_t>{2, 2}));

}  // namespace
}  // namespace bebr::testing
