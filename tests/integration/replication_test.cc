// A cluster whose nodes follow a log in a real PostgreSQL, all real processes, and what clients see of it while nodes,
// gateways and PostgreSQL are killed or hang, disks are full, clocks wrong, and networks cut: no acknowledged write is
// missing, none comes back, no read goes back, and searches are answered all the while.
#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "index/base/mutex.h"
#include "tests/integration/fixture.h"
#include "tests/integration/link.h"
#include "tests/integration/programs.h"
#include "tests/support/test_models.h"
#include "tests/unit/log/postgres_server.h"

namespace bebr::testing {
namespace {

using ::testing::HasSubstr;

// A server that is killed and started again at the same address, and a client of it; its links to the others.
class Member {
 public:
  Member(std::string data_dir, std::vector<std::string> flags)
      : data_dir_(std::move(data_dir)), flags_(std::move(flags)) {
    address_ = absl::StrCat("127.0.0.1:", FreePort());
    flags_.insert(flags_.end(), {"--listen", address_});
  }
  void Add(const std::vector<std::string>& flags) { flags_.insert(flags_.end(), flags.begin(), flags.end()); }
  // A network to another server, which stays the member's.
  Link& LinkTo(std::string target) { return *links_.emplace_back(std::make_unique<Link>(std::move(target))); }
  void Start() {
    const std::string libraries =
        absl::StrCat(BEBR_PROGRAMS, "/tests/libslow_sync.so:", BEBR_PROGRAMS, "/tests/libwall_clock.so");
    auto process = std::make_unique<ServerProcess>(data_dir_, flags_,
                                                   Variables{{"LD_PRELOAD", libraries},
                                                             {"FULL_DISK_IN", data_dir_},
                                                             {"SLOW_SYNC_WHILE", data_dir_ + ".full"},
                                                             {"WALL_CLOCK_AHEAD", data_dir_ + ".ahead"}});
    ASSERT_TRUE(process->valid());
    MutexLock lock(&mutex_);
    process_ = std::move(process);
    client_ = std::make_shared<Client>(ClientOptions{.server = address_, .deadline = absl::Seconds(30)});
  }
  void Kill() {
    process_->Signal(SIGKILL);
    process_->Wait();
    MutexLock lock(&mutex_);
    client_.reset();
  }
  void Signal(int number) { process_->Signal(number); }
  void FillDisk() { std::ofstream(data_dir_ + ".full") << "now"; }
  void FreeDisk() { std::filesystem::remove(data_dir_ + ".full"); }
  void SetClockAhead(int seconds) { std::ofstream(data_dir_ + ".ahead") << seconds; }
  // None while it is not there.
  std::shared_ptr<Client> client() {
    MutexLock lock(&mutex_);
    return client_;
  }
  const std::string& address() const { return address_; }
  ServerProcess& process() { return *process_; }
  // To the log first; a gateway's then to the nodes in their order.
  std::vector<std::unique_ptr<Link>>& links() { return links_; }

 private:
  const std::string data_dir_;
  std::vector<std::string> flags_;
  std::string address_;
  std::vector<std::unique_ptr<Link>> links_;
  std::unique_ptr<ServerProcess> process_;
  Mutex mutex_;
  std::shared_ptr<Client> client_;
};

class ReplicationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!PostgresIsInstalled()) GTEST_SKIP() << "install Debian's package postgresql";
    postgres_ = std::make_unique<PostgresServer>();
    postgres_->Start();
  }

  // Nodes with these slots, and gateways. What goes from one server to another goes through a Link.
  void StartCluster(const std::vector<std::string>& slots, size_t gateways) {
    const auto add = [&](const std::string& name, std::vector<std::unique_ptr<Member>>& members) -> Member& {
      members.push_back(
          std::make_unique<Member>(absl::StrCat(directory_.path(), "/", name, "-", members.size()),
                                   std::vector<std::string>{"--cluster_log_single", "true", "--threads", "1"}));
      const int port = members.back()->LinkTo(postgres_->socket_directory() + "/.s.PGSQL.5432").port();
      members.back()->Add({"--cluster_log", absl::StrCat("host=127.0.0.1 port=", port, " user=bebr dbname=postgres")});
      return *members.back();
    };
    const auto names = [&](const std::vector<std::string>& addresses) {
      std::string all;
      for (size_t n = 0; n < slots.size(); ++n)
        absl::StrAppend(&all, n == 0 ? "" : ",", "n", n, "=", addresses[n], "/", slots[n]);
      return all;
    };
    std::vector<std::string> addresses;
    for (size_t n = 0; n < slots.size(); ++n) addresses.push_back(add("node", nodes_).address());
    for (size_t n = 0; n < slots.size(); ++n) {
      nodes_[n]->Add({"--cluster_nodes", names(addresses), "--cluster_self", absl::StrCat("n", n)});
      nodes_[n]->Start();
    }
    for (size_t g = 0; g < gateways; ++g) {
      Member& gateway = add("gateway", gateways_);
      std::vector<std::string> links;
      for (const std::string& address : addresses) links.push_back(gateway.LinkTo(address).address());
      gateway.Add({"--cluster_nodes", names(links), "--cluster_timeout_s", "20"});
      gateway.Start();
    }
  }
  void Create(Client& client) {
    v1::CollectionConfig config;
    config.set_name("c");
    config.set_store_floats(v1::FLOAT_STORAGE_F32);
    const auto made = client.CreateCollection(config, ModelFile());
    ASSERT_TRUE(made.ok()) << made.status();
  }

  // Of a node that was killed.
  void Empty(size_t n) { std::filesystem::remove_all(absl::StrCat(directory_.path(), "/node-", n)); }
  // The log's next append begins another part of it, so that what is before may be let go of.
  void EndOldestPart() { postgres_->Sql("UPDATE bebr_log.log SET generation_bytes = 1::bigint << 40"); }
  uint64_t Trimmed() {
    return std::stoull(
        postgres_->Sql("SELECT min(first) - 1 FROM bebr_log.generation AS g, bebr_log.log AS l "
                       "WHERE g.log = l.id AND l.name = 'cluster'"));
  }
  // MEMBER_STATE_UNSPECIFIED: it is no member.
  v1::MemberState StateOf(size_t n) {
    absl::StatusOr<v1::GetClusterResponse> cluster;
    for (int i = 0; i < 100 && !cluster.ok(); ++i) cluster = gateways_[0]->client()->GetCluster();
    EXPECT_TRUE(cluster.ok()) << cluster.status();
    if (!cluster.ok()) return v1::MEMBER_STATE_UNSPECIFIED;
    for (const v1::ClusterShare& share : cluster->shares()) {
      for (const v1::ClusterReplica& replica : share.replicas()) {
        if (replica.node() == absl::StrCat("n", n)) return replica.member();
      }
    }
    return v1::MEMBER_STATE_UNSPECIFIED;
  }
  // Until gateways see it so.
  void AwaitState(size_t n, v1::MemberState state) {
    for (int i = 0; i < 1200 && StateOf(n) != state; ++i) absl::SleepFor(absl::Milliseconds(50));
    EXPECT_EQ(StateOf(n), state) << "of node " << n;
  }
  absl::Status Join(size_t n, uint32_t first, uint32_t last, const std::string& address = "") {
    v1::JoinNodeRequest request;
    request.set_name(absl::StrCat("n", n));
    request.set_address(address);
    request.set_first_slot(first);
    request.set_last_slot(last);
    return gateways_[0]->client()->JoinNode(request).status();
  }
  absl::Status Drain(size_t n) {
    v1::DrainNodeRequest request;
    request.set_name(absl::StrCat("n", n));
    return gateways_[0]->client()->DrainNode(request).status();
  }
  // Drained, emptied, and joined again: as another machine in its place. Of two shares of two.
  void Replace(size_t n) {
    absl::Status drained;
    // While the other one of its share comes up it is refused.
    for (int i = 0; i < 600; ++i) {
      drained = Drain(n);
      if (!absl::IsFailedPrecondition(drained)) break;
      absl::SleepFor(absl::Milliseconds(50));
    }
    ASSERT_TRUE(drained.ok()) << drained;
    AwaitState(n, v1::MEMBER_STATE_UNSPECIFIED);
    nodes_[n]->Kill();
    Empty(n);
    EndOldestPart();
    nodes_[n]->Start();
    const absl::Status joined = Join(n, n < 2 ? 0 : 512, n < 2 ? 511 : 1023);
    ASSERT_TRUE(joined.ok()) << joined;
    AwaitState(n, v1::MEMBER_STATE_SERVING);
  }

  TemporaryDirectory directory_;
  std::unique_ptr<PostgresServer> postgres_;
  std::vector<std::unique_ptr<Member>> nodes_, gateways_;
};

TEST_F(ReplicationTest, AnswersAsOneServer) {
  StartCluster({"0-511", "0-511", "512-1023", "512-1023"}, 2);
  Create(*gateways_[0]->client());
  ServerProcess one(directory_.path() + "/one");
  Client alone({.server = one.address(), .deadline = absl::Seconds(60)});
  Create(alone);
  for (Client* client : {gateways_[1]->client().get(), &alone}) {
    const auto stream = client->StreamUpsert("c");
    for (size_t first = 0; first < 600; first += 50) ASSERT_TRUE(stream->Send(MakeDocuments(first, 50)).ok());
    const auto finished = stream->Finish();
    ASSERT_TRUE(finished.ok()) << finished;
    v1::DeleteRequest deletion;
    deletion.set_collection("c");
    deletion.set_filter("n BETWEEN 100 AND 150");
    const auto deleted = client->Delete(deletion);
    ASSERT_TRUE(deleted.ok()) << deleted.status();
    EXPECT_EQ(deleted->deleted(), 51u);
  }
  for (size_t gone = 0; gone <= nodes_.size(); ++gone) {
    if (gone > 0) nodes_[gone - 1]->Kill();
    for (size_t query = 0; query < 8; ++query) {
      v1::SearchRequest request = MakeSearch("c", VectorOf(query), 20);
      request.mutable_options()->set_rerank(query % 2 == 0 ? 0 : 40);
      request.mutable_options()->set_filter(query % 3 == 0 ? "" : "n < 300");
      request.mutable_options()->set_with_attributes(true);
      auto cluster = gateways_[query % 2]->client()->Search(request), single = alone.Search(request);
      ASSERT_TRUE(cluster.ok() && single.ok()) << cluster.status() << single.status();
      for (auto* found : {&*cluster, &*single}) {
        found->clear_timings();
        found->clear_documents_scanned();  // of blocks, which are others on each node
      }
      EXPECT_EQ(cluster->DebugString(), single->DebugString());
    }
    if (gone > 0) nodes_[gone - 1]->Start();
  }
  // By itself a node takes no writes, and nothing that a log does not know of.
  EXPECT_EQ(nodes_[0]->client()->Upsert(MakeUpsert("c", 0, 1)).status().code(), absl::StatusCode::kFailedPrecondition);
}

// What a client knows of a document: the version that was acknowledged last, that was sent last, and the newest that
// anybody has read.
struct Known {
  std::atomic<int64_t> acknowledged{0}, sent{0}, read{0};
};

void Raise(std::atomic<int64_t>& value, int64_t to) {
  int64_t before = value;
  while (before < to && !value.compare_exchange_weak(before, to)) continue;
}

// Clients that write, read and search, and what they find wrong.
class History {
 public:
  static constexpr size_t kWriters = 3;
  static constexpr size_t kDocuments = 8;  // of a writer

  explicit History(std::vector<std::unique_ptr<Member>>* gateways) : gateways_(*gateways), known_(kWriters) {}
  void Begin() {
    for (size_t w = 0; w < kWriters; ++w) threads_.emplace_back([this, w] { Write(w); });
    for (size_t r = 0; r < 2; ++r) threads_.emplace_back([this, r] { Read(r); });
    for (size_t s = 0; s < 2; ++s) threads_.emplace_back([this, s] { Search(s); });
  }
  void End() {
    ending_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  std::vector<std::string> problems() {
    MutexLock lock(&mutex_);
    return problems_;
  }
  // Of one writer's documents: all of a request or nothing.
  int64_t acknowledged(size_t writer) const { return known_[writer].acknowledged; }
  int64_t sent(size_t writer) const { return known_[writer].sent; }
  std::string Summary() const {
    return absl::StrFormat("%d writes acknowledged, %d not; %d reads, %d refused; %d searches, %d of them may be stale",
                           acknowledged_.load(), failed_.load(), reads_.load(), refused_.load(), searches_.load(),
                           stale_.load());
  }
  int64_t acknowledged_writes() const { return acknowledged_; }
  static std::string Id(size_t writer, size_t document) { return absl::StrCat("w", writer, "-", document); }

 private:
  std::shared_ptr<Client> Some(std::mt19937& random) {
    for (;;) {
      auto client = gateways_[random() % gateways_.size()]->client();
      if (client != nullptr) return client;
      absl::SleepFor(absl::Milliseconds(5));
    }
  }
  void Wrong(const std::string& what) {
    MutexLock lock(&mutex_);
    problems_.push_back(absl::StrCat(absl::FormatTime("%H:%M:%E3S ", absl::Now(), absl::UTCTimeZone()), what));
  }

  void Write(size_t writer) {
    std::mt19937 random(writer);
    Known& known = known_[writer];
    for (int64_t version = 1; !ending_; ++version) {
      v1::UpsertRequest request;
      request.set_collection("c");
      for (size_t d = 0; d < kDocuments; ++d) {
        v1::Document* document = request.add_documents();
        document->set_id(Id(writer, d));
        (*document->mutable_attributes())["v"].set_int_value(version);
        const auto values = VectorOf(d);
        document->add_embeddings()->mutable_vector()->mutable_values()->Add(values.begin(), values.end());
      }
      known.sent = version;
      const auto written = Some(random)->Upsert(request);
      if (written.ok()) {
        ++acknowledged_;
        Raise(known.acknowledged, version);
        if (written->documents() != kDocuments) Wrong(absl::StrCat("a write had ", written->documents(), " documents"));
      } else {
        ++failed_;
      }
    }
  }

  // What a read that began when these were known may not be below.
  static int64_t Floor(const Known& known) { return std::max(known.acknowledged.load(), known.read.load()); }
  void Check(size_t writer, const v1::Document& document, int64_t floor, const char* how) {
    const int64_t version = document.attributes().at("v").int_value();
    if (version < floor)
      Wrong(absl::StrFormat("%s of %s found version %d, and %d was known before", how, document.id(), version, floor));
    if (version > known_[writer].sent) Wrong(absl::StrFormat("%s found version %d of %s", how, version, document.id()));
    Raise(known_[writer].read, version);
  }
  void Read(size_t reader) {
    std::mt19937 random(100 + reader);
    while (!ending_) {
      const size_t writer = random() % kWriters;
      v1::GetRequest request;
      request.set_collection("c");
      request.add_ids(Id(writer, random() % kDocuments));
      const int64_t floor = Floor(known_[writer]);
      const auto got = Some(random)->Get(request);
      if (!got.ok()) {
        ++refused_;
        continue;
      }
      ++reads_;
      if (got->documents_size() == 0 && floor > 0) Wrong(absl::StrCat("a document of writer ", writer, " is missing"));
      for (const v1::Document& document : got->documents()) Check(writer, document, floor, "a read");
    }
  }
  void Search(size_t searcher) {
    std::mt19937 random(200 + searcher);
    while (!ending_) {
      v1::SearchRequest request = MakeSearch("c", VectorOf(random() % kDocuments), 100);
      request.mutable_options()->set_with_attributes(true);
      std::vector<int64_t> floors;
      for (const Known& known : known_) floors.push_back(Floor(known));
      absl::StatusOr<v1::SearchResponse> found;
      // A gateway that was killed meanwhile answers nobody: then another does.
      for (int tries = 0; tries < 50; ++tries) {
        found = Some(random)->Search(request);
        if (found.ok() || found.status().message().find("node") != std::string::npos) break;
        absl::SleepFor(absl::Milliseconds(20));
      }
      if (!found.ok()) {
        Wrong(absl::StrCat("a search failed: ", found.status().ToString()));
        continue;
      }
      ++searches_;
      bool stale = false;
      for (const std::string& warning : found->warnings()) stale = stale || warning.rfind("may_be_stale", 0) == 0;
      stale_ += stale ? 1 : 0;
      for (const v1::SearchHit& hit : found->hits()) {
        const size_t writer = static_cast<size_t>(hit.id()[1] - '0');
        v1::Document document;
        document.set_id(hit.id());
        *document.mutable_attributes() = hit.attributes();
        if (!stale) Check(writer, document, floors[writer], "a search");
      }
      size_t expected = 0;
      for (const int64_t floor : floors) expected += floor > 0 ? kDocuments : 0;
      if (!stale && static_cast<size_t>(found->hits_size()) < expected)
        Wrong(absl::StrFormat("a search found %d documents, and %d were there", found->hits_size(), expected));
    }
  }

  std::vector<std::unique_ptr<Member>>& gateways_;
  std::vector<Known> known_;
  std::atomic<bool> ending_{false};
  std::atomic<int64_t> acknowledged_{0}, failed_{0}, reads_{0}, refused_{0}, searches_{0}, stale_{0};
  Mutex mutex_;
  std::vector<std::string> problems_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

// Cuts links, all in the same way, and mends them after a while.
void Part(const std::vector<Link*>& links, std::mt19937& random) {
  const std::array<LinkCut, 4> ways = {LinkCut::kBoth, LinkCut::kBoth, LinkCut::kCalls, LinkCut::kAnswers};
  const LinkCut way = ways[random() % ways.size()];
  for (Link* link : links) link->Cut(way);
  absl::SleepFor(absl::Milliseconds(100 + random() % 8000));
  const bool lose_connections = random() % 2 == 0;
  for (Link* link : links) link->Mend(lose_connections);
}

constexpr std::array<const char*, 14> kFaults = {"kill of node",
                                                 "kill of node",
                                                 "stop of node",
                                                 "kill of a gateway; not of node",
                                                 "kill of PostgreSQL; not of node",
                                                 "cut of one link, perhaps of node",
                                                 "cut of all links of node",
                                                 "cut of a gateway's links; not of node",
                                                 "full disk of node",
                                                 "wrong clocks; not of node",
                                                 "kill of one node of each share; not of node",
                                                 "kill and emptying of node",
                                                 "replacement of node",
                                                 "kill of PostgreSQL and node"};

// FAULTS says how many there are to be, FAULTS_SEED which. (Servers refuse variables that begin with their name.)
uint32_t Given(const char* name, uint32_t otherwise) {
  const char* given = std::getenv(name);
  return given == nullptr ? otherwise : static_cast<uint32_t>(std::strtoul(given, nullptr, 10));
}

TEST_F(ReplicationTest, NoFaultLosesRepeatsOrTurnsBack) {
  StartCluster({"0-511", "0-511", "512-1023", "512-1023"}, 2);
  Create(*gateways_[0]->client());
  History history(&gateways_);
  history.Begin();
  std::mt19937 random(Given("FAULTS_SEED", 11));
  std::vector<std::string> told;
  const auto tell = [&](const char* what, size_t whom) {
    told.push_back(absl::StrCat(absl::FormatTime("%H:%M:%E3S ", absl::Now(), absl::UTCTimeZone()), what, " ", whom));
  };
  const auto rest = [&](int most_ms) { absl::SleepFor(absl::Milliseconds(100 + random() % most_ms)); };
  const uint32_t faults = Given("FAULTS", 14);
  for (uint32_t fault = 0; fault < faults && history.problems().empty(); ++fault) {
    const size_t alone = random() % nodes_.size();
    Member& node = *nodes_[alone];
    tell(kFaults[fault % kFaults.size()], alone);
    switch (fault % kFaults.size()) {
      case 0:
      case 1:
        node.Kill();
        rest(1500);
        node.Start();
        break;
      case 2:
        node.Signal(SIGSTOP);
        rest(4000);
        node.Signal(SIGCONT);
        break;
      case 3: {
        Member& gateway = *gateways_[random() % gateways_.size()];
        gateway.Kill();
        rest(500);
        gateway.Start();
        break;
      }
      case 4:
        postgres_->Kill();
        rest(1500);
        postgres_->Start();
        break;
      case 5: {  // one link, in one direction or both
        const bool of_node = random() % 2 == 0;
        Member& one = of_node ? node : *gateways_[random() % gateways_.size()];
        Part({one.links()[random() % one.links().size()].get()}, random);
        break;
      }
      case 6: {  // a node is parted from all others
        std::vector<Link*> links = {nodes_[alone]->links()[0].get()};
        for (auto& gateway : gateways_) links.push_back(gateway->links()[1 + alone].get());
        Part(links, random);
        break;
      }
      case 7: {  // a gateway is parted from the log and from one node of each share
        Member& gateway = *gateways_[random() % gateways_.size()];
        Part({gateway.links()[0].get(), gateway.links()[1 + random() % 2].get(),
              gateway.links()[3 + random() % 2].get()},
             random);
        break;
      }
      case 8:
        node.FillDisk();
        rest(4000);
        node.FreeDisk();
        break;
      case 9:
        for (auto* members : {&nodes_, &gateways_}) {
          for (auto& member : *members) member->SetClockAhead(3600 * (static_cast<int>(random() % 3) - 1));
        }
        rest(2000);
        break;
      case 10:  // one of each share
        nodes_[random() % 2]->Kill();
        nodes_[2 + random() % 2]->Kill();
        rest(1000);
        for (auto& one : nodes_) {
          if (!one->process().Running()) one->Start();
        }
        break;
      case 11:  // what the log has let go of no log gives back
        EndOldestPart();
        node.Kill();
        rest(1000);
        Empty(alone);
        node.Start();
        break;
      case 12:
        Replace(alone);
        break;
      default:
        postgres_->Kill();
        node.Kill();
        rest(1000);
        node.Start();  // before the log is there
        rest(500);
        postgres_->Start();
        break;
    }
    // What was under way has time to be wrong, and some writes get through.
    const int64_t before = history.acknowledged_writes();
    for (int i = 0; i < 600 && history.acknowledged_writes() < before + 5; ++i) absl::SleepFor(absl::Milliseconds(50));
    EXPECT_GE(history.acknowledged_writes(), before + 5) << "after fault " << fault;
    tell("is over with writes acknowledged:", static_cast<size_t>(history.acknowledged_writes()));
  }
  history.End();
  EXPECT_THAT(history.problems(), ::testing::IsEmpty());
  std::cerr << history.Summary() << "\n";
  if (HasFailure()) std::cerr << absl::StrJoin(told, "\n") << "\n";
  for (auto* members : {&nodes_, &gateways_}) {
    for (auto& member : *members) {
      if (HasFailure()) std::cerr << member->address() << "\n" << member->process().Log() << "\n";
    }
  }
  // Every replica by itself comes to the same: what was acknowledged, or something that was sent after it.
  for (size_t w = 0; w < History::kWriters; ++w) {
    std::set<int64_t> versions;
    for (auto& node : nodes_) {
      v1::GetRequest request;
      request.set_collection("c");
      for (size_t d = 0; d < History::kDocuments; ++d) request.add_ids(History::Id(w, d));
      for (int i = 0; i < 600; ++i) {
        const auto got = node->client()->Get(request);
        ASSERT_TRUE(got.ok()) << got.status();
        std::set<int64_t> here;
        for (const v1::Document& document : got->documents()) here.insert(document.attributes().at("v").int_value());
        if (here.size() == 1 && *here.begin() >= history.acknowledged(w)) {
          versions.insert(here.begin(), here.end());
          break;
        }
        absl::SleepFor(absl::Milliseconds(50));
        if (i == 599) ADD_FAILURE() << "a node has not come to version " << history.acknowledged(w);
      }
    }
    EXPECT_EQ(versions.size(), 1u) << "of writer " << w;
    for (const int64_t version : versions) EXPECT_LE(version, history.sent(w));
  }
}

// Nodes are filled from each other by real processes, and what they were filled from is gone from the log.
TEST_F(ReplicationTest, NodesAreFilledJoinedAndDrained) {
  StartCluster({"0-1023", "0-1023"}, 2);
  Create(*gateways_[0]->client());
  const auto write = [&](size_t first) {
    const auto written = gateways_[1]->client()->Upsert(MakeUpsert("c", first, 10));
    ASSERT_TRUE(written.ok()) << written.status();
  };
  const auto expect = [&](Client& client, uint64_t documents) {
    v1::CountRequest request;
    request.set_collection("c");
    absl::StatusOr<v1::CountResponse> counted;
    for (int i = 0; i < 1200; ++i) {
      counted = client.Count(request);
      if (counted.ok() && counted->documents() == documents) return;
      absl::SleepFor(absl::Milliseconds(50));
    }
    ADD_FAILURE() << documents << " documents were expected; " << counted.status();
  };
  for (size_t i = 0; i < 30; ++i) write(10 * i);
  AwaitState(0, v1::MEMBER_STATE_SERVING);
  EXPECT_EQ(Drain(7).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Join(0, 0, 511).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Join(2, 0, 1023).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Join(2, 0, 1023, "nowhere").code(), absl::StatusCode::kInvalidArgument);
  // One that joins and is not there yet is shown as what it is, and is no fault of the cluster.
  ASSERT_TRUE(Join(5, 0, 1023, "127.0.0.1:1").ok());
  AwaitState(5, v1::MEMBER_STATE_JOINING);
  AwaitState(1, v1::MEMBER_STATE_SERVING);
  const Outcome status = RunProgram("bebr", {"cluster", "status", "--server", gateways_[0]->address()});
  EXPECT_EQ(status.exit_code, 0) << status.err;
  EXPECT_THAT(status.out, HasSubstr("joining"));
  EXPECT_THAT(gateways_[0]->process().HttpGet("/metrics"),
              ::testing::Not(HasSubstr("bebr_replica_state{node=\"n5\"}")));
  ASSERT_TRUE(Drain(5).ok());
  AwaitState(5, v1::MEMBER_STATE_UNSPECIFIED);
  // The log's first part goes, as both have it, once what is beyond the margin is there too.
  EndOldestPart();
  for (size_t i = 0; i < 300 && Trimmed() == 0; ++i) write(10 * (i % 30));
  for (int i = 0; i < 600 && Trimmed() == 0; ++i) absl::SleepFor(absl::Milliseconds(50));
  EXPECT_GT(Trimmed(), 0u);
  nodes_[1]->Kill();
  Empty(1);
  nodes_[1]->Start();
  expect(*nodes_[1]->client(), 300);
  EXPECT_THAT(nodes_[1]->process().Log(), HasSubstr("the node is filled from node n0"));
  // One in place of the other, while documents come.
  absl::Status drained;
  for (int i = 0; i < 600; ++i) {
    // Its gateway sees that the other one has come up about a second later.
    drained = Drain(0);
    if (!absl::IsFailedPrecondition(drained)) break;
    absl::SleepFor(absl::Milliseconds(50));
  }
  ASSERT_TRUE(drained.ok()) << drained;
  AwaitState(0, v1::MEMBER_STATE_UNSPECIFIED);
  EXPECT_EQ(Drain(1).code(), absl::StatusCode::kFailedPrecondition);
  std::string answer;
  for (int i = 0; i < 600 && answer.find("no member") == std::string::npos; ++i) {
    answer = nodes_[0]->process().HttpGet("/readyz");
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_THAT(answer, HasSubstr("node n0 is no member of the cluster"));
  nodes_[0]->Kill();
  for (size_t i = 30; i < 40; ++i) write(10 * i);
  Empty(0);
  nodes_[0]->Start();
  ASSERT_TRUE(Join(0, 0, 1023).ok());
  AwaitState(0, v1::MEMBER_STATE_SERVING);
  expect(*nodes_[0]->client(), 400);
  nodes_[1]->Kill();
  expect(*gateways_[1]->client(), 400);
}

// One more than cluster_nodes of the gateway has.
TEST_F(ReplicationTest, ASpareTakesThePlaceOfANodeThatIsDead) {
  StartCluster({"0-1023", "0-1023"}, 1);
  gateways_[0]->Kill();
  gateways_[0]->Add({"--cluster_replace_after_s", "2"});
  gateways_[0]->Start();
  Create(*gateways_[0]->client());
  ASSERT_TRUE(gateways_[0]->client()->Upsert(MakeUpsert("c", 0, 50)).ok());
  Member& spare = *nodes_.emplace_back(std::make_unique<Member>(
      directory_.path() + "/node-2", std::vector<std::string>{"--cluster_log_single", "true", "--threads", "1"}));
  const int port = spare.LinkTo(postgres_->socket_directory() + "/.s.PGSQL.5432").port();
  std::string names;
  for (size_t n = 0; n < nodes_.size(); ++n)
    absl::StrAppend(&names, n == 0 ? "" : ",", "n", n, "=", nodes_[n]->address(), "/0-1023");
  spare.Add({"--cluster_log", absl::StrCat("host=127.0.0.1 port=", port, " user=bebr dbname=postgres"),
             "--cluster_nodes", names, "--cluster_self", "n2"});
  spare.Start();
  ASSERT_TRUE(Join(2, 0, 1023, spare.address()).ok());
  AwaitState(2, v1::MEMBER_STATE_SERVING);
  nodes_[0]->Kill();
  AwaitState(0, v1::MEMBER_STATE_UNSPECIFIED);
  EXPECT_THAT(gateways_[0]->process().HttpGet("/metrics"), HasSubstr("bebr_cluster_replaced_members_total 1"));
  ASSERT_TRUE(gateways_[0]->client()->Upsert(MakeUpsert("c", 50, 10)).ok());
  // There is no other spare, so the next one stays a member.
  nodes_[1]->Kill();
  absl::SleepFor(absl::Seconds(4));
  EXPECT_EQ(StateOf(1), v1::MEMBER_STATE_SERVING);
  v1::CountRequest request;
  request.set_collection("c");
  const auto counted = gateways_[0]->client()->Count(request);
  ASSERT_TRUE(counted.ok()) << counted.status();
  EXPECT_EQ(counted->documents(), 60u);
}

// By the command, while documents are written; into the same cluster without a node, and into a new one.
TEST_F(ReplicationTest, SnapshotsAreOfTheWholeCluster) {
  const std::vector<std::string> slots = {"0-511", "0-511", "512-1023", "512-1023"};
  StartCluster(slots, 1);
  Create(*gateways_[0]->client());
  const auto write = [&](const std::string& collection, size_t first, size_t count) {
    const auto written = gateways_[0]->client()->Upsert(MakeUpsert(collection, first, count));
    ASSERT_TRUE(written.ok()) << written.status();
  };
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--server", gateways_[0]->address()});
    return RunProgram("bebr", arguments);
  };
  const auto answers = [&](const std::string& collection) {
    std::string all;
    for (size_t query = 0; query < 5; ++query) {
      v1::SearchRequest request = MakeSearch(collection, VectorOf(query), 20);
      request.mutable_options()->set_with_attributes(true);
      const auto found = gateways_[0]->client()->Search(request);
      EXPECT_TRUE(found.ok()) << found.status();
      if (!found.ok()) continue;
      for (const v1::SearchHit& hit : found->hits()) absl::StrAppend(&all, hit.id(), " ", hit.score(), "\n");
    }
    return all;
  };
  write("c", 0, 300);
  const std::string before = answers("c");
  const Outcome made = run({"snapshot", "create", "c", "--name", "s"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_THAT(made.out, HasSubstr("300 documents"));
  EXPECT_EQ(run({"snapshot", "create", "c", "--name", "s"}).exit_code, 1);
  write("c", 200, 300);
  for (size_t n = 0; n < slots.size(); ++n) {
    const std::string path = absl::StrCat(directory_.path(), "/node-", n, "/snapshots/c/s");
    for (int i = 0; i < 600 && !std::filesystem::exists(path); ++i) absl::SleepFor(absl::Milliseconds(50));
    EXPECT_THAT(nodes_[n]->process().HttpGet("/metrics"),
                HasSubstr("bebr_snapshot_newest_timestamp_seconds{collection=\"c\"}"));
  }
  nodes_[0]->Kill();
  Empty(0);
  const Outcome restored = run({"snapshot", "restore", "c", "s", "--as", "d"});
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_THAT(restored.out, HasSubstr("300 documents"));
  EXPECT_EQ(answers("d"), before);
  write("d", 1000, 10);
  nodes_[0]->Start();
  for (const char* collection : {"c", "d"}) {
    Outcome verified;
    for (int i = 0; i < 100 && verified.exit_code != 0; ++i) verified = run({"cluster", "verify", collection});
    EXPECT_EQ(verified.exit_code, 0) << verified.err << verified.out;
  }
  // A new cluster, with a new log, and of the old one a copy of each share's snapshot.
  for (auto& gateway : gateways_) gateway->Kill();
  for (auto& node : nodes_) node->Kill();
  gateways_.clear();
  nodes_.clear();
  postgres_ = std::make_unique<PostgresServer>();
  postgres_->Start();
  for (size_t n = 0; n < slots.size(); ++n) {
    const std::string path = absl::StrCat(directory_.path(), "/node-", n),
                      kept = absl::StrCat(directory_.path(), "/kept");
    std::filesystem::remove_all(kept);
    if (n % 2 == 1) std::filesystem::rename(path + "/snapshots", kept);
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
    if (n % 2 == 1) std::filesystem::rename(kept, path + "/snapshots");
  }
  StartCluster(slots, 1);
  Outcome anew;
  for (int i = 0; i < 100 && anew.exit_code != 0; ++i) anew = run({"snapshot", "restore", "c", "s", "--as", "c"});
  ASSERT_EQ(anew.exit_code, 0) << anew.err;
  EXPECT_EQ(answers("c"), before);
  write("c", 1000, 10);
  Outcome verified;
  for (int i = 0; i < 100 && verified.exit_code != 0; ++i) verified = run({"cluster", "verify", "c"});
  EXPECT_EQ(verified.exit_code, 0) << verified.err << verified.out;
  EXPECT_EQ(run({"snapshot", "delete", "c", "s"}).exit_code, 0);
  EXPECT_THAT(run({"snapshot", "list"}).out, HasSubstr("no snapshots"));
}

// An administrator deletes the end of the log, or restores an older state of it.
TEST_F(ReplicationTest, NodesThatTheLogHasLeftBehindServeNoMore) {
  StartCluster({"0-1023", "0-1023"}, 1);
  Create(*gateways_[0]->client());
  for (size_t i = 0; i < 5; ++i) ASSERT_TRUE(gateways_[0]->client()->Upsert(MakeUpsert("c", 10 * i, 10)).ok());
  for (auto& node : nodes_) {
    v1::CountRequest request;
    request.set_collection("c");
    for (int i = 0; i < 600; ++i) {
      const auto counted = node->client()->Count(request);
      if (counted.ok() && counted->documents() == 50) break;
      absl::SleepFor(absl::Milliseconds(20));
    }
  }
  nodes_[1]->Kill();
  const std::string suffix(absl::StripSuffix(
      postgres_->Sql("SELECT id || '_' || generation FROM bebr_log.log WHERE name = 'cluster'"), "\n"));
  postgres_->Sql(absl::StrReplaceAll(
      "DELETE FROM bebr_log.appends_{log} WHERE position > 4; DELETE FROM bebr_log.records_{log} WHERE position > 4; "
      "UPDATE bebr_log.log SET head = 4, head_append = (SELECT append FROM bebr_log.appends_{log} WHERE position = 4) "
      "WHERE name = 'cluster'",
      {{"{log}", suffix}}));
  nodes_[1]->Start();
  for (auto& node : nodes_) {
    std::string answer;
    // A log that ends earlier is asked again for 30 s.
    for (int i = 0; i < 1200 && answer.find("quarantined") == std::string::npos; ++i) {
      answer = node->process().HttpGet("/readyz");
      absl::SleepFor(absl::Milliseconds(50));
    }
    EXPECT_THAT(answer, HasSubstr("the node is quarantined: empty its data_dir and start it again"));
  }
  const auto found = gateways_[0]->client()->Search(MakeSearch("c", VectorOf(1), 3));
  EXPECT_EQ(found.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(found.status().message()), HasSubstr("quarantined"));
  // Filled anew, from what the log has.
  nodes_[1]->Kill();
  std::filesystem::remove_all(absl::StrCat(directory_.path(), "/node-1"));
  nodes_[1]->Start();
  for (int i = 0; i < 600; ++i) {
    v1::CountRequest request;
    request.set_collection("c");
    const auto counted = gateways_[0]->client()->Count(request);
    if (counted.ok() && counted->documents() == 30) break;
    absl::SleepFor(absl::Milliseconds(20));
    if (i == 599) ADD_FAILURE() << counted.status();
  }
}

}  // namespace
}  // namespace bebr::testing
