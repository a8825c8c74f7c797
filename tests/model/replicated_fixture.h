// Nodes in this process that follow a log in memory, and gateways over them, beside one engine that gets the same
// calls.
#ifndef BEBR_TESTS_MODEL_REPLICATED_FIXTURE_H_
#define BEBR_TESTS_MODEL_REPLICATED_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <filesystem>
#include <functional>
#include <future>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "index/base/mutex.h"
#include "index/cluster/replicated_engine.h"
#include "index/follow/follower.h"
#include "index/follow/seed.h"
#include "index/log/memory_log.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"
#include "tests/support/until.h"

namespace bebr::testing {

inline constexpr uint32_t kDims = 20;

// A log that does not answer while the test will.
class AbsentLog final : public Log {
 public:
  // With `full` it is read, and takes no append while that is so.
  AbsentLog(std::unique_ptr<Log> log, const std::atomic<bool>* gone, const std::atomic<uint64_t>* ends_at = nullptr,
            const std::atomic<bool>* full = nullptr)
      : log_(std::move(log)), gone_(*gone), ends_at_(ends_at), full_(full) {}
  absl::StatusOr<LogWriter> BeginWriter(std::string_view name) override {
    return Gone().ok() ? log_->BeginWriter(name) : Gone();
  }
  absl::StatusOr<LogPlace> Append(const LogWriter& writer, uint64_t number,
                                  absl::Span<const LogRecord> records) override {
    if (!Gone().ok()) return Gone();
    if (full_ != nullptr && *full_) return absl::UnavailableError("the log takes nothing");
    auto place = log_->Append(writer, number, records);
    // Now and then it is there, and nobody is told.
    return place.ok() && ++appends_ % 7 == 0 ? absl::UnavailableError("broken off") : place;
  }
  absl::StatusOr<LogPage> Read(const LogPlace& after, absl::Span<const uint32_t> shards, size_t max_bytes) override {
    const uint64_t end = ends_at_ == nullptr ? 0 : ends_at_->load();
    if (end != 0 && after.position > end) return EndsEarlier("log", after, {.position = end, .append = {}});
    return Gone().ok() ? log_->Read(after, shards, max_bytes) : Gone();
  }
  absl::StatusOr<LogPlace> WaitBeyond(uint64_t position, SteadyTime deadline) override {
    return log_->WaitBeyond(position, deadline);
  }
  absl::StatusOr<LogState> State() override { return Gone().ok() ? log_->State() : Gone(); }
  absl::StatusOr<LogSize> Size() override { return log_->Size(); }
  absl::StatusOr<LogPlace> Trim(uint64_t through) override { return log_->Trim(through); }

 private:
  absl::Status Gone() const { return gone_ ? absl::UnavailableError("the log is gone") : absl::OkStatus(); }
  const std::unique_ptr<Log> log_;
  const std::atomic<bool>& gone_;
  const std::atomic<uint64_t>* const ends_at_;
  const std::atomic<bool>* const full_;
  int appends_ = 0;
};

class TestNode;

// Another node, as one is filled from it. Its reads fail, or their bytes are changed, as the test will.
class LocalSeedSource final : public SeedSource {
 public:
  struct Faults {
    std::atomic<bool> gone{false};
    std::atomic<int> reads{0};          // so far
    std::atomic<int> breaks_after{-1};  // so many of them; below 0: it does not
    std::atomic<int> spoils{-1};        // the read of a table file, of a seed's, of which a byte is another
  };
  LocalSeedSource(TestNode* node, std::string name, Faults* faults)
      : node_(*node), name_(std::move(name)), faults_(*faults) {}
  std::string name() const override { return name_; }
  absl::StatusOr<Seed> Open() override;
  absl::StatusOr<Seed> OpenSnapshot(const SnapshotInfo& which) override;
  absl::StatusOr<std::string> Read(const std::string& seed, const std::string& path, uint64_t offset,
                                   size_t bytes) override;
  void Close(const std::string& seed) override;

 private:
  TestNode& node_;
  const std::string name_;
  Faults& faults_;
  int tables_ = 0;
};

// A node of this process: an engine and what follows the log for it. It stops and starts as the test will.
class TestNode final {
 public:
  TestNode(MemoryLogs* logs, uint32_t first_slot) : logs_(*logs), first_slot_(first_slot) { Start(); }
  void Start() {
    MutexLock lock(&mutex_);
    auto opened = *LogEngine::Open({.data_dir = directory_.path(), .threads = 1});
    engine_ = std::move(opened.engine);
    auto follower = Follower::Open(opened.log,
                                   [this]() -> absl::StatusOr<std::unique_ptr<Log>> {
                                     return std::make_unique<AbsentLog>(*logs_.Open(log), &cut_off, &ends_at);
                                   },
                                   {.data_dir = directory_.path(),
                                    .first_slot = first_slot_,
                                    .last_slot = last_slot,
                                    .poll = absl::Milliseconds(5),
                                    .page_bytes = page_bytes,
                                    .patience = patience,
                                    .sources = [this](const auto&) { return Sources(); }});
    ASSERT_TRUE(follower.ok()) << follower.status();
    follower_ = *std::move(follower);
  }
  void Stop() {
    std::shared_ptr<Follower> follower;
    {
      MutexLock lock(&mutex_);
      follower.swap(follower_);
    }
    while (follower.use_count() > 1) absl::SleepFor(absl::Milliseconds(1));
    follower.reset();
    engine_.reset();
  }
  // Of one that is stopped.
  void Empty() {
    std::filesystem::remove_all(path());
    std::filesystem::create_directories(path());
  }
  // What it may be filled from.
  std::vector<std::unique_ptr<SeedSource>> Sources() {
    std::vector<std::unique_ptr<SeedSource>> sources;
    for (const auto& [name, node] : peers)
      sources.push_back(std::make_unique<LocalSeedSource>(node, name, &seed_faults));
    return sources;
  }
  // For other threads than the one that stops it, which waits for them; null if it is stopped.
  std::shared_ptr<Follower> Hold() const {
    MutexLock lock(&mutex_);
    return follower_;
  }
  template <typename Call>
  auto Ask(const Call& call) -> decltype(call(std::declval<Follower&>())) {
    const auto follower = Hold();
    if (follower == nullptr) return absl::UnavailableError("does not answer");
    return call(*follower);
  }
  std::vector<std::pair<std::string, TestNode*>> peers;
  LocalSeedSource::Faults seed_faults;
  bool running() const { return Hold() != nullptr; }
  Engine& engine() { return *engine_; }
  Follower& follower() { return *follower_; }
  const std::string& path() const { return directory_.path(); }
  std::string log = "log";  // that it follows
  uint32_t last_slot = kClusterSlots - 1;
  size_t page_bytes = 1000;
  absl::Duration patience = absl::Milliseconds(200);
  std::atomic<bool> cut_off{false};  // from the log
  std::atomic<uint64_t> ends_at{0};  // what it is told of where the log ends, if it is not 0

 private:
  MemoryLogs& logs_;
  const uint32_t first_slot_;
  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  mutable Mutex mutex_;
  std::shared_ptr<Follower> follower_;
};

inline absl::StatusOr<Seed> LocalSeedSource::Open() {
  if (faults_.gone) return absl::UnavailableError("is gone");
  return node_.Ask([](Follower& follower) { return follower.OpenSeed(); });
}
inline absl::StatusOr<Seed> LocalSeedSource::OpenSnapshot(const SnapshotInfo& which) {
  if (faults_.gone) return absl::UnavailableError("is gone");
  return node_.Ask([&](Follower& follower) { return follower.OpenSnapshot(which); });
}
inline absl::StatusOr<std::string> LocalSeedSource::Read(const std::string& seed, const std::string& path,
                                                         uint64_t offset, size_t bytes) {
  if (bytes > 0 && ++faults_.reads > faults_.breaks_after && faults_.breaks_after >= 0)
    return absl::UnavailableError("broken off");
  auto read = node_.Ask([&](Follower& follower) { return follower.seeds().Read(seed, path, offset, bytes); });
  if (read.ok() && path.ends_with(".sst") && tables_++ == faults_.spoils) (*read)[read->size() / 2] ^= 1;
  return read;
}
inline void LocalSeedSource::Close(const std::string& seed) {
  node_
      .Ask([&](Follower& follower) -> absl::Status {
        follower.seeds().Close(seed);
        return absl::OkStatus();
      })
      .IgnoreError();
}

// How a gateway sees it.
class LocalReplica final : public ReplicaNode {
 public:
  explicit LocalReplica(TestNode* node) : node_(*node) {}
  Engine& engine() override { return node_.engine(); }
  absl::StatusOr<NodeState> State() override {
    return node_.Ask([this](Follower& follower) -> absl::StatusOr<NodeState> {
      NodeState state;
      state.collections = node_.engine().ListCollections();
      state.aliases = node_.engine().ListAliases();
      state.stats = node_.engine().Stats();
      state.replica = follower.State();
      return state;
    });
  }
  void SetLog(uint64_t identity) override { log_ = identity; }
  absl::StatusOr<Engine*> EngineAt(uint64_t position, SteadyTime) override {
    return node_.Ask([&](Follower& follower) -> absl::StatusOr<Engine*> {
      if (const absl::Status other = follower.CheckLog(log_); !other.ok()) return other;
      if (const absl::Status behind = follower.Check(position); !behind.ok()) return behind;
      return &node_.engine();
    });
  }
  void Await(uint64_t position, SteadyTime deadline, absl::AnyInvocable<void(absl::Status)> done) override {
    const auto follower = node_.Hold();
    if (follower == nullptr) return done(Gone());
    if (const absl::Status other = follower->CheckLog(log_); !other.ok()) return done(other);
    follower->Await(position, deadline, std::move(done));
  }
  void Prepare(UpsertRequest request, uint64_t position, SteadyTime,
               absl::AnyInvocable<void(absl::StatusOr<PreparedChange>)> done) override {
    const auto follower = node_.Hold();
    if (follower == nullptr) return done(Gone());
    if (const absl::Status other = follower->CheckLog(log_); !other.ok()) return done(other);
    if (const absl::Status behind = follower->Check(position); !behind.ok()) return done(behind);
    follower->Prepare(std::move(request), std::move(done));
  }
  void Outcome(const LogPlace& place, uint32_t number, SteadyTime deadline,
               absl::AnyInvocable<void(absl::StatusOr<ChangeOutcome>)> done) override {
    const auto follower = node_.Hold();
    if (follower == nullptr) return done(Gone());
    if (const absl::Status other = follower->CheckLog(log_); !other.ok()) return done(other);
    follower->Outcome(place, number, deadline, std::move(done));
  }
  absl::StatusOr<PreparedBackfill> PrepareBackfill(const std::string& collection, const std::string& version,
                                                   const std::string& after, uint32_t most_documents, uint64_t position,
                                                   SteadyTime deadline) override {
    if (absl::Status status = Reach(position, deadline); !status.ok()) return status;
    return node_.Ask(
        [&](Follower& follower) { return follower.PrepareBackfill(collection, version, after, most_documents); });
  }
  void CheckRoomFor(const AttributeUpdate& update, SteadyTime, absl::AnyInvocable<void(absl::Status)> done) override {
    done(node_.Ask([&](Follower& follower) { return follower.CheckRoomFor(update.collection, update.change); }));
  }
  absl::StatusOr<CollectionDigest> Digest(const std::string& collection, uint64_t position, uint64_t bytes_per_s,
                                          SteadyTime deadline, std::shared_ptr<std::atomic<bool>> cancelled) override {
    if (absl::Status status = Reach(position, deadline); !status.ok()) return status;
    return node_.Ask(
        [&](Follower& follower) { return follower.Digest(collection, position, bytes_per_s, cancelled.get()); });
  }
  absl::StatusOr<std::vector<ReplicaSnapshot>> Snapshots(const std::string& collection, uint64_t position,
                                                         SteadyTime deadline) override {
    if (absl::Status status = Reach(position, deadline); !status.ok()) return status;
    return node_.Ask([&](Follower& follower) { return follower.ListSnapshots(collection); });
  }
  absl::Status CheckSnapshot(const SnapshotInfo& which, SteadyTime) override {
    return node_.Ask([&](Follower& follower) { return follower.CheckSnapshot(which); });
  }

 private:
  absl::Status Reach(uint64_t position, SteadyTime deadline) {
    auto reached = std::make_shared<std::promise<absl::Status>>();
    Await(position, std::min(deadline, SteadyNow() + absl::Seconds(20)),
          [reached](absl::Status s) { reached->set_value(std::move(s)); });
    return reached->get_future().get();
  }
  static absl::Status Gone() { return absl::UnavailableError("does not answer"); }
  TestNode& node_;
  std::atomic<uint64_t> log_{0};
};

inline std::string Text(const Attributes& attributes) {
  std::string text;
  for (const auto& [name, value] : attributes) absl::StrAppend(&text, name, "#", value.index(), " ");
  return text;
}

inline std::vector<std::string> Lines(const absl::StatusOr<SearchResult>& result) {
  if (!result.ok()) return {result.status().ToString()};
  std::vector<std::string> lines = result->warnings;
  for (const auto& list : result->hits) {
    for (const SearchHit& hit : list) {
      lines.push_back(absl::StrCat(hit.id, " ", absl::Hex(std::bit_cast<uint32_t>(hit.score)), " ",
                                   static_cast<int>(hit.score_kind), " ", hit.version, " ", Text(hit.attributes),
                                   hit.explanation != nullptr ? hit.explanation->nearer_share : 0));
      Attributes group;
      if (hit.group.has_value()) group["group"] = *hit.group;
      absl::StrAppend(&lines.back(), Text(group));
    }
  }
  lines.push_back(absl::StrCat("scanned ", result->scanned_share));
  return lines;
}

inline std::vector<std::string> Lines(absl::StatusOr<UpsertResult> result) {
  if (!result.ok()) return {std::string(result.status().message())};
  std::vector<std::string> lines = {absl::StrCat(result->documents, " ", result->created)};
  for (auto* ids : {&result->unknown_ids, &result->skipped_ids}) {
    std::sort(ids->begin(), ids->end());
    lines.insert(lines.end(), ids->begin(), ids->end());
    lines.push_back("-");
  }
  for (const DocumentProblem& problem : result->problems)
    lines.push_back(absl::StrCat(problem.index, " ", problem.id, " ", problem.status.ToString()));
  return lines;
}

inline std::vector<std::string> Lines(absl::StatusOr<ChangeResult> result) {
  if (!result.ok()) return {std::string(result.status().message())};
  std::vector<std::string> lines = result->warnings;
  std::sort(result->unknown_ids.begin(), result->unknown_ids.end());
  lines.insert(lines.end(), result->unknown_ids.begin(), result->unknown_ids.end());
  lines.push_back(absl::StrCat(result->documents));
  return lines;
}

template <typename Result, typename Call>
absl::StatusOr<Result> AwaitCall(const Call& call) {
  auto outcome = std::make_shared<std::promise<absl::StatusOr<Result>>>();
  call([outcome](absl::StatusOr<Result> result) { outcome->set_value(std::move(result)); });
  return outcome->get_future().get();
}

class ReplicatedTest : public ::testing::TestWithParam<std::pair<size_t, size_t>> {
 protected:
  static constexpr size_t kGateways = 2;

  void SetUp() override {
    ASSERT_TRUE(logs_.Create("log").ok());
    const auto [shares, replicas] = GetParam();
    for (size_t share = 0; share < shares; ++share) {
      for (size_t r = 0; r < replicas; ++r)
        nodes_.push_back(std::make_unique<TestNode>(&logs_, kClusterSlots * share / shares));
    }
    for (size_t n = 0; n < nodes_.size(); ++n) {
      nodes_[n]->Stop();
      nodes_[n]->last_slot = static_cast<uint32_t>(kClusterSlots * (n / replicas + 1) / shares) - 1;
      for (size_t r = n - n % replicas; r < n - n % replicas + replicas; ++r) {
        if (r != n) nodes_[n]->peers.push_back({absl::StrCat("n", r), nodes_[r].get()});
      }
      nodes_[n]->Start();
    }
    for (size_t g = 0; g < kGateways; ++g) gateways_.push_back(Gateway(absl::StrCat("g", g)));
    for (const auto& gateway : gateways_) ASSERT_TRUE(Until([&] { return gateway->Ready().ok(); }));
    one_ = *Engine::Open({.data_dir = directory_.path(), .threads = 1});
  }
  // How gateways keep their members; as it is they stay.
  virtual MembersOptions Keeping() { return {}; }
  std::unique_ptr<GatewayEngine> Gateway(const std::string& name,
                                         absl::Duration compare_interval = absl::ZeroDuration(),
                                         const std::string& log = "log") {
    const auto [shares, replicas] = GetParam();
    std::vector<ReplicaMember> members;
    for (size_t n = 0; n < shares * replicas; ++n) {  // those that there were first
      const size_t share = n / replicas;
      members.push_back(
          {{absl::StrCat("n", n), absl::StrCat("here:", n), static_cast<uint32_t>(kClusterSlots * share / shares),
            static_cast<uint32_t>(kClusterSlots * (share + 1) / shares) - 1},
           std::make_unique<LocalReplica>(nodes_[n].get())});
    }
    const auto open = [this, log]() -> absl::StatusOr<std::unique_ptr<Log>> {
      return std::make_unique<AbsentLog>(*logs_.Open(log), &log_gone_);
    };
    memberships_.push_back(nullptr);
    return MakeReplicatedEngine(std::move(members),
                                {.open = open,
                                 .open_to_ask = open,
                                 .writer = name,
                                 .timeout = absl::Seconds(5),
                                 .compare_interval = compare_interval,
                                 .members = Keeping()},
                                &memberships_.back());
  }
  void TearDown() override {
    gateways_.clear();
    for (auto& node : nodes_) node->Stop();  // they ask each other
    nodes_.clear();
  }

  size_t Number(size_t most) { return std::uniform_int_distribution<size_t>(0, most)(random_); }
  bool Sometimes(size_t of = 2) { return Number(of - 1) == 0; }
  GatewayEngine& gateway() { return *gateways_[Number(kGateways - 1)]; }
  const std::vector<float>& Row() { return rows_[Number(rows_.size() - 1)]; }
  std::string Id() { return absl::StrCat("d", Number(200)); }
  Attributes SomeAttributes() {
    Attributes attributes;
    attributes["n"] = static_cast<int64_t>(Number(20));
    if (Sometimes()) attributes["name"] = absl::StrCat("name ", Number(5));
    if (Sometimes(8)) attributes["text"] = std::string(300, 'x');
    return attributes;
  }
  // The same call to both.
  template <typename Result, typename Call>
  void Both(const Call& call) {
    const auto cluster = AwaitCall<Result>([&](auto done) { call(gateway(), std::move(done)); });
    const auto single = AwaitCall<Result>([&](auto done) { call(*one_, std::move(done)); });
    ASSERT_EQ(Lines(cluster), Lines(single));
  }
  void Barrier(const std::function<absl::Status(Engine&)>& call) {
    const absl::Status cluster = call(gateway()), single = call(*one_);
    ASSERT_EQ(cluster.code(), single.code()) << cluster << single;
  }

  void WriteSomething() { WriteSomethingTo(Sometimes(4) ? "alias" : "c"); }
  void WriteSomethingTo(const std::string& collection) {
    switch (Number(9)) {
      case 0: {
        std::vector<std::string> ids = {Id(), Id(), Id()};
        return Both<ChangeResult>([&](Engine& e, auto done) { e.Delete(collection, ids, std::move(done)); });
      }
      case 1: {
        AttributeUpdate update{.collection = collection, .ids = {Id(), Id()}};
        update.change.set["n"] = static_cast<int64_t>(Number(30));
        if (Sometimes()) update.change.remove = {"name"};
        return Both<ChangeResult>([&](Engine& e, auto done) { e.UpdateAttributes(update, std::move(done)); });
      }
      case 2: {
        AttributeUpdate update{.collection = collection, .filter = absl::StrCat("n = ", Number(30))};
        update.change.set["m"] = static_cast<int64_t>(Number(9));
        return Both<ChangeResult>([&](Engine& e, auto done) { e.UpdateAttributes(update, std::move(done)); });
      }
      case 3: {
        FilteredDeletion deletion{.collection = collection, .filter = absl::StrCat("n = ", Number(30), " AND m > 3")};
        return Both<ChangeResult>([&](Engine& e, auto done) { e.DeleteByFilter(deletion, std::move(done)); });
      }
      default:
        return UpsertSomething(collection);
    }
  }
  void UpsertSomething(const std::string& collection) {
    UpsertRequest request{.collection = collection};
    request.mode = static_cast<UpsertMode>(Number(2));
    const bool merge = request.mode == UpsertMode::kMerge;
    request.only_if_absent = !merge && Sometimes(4);
    if (!merge && Sometimes(4)) request.only_if_newer_by = "n";
    request.partial = Sometimes(3);
    const size_t count = 1 + Number(12);
    for (size_t i = 0; i < count; ++i) {
      DocumentInput document{.id = Id()};
      if (!merge) document.attributes = SomeAttributes();
      if (Sometimes(20)) document.attributes["f"] = std::numeric_limits<double>::infinity();
      if (versions_.size() == 1 || Sometimes()) document.embeddings.push_back({versions_[0], Row()});
      if (versions_.size() > 1 && (document.embeddings.empty() || Sometimes()))
        document.embeddings.push_back({versions_[1], Row()});
      request.documents.push_back(std::move(document));
    }
    Both<UpsertResult>([&](Engine& e, auto done) { e.Upsert(request, std::move(done)); });
  }
  void Compare() {
    for (int i = 0; i < 6; ++i) {
      SearchRequest request{.collection = Sometimes() ? "alias" : "c", .queries = {Row(), Row()}, .k = 1 + Number(30)};
      request.version = versions_[Number(versions_.size() - 1)];
      if (Sometimes()) request.rerank = Number(40);
      if (Sometimes()) request.filter = absl::StrCat("n < ", Number(30));
      request.with_attributes = true;
      // These ask the nodes several times.
      if (Sometimes(3)) request.probe = 0.1f * static_cast<float>(Number(9));
      request.explain = Sometimes(4);
      if (Sometimes(3)) {
        request.group_by = Sometimes() ? "n" : "name";
        request.group_size = 1 + Number(3);
        if (request.rerank > 0) request.rerank += request.k * request.group_size;
      }
      Both<SearchResult>([&](Engine& e, auto done) { e.Search(request, std::move(done)); });
    }
    EXPECT_EQ(*gateway().Count("c", ""), *one_->Count("c", ""));
    const std::vector<std::string> ids = {Id(), Id(), Id(), Id()};
    const auto got = gateway().Get("c", ids, true), single = one_->Get("c", ids, true);
    ASSERT_TRUE(got.ok()) << got.status();
    ASSERT_EQ(got->size(), single->size());
    for (size_t i = 0; i < got->size(); ++i) {
      EXPECT_EQ((*got)[i].id, (*single)[i].id);
      EXPECT_EQ((*got)[i].attributes, (*single)[i].attributes);
      EXPECT_EQ((*got)[i].embeddings.size(), (*single)[i].embeddings.size());
    }
  }
  // Every replica of a share by itself, once they have the same position.
  void CompareReplicas() {
    const uint64_t position = [&] { return (*logs_.Open("log"))->State()->head.position; }();
    const auto [shares, replicas] = GetParam();
    for (size_t n = 0; n < nodes_.size(); ++n) {
      if (!nodes_[n]->running()) nodes_[n]->Start();
      const absl::Status reached = Reached(*nodes_[n], position);
      ASSERT_TRUE(reached.ok()) << reached;
      const size_t first = n - n % replicas;
      const auto digest = nodes_[n]->follower().Digest("c"), other = nodes_[first]->follower().Digest("c");
      ASSERT_TRUE(digest.ok() && other.ok()) << digest.status() << other.status();
      EXPECT_EQ(digest->digest, other->digest) << n;
    }
  }
  // Once it has applied that, filled or not.
  static absl::Status Reached(TestNode& node, uint64_t position) {
    absl::Status reached;
    for (int i = 0; i < 4000; ++i) {
      reached = node.follower().Check(position);
      if (reached.ok()) return reached;
      absl::SleepFor(absl::Milliseconds(5));
    }
    return reached;
  }
  // Stops one node, of a share whose others run, or starts one.
  void Disturb() {
    const auto [shares, replicas] = GetParam();
    TestNode& node = *nodes_[Number(nodes_.size() - 1)];
    if (!node.running()) {
      node.page_bytes = Sometimes() ? 100 : 100000;
      if (Sometimes(4)) node.Empty();
      return node.Start();
    }
    const size_t first = kReplicaOf(node);
    size_t running = 0;
    for (size_t r = 0; r < replicas; ++r) running += nodes_[first + r]->running() ? 1 : 0;
    // One that is being filled may need it.
    for (size_t r = 0; r < replicas; ++r) {
      if (!nodes_[first + r]->running()) continue;
      ASSERT_TRUE(Reached(*nodes_[first + r], 1).ok());
    }
    if (running > 1) node.Stop();
    if (Sometimes(3) && running == replicas) TrimAll();
  }
  // What all nodes that run have applied, and somebody of each share does. Those that do not run may need it.
  void TrimAll() {
    const uint64_t head = (*logs_.Open("log"))->State()->head.position;
    for (auto& node : nodes_) {
      if (!node->running()) continue;
      const absl::Status reached = Reached(*node, head);
      ASSERT_TRUE(reached.ok()) << reached;
    }
    ASSERT_TRUE((*logs_.Open("log"))->Trim(head).ok());
  }
  size_t kReplicaOf(const TestNode& node) const {
    const size_t replicas = GetParam().second;
    for (size_t n = 0; n < nodes_.size(); ++n) {
      if (nodes_[n].get() == &node) return n - n % replicas;
    }
    return 0;
  }

  std::mt19937 random_{7};
  const std::vector<std::vector<float>> rows_ = [] {
    std::vector<std::vector<float>> rows;
    for (uint32_t i = 0; i < 12; ++i) rows.push_back(RandomRow(kDims, i));
    return rows;
  }();
  static std::vector<float> RandomRow(uint32_t dims, uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> row(dims);
    for (float& value : row) value = normal(random);
    return row;
  }
  std::vector<std::string> versions_ = {"v1"};
  MemoryLogs logs_;
  std::atomic<bool> log_gone_{false};
  TemporaryDirectory directory_;
  std::unique_ptr<Engine> one_;
  std::vector<std::unique_ptr<TestNode>> nodes_;
  std::vector<std::unique_ptr<GatewayEngine>> gateways_;
  std::vector<Membership*> memberships_;  // theirs
};

// Its space is in groups.
inline std::string Model(uint32_t seed) {
  return RandomModelFile(kDims, WithGroups(*ParseCodeSpec("40x3+24x1"), 5), 6, seed);
}

}  // namespace bebr::testing

#endif  // BEBR_TESTS_MODEL_REPLICATED_FIXTURE_H_
