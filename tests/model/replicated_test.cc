// Nodes that hold replicas and follow a log, behind gateways, against one engine that gets the same calls: id for id,
// score for score, while nodes go and come back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "index/base/checksum.h"
#include "index/cluster/log_layout.h"
#include "index/cluster/no_writes.h"
#include "index/cluster/replicated_engine.h"
#include "index/follow/follower.h"
#include "index/log/memory_log.h"
#include "index/replica/log_change.h"
#include "index/replica/log_record.h"
#include "tests/support/engine_calls.h"
#include "tests/support/test_models.h"

namespace bebr::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

constexpr uint32_t kDims = 20;

// A log that does not answer while the test will.
class AbsentLog final : public Log {
 public:
  AbsentLog(std::unique_ptr<Log> log, const std::atomic<bool>* gone, const std::atomic<uint64_t>* ends_at = nullptr)
      : log_(std::move(log)), gone_(*gone), ends_at_(ends_at) {}
  absl::StatusOr<LogWriter> BeginWriter(std::string_view name) override {
    return Gone().ok() ? log_->BeginWriter(name) : Gone();
  }
  absl::StatusOr<LogPlace> Append(const LogWriter& writer, uint64_t number,
                                  absl::Span<const LogRecord> records) override {
    if (!Gone().ok()) return Gone();
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
  int appends_ = 0;
};

// A node of this process: an engine and what follows the log for it. It stops and starts as the test will.
class TestNode final {
 public:
  TestNode(MemoryLogs* logs, uint32_t first_slot) : logs_(*logs), first_slot_(first_slot) { Start(); }
  void Start() {
    auto opened = *LogEngine::Open({.data_dir = directory_.path(), .threads = 1});
    engine_ = std::move(opened.engine);
    auto follower = Follower::Open(opened.log,
                                   [this]() -> absl::StatusOr<std::unique_ptr<Log>> {
                                     return std::make_unique<AbsentLog>(*logs_.Open("log"), &cut_off, &ends_at);
                                   },
                                   {.data_dir = directory_.path(),
                                    .first_slot = first_slot_,
                                    .poll = absl::Milliseconds(5),
                                    .page_bytes = page_bytes,
                                    .patience = patience});
    ASSERT_TRUE(follower.ok()) << follower.status();
    follower_ = *std::move(follower);
  }
  void Stop() {
    follower_.reset();
    engine_.reset();
  }
  bool running() const { return follower_ != nullptr; }
  Engine& engine() { return *engine_; }
  Follower& follower() { return *follower_; }
  const std::string& path() const { return directory_.path(); }
  size_t page_bytes = 1000;
  absl::Duration patience = absl::Milliseconds(200);
  std::atomic<bool> cut_off{false};  // from the log
  std::atomic<uint64_t> ends_at{0};  // what it is told of where the log ends, if it is not 0

 private:
  MemoryLogs& logs_;
  const uint32_t first_slot_;
  TemporaryDirectory directory_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Follower> follower_;
};

// How a gateway sees it.
class LocalReplica final : public ReplicaNode {
 public:
  explicit LocalReplica(TestNode* node) : node_(*node) {}
  Engine& engine() override { return node_.engine(); }
  absl::StatusOr<NodeState> State() override {
    if (!node_.running()) return Gone();
    NodeState state;
    state.collections = node_.engine().ListCollections();
    state.aliases = node_.engine().ListAliases();
    state.stats = node_.engine().Stats();
    state.replica = node_.follower().State();
    return state;
  }
  absl::StatusOr<Engine*> EngineAt(uint64_t position, SteadyTime) override {
    if (!node_.running()) return Gone();
    if (const absl::Status behind = node_.follower().Check(position); !behind.ok()) return behind;
    return &node_.engine();
  }
  void Await(uint64_t position, SteadyTime deadline, absl::AnyInvocable<void(absl::Status)> done) override {
    if (!node_.running()) return done(Gone());
    node_.follower().Await(position, deadline, std::move(done));
  }
  void Prepare(UpsertRequest request, uint64_t position, SteadyTime,
               absl::AnyInvocable<void(absl::StatusOr<PreparedChange>)> done) override {
    if (!node_.running()) return done(Gone());
    if (const absl::Status behind = node_.follower().Check(position); !behind.ok()) return done(behind);
    node_.follower().Prepare(std::move(request), std::move(done));
  }
  void Outcome(uint64_t position, uint32_t number, SteadyTime deadline,
               absl::AnyInvocable<void(absl::StatusOr<ChangeOutcome>)> done) override {
    if (!node_.running()) return done(Gone());
    node_.follower().Outcome({position, number}, deadline, std::move(done));
  }
  absl::StatusOr<PreparedBackfill> PrepareBackfill(const std::string& collection, const std::string& version,
                                                   const std::string& after, uint32_t most_documents, uint64_t position,
                                                   SteadyTime deadline) override {
    if (absl::Status status = Reach(position, deadline); !status.ok()) return status;
    return node_.follower().PrepareBackfill(collection, version, after, most_documents);
  }
  void CheckRoomFor(const AttributeUpdate& update, SteadyTime, absl::AnyInvocable<void(absl::Status)> done) override {
    done(node_.running() ? node_.follower().CheckRoomFor(update.collection, update.change) : Gone());
  }
  absl::StatusOr<CollectionDigest> Digest(const std::string& collection, uint64_t position, uint64_t bytes_per_s,
                                          SteadyTime deadline, std::shared_ptr<std::atomic<bool>> cancelled) override {
    if (absl::Status status = Reach(position, deadline); !status.ok()) return status;
    return node_.follower().Digest(collection, position, bytes_per_s, cancelled.get());
  }

 private:
  absl::Status Reach(uint64_t position, SteadyTime deadline) {
    auto reached = std::make_shared<std::promise<absl::Status>>();
    Await(position, std::min(deadline, SteadyNow() + absl::Seconds(20)),
          [reached](absl::Status s) { reached->set_value(std::move(s)); });
    const absl::Status status = reached->get_future().get();
    return status.ok() && !node_.running() ? Gone() : status;
  }
  static absl::Status Gone() { return absl::UnavailableError("does not answer"); }
  TestNode& node_;
};

std::string Text(const Attributes& attributes) {
  std::string text;
  for (const auto& [name, value] : attributes) absl::StrAppend(&text, name, "#", value.index(), " ");
  return text;
}

std::vector<std::string> Lines(const absl::StatusOr<SearchResult>& result) {
  if (!result.ok()) return {result.status().ToString()};
  std::vector<std::string> lines = result->warnings;
  for (const auto& list : result->hits) {
    for (const SearchHit& hit : list) {
      lines.push_back(absl::StrCat(hit.id, " ", absl::Hex(std::bit_cast<uint32_t>(hit.score)), " ",
                                   static_cast<int>(hit.score_kind), " ", hit.version, " ", Text(hit.attributes)));
    }
  }
  return lines;
}

std::vector<std::string> Lines(absl::StatusOr<UpsertResult> result) {
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

std::vector<std::string> Lines(absl::StatusOr<ChangeResult> result) {
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
    for (size_t g = 0; g < kGateways; ++g) gateways_.push_back(Gateway(absl::StrCat("g", g)));
    one_ = *Engine::Open({.data_dir = directory_.path(), .threads = 1});
  }
  std::unique_ptr<GatewayEngine> Gateway(const std::string& name,
                                         absl::Duration compare_interval = absl::ZeroDuration()) {
    const auto [shares, replicas] = GetParam();
    std::vector<ReplicaMember> members;
    for (size_t n = 0; n < nodes_.size(); ++n) {
      const size_t share = n / replicas;
      members.push_back({{absl::StrCat("n", n), "here", static_cast<uint32_t>(kClusterSlots * share / shares),
                          static_cast<uint32_t>(kClusterSlots * (share + 1) / shares) - 1},
                         std::make_unique<LocalReplica>(nodes_[n].get())});
    }
    const auto open = [this]() -> absl::StatusOr<std::unique_ptr<Log>> {
      return std::make_unique<AbsentLog>(*logs_.Open("log"), &log_gone_);
    };
    return MakeReplicatedEngine(std::move(members), {.open = open,
                                                     .open_to_ask = open,
                                                     .writer = name,
                                                     .timeout = absl::Seconds(5),
                                                     .compare_interval = compare_interval});
  }
  void TearDown() override {
    gateways_.clear();
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
  static absl::Status Reached(TestNode& node, uint64_t position) {
    auto reached = std::make_shared<std::promise<absl::Status>>();
    node.follower().Await(position, SteadyNow() + absl::Seconds(20),
                          [reached](absl::Status s) { reached->set_value(s); });
    return reached->get_future().get();
  }
  // Stops one node, of a share whose others run, or starts one.
  void Disturb() {
    const auto [shares, replicas] = GetParam();
    TestNode& node = *nodes_[Number(nodes_.size() - 1)];
    if (!node.running()) {
      node.page_bytes = Sometimes() ? 100 : 100000;
      return node.Start();
    }
    const size_t first = kReplicaOf(node);
    size_t running = 0;
    for (size_t r = 0; r < replicas; ++r) running += nodes_[first + r]->running() ? 1 : 0;
    if (running > 1) node.Stop();
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
};

std::string Model(uint32_t seed) { return RandomModelFile(kDims, *ParseCodeSpec("40x3+24x1"), 4, seed); }

class ReplicatedFaultsTest : public ReplicatedTest {};

TEST_P(ReplicatedTest, IsOneEngineWhileNodesComeAndGo) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 3};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  Barrier([&](Engine& e) { return e.SetAlias("alias", "c", ""); });
  for (int round = 0; round < 45; ++round) {
    for (int i = 0; i < 6; ++i) WriteSomething();
    if (HasFatalFailure()) return;
    Compare();
    if (HasFatalFailure()) return;
    Disturb();
    if (round == 15) {
      Barrier([&](Engine& e) { return e.AddVersion("c", {.name = "v2"}, Model(2)); });
      versions_.push_back("v2");
    }
    if (round == 25) Barrier([&](Engine& e) { return e.PromoteVersion("alias", "v2", "v1", true); });
    if (round == 26) Barrier([&](Engine& e) { return e.PromoteVersion("c", "v2", "v1", true); });
    if (round == 35) {
      Barrier([&](Engine& e) { return e.RetireVersion("c", "v2"); });
      Barrier([&](Engine& e) { return e.RetireVersion("c", "v1"); });
      // Some documents are of it alone.
      FilteredDeletion all{.collection = "c", .filter = "id >= \"\""};
      Both<ChangeResult>([&](Engine& e, auto done) { e.DeleteByFilter(all, std::move(done)); });
      Barrier([&](Engine& e) { return e.RetireVersion("c", "v1"); });
      versions_ = {"v2"};
    }
  }
  CompareReplicas();
  Barrier([&](Engine& e) { return e.DeleteCollection("c"); });
  Barrier([&](Engine& e) { return e.DeleteAlias("alias"); });
  Barrier([&](Engine& e) { return e.DeleteCollection("c"); });
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  versions_ = {"v1"};
  Barrier([&](Engine& e) { return e.SetAlias("alias", "c", std::nullopt); });
  for (int i = 0; i < 10; ++i) WriteSomething();
  Compare();
  CompareReplicas();
}

// Floats that replicas store are encoded for another version, by one of them for all, while documents are written.
TEST_P(ReplicatedTest, ABackfillIsThatOfOneEngine) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 3};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  Barrier([&](Engine& e) { return e.SetAlias("alias", "c", ""); });
  Barrier([&](Engine& e) { return e.StartBackfill("c", "v2", 0); });  // which there is not
  for (int i = 0; i < 30; ++i) WriteSomething();
  Barrier([&](Engine& e) { return e.AddVersion("c", {.name = "v2", .same_embeddings_as = "v1"}, Model(2)); });
  Barrier([&](Engine& e) { return e.AddVersion("c", {.name = "v3"}, Model(3)); });
  Barrier([&](Engine& e) { return e.StartBackfill("c", "v3", 0); });  // nothing has floats of it
  Barrier([&](Engine& e) { return e.PromoteVersion("c", "v2", "", /*force=*/false); });
  Barrier([&](Engine& e) { return e.StopBackfill("c", "v2"); });
  for (Engine* engine : std::vector<Engine*>{gateways_[0].get(), one_.get()}) {
    ASSERT_TRUE(engine->StartBackfill("alias", "v2", 0).ok());
    Disturb();
    for (int i = 0; i < 3; ++i) WriteSomething();
    const auto running = [&] {
      const auto info = engine->GetCollection("c");
      return !info.ok() || (info->versions[1].backfill.has_value() && info->versions[1].backfill->running);
    };
    for (int i = 0; i < 2000 && running(); ++i) absl::SleepFor(absl::Milliseconds(10));
    EXPECT_EQ(engine->GetCollection("c")->versions[1].backfill->error, "");
    EXPECT_GT(engine->GetCollection("c")->versions[1].backfill->written, 0u);
  }
  versions_ = {"v1", "v2"};
  if (HasFatalFailure()) return;
  Compare();
  Barrier([&](Engine& e) { return e.PromoteVersion("c", "v2", "", /*force=*/false); });
  Barrier([&](Engine& e) { return e.RetireVersion("c", "v1"); });
  versions_ = {"v2"};
  for (int i = 0; i < 5; ++i) Compare();
  CompareReplicas();
}

// Changes of attributes for which there is no room are refused before the log has them.
TEST_P(ReplicatedFaultsTest, UpdatesWithoutRoomAreNotInTheLog) {
  const CollectionConfig config{.name = "c", .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  for (int block = 0; block < 20; ++block) {
    UpsertRequest request{.collection = "c"};
    for (int d = 0; d < 12; ++d) {
      DocumentInput& document = request.documents.emplace_back();
      document.id = absl::StrCat("d", block, "-", d);
      document.embeddings.push_back({"v1", Row()});
      for (int name = 0; name < 50; ++name) document.attributes[absl::StrCat("n", block, "-", name)] = int64_t{1};
    }
    Both<UpsertResult>([&](Engine& e, auto done) { e.Upsert(request, std::move(done)); });
  }
  const auto head = [&] { return (*logs_.Open("log"))->State()->head.position; };
  const uint64_t before = head();
  AttributeUpdate update{.collection = "c", .ids = {"d0-0", "d1-1"}};
  update.change.set["one more"] = true;
  Both<ChangeResult>([&](Engine& e, auto done) { e.UpdateAttributes(update, std::move(done)); });
  const auto refused = AwaitCall<ChangeResult>([&](auto done) { gateway().UpdateAttributes(update, std::move(done)); });
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  update.ids.clear();
  update.filter = "n0-0 = 1";
  Both<ChangeResult>([&](Engine& e, auto done) { e.UpdateAttributes(update, std::move(done)); });
  EXPECT_EQ(head(), before);
  update.change.set = {{"n1-1", int64_t{2}}};
  Both<ChangeResult>([&](Engine& e, auto done) { e.UpdateAttributes(update, std::move(done)); });
  EXPECT_GT(head(), before);
}

// What was encoded for versions that change before it is in the log is encoded again, by all replicas' leave.
TEST_P(ReplicatedFaultsTest, VersionsChangeWhileDocumentsAreWritten) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  ASSERT_TRUE(gateway().CreateCollection(config, Model(1)).ok());
  std::atomic<bool> ending{false};
  std::atomic<int> written{0};
  std::vector<std::thread> writers;
  for (size_t w = 0; w < 3; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; !ending; ++i) {
        UpsertRequest request{.collection = "c"};
        for (int d = 0; d < 5; ++d)
          request.documents.push_back(
              {.id = absl::StrCat("w", w, "-", (i + d) % 40), .embeddings = {{"", rows_[(i + d) % 12]}}});
        const auto result = UpsertAndWait(*gateways_[w % kGateways], request);
        EXPECT_TRUE(result.ok() || absl::IsUnavailable(result.status())) << result.status();
        EXPECT_TRUE(!result.ok() || result->documents == 5);
        ++written;
      }
    });
  }
  for (int v = 2; v < 8; ++v) {
    const std::string name = absl::StrCat("v", v), before = absl::StrCat("v", v - 1);
    const int so_far = written;
    while (written < so_far + 10) std::this_thread::yield();
    EXPECT_TRUE(gateway().AddVersion("c", {.name = name, .same_embeddings_as = before}, Model(v)).ok());
    EXPECT_TRUE(gateway().PromoteVersion("c", name, "", /*force=*/true).ok());
    // Documents that were not written since are in the way.
    const absl::Status retired = gateway().RetireVersion("c", before);
    EXPECT_TRUE(retired.ok() || absl::IsFailedPrecondition(retired)) << retired;
  }
  ending = true;
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(gateway().GetCollection("c")->problem, "");
  CompareReplicas();
}

TEST_P(ReplicatedFaultsTest, WithoutTheLogSearchesGoOnAndSayThatTheyMayBeStale) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  UpsertSomething("c");
  log_gone_ = true;
  const SearchRequest request{.collection = "c", .queries = {Row()}, .k = 10};
  const auto found = SearchAndWait(gateway(), request);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(found->warnings, Contains(HasSubstr("may_be_stale: ")));
  EXPECT_TRUE(found->may_be_stale);
  EXPECT_EQ(found->hits[0].size(), SearchAndWait(*one_, request)->hits[0].size());
  const auto counted = gateway().Count({.collection = "c"});
  ASSERT_TRUE(counted.ok()) << counted.status();
  EXPECT_THAT(counted->warnings, Contains(HasSubstr("may_be_stale: ")));
  EXPECT_TRUE(counted->may_be_stale);
  uint64_t stale_answers = 0;
  for (const auto& one : gateways_) {
    for (const ShareReport& share : one->Report().shares) stale_answers += share.stale_answers;
  }
  EXPECT_GE(stale_answers, 2u);
  for (int i = 0; i < 1000 && gateways_[0]->Report().log->problem.empty(); ++i) absl::SleepFor(absl::Milliseconds(20));
  EXPECT_THAT(gateways_[0]->Report().log->problem, HasSubstr("the log is gone"));
  EXPECT_EQ(gateway().Get("c", std::vector<std::string>{"d1"}, false).status().code(), absl::StatusCode::kUnavailable);
  const auto written = DeleteAndWait(gateway(), "c", {"d1"});
  EXPECT_EQ(written.status().code(), absl::StatusCode::kUnavailable);
  log_gone_ = false;
  for (int i = 0; i < 1000 && !gateway().Get("c", std::vector<std::string>{"d1"}, false).ok(); ++i)
    absl::SleepFor(absl::Milliseconds(10));
  for (int i = 0; i < 10; ++i) WriteSomethingTo("c");
  EXPECT_EQ(*gateway().Count("c", ""), *one_->Count("c", ""));
  EXPECT_FALSE(SearchAndWait(gateway(), request)->may_be_stale);
  EXPECT_FALSE(gateway().Count({.collection = "c"})->may_be_stale);
}

// Replicas are compared at one position while others write; one that holds something else is told, and nobody else.
TEST_P(ReplicatedFaultsTest, ReplicasAreComparedWhileTheyChange) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  Barrier([&](Engine& e) { return e.SetAlias("alias", "c", std::nullopt); });
  for (int i = 0; i < 10; ++i) UpsertSomething("c");
  std::atomic<bool> ending{false};
  std::thread writer([&] {
    for (int i = 0; !ending; ++i) {
      UpsertRequest request{.collection = "c"};
      request.documents.push_back({.id = absl::StrCat("w", i % 50), .embeddings = {{"", rows_[i % 12]}}});
      EXPECT_TRUE(UpsertAndWait(*gateways_[1], request).ok());
    }
  });
  const auto [shares, replicas] = GetParam();
  for (int i = 0; i < 5; ++i) {
    const auto compared = gateways_[0]->Verify(i % 2 == 0 ? "alias" : "", nullptr);
    ASSERT_TRUE(compared.ok()) << compared.status();
    ASSERT_EQ(compared->size(), shares);
    for (const ShareComparison& one : *compared) {
      EXPECT_FALSE(one.differs);
      ASSERT_EQ(one.replicas.size(), replicas);
      for (const ReplicaDigest& replica : one.replicas) {
        EXPECT_TRUE(replica.status.ok()) << replica.status;
        EXPECT_GT(replica.documents, 0u);
      }
    }
  }
  ending = true;
  writer.join();
  EXPECT_EQ(gateway().Verify("nosuch", nullptr).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(gateways_[0]->Report().comparisons.equal, 5 * shares);
  // A document that no log has.
  const UpsertRequest stray{.collection = "c", .documents = {{.id = "stray", .embeddings = {{"", Row()}}}}};
  ASSERT_TRUE(UpsertAndWait(nodes_[0]->engine(), stray).ok());
  const auto compared = gateways_[0]->Verify("c", nullptr);
  ASSERT_TRUE(compared.ok()) << compared.status();
  EXPECT_TRUE((*compared)[0].differs);
  EXPECT_NE((*compared)[0].replicas[0].digest, (*compared)[0].replicas[1].digest);
  ASSERT_EQ(gateways_[0]->Report().differences.size(), 1u);
  const auto damaged = gateways_[0]->DamagedCollections();
  ASSERT_EQ(damaged.size(), 1u);
  EXPECT_THAT(damaged[0].reason, HasSubstr("differ, as they were after position"));
  EXPECT_TRUE(SearchAndWait(gateway(), {.collection = "c", .queries = {Row()}, .k = 3}).ok());
  // Who is not there is not compared, and says nothing of the difference.
  nodes_[1]->Stop();
  EXPECT_FALSE((*gateways_[0]->Verify("c", nullptr))[0].replicas[1].status.ok());
  EXPECT_EQ(gateways_[0]->Report().comparisons.failed, 1u);
  EXPECT_EQ(gateways_[0]->Report().differences.size(), 1u);
  for (int i = 0; i < 1000 && gateways_[0]->Report().shares[0].replicas[1].health != ReplicaHealth::kMissing; ++i)
    absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(gateways_[0]->Report().shares[0].replicas[1].health, ReplicaHealth::kMissing);
  EXPECT_EQ(gateways_[0]->Report().covered_slots(), kClusterSlots);
  nodes_[1]->Start();
  // The other one does the same.
  for (size_t r = 1; r < replicas; ++r) ASSERT_TRUE(UpsertAndWait(nodes_[r]->engine(), stray).ok());
  EXPECT_FALSE((*gateways_[0]->Verify("c", nullptr))[0].differs);
  EXPECT_TRUE(gateways_[0]->Report().differences.empty());
  // By itself, too.
  auto keeps_comparing = Gateway("g9", absl::Milliseconds(50));
  for (int i = 0; i < 1000 && keeps_comparing->Report().comparisons.equal < 2 * shares; ++i)
    absl::SleepFor(absl::Milliseconds(10));
  EXPECT_GE(keeps_comparing->Report().comparisons.equal, 2 * shares);
  // Whoever compares when the collection goes ends.
  ASSERT_TRUE(gateway().DeleteAlias("alias").ok());
  ASSERT_TRUE(gateway().DeleteCollection("c").ok());
}

TEST_P(ReplicatedFaultsTest, ALogThatWentBackQuarantinesWhoIsBeyondIt) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  for (int i = 0; i < 5; ++i) UpsertSomething("c");
  CompareReplicas();
  nodes_[0]->Stop();
  logs_.LoseBeyond("log", 3);
  nodes_[0]->Start();
  for (auto& node : nodes_) {
    for (int i = 0; i < 1000 && !node->follower().State().quarantined; ++i) absl::SleepFor(absl::Milliseconds(10));
    EXPECT_TRUE(node->follower().State().quarantined);
    EXPECT_THAT(std::string(node->follower().Check(0).message()), HasSubstr("quarantined"));
  }
  EXPECT_EQ(SearchAndWait(gateway(), {.collection = "c", .queries = {Row()}, .k = 1}).status().code(),
            absl::StatusCode::kUnavailable);
  // So it stays, whatever the log has later.
  nodes_[0]->Stop();
  nodes_[0]->Start();
  EXPECT_TRUE(nodes_[0]->follower().State().quarantined);
}

// What a record cannot say is refused before the log has it, so that nodes go on.
TEST_P(ReplicatedFaultsTest, WhatTheLogCannotSayIsRefused) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  const std::string longer(70000, 'x');
  Both<ChangeResult>([&](Engine& e, auto done) { e.Delete(longer, {"d1"}, std::move(done)); });
  for (const std::string& name : {longer, std::string(200, 'x')}) {
    AttributeUpdate update{.collection = "c", .ids = {"d1", "d2"}};
    update.change.set[name] = true;
    Both<ChangeResult>([&](Engine& e, auto done) { e.UpdateAttributes(update, std::move(done)); });
  }
  AttributeUpdate update{.collection = "c", .ids = {"d1"}};
  update.change.remove.assign(70000, "a");
  Both<ChangeResult>([&](Engine& e, auto done) { e.UpdateAttributes(update, std::move(done)); });
  update.change.remove = {longer};
  const auto updated = AwaitCall<ChangeResult>([&](auto done) { gateway().UpdateAttributes(update, std::move(done)); });
  EXPECT_EQ(updated.status().code(), absl::StatusCode::kInvalidArgument) << updated.status();
  EXPECT_TRUE(absl::IsInvalidArgument(gateway().DeleteCollection(longer)));
  EXPECT_TRUE(absl::IsInvalidArgument(gateway().SetAlias("alias", longer, "")));
  EXPECT_TRUE(absl::IsInvalidArgument(gateway().RetireVersion("c", longer)) ||
              absl::IsNotFound(gateway().RetireVersion("c", longer)));
  for (int i = 0; i < 10; ++i) WriteSomethingTo("c");
  CompareReplicas();
}

// A record that came through whole and says nothing: nobody can go on behind it, and so nobody serves as if it had.
TEST_P(ReplicatedFaultsTest, ARecordThatNobodyCanReadQuarantines) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  CompareReplicas();
  const LogChange damaged{.kind = LogChangeKind::kMutations, .name = "c", .record = "no record"};
  const std::string bytes = JoinLogChanges(std::vector<std::string>{*EncodeLogChange(damaged)});
  const auto log = *logs_.Open("log");
  ASSERT_TRUE(log->Append(*log->BeginWriter("other"), 1, std::vector<LogRecord>{{LogShardOf(0), bytes}}).ok());
  for (size_t n = 0; n < GetParam().second; ++n) {
    Follower& follower = nodes_[n]->follower();
    for (int i = 0; i < 1000 && !follower.State().quarantined; ++i) absl::SleepFor(absl::Milliseconds(10));
    EXPECT_TRUE(follower.State().quarantined);
    EXPECT_THAT(follower.State().problem, HasSubstr("position 2 of the log: "));
  }
}

// What a later release wrote is no refusal: the node stops before it, and goes on when it was upgraded.
TEST_P(ReplicatedFaultsTest, ARecordOfALaterReleaseStopsANode) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  CompareReplicas();
  std::string record = *EncodeLogRecord(1, {});
  record.resize(record.size() - sizeof(uint32_t));
  record[0] = 9;
  const uint32_t crc = Crc32c(record);
  record.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
  const LogChange later{.kind = LogChangeKind::kMutations, .name = "c", .record = record};
  const std::string bytes = JoinLogChanges(std::vector<std::string>{*EncodeLogChange(later)});
  const auto log = *logs_.Open("log");
  ASSERT_TRUE(log->Append(*log->BeginWriter("other"), 1, std::vector<LogRecord>{{LogShardOf(0), bytes}}).ok());
  Follower& follower = nodes_[0]->follower();
  for (int i = 0; i < 1000 && follower.State().problem.empty(); ++i) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_THAT(follower.State().problem, HasSubstr("upgrade it"));
  EXPECT_FALSE(follower.State().quarantined);
  EXPECT_EQ(follower.State().applied, 1u);
}

// That it cannot be opened here is no reason for which all refuse a change.
TEST_P(ReplicatedFaultsTest, ANodeWithoutItsCollectionStopsBeforeChangesOfIt) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  CompareReplicas();
  nodes_[0]->Stop();
  size_t damaged = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(nodes_[0]->path())) {
    if (file.path().filename() != "manifest.json") continue;
    std::filesystem::resize_file(file.path(), 10);
    ++damaged;
  }
  ASSERT_EQ(damaged, 1u);
  Barrier([&](Engine& e) { return e.SetAlias("alias", "c", ""); });
  nodes_[0]->Start();
  Follower& follower = nodes_[0]->follower();
  for (int i = 0; i < 1000 && follower.State().problem.empty(); ++i) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_THAT(follower.State().problem, HasSubstr("cannot be opened"));
  EXPECT_EQ(follower.State().applied, 1u);
  for (int i = 0; i < 5; ++i) WriteSomethingTo("alias");
}

// Of a replica that is behind what was seen before nothing is taken back: an alias least of all.
TEST_P(ReplicatedFaultsTest, AnAliasDoesNotGoBack) {
  CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  config.name = "d";
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  Barrier([&](Engine& e) { return e.SetAlias("alias", "c", ""); });
  CompareReplicas();
  // One of each share lags; then the other one goes.
  nodes_[0]->cut_off = nodes_[2]->cut_off = true;
  ASSERT_TRUE(gateways_[0]->SetAlias("alias", "d", "c").ok());
  EXPECT_EQ(gateways_[0]->Resolve("alias"), "d");
  for (int i = 0; i < 1000 && gateways_[1]->Resolve("alias") != "d"; ++i) absl::SleepFor(absl::Milliseconds(10));
  nodes_[1]->Stop();
  nodes_[3]->Stop();
  const UpsertRequest request{.collection = "alias", .documents = {{.id = "x", .embeddings = {{"", Row()}}}}};
  for (auto& gateway : gateways_)
    EXPECT_EQ(UpsertAndWait(*gateway, request).status().code(), absl::StatusCode::kUnavailable);
  for (auto& gateway : gateways_) EXPECT_EQ(gateway->Resolve("alias"), "d");
  nodes_[0]->cut_off = nodes_[2]->cut_off = false;
  for (auto& gateway : gateways_) {
    const auto written = UpsertAndWait(*gateway, request);
    EXPECT_TRUE(written.ok()) << written.status();
    EXPECT_EQ(*gateway->Count("c", ""), 0u);
    EXPECT_EQ(*gateway->Count("d", ""), 1u);
  }
}

// A leader that was deposed and does not know it ends before what nodes have from the new one.
TEST_P(ReplicatedFaultsTest, ALogThatEndsEarlierForAMomentIsAskedAgain) {
  const CollectionConfig config{.name = "c", .store_floats = FloatStorage::kFloat32, .shards = 2};
  Barrier([&](Engine& e) { return e.CreateCollection(config, Model(1)); });
  for (int i = 0; i < 3; ++i) UpsertSomething("c");
  CompareReplicas();
  nodes_[0]->Stop();
  nodes_[0]->patience = absl::InfiniteDuration();
  nodes_[0]->Start();
  nodes_[0]->ends_at = 1;
  Follower& follower = nodes_[0]->follower();
  for (int i = 0; i < 1000 && follower.State().problem.empty(); ++i) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_THAT(follower.State().problem, HasSubstr("it ends at 1"));
  EXPECT_FALSE(follower.State().quarantined);
  nodes_[0]->ends_at = 0;
  for (int i = 0; i < 3; ++i) UpsertSomething("c");
  CompareReplicas();
  EXPECT_EQ(follower.State().problem, "");
}

TEST(LogLayoutTest, ALogIsForTheSharesThatItWasMadeFor) {
  MemoryLogs logs;
  ASSERT_TRUE(logs.Create("cluster").ok());
  const NodePlace low{.name = "a", .first_slot = 0, .last_slot = 511},
      high{.name = "b", .first_slot = 512, .last_slot = 1023};
  const NodePlace all{.name = "c", .first_slot = 0, .last_slot = 1023};
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(ClaimLayout(logs, {low, high}).ok());
  EXPECT_TRUE(ClaimLayout(logs, {high, low, low}).ok());  // more replicas
  const absl::Status other = ClaimLayout(logs, {all, all});
  EXPECT_EQ(other.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(other.message()), HasSubstr("begin at slots 0, 512, and in cluster_nodes they begin at 0: "));
  EXPECT_EQ(logs.Names()->size(), 2u);
}

INSTANTIATE_TEST_SUITE_P(Shapes, ReplicatedFaultsTest, ::testing::Values(std::pair<size_t, size_t>{2, 2}));
INSTANTIATE_TEST_SUITE_P(Shapes, ReplicatedTest,
                         ::testing::Values(std::pair<size_t, size_t>{1, 2}, std::pair<size_t, size_t>{2, 2},
                                           std::pair<size_t, size_t>{1, 3}, std::pair<size_t, size_t>{3, 1}));

}  // namespace
}  // namespace bebr::testing
